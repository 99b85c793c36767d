// The request that was just made, for other programs: lines to copy that work as they are.

import { classifyPath, hasToken } from "./api.js";
import { TOP } from "./answers.js";
import { h, say } from "./dom.js";

const MAKERS = { curl, Python: python, grpcurl };

export class Snippets {
  constructor() {
    this.chosen = "curl";
    this.code = h("code");
    this.pre = h("pre", { tabIndex: 0, "aria-label": "The request" }, this.code);
    this.copied = h("button", { type: "button", class: "quiet", onclick: () => this.copy() }, "Copy");
    this.tabs = h("div", { class: "tabs", role: "group", "aria-label": "Program" }, Object.keys(MAKERS).map((name) =>
      h("button", { type: "button", class: "quiet", "aria-pressed": String(name === this.chosen), onclick: () => this.choose(name) }, name)));
    const row = h("div", { class: "row" }, this.tabs, this.copied);
    this.element = h("div", { class: "snippets" }, h("h2", { class: "label" }, "The same request"), row, this.pre);
  }

  /** `request` is { model, version, method, target, name, source, grpc }: see the makers. */
  show(request) {
    this.request = request;
    this.code.textContent = MAKERS[this.chosen](request);
  }

  choose(name) {
    this.chosen = name;
    for (const tab of this.tabs.children) tab.setAttribute("aria-pressed", String(tab.textContent === name));
    this.show(this.request);
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.code.textContent);
      this.copied.textContent = "Copied";
    } catch {
      // Only pages from this machine or by HTTPS may write to the clipboard.
      getSelection().selectAllChildren(this.code);
      this.copied.textContent = "Selected: copy it";
    }
    say(this.copied.textContent);
    setTimeout(() => (this.copied.textContent = "Copy"), 2000);
  }
}

/** A word for a POSIX shell. */
function shell(text) {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** curl and grpcurl write it alike. */
function tokenOption() {
  return hasToken() ? '-H "authorization: Bearer $TOKEN" ' : "";
}

function fetchLine({ source, name }) {
  if (!source) return "";
  return `curl -so ${shell(name)} ${tokenOption()}${shell(new URL(source, document.baseURI).href)}\n`;
}

function curl(request) {
  const address = new URL(classifyPath({ ...request, top: TOP }), document.baseURI).href;
  return `${fetchLine(request)}curl -s ${tokenOption()}--data-binary @${shell(request.name)} ${shell(address)}`;
}

function python({ model, version, method, target, name, source, grpc }) {
  const text = JSON.stringify;
  const isSecure = location.protocol === "https:";
  const explain = [target && `(${text(target)},)`, method && `method=${text(method)}`].filter(Boolean).join(", ");
  const options = [version !== "" && `version=${/^\d+$/.test(version) ? version : text(version)}`, `top_k=${TOP}`, `explain=Explain(${explain})`];
  const connect = [text(grpc), isSecure && "tls=Tls()", hasToken() && 'token=os.environ["TOKEN"]'];
  const lines = [
    hasToken() && "import os",
    source && "import urllib.request\nfrom pathlib import Path",
    (hasToken() || source) && "",
    `from client import Client, Explain${isSecure ? ", Tls" : ""}\n`,
    source && fetchInPython(source, name),
    `with Client(${connect.filter(Boolean).join(", ")}) as client:`,
    `    answer = client.classify([${text(name)}], ${text(model)}, ${options.filter(Boolean).join(", ")})`,
    "for each in answer.results[0].predictions:",
    '    print(f"{each.probability:7.2%}  {each.label}")',
    "print(answer.results[0].explanations[0].grid)  # the evidence, 0 to 1",
  ];
  return lines.filter((line) => typeof line === "string").join("\n");
}

function fetchInPython(source, name) {
  const token = hasToken() ? ', headers={"authorization": f"Bearer {os.environ[\'TOKEN\']}"}' : "";
  const address = JSON.stringify(new URL(source, document.baseURI).href);
  return `sample = urllib.request.Request(${address}${token})\nPath(${JSON.stringify(name)}).write_bytes(urllib.request.urlopen(sample).read())\n`;
}

function grpcurl({ model, version, method, target, name, source, grpc }) {
  const request = { model, images: [{ encoded: "%s" }], top_k: TOP, explain: {} };
  if (/^\d+$/.test(version)) request.version = Number(version);
  else if (version !== "") request.version_label = version;
  if (target) request.explain.targets = [{ label: target }];
  if (method) request.explain.method = method;
  // printf puts the picture where %s is: no command line is too long for it.
  const format = JSON.stringify(request).replaceAll("\\", "\\\\").replaceAll("%", "%%").replace('"%%s"', '"%s"');
  const plain = location.protocol === "https:" ? "" : "-plaintext ";
  return `${fetchLine({ source, name })}printf ${shell(format)} "$(base64 < ${shell(name)} | tr -d '\\n')" |
  grpcurl ${plain}${tokenOption()}-d @ ${shell(grpc)} seethrough.v1.ImageClassifier/Classify`;
}
