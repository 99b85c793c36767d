// Asking the server: the same HTTP API that everyone else uses, with a token where one is wanted, and patience when nobody answers.

/** The server has answered, and this is its reason for saying no. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Nobody answers. */
export class Away extends Error {}

/** Tells `away` and `back`. */
export const connection = new EventTarget();

const RETRY_MS = 1000;
const MOST_RETRIES = 5;
let token = ""; // in memory only
let tokenWanted = async () => "";
let isAway = false;

/** `ask(why)` is called when the server wants a token, and promises one. */
export function askForTokenBy(ask) {
  let asking = null;
  tokenWanted = (why) => (asking ??= ask(why).finally(() => (asking = null)));
}

/** Whether the server has asked for a token. */
export function hasToken() {
  return token !== "";
}

/** The answer to a request; throws Refusal or Away. A full server is asked again when it says so. */
export async function ask(path, options = {}) {
  for (let tries = 0; ; tries += 1) {
    const used = token;
    const response = await send(path, options);
    if (response.ok) return response;
    const message = await reason(response);
    if (response.status === 401) {
      if (used === token) token = await tokenWanted(used ? message : "");
    } else if (response.status === 429 && tries < MOST_RETRIES) {
      await sleep(1000 * Number(response.headers.get("retry-after") ?? 1));
    } else {
      throw new Refusal(response.status, message);
    }
  }
}

/** The answer as a value. */
export async function json(path, options) {
  return (await ask(path, options)).json();
}

async function send(path, options) {
  const headers = { accept: "application/json", ...options.headers };
  if (token) headers.authorization = `Bearer ${token}`;
  try {
    return await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new Away("The server does not answer.");
  }
}

async function reason(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return text || `${response.status} ${response.statusText}`;
  }
}

function lost() {
  if (isAway) return;
  isAway = true;
  connection.dispatchEvent(new Event("away"));
  look();
}

/** Looks until the server is there again and wants work. */
async function look() {
  for (;;) {
    await sleep(RETRY_MS);
    try {
      const response = await fetch("readyz", { cache: "no-store" });
      if (response.ok) break;
    } catch {
      // still away
    }
  }
  isAway = false;
  connection.dispatchEvent(new Event("back"));
}

function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

/** Path of a model, or of one of its versions. */
export function modelPath(model, version = "") {
  const path = `v1/models/${encodeURIComponent(model)}`;
  return version === "" ? path : `${path}/versions/${encodeURIComponent(version)}`;
}

/** Path of a classification: `version` is a number or a label, empty for the default; `target` a label, empty for the top class. */
export function classifyPath({ model, version = "", top, target = "", method = "" }) {
  const query = new URLSearchParams({ top, explain: "grid" });
  if (version !== "") query.set("version", version);
  if (target !== "") query.set("class", target);
  if (method !== "") query.set("method", method);
  return `${modelPath(model)}:classify?${query}`;
}
