"""The one loop that every trained stage shares: steps, schedule, progress, snapshots, resume.

A stage hands `fit` its network, its batches and a loss. All randomness of a run comes from torch's
default generator, which `fit` seeds and whose state travels in each snapshot together with
weights, optimiser and history: a run that is killed and resumed takes the same steps as one that
was not, bit for bit on a CPU.

The same loop carries a stack of M models (`models.stack`): the losses are then (M,), and each
model has a seed, batches and a stream of random numbers of its own (`Streams`), as if it were
trained alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn
from torch.overrides import TorchFunctionMode
from tqdm import tqdm

from .capture import replayed
from .checkpoint import LabError
from .config import FitConfig, count

__all__ = [
    "MEMORY",
    "Batches",
    "Diverged",
    "Keeper",
    "Streams",
    "each_alone",
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
def seeded(seed: int, device: torch.device) -> Iterator[list[Generator]]:
    """Within it torch's default generators start from `seed`; after it they are as they were."""
    count("seed", seed, 0)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        generators = [torch.default_generator]
        if device.type == "cuda":
            generators.append(torch.cuda.default_generators[device.index or 0])
        yield generators


class Streams(TorchFunctionMode):
    """Within it row m of every new random tensor (M, ...) comes from a generator of its own,
    seeded with `seeds[m]`: the numbers that model m would draw if it were alone. Numbers for which
    a generator is named come from there, so that one may lie within another."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        super().__init__()
        seeds = [count("seed", seed, 0) for seed in seeds]
        self.generators = [Generator(device).manual_seed(seed) for seed in seeds]

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("generator") is not None:
            return function(*args, **kwargs)
        if function in (torch.rand_like, torch.randn_like):
            function = torch.rand if function is torch.rand_like else torch.randn
            like = args[0]
            args, kwargs = (like.shape,), {"device": like.device, "dtype": like.dtype} | kwargs
        limits: tuple[int, ...] = ()
        if function is torch.randint:
            *limits, size = (*args, *([kwargs.pop("size")] if "size" in kwargs else []))
        elif function in (torch.rand, torch.randn):
            size = kwargs.pop("size", args)
            size = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
        else:
            return function(*args, **kwargs)
        if len(size) == 0 or size[0] != len(self.generators):
            raise ValueError(
                f"random numbers of shape {tuple(size)} for {len(self.generators)} models: give "
                "the number of models as the first dimension"
            )
        each = (function(*limits, tuple(size[1:]), generator=g, **kwargs) for g in self.generators)
        return torch.stack(list(each))


def frame_steps(steps: int, frames: int) -> tuple[int, ...]:
    """At most `frames` + 1 steps from 0 to `steps`, closer together where learning is fast."""
    count("steps", steps)
    count("frames", frames)
    return tuple(sorted({round(steps * (i / frames) ** 2) for i in range(frames + 1)}))


def schedule(step: int, config: FitConfig) -> float:
    """The learning rate of a step: it rises linearly, stays, and falls linearly to zero."""
    count("step", step, 0)
    rising = (step + 1) / config.warmup if config.warmup else 1.0
    falling = (config.steps - step) / (config.decay * config.steps) if config.decay else 1.0
    return config.lr * min(1.0, rising, falling)


def fast_in_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies matrices of bfloat16 faster than of float32: GPUs since the
    A100 do, and processors with AVX-512 BF16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and known()


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
    loss: Callable[..., Mapping[str, Tensor]],
    config: FitConfig,
    *,
    seed: int | Sequence[int],
    label: str,
    batches: Callable[[int], tuple[Tensor, ...]] = lambda _step: (),
    watch: Callable[[int], Mapping[str, Tensor]] | None = None,
    watch_at: tuple[int, ...] = (),
    keeper: Keeper | None = None,
) -> Tensors:
    """Train `model` in place with Adam and return its history.

    Args:
        loss: batch -> named scalars, or (M,) for a stack; the one called "loss" is minimised, all
            are recorded. On a GPU its operations are recorded once and replayed: shapes must be
            the same at every step, and nothing may wait for a value.
        config: steps, learning rate, schedule, how often to log and to save.
        seed: of all random numbers; one for each model of a stack.
        label: what the progress bar says.
        batches: step -> the batch that the loss is given.
        watch: step -> named tensors (a picture, a test loss), recorded at the steps `watch_at`
            (0 is before the first step, `config.steps` after the last). It runs in evaluation
            mode, without gradients, and with random numbers of its own.
        keeper: where snapshots are kept; without one nothing survives the process.

    Returns:
        For each scalar its mean over every `config.log_every` steps or since the last save, (L,)
        or (L, M); "step", (L,), the last step of each mean; for each watched tensor its values,
        (len(watch_at), ...), and "watch_step"; "seconds", spent in all the sittings that it took.

    Raises:
        Diverged: the loss or the weights are not finite. The last snapshot stays as it was.
        LabError: the GPU has no memory left. The last snapshot stays as it was.
    """
    device = next(model.parameters()).device
    on_gpu = device.type == "cuda"
    lr = torch.tensor(config.lr, device=device) if on_gpu else config.lr
    optimiser = torch.optim.Adam(
        model.parameters(), lr=lr, betas=config.betas, fused=True, capturable=on_gpu
    )
    half = config.half and fast_in_bfloat16(device)
    seeds = [seed] if isinstance(seed, int) else list(seed)
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
        with torch.no_grad(), seeded(seeds[0], device):
            record({"watch_step": torch.tensor(step), **watch(step)})
        model.train()

    def snapshot(step: int) -> Tensors:
        state = {f"model.{k}": v for k, v in model.state_dict().items()}
        for i, slots in optimiser.state_dict()["state"].items():
            state |= {f"adam.{i}.{k}": v for k, v in slots.items()}
        state |= {f"history.{k}": torch.stack([t.cpu() for t in v]) for k, v in history.items()}
        state |= {f"random.{i}.{g.device.type}": g.get_state() for i, g in enumerate(generators)}
        elapsed = torch.tensor(seconds + time.perf_counter() - started, dtype=torch.float64)
        return state | {"step": torch.tensor(step), "seconds": elapsed}

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
        for i, generator in enumerate(generators):
            name = f"{i}.{generator.device.type}"
            if name in parts["random"]:  # else it was begun on another kind of device
                generator.set_state(parts["random"][name])
        return int(state["step"]), float(state["seconds"])

    def take(*batch: Tensor) -> Tensors:
        """One step of training."""
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            values = loss(*batch)
        optimiser.zero_grad(set_to_none=True)
        values["loss"].sum().backward()
        optimiser.step()
        return {k: v.detach() for k, v in values.items()}

    with seeded(seeds[0], device) as generators:
        started = time.perf_counter()
        streams = nullcontext()
        if len(seeds) > 1:
            streams = Streams(seeds, device)
            generators = streams.generators
        step_of = replayed(take, generators, label) if on_gpu else take
        if keeper is not None and (state := keeper.load()) is not None:
            first, seconds = restore(state)
        kept = first
        model.train()
        if first == 0:
            observe(0)
        recent: list[Mapping[str, Tensor]] = []
        with tqdm(total=config.steps, initial=first, desc=label, unit="step", mininterval=1) as bar:
            for step in range(first, config.steps):
                _set_rate(optimiser, schedule(step, config))
                try:
                    with streams:
                        recent.append(step_of(*batches(step)))
                except torch.OutOfMemoryError as error:
                    what = "the GPU ran out of memory"
                    raise LabError(f"{_stopped(label, what, step + 1, kept)} {MEMORY}") from error
                done = step + 1
                last = done == config.steps
                save = keeper is not None and done % config.save_every == 0 and not last
                if done % config.log_every == 0 or done % config.save_every == 0 or last:
                    record(_summary(recent, done, label, kept))
                    bar.set_postfix_str(
                        f"loss {float(history['loss'][-1].mean()):.4g}", refresh=False
                    )
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


def each_alone(history: Tensors, models: int) -> list[Tensors]:
    """The history of each model of a stack, from the history of them together; of the seconds each
    has its share."""
    if models == 1:
        return [history]
    own = history | {"seconds": history["seconds"] / models}
    shared = {"step", "watch_step", "seconds"}
    return [{k: v if k in shared else v[:, m] for k, v in own.items()} for m in range(models)]


def _set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)  # a recorded step reads it from there
        else:
            group["lr"] = lr


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
        first = bad[0]
        step = done - len(recent) + int(first[0]) + 1
        what = f"the loss became {stacked['loss'][tuple(first)].item()}"
        raise Diverged(f"{_stopped(label, what, step, kept)} {SLOWER}")
    return {"step": torch.tensor(done), **{k: v.mean(0) for k, v in stacked.items()}}
