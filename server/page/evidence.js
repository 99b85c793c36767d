// A picture with a heatmap over it: two canvases, one on the other, and a frame around what the model saw where that is less than all.

import { h } from "./dom.js";
import { paint, paintDifference, peakInWords, spread, viewOf } from "./heatmap.js";
import { drawInto } from "./picture.js";

const LONGEST = 512; // of the sides of the heatmap, which is smooth

export class Evidence {
  constructor() {
    this.below = h("canvas", { class: "below" });
    this.above = h("canvas", { class: "above" });
    this.frame = h("div", { class: "frame", hidden: true });
    this.layers = h("div", { class: "layers", role: "img" }, this.below, this.above, this.frame);
    this.element = this.layers;
    this.heat = null;
  }

  /** Shows a picture; without a `drawn` one, nothing but the heatmap will be seen. */
  show(picture) {
    const [width, height] = picture.drawn ? [picture.width, picture.height] : [1, 1];
    this.layers.style.aspectRatio = `${width} / ${height}`;
    this.layers.style.setProperty("--ratio", width / height);
    if (picture.drawn) drawInto(this.below, picture);
    this.layers.setAttribute("aria-label", `The picture ${picture.name}`);
    this.clear();
  }

  /** Takes the heatmap away. */
  clear() {
    this.heat = null;
    this.above.width = this.above.width; // clears it
    this.frame.hidden = true;
  }

  /** Lays the evidence for a class over the picture. */
  lay(picture, explanation, bundle, map) {
    this.heat = this.place(picture, explanation, bundle);
    paint(this.above, this.heat, map);
    const words = peakInWords(explanation.grid, picture);
    this.layers.setAttribute("aria-label", `The picture ${picture.name}, and the evidence for ${explanation.label}: ${words}`);
  }

  /** Lays the difference between the evidence of two versions over the picture. */
  layDifference(picture, [first, firstBundle], [second, secondBundle]) {
    const [one, other] = [this.place(picture, first, firstBundle), this.place(picture, second, secondBundle)];
    paintDifference(this.above, one, other);
    const most = one.reduce((largest, value, at) => Math.max(largest, Math.abs(value - other[at])), 0);
    this.layers.setAttribute("aria-label", `Difference of the evidence for ${first.label}, at most ${most.toFixed(2)} of 1`);
    return most;
  }

  place(picture, { grid }, bundle) {
    const factor = LONGEST / Math.max(picture.width, picture.height);
    this.above.width = Math.max(1, Math.round(picture.width * factor));
    this.above.height = Math.max(1, Math.round(picture.height * factor));
    const view = viewOf(grid, bundle);
    this.enframe(view, picture);
    return spread(grid, view, picture, this.above.width, this.above.height);
  }

  enframe(view, picture) {
    const parts = [view.left / picture.width, view.top / picture.height, view.right / picture.width, view.bottom / picture.height];
    const [left, top, right, bottom] = parts.map((part) => Math.min(1, Math.max(0, part)));
    this.frame.hidden = (right - left) * (bottom - top) > 0.995;
    Object.assign(this.frame.style, {
      left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%`,
    });
  }

  /** How much of the heatmap is seen, 0 to 1. */
  set opacity(share) {
    this.above.style.opacity = share;
  }
}
