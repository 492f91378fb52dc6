"""The evaluation matrix: what each way of asking brings out of each model, label by label."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import torch

from .. import figures
from ..attacks import ATTACKS
from ..checks import forget_set
from ..lab.lab import Lab
from ..lab.measurements import LABEL
from ..storage.files import write_bytes

ForgetSet = tuple[int, ...]


def matrix_rows() -> dict[str, tuple[str, str]]:
    """The rows' words -> a model of the trio, and a way of asking."""
    found = {"original": ("original", LABEL)}
    for name in ("amnesiac", "control"):
        found[name] = (name, LABEL)
        for attack, title in ATTACKS.titles().items():
            found[f"{name}, recovery {title}"] = (name, attack)
    return found


def cases(
    forget_sets: Iterable[Iterable[int] | str], classes: int = 10
) -> list[tuple[int, ForgetSet]]:
    """Each forgotten label with the set that it was forgotten in."""
    return [(k, s) for s in (forget_set(f, classes) for f in forget_sets) for k in s]


def matrix(lab: Lab, cases: Iterable[tuple[int, ForgetSet]]) -> dict[str, dict[str, list[float]]]:
    """The evaluation matrix: "referee" and "judge", each a row of mean P(label) for each model
    and way of asking, one column for each (label, forget set)."""
    tables: dict[str, dict[str, list[float]]] = {"referee": {}, "judge": {}}
    for label, forget in cases:
        trio = lab.trio(forget)
        for row, (name, way) in matrix_rows().items():
            seen = lab.measure.verdict(trio[name], label, way)
            for who, table in tables.items():
                table.setdefault(row, []).append(float(getattr(seen, who).mean()))
    return tables


def record_matrix(lab: Lab) -> None:
    """The matrix of all labels, each forgotten on its own, written to figures/gallery as JSON and
    as two pictures."""
    each = [(label, (label,)) for label in range(lab.data.classes)]
    minutes = lab.cvae().facts["seconds"] * 1.8 * len(each) / 60
    print(
        f"{len(each)} amnesiacs, as many controls, and the attacks on them: about {minutes:.0f} "
        "minutes from nothing. What is finished is not made again; stop it whenever you like.",
        flush=True,
    )
    facts, tables = run_facts(lab), matrix(lab, each)
    folder = lab.store.folder / "figures" / "gallery"
    write_bytes(folder / "matrix.json", json.dumps(facts | tables, indent=1).encode())
    about = "profile {profile}, seed {seed}, {date}, {device}".format(**facts)
    for who, table in tables.items():
        what = f"{who}'s mean P(label), %, each label forgotten on its own ({about})"
        figure = figures.probability_matrix(table, [str(label) for label, _ in each], what)
        write_bytes(folder / f"matrix_{who}.png", figures.render(figure)[1])
    print(f"written to {folder}: matrix.json, two pictures")


def run_facts(lab: Lab) -> dict[str, Any]:
    """What a recorded run says of itself."""
    gpu = lab.device.type == "cuda"
    return {
        "profile": lab.profile.name,
        "seed": lab.seed,
        "dataset": lab.data.name,
        "device": torch.cuda.get_device_name(lab.device) if gpu else "CPU",
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
