// The page: which view is looked at, who listens to pictures that come in, and what is said when nobody answers.

import { askForTokenBy, connection } from "./api.js";
import { Classify } from "./classify.js";
import { Compare } from "./compare.js";
import { say } from "./dom.js";
import { listen } from "./intake.js";
import { Live } from "./live.js";
import { Models } from "./models.js";
import { loadModels, session } from "./session.js";

const LOOK_MS = 3000; // from one look at the models to the next

const make = { classify: Classify, compare: Compare, models: Models, live: Live };
const views = {};
for (const [name, View] of Object.entries(make)) views[name] = new View(document.getElementById(`view-${name}`));
let shown = "";

function route() {
  const asked = location.hash.slice(1);
  const name = Object.hasOwn(views, asked) ? asked : "classify"; // #toString is no view
  if (name === shown) return;
  views[shown]?.close?.();
  for (const each of Object.keys(views)) document.getElementById(`view-${each}`).hidden = each !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${name[0].toUpperCase()}${name.slice(1)} · Seethrough`;
  if (shown) document.getElementById("main").focus({ preventScroll: true });
  shown = name;
  views[name].open?.();
}

/** Pictures go to the view that is looked at, or to Classify. */
function take(files) {
  if (views[shown].take) {
    views[shown].take(files);
    return;
  }
  location.hash = "#classify";
  views.classify.take(files);
}

const notice = document.getElementById("notice");

function told(text) {
  notice.hidden = !text;
  notice.textContent = text;
}

connection.addEventListener("away", () => told("The server does not answer. This page goes on trying."));
connection.addEventListener("back", async () => {
  told("");
  say("The server answers again.");
  await look();
  views.classify.retry();
  if (shown !== "classify") views[shown].open?.();
});

let isLooking = false;

/** Looks at what the server has, unless the last look is waiting still, as for a token. */
async function look() {
  if (isLooking) return;
  isLooking = true;
  try {
    await loadModels();
    const { version } = session.server;
    document.getElementById("server").textContent = `${location.host} · ${version}`;
  } catch (error) {
    if (notice.hidden) told(error.message);
  }
  isLooking = false;
}

askForTokenBy((why) => new Promise((given) => {
  const dialog = document.getElementById("token");
  const form = dialog.querySelector("form");
  document.getElementById("token-why").textContent = why;
  form.onsubmit = (event) => {
    event.preventDefault();
    dialog.close();
    given(form.token.value.trim());
    form.reset();
  };
  dialog.oncancel = (event) => event.preventDefault(); // without one there is nothing to see
  dialog.showModal();
}));

addEventListener("hashchange", route);
listen(take);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part behind # names the view
  document.getElementById("main").focus();
});
route();
look();
setInterval(() => document.hidden || look(), LOOK_MS);
