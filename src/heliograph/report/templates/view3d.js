// Draws the molecules of <canvas data-atoms="[[x, y, z, radius, colour], ...]" data-bonds="[[i, j, order], ...]">; drag turns one.
(function () {
  "use strict";
  function Scene(canvas) {
    this.canvas = canvas;
    this.atoms = JSON.parse(canvas.dataset.atoms);
    this.bonds = JSON.parse(canvas.dataset.bonds);
    this.turn = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    this.rotate(0.5, -0.35);
    var scene = this, last = null;
    canvas.addEventListener("pointerdown", function (e) { last = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
    canvas.addEventListener("pointerup", function () { last = null; });
    canvas.addEventListener("pointermove", function (e) {
      if (!last) { return; }
      scene.rotate((e.clientX - last[0]) / 90, (e.clientY - last[1]) / 90);
      last = [e.clientX, e.clientY];
      scene.draw();
    });
    this.draw();
  }
  Scene.prototype.rotate = function (a, b) {
    var ca = Math.cos(a), sa = Math.sin(a), cb = Math.cos(b), sb = Math.sin(b);
    var step = [[ca, 0, sa], [sa * sb, cb, -ca * sb], [-sa * cb, sb, ca * cb]], old = this.turn;
    this.turn = step.map(function (row) {
      return [0, 1, 2].map(function (k) { return row[0] * old[0][k] + row[1] * old[1][k] + row[2] * old[2][k]; });
    });
  };
  Scene.prototype.draw = function () {
    var c = this.canvas, scale = window.devicePixelRatio || 1, wide = c.clientWidth, high = c.clientHeight, turn = this.turn;
    c.width = wide * scale;
    c.height = high * scale;
    var pen = c.getContext("2d"), far = 1.5;
    pen.setTransform(scale, 0, 0, scale, wide * scale / 2, high * scale / 2);
    var at = this.atoms.map(function (a) {
      far = Math.max(far, Math.hypot(a[0], a[1], a[2]) + a[3]);
      return turn.map(function (row) { return row[0] * a[0] + row[1] * a[1] + row[2] * a[2]; });
    });
    var zoom = Math.min(wide, high) / 2 / far, parts = [];
    this.atoms.forEach(function (a, k) { parts.push({ depth: at[k][2], atom: k }); });
    this.bonds.forEach(function (b) { parts.push({ depth: (at[b[0]][2] + at[b[1]][2]) / 2 - 0.01, bond: b }); });
    parts.sort(function (p, q) { return p.depth - q.depth; });
    var atoms = this.atoms;
    parts.forEach(function (p) { p.bond ? bond(p.bond) : ball(p.atom); });
    function ball(k) {
      var x = at[k][0] * zoom, y = -at[k][1] * zoom, r = atoms[k][3] * zoom;
      var light = pen.createRadialGradient(x - r / 3, y - r / 3, r / 8, x, y, r);
      light.addColorStop(0, "#fff");
      light.addColorStop(0.25, atoms[k][4]);
      light.addColorStop(1, atoms[k][4]);
      pen.beginPath();
      pen.arc(x, y, r, 0, 2 * Math.PI);
      pen.fillStyle = light;
      pen.fill();
      pen.lineWidth = 0.7;
      pen.strokeStyle = "#0006";
      pen.stroke();
    }
    function bond(b) {
      var p = at[b[0]], q = at[b[1]], n = b[2], dx = (q[0] - p[0]) * zoom, dy = -(q[1] - p[1]) * zoom, l = Math.hypot(dx, dy) || 1;
      pen.strokeStyle = "#8a949e";
      pen.lineWidth = n > 1 ? 2.2 : 3.4;
      for (var k = 0; k < n; k += 1) {
        var off = (k - (n - 1) / 2) * 4, ox = -dy / l * off, oy = dx / l * off;
        pen.beginPath();
        pen.moveTo(p[0] * zoom + ox, -p[1] * zoom + oy);
        pen.lineTo(q[0] * zoom + ox, -q[1] * zoom + oy);
        pen.stroke();
      }
    }
  };
  document.querySelectorAll("canvas[data-atoms]").forEach(function (canvas) { new Scene(canvas); });
})();
