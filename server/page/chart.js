// Small charts over time, as SVG. Each says its last figures in words, and has its numbers in a table beside it.

import { h, svg } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 120;

/**
 * Curves over `times` (Unix seconds): `series` are { name, kind, values }, drawn as lines, or as areas on each other if `stacked`.
 * With `decades` a tenth is as high everywhere (a logarithmic scale), so that what is fast is seen beside what is slow.
 */
export function timeline(title, times, series, { stacked = false, decades = false, write = String, summary }) {
  const tops = stacked ? sums(series, times.length) : series.map(({ values }) => values);
  const found = tops.flat().filter((value) => value !== null && value > 0);
  const scale = decades ? logarithmic(found) : linear(found);
  const x = (at) => (times.length < 2 ? WIDTH : (WIDTH * (times[at] - times[0])) / (times.at(-1) - times[0]));
  const y = (value) => HEIGHT * (1 - scale.height(value));
  const shapes = stacked
    ? series.map(({ kind }, at) => area(tops[at], at ? tops[at - 1] : times.map(() => 0), x, y, kind)).reverse()
    : series.map(({ kind, values }) => line(values, x, y, kind));
  const frame = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  const picture = svg("svg", frame, ...scale.marks.map((value) => rule("grid", y(value))), rule("axis", HEIGHT), ...shapes);
  const marks = scale.marks.map((value) => h("span", { class: "mark", style: { top: `${y(value)}px` } }, write(value)));
  const keys = h("span", { class: "keys" }, series.map(({ name, kind }) => h("span", { class: `key ${kind}` }, name)));
  return h("figure", { class: "chart" },
    h("figcaption", {}, h("strong", {}, title), keys, h("span", { class: "summary" }, summary)),
    h("div", { class: "plot" }, picture, marks),
    h("div", { class: "span soft" }, h("span", {}, clock(times[0])), h("span", {}, clock(times.at(-1)))));
}

/** From 0 to the next of 1, 2, 5, 10, 20, 50 … above all values. */
function linear(values) {
  const most = nice(Math.max(...values, 0));
  return { marks: [most], height: (value) => value / most };
}

/** From the power of ten below all values to the one above; at least two of them. */
function logarithmic(values) {
  const low = Math.floor(Math.log10(Math.min(...values, 1)) + 1e-9);
  const high = Math.max(low + 2, Math.ceil(Math.log10(Math.max(...values, 1e-9)) - 1e-9));
  const marks = Array.from({ length: high - low }, (_, at) => 10 ** (low + 1 + at));
  return { marks, height: (value) => (value > 0 ? Math.max(0, (Math.log10(value) - low) / (high - low)) : 0) };
}

/** Bars by size: `bars` are [name, count]. */
export function bars(title, entries, { summary }) {
  const most = Math.max(...entries.map(([, count]) => count), 1);
  return h("figure", { class: "chart" },
    h("figcaption", {}, h("strong", {}, title), h("span", { class: "summary" }, summary)),
    h("ol", { class: "bars" }, entries.map(([name, count]) => h("li", {},
      h("span", { class: "count" }, String(count)), h("span", { class: "column", style: { height: `${(100 * count) / most}px` } }),
      h("span", { class: "soft" }, name)))));
}

function rule(kind, y) {
  return svg("line", { x1: 0, x2: WIDTH, y1: y, y2: y, class: kind });
}

function sums(series, length) {
  const running = new Array(length).fill(0);
  return series.map(({ values }) => values.map((value, at) => (running[at] += value)));
}

function line(values, x, y, kind) {
  let path = "";
  values.forEach((value, at) => {
    if (value === null) return;
    const isFirst = at === 0 || values[at - 1] === null;
    path += `${isFirst ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    if (isFirst && (at === values.length - 1 || values[at + 1] === null)) path += "h.1"; // alone, it is a dot
  });
  return svg("path", { d: path, class: `line ${kind}` });
}

function area(tops, bottoms, x, y, kind) {
  const there = tops.map((value, at) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
  const back = bottoms.map((value, at) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).reverse();
  return svg("path", { d: there.length ? `M${there.join("L")}L${back.join("L")}Z` : "", class: `area ${kind}` });
}

/** The next of 1, 2, 5, 10, 20, 50 … */
function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= value * (1 - 1e-9));
}

function clock(seconds) {
  return seconds === undefined ? "" : new Date(1000 * seconds).toLocaleTimeString();
}
