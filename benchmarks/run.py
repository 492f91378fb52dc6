"""Measure, keep what came out, and write docs/speed.md's table.

    python benchmarks/run.py                   all that takes minutes
    python benchmarks/run.py --only cvae fisher
    python benchmarks/run.py --notebooks       all notebooks too, from an empty folder
    python benchmarks/run.py --device cuda     on a GPU, with the paper's steps and the matrix

The lab's stages (profile fast, seed 0) are made where they are missing. What was measured lies in
benchmarks/results, a file a device; parts that were not measured again keep their last figures.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
from dataclasses import asdict, replace
from pathlib import Path

import baseline
import measure
import stages
import startup
import torch
from measure import Row

from selective_amnesia import Lab
from selective_amnesia.config import FisherConfig
from selective_amnesia.forgetting.fisher import fisher_diagonal
from selective_amnesia.storage.files import write_bytes
from selective_amnesia.training.cvae import train_cvae

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "speed.md"
PARTS = (*stages.ALL, "imports", "notebooks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", choices=PARTS)
    parser.add_argument("--notebooks", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    lab = Lab.open("fast", device=options.device)
    if options.side:
        SIDES[options.side](lab)
        print(measure.own_peak_mib())
        return
    left_out = set() if options.notebooks else {"notebooks"}
    if lab.device.type == "cpu":
        left_out |= {"protocol", "paper", "matrix"}  # hours
    chosen = options.only or [part for part in PARTS if part not in left_out]
    kind = "cpu" if lab.device.type == "cpu" else torch.cuda.get_device_name(lab.device)
    path = HERE / "results" / f"{kind.lower().replace(' ', '-')}.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    for part in chosen:
        rows = measured(part, lab)
        for row in rows:
            print(line(as_stored(row)), flush=True)
        machine = measure.machine(lab.device)
        for row in rows:
            if row.gflop:
                rate = machine[f"product_gflops_{'bfloat16' if row.bfloat16 else 'float32'}"]
                print(f"  the products alone: {row.gflop / rate:.2f} s at {rate} Gflop/s")
        known[part] = {"machine": machine, "rows": [as_stored(row) for row in rows]}
        write_bytes(path, f"{json.dumps(known, indent=1)}\n".encode())
    if lab.device.type == "cpu":
        write_table(known)
    else:
        print("\n".join(table(known)))


def measured(part: str, lab: Lab) -> list[Row]:
    if part in stages.ALL:
        row = stages.ALL[part](lab)
        if lab.device.type == "cpu" and f"{part}:ours" in SIDES:
            row.peak_mib = [measure.peak_mib(f"{part}:{side}") for side in ("ours", "baseline")]
        return [row]
    if part == "imports":
        return [startup.imports()]
    return startup.notebooks(lab)


# --- peak memory: one side of a benchmark, briefly, in a process of its own ----------------------


def _few_steps(lab: Lab, ours: bool) -> None:
    if ours:
        few = replace(lab.profile.cvae, steps=20, warmup=5, frames=1)
        train_cvae(lab.data, few, seed=0)
    else:
        baseline.CVAETraining(lab.data, lab.device).steps(20)


def _some_samples(lab: Lab, ours: bool) -> None:
    if ours:
        fisher_diagonal(lab.cvae(), FisherConfig(samples=5000), 0)
    else:
        baseline.fisher(copy.deepcopy(lab.cvae()), 20)


SIDES = {
    "cvae:ours": lambda lab: _few_steps(lab, True),
    "cvae:baseline": lambda lab: _few_steps(lab, False),
    "fisher:ours": lambda lab: _some_samples(lab, True),
    "fisher:baseline": lambda lab: _some_samples(lab, False),
}


# --- what is shown --------------------------------------------------------------------------------


def as_stored(row: Row) -> dict:
    return {**asdict(row), "ratio": row.ratio}


def line(row: dict) -> str:
    """One row as a line of Markdown."""
    ours = _time(statistics.median(row["ours"])) if row["ours"] else ""
    baseline = f"{_time(statistics.median(row['baseline']))}" if row["baseline"] else ""
    if row["extrapolated"]:
        baseline += f", {row['extrapolated']}"
    ratio = f"**{row['ratio']:.3g} x**" if row["ratio"] else ""
    quality = "; ".join(
        f"{name} {_short(a)}" + (f" against {_short(b)}" if b is not None else "")
        for name, (a, b) in row["quality"].items()
    )
    memory = " / ".join(f"{m:.0f}" for m in row["peak_mib"])
    return (
        f"| {row['what']} | {ours} | {baseline} | {ratio} | {row['goal']} | {quality} | {memory} |"
    )


def table(known: dict) -> list[str]:
    """All that was measured, as a table in Markdown."""
    head = [
        "| what | ours | the paper's protocol | ratio | goal | quality: ours against the paper's "
        "| peak memory (MiB) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return head + [line(row) for part in PARTS for row in known.get(part, {}).get("rows", [])]


def write_table(known: dict) -> None:
    """The page's table, between its two marks."""
    sys.path.append(str(HERE.parent / "scripts"))
    from tables import between_marks, first_and_last

    machines = [known[part]["machine"] for part in PARTS if part in known]
    last = max(machines, key=lambda machine: machine["date"])
    days = first_and_last(machine["date"] for machine in machines)
    about = (
        f"Measured on {last['device']}, {last['threads']} threads, torch {last['torch']}, "
        f"{days}; medians. `benchmarks/results/cpu.json` holds every turn."
    )
    between_marks(PAGE, "benchmarks", "\n".join(table(known)) + f"\n\n{about}")


def _time(s: float) -> str:
    if s < 1:
        return f"{1000 * s:.0f} ms"
    return f"{s:.1f} s" if s < 100 else f"{s:.0f} s" if s < 3000 else f"{s / 3600:.1f} h"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
