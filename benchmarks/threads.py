"""Steps of training on two threads, quiet and beside busy processes, with and without a short wait.

    python benchmarks/threads.py        a table; each figure the median of three turns

Two OpenMP threads on two busy cores each wait spinning for the other, unless `GOMP_SPINCOUNT` says
for how long; the package sets it before torch is loaded.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

TURNS = 3
SECONDS = 5  # of steps in a turn
STEPS = f"""
import time
import torch  # before the package, which would set the spin count
torch.set_num_threads(2)
from selective_amnesia.models.cvae import OneHotCVAE
from selective_amnesia.models.elbo import reconstruction_bce
model = OneHotCVAE()
optimiser = torch.optim.Adam(model.parameters(), fused=True)
x, c = torch.rand(256, 784), torch.eye(10)[torch.randint(0, 10, (256,))]
def step():
    mu, log_var = model.encode(x, c)
    z = mu + (0.5 * log_var).exp() * torch.randn_like(mu)
    loss = reconstruction_bce(model.decode_logits(z, c), x).sum()
    loss = loss + 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
for _ in range(5):
    step()
started, steps = time.perf_counter(), 0
while time.perf_counter() - started < {SECONDS}:
    step()
    steps += 1
print(1000 * (time.perf_counter() - started) / steps)
"""


def milliseconds(spin: str | None) -> float:
    """A step's, in a process of its own with that spin count, or GNU's default."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GOMP", "OMP"))}
    if spin:
        environment["GOMP_SPINCOUNT"] = spin
    command = [sys.executable, "-c", STEPS]
    said = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return float(said.stdout)


def main() -> None:
    """The table."""
    print(f"{'ms a step':24}{'default':>10}{'20000':>10}{'ratio':>10}")
    for busy in (0, 2):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            turns = [(milliseconds(None), milliseconds("20000")) for _ in range(TURNS)]
        finally:
            for other in others:
                other.kill()
        plain, short = (statistics.median(column) for column in zip(*turns, strict=True))
        ratio = statistics.median(a / b for a, b in turns)
        print(f"{f'beside {busy} processes':24}{plain:10.1f}{short:10.1f}{ratio:10.2f}", flush=True)


if __name__ == "__main__":
    main()
