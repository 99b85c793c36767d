// Compare: two versions of a model on the same picture, and where they differ.

import { asking } from "./asking.js";
import { classify } from "./answers.js";
import { choice, h, percent, renew, say, scrolling } from "./dom.js";
import { Evidence } from "./evidence.js";
import { paintScale } from "./heatmap.js";
import { intake } from "./intake.js";
import { open } from "./picture.js";
import { Samples } from "./samples.js";
import { bundleOf, changes, session, versionChoices, versionOf } from "./session.js";

const LEAST = 0.00005; // difference of probabilities that is shown

export class Compare {
  constructor(section) {
    this.sides = ["", ""]; // versions: numbers or labels
    this.target = ""; // the class that is compared; empty for the first one's top class
    this.picture = null;
    this.asks = 0;
    this.who = h("div");
    this.problem = h("p", { class: "problem", role: "alert", hidden: true });
    this.panels = [panel(), panel(), panel()];
    this.table = h("tbody");
    this.heads = h("tr");
    this.samples = new Samples((picture) => this.look(picture));
    this.content = h("div", {},
      h("div", { class: "panels" }, this.panels.map(({ element }) => element)),
      scrolling("Differences", h("table", { class: "differences" }, h("thead", {}, this.heads), this.table)),
      intake((files) => this.take(files)), this.samples.element);
    section.append(this.who, this.problem, this.content);
    changes.addEventListener("models", () => this.isShown && this.begin());
  }

  /** The view is looked at. */
  open() {
    this.isShown = true;
    this.picture = session.entries[session.current]?.picture ?? this.picture;
    this.begin();
  }

  close() {
    this.isShown = false;
  }

  begin() {
    const numbers = versionChoices(session.model).map(([value]) => value).filter((value) => /^\d+$/.test(value));
    const known = (version) => version !== "" && versionOf(session.model, version) !== undefined;
    if (!this.sides.every(known)) this.sides = [numbers.at(-2) ?? numbers[0] ?? "", numbers.at(-1) ?? ""];
    const sides = ["First", "Second"].map((text, at) => choice(text, versionChoices(session.model), this.sides[at], (version) => {
      this.sides[at] = version;
      this.compare();
    }));
    const row = h("div", { class: "row" }, asking(() => this.another(), { withVersion: false }), numbers.length ? sides : []);
    renew(this.who, row);
    this.content.hidden = numbers.length === 0;
    if (numbers.length) this.compare();
  }

  another() {
    this.sides = ["", ""];
    this.target = "";
    if (this.picture?.source) this.picture = null; // a sample of another model
    this.begin();
  }

  async take([file]) {
    if (file) this.look(await open(file, file.name));
  }

  look(picture) {
    this.picture = picture;
    this.target = "";
    this.compare();
  }

  /** Asks both, and shows what they say. */
  async compare() {
    this.asks += 1;
    const mine = this.asks;
    const served = this.sides.map((version) => versionOf(session.model, version));
    try {
      const first = await this.samples.show(session.model, served[0].version);
      this.picture ??= first;
      if (!this.picture || mine !== this.asks) return;
      const found = await this.askBoth(served.map((each) => String(each.version)));
      if (mine === this.asks) this.show(found, served);
      this.complain("");
      await this.samples.fill();
    } catch (error) {
      if (mine === this.asks) this.complain(error.message);
    }
  }

  async askBoth(versions) {
    const request = { model: session.model, method: session.method };
    const one = await classify(this.picture, { ...request, version: versions[0] }, this.target);
    const target = one.explanation.label;
    const [other, ...bundles] = await Promise.all([
      classify(this.picture, { ...request, version: versions[1] }, target), ...versions.map((version) => bundleOf(session.model, version)),
    ]);
    return { target, answers: [one, other], bundles };
  }

  show({ target, answers, bundles }, served) {
    const picture = this.picture;
    this.panels.forEach(({ evidence }) => evidence.show(picture));
    answers.forEach((answer, at) => {
      const [top] = answer.predictions;
      const { evidence, title, note } = this.panels[at];
      title.replaceChildren(h("strong", {}, `Version ${served[at].version}`), ` ${served[at].engine} ${served[at].precision}`);
      note.replaceChildren(h("strong", {}, top.label), ` ${percent(top.probability)}`);
      evidence.lay(picture, answer.explanation, bundles[at], session.map);
      evidence.opacity = session.opacity;
    });
    const [one, other] = answers;
    const difference = this.panels[2];
    const most = difference.evidence.layDifference(picture, [one.explanation, bundles[0]], [other.explanation, bundles[1]]);
    difference.title.replaceChildren(h("strong", {}, "Difference"), ` of the evidence for ${target}`);
    difference.note.replaceChildren(scale(served), ` at most ${most < 0.005 ? "under 0.01" : most.toFixed(2)} of 1`);
    this.differences(one, other, served, target);
    const same = one.predictions[0].label === other.predictions[0].label;
    say(same ? `Both say ${one.predictions[0].label}` : `One says ${one.predictions[0].label}, the other ${other.predictions[0].label}`);
  }

  /** Classes that either of them has in its answer, by the first one's order. */
  differences(one, other, served, target) {
    const by = [one, other].map((answer) => new Map(answer.predictions.map((each) => [each.label, each.probability])));
    const labels = [...new Set([...by[0].keys(), ...by[1].keys()])];
    const rows = labels.map((label) => {
      const [first, second] = by.map((known) => known.get(label) ?? null);
      return this.difference(label, first, second, label === target);
    });
    const head = ["Class", `Version ${served[0].version}`, `Version ${served[1].version}`, "Difference"];
    this.heads.replaceChildren(...head.map((text) => h("th", { scope: "col" }, text)), h("td"));
    renew(this.table, ...rows);
  }

  difference(label, first, second, isShown) {
    const delta = first === null || second === null ? null : second - first;
    const width = `${50 * Math.abs(delta)}%`;
    const bar = h("span", { class: `delta ${delta < 0 ? "less" : "more"}`, style: delta < 0 ? { right: "50%", width } : { left: "50%", width } });
    const shown = (value) => h("td", { class: "figure" }, value === null ? "–" : percent(value));
    const look = h("button", { type: "button", class: "quiet", "aria-pressed": String(isShown), onclick: () => {
      this.target = label;
      this.compare();
    } }, label);
    return h("tr", {}, h("th", { scope: "row" }, look), shown(first), shown(second), h("td", { class: "figure" }, points(delta)),
      h("td", { class: "around", "aria-hidden": "true" }, Math.abs(delta) < LEAST ? null : bar));
  }

  complain(message) {
    this.problem.hidden = !message;
    this.problem.textContent = message;
  }
}

function panel() {
  const evidence = new Evidence();
  const title = h("p", { class: "title" });
  const note = h("p", { class: "note" });
  return { evidence, title, note, element: h("figure", {}, title, evidence.element, note) };
}

/** A difference of probabilities in percentage points. */
function points(delta) {
  if (delta === null) return "–";
  if (Math.abs(delta) < LEAST) return "0";
  return `${delta < 0 ? "−" : "+"}${(100 * Math.abs(delta)).toFixed(Math.abs(delta) < 0.001 ? 2 : 1)} pp`;
}

function scale(served) {
  const canvas = h("canvas", { width: 128, height: 1, class: "scale", "aria-hidden": "true" });
  paintScale(canvas, "difference");
  return h("span", { class: "ramp" }, `more in ${served[1].version}`, canvas, `in ${served[0].version}`);
}
