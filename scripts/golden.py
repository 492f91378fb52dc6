"""Golden figures of every stage of profile `smoke`: they tell when code changed what it makes.

    python scripts/golden.py        write tests/golden.json anew

For each stage its version, the norm of its tensors and eight projections of them on fixed random
directions are kept; trainings are in float32 on every processor. Another processor rounds
otherwise, which some stages make more of than others, attacks and what is said of them the most
(with torch 2.6 attack B is turned by 0.57; unrelated results are by 1.4). So the stages are made
once more with a processor's plainest instructions and on two threads, and what that moves, times
`ROOM`, is what a stage may move. Where a stage's figures have moved further and its version has
not, code was changed and its VERSION forgotten.

Measured on two cores: a processor without vector instructions is found in none of 34 stages,
another seed in 30 of them, learning rates higher by a half in 31, those of forgetting and attacks
alone in 10, one more random number drawn before each noise in 24. bfloat16 would be found in 5, as
the other recipe that it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from selective_amnesia import Lab
from selective_amnesia.attacks import ATTACKS
from selective_amnesia.forgetting import METHODS
from selective_amnesia.metrics import METRICS
from selective_amnesia.metrics.perceptual import JudgeFeatures
from selective_amnesia.training import loop

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden.json"
DIRECTIONS = 8
ROOM = 2.5  # times what rounding moves
LEAST = {
    "attack": (0.7, 0.1),  # which start wins may be another one
    "verdict": (0.7, 0.1),
    "judge": (0.6, 0.05),  # torch 2.6 turns it by 0.42
}
ROUNDINGS = (
    {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    {"OMP_NUM_THREADS": "2"},
)
LEFT_OUT = ("frames", "seconds", "step")  # parts of a history that say nothing of the result


def make_all(lab: Lab) -> None:
    """Every kind of stage, each asked for by itself: what is there already asks for nothing. But
    neither radii, which are all 0 of so small a model, nor pages, which rounding turns about."""
    vars(lab.measure)["perceptual"] = JudgeFeatures(lab.judge())  # the same with no network
    lab.cvae()
    amnesiac = lab.amnesiac({0})
    for method in METHODS:
        lab.amnesiac({0, 1}, method, steps=10)
    lab.control({0})
    lab.sequence()
    lab.measure.attack(lab.amnesiac({0, 1}, steps=10), 1, surrogates=1)
    lab.measure.verdict(amnesiac, 0)
    for attack in ATTACKS:
        lab.measure.attack(amnesiac, 0, attack)
        lab.measure.verdict(amnesiac, 0, attack)
    for metric in METRICS:
        lab.measure.metric(amnesiac, 0, metric)
    lab.measure.scores(amnesiac)


def figures(lab: Lab) -> dict[str, dict[str, Any]]:
    """The figures of all stages that the lab was asked for, and of their parents, by name."""
    found = {}
    asked = list(lab.store.used)
    while asked:
        file = lab.store.path(asked.pop(), ".json")
        facts = json.loads(file.read_text())
        tensors = load_file(file.with_suffix(".safetensors"))
        found[facts["stage"]] = {"version": facts["version"], **_sketch(tensors)}
        asked += facts["parents"]
    return dict(sorted(found.items()))


def distance(a: dict[str, Any], b: dict[str, Any]) -> tuple[float, float]:
    """How far two sketches of a stage are turned against each other, and the share by which their
    norms differ."""
    turned = (torch.tensor(a["turn"]) - torch.tensor(b["turn"])).square().mean().sqrt()
    return float(turned), abs(a["norm"] - b["norm"]) / max(b["norm"], 1e-9)


def moved(now: dict[str, dict[str, Any]], golden: dict[str, dict[str, Any]]) -> list[str]:
    """What has changed without its version, or is new, in words."""
    said = [f"{name} is not among the golden figures" for name in now.keys() - golden.keys()]
    for name in now.keys() & golden.keys():
        a, b = now[name], golden[name]
        if a["version"] != b["version"]:
            said.append(f"{name} has a new version: write the golden figures anew")
            continue
        turned, stretched = distance(a, b)
        if turned > b["may"][0] or stretched > b["may"][1]:
            said.append(
                f"{name} has changed (turned by {turned:.2f}, norm by {stretched:.1%}) and its "
                "VERSION has not"
            )
    return sorted(said)


def _sketch(tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    chosen = [
        tensor.double().nan_to_num().flatten()
        for name, tensor in sorted(tensors.items())
        if not any(part in name for part in LEFT_OUT)
    ]
    # each tensor counts alike, whatever its size
    vector = torch.cat([t / t.norm().clamp(min=1e-12) for t in chosen]) / len(chosen) ** 0.5
    generator = torch.Generator().manual_seed(0)
    signs = [
        torch.randint(0, 2, (len(vector),), generator=generator).mul(2).sub(1).double()
        for _ in range(DIRECTIONS)
    ]
    norm = sum(float(t.norm()) for t in chosen)
    return {"norm": round(norm, 4), "turn": [round(float(vector @ s), 4) for s in signs]}


def made_now(folder: str | Path) -> dict[str, dict[str, Any]]:
    """The figures of all stages, made in that folder, in float32 on every processor."""
    fast, loop.fast_in_bfloat16 = loop.fast_in_bfloat16, lambda _device: False
    try:
        lab = Lab.open("smoke", dataset="digits", folder=folder, device="cpu")
        make_all(lab)
        return figures(lab)
    finally:
        loop.fast_in_bfloat16 = fast


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        now = made_now(folder)
    if "--print" in sys.argv:
        print(json.dumps(now))
        return 0
    may = {name: list(LEAST.get(name.split("-")[0], (0.05, 0.05))) for name in now}
    for changes in ROUNDINGS:
        command = [sys.executable, __file__, "--print"]
        said = subprocess.run(command, env=os.environ | changes, stdout=subprocess.PIPE, check=True)
        for name, rounded in json.loads(said.stdout.splitlines()[-1]).items():
            moves = distance(rounded, now[name])
            may[name] = [max(m, round(ROOM * d, 3)) for m, d in zip(may[name], moves, strict=True)]
    golden = {name: sketch | {"may": may[name]} for name, sketch in now.items()}
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"written to {GOLDEN}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
