"""Hold what the built site promises: no dead link inside, no request elsewhere, and its size.

    python scripts/check_site.py [build/site]

Prints what is wrong, and exits with 1 where anything is. Links to other servers are not followed:
`make linkcheck` does that.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 25_000_000  # bytes
LOADED = {  # element -> attributes that a browser fetches by itself; <link> is looked at by its rel
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
}
ELSEWHERE = re.compile(r"""(url\(|@import)\s*["']?(https?:)?//""")  # in a style sheet
NOT_FETCHED = {"canonical", "next", "prev", "search", "index", "author", "copyright"}


class Page(HTMLParser):
    """The anchors of a page, and what it links to: (address, whether a browser fetches it)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, bool]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        self.anchors |= {of[name] for name in ("id", "name") if of.get(name)}
        self.links += [(of[name], True) for name in LOADED.get(tag, ()) if of.get(name)]
        if "href" in of and tag in ("a", "link"):
            fetched = tag == "link" and not NOT_FETCHED & set(of.get("rel", "").split())
            self.links.append((of["href"], fetched))


@cache
def read(file: Path) -> Page:
    return Page(file.read_text("utf-8"))


def wrong_link(file: Path, site: Path, address: str, fetched: bool) -> str | None:
    """What is wrong with a link of a page, if anything."""
    parts = urlsplit(address)
    if parts.scheme in ("data", "mailto", "javascript"):
        return None
    if parts.scheme or parts.netloc:
        return "asks another server" if fetched else None
    to = file
    if parts.path:
        start = site if parts.path.startswith("/") else file.parent
        to = (start / unquote(parts.path).lstrip("/")).resolve()
        to = to / "index.html" if to.is_dir() else to
    if not to.is_file() or not to.is_relative_to(site):
        return "there is no such file"
    # what follows "#" on the explorer is a state, not an anchor
    if parts.fragment and to.suffix == ".html" and "explorer" not in to.relative_to(site).parts[:1]:
        anchors = read(to).anchors
        if parts.fragment not in anchors and unquote(parts.fragment) not in anchors:
            return "there is no such anchor"
    return None


def wrong(site: Path) -> Iterator[str]:
    """All that is wrong with a site, a line each."""
    site = site.resolve()
    pages = sorted(site.rglob("*.html"))
    if not pages:
        yield f"{site} has no pages: build it with `make site`"
    for file in pages:
        for address, fetched in dict.fromkeys(read(file).links):
            if found := wrong_link(file, site, address, fetched):
                yield f"{file.relative_to(site)}: {address[:100]}: {found}"
    for sheet in sorted(site.rglob("*.css")):
        if ELSEWHERE.search(sheet.read_text("utf-8")):
            yield f"{sheet.relative_to(site)}: asks another server"
    if (size := sum(file.stat().st_size for file in site.rglob("*") if file.is_file())) > LARGEST:
        yield f"the site has {size / 1e6:.1f} MB, at most {LARGEST / 1e6:.0f}"


def main() -> int:
    site = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"
    found = list(wrong(site))
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
    print("\n".join(found) or f"{size / 1e6:.1f} MB, no dead link inside, no request elsewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
