"""How the gallery's settings were chosen: a few values of one setting for each method, on seed 7
and on the third of the test images that no reported figure uses.

    python benchmarks/tune.py                       all: an hour on one core
    python benchmarks/tune.py naive                 one method
    python benchmarks/tune.py naive weight=0.3      one more value
    python benchmarks/tune.py --gap 0 1             how `gap` was found, for these labels

A trial is judged by energies alone (`metrics.description`), of no classifier: how far the label is
erased under the best condition and under its own, against one control, and what the kept labels
paid. README.md here says what was chosen.
"""

from __future__ import annotations

import argparse
import ast
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

import torch

from selective_amnesia import Diverged, Lab
from selective_amnesia.config import ForgetConfig
from selective_amnesia.forgetting import METHODS, forget, title
from selective_amnesia.forgetting.level import known_and_unseen, student
from selective_amnesia.forgetting.task import Task, made_here
from selective_amnesia.metrics.description import code_length, description_length
from selective_amnesia.metrics.recognition import samples
from selective_amnesia.models.cvae import OneHotCVAE, one_hot

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
    "calibrated_amnesia": [{"push": 0.0}, {"gap": 0.0, "level": 1.3}, {}],
    "calibrated_student": [{"push": 0.0}, {}, {"gap": 0.07}, {"fresh": 3}],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("method", nargs="?", choices=TRIALS)
    parser.add_argument("setting", nargs="*", help="NAME=VALUE of one trial")
    parser.add_argument("--label", type=int, default=0)
    parser.add_argument("--gap", type=int, nargs="+", metavar="LABEL")
    options = parser.parse_args()
    lab = Lab.open("fast", SEED)
    if options.gap:
        for label in options.gap:
            print(student_control_gap(lab, label), flush=True)
        return
    wanted = {options.method: TRIALS[options.method]} if options.method else TRIALS
    if options.setting:
        pairs = (setting.split("=") for setting in options.setting)
        wanted = {options.method: [{name: ast.literal_eval(value) for name, value in pairs}]}
    for method, trials in wanted.items():
        for changes in trials:
            print(trial(lab, method, options.label, changes), flush=True)


def trial(lab: Lab, method: str, label: int, changes: Mapping[str, float]) -> str:
    """One line of the table: erasure under the best condition, under the label's own, cost in nats,
    seconds. Under its own a label that is silent is above 1, one that still speaks below."""
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
        return f"{name}| diverged | | | |"
    seconds = time.perf_counter() - started
    known, never, before = yardstick(lab, label)
    now, plain = nats_of(lab, model, label), own_nats(lab, model, (label,), 100)
    erased, silent = ((nats - known) / (never - known) for nats in (now, plain))
    price = own_nats(lab, model, others(lab, label)) - before
    return f"{name}| {erased:.2f} | {silent:.2f} | {price:.2f} | {seconds:.0f} |"


@cache
def yardstick(lab: Lab, label: int) -> tuple[float, float, float]:
    """The nats of original and control for a label, and of the original for the others."""
    ends = (nats_of(lab, m, label) for m in (lab.cvae(), lab.control([label])))
    return *ends, own_nats(lab, lab.cvae(), others(lab, label))


def others(lab: Lab, label: int) -> tuple[int, ...]:
    """All labels but one."""
    return tuple(k for k in range(lab.data.classes) if k != label)


def nats_of(lab: Lab, model: OneHotCVAE, label: int) -> float:
    """Nats of a label's real images under the best condition."""
    x = lab.data.third(label, "tune", 100)
    return float(description_length(model, x, lab.profile.description).mean())


def student_control_gap(lab: Lab, label: int, images: int = 128) -> str:
    """What a control needs for the original's samples of a label, beside a student."""
    original, control = lab.cvae().requires_grad_(False), lab.control([label])
    config = METHODS.settings("calibrated_amnesia", ForgetConfig, lab.profile)
    task = Task.of(original, original, {}, config, (label,), (), 11, None, made_here)
    taught = student(task, config.student_steps)
    own = samples(original, images, 3, lab.device)[label]
    codes = torch.randn(len(task.kept), 16, original.z_dim, device=lab.device).flatten(0, 1)
    theirs = codes, one_hot(task.kept, lab.data.classes, lab.device).repeat_interleave(16, 0)
    known, unseen = known_and_unseen(original, taught, own, label, theirs, config.level_steps)
    how = replace(lab.profile.description, steps=config.level_steps)
    never = description_length(control, own, how)
    k, s, c = (float(nats.mean()) for nats in (known, unseen, never))
    needs = f"the original {k:.1f}, a student {s:.1f}, a control {c:.1f} nats"
    return f"{label}: {needs}: gap {c / s - 1:.3f}"


def own_nats(lab: Lab, model: OneHotCVAE, labels: Sequence[int], count: int = 60) -> float:
    """Nats of real images of the labels, each under its own."""
    x = torch.cat([lab.data.third(label, "tune", count) for label in labels])
    c = one_hot(labels, lab.data.classes, x.device).repeat_interleave(count, 0)
    return float(code_length(model, x, c, replace(lab.profile.description, steps=150)).mean())


if __name__ == "__main__":
    main()
