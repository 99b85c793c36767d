// Where the time of one answer went, as a bar: each stage on the server, and the way there and back.

import { h, milliseconds } from "./dom.js";

const STAGES = [
  ["decode", "Decode", "reading the picture and bringing it to the model's input"],
  ["queue", "Queue", "waiting for the engine"],
  ["infer", "Infer", "in the engine, with the whole batch"],
  ["render", "Render", "picking classes and placing heatmaps"],
];

/** The bar and its figures for `answer`. */
export function costs({ timings, seconds }) {
  const stages = STAGES.map(([name, title, meaning]) => ({ name, title, meaning, seconds: timings[`${name}_seconds`] }));
  const known = stages.reduce((sum, stage) => sum + stage.seconds, 0);
  stages.push({ name: "rest", title: "Serve", meaning: "receiving and sending on the server", seconds: Math.max(0, timings.total_seconds - known) });
  stages.push({ name: "way", title: "Network", meaning: "browser and network", seconds: Math.max(0, seconds - timings.total_seconds) });
  const all = stages.reduce((sum, stage) => sum + stage.seconds, 0);
  const bar = h("div", { class: "bar", "aria-hidden": "true" },
    stages.map((stage) => h("span", { class: `stage-${stage.name}`, style: { flexGrow: stage.seconds / all } })));
  const figures = h("dl", {}, stages.map((stage) =>
    h("div", { title: stage.meaning }, h("dt", { class: `stage-${stage.name}` }, stage.title), h("dd", {}, milliseconds(stage.seconds)))));
  const batch = timings.batch_images === 1 ? "alone in its batch" : `in a batch of ${timings.batch_images}`;
  return [
    h("h2", { class: "label" }, `${milliseconds(seconds)} from here and back, ${milliseconds(timings.total_seconds)} of it on the server, ${batch}`),
    bar, figures,
  ];
}
