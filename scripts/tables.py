"""Write the recorded tables into docs/, from the JSON files of figures/gallery/.

    python scripts/tables.py

`make leaderboard`, `make matrix` and `make panel` make the records; each table stands between two
comments, "NAME: begin" and "NAME: end".
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
from selective_amnesia.metrics.description import erasure
from selective_amnesia.reports.matrix import compared
from selective_amnesia.reports.panel import EYES
from selective_amnesia.reports.population import ORIGINAL, read_population
from selective_amnesia.reports.record import read_record
from selective_amnesia.reports.tables import board, over_labels_board, sets_board
from selective_amnesia.reports.told import told
from selective_amnesia.storage.files import write_bytes

KINDS = ("selective_amnesia", ORIGINAL, "retrain")
ROOT = Path(__file__).resolve().parents[1]


def leaderboard(record: Path) -> str:
    """The leaderboard's tables, as Markdown."""
    known = read_record(record)
    texts = []
    if "0" in known:
        found = known["0"]
        about = (
            f"Profile {found['profile']}, seeds {', '.join(map(str, found['seeds']))}, "
            f"{first_and_last(row['made'] for row in found['rows'].values())}, {found['device']}, "
            f"torch {found['torch']}; made by `make leaderboard`."
        )
        texts += [board(found).to_markdown(disable_numparse=True), about]
    if len(known) > 1:
        texts += [over_labels_board(known).to_markdown(disable_numparse=True)]
        texts += [sets_board(known).to_markdown(disable_numparse=True)]
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
    """What tells amnesiacs from controls, and originals from them, as Markdown; and the mean
    erasure in true nats of each label."""
    rows = read_population(record)
    frames, together, drawn = [], [], {}
    for kind, words in (("selective_amnesia", "amnesiac"), (ORIGINAL, "original")):
        found = told(rows, kind)
        aucs = found[["auc", "low", "high"]].apply(tuple, axis=1)
        drawn[words] = aucs.to_dict()
        text = aucs.map(lambda each: "{:.2f} ({:.2f} to {:.2f})".format(*each))
        frames.append(text.rename(f"{words}s against controls"))
        whole = found.xs("all together", level="feature")
        whole = whole[["true positives", "epsilon", "equivalence"]]
        together.append(whole.map("{:.2f}".format).add_prefix(f"{words}s: "))
    table = pd.concat(frames, axis=1).reset_index()
    tiers = pd.concat(together, axis=1)
    picture = record.with_name("never_saw.png")
    write_bytes(picture, figures.render(figures.tells(drawn))[1])
    nats = rows.pivot_table(index="label", columns="kind", values=["nats", "kept nats"])
    each = nats["nats"].rename(columns=lambda kind: f"{kind.replace('_', ' ')}, nats")
    each["erasure"] = erasure(*(nats["nats", k].to_numpy() for k in KINDS))
    lost = nats["kept nats", "selective_amnesia"] - nats["kept nats", ORIGINAL]
    each["kept digits pay, nats"] = lost
    models = rows.groupby("kind").size()
    made = (
        f"{models['selective_amnesia']} amnesiacs, {models['retrain']} controls: digits "
        f"{', '.join(map(str, sorted(rows['label'].unique())))}, seeds "
        f"{', '.join(map(str, sorted(rows['seed'].unique())))}; profile {rows['profile'][0]}, "
        f"{first_and_last(rows['date'])}, {rows['device'][0]}, torch {rows['torch'][0]}; made by "
        "`make population SEED=4 SEEDS=3 FORGET=1`, and so on."
    )
    shown = [
        table.to_markdown(index=False, disable_numparse=True),
        "Of all features together: true positives at 5 % false ones, a 95 % lower bound on "
        "epsilon, and the p-value of equivalence (small where the AUC lies within 0.3 to 0.7).",
        tiers.to_markdown(disable_numparse=True),
        "True nats of each digit, means over the models of a kind; the erasure is of the means.",
        each.map("{:.2f}".format).to_markdown(disable_numparse=True),
    ]
    return "\n\n".join([*shown, made])


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
        ("leaderboard", "methods.md", leaderboard),
        ("matrix", "attacks.md", matrix),
        ("panel", "panel.md", panel),
        ("processors", "attacks.md", processors),
    ):
        between_marks(docs / page, name, write(gallery / f"{name}.json"))
    between_marks(docs / "attacks.md", "others", matrix(gallery / "matrix_others.json"))
    between_marks(docs / "attacks.md", "eyes", eyes(EYES))
    if (record := gallery / "population.csv").is_file():
        between_marks(docs / "never_saw.md", "population", population(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
