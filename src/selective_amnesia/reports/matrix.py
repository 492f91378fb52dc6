"""The evaluation matrix: what each way of asking brings out of each model, label by label.

A figure of one model is a draw, so it can be made over several originals, each with an amnesiac, a
control and a draw of the attack's codes of its own; the attacker's classifiers are the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure

from .. import figures
from ..attacks import ATTACKS
from ..checks import forget_set, words
from ..forgetting import RETRAIN
from ..lab.lab import Lab
from ..lab.measurements import LABEL
from ..metrics.recognition import SampleMetrics
from ..metrics.statistics import interval
from ..storage.files import write_bytes
from ..sweep.plan import Task, model, referees

ForgetSet = tuple[int, ...]
Case = tuple[int, ForgetSet]  # a forgotten label, and the set it was forgotten in
Table = dict[str, list[list[float]]]  # row -> a case -> a value for each original
SURROGATES = 4  # classifiers of its own that the stronger attacker has
ORIGINALS = {(0,): 8, (0, 1): 8}  # how many are attacked; of other sets
OTHERS = 3


def matrix_rows(*, stronger: bool = False) -> dict[str, tuple[str, str, dict[str, int]]]:
    """The rows' words -> a model of the trio, a way of asking, and the attack's settings."""
    found: dict[str, tuple[str, str, dict[str, int]]] = {"original": ("original", LABEL, {})}
    for name in ("amnesiac", "control"):
        found[name] = (name, LABEL, {})
        for attack, title in ATTACKS.titles().items():
            found[f"{name}, recovery {title}"] = (name, attack, {})
        if stronger:
            found[f"{name}, stronger A"] = (name, "robust", {"surrogates": SURROGATES})
    return found


def cases(forget_sets: Iterable[Iterable[int] | str], classes: int = 10) -> list[Case]:
    """Each forgotten label with the set that it was forgotten in."""
    return [(k, s) for s in (forget_set(f, classes) for f in forget_sets) for k in s]


def matrix(lab: Lab, asked: Mapping[Case, int], *, stronger: bool = False) -> dict[str, Table]:
    """The evaluation matrix: "panel", the share of images that it takes for the label, and "judge",
    its mean probability, each a row for each model and way of asking.

    Args:
        asked: each case, and from how many originals; their seeds follow the lab's.
        stronger: send an attacker with classifiers of its own as well.
    """
    tables: dict[str, Table] = {"panel": {}, "judge": {}}
    for (label, forget), originals in asked.items():
        each = [seen(lab, label, forget, i, stronger=stronger) for i in range(originals)]
        for row in matrix_rows(stronger=stronger):
            for who, table in tables.items():
                values = [float(getattr(found[row], who).mean()) for found in each]
                table.setdefault(row, []).append(values)
    return tables


def seen(
    lab: Lab, label: int, forget: ForgetSet, i: int, *, stronger: bool = True
) -> dict[str, SampleMetrics]:
    """What each row's way of asking brings out of the trio of the i-th original."""
    trio = lab.variant(seed=lab.seed + i).trio(forget)
    return {
        row: lab.measure.verdict(
            trio[name], label, way, **changes if way == LABEL else changes | {"draw": i}
        )
        for row, (name, way, changes) in matrix_rows(stronger=stronger).items()
    }


def tasks(lab: Lab, asked: Mapping[Case, int]) -> list[Task]:
    """The tasks that make and measure all that `matrix` with a stronger attacker then only
    reads."""
    name, judges = lab.data.name, referees(lab.data.name, lab.seed, SURROGATES)
    found = []
    for (label, forget), originals in asked.items():
        for i in range(originals):
            rows = (RETRAIN, "selective_amnesia")
            trio = [model(name, lab.seed + i, forget, row) for row in rows]
            needs = (*trio, *judges)
            how = (label, forget, i)
            found.append(Task("verdicts", name, lab.seed, seen, how, needs, measures=True))
    return found


