"""Write the recorded tables into docs/, from the JSON files of figures/gallery/.

    python scripts/tables.py

`make leaderboard`, `make matrix` and `make panel` make the records; each table stands between two
comments, "NAME: begin" and "NAME: end". The leaderboard's pictures are drawn beside its record.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from selective_amnesia import figures
from selective_amnesia.errors import LabError
from selective_amnesia.forgetting import RETRAIN, title
from selective_amnesia.reports.leaderboard import leaderboard as standings
from selective_amnesia.reports.matrix import compared
from selective_amnesia.reports.panel import EYES
from selective_amnesia.reports.population import ORIGINAL, read_population, record_of
from selective_amnesia.reports.tables import (
    board,
    columns,
    features_board,
    interval,
    named,
    queries_board,
    sets_board,
    tiers_board,
)
from selective_amnesia.reports.told import LEAST, SPLITS, by_queries, floor, told
from selective_amnesia.storage.files import write_bytes

SHOWN = ("selective_amnesia", "calibrated_amnesia")  # feature by feature
ROOT = Path(__file__).resolve().parents[1]


def leaderboard(record: Path) -> str:
    """The leaderboard's tables, as Markdown: of the forget set with the most kinds of model, and of
    all sets."""
    rows = read_population(record)
    sets = {name: rows[rows["forget"].eq(name)] for name in rows["forget"].unique()}
    first = max(sets, key=lambda name: sets[name]["kind"].nunique())
    found = {named(rows, name): standings(each) for name, each in sets.items()}
    halves, lost = floor(sets[first]), named(rows, first)
    drawn = {kind: columns(stands) for kind, stands in found[lost].items()}
    drawn[RETRAIN] |= halves
    picture = figures.render(figures.leaderboard(drawn, f"{{{lost}}}"))[1]
    drawn_in = record.with_name(record.stem.replace("population", "leaderboard") + ".png")
    write_bytes(drawn_in, picture)
    texts = [
        "![AUC by access, erasure and kept cost of each kind of model, with 95 % intervals]"
        f"(../figures/gallery/{drawn_in.name})",
        board(found[lost], halves).to_markdown(disable_numparse=True),
    ]
    texts += [f"Forgotten: {lost}. {made(sets[first])}"]
    if len(sets) > 1:
        texts += [sets_board(found).to_markdown(index=False, disable_numparse=True), made(rows)]
    return "\n\n".join(texts)


def matrix(record: Path) -> str:
    """What each attack brings out of amnesiacs and controls, as Markdown: means with 95 % intervals
    over the originals, and the difference within each pair."""
    found = json.loads(record.read_text())
    frames = []
    for who, words in (("panel", "panel, %"), ("judge", "judge's mean P, %")):
        rows = compared(found[who], found["cases"])
        frames.append(pd.DataFrame(rows).T.add_prefix(f"{words}: "))
    table = pd.concat(frames, axis=1).rename_axis("attack, digit")
    return f"{table.to_markdown(disable_numparse=True)}\n\n{about(found)}; made by `make matrix`."


def panel(record: Path) -> str:
    """The panel as an instrument, as Markdown."""
    found = json.loads(record.read_text())
    known = pd.DataFrame(found["known"]).T.mul(100).round(1).rename_axis("% taken rightly")
    attacked = pd.DataFrame(found["red team"]).T
    taken = pd.DataFrame(
        {
            "found": attacked["found"].astype(int),
            "panel": (attacked["found"] * attacked["share"]).round().astype(int),
        }
    )
    looked = pd.read_csv(EYES / "attacked.csv", dtype=str)
    looked["same"] = looked["settled"] == looked["panel"]
    taken["eyes"] = looked.groupby("source")["same"].sum()
    taken["eyes"] = taken["eyes"].fillna(0).astype(int)
    taken.loc["all", "eyes"] = int(looked["same"].sum())
    taken["fooled"] = 100 * (taken["panel"] - taken["eyes"]) / taken["found"].clip(lower=1)
    taken["fooled"] = taken["fooled"].round(1)
    taken.columns = pd.Index(
        ["images found", "the panel takes", "of these, eyes too", "panel alone, % of found"]
    )
    by_eye = pd.DataFrame(found["by eye"]).T.rename_axis("attacks' images, taken for the digit")
    tables = known, by_eye, taken.rename_axis("attacked")
    texts = [table.to_markdown() for table in tables]
    return "\n\n".join([*texts, f"{about(found)}; made by `make panel`."])


def eyes(folder: Path) -> str:
    """What eyes took the attack images among those that were labelled for, as Markdown."""
    sets = []
    for words, name in (("first set", "first"), ("later originals", "second")):
        table = pd.read_csv(folder / f"{name}.csv")
        parts = table["source"].str.extract(
            r"(amnesiac|control) without (\S+), seed \d+, attack .+ for (\d)"
        )
        attacked = parts.dropna().assign(right=table["settled"] == parts[2])
        count = attacked.groupby([2, 1, 0])["right"].agg(["sum", "count"])
        said = count["sum"].astype(str) + " of " + count["count"].astype(str)
        wide = said.unstack()
        wide.columns = pd.Index([f"{words}: amnesiacs", f"{words}: controls"])
        sets.append(wide)
    both = pd.concat(sets, axis=1)
    both.index = pd.Index([f"{label} of {{{', '.join(s.split('+'))}}}" for label, s in both.index])
    return both.rename_axis("taken for the digit").to_markdown()


def processors(record: Path) -> str:
    """One seed in other arithmetic, as Markdown."""
    found = json.loads(record.read_text())
    asked = {"label": "its label", "robust": "attack A"}
    rows = {}
    for words, ways in found["table"].items():
        who, _, way = words.partition(", ")
        rows[f"{who}, {asked[way]}"] = {
            way: f"{100 * said['panel']:.0f}; {100 * said['judge']:.0f}"
            for way, said in ways.items()
        }
    table = pd.DataFrame(rows).T.rename_axis("panel's share; judge's mean P, %")
    return f"{table.to_markdown()}\n\n{about(found)}."


def population(record: Path) -> str:
    """What tells models from controls, feature by feature, as Markdown."""
    rows = read_population(record)
    counts = rows[rows["failed"].eq("")].groupby("kind")["seed"].nunique()
    kinds = [kind for kind in (*SHOWN, ORIGINAL) if counts.get(kind, 0) >= LEAST]
    by_kind = {kind: told(rows[_shared(rows, kind)], kind) for kind in kinds}
    found = {title(kind): each for kind, each in by_kind.items()}
    drawn = {
        kind: each[["auc", "low", "high"]].apply(tuple, axis=1).to_dict()
        for kind, each in by_kind.items()
    }
    picture = figures.render(figures.tells(drawn))[1]
    write_bytes(record.with_name("never_saw.png"), picture)
    asked = {title(kind): by_queries(rows[_shared(rows, kind)], kind) for kind in kinds}
    halves = floor(rows)
    shown = [
        "![AUC of each feature against controls, for two methods and for originals]"
        "(../figures/gallery/never_saw.png)",
        features_board(found).reset_index().to_markdown(index=False, disable_numparse=True),
        "Of all features together: true positives at 5 % false ones, a 95 % lower bound on "
        "epsilon, and the p-value of equivalence (small where the AUC lies within 0.3 to 0.7).",
        tiers_board(found).to_markdown(index=False, disable_numparse=True),
        "Images asked for under the label, and how well the judge's mean probability over them "
        "tells:",
        queries_board(asked).to_markdown(disable_numparse=True),
    ]
    if halves:
        shown += [
            f"One half of the controls against the other: the mean AUC of {SPLITS} random halves, "
            "and what 95 % of them lie within.",
            pd.DataFrame({title(RETRAIN): halves}).map(interval).to_markdown(disable_numparse=True),
        ]
    return "\n\n".join([*shown, made(rows)])


def _shared(rows: pd.DataFrame, kind: str) -> pd.Series:
    """The rows of forget sets of which there are models of a kind and controls."""
    names = [set(rows.loc[rows["kind"].eq(k), "forget"]) for k in (kind, RETRAIN)]
    return rows["forget"].isin(names[0] & names[1])


def made(rows: pd.DataFrame) -> str:
    """What the record says of the runs that made these rows."""
    first = {name: ", ".join(map(str, rows[name].unique())) for name in ("profile", "device")}
    return (
        f"{len(rows)} rows; seeds {rows['seed'].min()} to {rows['seed'].max()}, judge and panel of "
        f"seed {', '.join(map(str, rows['judges'].unique()))}, profile {first['profile']}, "
        f"{first_and_last(rows['date'])}, {first['device']}, torch "
        f"{', '.join(map(str, rows['torch'].unique()))}; made by `make population`."
    )


def about(found: dict[str, Any]) -> str:
    """What a record says of the run that made it."""
    return "Profile {profile}, seed {seed}, {date}, {device}, torch {torch}".format(**found)


def first_and_last(days: Iterable[str]) -> str:
    """The first and the last of days, as words; one where they are the same."""
    ordered = sorted(days)
    return " to ".join(dict.fromkeys((ordered[0], ordered[-1])))


def between_marks(path: Path, mark: str, text: str) -> None:
    """Replace what stands in a Markdown file between the comments "MARK: begin" and "MARK: end".

    Raises:
        LabError: the marks are not there.
    """
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise LabError(f"{path.name} has no {begin} ... {end}: put both where the table belongs")
    write_bytes(path, f"{before}{begin}\n\n{text}\n\n{end}{after}".encode())


def main() -> int:
    """Write every table whose record is there."""
    gallery, docs = ROOT / "figures" / "gallery", ROOT / "docs"
    for name, page, write in (
        ("matrix", "attacks.md", matrix),
        ("panel", "panel.md", panel),
        ("processors", "attacks.md", processors),
    ):
        between_marks(docs / page, name, write(gallery / f"{name}.json"))
    between_marks(docs / "attacks.md", "others", matrix(gallery / "matrix_others.json"))
    between_marks(docs / "attacks.md", "eyes", eyes(EYES))
    for dataset, page in (("mnist", "methods.md"), ("fashion_mnist", "data.md")):
        between_marks(docs / page, "leaderboard", leaderboard(ROOT / record_of(dataset)))
    between_marks(docs / "never_saw.md", "population", population(ROOT / record_of("mnist")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
