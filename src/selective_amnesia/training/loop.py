"""The one loop that every trained stage shares: steps, schedule, progress, snapshots, resume.

A stage hands `fit` its network, its batches and a loss. All randomness of a run comes from torch's
default generator, which `fit` seeds and whose state travels in each snapshot together with
weights, optimiser and history: a run that is killed and resumed takes the same steps as one that
was not, bit for bit on a CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from ..config import FitConfig
from ..errors import Diverged, LabError
from .cuda_graph import cuda_graphed
from .random import seeded

SLOWER = "Lower the learning rate and run it again."
MEMORY = "Close other notebooks that use the GPU or restart the runtime, and run it again."

Tensors = dict[str, Tensor]


class Snapshots(Protocol):
    """Keeps a run's last state, a flat dictionary of tensors."""

    def load(self) -> Tensors | None: ...

    def save(self, state: Tensors) -> None: ...


def fit(
    model: nn.Module,
    loss: Callable[..., Mapping[str, Tensor]],
    config: FitConfig,
    *,
    seed: int,
    label: str,
    batches: Callable[[int], tuple[Tensor, ...]] = lambda _step: (),
    eval_fn: Callable[[], Mapping[str, Tensor]] | None = None,
    eval_at: tuple[int, ...] = (),
    snapshots: Snapshots | None = None,
) -> Tensors:
    """Train `model` in place with Adam and return its history.

    Args:
        loss: batch -> named scalars; the one called "loss" is minimised, all are recorded. On a
            GPU its operations are recorded once and replayed: nothing may wait for a value.
        config: steps, learning rate, schedule, how often to log and to save.
        seed: of all random numbers.
        label: what the progress bar says.
        batches: step -> the batch that the loss is given.
        eval_fn: gives named tensors (a picture, a test loss), recorded at the steps `eval_at`
            (0 is before the first step, `config.steps` after the last). It runs in evaluation
            mode, without gradients, and with random numbers of its own.
        snapshots: where they are kept; without it nothing survives the process.

    Returns:
        For each scalar its mean over every `config.log_every` steps or since the last save, (L,);
        "step", (L,), the last step of each mean; for each evaluated tensor its values,
        (len(eval_at), ...), and "eval_step"; "seconds", spent in all the sittings that it took.

    Raises:
        Diverged: the loss or the weights are not finite. The last snapshot stays as it was.
        LabError: the GPU has no memory left. The last snapshot stays as it was.
    """
    device = next(model.parameters()).device
    # a rate that lies on the GPU can change between replays of a recorded step
    lr = torch.tensor(config.lr, device=device) if device.type == "cuda" else config.lr
    optimiser = torch.optim.Adam(
        model.parameters(),
        lr=lr,
        betas=config.betas,
        fused=True,
        capturable=device.type == "cuda",
    )
    with seeded(seed, device) as generators:
        run = _Run(
            model, loss, config, seed, label, eval_fn, eval_at, snapshots, optimiser, generators
        )
        return run.to_the_end(batches)


