// Classify: a picture, what the model says of it, and why.

import { asked, asking } from "./asking.js";
import { Entry } from "./answers.js";
import { costs } from "./costs.js";
import { choice, h, percent, renew, say } from "./dom.js";
import { Evidence } from "./evidence.js";
import { MAPS, paintScale } from "./heatmap.js";
import { intake } from "./intake.js";
import { open } from "./picture.js";
import { Samples } from "./samples.js";
import { bundleOf, changes, session, versionOf } from "./session.js";
import { Sheet } from "./sheet.js";
import { Snippets } from "./snippets.js";

const AT_ONCE = 4; // requests of a contact sheet

export class Classify {
  constructor(section) {
    this.who = h("div");
    this.evidence = new Evidence();
    this.sheet = new Sheet((at) => this.select(at));
    this.samples = new Samples((picture) => this.ask([picture]));
    this.snippets = new Snippets();
    this.problem = h("p", { class: "problem", role: "alert", hidden: true });
    this.result = h("div", { class: "result" });
    this.costs = h("div", { class: "costs" });
    this.stage = h("figure", { class: "stage" }, this.evidence.element, h("p", { class: "empty" }, "Drop a picture here"));
    this.legend = legend((map) => this.recolour(map), (share) => (this.evidence.opacity = share));
    section.append(
      this.who,
      h("div", { class: "columns" },
        h("div", { class: "see" }, this.stage, this.legend, intake((files) => this.take(files))),
        h("div", { class: "answer" }, this.problem, this.result, this.costs, this.snippets.element),
        h("div", { class: "more" }, this.sheet.element, this.samples.element)),
    );
    this.evidence.opacity = session.opacity;
    this.snippets.element.hidden = true;
    changes.addEventListener("models", () => this.models());
  }

  /** What is in service is not what it was. */
  models() {
    renew(this.who, asking(() => this.again()));
    const served = versionOf(session.model, session.version);
    const now = served ? `${served.name}/${served.version}@${served.loaded_at}` : "";
    if (now !== this.servedAs) this.again();
  }

  /** Another version is asked, or the same one anew. */
  async again() {
    renew(this.who, asking(() => this.again()));
    const served = versionOf(session.model, session.version);
    this.servedAs = served ? `${served.name}/${served.version}@${served.loaded_at}` : "";
    if (!served) return;
    bundleOf(served.name, served.version); // needed for the first evidence, and here by then
    const { entries } = session;
    const answering = entries.length ? this.answerAll(entries) : null;
    try {
      const first = await this.samples.show(served.name, served.version);
      // The first one is shown where there is nothing yet, or a sample of another model; what a person gives goes before.
      if (first && session.entries === entries && entries.every(({ picture }) => this.isForeign(picture))) await this.ask([first]);
      await this.samples.fill();
    } catch (error) {
      this.complain(error.message);
    }
    await answering;
  }

  isForeign({ source }) {
    return source !== null && !source.startsWith(`${this.samples.path}/`);
  }

  /** Files from a person. */
  async take(files) {
    if (files.length) await this.ask(await Promise.all(files.map((file) => open(file, file.name))));
  }

  /** Asks about pictures; several become a contact sheet. */
  async ask(pictures) {
    session.entries = pictures.map((picture) => new Entry(picture));
    session.current = 0;
    await this.answerAll(session.entries);
  }

