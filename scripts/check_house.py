"""Hold the house's limits: how long a file, how long a function, how many names `Lab` has.

    python scripts/check_house.py

Prints what is above its limit, and exits with 1 where anything is.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "selective_amnesia"
FILE, FUNCTION, LAB = 300, 60, 19  # lines, lines, names


def too_long(file: Path) -> Iterator[str]:
    """A file, and the functions in it, that are above their limits; nested functions count in."""
    text = file.read_text()
    where = file.relative_to(ROOT)
    if (lines := len(text.splitlines())) > FILE:
        yield f"{where}: {lines} lines, at most {FILE}"
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    for node in (n for n in ast.walk(ast.parse(text)) if isinstance(n, functions)):
        if (lines := node.end_lineno - node.lineno + 1) > FUNCTION:
            yield f"{where}:{node.lineno}: {node.name}: {lines} lines, at most {FUNCTION}"


def public_names(file: Path, name: str) -> list[str]:
    """What a class offers by itself: methods, fields, and attributes that its methods set."""
    body = ast.parse(file.read_text()).body
    (found,) = (node for node in body if isinstance(node, ast.ClassDef) and node.name == name)
    names = {node.name for node in found.body if isinstance(node, ast.FunctionDef)}
    for node in found.body:
        if isinstance(node, ast.AnnAssign):
            names.add(ast.unparse(node.target))
        elif isinstance(node, ast.Assign):
            names |= {ast.unparse(target) for target in node.targets}
    for node in ast.walk(found):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            owner, _, attribute = ast.unparse(node).rpartition(".")
            names |= {attribute} if owner == "self" else set()
    return sorted(each for each in names if not each.startswith("_"))


def main() -> int:
    """Check all files of the package."""
    wrong = [line for file in sorted(PACKAGE.rglob("*.py")) for line in too_long(file)]
    if len(names := public_names(PACKAGE / "lab" / "lab.py", "Lab")) > LAB:
        wrong.append(f"Lab: {len(names)} public names, at most {LAB}: {', '.join(names)}")
    print("\n".join(wrong) or "files, functions and Lab are within their limits")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
