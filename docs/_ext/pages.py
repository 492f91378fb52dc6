"""What pages need beyond Sphinx and MyST-NB: notebooks made ready to be read, links to files that
are no pages, formulas as MathML, the explorer beside the pages.
"""

from __future__ import annotations

import json
import posixpath
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx import addnodes

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://github.com/selective-amnesia-lab/selective-amnesia-lab"
ELSEWHERE = {"README": "docs/index", "CONTRIBUTING": "docs/howto/index"}  # pages that include them
OWN_PAGES = {  # sections of CONTRIBUTING
    "a-forgetting-method": "docs/howto/method",
    "an-attack": "docs/howto/attack",
    "a-metric": "docs/howto/metric",
    "a-data-set": "docs/howto/dataset",
}
FONT = "STIXTwoMath-Regular.ttf"  # all that ziamath is for
WIDGET = "application/vnd.jupyter.widget-view+json"

sys.path.insert(0, str(ROOT / "scripts"))
from page import one_file  # noqa: E402


def readable(_app: Any, docname: str, source: list[str]) -> None:
    """A notebook as it is shown: the setup cell folded, no widgets, which need a kernel, and of
    every picture its width and what it shows in words."""
    if not docname.startswith("notebooks/"):
        return
    notebook = json.loads(source[0])
    notebook["metadata"].pop("widgets", None)
    for cell in (c for c in notebook["cells"] if c["cell_type"] == "code"):
        if "parameters" in cell["metadata"].get("tags", []):
            cell["metadata"]["tags"] = ["hide-input"]
        cell["outputs"] = [o for o in cell["outputs"] if WIDGET not in o.get("data", {})]
        for output in cell["outputs"]:
            if about := output.get("metadata", {}).get("image/png"):
                shown = {"alt": about.get("alt", ""), "width": f"{about['width']}px"}
                cell["metadata"]["mystnb"] = {"image": shown}
    source[0] = json.dumps(notebook)


def settle_links(app: Any, doctree: nodes.document) -> None:
    """Links to files of the repository that are no pages lead to GitHub, links to README and
    CONTRIBUTING to the pages that include them; pictures from other servers become their words."""
    env = app.env
    here = posixpath.dirname(env.docname)
    for node in list(doctree.findall(addnodes.download_reference)):
        lead_to_file(node, posixpath.normpath(posixpath.join(here, node["reftarget"])))
    for node in list(doctree.findall(addnodes.pending_xref)):
        if node.get("reftype") != "myst":
            continue
        if node["refdomain"] == "doc":
            if (doc := node["reftarget"]) in ELSEWHERE:
                node["reftarget"] = OWN_PAGES.get(node["reftargetid"], ELSEWHERE[doc])
                if node["reftargetid"] in OWN_PAGES:
                    node["reftargetid"] = None
            elif doc not in env.found_docs:
                lead_to_file(node, f"{doc}.md")
            continue
        path, _, anchor = node["reftarget"].partition("#")
        if not path:
            continue
        # what README or CONTRIBUTING link to is named from the root, wherever it is included
        for found in (posixpath.normpath(posixpath.join(here, path)), path.rstrip("/")):
            doc = env.path2doc(found)
            doc = ELSEWHERE.get(doc or "", doc)
            if doc in env.found_docs:
                node["refdomain"], node["reftarget"] = "doc", doc
                node["reftargetid"] = anchor or None
                break
            if (ROOT / found).exists():
                lead_to_file(node, found)
                break
    for image in list(doctree.findall(nodes.image)):
        if image["uri"].startswith("http"):
            image.replace_self(nodes.inline("", image.get("alt", "")))


def lead_to_file(node: nodes.Element, path: str) -> None:
    """Make a link to a file or folder of the repository one to GitHub."""
    kind = "tree" if (ROOT / path).is_dir() else "blob"
    link = nodes.reference("", "", *node.children, refuri=f"{ADDRESS}/{kind}/main/{path}")
    node.replace_self(link)


def inline_math(self: Any, node: nodes.math) -> None:
    self.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def display_math(self: Any, node: nodes.math_block) -> None:
    formula = mathml(node.astext().replace("\\min_", "\\min\\limits_"), "block")
    self.body.append(f'<div class="formula">{formula}</div>')
    raise nodes.SkipNode


def mathml(latex: str, display: str = "inline") -> str:
    """LaTeX as MathML; what latex2mathml does not know is first said as it does."""
    latex = latex.replace("{aligned}", "{align*}")
    return convert(re.sub(r"\\(mathcal|mathsf) (\w)", r"\\\1{\2}", latex), display=display)


def finish(app: Any, error: Exception | None) -> None:
    """Add the explorer as one file, which also opens from disk, and a font for formulas; leave out
    the theme's source maps and templates."""
    if error is None and app.builder.format == "html":
        static = Path(app.outdir, "_static")
        for unused in (*static.rglob("*.map"), *static.rglob("*macros.html")):
            unused.unlink()
        (static / FONT).write_bytes((files("ziamath") / "fonts" / FONT).read_bytes())
        to = Path(app.outdir) / "explorer" / "index.html"
        to.parent.mkdir(exist_ok=True)
        to.write_text(one_file(ROOT / "web"), "utf-8")


def setup(app: Any) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
    app.connect("source-read", readable)
    app.connect("doctree-read", settle_links, priority=100)  # before images and downloads are kept
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
