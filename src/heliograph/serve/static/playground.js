// Message passing on a small graph: the service computes, this draws.
import { ask, make, svg } from "./api.js";

const $ = (id) => document.getElementById(id);
const OWN = "a molecule of your own", EDGES = "a graph of your own", STEPS = 8;
const PALETTE = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#997700", "#004488", "#bb5566", "#009988", "#ee7733", "#33bbee", "#882255", "#44aa99", "#999933", "#dd99cc"];
let game = null, node = null, playing = 0, opened = false, asked = 0, tell = () => {};

const LESSONS = {
  "hexagon and two triangles": "Every node has two neighbours that have two neighbours. A hexagon and two triangles look the same to colour refinement, and so to every network on this page: no layer that sums over neighbours tells them apart. Count triangles at the start, and they part at once.",
  "barbell": "Two cliques joined by a bridge. What one end knows must pass through single nodes: choose a node at one end and see how little comes from the other.",
  "path of ten": "After k steps a node has heard of those at most k edges away, no farther.",
  "grid": "Only corners, edges and the middle differ: three colours, and no more with any number of steps.",
  "star": "A mean over neighbours swaps hub and leaves; a few steps of gcn make them alike.",
  "rook's graph": "Sixteen nodes with six neighbours each. Beside the Shrikhande graph it is the classic pair that even folklore 2-WL can't tell apart.",
  "Shrikhande graph": "Sixteen nodes with six neighbours each, and not the rook's graph; no network here can know.",
};

export async function open(trouble) {
  if (opened) return;
  opened = true;
  tell = trouble;
  try {
    const { graphs, layers } = await ask("/v1/playground");
    $("graph").replaceChildren(...[...graphs, OWN, EDGES].map((name) => make("option", {}, name)));
    $("layer").replaceChildren(...layers.map((name) => make("option", {}, name)));
    $("layer").value = "gcn";
  } catch (error) { opened = false; return trouble(error.message, error.status); }
  $("step").max = STEPS;
  for (const id of ["graph", "layer", "triangles"]) $(id).addEventListener("change", () => { if (id === "graph") { node = null; $("step").value = 0; } load(trouble); });
  let timer = 0;
  for (const id of ["game-smiles", "game-edges"]) $(id).addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => { node = null; load(trouble); }, 400); });
  $("game").addEventListener("submit", (event) => event.preventDefault());
  $("step").addEventListener("input", draw);
  const go = (by) => { $("step").value = Math.max(0, Math.min(STEPS, Number($("step").value) + by)); draw(); };
  $("back").addEventListener("click", () => go(-1));
  $("forth").addEventListener("click", () => go(1));
  $("play").addEventListener("click", () => {
    if (playing) return halt();
    if (Number($("step").value) >= STEPS) $("step").value = 0;
    $("play").textContent = "Pause";
    playing = setInterval(() => { go(1); if (Number($("step").value) >= STEPS) halt(); }, 900);
    draw();
  });
  load(trouble);
}

function halt() { clearInterval(playing); playing = 0; $("play").textContent = "Play"; }

async function load(trouble) {
  const number = ++asked, own = $("graph").value === OWN, edges = $("graph").value === EDGES;
  $("own").hidden = !own;
  $("own-edges").hidden = !edges;
  try {
    const found = await ask("/v1/playground", { ...(own ? { smiles: $("game-smiles").value.trim() } : edges ? { edges: pairs($("game-edges").value) } : { graph: $("graph").value }), layer: $("layer").value, steps: STEPS, node, triangles: $("triangles").checked });
    if (number !== asked) return;
    game = found;
    trouble("");
    draw();
  } catch (error) { if (number === asked) trouble(error.message, error.status); }
}

function pairs(text) {
  const found = [...text.matchAll(/(\d+)\s*-\s*(\d+)/g)].map(([, a, b]) => [a - 1, b - 1]);
  if (!found.length || text.replace(/\d+\s*-\s*\d+|[\s,;]/g, "")) throw new Error("Write edges as 1-2 2-3 3-1.");
  return found;
}

function choose(k) { node = node === k ? null : k; load(tell); }

function viridis(x) {
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const at = Math.min(3.999, Math.max(0, x * 4)), k = Math.floor(at), f = at - k;
  return `rgb(${stops[k].map((a, c) => Math.round(a + f * (stops[k + 1][c] - a))).join(",")})`;
}

function panel(target, fill, step, names) {
  const { places, edges, labels, hops } = game, r = places.length > 24 ? 0.058 : 0.075;
  const lines = edges.map(([i, j]) => svg("line", { x1: places[i][0], y1: places[i][1], x2: places[j][0], y2: places[j][1], stroke: "#aab4c4", "stroke-width": 0.016 }));
  const nodes = places.map(([x, y], k) => {
    const reached = hops && hops[k] >= 0 && hops[k] <= step;
    const circle = svg("circle", { cx: x, cy: y, r, fill: fill(k), stroke: k === node ? "#17212f" : reached ? "#f08c00" : "#fff", "stroke-width": k === node ? 0.03 : reached ? 0.024 : 0.014 });
    const group = svg("g", { class: "node", tabindex: 0, role: "button", "aria-label": `Node ${k + 1}${labels[k] ? `, ${labels[k]}` : ""}: ${names(k)}`, "aria-pressed": String(k === node) }, circle);
    if (labels[k]) {
      const text = svg("text", { x, y: y + r * 0.36, "font-size": r * 1.05, "text-anchor": "middle", fill: "#fff", stroke: "#17212f", "stroke-width": 0.012, "paint-order": "stroke", "pointer-events": "none", "font-weight": 600 });
      text.textContent = labels[k];
      group.append(text);
    }
    group.addEventListener("click", () => choose(k));
    group.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(k); } });
    return group;
  });
  const focused = [...target.querySelectorAll(".node")].indexOf(document.activeElement);
  target.replaceChildren(...lines, ...nodes);
  if (focused >= 0) nodes[focused]?.focus();
}

