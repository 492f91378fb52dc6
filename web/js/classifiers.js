// The two classifiers: the judge, through which the attack differentiates, and the quick member of
// the lab's panel, which is only asked. Both in evaluation mode, dropout gone.
import { SIDE, PIXELS, CLASSES } from "./decoder.js";
import { affine, affineBack, fold, relu, reluBack, softmax } from "./layers.js";
import { demand } from "./safetensors.js";

const NORM = ["weight", "bias", "running_mean", "running_var"];
const normShapes = (at, size) => Object.fromEntries(NORM.map((key) => [`${at}.${key}`, [size]]));
const norm = (t, at) => Object.fromEntries(NORM.map((key) => [key, t[`${at}.${key}`]]));

// A 5 x 5 convolution without padding: maps (inputs, side, side) to (outputs, side - 4, side - 4).
function conv5({ w, b }, x, side) {
  const out = side - 4, inputs = x.length / side ** 2;
  const y = new Float32Array(b.length * out * out);
  for (let o = 0, tap = 0; o < b.length; o++) {
    const map = y.subarray(o * out * out, (o + 1) * out * out).fill(b[o]);
    for (let i = 0; i < inputs; i++) {
      for (let u = 0; u < 5; u++, tap += 5) {
        const w0 = w[tap], w1 = w[tap + 1], w2 = w[tap + 2], w3 = w[tap + 3], w4 = w[tap + 4];
        for (let r = 0, to = 0; r < out; r++) {
          let at = (i * side + r + u) * side;
          for (let c = 0; c < out; c++, at++, to++) {
            map[to] += w0 * x[at] + w1 * x[at + 1] + w2 * x[at + 2] + w3 * x[at + 3] + w4 * x[at + 4];
          }
        }
      }
    }
  }
  return y;
}

// The gradient by x of `conv5`, from that by its output, most of which is zero behind a pooling.
function conv5Back({ w, b }, dy, side) {
  const out = side - 4, taps = w.length / b.length, inputs = taps / 25;
  const dx = new Float32Array(inputs * side * side);
  for (let k = 0; k < dy.length; k++) {
    if (dy[k] === 0) continue;
    const o = Math.floor(k / out ** 2), r = Math.floor(k / out) % out, c = k % out;
    for (let i = 0; i < inputs; i++) {
      for (let u = 0; u < 5; u++) {
        for (let v = 0; v < 5; v++) {
          dx[(i * side + r + u) * side + c + v] += dy[k] * w[o * taps + i * 25 + u * 5 + v];
        }
      }
    }
  }
  return dx;
}

// The largest of each 2 x 2 pixels, and where it was.
function pool(x, side) {
  const half = side / 2, y = new Float32Array(x.length / 4), where = new Int32Array(y.length);
  for (let k = 0; k < y.length; k++) {
    const corner = Math.floor(k / half) * 2 * side + (k % half) * 2;
    let best = corner;
    for (const at of [corner + 1, corner + side, corner + side + 1]) if (x[at] > x[best]) best = at;
    [y[k], where[k]] = [x[best], best];
  }
  return { y, where };
}

function poolBack(dy, where, size) {
  const dx = new Float32Array(size);
  where.forEach((at, k) => { dx[at] = dy[k]; });
  return dx;
}

export class Judge {
  constructor(tensors, name) {
    const t = demand(tensors, {
      "conv1.weight": [10, 1, 5, 5], "conv1.bias": [10], ...normShapes("bn1", 10),
      "conv2.weight": [20, 10, 5, 5], "conv2.bias": [20], ...normShapes("bn2", 20),
      "fc1.weight": [50, 320], "fc1.bias": [50], "fc2.weight": [CLASSES, 50], "fc2.bias": [CLASSES],
    }, name);
    this.t = t;
    this.conv1 = fold(t["conv1.weight"], t["conv1.bias"], norm(t, "bn1"));
    this.conv2 = fold(t["conv2.weight"], t["conv2.bias"], norm(t, "bn2"));
  }

  // An image's pixels (784) to the probabilities of the ten digits.
  probabilities(x) {
    this.p1 = pool(conv5(this.conv1, x, SIDE), 24);
    this.p2 = pool(conv5(this.conv2, relu(this.p1.y), 12), 8);
    this.h = relu(affine(this.t["fc1.weight"], this.t["fc1.bias"], relu(this.p2.y)));
    this.p = softmax(affine(this.t["fc2.weight"], this.t["fc2.bias"], this.h));
    return this.p;
  }

