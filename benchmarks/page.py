"""How long the explorer page takes: to its first picture, and from a slider to its pictures.

    python benchmarks/page.py [--events 1000] [--browser chromium]

Serves `web/` on loopback and opens it in headless Chromium. An event is timed from its dispatch to
the laid-out page with the three pictures and their bars, without the screen. Beside the wall's time
stands the processor's time an event costs the page, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import shutil
import statistics
import threading
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

WEB = Path(__file__).resolve().parents[1] / "web"
WATCH = """addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
    if (!document.getElementById('page').hidden) window.first ??= performance.now();
}).observe(document.getElementById('page'), { attributes: true }))"""
EVENTS = """(count) => {
    const slider = document.getElementById('mix'), times = [];
    for (let k = 0; k < count; k++) {
        slider.value = (k % 101) / 100;
        const begun = performance.now();
        slider.dispatchEvent(new Event('input'));
        document.body.offsetHeight;
        times.push(performance.now() - begun);
    }
    return times;
}"""


def measure(browser: Browser, address: str, events: int) -> tuple[float, list[float], float]:
    """Milliseconds to the first picture, of each event, and of the processor an event."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(WATCH)
    page.goto(address)
    page.locator("#page").wait_for()
    first = page.evaluate("window.first")
    page.evaluate(EVENTS, 50)  # the first are slower
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    before = busy()
    times = page.evaluate(EVENTS, events)
    cost = 1000 * (busy() - before) / events
    page.close()
    return first, times, cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--browser", default="chromium")
    options = parser.parse_args()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(WEB))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        sync_playwright() as play,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = play.chromium.launch(
            executable_path=shutil.which(options.browser), args=["--no-sandbox", "--disable-gpu"]
        )
        address = f"http://127.0.0.1:{server.server_port}/"
        first, times, cost = measure(browser, address, options.events)
        browser.close()
        server.shutdown()
    cuts = statistics.quantiles(times, n=20)
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    print(f"first picture after {first:.0f} ms")
    print(
        f"slider to picture: median {cuts[9]:.1f} ms, 95th percentile {cuts[18]:.1f} ms,", end=" "
    )
    print(f"of the processor {cost:.1f} ms")


if __name__ == "__main__":
    main()
