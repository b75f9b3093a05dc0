// A table: read here, predicted in pieces, shown, and given back as CSV.
import { digits, make, patiently } from "./api.js";

const PIECE = 200, SHOWN = 200;
const $ = (id) => document.getElementById(id);
let result = "", stopping = null;

export function read(text) {
  const rows = [[]];
  let cell = "", quoted = false, begun = false;
  const comma = (text.split("\n", 1)[0].match(/\t/g) || []).length > (text.split("\n", 1)[0].match(/,/g) || []).length ? "\t" : ",";
  for (let k = 0; k < text.length; k++) {
    const c = text[k];
    if (quoted) {
      if (c === '"' && text[k + 1] === '"') { cell += '"'; k++; } else if (c === '"') quoted = false; else cell += c;
    } else if (c === '"' && !begun) { quoted = true; begun = true; }
    else if (c === comma) { rows.at(-1).push(cell); cell = ""; begun = false; }
    else if (c === "\n") { rows.at(-1).push(cell.replace(/\r$/, "")); rows.push([]); cell = ""; begun = false; }
    else { cell += c; begun = true; }
  }
  rows.at(-1).push(cell.replace(/\r$/, ""));
  return rows.filter((row) => row.some((one) => one.trim()));
}

export function table(text) {
  const rows = read(text.replace(/^\ufeff/, ""));
  const header = rows[0]?.map((name) => name.trim().toLowerCase()) ?? [];
  const at = header.findIndex((name) => ["smiles", "smile", "structure", "canonical_smiles"].includes(name));
  if (at >= 0) return { columns: rows[0], rows: rows.slice(1), smiles: rows.slice(1).map((row) => (row[at] ?? "").trim()) };
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
  const cells = lines.map((line) => { const [, smiles, name] = line.match(/^(\S+)\s*(.*)$/); return name ? [smiles, name] : [smiles]; });
  const named = cells.some((row) => row.length > 1);
  return { columns: named ? ["smiles", "name"] : ["smiles"], rows: cells.map((row) => (named && row.length < 2 ? [row[0], ""] : row)), smiles: cells.map((row) => row[0]) };
}

const quote = (cell) => (/[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
export const csv = (rows) => rows.map((row) => row.map((cell) => quote(cell == null ? "" : String(cell))).join(",")).join("\n") + "\n";

export function setUp(models, trouble) {
  $("batch-model").replaceChildren(...models.map((m) => make("option", { value: m.name }, m.name)));
  $("file").addEventListener("change", () => take($("file").files[0]));
  const drop = $("drop");
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); take(event.dataTransfer.files[0]); });
  $("run").addEventListener("click", () => run(models, trouble));
  $("stop").addEventListener("click", () => stopping?.abort());
  $("save").addEventListener("click", () => {
    const link = make("a", { href: URL.createObjectURL(new Blob([result], { type: "text/csv" })), download: "predictions.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  async function take(file) {
    if (!file) return;
    $("lines").value = await file.text();
    run(models, trouble);
  }
}

async function run(models, trouble) {
  const { columns, rows, smiles } = table($("lines").value);
  if (!smiles.length) return trouble("There is no molecule in it.");
  const model = models.find((m) => m.name === $("batch-model").value);
  const answers = [], started = performance.now();
  stopping = new AbortController();
  trouble("");
  $("progress").hidden = false; $("stop").hidden = false; $("run").disabled = true; $("save").disabled = true;
  try {
    for (let k = 0; k < smiles.length; k += PIECE) {
      const piece = smiles.slice(k, k + PIECE);
      answers.push(...(await patiently("/v1/predict", { smiles: piece, model: model.name }, stopping.signal)).rows);
      const rate = answers.length / ((performance.now() - started) / 1000), left = (smiles.length - answers.length) / rate;
      $("gauge").value = answers.length / smiles.length;
      $("said").textContent = `${answers.length.toLocaleString("en")} of ${smiles.length.toLocaleString("en")}, ${Math.round(rate).toLocaleString("en")} a second${left >= 1 ? `, ${Math.ceil(left)} s left` : ""}`;
    }
  } catch (error) {
    if (error.name !== "AbortError") trouble(error.message, error.status);
  }
  $("stop").hidden = true; $("run").disabled = false;
  if (answers.length) finish(columns, rows, answers, model);
}

function finish(columns, rows, answers, model) {
  const names = model.columns;
  result = csv([[...columns, ...names, "reason"], ...answers.map((a, k) => [...columns.map((_, c) => rows[k][c]), ...names.map((n) => a.answers[n]), a.reason])]);
  $("save").disabled = false;
  const bad = answers.filter((a) => !Object.keys(a.answers).length).length;
  $("said").textContent += bad ? ` · ${bad} could not be used` : "";
  const numeric = (name) => answers.some((a) => typeof a.answers[name] === "number");
  const show = (value) => (value == null ? "" : typeof value === "number" ? digits(value, 4) : value);
  const head = make("tr", {}, ...columns.map((c) => make("th", { scope: "col" }, c)), ...names.map((n) => make("th", { scope: "col", class: numeric(n) ? "n" : "" }, n)), make("th", { scope: "col" }, "reason"));
  const body = answers.slice(0, SHOWN).map((a, k) => make("tr", {}, ...columns.map((_, c) => make("td", { title: rows[k][c] ?? "" }, rows[k][c] ?? "")), ...names.map((n) => make("td", { class: numeric(n) ? "n" : "" }, show(a.answers[n]))), make("td", { class: "bad" }, a.reason)));
  $("table").replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
  $("table-card").hidden = false;
}
