"""How the benchmarks measure: both sides in one run, in turns, medians over several."""

from __future__ import annotations

import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass
class Row:
    """One line of the table.

    `ours` and `baseline` are seconds of each turn for the whole task; `extrapolated` says from what
    the baseline's were computed. `quality` is name -> (ours, baseline). `gflop` is what the matrix
    products of ours alone cost, `bfloat16` whether they are of bfloat16 numbers.
    """

    what: str
    ours: list[float]
    baseline: list[float] = field(default_factory=list)
    goal: str = ""
    extrapolated: str = ""
    quality: dict[str, list[Any]] = field(default_factory=dict)
    peak_mib: list[float] = field(default_factory=list)
    gflop: float = 0.0
    bfloat16: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times faster, by the medians."""
        if not self.baseline:
            return None
        return statistics.median(self.baseline) / statistics.median(self.ours)


def seconds(call: Callable[[], Any], device: torch.device | None = None) -> float:
    """How long a call takes, until its device is done."""
    started = time.perf_counter()
    call()
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def in_turns(
    ours: Callable[[], Any],
    baseline: Callable[[], Any],
    turns: int,
    device: torch.device | None = None,
) -> tuple[list[float], list[float]]:
    """Seconds of each side, one after the other, `turns` times; neither's first call counts where
    it is cheap to repeat: warm it up before."""
    pairs = [(seconds(ours, device), seconds(baseline, device)) for _ in range(turns)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def peak_mib(task: str) -> float:
    """Peak memory of a process of its own that runs one side of a benchmark, in MiB."""
    command = [sys.executable, str(Path(__file__).with_name("run.py")), "--side", task]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(out.split()[-1])


def own_peak_mib() -> float:
    """Peak memory of this process, in MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**20 if sys.platform == "darwin" else used / 2**10


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on, with the rate of its matrix products."""
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        facts[f"product_gflops_{name}"] = round(product_rate(device, dtype))
    return facts


def product_rate(device: torch.device, dtype: torch.dtype, turns: int = 30) -> float:
    """Gflop/s of the CVAE's largest product, a batch of 256 by 784 x 512, at its best."""
    a = torch.randn(256, 784, device=device).to(dtype)
    b = torch.randn(784, 512, device=device).to(dtype)
    best = min(seconds(lambda: a @ b, device) for _ in range(turns))
    return 2 * 256 * 784 * 512 / best / 1e9


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = {line.split(":")[1].strip() for line in file if line.startswith("model name")}
        return f"CPU ({', '.join(sorted(names))})"
    except OSError:
        return f"CPU ({platform.processor() or platform.machine()})"
