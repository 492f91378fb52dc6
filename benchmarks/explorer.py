"""How long the explorer takes from a slider's event to the new pictures.

    python benchmarks/explorer.py [--profile fast] [--events 1000]

Prints the median, the 95th percentile and the slowest event, without a front end: what the kernel
does between the message of a slider and those of the images. The goal is 50 ms at the 95th
percentile on two cores.
"""

import argparse

import torch

from selective_amnesia import Lab
from selective_amnesia.widgets import event_times

GOAL = 50  # milliseconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="fast")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--forget", default="0")
    parser.add_argument("--events", type=int, default=1000)
    options = parser.parse_args()
    lab = Lab.open(options.profile, dataset=options.dataset)
    explorer = lab.explorer(options.forget)
    event_times(explorer, 20)  # the first pictures are slower
    times = event_times(explorer, options.events)
    p50, p95 = times.quantile(torch.tensor([0.5, 0.95])).tolist()
    print(f"{options.events} events on {lab.device}: median {p50:.1f} ms,", end=" ")
    print(f"95th percentile {p95:.1f} ms, slowest {float(times.max()):.1f} ms")
    print(f"goal: {GOAL} ms at the 95th percentile, {'met' if p95 <= GOAL else 'missed'}")
    return int(p95 > GOAL)


if __name__ == "__main__":
    raise SystemExit(main())
