"""Whether the judge's convolutions as matrix products (`models.frozen`) pay: attack A through them
and through the judge's own, in turns.

    OMP_NUM_THREADS=1 python benchmarks/attacks.py
    OMP_NUM_THREADS=1 python benchmarks/attacks.py --profile smoke --dataset digits --steps 30

Prints the seconds of both, their ratio and what both found. The plain judge is frozen too, with
channels last. Its batch normalisation is one kernel of torch's: it cannot go into the convolutions,
because the attack reads the maps before it.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import replace
from statistics import median

import torch
import torch.nn.functional as F
from measure import in_turns
from torch import Tensor, nn

from selective_amnesia import Lab
from selective_amnesia.attacks import robust
from selective_amnesia.attacks.search import AttackTask, Recovered
from selective_amnesia.metrics.perceptual import JudgeFeatures
from selective_amnesia.models.classifiers import Judge


class PlainJudge(nn.Module):
    """A frozen copy of the judge in torch's convolutions, with `FrozenJudge`'s interface."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        judge = copy.deepcopy(judge).eval().requires_grad_(False)
        self.judge = judge.to(memory_format=torch.channels_last)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, 784) to maps (N, 24, 24, 10) and (N, 8, 8, 20)."""
        shallow = self.judge.conv1(x.view(-1, 28, 28, 1).permute(0, 3, 1, 2))
        h = F.relu(F.max_pool2d(self.judge.bn1(shallow), 2))
        return shallow.permute(0, 2, 3, 1), self.judge.conv2(h).permute(0, 2, 3, 1)

    def classify(self, deep: Tensor) -> Tensor:
        """The second convolution's maps (N, 8, 8, 20) to logits (N, classes)."""
        logits: Tensor = self.judge.classify(deep.permute(0, 3, 1, 2))
        return logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="fast")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--label", type=int, default=0)
    parser.add_argument("--codes", type=int, default=16)
    parser.add_argument("--steps", type=int, help="of the attack; the profile's by default")
    parser.add_argument("--turns", type=int, default=9)
    options = parser.parse_args()
    lab = Lab.open(options.profile, dataset=options.dataset)
    steps = options.steps or lab.profile.attack.steps
    config = replace(lab.profile.attack, steps=steps, codes=options.codes)
    model, judge = lab.amnesiac({options.label}), lab.judge()
    real = lab.data.of(options.label, config.real)
    found: dict[str, Recovered] = {}

    def attack(who: str) -> None:
        alike = JudgeFeatures(judge)  # which this attack does not ask
        task = AttackTask(model, judge, options.label, real, alike, config, [], seed=0)
        if who == "plain":
            task.judge = PlainJudge(judge)
        found[who] = robust.recover(task)

    for who in ("frozen", "plain"):
        attack(who)  # the first is slower
    times = dict(
        zip(
            ("frozen", "plain"),
            in_turns(lambda: attack("frozen"), lambda: attack("plain"), options.turns, lab.device),
            strict=True,
        )
    )
    for who, each in times.items():
        print(f"{who}: {median(each):.2f} s ({min(each):.2f} to {max(each):.2f}),", end=" ")
        print(f"objective {found[who].objective:.4f} from start {found[who].start}")
    ratios = [plain / frozen for frozen, plain in zip(*times.values(), strict=True)]
    print(f"plain / frozen: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f} a turn)")


if __name__ == "__main__":
    main()
