"""Training steps on a GPU, recorded once as a CUDA graph and replayed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

Step = Callable[..., dict[str, Tensor]]

EAGER = 3  # calls that run before the recording, for what is set up at first use


def cuda_graphed(train_step: Step, generators: Sequence[Generator], label: str) -> Step:
    """`train_step` as one CUDA graph: recorded after a few calls and replayed from then on, which
    spares the GPU the wait for some hundred launches a step. Where it cannot be recorded, it goes
    on as it is, with one warning; a batch of another shape, as the last of an epoch, is not
    replayed.

    Args:
        train_step: tensors -> named tensors.
        generators: all that it draws from.
    """
    calls, graph = 0, None
    given: tuple[Tensor, ...] = ()
    results: dict[str, Tensor] = {}
    aside = torch.cuda.Stream()

    def record(batch: tuple[Tensor, ...]) -> torch.cuda.CUDAGraph | None:
        nonlocal given, results
        given = tuple(t.clone() for t in batch)
        recording = torch.cuda.CUDAGraph()
        try:
            for generator in generators:
                if generator.device.type == "cuda":
                    recording.register_generator_state(generator)
            with torch.cuda.graph(recording):
                results = train_step(*given)
            return recording
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).split("\n")[0]
            warnings.warn(f"{label}: steps run one operation at a time: {reason}", stacklevel=4)
            return None

    def step(*batch: Tensor) -> dict[str, Tensor]:
        nonlocal calls, graph
        calls += 1
        if calls <= EAGER:
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                values = train_step(*batch)
            torch.cuda.current_stream().wait_stream(aside)
            return values
        if calls == EAGER + 1:
            graph = record(batch)
        same = all(old.shape == new.shape for old, new in zip(given, batch, strict=True))
        if graph is None or not same:
            return train_step(*batch)
        for old, new in zip(given, batch, strict=True):
            old.copy_(new)
        graph.replay()
        return {k: v.clone() for k, v in results.items()}

    return step
