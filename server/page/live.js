// Live: what the server has done in the last minutes, by its own metrics.

import { json } from "./api.js";
import { bars, timeline } from "./chart.js";
import { choice, h, milliseconds, renew, scrolling } from "./dom.js";
import { session } from "./session.js";

const EVERY_MS = 5000; // as often as the server notes
const STAGES = { total: "Total, from arrival to answer", decode: "Decode", queue: "Queue", infer: "Infer", render: "Render" };
const NUMBERS = ["Until", "Answered", "Shed", "Errors", "Refused", "p50", "p99"];
const FULL = ["RESOURCE_EXHAUSTED"];
const CALLERS = ["INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED", "CANCELLED", "FAILED_PRECONDITION", "OUT_OF_RANGE"];

export class Live {
  constructor(section) {
    this.minutes = "5";
    this.model = "";
    this.asks = 0;
    this.controls = h("div");
    this.figures = h("dl", { class: "figures" });
    this.charts = h("div", { class: "charts" });
    this.problem = h("p", { class: "problem", role: "alert", hidden: true });
    this.numbers = h("tbody");
    const heads = NUMBERS.map((text) => h("th", { scope: "col" }, text));
    const table = h("table", {}, h("thead", {}, h("tr", {}, heads)), this.numbers);
    const asNumbers = h("details", { class: "numbers" }, h("summary", {}, "As numbers"), scrolling("As numbers", table));
    section.append(this.controls, this.problem, this.figures, this.charts, asNumbers);
  }

  open() {
    this.draw();
    this.timer = setInterval(() => document.hidden || this.draw(), EVERY_MS);
  }

  close() {
    clearInterval(this.timer);
  }

  control() {
    const models = session.models.map((each) => `${each.name}/${each.version}`);
    const key = models.join();
    if (this.drawnFor === key) return;
    this.drawnFor = key;
    renew(this.controls, h("div", { class: "row" },
      choice("Last", [["1", "minute"], ["5", "5 minutes"], ["15", "15 minutes"]], this.minutes, (minutes) => {
        this.minutes = minutes;
        this.draw();
      }),
      choice("Of", [["", "all models"], ...models.map((each) => [each, each])], this.model, (model) => {
        this.model = model;
        this.draw();
      })));
  }

  async draw() {
    this.control();
    this.asks += 1;
    const mine = this.asks;
    const [model, version] = this.model === "" ? ["", ""] : this.model.split("/");
    try {
      const history = await json(`v1/history?${new URLSearchParams({ minutes: this.minutes, model, version })}`);
      if (mine !== this.asks) return; // something else is wanted by now
      this.show(history);
      this.problem.hidden = true;
    } catch (error) {
      this.problem.hidden = false;
      this.problem.textContent = error.message;
    }
  }

  show(history) {
    const calls = byKind(history.calls, history.times.length);
    const all = total(Object.values(calls).flat());
    const seconds = total(history.seconds);
    const { p50_of_all: p50, p99_of_all: p99 } = history.stages.total;
    const figures = [
      ["Calls", all.toLocaleString()], ["A second", seconds ? (all / seconds).toFixed(1) : "–"],
      ["p50", milliseconds(p50)], ["p99", milliseconds(p99)],
      ["Shed", total(calls.shed).toLocaleString(), "calls that were refused because the server was full"],
      ["Errors", total(calls.errors).toLocaleString(), "calls that failed by the server's fault, or too late"],
      ["Refused", total(calls.refused).toLocaleString(), "calls that were wrong, or that their callers gave up"],
      ["In work", String(history.inflight.at(-1) ?? 0)],
    ];
    this.figures.replaceChildren(...figures.map(([name, value, title]) => h("div", { title }, h("dt", {}, name), h("dd", {}, value))));
    const stages = Object.entries(STAGES).map(([stage, title]) => latency(history, stage, title));
    this.charts.replaceChildren(requests(history, calls, all), batches(history), work(history), ...stages);
    this.numbers.replaceChildren(...numbers(history, calls));
  }
}

/** Calls of each point: answered, shed, errors, refused. */
function byKind(codes, length) {
  const kinds = { answered: [], shed: [], errors: [], refused: [] };
  for (const kind of Object.keys(kinds)) kinds[kind] = new Array(length).fill(0);
  for (const [code, counts] of Object.entries(codes)) {
    const kind = code === "OK" ? "answered" : FULL.includes(code) ? "shed" : CALLERS.includes(code) ? "refused" : "errors";
    counts.forEach((count, at) => (kinds[kind][at] += count));
  }
  return kinds;
}

function requests({ times, seconds }, calls, all) {
  const rate = (counts) => counts.map((count, at) => count / seconds[at]);
  const series = Object.entries(calls).map(([name, counts]) => ({ name, kind: name, values: rate(counts) }));
  return timeline("Calls a second", times, series, { stacked: true, write: (value) => `${value}/s`, summary: `${all.toLocaleString()} calls` });
}

function latency({ times, stages }, stage, title) {
  const { p50, p99, p50_of_all: middle, p99_of_all: slow } = stages[stage];
  const series = [{ name: "p99", kind: "p99", values: p99 }, { name: "p50", kind: "p50", values: p50 }];
  return timeline(title, times, series, { decades: true, write: duration, summary: `p50 ${milliseconds(middle)}, p99 ${milliseconds(slow)}` });
}

/** A mark of the scale: 0.1 ms, 10 ms, 1 s. */
function duration(seconds) {
  return seconds >= 1 ? `${seconds.toFixed()} s` : `${Number((1000 * seconds).toPrecision(1))} ms`;
}

function work({ times, inflight }) {
  const most = Math.max(...inflight, 0);
  const series = [{ name: "at the moment of the note", kind: "p50", values: inflight }];
  return timeline("Images in work, of all models", times, series, { summary: `${most} at most` });
}

function batches({ batches: { most_images: most, runs } }) {
  const names = most.map((images, at) => {
    if (images === null) return `> ${most[at - 1]}`;
    return at && images - most[at - 1] > 1 ? `${most[at - 1] + 1}–${images}` : String(images);
  });
  const last = Math.max(runs.findLastIndex((count) => count > 0), 3);
  const sizes = names.slice(0, last + 1).map((name, at) => [name, runs[at]]);
  return bars("Images in one run of the engine", sizes, { summary: `${total(runs).toLocaleString()} runs` });
}

/** The same as a table, for who cannot see curves and for who wants to copy them. */
function numbers({ times, stages }, calls) {
  const kinds = Object.keys(calls);
  return times.map((time, at) => h("tr", {}, h("th", { scope: "row" }, new Date(1000 * time).toLocaleTimeString()),
    kinds.map((kind) => h("td", { class: "figure" }, String(calls[kind][at]))),
    [stages.total.p50[at], stages.total.p99[at]].map((value) => h("td", { class: "figure" }, milliseconds(value))))).reverse();
}

function total(values) {
  return values.reduce((sum, value) => sum + value, 0);
}
