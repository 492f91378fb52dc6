// What is shown, as the part of the address behind #: a link brings somebody else to the same place.
//
//     set=0&from=7&to=0&mix=0.55&z=0.1,...    or, where the condition is free, c=1.2,... besides
import { CLASSES, CODE, labelPath } from "./decoder.js";

export const REACH = 3; // of codes and conditions, to either side

// The state to begin with, for the forget set chosen ("0", "0_1").
export function opening(set) {
  const forgotten = set.split("_").map(Number);
  const from = [7, 6, 5].find((label) => !forgotten.includes(label));
  const z = [0.6, -0.4, 0.3, 0.8, -0.7, -0.3, 0.4, -0.5];
  return { set, from, to: forgotten[0], mix: 0.5, z, c: null };
}

// The condition (10) that stands: free, or on the way between two labels.
export const condition = (state) => state.c ?? labelPath(state.from, state.to, state.mix);

function numbers(text, count, low, high) {
  const values = text.split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
  return values.length === count && values.every((v) => v >= low && v <= high) ? values : null;
}

// The state that a link holds, and the parts of it that say nothing, which are left out.
export function fromLink(link, sets) {
  const given = new URLSearchParams(link.replace(/^#/, ""));
  const nonsense = [];
  const state = opening(sets.includes(given.get("set")) ? given.get("set") : sets[0]);
  const readers = {
    set: (text) => (sets.includes(text) ? text : null),
    from: (text) => (/^\d$/.test(text) ? Number(text) : null),
    to: (text) => (/^\d$/.test(text) ? Number(text) : null),
    mix: (text) => numbers(text, 1, 0, 1)?.[0] ?? null,
    z: (text) => numbers(text, CODE, -REACH, REACH),
    c: (text) => numbers(text, CLASSES, -REACH, REACH),
  };
  for (const [key, text] of given) {
    const value = readers[key]?.(text) ?? null;
    if (value === null) nonsense.push(text ? `${key}=${text}` : key);
    else state[key] = value;
  }
  return { state, nonsense };
}

const short = (values) => Array.from(values, (v) => +v.toFixed(2)).join(",");

export function toLink({ set, from, to, mix, z, c }) {
  const parts = [`set=${set}`, `from=${from}`, `to=${to}`, `mix=${+mix.toFixed(2)}`, `z=${short(z)}`];
  if (c) parts.push(`c=${short(c)}`);
  return `#${parts.join("&")}`;
}
