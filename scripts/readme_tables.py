"""Write the leaderboard's tables into README.md, from figures/gallery/leaderboard.json.

    python scripts/readme_tables.py

`make leaderboard` makes the record; the tables stand between the marks "leaderboard: begin" and
"leaderboard: end".
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from selective_amnesia.errors import LabError
from selective_amnesia.reports.record import read_record
from selective_amnesia.reports.tables import board, over_labels_board, sets_board
from selective_amnesia.storage.files import write_bytes

ROOT = Path(__file__).resolve().parents[1]


def tables(record: Path) -> str:
    """The record's tables, as Markdown."""
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


if __name__ == "__main__":
    text = tables(ROOT / "figures" / "gallery" / "leaderboard.json")
    between_marks(ROOT / "README.md", "leaderboard", text)
    sys.exit(0)
