"""Training steps on a GPU, recorded once and replayed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

__all__ = ["replayed"]


def replayed(
    take: Callable[..., dict[str, Tensor]],
    generators: Sequence[Generator],
    label: str,
    eager: int = 3,
) -> Callable[..., dict[str, Tensor]]:
    """`take` as one CUDA graph: recorded after a few calls and replayed from then on, which spares
    the GPU the wait for some hundred launches a step. Where it cannot be recorded, it goes on as
    it is, with one warning.

    Args:
        take: tensors, of the same shapes at every call -> named tensors.
        generators: all that it draws from.
        eager: calls that run before the recording, for what is set up at first use.
    """
    calls, graph = 0, None
    given: tuple[Tensor, ...] = ()
    results: dict[str, Tensor] = {}
    aside = torch.cuda.Stream()

    def step(*batch: Tensor) -> dict[str, Tensor]:
        nonlocal calls, graph, given, results
        calls += 1
        if calls <= eager:
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                values = take(*batch)
            torch.cuda.current_stream().wait_stream(aside)
            return values
        if graph is None and calls == eager + 1:
            given = tuple(t.clone() for t in batch)
            recording = torch.cuda.CUDAGraph()
            try:
                for generator in generators:
                    if generator.device.type == "cuda":
                        recording.register_generator_state(generator)
                with torch.cuda.graph(recording):
                    results = take(*given)
                graph = recording
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                reason = str(error).split("\n")[0]
                warnings.warn(f"{label}: steps run one operation at a time: {reason}", stacklevel=3)
        if graph is None:
            return take(*batch)
        for old, new in zip(given, batch, strict=True):
            old.copy_(new)
        graph.replay()
        return {k: v.clone() for k, v in results.items()}

    return step