def schedule(step: int, config: FitConfig) -> float:
    """The learning rate of a step: it rises linearly, stays, and falls linearly to zero, or by a
    factor of ten every `drop_every` steps."""
    rising = (step + 1) / config.warmup if config.warmup else 1.0
    falling = (config.steps - step) / (config.decay * config.steps) if config.decay else 1.0
    dropped: float = 0.1 ** (step // config.drop_every) if config.drop_every else 1.0
    return config.lr * min(1.0, rising, falling) * dropped


@cache
def fast_in_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies matrices of bfloat16 faster than of float32: GPUs since the
    A100 do, and of the processors with AVX-512 BF16 some (AMD's Zen 4: 2.2 times as fast) but not
    all (Intel's without AMX: half as fast), so that there it is tried."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    if device.type != "cpu" or not known():
        return False
    return _product_seconds(torch.float32) > 1.2 * _product_seconds(torch.bfloat16)


def _product_seconds(dtype: torch.dtype) -> float:
    """What the CVAE's largest product takes on a CPU: the quickest of ten."""
    x, weight = torch.ones(256, 784, dtype=dtype), torch.ones(512, 784, dtype=dtype)
    took = []
    for _ in range(10):
        started = time.perf_counter()
        nn.functional.linear(x, weight)
        took.append(time.perf_counter() - started)
    return min(took)


def precision(config: FitConfig, device: torch.device) -> str:
    """What matrix products of a training are made in on this device: "bfloat16" or "float32"."""
    return "bfloat16" if config.bfloat16 and fast_in_bfloat16(device) else "float32"


@dataclass
class _Run:
    """One call of `fit`: its state, and the parts of its loop."""

    model: nn.Module
    loss: Callable[..., Mapping[str, Tensor]]
    config: FitConfig
    seed: int
    label: str
    eval_fn: Callable[[], Mapping[str, Tensor]] | None
    eval_at: tuple[int, ...]
    snapshots: Snapshots | None
    optimiser: torch.optim.Adam
    generators: list[Generator]
    history: dict[str, list[Tensor]] = field(default_factory=dict)
    seconds: float = 0.0  # of earlier sittings
    saved: int = 0  # the step of the last snapshot

    def to_the_end(self, batches: Callable[[int], tuple[Tensor, ...]]) -> Tensors:
        self.started = time.perf_counter()
        self.device = next(self.model.parameters()).device
        self.bfloat16 = precision(self.config, self.device) == "bfloat16"
        train_step: Callable[..., Tensors] = self.train_step
        if self.device.type == "cuda":
            train_step = cuda_graphed(train_step, self.generators, self.label)
        if self.snapshots is not None and (state := self.snapshots.load()) is not None:
            self.restore(state)
        first, steps = self.saved, self.config.steps
        self.model.train()
        if first == 0:
            self.evaluate(0)
        recent: list[Tensors] = []
        with tqdm(total=steps, initial=first, desc=self.label, unit="step", mininterval=1) as bar:
            for step in range(first, steps):
                _set_rate(self.optimiser, schedule(step, self.config))
                try:
                    recent.append(train_step(*batches(step)))
                except torch.OutOfMemoryError as error:
                    stopped = self.stopped("the GPU ran out of memory", step + 1)
                    raise LabError(f"{stopped} {MEMORY}") from error
                if self.after_step(step + 1, recent, bar):
                    recent = []
        self.model.eval()
        return self.recorded() | {"seconds": self.elapsed()}

    def train_step(self, *batch: Tensor) -> Tensors:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            values = self.loss(*batch)
        self.optimiser.zero_grad(set_to_none=True)
        values["loss"].backward()
        self.optimiser.step()
        return {k: v.detach() for k, v in values.items()}

    def after_step(self, done: int, recent: list[Tensors], bar: tqdm) -> bool:
        """Log, evaluate and save, each when it is due; whether `recent` has been logged."""
        config, last = self.config, done == self.config.steps
        due = done % config.save_every == 0
        logged = done % config.log_every == 0 or due or last
        if logged:
            self.record(self.summary(recent, done))
            bar.set_postfix_str(f"loss {float(self.history['loss'][-1]):.4g}", refresh=False)
            bar.update(len(recent))
        self.evaluate(done)
        save = self.snapshots is not None and due and not last
        if (save or last) and not all(p.isfinite().all() for p in self.model.parameters()):
            stopped = self.stopped("the weights became NaN or infinite", done)
            raise Diverged(f"{stopped} {SLOWER}")
        if save and self.snapshots is not None:
            self.snapshots.save(self.state(done))
            self.saved = done
        return logged

    def record(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)

    def recorded(self) -> Tensors:
        """The history so far, on the CPU."""
        return {name: torch.stack([t.cpu() for t in v]) for name, v in self.history.items()}

    def elapsed(self) -> Tensor:
        """Seconds, of earlier sittings too: ()."""
        return torch.tensor(self.seconds + time.perf_counter() - self.started).double()

    def evaluate(self, step: int) -> None:
        if self.eval_fn is None or step not in self.eval_at:
            return
        self.model.eval()
        with torch.no_grad(), seeded(self.seed, self.device):
            self.record({"eval_step": torch.tensor(step), **self.eval_fn()})
        self.model.train()

    def summary(self, recent: list[Tensors], done: int) -> Tensors:
        """The means of the recent steps' scalars: the only place where the loop waits for a
        GPU."""
        stacked = {k: torch.stack([values[k] for values in recent]).cpu() for k in recent[0]}
        bad = (~stacked["loss"].isfinite()).nonzero()
        if len(bad):
            first = int(bad[0])
            what = f"the loss became {stacked['loss'][first].item()}"
            raise Diverged(f"{self.stopped(what, done - len(recent) + first + 1)} {SLOWER}")
        return {"step": torch.tensor(done), **{k: v.mean() for k, v in stacked.items()}}

    def stopped(self, what: str, step: int) -> str:
        state = "no snapshot was taken"
        if self.saved:
            state = f"its last good snapshot, of step {self.saved}, stands"
        return f"{self.label}: {what} at step {step}; the stage stopped and {state}."

    def state(self, step: int) -> Tensors:
        """All that a resumed run needs, as a flat dictionary."""
        state = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        for i, slots in self.optimiser.state_dict()["state"].items():
            state |= {f"adam.{i}.{k}": v for k, v in slots.items()}
        for i, generator in enumerate(self.generators):
            state[f"random.{i}.{generator.device.type}"] = generator.get_state()
        state |= {f"history.{k}": v for k, v in self.recorded().items()}
        return state | {"step": torch.tensor(step), "seconds": self.elapsed()}

    def restore(self, state: Tensors) -> None:
        parts: dict[str, Tensors] = {"model": {}, "adam": {}, "history": {}, "random": {}}
        for name, tensor in state.items():
            group, _, rest = name.partition(".")
            if rest:
                parts[group][rest] = tensor
        self.model.load_state_dict(parts["model"])
        saved = self.optimiser.state_dict()
        for name, tensor in parts["adam"].items():
            number, _, slot = name.partition(".")
            saved["state"].setdefault(int(number), {})[slot] = tensor
        self.optimiser.load_state_dict(saved)
        self.history.update({k: list(v) for k, v in parts["history"].items()})
        for i, generator in enumerate(self.generators):
            name = f"{i}.{generator.device.type}"
            if name in parts["random"]:  # else it was begun on another kind of device
                generator.set_state(parts["random"][name])
        self.saved, self.seconds = int(state["step"]), float(state["seconds"])


def _set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)  # a recorded step reads it from there
        else:
            group["lr"] = lr
