// What the networks share. Matrices (outputs, inputs) and maps (channels, rows, columns) are flat.

// y = W x + b
export function affine(w, b, x) {
  const y = new Float32Array(b.length);
  const n = x.length;
  for (let o = 0, at = 0; o < y.length; o++, at += n) {
    let s0 = b[o], s1 = 0, s2 = 0, s3 = 0;
    let i = 0;
    for (; i + 3 < n; i += 4) { // four sums: one would wait for itself
      s0 += w[at + i] * x[i];
      s1 += w[at + i + 1] * x[i + 1];
      s2 += w[at + i + 2] * x[i + 2];
      s3 += w[at + i + 3] * x[i + 3];
    }
    for (; i < n; i++) s0 += w[at + i] * x[i];
    y[o] = s0 + s1 + s2 + s3;
  }
  return y;
}

// dx = W^T dy
export function affineBack(w, dy, inputs) {
  const dx = new Float32Array(inputs);
  let o = 0, at = 0;
  for (; o + 3 < dy.length; o += 4, at += 4 * inputs) { // four rows: each dx[i] is fetched once
    const d0 = dy[o], d1 = dy[o + 1], d2 = dy[o + 2], d3 = dy[o + 3];
    for (let i = 0, k = at; i < inputs; i++, k++) {
      dx[i] += d0 * w[k] + d1 * w[k + inputs] + d2 * w[k + 2 * inputs] + d3 * w[k + 3 * inputs];
    }
  }
  for (; o < dy.length; o++, at += inputs) for (let i = 0; i < inputs; i++) dx[i] += dy[o] * w[at + i];
  return dx;
}

export function relu(x) {
  for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = 0;
  return x;
}

// The gradient before a ReLU from the one behind it, in place; y is what came out.
export function reluBack(dy, y) {
  for (let i = 0; i < dy.length; i++) if (y[i] <= 0) dy[i] = 0;
  return dy;
}

export function softmax(logits) {
  const most = Math.max(...logits);
  const p = logits.map((v) => Math.exp(v - most));
  const sum = p.reduce((a, b) => a + b, 0);
  return p.map((v) => v / sum);
}

// A convolution's weights and bias with the batch normalisation (evaluation mode) that follows it.
export function fold(weight, bias, norm) {
  const size = weight.length / norm.weight.length;
  const scale = norm.weight.map((g, o) => g / Math.sqrt(norm.running_var[o] + 1e-5));
  return {
    w: weight.map((v, i) => v * scale[Math.floor(i / size)]),
    b: scale.map((s, o) => norm.bias[o] + s * ((bias?.[o] ?? 0) - norm.running_mean[o])),
  };
}
