"""The package's docstrings, which are plain text, as reStructuredText.

Formulas and code stand in them as indented blocks, names in single backticks, and `|x|` or `theta*`
mean what they say. Google's sections are left for napoleon, which comes after this.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

SECTION = re.compile(r"(Args|Raises|Returns|Yields):$")
CODE = re.compile(r"`([^`]+)`")
MARKED = re.compile(r"(?<!\w)(\*\*?)(?=[^\s*])[^*]*[^\s*]\1(?!\w)")


def prose(line: str) -> str:
    """A line outside of blocks: code in backticks, emphasis as it is, all else taken literally."""
    parts = CODE.split(line)
    return "".join(f"``{part}``" if i % 2 else literal(part) for i, part in enumerate(parts))


def literal(text: str) -> str:
    """Text in which nothing but emphasis is markup."""
    kept, last = [], 0
    for found in MARKED.finditer(text):
        kept += [escaped(text[last : found.start()]), found[0]]
        last = found.end()
    return "".join([*kept, escaped(text[last:])])


def escaped(text: str) -> str:
    return re.sub(r"([\\*|]|(?<=\w)_(?!\w))", r"\\\1", text)


def block(lines: list[str]) -> Iterator[str]:
    """An indented block as code: Python's where it parses, else plain text."""
    text = dedent("\n".join(lines)).strip("\n")
    try:
        ast.parse(text)
        language = "python"
    except SyntaxError:
        language = "text"
    yield from (f".. code-block:: {language}", "")
    yield from (f"    {line}".rstrip() for line in text.split("\n"))
    yield ""


def restructured(lines: list[str]) -> Iterator[str]:
    """A docstring's lines as reStructuredText."""
    i, in_section, blank = 0, False, True
    while i < len(lines):
        line = lines[i]
        indented = line.startswith("    ")
        if line.strip() and not indented:
            in_section = bool(SECTION.match(line))
        if indented and blank and not in_section:
            end = i
            while end < len(lines) and (not lines[end].strip() or lines[end].startswith("    ")):
                end += 1
            yield from block(lines[i:end])
            i, blank = end, True
            continue
        yield prose(line)
        blank = not line.strip()
        i += 1


def setup(app: Any) -> dict[str, bool]:
    def process(*told: Any) -> None:
        lines = told[-1]
        lines[:] = restructured(lines)

    app.connect("autodoc-process-docstring", process, priority=400)  # before napoleon's 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
