// Shows the <title> of what is under the pointer (or the finger) at once, beside it. Without this script browsers show it after a moment.
(function () {
  "use strict";
  var tip = document.getElementById("tip"), held = null;
  function release() {
    if (held) { held.node.appendChild(held.title); held = null; }
    tip.hidden = true;
  }
  function show(event) {
    var node = event.target;
    if (held && held.node === node) { return; }
    release();
    if (!node.closest || !node.closest("svg.plot")) { return; }
    var title = node.querySelector(":scope > title");
    if (!title) { return; }
    held = { node: node, title: title };
    node.removeChild(title);
    tip.textContent = title.textContent;
    tip.hidden = false;
    var box = node.getBoundingClientRect(), wide = document.documentElement.clientWidth;
    var left = Math.min(Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2), wide - tip.offsetWidth - 8);
    var above = box.top - tip.offsetHeight - 8;
    tip.style.left = left + window.scrollX + "px";
    tip.style.top = (above > 4 ? above : box.bottom + 8) + window.scrollY + "px";
  }
  document.addEventListener("pointerover", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("pointerleave", release);
})();
