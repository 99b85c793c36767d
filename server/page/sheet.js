// The contact sheet: several pictures at once, each with its answer and the evidence for it.

import { h, percent } from "./dom.js";
import { Evidence } from "./evidence.js";
import { bundleOf, session } from "./session.js";

export class Sheet {
  /** `onselect` is called with the place of the picture that a person wants to look at. */
  constructor(onselect) {
    this.onselect = onselect;
    this.list = h("ol", { class: "sheet" });
    this.element = h("div", { hidden: true }, h("h2", { class: "label" }, "Your pictures"), this.list);
    this.cells = [];
  }

  /** Shows pictures that have no answers yet; a lone one needs no sheet. */
  show(entries) {
    this.entries = entries;
    this.element.hidden = entries.length < 2;
    this.cells = entries.length < 2 ? [] : entries.map((entry, at) => this.cell(entry, at));
    this.list.replaceChildren(...this.cells.map(({ item }) => item));
    this.mark();
  }

  cell(entry, at) {
    const evidence = new Evidence();
    if (entry.picture.drawn) evidence.show(entry.picture);
    evidence.opacity = session.opacity;
    evidence.element.removeAttribute("role"); // the button says it all
    evidence.element.removeAttribute("aria-label");
    evidence.element.setAttribute("aria-hidden", "true");
    const caption = h("span", { class: "caption" }, "…");
    const button = h("button", { type: "button", title: entry.picture.name, onclick: () => {
      this.onselect(at);
      this.mark();
    } }, evidence.element, caption);
    return { item: h("li", {}, button), button, evidence, caption };
  }

  mark() {
    this.cells.forEach(({ button }, at) => button.setAttribute("aria-pressed", String(at === session.current)));
  }

  /** A picture has its answer. */
  async answered(at) {
    const cell = this.cells[at];
    const entry = this.entries[at];
    if (!cell) return;
    cell.button.classList.toggle("failed", !entry.answer);
    if (!entry.answer) {
      cell.caption.replaceChildren(h("span", {}, "no answer"));
      cell.button.title = `${entry.picture.name}: ${entry.error}`;
      return;
    }
    const [top] = entry.answer.predictions;
    cell.caption.replaceChildren(h("span", {}, top.label), h("span", { class: "figure" }, percent(top.probability)));
    const explanation = entry.evidence.get(top.label);
    const bundle = await bundleOf(session.model, entry.answer.version).catch(() => null);
    if (entry.picture.drawn && explanation) {
      cell.evidence.lay(entry.picture, explanation, bundle, session.map);
      cell.evidence.element.removeAttribute("aria-label");
    }
  }

  /** Draws all heatmaps anew. */
  recolour() {
    this.cells.forEach((_, at) => this.answered(at));
  }
}
