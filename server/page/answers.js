// Asking about pictures, and what is known of each: its answer, and the evidence for each class that somebody wanted to see.

import { classifyPath, json, Away } from "./api.js";

export const TOP = 10; // classes in an answer

/** A picture with what is known of it. */
export class Entry {
  constructor(picture) {
    this.picture = picture;
    this.forget();
  }

  /** Nothing is known any more, as when another model is asked. */
  forget() {
    this.answer = null; // { version, predictions, timings, seconds }
    this.evidence = new Map(); // label -> explanation
    this.label = ""; // the class whose evidence is looked at
    this.chosen = ""; // the same if a person chose it, else empty
    this.error = "";
    this.isLost = false; // there is no answer because the server was away, or about to go
  }

  /** Asks for the answer, with the evidence for the top class. `asked` is { model, version, method }. */
  async classify(asked) {
    this.forget();
    try {
      this.answer = await classify(this.picture, asked);
      this.take(this.answer.explanation);
    } catch (error) {
      this.error = error.message;
      this.isLost = error instanceof Away || error.status === 503;
    }
  }

  /** Looks at the evidence for a class, which is asked for unless it is known. */
  async look(label, asked) {
    this.chosen = label;
    try {
      if (!this.evidence.has(label)) this.take((await classify(this.picture, asked, label)).explanation);
      if (this.chosen === label) this.label = label;
      this.error = "";
    } catch (error) {
      this.error = error.message;
    }
  }

  take(explanation) {
    this.evidence.set(explanation.label, explanation);
    this.label = explanation.label;
  }
}

/** One answer; `target` is the class to explain, empty for the most probable one. */
export async function classify(picture, asked, target = "") {
  const started = performance.now();
  const reply = await json(classifyPath({ ...asked, top: TOP, target }), {
    method: "POST",
    body: picture.blob,
    headers: { "content-type": picture.blob.type || "application/octet-stream" },
  });
  const seconds = (performance.now() - started) / 1000;
  const [{ predictions, explanations, timings }] = reply.results;
  return { version: reply.version, predictions, explanation: explanations[0], timings, seconds };
}
