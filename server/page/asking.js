// The row in which a person says who is asked: model, version, method of explanation.

import { choice, h } from "./dom.js";
import { classifiers, modelChoices, session, versionChoices, versionOf } from "./session.js";

/** The row's content; `onchange` is called after `session` has changed. */
export function asking(onchange, { withVersion = true } = {}) {
  if (classifiers().length === 0) return h("p", {}, "No model that takes pictures is in service. The view Models says why.");
  const served = versionOf(session.model, session.version);
  const methods = served?.explanations ?? [];
  const parts = [choice("Model", modelChoices(), session.model, (name) => {
    session.model = name;
    session.version = session.method = "";
    onchange();
  })];
  if (withVersion) {
    const fallback = versionOf(session.model, "");
    parts.push(choice("Version", [["", `default (${fallback.version})`], ...versionChoices(session.model)], session.version, (version) => {
      session.version = version;
      session.method = "";
      onchange();
    }));
  }
  if (methods.length > 1) {
    parts.push(choice("Evidence by", methods.map((name) => [name, name]), session.method || methods[0], (method) => {
      session.method = method === methods[0] ? "" : method;
      onchange();
    }));
  }
  return h("div", { class: "row" }, parts);
}

/** What is asked of a version now. */
export function asked() {
  return { model: session.model, version: session.version, method: session.method };
}
