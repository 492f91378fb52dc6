"""The directive `leaderboard`: a table that sorts, with the intervals drawn, from the record of
`make leaderboard`. `methods` is the table of the first forget set, `labels` the one over labels."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from selective_amnesia.attacks import ATTACKS
from selective_amnesia.forgetting import RETRAIN, title
from selective_amnesia.reports.record import read_record
from selective_amnesia.reports.tables import WORDS, Table, by_set, over_labels, ranked

RECORD = Path(__file__).resolve().parents[2] / "figures" / "gallery" / "leaderboard.json"
# what is drawn of each measure: from, to; what lies beyond ends in an arrow
DRAWN = {"gap": (0, 1), "cost": (-1, 4), "label": (0, 1), "relearning": (-0.5, 0.5)}
SHARE, ERASURE = (0, 1), (0.4, 1.6)
WIDTH, HEIGHT = 96, 14


class Leaderboard(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RECORD))
        known = read_record(RECORD)
        if self.arguments[0] == "methods":
            rows = ranked(known["0"])
            # a stronger attacker was sent to some of the methods only
            rows = [(method, of and without_stronger(of)) for method, of in rows]
        else:
            rows = [(method, over_labels(sets) or None) for method, sets in by_set(known).items()]
        return [nodes.raw("", table(rows), format="html")]


def without_stronger(of: Table) -> Table:
    return {measure: found for measure, found in of.items() if "harder" not in measure}


def table(rows: list[tuple[str, Table | None]]) -> str:
    """The rows as HTML; of a method that failed only the name."""
    words = WORDS | {f"after {a}": (f"after attack {t}", 2) for a, t in ATTACKS.titles().items()}
    shown = {m: w for m, w in words.items() if any(m in (of or {}) for _, of in rows)}
    controls = next(of for method, of in rows if method == RETRAIN) or {}
    head = heading("method") + "".join(
        heading(text, *(f"{end:g}".replace("-", "−") for end in span(m)))
        for m, (text, _) in shown.items()
    )
    body = []
    for method, of in rows:
        name = escape(title(method))
        cells = [f'<th scope="row" data-value="{name}">{name}</th>']
        for measure, (_, places) in shown.items():
            found, level = (of or {}).get(measure), controls.get(measure, (None,))[0]
            cells.append(cell(measure, found, level, places) if found else missing(of))
        kind = ' class="control"' if method == RETRAIN else ""
        body.append(f"<tr{kind}>{''.join(cells)}</tr>")
    return (
        '<div class="wide"><table class="sortable leaderboard">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def heading(text: str, *ends: str) -> str:
    """A heading to press, with the two ends of what its column's lines draw."""
    drawn = "".join(f"<span>{end}</span>" for end in ends)
    axis = f'<div class="ends" style="width:{WIDTH}px">{drawn}</div>' if ends else ""
    return f'<th scope="col"><button type="button">{escape(text)}</button>{axis}</th>'


def missing(of: Table | None) -> str:
    return f'<td data-value="">{"" if of else "diverged"}</td>'


def cell(measure: str, found: tuple[float, float, float], level: float | None, places: int) -> str:
    """Mean and interval in numbers, and drawn with what the controls have."""
    mean, low, high = (number(v, places) for v in found)
    interval = "" if low == high else f" <small>{low} to {high}</small>"
    return f'<td data-value="{found[0]:.6g}">{mean}{interval}{drawn(measure, found, level)}</td>'


def number(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.replace("-", "−" if float(text) else "")  # nought has no sign


def span(measure: str) -> tuple[float, float]:
    """What is drawn of a measure: from, to."""
    return DRAWN.get(measure, ERASURE if measure in ("erasure", "harder") else SHARE)


def drawn(measure: str, found: tuple[float, float, float], level: float | None) -> str:
    """An interval as SVG; its numbers stand above it, so screen readers skip it."""
    start, end = span(measure)

    def place(value: float) -> float:
        share = (min(max(value, start), end) - start) / (end - start)
        return round(4 + share * (WIDTH - 8), 1)

    middle = HEIGHT / 2
    at, low, high = map(place, found)
    parts = [f'<path class="axis" d="M4 {middle}H{WIDTH - 4}"/>']
    if level is not None and not math.isnan(level):
        parts.append(f'<path class="level" d="M{place(level)} 0V{HEIGHT}"/>')
    parts.append(f'<path class="interval" d="M{low} {middle}H{high}"/>')
    if found[0] > end:
        arrow = f"M{at - 5} 2L{at + 3} {middle}L{at - 5} {HEIGHT - 2}"
        parts.append(f'<path class="beyond" d="{arrow}"/>')
    else:
        parts.append(f'<circle cx="{at}" cy="{middle}" r="3.5"/>')
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'<svg {size} aria-hidden="true">{"".join(parts)}</svg>'


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("leaderboard", Leaderboard)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
