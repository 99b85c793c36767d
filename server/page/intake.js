// How pictures come in: dropped anywhere, pasted, chosen, or taken with a camera.

import { h } from "./dom.js";
import { filesIn, nameOf } from "./picture.js";

/** Buttons to choose and to take pictures; `take` is called with files, each with a `name` of its own. */
export function intake(take) {
  const input = h("input", { type: "file", multiple: true, accept: "image/*,.tif,.tiff", class: "unseen", tabIndex: -1, "aria-hidden": "true",
    onchange: () => {
      take([...input.files]);
      input.value = "";
    } });
  const buttons = [h("button", { type: "button", class: "main", onclick: () => input.click() }, "Choose pictures")];
  if (navigator.mediaDevices?.getUserMedia) buttons.push(h("button", { type: "button", onclick: () => camera(take) }, "Take one"));
  return h("div", { class: "row" }, buttons, input, h("span", { class: "soft hint" }, "or drop or paste them anywhere"));
}

/** Listens to drops and pastes on the whole page; `take` says whether it wants them now. */
export function listen(take) {
  const body = document.body;
  addEventListener("dragover", (event) => {
    event.preventDefault();
    body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    body.classList.remove("dropping");
    take(filesIn(event.dataTransfer));
  });
  addEventListener("paste", (event) => {
    const files = filesIn(event.clipboardData).map((file) => new File([file], nameOf(file, "pasted"), { type: file.type }));
    if (files.length) take(files);
  });
}

async function camera(take) {
  const video = h("video", { autoplay: true, playsInline: true, muted: true });
  const problem = h("p", { role: "alert" });
  const shoot = h("button", { type: "button", class: "main", disabled: true }, "Take it");
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const dialog = h("dialog", { class: "camera", "aria-label": "Take a picture" }, video, problem, h("p", { class: "buttons" }, shoot, cancel));
  let stream = null;
  dialog.addEventListener("close", () => {
    stream?.getTracks().forEach((track) => track.stop());
    dialog.remove();
  });
  shoot.addEventListener("click", async () => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
    dialog.close();
    take([new File([blob], "camera.jpg", { type: blob.type })]);
  });
  video.addEventListener("loadeddata", () => (shoot.disabled = false));
  document.body.append(dialog);
  dialog.showModal();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    if (dialog.open) video.srcObject = stream;
    else stream.getTracks().forEach((track) => track.stop());
  } catch (error) {
    problem.textContent = `No picture from the camera: ${error.message}`;
  }
}
