"""How long the explorer takes from a slider's event to the new pictures.

    python benchmarks/explorer.py [--profile fast] [--events 1000]

Prints the median, the 95th percentile and the slowest event, without a front end: what the kernel
does between the message of a slider and those of the images. The goal is 50 ms at the 95th
percentile on two cores.
"""

from __future__ import annotations

import argparse
import time

import ipywidgets
import numpy as np
import torch
from torch import Tensor

from selective_amnesia import Lab
from selective_amnesia.checks import forget_set
from selective_amnesia.figures.explorer import Explorer
from selective_amnesia.latent.geometry import main_directions

GOAL = 50  # milliseconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="fast")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--forget", default="0")
    parser.add_argument("--events", type=int, default=1000)
    options = parser.parse_args()
    lab = Lab.open(options.profile, dataset=options.dataset)
    explorer = explorer_of(lab, options.forget)
    event_times(explorer, 20)  # the first pictures are slower
    times = event_times(explorer, options.events)
    p50, p95 = times.quantile(torch.tensor([0.5, 0.95])).tolist()
    print(f"{options.events} events on {lab.device}: median {p50:.1f} ms,", end=" ")
    print(f"95th percentile {p95:.1f} ms, slowest {float(times.max()):.1f} ms")
    print(f"goal: {GOAL} ms at the 95th percentile, {'met' if p95 <= GOAL else 'missed'}")
    return int(p95 > GOAL)


def explorer_of(lab: Lab, forget: str) -> Explorer:
    """The explorer of the lab's trio, on the way from 7 (or, where that is forgotten, the first
    kept label) to the first forgotten one."""
    forgotten = forget_set(forget, lab.data.classes)
    kept = [label for label in range(lab.data.classes) if label not in forgotten]
    start = 7 if 7 in kept else kept[0]
    trio = lab.trio(forgotten)
    directions, _ = main_directions(lab.latent.encodings(trio["original"]), 3)
    return Explorer(trio, lab.panel.quick(), directions, start, forgotten[0], lab.seed)


def event_times(explorer: Explorer, events: int, seed: int = 0) -> Tensor:
    """Milliseconds (events,) from a slider's event, as a front end sends it, to the new pictures.

    Random sliders are set to random values; equal labels, which draw nothing, do not occur.
    """
    draw = np.random.default_rng(seed)
    times = []
    while len(times) < events:
        slider = explorer.sliders[draw.integers(len(explorer.sliders))]
        if isinstance(slider, ipywidgets.SelectionSlider):
            index = int(draw.integers(explorer.classes))
            if index in (explorer.start.index, explorer.end.index):
                continue
            state = {"index": index}
        else:
            state = {"value": round(float(draw.uniform(slider.min, slider.max)), 2)}
        started = time.perf_counter()
        slider.set_state(state)
        times.append(1000 * (time.perf_counter() - started))
    return torch.tensor(times)


if __name__ == "__main__":
    raise SystemExit(main())
