// Making elements, and writing figures. Text is only ever set as text, so that a label or a file name cannot become markup.

/** An element: `properties` are set on it (`class`, `on…` and attributes with a `-` as such), `children` are nodes or strings. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) set(element, name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for SVG, where everything is an attribute. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function set(element, name, value) {
  if (value === undefined || value === null) return;
  if (name === "class") element.className = value;
  else if (name === "style") Object.assign(element.style, value);
  else if (name === "dataset") Object.assign(element.dataset, value);
  else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name.includes("-") || name === "role" || name === "for" || name === "list") element.setAttribute(name, value);
  else element[name] = value;
}

/** A select with a label before it; `choices` are [value, text]. */
export function choice(text, choices, chosen, onchange, properties = {}) {
  const select = h("select", { ...properties, onchange: () => onchange(select.value) });
  for (const [value, name] of choices) select.append(h("option", { value, selected: value === chosen }, name));
  return h("label", { class: "choice" }, h("span", {}, text), select);
}

/** Puts other children into an element; the keyboard stays at the control that it was at, by its place among them. */
export function renew(parent, ...children) {
  const controls = () => [...parent.querySelectorAll("a, button, input, select, summary, [tabindex]")];
  const place = controls().indexOf(document.activeElement);
  parent.replaceChildren(...children);
  if (place >= 0) controls()[place]?.focus();
}

/** A table or the like that may be wider or higher than its place; who has no mouse can reach it, to scroll it with the arrow keys. */
export function scrolling(name, content) {
  return h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": name }, content);
}

/** 0.99731 as "99.7 %"; what is not quite nothing, and not quite all, does not look as if it were. */
export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  if (share < 1 && share > 0.999) return "> 99.9 %";
  return `${(100 * share).toFixed(1)} %`;
}

/** Seconds as milliseconds with three digits that count. */
export function milliseconds(seconds) {
  if (seconds === null) return "–";
  const ms = 1000 * seconds;
  if (ms >= 1000) return `${(ms / 1000).toPrecision(3)} s`;
  return `${ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}

/** Says something to who listens to the page instead of looking at it. */
export function say(text) {
  document.getElementById("spoken").textContent = text;
}
