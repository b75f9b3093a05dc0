// The page: tabs, models, and what every view shares.
import { ask, make } from "./api.js";
import * as batch from "./batch.js";
import * as playground from "./playground.js";
import * as predict from "./predict.js";

const $ = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll('[role="tab"]')];

function select(tab, focus) {
  for (const one of tabs) {
    const on = one === tab;
    one.setAttribute("aria-selected", String(on));
    one.tabIndex = on ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = !on;
  }
  if (focus) tab.focus();
  if (tab.id === "tab-playground") playground.open(trouble);
}

tabs.forEach((tab, k) => {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) select(tabs[(k + by + tabs.length) % tabs.length], true);
  });
});

function trouble(text, status) {
  if (status === 401) { $("token-form").hidden = false; $("token").focus(); return; }
  $("trouble").hidden = !text;
  $("trouble").textContent = text || "";
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value.trim());
  $("token-form").hidden = true;
  begin();
});

function card(m) {
  const facts = [["Architecture", m.architecture], ["Predicts", m.targets.map((t) => t.name + (t.unit ? ` (${t.unit})` : "")).join(", ")], ["Task", m.task], ["Networks", m.members], ["Columns", m.columns.join(", ")], ["File", `${m.sha256.slice(0, 16)}…`], ["Loaded", m.loaded], ...Object.entries(m.training).map(([k, v]) => [k.replaceAll("_", " "), v])];
  return make("div", { class: "card" }, make("h2", {}, m.name), make("dl", {}, ...facts.flatMap(([k, v]) => [make("dt", {}, k), make("dd", {}, String(v))])));
}

async function begin() {
  try {
    const models = await ask("/v1/models");
    $("cards").replaceChildren(...models.map(card));
    predict.setUp(models, trouble);
    batch.setUp(models, trouble);
    trouble("");
  } catch (error) {
    trouble(error.message, error.status);
  }
}

const wanted = location.hash.match(/^#\/(predict|batch|playground|models)$/);
if (wanted) select($(`tab-${wanted[1]}`));
begin();
