// Heatmaps as the server draws them (server/serving/render.py), from the same numbers, so that sliders and colours need no request.

// Every 15th of 256 colours; in between, linear is close. viridis: van der Walt and Smith, 2015; magma: the same; cividis: Nuñez,
// Anderton and Renslow, 2018: for people with and without colour-vision deficiency alike. All are in matplotlib, CC0.
const TABLES = {
  viridis: "440154481769472a7a433d843d4e8a355e8d2e6d8e297b8e23898e1f978b21a5852eb37c46c06f65cb5e89d548b0dd2fd8e219fde725",
  cividis: "00224e002d681637702e416d3f4c6c4e566c5c616e696b71767676838179928c78a09875afa471bfb06bcfbd62dfca57f0d846fee838",
  magma: "0000040907201a10423111654a1079621980792282912b81aa337dc23b75d9466bec5860f7725cfc8e64feaa74fec68afde2a3fcfdbf",
  grey: "000000ffffff",
};
// For differences, around 0: purple and orange (ColorBrewer's PuOr, which is safe for colour-blind people).
const DIVERGING = "7f3b08b25706e08214fcb761fee0b6f6f6f7d8daebb1aad18073ac5326872d004b";

/** Names of the colour maps, the first by default. */
export const MAPS = Object.keys(TABLES);

const colours = Object.fromEntries(Object.entries(TABLES).map(([name, table]) => [name, expand(table)]));
const diverging = expand(DIVERGING);

/** 256 colours, RGB behind each other, from some of them in hexadecimal. */
function expand(table) {
  const points = table.match(/../g).map((byte) => parseInt(byte, 16));
  const last = points.length / 3 - 1;
  return Uint8ClampedArray.from({ length: 768 }, (_, at) => {
    const place = (Math.floor(at / 3) / 255) * last;
    const low = Math.min(Math.floor(place), last - 1);
    const [from, to] = [points[3 * low + (at % 3)], points[3 * low + 3 + (at % 3)]];
    return Math.round(from + (place - low) * (to - from));
  });
}

/**
 * What of the upright picture the model saw, in its pixels: the grid lies there as the feature map's extent lies in the input.
 * Without a `bundle` to say so, the grid's own place.
 */
export function viewOf(grid, bundle) {
  if (!bundle) return grid;
  const { feature_map: map, preprocess } = bundle;
  const across = (grid.right - grid.left) / (map.right - map.left);
  const down = (grid.bottom - grid.top) / (map.bottom - map.top);
  const left = grid.left - map.left * across;
  const top = grid.top - map.top * down;
  return { left, top, right: left + preprocess.width * across, bottom: top + preprocess.height * down };
}

/**
 * The heatmap at its place in a picture of `picture.width` x `picture.height`, as width x height values 0..1, row by row.
 * Cubic between the centres of the cells; beyond the grid its edge fades to nothing at the edge of the view.
 */
export function spread(grid, view, picture, width, height) {
  const rows = grid.values.length;
  const columns = grid.values[0].length;
  const across = axis(width, picture.width, [grid.left, grid.right], [view.left, view.right], columns);
  const down = axis(height, picture.height, [grid.top, grid.bottom], [view.top, view.bottom], rows);
  const heat = new Float32Array(width * height);
  const line = new Float32Array(columns);
  for (let y = 0; y < height; y += 1) {
    for (let column = 0; column < columns; column += 1) {
      line[column] = 0;
      for (let row = 0; row < rows; row += 1) line[column] += down[y * rows + row] * grid.values[row][column];
    }
    for (let x = 0; x < width; x += 1) {
      let value = 0;
      for (let column = 0; column < columns; column += 1) value += across[x * columns + column] * line[column];
      heat[y * width + x] = Math.min(1, Math.max(0, value));
    }
  }
  return heat;
}

