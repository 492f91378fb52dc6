"""Seeds and batches: everything random in a training, and the steps at which it is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[list[Generator]]:
    """Within it torch's default generators start from `seed`; after it they are as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        generators = [torch.default_generator]
        if device.type == "cuda":
            generators.append(torch.cuda.default_generators[device.index or 0])
        yield generators


def eval_steps(steps: int, frames: int) -> tuple[int, ...]:
    """At most `frames` + 1 steps from 0 to `steps`, closer together where learning is fast."""
    return tuple(sorted({round(steps * (i / frames) ** 2) for i in range(frames + 1)}))


class Batches:
    """Batches without replacement: each epoch a new shuffle, a function of (seed, epoch) alone.

    Args:
        tensors: any number of tensors with the same first dimension N.
        batch_size: B.
        last: keep the incomplete batch at an epoch's end.
    """

    def __init__(self, *tensors: Tensor, batch_size: int, seed: int, last: bool = False) -> None:
        self.tensors, self.seed = tensors, seed
        self.size = min(batch_size, len(tensors[0]))
        self.per_epoch = -(-len(tensors[0]) // self.size) if last else len(tensors[0]) // self.size
        self.epoch = -1

    def __call__(self, step: int) -> tuple[Tensor, ...]:
        """The batch of a step, one (B, ...) for each tensor."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(len(self.tensors[0]), generator=generator)
            self.order, self.epoch = order.to(self.tensors[0].device), epoch
        rows = self.order[position * self.size : (position + 1) * self.size]
        return tuple(t[rows] for t in self.tensors)
