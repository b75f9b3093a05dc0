// Requests to the service; a token, where one is asked for, is kept for this tab alone.
export class Refused extends Error {
  constructor(status, text, after) { super(text); this.status = status; this.after = after; }
}

export async function ask(path, body, signal) {
  const headers = {};
  const token = sessionStorage.getItem("token");
  if (token) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The service does not answer.");
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const fields = (said.fields || []).map((f) => `${f.field}: ${f.error}`).join("; ");
  throw new Refused(answer.status, fields || said.error || `The service answered ${answer.status}.`, Number(answer.headers.get("retry-after")) || 1);
}

// The same, again when the service is busy.
export async function patiently(path, body, signal) {
  for (let tries = 0; ; tries++) {
    try {
      return await ask(path, body, signal);
    } catch (error) {
      if (error.status !== 429 || tries > 20) throw error;
      await new Promise((done) => setTimeout(done, 1000 * error.after));
    }
  }
}

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const digits = (x, n = 3) => (x === 0 ? "0" : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(2) : Number(x.toPrecision(n + (Math.abs(x) >= 1000 ? 1 : 0))).toString().replace("-", "−"));

export function picture(text) {
  const bytes = new TextEncoder().encode(text);
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return `data:image/svg+xml;base64,${btoa(binary)}`;
}
