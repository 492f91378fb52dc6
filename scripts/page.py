"""Write the explorer page as one file that needs no server.

    python scripts/page.py [--to build/explorer.html]

Style sheet, modules and networks go into the page itself, which a browser then opens from disk.
The modules are joined in the order of their imports, so no two of them may use one name at their
top level. Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import base64
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORT = re.compile(r'^import .*? from "\./(.+?)";\n', re.MULTILINE)


def joined(module: Path, done: set[Path]) -> str:
    """A module behind those that it imports, each once, as plain text without import and export."""
    if module in done:
        return ""
    done.add(module)
    text = module.read_text("utf-8")
    before = [joined(module.parent / name, done) for name in IMPORT.findall(text)]
    return "".join(before) + re.sub(r"^export ", "", IMPORT.sub("", text), flags=re.MULTILINE)


def one_file(web: Path) -> str:
    """The page in `web` with everything inside."""
    page = (web / "index.html").read_text("utf-8")
    style = (web / "style.css").read_text("utf-8")
    models = (
        p for p in sorted((web / "models").rglob("*")) if p.suffix in (".json", ".safetensors")
    )
    inside = [
        f'<script type="text/plain" data-path="{path.relative_to(web).as_posix()}">'
        f"{base64.b64encode(path.read_bytes()).decode()}</script>\n"
        for path in models
    ]
    code = joined(web / "js" / "page.js", set())
    for old, new in (
        ('<link rel="stylesheet" href="style.css">', f"<style>\n{style}</style>"),
        (
            '<script type="module" src="js/page.js" onerror="unloaded()"></script>',
            f'{"".join(inside)}<script type="module">\n{code}</script>',
        ),
    ):
        if page.count(old) != 1:
            raise SystemExit(f"web/index.html has to hold this once: {old}")
        page = page.replace(old, new)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "explorer.html")
    to = parser.parse_args().to
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(one_file(ROOT / "web"), "utf-8")
    print(f"{to}: {to.stat().st_size / 1e6:.1f} MB, everything inside")


if __name__ == "__main__":
    main()
