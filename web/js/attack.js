// The attack of notebook 07's loop: Adam on the condition c, through decoder and judge.
//
//     minimise   1/K sum_k [ -log p(t | x_k) + tv(x_k) / 2 ],     x_k = decoder(z_k, c)
//
// over K fixed codes; t is the digit sought, p the judge, tv the total variation. It starts from
// several conditions, with half of the codes; then the best of them goes on alone, with all.
import { CLASSES, SIDE } from "./decoder.js";

export const STEPS = 150, RACE = 40;
const TV = 0.5, RATE = 0.1, DECAY = [0.9, 0.999];

// `TV` times the total variation, the mean difference of neighbours along rows plus that along
// columns; its gradient is added to dx (784).
function variation(x, dx) {
  const share = TV / (SIDE * (SIDE - 1));
  let sum = 0;
  for (let k = 0; k < x.length; k++) {
    for (const next of [k % SIDE < SIDE - 1 ? k + 1 : k, k + SIDE < x.length ? k + SIDE : k]) {
      const slope = share * Math.sign(x[next] - x[k]);
      sum += slope * (x[next] - x[k]);
      dx[next] += slope;
      dx[k] -= slope;
    }
  }
  return sum;
}

// The objective, its gradient by c (10), the judge's mean P(target), and the images.
export function gradient(decoder, judge, target, codes, c) {
  const slope = new Float64Array(CLASSES), images = [], share = 1 / codes.length;
  let p = 0, objective = 0;
  for (const z of codes) {
    const x = decoder.decode(z, c);
    const said = judge.probabilities(x)[target];
    const dx = judge.imageGradient(target);
    objective += share * (variation(x, dx) - Math.log(Math.max(said, 1e-30)));
    decoder.conditionGradient(dx).forEach((d, k) => { slope[k] += share * d; });
    p += share * said;
    images.push(x);
  }
  return { objective, slope, p, images };
}

// Adam on one condition.
class Descent {
  constructor(c) {
    this.c = Float64Array.from(c);
    this.mean = new Float64Array(CLASSES);
    this.square = new Float64Array(CLASSES);
    this.steps = 0;
  }

  move(slope) {
    this.steps++;
    const [m, s] = DECAY;
    slope.forEach((d, k) => {
      this.mean[k] = m * this.mean[k] + (1 - m) * d;
      this.square[k] = s * this.square[k] + (1 - s) * d * d;
      const size = Math.sqrt(this.square[k] / (1 - s ** this.steps)) + 1e-8;
      this.c[k] -= (RATE * this.mean[k]) / (1 - m ** this.steps) / size;
    });
  }
}

export class Attack {
  constructor(decoder, judge, target, codes, starts) {
    Object.assign(this, { decoder, judge, target, codes });
    this.left = starts.map((c) => new Descent(c));
  }

  // One step of all that are left; returns what `gradient` said before it of the best, and its c.
  step() {
    const codes = this.left.length > 1 ? this.codes.slice(0, this.codes.length / 2) : this.codes;
    const said = this.left.map(({ c }) => ({
      c: c.slice(), ...gradient(this.decoder, this.judge, this.target, codes, c),
    }));
    this.left.forEach((one, k) => one.move(said[k].slope));
    const best = said.reduce((a, b) => (b.objective < a.objective ? b : a));
    if (this.left[0].steps === RACE) this.left = [this.left[said.indexOf(best)]];
    return best;
  }
}
