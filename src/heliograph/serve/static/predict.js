// One molecule: drawn or pasted, predicted by one model or several side by side.
import { ask, digits, make, picture } from "./api.js";
import { bar, intervals, scale } from "./bars.js";

const EXAMPLES = { Aspirin: "CC(=O)Oc1ccccc1C(=O)O", Caffeine: "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", Ibuprofen: "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O", Menthol: "CC(C)[C@@H]1CC[C@@H](C)C[C@H]1O" };
export const COLOURS = ["#0b5cad", "#8a3ffc", "#b3541e"];
const $ = (id) => document.getElementById(id);
let models = [], asked = 0, editor = null, quiet = false, timer = 0;

export function setUp(found, trouble) {
  models = found;
  $("examples").replaceChildren(...Object.entries(EXAMPLES).map(([name, smiles]) => make("button", { type: "button", onclick: () => choose(smiles) }, name)));
  $("which").replaceChildren(...(models.length > 1 ? models.map((m, k) => make("label", {}, make("input", { type: "checkbox", checked: k < 2, value: m.name, onchange: () => go(trouble) }), make("span", { class: `dot ${["", "second", "third"][k % 3]}` }), m.name)) : []));
  $("ask").addEventListener("submit", (event) => { event.preventDefault(); go(trouble); });
  $("smiles").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => go(trouble), 400); });
  $("draw").addEventListener("click", () => toggle(trouble));
  const given = new URLSearchParams(location.hash.slice(1)).get("smiles");
  if (given) choose(given);
  function choose(smiles) { $("smiles").value = smiles; go(trouble); }
}

function chosen() {
  const boxes = [...$("which").querySelectorAll("input")];
  return boxes.length ? models.filter((m) => boxes.find((b) => b.value === m.name).checked) : models.slice(0, 1);
}

async function go(trouble) {
  const smiles = $("smiles").value.trim(), number = ++asked, some = chosen();
  if (!smiles) return;
  $("answers").setAttribute("aria-busy", "true");
  try {
    const drawing = ask("/v1/draw", { smiles: smiles.slice(0, 300), model: some[0]?.name ?? null, width: 440, height: 230 }).catch(() => null);
    const found = await Promise.all(some.map((m) => ask("/v1/predict", { smiles: [smiles], model: m.name })));
    const drawn = await drawing;
    if (number !== asked) return;
    trouble("");
    show(smiles, some, found.map((f) => f.rows[0]), drawn);
    if (editor && !quiet && drawn) editor.put(smiles);
  } catch (error) {
    if (number === asked) trouble(error.message, error.status);
  } finally {
    $("answers").removeAttribute("aria-busy");
  }
}

function show(smiles, some, rows, drawn) {
  $("picture").replaceChildren(drawn ? make("img", { src: picture(drawn.svg), alt: `Structure of ${smiles}`, width: 440, height: 230 }) : make("p", { class: "quiet" }, "No picture."));
  const parts = [flags(some, rows, drawn)];
  const targets = [...new Set(some.flatMap((m) => m.targets.map((t) => t.name)))];
  for (const target of targets) {
    const shown = some.map((model, k) => ({ model, k, row: rows[k] })).filter((o) => o.row.answers[`${target}_pred`] != null);
    if (shown.length) parts.push(one(target, shown, some.length > 1));
  }
  if (!some.length) parts.push(make("p", { class: "quiet" }, "Choose a model."));
  $("answers").replaceChildren(...parts);
}

function flags(some, rows, drawn) {
  const box = make("div", { class: "flags" });
  rows.forEach((row, k) => {
    const name = some.length > 1 ? `${some[k].name}: ` : "";
    const inside = row.answers.in_domain;
    if (row.reason) box.append(make("div", { class: "flag warn" }, `${name}${row.reason}`));
    else if (inside === "false" || inside === false) box.append(make("div", { class: "flag warn" }, `${name}unlike the training molecules: nothing there speaks for this answer.`));
    else if (inside === "true" || inside === true) box.append(make("div", { class: "flag" }, `${name}like the training molecules.`));
  });
  if (drawn?.new_atoms?.length) box.append(make("div", { class: "flag warn" }, `${drawn.new_atoms.length} ringed ${drawn.new_atoms.length > 1 ? "atoms have" : "atom has"} surroundings that no training molecule has.`));
  return box;
}

