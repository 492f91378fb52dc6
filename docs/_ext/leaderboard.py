"""The directive `leaderboard`: a table that sorts, with the intervals drawn, for each forget set of
a data set that `make leaderboard` has recorded."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from selective_amnesia.forgetting import RETRAIN, title
from selective_amnesia.metrics.distinguish import ACCESS
from selective_amnesia.reports.leaderboard import Standing, leaderboard
from selective_amnesia.reports.population import read_population, record_of
from selective_amnesia.reports.tables import COLUMNS, columns, named, number
from selective_amnesia.reports.told import Interval, floor

ROOT = Path(__file__).resolve().parents[2]
WORDS = {access: (f"AUC, {access}", 2) for access in ACCESS} | COLUMNS
# what is drawn of each: from, to, and where a model would be that never saw the label
DRAWN = {access: (0, 1, 0.5) for access in ACCESS} | {"erasure": (0, 1.5, 1), "cost": (-1, 4, 0)}
WIDTH, HEIGHT = 96, 14


class Leaderboard(SphinxDirective):
    required_arguments = 1  # the data set

    def run(self) -> list[nodes.Node]:
        record = ROOT / record_of(self.arguments[0])
        self.env.note_dependency(str(record))
        rows = read_population(record)
        if rows.empty:
            return [nodes.paragraph(text="No models are recorded yet: make leaderboard does it.")]
        found: list[nodes.Node] = []
        for name in sorted(rows["forget"].unique(), key=lambda name: (len(name.split()), name)):
            own = rows[rows["forget"].eq(name)]
            html = table(named(rows, name), leaderboard(own), floor(own))
            found.append(nodes.raw("", html, format="html"))
        return found


def table(forgotten: str, rows: dict[str, Standing], halves: dict[str, Interval]) -> str:
    """The rows as HTML."""
    known = {kind: columns(stands) for kind, stands in rows.items()}
    if RETRAIN in known:
        known[RETRAIN] |= halves
    shown = {m: words for m, words in WORDS.items() if any(m in each for each in known.values())}
    head = heading("kind") + "".join(
        heading(words, *(f"{end:g}".replace("-", "−") for end in DRAWN[m][:2]))
        for m, (words, _) in shown.items()
    )
    body = []
    for kind, each in known.items():
        name = escape(title(kind))
        cells = [f'<th scope="row" data-value="{name}">{name}</th>']
        for measure, (_, places) in shown.items():
            of = each.get(measure)
            unknown = of is None or of[0] != of[0]
            cells.append('<td data-value=""></td>' if unknown else cell(measure, of, places))
        for count in (rows[kind].models, rows[kind].failed):
            cells.append(f'<td data-value="{count}">{count}</td>')
        role = ' class="control"' if kind == RETRAIN else ""
        body.append(f"<tr{role}>{''.join(cells)}</tr>")
    head += heading("models") + heading("diverged")
    return (
        f"<p>Forgotten: {escape(forgotten)}</p>"
        '<div class="wide"><table class="sortable leaderboard">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def heading(text: str, *ends: str) -> str:
    """A heading to press, with the two ends of what its column's lines draw."""
    drawn = "".join(f"<span>{end}</span>" for end in ends)
    axis = f'<div class="ends" style="width:{WIDTH}px">{drawn}</div>' if ends else ""
    return f'<th scope="col"><button type="button">{escape(text)}</button>{axis}</th>'


def cell(measure: str, found: Any, places: int) -> str:
    """Value and interval in numbers, and drawn."""
    value, low, high = (number(v, places) for v in found)
    interval = "" if low == high else f" <small>{low} to {high}</small>"
    return f'<td data-value="{found[0]:.6g}">{value}{interval}{drawn(measure, found)}</td>'


def drawn(measure: str, found: Interval) -> str:
    """An interval as SVG; its numbers stand above it, so screen readers skip it."""
    start, end, level = DRAWN[measure]

    def place(value: float) -> float:
        share = (min(max(value, start), end) - start) / (end - start)
        return round(4 + share * (WIDTH - 8), 1)

    middle = HEIGHT / 2
    at, low, high = map(place, found)
    parts = [
        f'<path class="axis" d="M4 {middle}H{WIDTH - 4}"/>',
        f'<path class="level" d="M{place(level)} 0V{HEIGHT}"/>',
        f'<path class="interval" d="M{low} {middle}H{high}"/>',
    ]
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
