"""Golden figures of every stage of profile `smoke`: they tell when code changed what it makes.

    python scripts/golden.py        write tests/golden.json anew

For each stage its version, the norm of its tensors and eight projections of them on fixed random
directions are kept. Another processor rounds otherwise, which turns a result by a few per cent;
another recipe, seed or order of random numbers turns it by a right angle. So where a stage's
figures have moved and its version has not, code was changed and its VERSION forgotten.
"""

from __future__ import annotations

import json
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

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden.json"
DIRECTIONS = 8
TURNED = 0.35  # of the projections of a unit vector, root mean square; of another one about 1.4
STRETCHED = 0.15  # of the norm
LEFT_OUT = ("frames", "seconds", "step")  # parts of a history that say nothing of the result


def make_all(lab: Lab) -> None:
    """Every kind of stage, each asked for by itself: what is there already asks for nothing."""
    original, amnesiac = lab.cvae(), lab.amnesiac({0})
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
    lab.latent.radius_map(original)


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


def moved(now: dict[str, dict[str, Any]], golden: dict[str, dict[str, Any]]) -> list[str]:
    """What has changed without its version, or is new, in words."""
    said = [f"{name} is not among the golden figures" for name in now.keys() - golden.keys()]
    for name in now.keys() & golden.keys():
        a, b = now[name], golden[name]
        if a["version"] != b["version"]:
            said.append(f"{name} has a new version: write the golden figures anew")
            continue
        turned = (torch.tensor(a["turn"]) - torch.tensor(b["turn"])).square().mean().sqrt()
        stretched = abs(a["norm"] - b["norm"]) / max(b["norm"], 1e-9)
        if turned > TURNED or stretched > STRETCHED:
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


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.open("smoke", dataset="digits", folder=folder, device="cpu")
        make_all(lab)
        GOLDEN.write_text(json.dumps(figures(lab), indent=1) + "\n")
    print(f"written to {GOLDEN}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