function draw() {
  if (!game) return;
  const step = Number($("step").value), count = (row) => Math.max(...row) + 1;
  $("step-said").textContent = step;
  panel($("states"), (k) => viridis(game.shade[step][k]), step, (k) => `state ${game.equal[step][k] + 1}`);
  panel($("colours"), (k) => PALETTE[game.colours[step][k] % PALETTE.length], step, (k) => `colour ${game.colours[step][k] + 1}`);
  const kinds = (n, what) => `${n} ${n === 1 ? what : `${what}s`} among ${game.places.length} nodes`;
  $("states-said").textContent = kinds(count(game.equal[step]), "different state");
  $("colours-said").textContent = kinds(count(game.colours[step]), "colour") + (step >= game.settled ? ", settled" : "");
  curve(step);
  whence();
  $("vector").textContent = node === null || !game.state ? "" : `State of node ${node + 1} after this step: ${game.state[step].map((v) => Number(v.toPrecision(6))).join("  ")}`.replaceAll("-", "−");
  const own = $("graph").value === OWN || $("graph").value === EDGES;
  const lesson = own ? "Nodes of one colour have one state: no layer here is sharper than the colours. Choose a node: rings show what it has heard of after this step." : LESSONS[$("graph").value] ?? "";
  $("lesson").textContent = lesson + ($("layer").value === "gcn" && count(game.equal[step]) > count(game.colours[step]) ? " gcn divides by degrees from the start: it is one round ahead of the colours." : "");
}

function axes(target, low, high, left, below) {
  const w = 460, h = 190, x0 = 44, y0 = 150, x1 = w - 12, y1 = 14;
  const parts = [svg("line", { x1: x0, y1: y0, x2: x1, y2: y0, stroke: "#98a4b8" })];
  for (const v of [low, (low + high) / 2, high]) {
    const y = y0 - ((v - low) / (high - low)) * (y0 - y1);
    parts.push(svg("line", { x1: x0, y1: y, x2: x1, y2: y, stroke: "#e5e9f0" }));
    const text = svg("text", { x: x0 - 7, y: y + 4, "text-anchor": "end", "font-size": 12, fill: "#55617a" });
    text.textContent = left(v);
    parts.push(text);
  }
  const text = svg("text", { x: (x0 + x1) / 2, y: h - 6, "text-anchor": "middle", "font-size": 12, fill: "#55617a" });
  text.textContent = below;
  target.replaceChildren(...parts, text);
  return { x: (f) => x0 + f * (x1 - x0), y: (v) => y0 - ((v - low) / (high - low)) * (y0 - y1), base: y0 };
}

function label(target, x, y, text) {
  const made = svg("text", { x, y, "text-anchor": "middle", "font-size": 12, fill: "#55617a" });
  made.textContent = text;
  target.append(made);
}

function curve(step) {
  const values = game.similarity.map((v) => v ?? 0), target = $("similarity");
  const low = Math.min(0, ...values) < -0.005 ? -1 : 0;
  const at = axes(target, low, 1, (v) => v.toString().replace("-", "−"), "step");
  const points = values.map((v, k) => [at.x((k + 0.25) / (STEPS + 0.5)), at.y(v)]);
  target.append(svg("polyline", { points: points.map((p) => p.join(",")).join(" "), fill: "none", stroke: "#0b5cad", "stroke-width": 2 }));
  points.forEach(([x, y], k) => { target.append(svg("circle", { cx: x, cy: y, r: k === step ? 6 : 3.5, fill: k === step ? "#f5b83d" : "#0b5cad", stroke: "#0b5cad", "stroke-width": 1.5 })); label(target, x, at.base + 16, k); });
}

function whence() {
  const target = $("influence");
  if (node === null || !game.influence) { $("whence").textContent = "choose a node"; axes(target, 0, 1, (v) => `${100 * v} %`, "edges away"); return; }
  const far = Math.max(...game.hops), sums = Array(far + 1).fill(0);
  game.hops.forEach((d, k) => { if (d >= 0) sums[d] += game.influence[k]; });
  $("whence").textContent = `share of each distance in node ${node + 1} after ${STEPS} steps`;
  const at = axes(target, 0, 1, (v) => `${100 * v} %`, "edges away"), n = sums.length;
  sums.forEach((s, d) => {
    const x = at.x((d + 0.5) / n), w = Math.min(34, (at.x(1) - at.x(0)) / n - 6);
    target.append(svg("rect", { x: x - w / 2, width: w, y: at.y(s), height: at.base - at.y(s), fill: "#0b5cad", rx: 2 }));
    label(target, x, at.base + 16, d);
  });
}
