"""Hold what all notebooks share: the setup cell, the links between them, and the numbers in prose.

    python scripts/notebooks.py          # says what is wrong, and exits with 1 where anything is
    python scripts/notebooks.py --write  # writes setup, links and numbers first

A number in markdown that carries the argument names where it is from, in a comment that no reader
sees: `96.4<!-- test loss {} nats -->`. The words are looked up in the notebook's text output, where
the number stands for the braces, and has to be the one that is written, rounded as it is there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
ADDRESS = "https://github.com/selective-amnesia-lab/selective-amnesia-lab"
LARGEST = 12_000_000  # bytes, all together
NUMBERS = 12  # in the prose of a notebook
NUMBER = r"[-−+]?\d[\d,]*(?:\.\d+)?"
TAGGED = re.compile(rf"({NUMBER})([^<\d\n]{{0,3}})<!-- (.+?) -->")
LINKS = re.compile(r"<!-- links -->.*?<!-- /links -->", re.DOTALL)
SETUP = f'''\
# @title Setup: installs what is missing. On Colab it asks for your Drive {{ display-mode: "form" }}
profile = "fast"  # @param ["smoke", "fast", "paper"]
seed = 0  # @param {{type: "integer"}}
dataset = "mnist"  # @param {{type: "string"}}
forget_sets = ["0", "0 1"]  # @param {{type: "raw"}}

import importlib.util
import subprocess
import sys
from pathlib import Path

address, version = "{ADDRESS}", "main"
if "google.colab" in sys.modules:
    from google.colab import drive

    try:
        drive.mount("/content/drive")
    except Exception as error:
        print(f"Drive is not mounted ({{error}}): what is finished lasts as long as this runtime.")
if importlib.util.find_spec("selective_amnesia") is None:
    name = address.rpartition("/")[2]
    places = [*Path.cwd().parents, Path("/content/drive/MyDrive") / name, Path(name).resolve()]
    here = next((p for p in places if (p / "src/selective_amnesia").is_dir()), places[-1])
    if not here.exists():
        print(f"fetching {{address}} ...")
        clone = ["git", "clone", "--quiet", "--depth", "1", "--branch", version, address, here]
        subprocess.run(clone, check=True)
    print("installing ...")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-e", here], check=True)
    sys.path.insert(0, str(here / "src"))
import selective_amnesia  # noqa: F401  before torch, whose threads it tells how long to wait
'''


def links(path: Path, paths: list[Path]) -> str:
    """Previous, index and next, and the badge that opens the notebook in Colab."""
    at = paths.index(path)
    colab = ADDRESS.replace("https://github.com", "https://colab.research.google.com/github")
    badge = "https://colab.research.google.com/assets/colab-badge.svg"
    parts = [f"[![Open in Colab]({badge})]({colab}/blob/main/notebooks/{path.name})"]
    if at:
        parts.append(f"[← {title(paths[at - 1])}]({paths[at - 1].name})")
    parts.append("[all notebooks](../README.md#the-notebooks)")
    if at + 1 < len(paths):
        parts.append(f"[{title(paths[at + 1])} →]({paths[at + 1].name})")
    return "<!-- links -->\n" + " · ".join(parts) + "\n<!-- /links -->"


def title(path: Path) -> str:
    """A notebook's name in words."""
    number, _, words = path.stem.partition("_")
    return f"{number} {words.replace('_', ' ')}"


def shown(notebook: nbformat.NotebookNode) -> str:
    """All text that the notebook's cells have put out, in one line."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            found.append(output.get("text", "") + " " + data.get("text/plain", ""))
            found.append(
                unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", data.get("text/html", "")))
            )
    return " ".join(" ".join(found).split())


def looked_up(words: str, text: str) -> float | None:
    """The number that stands for the braces of the words in the text."""
    before, _, after = (re.escape(part) for part in words.partition("{}"))
    found = re.search(before + rf"\s*({NUMBER})\s*" + after, text)
    return None if found is None else value(found[1])


def value(number: str) -> float:
    """A number as it is printed."""
    return float(number.replace(",", "").replace("−", "-").replace("+", ""))


def like(number: float, pattern: str) -> str:
    """The number with as many places, and separators and signs, as the pattern has."""
    places = len(pattern.partition(".")[2])
    sign, comma = "+" * pattern.startswith("+"), "," * (abs(number) >= 1e4)
    text = f"{number:{sign}{comma}.{places}f}"
    return text.replace("-", "−") if "−" in pattern else text


def with_numbers(source: str, text: str) -> tuple[str, list[str]]:
    """Markdown with its tagged numbers as the outputs have them, and what was wrong."""
    wrong: list[str] = []

    def checked(found: re.Match[str]) -> str:
        number, unit, words = found.groups()
        there = looked_up(words, text)
        if there is None:
            wrong.append(f"no output says “{words}”")
            return found[0]
        if value(like(there, number)) != value(number):
            wrong.append(f"{number}: the output has {like(there, number)} for “{words}”")
        return f"{like(there, number)}{unit}<!-- {words} -->"

    return TAGGED.sub(checked, source), wrong


def problems(path: Path, paths: list[Path], *, write: bool) -> Iterator[str]:
    """What is wrong with a notebook, after what can be written has been."""
    notebook = nbformat.read(path, as_version=4)
    text, cells = shown(notebook), notebook.cells
    setup = next(c for c in cells if c.cell_type == "code")
    if write:
        setup.source = SETUP.rstrip()
        setup.metadata |= {"cellView": "form", "tags": ["parameters"]}
        for cell in cells:
            if cell.cell_type == "markdown":
                cell.source = LINKS.sub(lambda _: links(path, paths), cell.source)
                cell.source = with_numbers(cell.source, text)[0]
        nbformat.write(notebook, path)
    if setup.source != SETUP.rstrip() or setup.metadata.get("tags") != ["parameters"]:
        yield "its first code cell is not the setup"
    prose = [cell.source for cell in cells if cell.cell_type == "markdown"]
    if sum(len(LINKS.findall(each)) for each in prose) != 2:
        yield "the links stand not at its beginning and its end"
    if any(found[0] != links(path, paths) for each in prose for found in LINKS.finditer(each)):
        yield "its links lead elsewhere"
    for each in prose:
        yield from with_numbers(each, text)[1]
    if (count := sum(len(TAGGED.findall(each)) for each in prose)) > NUMBERS:
        yield f"{count} numbers in its prose, at most {NUMBERS}"
    for cell in cells:
        for output in cell.get("outputs", []):
            picture = "image/png" in output.get("data", {})
            if picture and not output.metadata.get("image/png", {}).get("alt"):
                yield f"a figure without words for those who do not see it: {cell.source[-60:]}"


def main() -> int:
    """Check, or write and check, all notebooks."""
    paths = sorted(FOLDER.glob("[0-9]*.ipynb"))
    write = "--write" in sys.argv[1:]
    wrong = [f"{p.name}: {what}" for p in paths for what in problems(p, paths, write=write)]
    if (size := sum(path.stat().st_size for path in paths)) > LARGEST:
        wrong.append(f"{size:,} bytes of notebooks, at most {LARGEST:,}")
    print("\n".join(wrong) or "the notebooks agree with their outputs and with one another")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