function one(target, shown, several) {
  const numeric = shown.filter((o) => typeof o.row.answers[`${target}_pred`] === "number");
  const probability = shown[0].model.task === "binary";
  const range = numeric.length ? scale(numeric.map((o) => o.row.answers), target, probability) : null;
  const unit = shown[0].model.targets.find((t) => t.name === target)?.unit || "";
  const box = make("div", { class: "target" }, make("h3", {}, target));
  for (const { model, k, row } of shown) {
    const value = row.answers[`${target}_pred`], wide = intervals(row.answers, target), std = row.answers[`${target}_std`];
    const text = typeof value === "number" ? digits(value) : value;
    const note = wide.length ? wide.map((i) => `${i.coverage} %: ${digits(i.low)} to ${digits(i.high)}`).join(" · ") : std != null ? `± ${digits(std)} between the networks` : "no error bar in this model file";
    const left = make("div", {}, make("div", { class: "value" }, text, " ", make("small", {}, probability ? "probability" : unit)), several ? make("div", { class: "by" }, make("span", { class: `dot ${["", "second", "third"][models.indexOf(model) % 3]}` }), model.name) : null);
    const right = make("div", {}, range ? bar(row.answers, target, range, COLOURS[models.indexOf(model) % 3]) : null, make("div", { class: "quiet" }, note));
    box.append(make("div", { class: "one" }, left, right));
  }
  for (const { model } of shown) {
    const name = several ? `Which atoms say so? (${model.name})` : "Which atoms say so?";
    box.append(make("button", { type: "button", class: "plain why", onclick: (event) => why(event.target, model, target, unit) }, name));
  }
  if (numeric.length === 2) {
    const [a, b] = numeric.map((o) => o.row.answers[`${target}_pred`]);
    box.append(make("p", { class: "difference" }, `They differ by ${digits(Math.abs(a - b))}${unit ? ` ${unit}` : ""}.`));
  }
  return box;
}

async function why(button, model, target, unit) {
  const smiles = $("smiles").value.trim(), number = asked;
  button.disabled = true;
  let text;
  try {
    const found = await ask("/v1/explain", { smiles: smiles.slice(0, 300), model: model.name, target, width: 440, height: 230 });
    if (number !== asked) return;
    $("picture").replaceChildren(make("img", { src: picture(found.svg), alt: `Atoms of ${smiles} coloured by what they contribute to ${target}`, width: 440, height: 230 }));
    const said = model.task === "regression" ? unit : "logit", sum = found.prediction - found.baseline;
    const believed = found.fidelity == null ? "too few atoms to say how faithful this is" : `fidelity ${digits(found.fidelity, 2)}, by chance ${digits(found.by_chance, 2)}`;
    text = `Hiding an atom: red ones raise the answer, blue ones lower it. All atoms together ${sum < 0 ? "lower" : "raise"} it by ${digits(Math.abs(sum))}${said ? ` ${said}` : ""} from ${digits(found.baseline)} (${believed}).`;
  } catch (error) {
    text = error.message;
  } finally {
    button.disabled = false;
  }
  for (const old of document.querySelectorAll(".because")) old.remove();
  button.after(make("p", { class: "quiet because", role: "status" }, text));
}

async function toggle(trouble) {
  const open = $("editor").hidden;
  $("editor").hidden = !open;
  $("draw").setAttribute("aria-expanded", String(open));
  $("draw").textContent = open ? "Close the editor" : "Draw a molecule";
  if (!open || editor) return;
  $("draw").disabled = true;
  try {
    const { CanvasEditor, Molecule } = await import("./vendor/openchemlib/openchemlib.js");
    const canvas = new CanvasEditor($("editor"));
    editor = { put(smiles) { try { const m = Molecule.fromSmiles(smiles); if (m.toIsomericSmiles() !== canvas.getMolecule().toIsomericSmiles()) { quiet = true; canvas.setMolecule(m); setTimeout(() => { quiet = false; }, 50); } } catch { /* not every SMILES that RDKit reads */ } } };
    if ($("smiles").value.trim()) editor.put($("smiles").value.trim());
    canvas.setOnChangeListener((event) => {
      if (quiet || event.type !== "molecule") return;
      const smiles = canvas.getMolecule().toIsomericSmiles();
      if (!smiles) return;
      $("smiles").value = smiles;
      quiet = true;
      clearTimeout(timer);
      timer = setTimeout(() => go(trouble).finally(() => { quiet = false; }), 300);
    });
  } catch (error) {
    trouble(`The editor could not be loaded: ${error.message}`);
  } finally {
    $("draw").disabled = false;
  }
}
