"""The one loop that every trained stage shares: steps, schedule, progress, snapshots, resume.

A stage hands `fit` its modules and a function that draws a batch and returns the loss. All
randomness of a run comes from torch's default generator, which `fit` seeds and whose state
travels in each snapshot together with weights, optimiser and history: a run that is killed and
resumed takes the same steps as one that was not, bit for bit on a CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .checkpoint import LabError
from .config import FitConfig, count

__all__ = [
    "MEMORY",
    "Batches",
    "Diverged",
    "Keeper",
    "fit",
    "frame_steps",
    "schedule",
    "seeded",
]

SLOWER = "Lower the learning rate and run it again."
MEMORY = "Close other notebooks that use the GPU or restart the runtime, and run it again."

Tensors = dict[str, Tensor]


class Diverged(RuntimeError):
    """The loss became NaN or infinite."""


class Keeper(Protocol):
    """Keeps a run's last snapshot, a flat dictionary of tensors; `lab.py` keeps it on disk."""

    def load(self) -> Tensors | None: ...

    def save(self, state: Tensors) -> None: ...


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within it torch's default generators start from `seed`; after it they are as they were."""
    count("seed", seed, 0)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def frame_steps(steps: int, frames: int) -> tuple[int, ...]:
    """At most `frames` + 1 steps from 0 to `steps`, closer together where learning is fast."""
    count("steps", steps)
    count("frames", frames)
    return tuple(sorted({round(steps * (i / frames) ** 2) for i in range(frames + 1)}))


def schedule(step: int, config: FitConfig) -> float:
    """The learning rate of a step: linear warm-up, then constant or linear decay to zero."""
    count("step", step, 0)
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if not config.decay:
        return config.lr
    return config.lr * (config.steps - step) / (config.steps - config.warmup)


class Batches:
    """Batches without replacement: each epoch a new shuffle, a function of (seed, epoch) alone.

    Args:
        tensors: any number of tensors with the same first dimension N.
        batch_size: B; the incomplete batch at an epoch's end is left out.
    """

    def __init__(self, *tensors: Tensor, batch_size: int, seed: int) -> None:
        lengths = {len(tensor) for tensor in tensors}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"tensors are of lengths {lengths}: use one length of at least 1")
        self.tensors, self.seed = tensors, count("seed", seed, 0)
        self.size = min(count("batch_size", batch_size), len(tensors[0]))
        self.per_epoch = len(tensors[0]) // self.size
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


