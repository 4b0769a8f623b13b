// The forward half of `ffutils`, for a page: what chapters 03, 05 and 06 derive, on Float32Arrays.
//
// A layer is {inputs, units, weights, biases}: weights holds one row per unit. A net is a list of layers.
// Goodness is the mean square of a layer's activations, before they are normalised for the next layer.

export const LABELS = 10;

/** Scale h to a root mean square of 1, so that only its direction is left; zeros stay zeros. Changes h and returns it. */
export function normalize(h) {
  const length = Math.sqrt(goodness(h) + 1e-8);
  for (let i = 0; i < h.length; i++) h[i] /= length;
  return h;
}

/** The mean square of activations h. */
export function goodness(h) {
  let sum = 0;
  for (let i = 0; i < h.length; i++) sum += h[i] * h[i];
  return sum / h.length;
}

/** A layer's activations on one input: it normalises a copy of x first and rectifies its output. */
export function forward(layer, x) {
  const { inputs, units, weights, biases } = layer;
  const direction = normalize(Float32Array.from(x));
  const h = new Float32Array(units);
  for (let j = 0; j < units; j++) {
    let sum = biases[j];
    for (let i = 0; i < inputs; i++) sum += weights[j * inputs + i] * direction[i];
    h[j] = Math.max(0, sum);
  }
  return h;
}

/** Write label k into the first ten pixels of a copy of the image, as chapter 02's `overlay` does. */
export function overlay(pixels, k, labelStrength = 1) {
  const image = Float32Array.from(pixels);
  image.fill(0, 0, LABELS);
  image[k] = labelStrength;
  return image;
}

/**
 * The first layer's activations for all ten labels, for the price of one.
 *
 * The label is one pixel, so it adds one column of the weights to a product that all labels share, and the length of
 * the input is the same for all (chapter 06). Black pixels add nothing and are passed over. Returns ten Float32Arrays.
 */
export function firstLayer(layer, pixels, labelStrength = 1) {
  const { inputs, units, weights, biases } = layer;
  const inked = [];
  let squares = labelStrength * labelStrength;
  for (let i = LABELS; i < inputs; i++) {
    if (pixels[i] === 0) continue;
    inked.push(i);
    squares += pixels[i] * pixels[i];
  }
  const length = Math.sqrt(squares / inputs + 1e-8);
  const rows = Array.from({ length: LABELS }, () => new Float32Array(units));
  for (let j = 0; j < units; j++) {
    const row = j * inputs;
    let image = 0;
    for (const i of inked) image += weights[row + i] * pixels[i];
    for (let k = 0; k < LABELS; k++) {
      rows[k][j] = Math.max(0, (image + labelStrength * weights[row + k]) / length + biases[j]);
    }
  }
  return rows;
}

/** A layer's activations on the ten rows of the layer below, which it normalises in place. */
export function nextLayer(layer, below) {
  const { inputs, units, weights, biases } = layer;
  below.forEach(normalize);
  const rows = below.map(() => new Float32Array(units));
  for (let k = 0; k < below.length; k += 5) {
    // Five labels at a time: each weight is read once for all of them, and no sum has to wait for another.
    const [a, b, c, d, e] = below.slice(k, k + 5);
    for (let j = 0; j < units; j++) {
      const row = j * inputs;
      const bias = biases[j];
      let [sa, sb, sc, sd, se] = [bias, bias, bias, bias, bias];
      for (let i = 0; i < inputs; i++) {
        const w = weights[row + i];
        sa += w * a[i];
        sb += w * b[i];
        sc += w * c[i];
        sd += w * d[i];
        se += w * e[i];
      }
      rows[k][j] = Math.max(0, sa);
      rows[k + 1][j] = Math.max(0, sb);
      rows[k + 2][j] = Math.max(0, sc);
      rows[k + 3][j] = Math.max(0, sd);
      rows[k + 4][j] = Math.max(0, se);
    }
  }
  return rows;
}

/** The goodness of every layer for every label written into the image: goodness[label][layer], 10 lists of numbers. */
export function labelGoodnessPerLayer(net, pixels, labelStrength = 1) {
  let rows = firstLayer(net[0], pixels, labelStrength);
  const perLayer = [rows.map(goodness)];
  for (const layer of net.slice(1)) {
    rows = nextLayer(layer, rows);
    perLayer.push(rows.map(goodness));
  }
  return Array.from({ length: LABELS }, (_, label) => perLayer.map((values) => values[label]));
}

/** Sum the goodness over the layers that are switched on, and rank: {sums, winner, second, margin}. */
export function decide(perLayer, switchedOn) {
  const sums = perLayer.map((values) => values.reduce((sum, value, layer) => sum + (switchedOn[layer] ? value : 0), 0));
  const order = sums.map((_, label) => label).sort((a, b) => sums[b] - sums[a]);
  return { sums, winner: order[0], second: order[1], margin: sums[order[0]] - sums[order[1]] };
}
