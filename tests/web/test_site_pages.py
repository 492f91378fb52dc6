"""The built site in a browser, served on loopback: nothing asked elsewhere, search, sorting, the
explorer inside, light and dark."""

import re
from pathlib import Path

import pytest

SITE = Path(__file__).parents[2] / "build" / "site"
PAGES = (
    "index.html",
    "notebooks/00_start_here.html",
    "notebooks/05_label_interpolation.html",
    "docs/methods.html",
    "docs/api/selective_amnesia.attacks.html",
)

pytestmark = pytest.mark.skipif(
    not (SITE / "index.html").exists(), reason="there is no site in build/site: run `make site`"
)


@pytest.fixture(scope="module")
def folder():
    return SITE


@pytest.fixture
def sound(fresh, address):
    """A page; whatever it did, there was no error and no request to anyone else."""
    yield fresh
    assert fresh.errors == []
    assert [u[:200] for u in fresh.asked if not u.startswith((address, "data:", "blob:"))] == []
    assert len(fresh.asked) > 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_pages_open_and_fit_a_telephone(sound, address, path, scheme):
    sound.emulate_media(color_scheme=scheme)
    sound.set_viewport_size({"width": 390, "height": 844})
    sound.goto(address + path)
    sound.wait_for_url(re.compile(r"/\w+/.*html"))  # the start page leads on
    sound.locator("article h1").wait_for()
    paper = sound.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = sum(map(int, re.findall(r"\d+", paper)[:3])) / 3
    assert bright > 200 if scheme == "light" else bright < 60
    assert sound.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_search_works_without_another_server(sound, address):
    sound.set_viewport_size({"width": 390, "height": 844})
    sound.goto(f"{address}search.html?q=fisher+diagonal")
    sound.locator("ul.search a[href*='02_fisher_information.html']").first.wait_for()
    sound.get_by_text("Search finished").wait_for()
    assert sound.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_heading_sorts_the_leaderboard_both_ways(sound, address):
    sound.goto(f"{address}docs/leaderboard.html")
    table = sound.locator("table.sortable").first
    heading = table.locator("thead th").nth(5)
    cells = "cells => cells.map(cell => Number(cell.dataset.value))"
    for key, says, turned in (("Enter", "ascending", False), ("Enter", "descending", True)):
        heading.locator("button").press(key)
        values = table.locator("tbody tr > :nth-child(6)").evaluate_all(cells)
        assert heading.get_attribute("aria-sort") == says
        assert values == sorted(values, reverse=turned)
        assert len(set(values)) > 2
    assert table.locator("svg circle").count() > 15


def test_the_explorer_runs_inside(sound, address):
    sound.goto(f"{address}docs/live.html")
    inside = sound.frame_locator("iframe.explorer")
    inside.locator("#page").wait_for()
    drawn = "Array.from(document.querySelectorAll('#cards canvas'), (c) => c.toDataURL())"
    before = sound.frames[1].evaluate(drawn)
    inside.locator("#mix").press("ArrowLeft")
    sound.frames[1].wait_for_function(f"(before) => ({drawn})[0] !== before[0]", arg=before)


def test_it_opens_from_disk(fresh):
    fresh.goto((SITE / "docs" / "live.html").as_uri())
    fresh.frame_locator("iframe.explorer").locator("#page").wait_for()
    fresh.goto((SITE / "search.html").as_uri() + "?q=fisher+diagonal")
    fresh.locator("ul.search a[href*='02_fisher_information.html']").first.wait_for()
    assert [u[:200] for u in fresh.asked if not u.startswith(("file:", "data:", "blob:"))] == []