def record_matrix(
    lab: Lab,
    forget_sets: Sequence[str] = (),
    originals: int = 0,
    make: Callable[[list[Task]], object] | None = None,
) -> None:
    """The matrix over several originals, written to figures/gallery as JSON and as pictures.

    Args:
        forget_sets: by default each label on its own, and 0 and 1 together.
        originals: how many of each set, where it is not to be the usual number.
        make: makes what the tasks ask for, as a sweep does; by default it is made here, one after
            another.
    """
    each = (*((label,) for label in range(lab.data.classes)), (0, 1))
    sets = [forget_set(f, lab.data.classes) for f in forget_sets or each]
    many = {s: originals or ORIGINALS.get(s, OTHERS) for s in sets}
    asked = {case: many[case[1]] for case in cases(sets, lab.data.classes)}
    if make is not None:
        make(tasks(lab, asked))
    models = 2 * sum(many.values()) + max(many.values())
    minutes = lab.cvae().facts["seconds"] * 0.8 * models / 60
    print(
        f"{models} models, and the attacks on them: about {minutes:.0f} minutes from nothing. "
        "What is finished is not made again; stop it whenever you like.",
        flush=True,
    )
    facts, tables = run_facts(lab), matrix(lab, asked, stronger=True)
    columns = [case_words(case, "\n") for case in asked]
    for attack, row in compared(tables["panel"], columns).items():
        print(f"{attack:<22}" + "".join(f"{name} {text:<18}" for name, text in row.items()))
    folder = lab.store.folder / "figures" / "gallery"
    about = {"cases": columns, "originals": list(asked.values())}
    write_bytes(folder / "matrix.json", json.dumps(facts | about | tables, indent=1).encode())
    made = "profile {profile}, {date}, {device}".format(**facts)
    said = {"panel": "taken for the label by the panel, % of images", "judge": "judge's mean P, %"}
    for who, table in tables.items():
        title = f"{said[who]}; mean over originals, least to most ({made})"
        figure = figures.probability_matrix(table, columns, title)
        write_bytes(folder / f"matrix_{who}.png", figures.render(figure)[1])
    write_bytes(
        folder / "matrix_recovered.png", figures.render(_pictures(lab, sets[0], many[sets[0]]))[1]
    )
    print(f"written to {folder}: matrix.json, three pictures")


def _pictures(lab: Lab, forget: ForgetSet, count: int, codes: int = 6) -> Figure:
    """What attack A recovers from each amnesiac and each control: the first of its fresh codes."""
    originals = range(count)
    trios = [lab.variant(seed=lab.seed + i).trio(forget) for i in originals]
    found = {
        name: torch.stack(
            [
                lab.measure.images(trio[name], forget[0], "robust", draw=i)[:codes]
                for i, trio in enumerate(trios)
            ]
        )
        for name in ("amnesiac", "control")
    }
    seeds = [f"seed {lab.seed + i}" for i in originals]
    return figures.grids(found, seeds, title=f"What attack A recovers for {forget[0]}")


def case_words(case: Case, gap: str = " ") -> str:
    """The label and, where it was not forgotten alone, with which."""
    label, forget = case
    return str(label) if forget == (label,) else f"{label} of{gap}{words(forget)}"


def compared(table: Table, columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """For each attack and case: amnesiacs, controls, and the difference within each original's
    pair, in %, each a mean with a 95 % interval over the originals."""
    rows: dict[str, dict[str, str]] = {}
    for attack in (row.removeprefix("amnesiac, ") for row in table if row.startswith("amnesiac, ")):
        for i, column in enumerate(columns):
            lost, never = (
                torch.tensor(table[f"{m}, {attack}"][i]) for m in ("amnesiac", "control")
            )
            row = {"amnesiacs": lost, "controls": never, "difference": lost - never}
            asked = f"{attack.removeprefix('recovery ')}, {' '.join(column.split())}"
            rows[asked] = {name: _with_interval(values) for name, values in row.items()}
    return rows


def _with_interval(values: torch.Tensor) -> str:
    low, high = interval(values)
    return f"{100 * values.mean():.0f} ({100 * low:.0f} to {100 * high:.0f})"


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