def fit(
    model: nn.Module,
    loss: Callable[[int], Mapping[str, Tensor]],
    config: FitConfig,
    *,
    seed: int,
    label: str,
    watch: Callable[[int], Mapping[str, Tensor]] | None = None,
    watch_at: tuple[int, ...] = (),
    keeper: Keeper | None = None,
) -> Tensors:
    """Train `model` in place with Adam and return its history.

    Args:
        loss: step -> named scalars; the one called "loss" is minimised, all are recorded.
        config: steps, learning rate, schedule, how often to log and to save.
        label: what the progress bar says.
        watch: step -> named tensors (a picture, a test loss), recorded at the steps `watch_at`
            (0 is before the first step, `config.steps` after the last). It runs in evaluation
            mode, without gradients, and with random numbers of its own.
        keeper: where snapshots are kept; without one nothing survives the process.

    Returns:
        For each scalar its mean over every `config.log_every` steps or since the last save, (L,);
        "step", (L,), the last step of each mean; for each watched tensor its values,
        (len(watch_at), ...), and "watch_step"; "seconds", spent in all the sittings that it took.

    Raises:
        Diverged: the loss or the weights are not finite. The last snapshot stays as it was.
        LabError: the GPU has no memory left. The last snapshot stays as it was.
    """
    device = next(model.parameters()).device
    optimiser = torch.optim.Adam(model.parameters(), lr=config.lr, betas=config.betas, fused=True)
    history: dict[str, list[Tensor]] = {}
    seconds = 0.0
    first = 0

    def record(values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            history.setdefault(name, []).append(value)

    def observe(step: int) -> None:
        if watch is None or step not in watch_at:
            return
        model.eval()
        with torch.no_grad(), seeded(seed, device):
            record({"watch_step": torch.tensor(step), **watch(step)})
        model.train()

    def snapshot(step: int) -> Tensors:
        state = {f"model.{k}": v for k, v in model.state_dict().items()}
        for i, slots in optimiser.state_dict()["state"].items():
            state |= {f"adam.{i}.{k}": v for k, v in slots.items()}
        state |= {f"history.{k}": torch.stack([t.cpu() for t in v]) for k, v in history.items()}
        if device.type == "cuda":
            state["random.cuda"] = torch.cuda.get_rng_state(device)
        elapsed = torch.tensor(seconds + time.perf_counter() - started, dtype=torch.float64)
        return state | {
            "random.cpu": torch.get_rng_state(),
            "step": torch.tensor(step),
            "seconds": elapsed,
        }

    def restore(state: Tensors) -> tuple[int, float]:
        parts: dict[str, Tensors] = {"model": {}, "adam": {}, "history": {}, "random": {}}
        for name, tensor in state.items():
            group, _, rest = name.partition(".")
            if rest:
                parts[group][rest] = tensor
        model.load_state_dict(parts["model"])
        saved = optimiser.state_dict()
        for name, tensor in parts["adam"].items():
            i, _, slot = name.partition(".")
            saved["state"].setdefault(int(i), {})[slot] = tensor
        optimiser.load_state_dict(saved)
        history.update({k: list(v) for k, v in parts["history"].items()})
        torch.set_rng_state(parts["random"]["cpu"])
        if device.type == "cuda" and "cuda" in parts["random"]:  # else it was begun on a CPU
            torch.cuda.set_rng_state(parts["random"]["cuda"], device)
        return int(state["step"]), float(state["seconds"])

    with seeded(seed, device):
        started = time.perf_counter()
        if keeper is not None and (state := keeper.load()) is not None:
            first, seconds = restore(state)
        kept = first
        model.train()
        if first == 0:
            observe(0)
        recent: list[Mapping[str, Tensor]] = []
        with tqdm(total=config.steps, initial=first, desc=label, unit="step", mininterval=1) as bar:
            for step in range(first, config.steps):
                for group in optimiser.param_groups:
                    group["lr"] = schedule(step, config)
                try:
                    values = loss(step)
                    optimiser.zero_grad(set_to_none=True)
                    values["loss"].backward()
                    optimiser.step()
                except torch.OutOfMemoryError as error:
                    what = "the GPU ran out of memory"
                    raise LabError(f"{_stopped(label, what, step + 1, kept)} {MEMORY}") from error
                recent.append({k: v.detach() for k, v in values.items()})
                done = step + 1
                last = done == config.steps
                save = keeper is not None and done % config.save_every == 0 and not last
                if done % config.log_every == 0 or done % config.save_every == 0 or last:
                    record(_summary(recent, done, label, kept))
                    bar.set_postfix_str(f"loss {float(history['loss'][-1]):.4g}", refresh=False)
                    bar.update(len(recent))
                    recent = []
                observe(done)
                if save or last:
                    _check_weights(model, done, label, kept)
                if save:
                    keeper.save(snapshot(done))
                    kept = done
        seconds += time.perf_counter() - started
    model.eval()
    return {
        **{name: torch.stack([t.cpu() for t in values]) for name, values in history.items()},
        "seconds": torch.tensor(seconds, dtype=torch.float64),
    }


def _check_weights(model: nn.Module, done: int, label: str, kept: int) -> None:
    if not all(p.isfinite().all() for p in model.parameters()):
        what = "the weights became NaN or infinite"
        raise Diverged(f"{_stopped(label, what, done, kept)} {SLOWER}")


def _stopped(label: str, what: str, step: int, kept: int) -> str:
    state = f"its last good snapshot, of step {kept}, stands" if kept else "no snapshot was taken"
    return f"{label}: {what} at step {step}; the stage stopped and {state}."


def _summary(recent: list[Mapping[str, Tensor]], done: int, label: str, kept: int) -> Tensors:
    """The means of the recent steps' scalars: the only place where the loop waits for a GPU."""
    stacked = {k: torch.stack([values[k] for values in recent]).cpu() for k in recent[0]}
    bad = (~stacked["loss"].isfinite()).nonzero()
    if len(bad):
        step = done - len(recent) + int(bad[0]) + 1
        what = f"the loss became {stacked['loss'][bad[0]].item()}"
        raise Diverged(f"{_stopped(label, what, step, kept)} {SLOWER}")
    return {"step": torch.tensor(done), **{k: v.mean() for k, v in stacked.items()}}
