// Models: every version there is, what runs it, and how far it is to be trusted.

import { ask, hasToken, json, modelPath } from "./api.js";
import { h, renew, scrolling } from "./dom.js";
import { bundleOf, changes, session } from "./session.js";

const STATES = { loading: "loading", serving: "in service", failing: "failing", refused: "refused", unloaded: "out of service" };

export class Models {
  constructor(section) {
    this.list = h("div");
    this.opened = new Set(); // versions whose details are looked at
    this.section = section;
    section.append(this.list);
    changes.addEventListener("models", () => this.draw());
  }

  open() {
    this.draw();
  }

  close() {}

  draw() {
    const names = [...new Set(session.models.map((each) => each.name))];
    const groups = names.map((name) => h("section", { class: "model" }, h("h2", {}, name),
      session.models.filter((each) => each.name === name).map((each) => this.version(each))));
    renew(this.list, ...(groups.length ? groups : [h("p", {}, "The server has no models.")]));
  }

  version(model) {
    const key = `${model.name}/${model.version}`;
    const runs = model.engine ? `${model.engine} · ${model.precision} · ${model.device}` : "";
    const labels = model.version_labels.map((label) => h("span", { class: "tag" }, label));
    const summary = h("summary", {},
      h("span", { class: "number" }, `Version ${model.version}`),
      h("span", { class: `state ${model.state}` }, STATES[model.state] ?? model.state),
      h("span", { class: "soft runs" }, runs),
      h("span", {}, labels, model.is_default ? h("span", { class: "tag" }, "default") : null));
    const details = h("details", { open: this.opened.has(key), ontoggle: () => this.toggled(details, key, model) }, summary);
    if (model.reason) details.append(h("p", { class: "problem" }, model.reason));
    return details;
  }

  toggled(details, key, model) {
    if (!details.open) {
      this.opened.delete(key);
      return;
    }
    this.opened.add(key);
    if (details.querySelector(".facts") || model.state !== "serving") return;
    details.append(h("div", { class: "facts" }, this.facts(model), model.kind === "tensor" ? null : this.trust(model)));
  }

  /** What is known of a version without its bundle. */
  facts(model) {
    const shape = (sizes) => sizes?.join(" × ");
    const known = [
      ["In service since", new Date(model.loaded_at).toLocaleString()],
      ["Kind", model.kind],
      ["Classes", model.labels && (model.labels.length > 20 ? `${model.labels.length}` : model.labels.join(", "))],
      ["Input", shape(model.input_shape)],
      ["Evidence", model.explanations && `${model.explanations.join(", ")}, ${shape(model.heatmap_shape)}`],
      ...Object.entries(model.provenance).filter(([name]) => !name.startsWith("library.")).map(([name, value]) => [named(name), value]),
      ["Made with", libraries(model.provenance)],
    ];
    return h("dl", {}, known.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  /** What its bundle says of it, and its golden check. */
  trust(model) {
    const place = h("div", { class: "trust" }, h("p", { class: "soft" }, "Reading its bundle…"));
    bundleOf(model.name, model.version)
      .then((bundle) => place.replaceChildren(precisions(bundle), golden(model), checks(bundle), bundle.has_report_page ? report(model) : ""))
      .catch((error) => place.replaceChildren(h("p", { class: "problem" }, error.message)));
    return place;
  }
}

function named(key) {
  const words = key.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

function libraries(provenance) {
  return Object.entries(provenance).filter(([name]) => name.startsWith("library.")).map(([name, value]) => `${name.slice(8)} ${value}`).join(", ");
}

function precisions(bundle) {
  const rows = bundle.precisions.map((form) => {
    const speeds = Object.values(form.images_per_second);
    return h("tr", {},
      h("th", { scope: "row" }, form.name, form.name === bundle.precision ? h("span", { class: "tag" }, "in service") : null),
      h("td", {}, form.engine), h("td", { class: "figure" }, `${(100 * form.top1_agreement).toFixed(2)} %`),
      h("td", { class: "figure" }, small(form.max_probability_difference)), h("td", { class: "figure" }, form.heatmap_correlation.toFixed(4)),
      h("td", { class: "figure" }, speeds.length ? Math.max(...speeds).toFixed(0) : "–"));
  });
  const head = ["Precision", "Engine", "Same class", "Largest Δ probability", "Heatmaps correlate", "Images/s"];
  return h("div", {}, h("h3", {}, `Agreement with the trained model, on ${bundle.precisions[0].samples} pictures`),
    scrolling("Agreement", h("table", {}, h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows))));
}

function golden(model) {
  const outcome = h("p", { role: "status" }, "Passed when it was loaded: a version that does not is refused.");
  const again = h("button", { type: "button", onclick: async () => {
    again.disabled = true;
    try {
      const found = await json(`${modelPath(model.name, model.version)}/golden`);
      outcome.replaceChildren(h("span", { class: found.passed ? "state serving" : "state refused" }, found.passed ? "passed" : "failed"),
        ` just now on ${found.pictures} pictures: probabilities differ by at most ${small(found.probability_difference)}`
        + ` (allowed ${found.probability_tolerance}), heatmaps by ${small(found.heatmap_difference)} (allowed ${found.heatmap_tolerance}).`);
    } catch (error) {
      outcome.replaceChildren(h("span", { class: "problem" }, error.message));
    }
    again.disabled = false;
  } }, "Check now");
  return h("div", {}, h("h3", {}, "Golden check"), h("div", { class: "row" }, again, outcome));
}

function checks(bundle) {
  if (bundle.checks.length === 0) return "";
  const passed = bundle.checks.filter((check) => check.passed).length;
  const rows = bundle.checks.map((check) => h("tr", {}, h("th", { scope: "row" }, check.name), h("td", {}, check.compared),
    h("td", { class: "figure" }, small(check.measured)), h("td", {}, `${check.rule} ${check.limit}`),
    h("td", {}, check.passed ? "passed" : "failed")));
  const head = ["Check", "Compared", "Measured", "Allowed", ""];
  return h("details", { class: "checks" }, h("summary", {}, `${passed} of ${bundle.checks.length} checks of its export passed`),
    scrolling("Checks", h("table", {},
      h("thead", {}, h("tr", {}, head.map((text) => text ? h("th", { scope: "col" }, text) : h("td", {})))), h("tbody", {}, rows))));
}

/** A link; where a token is needed, which a link cannot send, the report comes as a file to save. */
function report(model) {
  const path = `${modelPath(model.name, model.version)}/report`;
  if (!hasToken()) return h("p", {}, h("a", { href: path, target: "_blank", rel: "noopener" }, "Its report, with pictures"));
  const save = async () => {
    const url = URL.createObjectURL(await (await ask(path, { headers: { accept: "text/html" } })).blob());
    h("a", { href: url, download: `${model.name}-${model.version}-report.html` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  const problem = h("span", { class: "problem", role: "alert" });
  const tell = (error) => (problem.textContent = error.message);
  return h("p", {}, h("button", { type: "button", onclick: () => save().catch(tell) }, "Save its report"), " ", problem);
}

function small(value) {
  if (value === null) return "not a number";
  if (value === 0 || Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 0.001 ? value.toFixed(4) : value.toExponential(1);
}
