// The decoder p(x | z, c) = sigmoid(MLP([z, c])), and how its image depends on the condition c.
import { affine, affineBack, relu, reluBack } from "./layers.js";
import { demand } from "./safetensors.js";

export const CLASSES = 10, CODE = 8, SIDE = 28, PIXELS = SIDE * SIDE;
const WIDTHS = [CODE + CLASSES, 256, 512, PIXELS];

export class Decoder {
  constructor(tensors, name) {
    const shapes = {};
    for (const k of [0, 1, 2]) {
      shapes[`decoder.${2 * k}.weight`] = [WIDTHS[k + 1], WIDTHS[k]];
      shapes[`decoder.${2 * k}.bias`] = [WIDTHS[k + 1]];
    }
    const found = demand(tensors, shapes, name);
    this.w = [0, 2, 4].map((k) => found[`decoder.${k}.weight`]);
    this.b = [0, 2, 4].map((k) => found[`decoder.${k}.bias`]);
  }

  // A code z (8) and a condition c (10) to the image's pixels (784), each in [0, 1].
  decode(z, c) {
    const [w, b] = [this.w, this.b];
    this.h1 = relu(affine(w[0], b[0], Float32Array.of(...z, ...c)));
    this.h2 = relu(affine(w[1], b[1], this.h1));
    this.x = affine(w[2], b[2], this.h2);
    for (let i = 0; i < PIXELS; i++) this.x[i] = 1 / (1 + Math.exp(-this.x[i]));
    return this.x;
  }

  // The gradient of a loss by c (10), from its gradient by the pixels of the image decoded last.
  conditionGradient(dx) {
    const logits = dx.map((d, i) => d * this.x[i] * (1 - this.x[i]));
    const h2 = reluBack(affineBack(this.w[2], logits, WIDTHS[2]), this.h2);
    const h1 = reluBack(affineBack(this.w[1], h2, WIDTHS[1]), this.h1);
    return affineBack(this.w[0], h1, WIDTHS[0]).slice(CODE);
  }
}

export const oneHot = (label) => Float32Array.from({ length: CLASSES }, (_, k) => +(k === label));

// The straight line from one label to another, as in the lab's latent/interpolation.py.
export const labelPath = (from, to, alpha) =>
  oneHot(from).map((a, k) => (1 - alpha) * a + alpha * oneHot(to)[k]);

// The great circle from code a to code b, their lengths changing linearly (the same file's slerp).
export function slerp(a, b, t) {
  const dot = (u, v) => u.reduce((sum, x, k) => sum + x * v[k], 0);
  const [la, lb] = [Math.hypot(...a), Math.hypot(...b)];
  const [u, v] = [a.map((x) => x / la), b.map((x) => x / lb)];
  const cosine = dot(u, v);
  const aside = v.map((x, k) => x - cosine * u[k]);
  const sine = Math.hypot(...aside);
  const omega = Math.atan2(sine, cosine), length = (1 - t) * la + t * lb;
  return u.map((x, k) => length * (Math.cos(t * omega) * x + Math.sin(t * omega) * aside[k] / (sine || 1)));
}

// The axes of z, that first which moves the decoder's image most: by the variance of the pixels
// between minus and plus one standard deviation along the axis, summed over pixels and labels.
export function mainAxes(decoder) {
  const moved = Array.from({ length: CODE }, (_, axis) => {
    let sum = 0;
    for (let label = 0; label < CLASSES; label++) {
      const at = (s) => decoder.decode(Array.from({ length: CODE }, (_, k) => (k === axis ? s : 0)), oneHot(label));
      const [low, high] = [at(-1), at(1)];
      for (let i = 0; i < PIXELS; i++) sum += ((high[i] - low[i]) / 2) ** 2;
    }
    return sum;
  });
  return [...moved.keys()].sort((i, j) => moved[j] - moved[i]);
}
