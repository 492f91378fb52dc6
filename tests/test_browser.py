"""The explorer in a real browser: JupyterLab on loopback, headless Chromium, real events.

The explorer of notebook 05 is run from the menu on a tiny lab; then the sliders are moved with the
mouse and the keyboard, the button is pressed, and every model's picture has to change as it
should, without an error in the browser's console.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "05_label_interpolation.ipynb"
MODELS = ("original", "amnesiac", "control")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason=f"no browser: none of {', '.join(BROWSERS)}"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def notebook_folder(tmp_path_factory):
    """The notebook's code cells that lead to the explorer, with the tests' parameters and no
    outputs."""
    folder = tmp_path_factory.mktemp("jupyter")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    asked = next(cell for cell in cells if "quick = lab.panel.quick()" in cell.source)
    notebook.cells = [*cells[:4], asked, cells[-1]]
    for cell in notebook.cells:
        cell.outputs, cell.execution_count = [], None
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += '\nprofile, dataset = "smoke", "digits"'
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, folder / "explorer.ipynb")
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)  # without it cells out of sight are not in the page
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    return folder


@pytest.fixture(scope="module")
def server(notebook_folder, lab):
    """JupyterLab on a free port of the loopback interface: its address."""
    lab.trio({0}), lab.panel.quick()  # the notebook finds the stages that the tests share
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        "SELECTIVE_AMNESIA_HOME": str(lab.store.folder),
        **{f"JUPYTER_{k}_DIR": str(notebook_folder / k.lower()) for k in ("CONFIG", "RUNTIME")},
        "JUPYTERLAB_SETTINGS_DIR": str(notebook_folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(notebook_folder / "workspaces"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token=test"]
    command += [f"--ServerApp.root_dir={notebook_folder}", "--LabApp.news_url=None"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with open(notebook_folder / "server.log", "wb") as log:
        process = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api?token=test", timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail((notebook_folder / "server.log").read_text()[-2000:])
        yield address
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def page(server):
    """The notebook, run to its end, and the errors of the browser's console so far."""
    errors = []
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.errors = errors
        page.goto(f"{server}/lab/tree/explorer.ipynb?token=test")
        page.locator(".jp-NotebookPanel:visible .jp-Cell").first.wait_for(timeout=120_000)
        idle = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'
        page.locator(idle).first.wait_for(timeout=120_000)
        run_all(page)
        pictures(page).nth(len(MODELS) - 1).wait_for(state="attached", timeout=300_000)
        page.locator(idle).first.wait_for(timeout=60_000)
        yield page
        browser.close()


def run_all(page):
    """Run all cells. JupyterLab may say that the kernel is idle and not run anything yet."""
    begun = page.locator(".jp-InputArea-prompt", has_text=re.compile(r"\[(\*|\d+)\]"))
    for _ in range(6):
        page.wait_for_timeout(1000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            begun.first.wait_for(state="attached", timeout=15_000)
        except playwright.TimeoutError:
            continue
        return


def pictures(page):
    return page.locator(".jp-OutputArea img.widget-image")


def sources(page):
    """What each picture shows: its bytes, fetched back from the page."""
    return page.evaluate(
        """async () => Promise.all(
            [...document.querySelectorAll('.jp-OutputArea img.widget-image')].map(async img =>
                Array.from(new Uint8Array(await (await fetch(img.src)).arrayBuffer())).join())
        )"""
    )


def settled(page, before, changed):
    """Wait until the pictures that should change have, and stand still; all of them as they then
    are. (Several events may be on their way, and a busy machine draws them one by one.)"""
    last = None
    for _ in range(120):
        after = sources(page)
        if after == last and [a != b for a, b in zip(after, before, strict=True)] == changed:
            return after
        last = after
        page.wait_for_timeout(500)
    raise AssertionError([a != b for a, b in zip(sources(page), before, strict=True)])


def row(page, name):
    label = page.locator(".widget-label").get_by_text(name, exact=True)
    return page.locator(".jp-OutputArea .widget-inline-hbox").filter(has=label)


def handle(page, name):
    return row(page, name).locator(".noUi-handle")


def test_the_still_film_has_left_and_every_model_has_its_picture(page):
    assert pictures(page).count() == len(MODELS)
    film = page.locator(".jp-OutputArea-child:has(img.widget-image) ~ .jp-OutputArea-child img")
    film.wait_for(state="detached", timeout=10_000)
    for name in MODELS:
        assert page.locator(".widget-html b").get_by_text(name, exact=True).count() == 1
    assert page.locator(".widget-html").get_by_text("CNN:").count() == len(MODELS)


def test_sliders_and_button_change_every_picture(page):
    now = sources(page)
    everyone, nobody = [True] * len(MODELS), [False] * len(MODELS)

    handle(page, "mix").scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    box = handle(page, "mix").bounding_box()  # dragged with the mouse, in steps as a hand does
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 60, box["y"] + box["height"] / 2, steps=12)
    page.mouse.up()
    now = settled(page, now, everyone)
    assert 0 < float(row(page, "mix").locator(".widget-readout").inner_text()) < 0.55  # it began so

    for name in ("direction 1", "direction 2", "direction 3", "to", "from"):
        handle(page, name).focus()
        for _ in range(1 if name in ("to", "from") else 20):
            page.keyboard.press("ArrowRight")
        now = settled(page, now, everyone)

    page.get_by_role("button", name="new z").click()
    now = settled(page, now, everyone)

    handle(page, "mix").focus()
    page.keyboard.press("Home")
    now = settled(page, now, everyone)
    handle(page, "to").focus()
    page.keyboard.press("ArrowRight")
    settled(page, now, nobody)  # nothing of it is mixed in


def test_the_console_has_no_error(page):
    assert page.errors == []
