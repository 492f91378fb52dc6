"""The site as it was built: its links, its size, what its pages hold. And what checks it."""

import importlib
import pkgutil
import re
import shutil
import sys
from pathlib import Path

import pytest

import selective_amnesia

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "_ext"))
import check_site
from docstrings import restructured

ROOT = Path(__file__).parents[1]
SITE = ROOT / "build" / "site"
built = pytest.mark.skipif(
    not (SITE / "index.html").exists(), reason="there is no site in build/site: run `make site`"
)
PAGE = '<h1 id="top">A page</h1><a href="other.html#here">there</a><img src="one.png">'
OTHER = '<p id="here">Here.</p><a href="https://example.org">elsewhere</a>'


@pytest.fixture
def small(tmp_path):
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "other.html").write_text(OTHER)
    (tmp_path / "one.png").write_bytes(b"picture")
    (tmp_path / "site.css").write_text('a { background: url("one.png") }')
    return tmp_path


def test_a_sound_site_passes(small):
    assert list(check_site.wrong(small)) == []


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("index.html", '<a href="gone.html">x</a>', "no such file"),
        ("index.html", '<a href="other.html#gone">x</a>', "no such anchor"),
        ("index.html", '<a href="#gone">x</a>', "no such anchor"),
        ("index.html", '<a href="../outside.html">x</a>', "no such file"),
        ("index.html", '<img src="gone.png">', "no such file"),
        ("index.html", '<script src="https://cdn.example/x.js"></script>', "another server"),
        ("index.html", '<link rel="stylesheet" href="//cdn.example/x.css">', "another server"),
        ("site.css", "@import url(https://fonts.example/css);", "another server"),
        ("site.css", '@import "https://fonts.example/css";', "another server"),
    ],
)
def test_what_is_wrong_with_a_site_is_named(small, name, text, says):
    (small.parent / "outside.html").write_text("not of the site")
    with (small / name).open("a") as file:
        file.write(text)
    check_site.read.cache_clear()
    (found,) = check_site.wrong(small)
    assert says in found
    assert found.startswith(name)


def test_a_site_may_be_too_large_or_missing(small, monkeypatch):
    monkeypatch.setattr(check_site, "LARGEST", 100)
    (found,) = check_site.wrong(small)
    assert "MB" in found
    shutil.rmtree(small)
    (found,) = check_site.wrong(small)
    assert "make site" in found


def test_docstrings_are_taken_literally_but_for_code_emphasis_and_blocks():
    plain = [
        "The way `|theta*|` goes, *once*, from theta*_i to |z|, **bold**:",
        "",
        "    L = sum_i F_i (theta_i - theta*_i)^2",
        "",
        "Args:",
        "    x: images `(N, P)`,",
        "        as rows.",
        "",
        "    y: none.",
    ]
    assert list(restructured(plain)) == [
        r"The way ``|theta*|`` goes, *once*, from theta\*_i to \|z\|, **bold**:",
        "",
        ".. code-block:: text",
        "",
        "    L = sum_i F_i (theta_i - theta*_i)^2",
        "",
        "Args:",
        "    x: images ``(N, P)``,",
        "        as rows.",
        "",
        "    y: none.",
    ]


@built
def test_the_site_has_no_dead_link_asks_nobody_and_is_small():
    check_site.read.cache_clear()
    assert list(check_site.wrong(SITE)) == []


@built
def test_every_module_is_on_a_page():
    package = pkgutil.walk_packages(selective_amnesia.__path__, "selective_amnesia.")
    modules = {found.name for found in package if not found.name.endswith("__main__")}
    pages = "".join(p.read_text() for p in (SITE / "docs" / "api").glob("*.html"))
    shown = set(re.findall(r'id="module-([\w.]+)"', pages))
    assert modules <= shown
    assert "selective_amnesia.attacks.robust.recover" in pages
    assert importlib.import_module("selective_amnesia.attacks.robust").recover.__doc__ in pages


@built
@pytest.mark.parametrize("name", [p.stem for p in (ROOT / "notebooks").glob("[0-9]*.ipynb")])
def test_notebooks_have_words_for_pictures_and_a_folded_setup(name):
    page = (SITE / "notebooks" / f"{name}.html").read_text()
    article = page.partition("<article")[2].partition("</article>")[0]
    pictures = re.findall(r"<img [^>]*>", article)
    assert pictures
    assert [p[:200] for p in pictures if not re.search(r'alt="[^"]{10,}"', p)] == []
    folded = re.findall(r'<details class="[^"]*hide[^"]*">.*?</details>', article, re.DOTALL)
    assert any("google.colab" in re.sub("<[^>]+>", "", cell) for cell in folded)
    assert "vnd.jupyter.widget" not in article
    assert "it/s]" not in article  # no progress bar
