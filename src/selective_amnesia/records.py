"""Runs that are kept with the project: what `make matrix` and `make leaderboard` write.

Each is a JSON file in figures/gallery, with its date, device and versions, the pictures that are
drawn from it, and the README's tables between their marks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from . import forgetting, plots_attack, plots_methods
from .checkpoint import LabError, write_bytes
from .config import forget_set
from .lab import Lab
from .leaderboard import (
    by_set,
    digits_markdown,
    leaderboard,
    markdown,
    ranked,
    sets_markdown,
)
from .locks import alone
from .plots import render
from .results import matrix

__all__ = ["between_marks", "first_and_last", "record_leaderboard", "record_matrix"]


def record_matrix(lab: Lab) -> None:
    """The evaluation matrix, each digit forgotten on its own, written to figures/gallery as JSON
    and as two pictures."""
    each = [(digit, (digit,)) for digit in range(lab.classes)]
    minutes = lab.cvae().facts["seconds"] * 1.8 * lab.classes / 60
    print(
        f"{lab.classes} amnesiacs, as many controls, and the attacks on them: about {minutes:.0f} "
        "minutes from nothing. What is finished is not made again; stop it whenever you like.",
        flush=True,
    )
    facts, tables = _facts(lab), matrix(lab, each)
    folder = lab.folder / "figures" / "gallery"
    write_bytes(folder / "matrix.json", json.dumps(facts | tables, indent=1).encode())
    about = "profile {profile}, seed {seed}, {date}, {device}".format(**facts)
    for who, table in tables.items():
        what = f"{who}'s mean P(digit), %, each digit forgotten on its own ({about})"
        figure = plots_attack.matrix(table, [str(digit) for digit, _ in each], what)
        write_bytes(folder / f"matrix_{who}.png", render(figure)[1])
    print(f"written to {folder}: matrix.json, two pictures")


def record_leaderboard(
    lab: Lab,
    digits: str,
    seeds: Sequence[int],
    methods: Sequence[str] | None,
    *,
    harder: bool = False,
) -> None:
    """The leaderboard of one forget set, written to figures/gallery as JSON and as a picture, and
    into the README; rows that are not made now keep their figures."""
    name = " ".join(map(str, forget_set(digits, lab.classes)))
    methods = methods or [forgetting.RETRAIN, *forgetting.METHODS]
    for method in methods:
        if method != forgetting.RETRAIN:
            forgetting.method_of(method)
    folder = lab.folder / "figures" / "gallery"
    path = folder / "leaderboard.json"
    _check_same_terms(_recorded(path), name, lab, seeds)
    minutes = lab.cvae().facts["seconds"] * len(seeds) * (2 + 0.8 * len(methods)) / 60
    print(
        f"{len(seeds)} originals and controls, {len(methods)} methods: about {minutes:.0f} minutes "
        "from nothing. What is finished is not made again; stop it whenever you like.",
        flush=True,
    )
    made = leaderboard(lab, name, seeds, methods, harder=harder)
    facts = _facts(lab)
    with alone(path, path.name):
        known = _recorded(path)
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
        _show(lab, folder, known)
    print(f"{markdown(known[name])}\n\n{_about(known[name])}\n\nwritten to {path}")


def _still_harder(seeds: dict[str, Any], before: dict[str, Any]) -> None:
    """What the harder attacker said before still holds of models whose erasure is the same."""
    for seed in seeds.keys() & before.keys():
        if seeds[seed]["erasure"] == before[seed]["erasure"] and "harder" in before[seed]:
            seeds[seed].setdefault("harder", before[seed]["harder"])


def _show(lab: Lab, folder: Path, known: dict[str, Any]) -> None:
    """The pictures of all that is recorded, and the README's tables."""
    texts = []
    if "0" in known:
        order = {m: table for m, table in ranked(known["0"]) if table and "erasure" in table}
        write_bytes(folder / "leaderboard.png", render(plots_methods.board(order, "{0}"))[1])
        texts += [markdown(known["0"]), _about(known["0"])]
    if len(known) > 1:
        picture = render(plots_methods.by_set(by_set(known)))[1]
        write_bytes(folder / "leaderboard_sets.png", picture)
        texts += [digits_markdown(known), sets_markdown(known)]
    texts = [text for text in texts if text]
    if texts and (lab.folder / "README.md").is_file():
        between_marks(lab.folder / "README.md", "leaderboard", "\n\n".join(texts))


def _recorded(path: Path) -> dict[str, Any]:
    """What leaderboard.json holds: forget set -> found."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise LabError(f"{path} is damaged ({error}): take it away and run it again") from error


def _check_same_terms(known: dict[str, Any], name: str, lab: Lab, seeds: Sequence[int]) -> None:
    """Raises ValueError where rows made now would stand beside rows of another yardstick."""
    now = {"profile": lab.profile.name, "dataset": lab.dataset}
    for other, found in known.items():
        terms = now | ({"seeds": list(seeds)} if other == name else {})
        recorded = {term: found.get(term) for term in terms}
        if recorded != terms:
            raise ValueError(
                f"the leaderboard of {{{other}}} was recorded with {recorded}, not {terms}: use "
                "the same, or take figures/gallery/leaderboard.json away first"
            )


def _about(found: dict[str, Any]) -> str:
    seeds = ", ".join(map(str, found["seeds"]))
    date = first_and_last(row["made"] for row in found["rows"].values())
    return (
        "Profile {profile}, seeds {seeds}, {date}, {device}, torch {torch}; made by `make "
        "leaderboard`.".format(**found | {"seeds": seeds, "date": date})
    )


def first_and_last(days: Iterable[str]) -> str:
    """The first and the last of days, as words; one where they are the same."""
    days = sorted(days)
    return " to ".join(dict.fromkeys((days[0], days[-1])))


def between_marks(path: Path, mark: str, text: str) -> None:
    """Replace what stands in a Markdown file between the comments "MARK: begin" and "MARK: end"."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise LabError(f"{path.name} has no {begin} ... {end}: put both where the table belongs")
    write_bytes(path, f"{before}{begin}\n\n{text}\n\n{end}{after}".encode())


def _facts(lab: Lab) -> dict[str, Any]:
    """What a recorded run says of itself."""
    return {
        "profile": lab.profile.name,
        "seed": lab.seed,
        "dataset": lab.dataset,
        "device": _device(lab),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def _device(lab: Lab) -> str:
    return torch.cuda.get_device_name(lab.device) if lab.device.type == "cuda" else "CPU"
