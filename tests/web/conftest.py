"""The explorer page on loopback, a headless Chromium, and the page's networks in torch."""

import functools
import http.server
import shutil
import threading
from pathlib import Path

import pytest
from safetensors.torch import load_file

from selective_amnesia.models.classifiers import Judge
from selective_amnesia.models.cvae import OneHotCVAE
from selective_amnesia.referees.cnn import RefereeCNN

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WEB = Path(__file__).parents[2] / "web"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


@pytest.fixture(scope="module")
def folder():
    """What is served."""
    return WEB


@pytest.fixture(scope="module")
def address(folder):
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    reason = "playwright is not installed"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def fresh(browser):
    """A page in a context of its own, with what went wrong in it and what it asked for."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.errors, page.asked = [], []
    page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    context.close()


@pytest.fixture
def page(fresh, address):
    fresh.goto(address)
    fresh.locator("#page").wait_for()
    return fresh


@pytest.fixture(scope="module")
def nets():
    """The networks of the page's files in torch, by name."""

    def weights(name):
        return {
            k.removeprefix("net."): v
            for k, v in load_file(WEB / "models" / "0" / f"{name}.safetensors").items()
        }

    made = {}
    for name in ("original", "amnesiac", "control"):
        made[name] = OneHotCVAE().eval()
        made[name].decoder.load_state_dict(
            {k.removeprefix("decoder."): v for k, v in weights(name).items()}
        )
    made["judge"], made["quick"] = Judge().eval(), RefereeCNN().eval()
    made["judge"].load_state_dict(weights("judge"))
    made["quick"].load_state_dict({k: v for k, v in weights("quick").items() if k != "shape"})
    return made