/** For each of `pixels` along an axis of `length`, the weight of each cell: cubic convolution (Keys, 1981), faded outside the grid. */
function axis(pixels, length, grid, seen, cells) {
  const weights = new Float32Array(pixels * cells);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const at = ((pixel + 0.5) * length) / pixels;
    const place = ((at - grid[0]) / (grid[1] - grid[0])) * cells - 0.5;
    const position = Math.min(cells - 1, Math.max(0, place));
    const strength = fade(at, grid, seen);
    for (let cell = -1; cell <= cells; cell += 1) {
      const inside = Math.min(cells - 1, Math.max(0, cell));
      weights[pixel * cells + inside] += strength * cubic(Math.abs(position - cell));
    }
  }
  return weights;
}

function cubic(distance) {
  if (distance < 1) return (1.5 * distance - 2.5) * distance ** 2 + 1;
  return distance < 2 ? ((-0.5 * distance + 2.5) * distance - 4) * distance + 2 : 0;
}

/** 1 inside the grid, from its end down to 0 at the end of what was seen, and 0 beyond; half a cosine. */
function fade(at, grid, seen) {
  if (at < seen[0] || at >= seen[1]) return 0;
  const outside = Math.max(grid[0] - at, at - grid[1]);
  if (outside <= 0) return 1;
  const margin = at < grid[0] ? grid[0] - seen[0] : seen[1] - grid[1];
  return Math.cos((Math.PI / 2) * Math.min(1, outside / margin)) ** 2;
}

/** Paints a heatmap: the stronger the evidence, the less of the picture shows through. */
export function paint(canvas, heat, map) {
  fill(canvas, heat.map((value) => Math.round(255 * value)), palette(colours[map], (index) => index));
}

/** Paints the difference of two heatmaps, -1..1: purple where the first has more, orange where the second has. */
export function paintDifference(canvas, first, second) {
  const indices = first.map((value, at) => Math.round(128 + 127 * (value - second[at])));
  fill(canvas, indices, palette(diverging, (index) => Math.min(255, 6 * Math.abs(index - 128))));
}

/** 256 colours with the opacity of each, 0..255, as pixels lie in a canvas. */
function palette(table, opacity) {
  const bytes = new Uint8ClampedArray(1024);
  for (let index = 0; index < 256; index += 1) {
    bytes.set(table.subarray(3 * index, 3 * index + 3), 4 * index);
    bytes[4 * index + 3] = opacity(index);
  }
  return new Uint32Array(bytes.buffer);
}

function fill(canvas, indices, pixels) {
  const image = new ImageData(canvas.width, canvas.height);
  const filled = new Uint32Array(image.data.buffer);
  for (let at = 0; at < indices.length; at += 1) filled[at] = pixels[indices[at]];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Draws the scale of a colour map from left to right. */
export function paintScale(canvas, map) {
  const indices = Float32Array.from({ length: canvas.width * canvas.height }, (_, at) => Math.round((255 * (at % canvas.width)) / (canvas.width - 1)));
  fill(canvas, indices, palette(map === "difference" ? diverging : colours[map], () => 255));
}

/** Where the evidence is strongest, in words, for who cannot see it; `values` is the grid in the picture. */
export function peakInWords(grid, picture) {
  let best = { value: 0 };
  grid.values.forEach((row, y) => row.forEach((value, x) => {
    if (value > best.value) best = { value, x, y };
  }));
  if (best.value === 0) return "nothing in the picture speaks for it";
  const x = (grid.left + ((best.x + 0.5) * (grid.right - grid.left)) / grid.values[0].length) / picture.width;
  const y = (grid.top + ((best.y + 0.5) * (grid.bottom - grid.top)) / grid.values.length) / picture.height;
  const third = (share, names) => names[Math.min(2, Math.max(0, Math.floor(3 * share)))];
  const words = `${third(y, ["top", "", "bottom"])} ${third(x, ["left", "", "right"])}`.trim();
  return `strongest at the ${words || "centre"}`;
}
