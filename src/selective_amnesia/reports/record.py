"""The leaderboard's record: figures/gallery/leaderboard.json, and the pictures drawn from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from .. import figures
from ..checks import forget_set, words
from ..errors import LabError
from ..forgetting import METHODS, RETRAIN
from ..lab.lab import Lab
from ..storage.files import write_bytes
from ..sweep.plan import Task
from .leaderboard import leaderboard, tasks
from .matrix import run_facts
from .tables import board, by_set, ranked


def record_leaderboard(
    lab: Lab,
    forget: str,
    seeds: Sequence[int],
    methods: Sequence[str] | None = None,
    *,
    harder: bool = False,
    make: Callable[[list[Task]], object] | None = None,
) -> None:
    """The leaderboard of one forget set, written to figures/gallery as JSON and as pictures; rows
    that are not made now keep their figures.

    Args:
        make: makes what the tasks ask for, as a sweep does; by default it is made here, one after
            another.

    Raises:
        ValueError: a method is unknown, or the record was made with other seeds or another profile.
        LabError: the record is damaged, or its other rows have another yardstick.
    """
    name = words(forget_set(forget, lab.data.classes))
    methods = methods or [RETRAIN, *METHODS]
    for method in methods:
        if method != RETRAIN:
            METHODS[method]
    path = lab.store.folder / "figures" / "gallery" / "leaderboard.json"
    _check_same_terms(read_record(path), name, lab, seeds)
    if make is not None:
        make(tasks(lab, forget_set(name, lab.data.classes), seeds, methods, harder))
    minutes = lab.cvae().facts["seconds"] * len(seeds) * (2 + 0.8 * len(methods)) / 60
    print(
        f"{len(seeds)} originals and controls, {len(methods)} methods: about {minutes:.0f} minutes "
        "from nothing. What is finished is not made again; stop it whenever you like.",
        flush=True,
    )
    made = leaderboard(lab, name, seeds, methods, harder=harder)
    facts = run_facts(lab)
    with FileLock(path.with_name(".leaderboard.lock")):
        known = read_record(path)
        before = known.get(name, {"rows": {}, "yardstick": made["yardstick"]})
        stay = before["rows"].keys() - made["rows"].keys()
        if stay and before["yardstick"] != made["yardstick"]:
            raise LabError(
                f"the yardstick is no longer the one of {', '.join(sorted(stay))} in {path}: make "
                "all rows again (leave out --methods)"
            )
        rows = {method: row | {"made": facts["date"]} for method, row in made["rows"].items()}
        for method in rows.keys() & before["rows"].keys():
            _still_harder(rows[method]["seeds"], before["rows"][method]["seeds"])
        known[name] = facts | {"seeds": list(seeds)} | made | {"rows": before["rows"] | rows}
        write_bytes(path, json.dumps(known, indent=1).encode())
        _draw(path.parent, known)
    print(f"{board(known[name]).to_string()}\n\nwritten to {path}")


def read_record(path: Path) -> dict[str, Any]:
    """What leaderboard.json holds: forget set -> found; nothing where it is not there.

    Raises:
        LabError: it is damaged.
    """
    if not path.is_file():
        return {}
    try:
        known: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise LabError(f"{path} is damaged ({error}): take it away and run it again") from error
    return known


def _still_harder(seeds: dict[str, Any], before: dict[str, Any]) -> None:
    """What a stronger attacker said before still holds of models whose erasure is the same."""
    for seed in seeds.keys() & before.keys():
        if seeds[seed]["erasure"] == before[seed]["erasure"] and "harder" in before[seed]:
            seeds[seed].setdefault("harder", before[seed]["harder"])


def _draw(folder: Path, known: dict[str, Any]) -> None:
    """The pictures of all that is recorded."""
    if "0" in known:
        order = {m: table for m, table in ranked(known["0"]) if table and "erasure" in table}
        picture = figures.render(figures.leaderboard(order, "{0}"))[1]
        write_bytes(folder / "leaderboard.png", picture)
    if len(known) > 1:
        picture = figures.render(figures.leaderboard_sets(by_set(known)))[1]
        write_bytes(folder / "leaderboard_sets.png", picture)


def _check_same_terms(known: dict[str, Any], name: str, lab: Lab, seeds: Sequence[int]) -> None:
    """Raises ValueError where rows made now would stand beside rows of another yardstick."""
    now: dict[str, Any] = {"profile": lab.profile.name, "dataset": lab.data.name}
    for other, found in known.items():
        terms = now | ({"seeds": list(seeds)} if other == name else {})
        recorded = {term: found.get(term) for term in terms}
        if recorded != terms:
            raise ValueError(
                f"the leaderboard of {{{other}}} was recorded with {recorded}, not {terms}: use "
                "the same, or take figures/gallery/leaderboard.json away first"
            )
