// The attack as the page shows it: both models at once, step by step, then tried on fresh codes.
import { Attack, RACE, STEPS } from "./attack.js";
import { CLASSES, oneHot } from "./decoder.js";
import { $, Chart, element, likeliest, paint, percent, picture } from "./widgets.js";

const CODES = 8, FRESH = 64;
const ATTACKED = ["amnesiac", "control"];
const RECORD = "https://github.com/selective-amnesia-lab/selective-amnesia-lab/blob/main/";

const breathe = () => new Promise((go) => setTimeout(go)); // lets the browser draw, and hands act

export class AttackView {
  // `newCode()` draws a code; `take(c)` puts a condition into the sliders.
  constructor(newCode, take) {
    Object.assign(this, { newCode, take, running: false });
    this.chart = new Chart($("chart"), STEPS);
    $("attack").addEventListener("click", () => {
      if (this.running) this.running = false;
      else this.run();
    });
  }

  // Other networks: what the last attack found is theirs no longer.
  open(nets, forgotten) {
    Object.assign(this, { nets, rows: null, running: false });
    this.starts = [...Array(CLASSES).keys()].filter((k) => !forgotten.includes(k)).map(oneHot);
    $("target").replaceChildren(...forgotten.map((k) => element("option", { value: k }, String(k))));
    $("target-box").hidden = forgotten.length === 1;
    for (const id of ["chart", "results", "meaning"]) $(id).replaceChildren();
    $("progress").textContent = "";
  }

  lay(target) {
    this.chart.clear(target);
    $("meaning").replaceChildren();
    this.rows = Object.fromEntries(ATTACKED.map((model) => [model, new Row(model)]));
    $("results").replaceChildren(...ATTACKED.map((model) => this.rows[model].box));
  }

  async run() {
    const { nets, starts } = this, target = Number($("target").value);
    const codes = Array.from({ length: CODES }, this.newCode);
    const searches = ATTACKED.map((model) => new Attack(nets[model], nets.judge, target, codes, starts));
    const found = {};
    this.running = true;
    $("attack").textContent = "Stop";
    this.lay(target);
    const { rows } = this; // gone once other networks are shown or another attack begins
    for (let step = 0; step <= STEPS && this.running; step++) {
      searches.forEach((search, k) => {
        found[ATTACKED[k]] = search.step();
        rows[ATTACKED[k]].show(found[ATTACKED[k]].images, "the search's best, on the codes of the search");
      });
      this.chart.add(step, { amnesiac: found.amnesiac.p, control: found.control.p });
      const where = step < RACE ? `from ${starts.length} digits at once` : "the best goes on";
      $("progress").textContent = `step ${step} of ${STEPS}, ${where}`;
      await breathe();
    }
    $("attack").textContent = "Attack both";
    if (rows !== this.rows) return;
    $("progress").textContent = this.running ? "done" : "stopped";
    this.running = false;
    await this.tryOn(found, target, rows);
  }

  // What the conditions found do with codes that the search did not use; what is on record.
  async tryOn(found, target, rows) {
    const { nets } = this, fresh = Array.from({ length: FRESH }, this.newCode), seen = {};
    for (const model of ATTACKED) {
      const images = fresh.map((code) => nets[model].decode(code, found[model].c));
      const judge = images.map((x) => nets.judge.probabilities(x)[target]);
      await breathe();
      const quick = images.filter((x) => likeliest(nets.quick.probabilities(x)) === target).length;
      if (rows !== this.rows) return;
      seen[model] = { judge: judge.reduce((a, b) => a + b) / FRESH, quick };
      const row = rows[model];
      row.show(images, "the condition that it found, with fresh codes");
      row.canvases.forEach((canvas, k) => canvas.setAttribute("aria-label",
        `${model}, fresh code ${k + 1}: the judge gives ${target} ${percent(judge[k])}`));
      const words = `${FRESH} fresh codes: judge's mean P(${target}) ${seen[model].judge.toFixed(2)}; the quick member takes ${quick} for a ${target}.`;
      row.box.append(element("p", {}, words), this.taker(found[model].c));
      this.recall(row, nets.about.models[model][target].robust, target);
      await breathe();
    }
    if (rows !== this.rows) return;
    $("meaning").replaceChildren(...meaning(target, seen));
  }

  taker(c) {
    const button = element("button", { type: "button" }, "Put this condition into the sliders");
    button.addEventListener("click", () => this.take(c));
    return button;
  }

  // The lab's attack A on the same network, as it is recorded beside the weights.
  recall(row, { c, z, of }, target) {
    const before = new Row(row.model);
    before.show(z.map((code) => this.nets[row.model].decode(code, c)),
      "on record: the lab's attack A, a longer search with sixteen codes and more terms");
    const words = `${of.images} fresh codes: judge's mean P(${target}) ${of.judge.toFixed(2)}; the whole panel takes ${percent(of.panel)} for a ${target}.`;
    row.box.append(before.note, before.grid, element("p", {}, words), this.taker(c));
  }
}

// A model's name and a grid of eight pictures.
class Row {
  constructor(model) {
    this.model = model;
    this.canvases = Array.from({ length: CODES }, (_, k) => picture(`${model}, picture ${k + 1}`));
    this.note = element("p", { class: "hint" });
    this.grid = element("div", { class: "grid" }, ...this.canvases);
    const name = element("h3", {}, element("span", { class: `chip ${model}` }, model));
    this.box = element("div", {}, name, this.note, this.grid);
  }

  show(images, note) {
    this.canvases.forEach((canvas, k) => { if (images[k]) paint(canvas, images[k]); });
    this.note.textContent = note;
  }
}

// What the result says, and what it does not.
export function meaning(target, { amnesiac, control }) {
  const figures = `${amnesiac.judge.toFixed(2)} on the amnesiac, ${control.judge.toFixed(2)} on the control`;
  const sure = [amnesiac.judge >= 0.5, control.judge >= 0.5];
  const first = sure[0] && sure[1]
    ? `The search found something in both. The judge's mean P(${target}) is ${figures}, and the control never saw a ${target}. So one CNN's confidence is no proof that the amnesiac still knew the digit: a search for what pleases a classifier finds it in either network.`
    : sure[0] || sure[1]
      ? `This time the search convinced the judge on the ${sure[0] ? "amnesiac" : "control"} only: its mean P(${target}) is ${figures}. That is one short search with one draw of codes. Attack again, and look at what is on record, before you conclude anything.`
      : `This time the search convinced the judge on neither: its mean P(${target}) is ${figures}. That is no proof that the digit is gone: attack again, and look at what is on record.`;
  const link = (file, text) => element("a", { href: RECORD + file }, text);
  return [
    element("h3", {}, "What this means"),
    element("p", {}, first),
    element("p", {}, `Now look at the pictures. Which of them would you call a ${target}? Compare line, grain and gaps on the two sides. The quick member, which the search did not ask, takes ${amnesiac.quick} of ${FRESH} for a ${target} on the amnesiac and ${control.quick} on the control; it is one classifier as well, and can be wrong.`),
    element("p", {}, "This was one pair of networks. Over eight originals, read by a panel of four classifiers and by eye, more zeros come back from amnesiacs than from controls where 0 and 1 were forgotten together; for a 0 forgotten alone the panel's difference may be nothing; and by energy, another instrument (", link("notebooks/08_calibrated_audit.ipynb", "notebook 08"), "), the same digits look erased. ", link("docs/attacks.md", "The record"), " has the figures; ", link("notebooks/07_recovery_attack.ipynb", "notebook 07"), " has the attacks and shows how to read them."),
  ];
}
