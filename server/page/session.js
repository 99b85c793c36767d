// What the views have in common: the models, which one is asked, and the pictures. Nothing of it outlives the page.

import { json, modelPath } from "./api.js";

export const session = {
  models: [], // as /v1/models tells, every version of every model
  server: null, // as /v1/server tells
  model: "",
  version: "", // a number or a label; empty for the default
  method: "", // empty for the model's first
  map: "viridis",
  opacity: 0.75,
  entries: [], // pictures with what is known of them: see answers.js
  current: 0, // which of them is looked at
};

/** Tells `models` when what the server has is not what it was. */
export const changes = new EventTarget();

const bundles = new Map();
let told = "";

/** Versions in service that take pictures. */
export function classifiers() {
  return session.models.filter((each) => each.state === "serving" && each.kind !== "tensor");
}

/** The version in service that a choice means; undefined when there is none. */
export function versionOf(model, version) {
  const all = classifiers().filter((each) => each.name === model);
  if (version === "") return all.find((each) => each.is_default) ?? all.at(-1);
  return all.find((each) => String(each.version) === version || each.version_labels.includes(version));
}

/** Asks which models there are. */
export async function loadModels() {
  // At the beginning both at once; later the server only with other models, for then it may have started anew, with another port.
  const [{ models }, server] = await Promise.all([json("v1/models"), session.server ?? json("v1/server")]);
  const now = JSON.stringify(models);
  if (now === told) return;
  session.server = session.server ? await json("v1/server") : server;
  told = now;
  session.models = models;
  bundles.clear();
  if (!versionOf(session.model, session.version)) {
    session.version = session.method = "";
    if (!versionOf(session.model, "")) session.model = classifiers()[0]?.name ?? "";
  }
  changes.dispatchEvent(new Event("models"));
}

/** Choices for a select of models. */
export function modelChoices() {
  return [...new Set(classifiers().map((each) => each.name))].map((name) => [name, name]);
}

/** Choices for a select of the versions of a model: numbers, and labels with the number that they mean. */
export function versionChoices(model) {
  const all = classifiers().filter((each) => each.name === model);
  const labels = all.flatMap((each) => each.version_labels.map((label) => [label, `${label} (${each.version})`]));
  return [...labels, ...all.map((each) => [String(each.version), String(each.version)])];
}

/** What the bundle of a version says of itself; asked once. */
export function bundleOf(model, number) {
  const path = `${modelPath(model, number)}/bundle`;
  if (!bundles.has(path)) {
    const asked = json(path);
    asked.catch(() => bundles.delete(path));
    bundles.set(path, asked);
  }
  return bundles.get(path);
}
