"""How the gallery's settings were chosen: a few values of one setting for each method, on seeds
and on the third of the test images that no reported figure uses.

    python benchmarks/tune.py                       all: two hours on one core
    python benchmarks/tune.py naive                 one method
    python benchmarks/tune.py naive weight=0.3      one more value

A trial is judged by no classifier: how far the label is erased under the best condition and what
the kept labels paid, against one control, by energies (`metrics.description`) and in true nats
(`metrics.likelihood`); and, by energies, how far it is erased under its own condition. README.md
here says what was chosen.
"""

from __future__ import annotations

import argparse
import ast
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import torch

from selective_amnesia import Diverged, Lab
from selective_amnesia.config import ForgetConfig
from selective_amnesia.forgetting import METHODS, forget, title
from selective_amnesia.metrics.description import code_length, description_length
from selective_amnesia.metrics.likelihood import as_pixels, log_likelihood, strongest_condition
from selective_amnesia.models.cvae import OneHotCVAE, one_hot
from selective_amnesia.training.random import seeded

SEED = 7
TRIALS: dict[str, list[dict[str, float]]] = {
    "selective_amnesia": [{"lam": lam} for lam in (10.0, 30.0, 100.0, 300.0)],
    "without_ewc": [{"lr": lr} for lr in (1e-3, 4e-3, 1e-2)],
    "without_replay": [{"lam": lam} for lam in (1.0, 10.0, 100.0, 1e3, 1e4)],
    "naive": [
        *({"weight": w, "lr": lr} for lr in (4e-3, 1e-4) for w in (0.01, 0.1, 1.0)),
        {"weight": 1e-3, "lr": 1e-4},
    ],
    "symmetric_projection": [{"lr": lr} for lr in (1e-3, 4e-3, 1e-2)],
    "alternating_projection": [{"lr": lr} for lr in (1e-3, 4e-3, 1e-2)],
    "concept_swap": [{"lam": lam} for lam in (10.0, 30.0, 100.0)],
    "salun": [{"share": share} for share in (0.1, 0.5, 0.9)],
    "fine_tuning": [{"lr": lr} for lr in (1e-3, 4e-3, 1e-2, 2e-2, 3e-2)],
    "distillation": [
        *({"lr": lr} for lr in (2e-3, 4e-3, 1e-2)),
        {"lr": 4e-3, "steps": 4000},
    ],
    "undo": [{"alpha": alpha} for alpha in (0.2, 0.8)],
    "adversarial": [
        {"attack_steps": 1, "attack_lr": 0.05, "gamma": 1.0},
        *({"attack_lr": lr, "gamma": 1.0} for lr in (0.01, 0.05, 0.2)),
        *({"gamma": gamma} for gamma in (4.0, 16.0)),
    ],
    "stereo": [{"rounds": n} for n in (1, 4)],
    "another_control": [{"lr": lr} for lr in (1e-3, 4e-3)],
    "calibrated_amnesia": [
        {},
        {"student_lr": 8e-3},
        {"push": 0.0},
        {"gap": 0.05},
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("method", nargs="?", choices=TRIALS)
    parser.add_argument("setting", nargs="*", help="NAME=VALUE of one trial")
    parser.add_argument("--label", type=int, default=0)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    lab = Lab.open("fast", options.seed)
    wanted = {options.method: TRIALS[options.method]} if options.method else TRIALS
    if options.setting:
        pairs = (setting.split("=") for setting in options.setting)
        wanted = {options.method: [{name: ast.literal_eval(value) for name, value in pairs}]}
    for method, trials in wanted.items():
        for changes in trials:
            print(trial(lab, method, options.label, changes), flush=True)


def trial(lab: Lab, method: str, label: int, changes: Mapping[str, float]) -> str:
    """One line of the table: erasure and cost in true nats, the same by energies, erasure under the
    label's own condition, seconds. Under its own a label that is silent is above 1."""
    original = lab.cvae()
    config = METHODS.settings(method, ForgetConfig, lab.profile, **changes)
    name = f"| {title(method)} | {', '.join(f'{k} {v:g}' for k, v in changes.items())} "
    started = time.perf_counter()
    try:
        model, _ = forget(
            method,
            original,
            lab.fisher(),
            (label,),
            config,
            seed=11,
            data=lab.data,
            control=lab.control,
        )
    except Diverged:
        return f"{name}| diverged | | | | | |"
    seconds = time.perf_counter() - started
    cells = []
    for of_label, of_others in ((true_nats, kept_true_nats), (nats_of, kept_nats)):  # energies last
        known, never, before = yardstick(lab, label, of_label, of_others)
        erased = (of_label(lab, model, label) - known) / (never - known)
        cells += [f"{erased:.2f}", f"{of_others(lab, model, label) - before:.2f}"]
    silent = (own_nats(lab, model, (label,), 100) - known) / (never - known)
    return f"{name}| {' | '.join(cells)} | {silent:.2f} | {seconds:.0f} |"


Measure = Callable[[Lab, OneHotCVAE, int], float]


@cache
def yardstick(
    lab: Lab, label: int, of_label: Measure, of_others: Measure
) -> tuple[float, float, float]:
    """The nats of original and control for a label, and of the original for the others."""
    original = lab.cvae()
    ends = (of_label(lab, m, label) for m in (original, lab.control([label])))
    return *ends, of_others(lab, original, label)


def true_nats(lab: Lab, model: OneHotCVAE, label: int) -> float:
    """True nats of a label's real images, under the condition that serves others of them best."""
    how = replace(lab.profile.likelihood, images=50)
    with seeded(label, lab.device):
        x = as_pixels(lab.data.third(label, "tune", 100), how.pixels)
        c = strongest_condition(model, x[::2], how)
        return float(log_likelihood(model, x[1::2], c, how).nats.mean())


def kept_true_nats(lab: Lab, model: OneHotCVAE, label: int, count: int = 20) -> float:
    """True nats of real images of all other labels, each under its own."""
    how, kept = lab.profile.likelihood, others(lab, label)
    with seeded(label, lab.device):
        x = torch.cat([lab.data.third(k, "tune", count) for k in kept])
        c = one_hot(kept, lab.data.classes, x.device).repeat_interleave(count, 0)
        return float(log_likelihood(model, as_pixels(x, how.pixels), c, how).nats.mean())


def kept_nats(lab: Lab, model: OneHotCVAE, label: int) -> float:
    """Energies of real images of all other labels, each under its own."""
    return own_nats(lab, model, others(lab, label))


def others(lab: Lab, label: int) -> tuple[int, ...]:
    """All labels but one."""
    return tuple(k for k in range(lab.data.classes) if k != label)


def nats_of(lab: Lab, model: OneHotCVAE, label: int) -> float:
    """Energies of a label's real images under the best condition."""
    x = lab.data.third(label, "tune", 100)
    return float(description_length(model, x, lab.profile.description).mean())


def own_nats(lab: Lab, model: OneHotCVAE, labels: Sequence[int], count: int = 60) -> float:
    """Energies of real images of the labels, each under its own."""
    x = torch.cat([lab.data.third(label, "tune", count) for label in labels])
    c = one_hot(labels, lab.data.classes, x.device).repeat_interleave(count, 0)
    return float(code_length(model, x, c, replace(lab.profile.description, steps=150)).mean())


if __name__ == "__main__":
    main()
