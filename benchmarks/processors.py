"""How much one seed's attack figures hang on the processor: the same models trained in other
arithmetic, attacked, and scored by one judge and one panel.

    python benchmarks/processors.py

Each way trains original, amnesiac, control and judge in a folder of its own under
build/processors, in a process of its own; begun again, it goes on. Written to
figures/gallery/processors.json: for the label and attack A, of amnesiac and control, the judge's
mean P and the share that the panel takes for the digit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from selective_amnesia import Lab
from selective_amnesia.models.classifiers import probabilities
from selective_amnesia.reports.matrix import run_facts
from selective_amnesia.storage.files import write_bytes
from selective_amnesia.training import loop

WAYS = {  # words -> threads, and whether matrix products are of bfloat16 numbers
    "float32, one thread": (1, False),
    "float32, two threads": (2, False),
    "bfloat16, one thread": (1, True),
}
FORGET = (0,)


def images(options: argparse.Namespace) -> None:
    """What attack A and the label bring out, in this process's arithmetic, written to a file."""
    loop.fast_in_bfloat16 = lambda device: options.bfloat16
    torch.set_num_threads(options.threads)
    lab = Lab.open(options.profile, options.seed, options.dataset)
    found = {
        f"{who}, {way}": lab.measure.images(lab.trio(FORGET)[who], FORGET[0], way)
        for who in ("amnesiac", "control")
        for way in ("label", "robust")
    }
    torch.save(found, options.images)


def in_a_process(words: str, home: Path, options: argparse.Namespace) -> dict[str, torch.Tensor]:
    """The images (N, P) of one way, by model and way of asking."""
    threads, bfloat16 = WAYS[words]
    folder = home / "build" / "processors" / words.replace(", ", "-").replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    (home / "data").mkdir(exist_ok=True)
    if not (folder / "data").exists():
        (folder / "data").symlink_to(home / "data")
    command = [sys.executable, __file__, "--images", str(folder / "images.pt")]
    command += ["--threads", str(threads), *(["--bfloat16"] if bfloat16 else [])]
    command += ["--profile", options.profile, "--seed", str(options.seed)]
    command += ["--dataset", options.dataset]
    homes = {"SELECTIVE_AMNESIA_HOME": str(folder), "OMP_NUM_THREADS": str(threads)}
    subprocess.run(command, check=True, env=os.environ | homes)
    return torch.load(folder / "images.pt", weights_only=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="fast")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--images", help="make the images of one way, to this file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true")
    options = parser.parse_args()
    if options.images:
        images(options)
        return
    lab = Lab.open(options.profile, options.seed, options.dataset)
    table: dict[str, dict[str, dict[str, float]]] = {}
    for words in WAYS:
        for name, each in in_a_process(words, lab.store.folder, options).items():
            judge = probabilities(lab.judge(), each)[:, FORGET[0]].mean()
            panel = lab.panel.shows(each).eq(FORGET[0]).float().mean()
            table.setdefault(name, {})[words] = {"panel": float(panel), "judge": float(judge)}
    for name, row in table.items():
        print(f"{name:20}", row)
    path = lab.store.folder / "figures" / "gallery" / "processors.json"
    write_bytes(path, json.dumps(run_facts(lab) | {"table": table}, indent=1).encode())


if __name__ == "__main__":
    main()
