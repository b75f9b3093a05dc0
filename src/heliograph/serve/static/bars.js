// One prediction as a bar: intervals, narrow over wide, and the value, on a scale that all models of a target share.
import { digits, svg } from "./api.js";

const WIDTH = 420, EDGE = 14;

export function intervals(answers, target) {
  const found = [];
  for (const name of Object.keys(answers)) {
    const m = name.startsWith(`${target}_lower`) ? name.slice(target.length + 6) : null;
    if (m !== null && (m === "" || /^_[\d.]+$/.test(m)) && answers[name] !== null) {
      found.push({ low: answers[name], high: answers[`${target}_upper${m}`], coverage: m ? Number(m.slice(1)) : 90 });
    }
  }
  return found.sort((a, b) => b.high - b.low - (a.high - a.low));
}

export function scale(rows, target, probability) {
  if (probability) return [0, 1];
  let low = Infinity, high = -Infinity;
  for (const answers of rows) {
    const value = answers[`${target}_pred`], std = answers[`${target}_std`] || 0;
    for (const x of [value - 2 * std, value + 2 * std, ...intervals(answers, target).flatMap((i) => [i.low, i.high])]) {
      low = Math.min(low, x); high = Math.max(high, x);
    }
  }
  const pad = (high - low || Math.abs(high) || 1) * 0.15;
  return [low - pad, high + pad];
}

export function ticks([low, high]) {
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + 1e-9 * step; k++) found.push(k * step);
  return found;
}

export function bar(answers, target, range, colour) {
  const at = (x) => EDGE + ((x - range[0]) / (range[1] - range[0])) * (WIDTH - 2 * EDGE);
  const value = answers[`${target}_pred`], std = answers[`${target}_std`];
  const wide = intervals(answers, target);
  const said = wide.map((i) => `${i.coverage} % between ${digits(i.low)} and ${digits(i.high)}`).join(", ");
  const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} 54`, role: "img", "aria-label": `${digits(value)}${said ? `; ${said}` : std ? `; standard deviation ${digits(std)}` : ""}` });
  drawn.append(svg("line", { x1: EDGE, x2: WIDTH - EDGE, y1: 33, y2: 33, stroke: "#c3ccd9", "stroke-width": 1 }));
  for (const x of ticks(range)) {
    drawn.append(svg("line", { x1: at(x), x2: at(x), y1: 30, y2: 36, stroke: "#98a4b8" }));
    const text = svg("text", { x: at(x), y: 50, "text-anchor": "middle", "font-size": 12, fill: "#55617a" });
    text.textContent = digits(x);
    drawn.append(text);
  }
  wide.forEach((i, k) => drawn.append(svg("rect", { x: at(i.low), width: Math.max(1, at(i.high) - at(i.low)), y: 11, height: 13, rx: 6.5, fill: colour, opacity: 0.22 + 0.2 * k })));
  if (!wide.length && std) drawn.append(svg("rect", { x: at(value - std), width: Math.max(1, at(value + std) - at(value - std)), y: 11, height: 13, rx: 6.5, fill: colour, opacity: 0.25 }));
  drawn.append(svg("circle", { cx: at(value), cy: 17.5, r: 6.5, fill: colour, stroke: "#fff", "stroke-width": 2 }));
  return drawn;
}