  // The gradient of -log P(target) by the pixels (784) of the image that was looked at last.
  imageGradient(target) {
    const logits = this.p.map((p, k) => p - (k === target ? 1 : 0));
    const h = reluBack(affineBack(this.t["fc2.weight"], logits, 50), this.h);
    const p2 = reluBack(affineBack(this.t["fc1.weight"], h, 320), this.p2.y);
    const p1 = conv5Back(this.conv2, poolBack(p2, this.p2.where, 20 * 64), 12);
    return conv5Back(this.conv1, poolBack(reluBack(p1, this.p1.y), this.p1.where, 10 * 576), SIDE);
  }
}

// A 3 x 3 convolution and SiLU. Maps have a frame of zeros, so that no tap needs a check, and are in
// float64, which a browser need not convert to compute with.
function conv3({ w, b }, x, side, stride) {
  const out = side / stride, row = side + 2, frame = out + 2;
  const inputs = x.length / row ** 2;
  const y = new Float64Array(b.length * frame * frame), sum = new Float64Array(out * out);
  for (let o = 0, tap = 0; o < b.length; o++) {
    sum.fill(b[o]);
    for (let i = 0; i < inputs; i++, tap += 9) {
      const a0 = w[tap], a1 = w[tap + 1], a2 = w[tap + 2];
      const b0 = w[tap + 3], b1 = w[tap + 4], b2 = w[tap + 5];
      const c0 = w[tap + 6], c1 = w[tap + 7], c2 = w[tap + 8];
      for (let r = 0, to = 0; r < out; r++) {
        let p = (i * row + r * stride) * row, q = p + row, s = q + row;
        for (let c = 0; c < out; c++, to++, p += stride, q += stride, s += stride) {
          sum[to] += a0 * x[p] + a1 * x[p + 1] + a2 * x[p + 2] + b0 * x[q] + b1 * x[q + 1]
            + b2 * x[q + 2] + c0 * x[s] + c1 * x[s + 1] + c2 * x[s + 2];
        }
      }
    }
    for (let k = 0; k < sum.length; k++) {
      const at = (o * frame + Math.floor(k / out) + 1) * frame + (k % out) + 1;
      y[at] = sum[k] / (1 + Math.exp(-sum[k]));
    }
  }
  return y;
}

const STAGES = [[0, 1, 16, 2], [3, 16, 32, 1], [6, 32, 32, 2], [9, 32, 32, 1]]; // at, inputs, outputs, stride

export class Quick {
  constructor(tensors, name) {
    const shapes = {
      "trunk.14.weight": [64, 288], "trunk.14.bias": [64],
      "head.weight": [CLASSES + 1, 64], "head.bias": [CLASSES + 1],
    };
    for (const [at, inputs, outputs] of STAGES) {
      Object.assign(shapes, { [`trunk.${at}.weight`]: [outputs, inputs, 3, 3] }, normShapes(`trunk.${at + 1}`, outputs));
    }
    const bare = Object.fromEntries(Object.entries(tensors).map(([key, t]) => [key.replace(/^net\./, ""), t]));
    this.t = demand(bare, shapes, name);
    this.convs = STAGES.map(([at]) => fold(this.t[`trunk.${at}.weight`], null, norm(this.t, `trunk.${at + 1}`)));
  }

  // An image's pixels (784) to the probabilities of the ten digits and, last, of "none of these".
  probabilities(image) {
    let side = SIDE;
    let x = new Float64Array((side + 2) ** 2);
    for (let k = 0; k < PIXELS; k++) x[(Math.floor(k / side) + 1) * (side + 2) + (k % side) + 1] = image[k];
    STAGES.forEach(([, , , stride], k) => {
      x = conv3(this.convs[k], x, side, stride);
      side /= stride;
    });
    const pooled = new Float32Array(288); // 7 x 7 to 3 x 3 by means of 3 x 3 that overlap by one
    for (let k = 0; k < 288; k++) {
      const at = (Math.floor(k / 9) * 9 + Math.floor((k % 9) / 3) * 2 + 1) * 9 + (k % 3) * 2 + 1;
      for (let u = 0; u < 3; u++) for (let v = 0; v < 3; v++) pooled[k] += x[at + u * 9 + v] / 9;
    }
    const h = affine(this.t["trunk.14.weight"], this.t["trunk.14.bias"], pooled).map((v) => v / (1 + Math.exp(-v)));
    return softmax(affine(this.t["head.weight"], this.t["head.bias"], h));
  }
}
