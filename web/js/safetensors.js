// Weights from safetensors files: 8 bytes of length, a JSON header, raw little-endian data.

// Every float16 as a number. Float16Array is not in all browsers, and a table is quick.
const HALVES = new Float32Array(65536);
for (let bits = 0; bits < 65536; bits++) {
  const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
  HALVES[bits] = sign * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
  if (exponent === 31) HALVES[bits] = fraction ? NaN : sign * Infinity;
}

function halves(bytes) {
  const bits = new Uint16Array(bytes), values = new Float32Array(bits.length);
  for (let k = 0; k < bits.length; k++) values[k] = HALVES[bits[k]];
  return values;
}

const READERS = {
  F16: halves,
  F32: (bytes) => new Float32Array(bytes),
  I64: (bytes) => Float32Array.from(new BigInt64Array(bytes), Number),
};

// The bytes of a file of the page; in the build with everything inside they lie in the page itself.
export async function read(path) {
  const inside = document.querySelector(`script[data-path="${path}"]`);
  if (inside) return Uint8Array.from(atob(inside.textContent), (c) => c.charCodeAt(0)).buffer;
  const answer = await fetch(path).catch(() => ({ ok: false, status: "no answer" }));
  if (!answer.ok) throw new Error(`${path} cannot be fetched (${answer.status}): is the server still there?`);
  return answer.arrayBuffer();
}

// The tensors of a file's bytes: name -> { shape, data (Float32Array) }.
export function parse(buffer, name) {
  const damaged = (why) =>
    new Error(`${name} is damaged or no safetensors file (${why}): fetch it again or export it anew.`);
  const length = buffer.byteLength < 8 ? 0 : Number(new DataView(buffer).getBigUint64(0, true));
  if (length < 2 || length > buffer.byteLength - 8) throw damaged("its header does not fit");
  let header;
  try {
    header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  } catch {
    throw damaged("its header is no JSON");
  }
  const tensors = {};
  for (const [key, entry] of Object.entries(header ?? {})) {
    if (key === "__metadata__") continue;
    const { dtype, shape, data_offsets: [from, to] = [] } = entry ?? {};
    if (!READERS[dtype]) throw damaged(`${key} is of type ${dtype}`);
    if (!(8 + length + to <= buffer.byteLength)) throw damaged(`it ends before ${key} does`);
    const data = READERS[dtype](buffer.slice(8 + length + from, 8 + length + to));
    if (data.length !== shape.reduce((a, b) => a * b, 1)) throw damaged(`${key} has another size`);
    if (data.some((value) => !Number.isFinite(value))) throw damaged(`${key} is not finite everywhere`);
    tensors[key] = { shape, data };
  }
  return tensors;
}

// The data of the tensors that a network needs, by name, each of the shape given.
export function demand(tensors, shapes, name) {
  const found = {};
  for (const [key, shape] of Object.entries(shapes)) {
    const there = tensors[key]?.shape ?? [];
    if (there.join() !== shape.join()) {
      const says = tensors[key] ? `has the shape ${there.join(" x ")}` : "is missing";
      throw new Error(`${name} holds another network: ${key} ${says}, expected ${shape.join(" x ")}.`);
    }
    found[key] = tensors[key].data;
  }
  return found;
}