  async answerAll(entries) {
    entries.forEach((entry) => entry.forget());
    this.sheet.show(entries);
    this.show();
    if (!session.model) return; // it is asked when it is known
    const waiting = [...entries.entries()];
    const work = async () => {
      for (let next = waiting.shift(); next && session.entries === entries; next = waiting.shift()) {
        const [at, entry] = next;
        await entry.classify(asked());
        await this.sheet.answered(at);
        if (at === session.current && session.entries === entries) await this.show(true);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (entries.length > 1) say(`${entries.filter((entry) => entry.answer).length} of ${entries.length} pictures answered`);
  }

  /** The server is there again: what got no answer is asked again. */
  retry() {
    if (session.entries.some((entry) => entry.isLost)) this.answerAll(session.entries);
    else if (session.entries.length === 0) this.again();
  }

  select(at) {
    session.current = at;
    this.show();
  }

  async look(label) {
    const entry = session.entries[session.current];
    await entry.look(label, asked());
    if (entry === session.entries[session.current]) this.show(true);
  }

  /** Shows the current picture and all that is known of it. */
  async show(aloud = false) {
    const entry = session.entries[session.current];
    this.stage.classList.toggle("has-picture", Boolean(entry));
    if (!entry) return;
    if (this.shown !== entry) this.evidence.show(entry.picture);
    this.shown = entry;
    this.complain(entry.error);
    const known = entry.answer !== null;
    this.snippets.element.hidden = this.costs.hidden = this.legend.hidden = !known;
    if (!known) {
      this.evidence.clear();
      this.result.replaceChildren(...(entry.error ? [] : [h("p", { class: "soft" }, "Asking…")]));
      return;
    }
    renew(this.result, ...this.ranking(entry));
    this.costs.replaceChildren(...costs(entry.answer));
    this.snippets.show(this.request(entry));
    const explanation = entry.evidence.get(entry.label);
    const bundle = await bundleOf(session.model, entry.answer.version).catch(() => null);
    if (this.shown === entry && entry.evidence.get(entry.label) === explanation && explanation) {
      this.evidence.lay(entry.picture, explanation, bundle, session.map);
      this.legend.querySelector("strong").textContent = entry.label;
      if (aloud) say(`${entry.label}: ${percent(explanation.probability)}. ${this.evidence.element.getAttribute("aria-label")}`);
    }
  }

  ranking({ answer, label, evidence, picture }) {
    const [top] = answer.predictions;
    const rows = answer.predictions.map((each) => this.row(each, label, picture.truth));
    const explained = evidence.get(label);
    const isAmong = answer.predictions.some((each) => each.label === label);
    if (explained && !isAmong) rows.push(this.row(explained, label, picture.truth));
    const head = h("p", { class: "verdict" }, h("strong", {}, top.label), " ", h("span", {}, percent(top.probability)));
    const truth = picture.truth === null ? null
      : h("p", { class: picture.truth === top.label ? "truth right" : "truth wrong" },
        picture.truth === top.label ? `Right: it is a picture of “${picture.truth}”.` : `Wrong: it is a picture of “${picture.truth}”.`);
    const heading = h("h2", { class: "label" }, "Click a class for its evidence");
    return [head, truth, heading, h("ol", { class: "classes" }, rows), this.others(answer)].filter(Boolean);
  }

  row({ label, probability }, shown, truth) {
    return h("li", {}, h("button", { type: "button", "aria-pressed": String(label === shown), onclick: () => this.look(label) },
      h("span", { class: "name" }, label, label === truth ? h("span", { class: "tag" }, "true") : null),
      h("span", { class: "figure" }, percent(probability)),
      h("span", { class: "measure", "aria-hidden": "true" }, h("span", { style: { width: `${100 * probability}%` } }))));
  }

  /** A model of a thousand classes can be asked about any of them. */
  others(answer) {
    const labels = versionOf(session.model, session.version)?.labels ?? [];
    if (labels.length <= answer.predictions.length) return null;
    const look = () => labels.includes(input.value) && this.look(input.value);
    const input = h("input", { type: "text", list: "labels", size: 24, autocomplete: "off", onchange: look });
    return h("label", { class: "choice" }, h("span", {}, `Evidence for any of ${labels.length} classes`), input,
      h("datalist", { id: "labels" }, labels.map((label) => h("option", { value: label }))));
  }

  request({ picture, chosen }) {
    const grpc = `${location.hostname}:${session.server.grpc_port}`;
    return { ...asked(), target: chosen, name: picture.name, source: picture.source, grpc };
  }

  recolour(map) {
    session.map = map;
    this.show();
    this.sheet.recolour();
  }

  complain(message) {
    this.problem.hidden = !message;
    this.problem.textContent = message;
  }
}

/** Which evidence is seen, in which colours, how strongly. */
function legend(recolour, fade) {
  const scale = h("canvas", { width: 128, height: 1, class: "scale", "aria-hidden": "true" });
  const slider = h("input", { type: "range", min: 0, max: 100, value: 100 * session.opacity, oninput: () => {
    session.opacity = slider.value / 100;
    fade(session.opacity);
  } });
  paintScale(scale, session.map);
  return h("figcaption", { class: "legend", hidden: true },
    h("span", { class: "whose" }, "Evidence for ", h("strong")),
    h("span", { class: "ramp" }, "none", scale, "most"),
    h("label", { class: "choice" }, h("span", {}, "Strength"), slider),
    choice("Colours", MAPS.map((map) => [map, map]), session.map, (map) => {
      paintScale(scale, map);
      recolour(map);
    }));
}
