"""What the speed-ups that complicate the code are worth: each with and without, in turns.

    OMP_NUM_THREADS=1 python benchmarks/tricks.py

    bfloat16       200 training steps of the CVAE by profile `fast`
    frozen         attack A, 60 steps, through the judge and two surrogate classifiers as
                   `models.classifiers.frozen` arranges them, or as they were trained
    dropped        attack A, 60 steps: starts that are behind are dropped after 40 %, or never

The recorded steps (`training.cuda_graph`) are a GPU's; `make bench-gpu` is where they show.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from unittest.mock import patch

from measure import in_turns

from selective_amnesia import Lab
from selective_amnesia.attacks import robust, search
from selective_amnesia.attacks.search import AttackTask
from selective_amnesia.training import loop
from selective_amnesia.training.cvae import train_cvae

Side = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    lab = Lab.open("smoke", dataset=options.dataset)  # its networks are small and cheap
    for name, (with_it, without) in {
        "bfloat16": _bfloat16(Lab.open("fast", dataset=options.dataset)),
        "frozen": _frozen(lab),
        "dropped": _dropped(lab),
    }.items():
        with_it(), without()  # the first is slower
        times = in_turns(with_it, without, options.turns)
        ratios = sorted(b / a for a, b in zip(*times, strict=True))
        print(
            f"{name}: {median(times[0]):.2f} s with, {median(times[1]):.2f} s without, "
            f"{median(ratios):.2f} times ({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )


def _bfloat16(lab: Lab) -> tuple[Side, Side]:
    brief = replace(lab.profile.cvae, steps=200, warmup=10, kl_warmup=0)
    plain = replace(brief, bfloat16=False)
    print(f"this processor is {'' if loop.fast_in_bfloat16(lab.device) else 'not '}fast in it")
    return tuple((lambda c=c: train_cvae(lab.data, c, seed=0)) for c in (brief, plain))


def _attack(lab: Lab, **changes: float) -> Side:
    settings = replace(lab.profile.attack, steps=60, codes=16, surrogates=2, **changes)
    model, judge = lab.amnesiac({0}), lab.judge()
    surrogates = [lab.surrogate(k) for k in range(2)]
    real, alike = lab.data.of(0, 200), lab.measure.perceptual

    def attack() -> object:
        return robust.recover(
            AttackTask(model, judge, 0, real, alike, settings, surrogates, seed=0)
        )

    return attack


def _frozen(lab: Lab) -> tuple[Side, Side]:
    attack = _attack(lab)

    def plain() -> object:
        with patch.object(search, "frozen", lambda network: network.eval()):
            return attack()

    return attack, plain


def _dropped(lab: Lab) -> tuple[Side, Side]:
    return _attack(lab), _attack(lab, settle=1.0)


if __name__ == "__main__":
    main()
