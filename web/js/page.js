// The page: loads a forget set's networks, and shows what they draw for the state as it stands.
import { AttackView } from "./attack_view.js";
import { Judge, Quick } from "./classifiers.js";
import { CLASSES, CODE, Decoder, mainAxes, slerp } from "./decoder.js";
import { parse, read } from "./safetensors.js";
import { REACH, condition, fromLink, opening, toLink } from "./state.js";
import { $, Card, element, inWords, pad, slider } from "./widgets.js";

const MODELS = ["original", "amnesiac", "control"];
const FILM = 5000; // milliseconds

let sets, state, nets, cards, axes, attack;
let film = 0; // the number of the animation frame that comes next

function say(text, error = false) {
  $("message").textContent = text;
  $("message").className = error ? "error" : "";
}

// A number from the standard normal distribution (Box and Muller), within the sliders' reach.
function normal() {
  const v = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return Math.min(REACH, Math.max(-REACH, v));
}
const newCode = () => Array.from({ length: CODE }, normal);

function parsed(bytes, name) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Error(`${name} is damaged (no JSON): fetch it again or export it anew.`);
  }
}

async function load(set) {
  const open = async (Net, name) => {
    const path = `models/${set}/${name}.safetensors`;
    return new Net(parse(await read(path), path), path);
  };
  const facts = `models/${set}/about.json`, about = parsed(await read(facts), facts);
  for (const label of set.split("_")) {
    for (const model of ["amnesiac", "control"]) {
      if (!about?.models?.[model]?.[label]?.robust) throw new Error(`${facts} holds no attack on the ${model}: export it anew.`);
    }
  }
  const [judge, quick, ...decoders] = await Promise.all([
    open(Judge, "judge"), open(Quick, "quick"), ...MODELS.map((name) => open(Decoder, name)),
  ]);
  return { set, about, judge, quick, ...Object.fromEntries(MODELS.map((name, k) => [name, decoders[k]])) };
}

// Draws everything as the state has it; what the classifier says of each picture.
function draw() {
  const c = condition(state);
  const said = MODELS.map((name) => {
    const x = nets[name].decode(state.z, c);
    const p = nets.quick.probabilities(x);
    cards[name].show(x, p);
    return `${name} ${inWords(p)}`;
  });
  $("from").value = state.from;
  $("to").value = state.to;
  widgets.mix.set(state.mix);
  widgets.condition.forEach((one, k) => one.set(c[k]));
  widgets.along.forEach((one, k) => one.set(state.z[axes[k]]));
  widgets.pad.set(state.z[axes[0]], state.z[axes[1]]);
  return said;
}

// A hand has come to rest: the link follows, and a screen reader hears what is to be seen.
function settle() {
  history.replaceState(null, "", toLink(state));
  $("said").textContent = draw().join(", ");
}

function change(part) {
  stopFilm();
  Object.assign(state, part);
  draw();
}

function stopFilm() {
  cancelAnimationFrame(film);
  film = 0;
  $("play").textContent = "Play";
}

// From one label to the other, the code along a great circle to a new one (notebook 05's film).
function play() {
  if (film) return stopFilm();
  const [begun, start, end] = [performance.now(), state.z, newCode()];
  const frame = (now) => {
    const mix = Math.min(1, Math.max(0, now - begun) / FILM);
    const z = slerp(start, end, mix).map((v) => Math.min(REACH, Math.max(-REACH, v)));
    Object.assign(state, { c: null, mix, z });
    draw();
    if (mix < 1) film = requestAnimationFrame(frame);
    else {
      stopFilm();
      settle();
    }
  };
  $("play").textContent = "Stop";
  film = requestAnimationFrame(frame);
}

const widgets = {};

function build() {
  for (const id of ["from", "to"]) {
    for (let k = 0; k < CLASSES; k++) $(id).append(element("option", { value: k }, String(k)));
    $(id).addEventListener("change", () => {
      change({ [id]: Number($(id).value), c: null });
      settle();
    });
  }
  widgets.mix = slider("mix", "mix", 0, 1, (mix) => change({ mix, c: null }), settle);
  $("mix-box").append(widgets.mix.box);
  widgets.condition = Array.from({ length: CLASSES }, (_, k) =>
    slider(`c${k}`, `c${k}`, -REACH, REACH, (v) => change({ c: condition(state).map((old, i) => (i === k ? v : old)) }), settle));
  $("condition").append(...widgets.condition.map((one) => one.box));
  const along = (k, v) => change({ z: state.z.map((old, i) => (i === axes[k] ? v : old)) });
  widgets.along = ["across", "up"].map((name, k) => slider(name, name, -REACH, REACH, (v) => along(k, v), settle));
  $("axes").append(...widgets.along.map((one) => one.box));
  const place = ([x, y]) => change({ z: state.z.map((old, i) => (i === axes[0] ? x : i === axes[1] ? y : old)) });
  widgets.pad = pad($("pad"), REACH, place, settle);
  $("new").addEventListener("click", () => {
    change({ z: newCode() });
    settle();
  });
  $("play").addEventListener("click", play);
  $("set").append(...sets.map((set) => element("option", { value: set }, set.replaceAll("_", " and "))));
  $("set").addEventListener("change", () => orSay(() => show(opening($("set").value))));
  attack = new AttackView(newCode, (c) => {
    change({ c: Array.from(c, (v) => Math.min(REACH, Math.max(-REACH, v))) });
    settle();
    $("explore-title").scrollIntoView();
  });
}

// Shows a state, whose networks are fetched first where others are there.
async function show(next) {
  stopFilm();
  if (nets?.set !== next.set) {
    say("Loading the networks, 3.4 MB …");
    nets = await load(next.set);
    const forgotten = next.set.split("_").map(Number);
    cards = Object.fromEntries(MODELS.map((name) => [name, new Card(name, forgotten)]));
    $("cards").replaceChildren(...MODELS.map((name) => cards[name].box));
    axes = mainAxes(nets.original);
    attack.open(nets, forgotten);
  }
  say("");
  state = next;
  $("set").value = state.set;
  $("page").hidden = false;
  settle();
}

async function follow() {
  const { state: linked, nonsense } = fromLink(location.hash, sets);
  await show(linked);
  if (nonsense.length) say(`The link holds what the page cannot use (${nonsense.join(", ")}): that part is left out.`, true);
}

// Whatever goes wrong is a sentence at the top, and never an empty page.
async function orSay(work) {
  try {
    await work();
  } catch (error) {
    say(error.message, true);
    if (state) $("set").value = state.set;
  }
}

orSay(async () => {
  sets = parsed(await read("models/index.json"), "models/index.json");
  if (!Array.isArray(sets) || !sets.length) throw new Error("models/index.json has to be a list of the folders in models, as [\"0\"].");
  build();
  addEventListener("hashchange", () => orSay(follow));
  await follow();
});
