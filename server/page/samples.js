// The pictures that a bundle keeps, to try it with: buttons with a picture on each.

import { ask, json, modelPath } from "./api.js";
import { h } from "./dom.js";
import { open } from "./picture.js";

const AT_ONCE = 22;

export class Samples {
  /** `onchoose` is called with the picture of a sample. */
  constructor(onchoose) {
    this.onchoose = onchoose;
    this.heading = h("h2", { class: "label" });
    this.list = h("ul", { class: "thumbs" });
    this.more = h("button", { type: "button", class: "quiet", onclick: () => this.showMore() }, "More");
    this.element = h("div", { class: "samples", hidden: true }, this.heading, this.list, this.more);
    this.path = "";
  }

  /** Shows those of a version; promises the first, or null when they are shown already or there are none. */
  async show(model, number) {
    const path = `${modelPath(model, number)}/samples`;
    if (path === this.path) return null;
    this.path = path;
    this.waiting = [];
    this.list.replaceChildren();
    const { source, samples } = await json(path);
    if (path !== this.path) return null;
    this.waiting = mixed(samples);
    this.element.hidden = samples.length === 0;
    this.heading.textContent =
      source === "held-out" ? `${samples.length} pictures held out from its training` : `The ${samples.length} pictures of its golden check`;
    return samples.length ? fetchSample(path, this.waiting[0]) : null;
  }

  /** Shows some of them, unless some are shown: later than the first answer, which should not wait for them. */
  fill() {
    return this.list.children.length ? null : this.showMore();
  }

  async showMore() {
    const next = this.waiting.splice(0, AT_ONCE);
    this.more.hidden = this.waiting.length === 0;
    const path = this.path;
    try {
      const pictures = await Promise.all(next.map((sample) => fetchSample(path, sample)));
      if (path === this.path) this.list.append(...pictures.map((picture) => this.item(picture)));
    } catch {
      // The server is away, which is said elsewhere: the button brings them another time.
      if (path === this.path) this.waiting.unshift(...next);
      this.more.hidden = this.waiting.length === 0;
    }
  }

  item(picture) {
    const name = picture.truth ?? picture.name;
    const image = h("img", { src: URL.createObjectURL(picture.blob), alt: "", class: Math.max(picture.width, picture.height) < 200 ? "pixels" : "" });
    return h("li", {}, h("button", { type: "button", title: name, "aria-label": `Sample: ${name}`, onclick: () => this.onchoose(picture) }, image));
  }
}

async function fetchSample(path, { index, label }) {
  const source = `${path}/${index}`;
  const response = await ask(source, { headers: { accept: "image/png" } });
  return open(await response.blob(), `sample-${index}.png`, { truth: label, source });
}

/** First one of each class, then a second one of each, and so on. */
function mixed(samples) {
  const seen = new Map();
  const rounds = samples.map((sample) => {
    const round = sample.label === null ? 0 : (seen.get(sample.label) ?? 0);
    seen.set(sample.label, round + 1);
    return [round, sample];
  });
  return rounds.sort(([one], [other]) => one - other).map(([, sample]) => sample);
}
