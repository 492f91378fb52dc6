// Pieces of the page: they show what they are given, and tell what a hand does.
import { SIDE, PIXELS } from "./decoder.js";

export const $ = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const percent = (p) => `${Math.round(100 * p)} %`;

export const likeliest = (p) => p.indexOf(Math.max(...p));

export function inWords(p) {
  const best = likeliest(p);
  return `${best === 10 ? "no digit" : `a ${best}`} (${percent(p[best])})`;
}

// A canvas of 28 x 28 pixels, enlarged by the style sheet.
export function picture(label) {
  return element("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": label });
}

export function paint(canvas, x) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  for (let k = 0; k < PIXELS; k++) {
    const grey = Math.round(255 * x[k]);
    image.data.set([grey, grey, grey, 255], 4 * k);
  }
  context.putImageData(image, 0, 0);
}

// A model's picture, and the classifier's bars and words below it.
export class Card {
  constructor(model, forgotten) {
    this.model = model;
    this.canvas = picture(`${model}: nothing yet`);
    this.fills = Array.from({ length: 11 }, () => element("i"));
    const columns = this.fills.map((fill, k) => {
      const digit = element("b", forgotten.includes(k) ? { class: "forgotten" } : {}, k < 10 ? String(k) : "?");
      return element("span", {}, element("u", {}, fill), digit);
    });
    this.bars = element("div", { class: "bars", "aria-hidden": "true" }, ...columns);
    this.words = element("figcaption", {});
    const name = element("h3", {}, element("span", { class: `chip ${model}` }, model));
    this.box = element("figure", { class: "card" }, name, this.canvas, this.bars, this.words);
  }

  show(x, p) {
    paint(this.canvas, x);
    this.fills.forEach((fill, k) => { fill.style.transform = `scaleY(${p[k].toFixed(3)})`; });
    this.words.textContent = inWords(p);
    this.canvas.setAttribute("aria-label", `${this.model}'s picture; the quick member says ${inWords(p)}`);
  }
}

// A slider with its name and value; `changed(value)` while it moves, `settled()` when it rests.
export function slider(name, id, low, high, changed, settled) {
  const input = element("input", { type: "range", id, min: low, max: high, step: 0.01 });
  const value = element("span", { class: "value", "aria-hidden": "true" }); // the slider says it itself
  input.addEventListener("input", () => changed(Number(input.value)));
  input.addEventListener("change", settled);
  const box = element("div", { class: "slider" }, element("label", { for: id }, name), input, value);
  return {
    box,
    set(v) {
      input.value = v;
      value.textContent = v.toFixed(2);
    },
  };
}

// The pad: a place in the plane of two sliders. It is for pointers; the sliders beside it do the same.
export function pad(box, reach, changed, settled) {
  const dot = element("i");
  box.append(dot);
  const moved = (event) => {
    const { left, top, width, height } = box.getBoundingClientRect();
    const place = [(event.clientX - left) / width, 1 - (event.clientY - top) / height];
    changed(place.map((v) => reach * (2 * Math.min(1, Math.max(0, v)) - 1)));
  };
  box.addEventListener("pointerdown", (event) => {
    box.setPointerCapture(event.pointerId);
    moved(event);
  });
  box.addEventListener("pointermove", (event) => {
    if (box.hasPointerCapture(event.pointerId)) moved(event);
  });
  box.addEventListener("lostpointercapture", settled);
  return {
    set(x, y) {
      dot.style.left = `${50 * (1 + x / reach)}%`;
      dot.style.top = `${50 * (1 - y / reach)}%`;
    },
  };
}

// The judge's P(digit) over the attack's steps as an SVG, a line a model.
export class Chart {
  constructor(box, steps) {
    Object.assign(this, { box, steps });
  }

  clear(digit) {
    const [w, h, left, foot] = [430, 190, 34, 34];
    this.place = (step, p) => `${left + (step / this.steps) * (w - left - 76)},${18 + (1 - p) * (h - foot - 18)}`;
    const svg = (tag, attributes, text = "") => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      made.textContent = text;
      return made;
    };
    const root = svg("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": `The judge's mean P(${digit}) over the steps.` });
    for (const p of [0, 0.5, 1]) {
      root.append(svg("polyline", { points: `${this.place(0, p)} ${this.place(this.steps, p)}`, class: "grid" }));
      const [x, y] = this.place(0, p).split(",").map(Number);
      root.append(svg("text", { x: x - 6, y: y + 4, "text-anchor": "end" }, String(p)));
    }
    for (const step of [0, this.steps]) {
      const [x, y] = this.place(step, 0).split(",").map(Number);
      root.append(svg("text", { x, y: y + 16, "text-anchor": "middle" }, String(step)));
    }
    const [middle, bottom] = this.place(this.steps / 2, 0).split(",").map(Number);
    root.append(svg("text", { x: middle, y: bottom + 28, "text-anchor": "middle" }, `step (vertical: judge's mean P(${digit}))`));
    this.lines = {};
    for (const model of ["amnesiac", "control"]) {
      const line = svg("polyline", { class: `line ${model}`, points: "" });
      const name = svg("text", { class: "name" }, model);
      root.append(line, name);
      this.lines[model] = { line, name };
    }
    this.box.replaceChildren(root);
  }

  add(step, p) {
    for (const [model, drawn] of Object.entries(this.lines)) {
      drawn.line.setAttribute("points", `${drawn.line.getAttribute("points")} ${this.place(step, p[model])}`);
      const [x, y] = this.place(step, p[model]).split(",").map(Number);
      const other = p[model === "amnesiac" ? "control" : "amnesiac"]; // names do not lie on one another
      const aside = Math.abs(other - p[model]) < 0.09 ? (p[model] >= other ? -4 : 12) : 4;
      drawn.name.setAttribute("x", x + 7);
      drawn.name.setAttribute("y", y + aside);
    }
  }
}
