// Pictures: opened by the browser to be looked at; what is sent is the file as it was given.

const LONGEST = 1600; // of the side of what is kept to be drawn

/** A picture to ask about. `truth` is what it is known to show, `source` the path of a sample. */
export async function open(blob, name, { truth = null, source = null } = {}) {
  const picture = { blob, name, truth, source, drawn: null, width: 0, height: 0 };
  try {
    const bitmap = await createImageBitmap(blob); // upright: the orientation in the file is obeyed
    const factor = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
    picture.width = bitmap.width;
    picture.height = bitmap.height;
    picture.drawn = new OffscreenCanvas(Math.round(bitmap.width * factor), Math.round(bitmap.height * factor));
    picture.drawn.getContext("2d").drawImage(bitmap, 0, 0, picture.drawn.width, picture.drawn.height);
    bitmap.close();
  } catch {
    // Not a picture, or of a kind that this browser cannot show: the server has the last word on it.
  }
  return picture;
}

/** Draws the picture into `canvas`, as it is; small ones keep their pixels visible. */
export function drawInto(canvas, picture) {
  canvas.width = picture.drawn.width;
  canvas.height = picture.drawn.height;
  canvas.getContext("2d").drawImage(picture.drawn, 0, 0);
  canvas.classList.toggle("pixels", Math.max(picture.width, picture.height) < 200);
}

/** Files in a drop or on the clipboard. */
export function filesIn(transfer) {
  return [...(transfer?.files ?? [])];
}

/** A name for a file that has none, such as a screenshot that was pasted. */
export function nameOf(file, fallback) {
  const generic = !file.name || /^image\.\w+$/.test(file.name);
  return generic ? `${fallback}.${(file.type.split("/")[1] ?? "png").replace("jpeg", "jpg")}` : file.name;
}
