"""What the tests share: a tiny lab on scikit-learn's digits, which needs no network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from selective_amnesia import Lab
from selective_amnesia.data import load
from selective_amnesia.data.dataset import Dataset
from selective_amnesia.lab import measurements
from selective_amnesia.models.cvae import OneHotCVAE
from selective_amnesia.referees.cnn import RefereeCNN
from selective_amnesia.referees.panel import Panel
from selective_amnesia.training import loop

for name in ("MIRROR", "HOME", "PLUGINS"):  # what the machine's owner has set is not tested here
    os.environ.pop(f"SELECTIVE_AMNESIA_{name}", None)


SERVERS = ("fork_server", "notebook_folder")  # fixtures whose tests stay together: a slow start


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each worker begins with an equal part of the list, in which the longest tests stand first."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    groups = [[item for item in items if name in item.fixturenames] for name in SERVERS]
    groups += [[item] for item in items if item.get_closest_marker("long")]
    begun = {item for group in groups for item in group}
    others = [item for item in items if item not in begun]
    ordered: list[pytest.Item] = []
    for k in range(workers):
        size = (len(items) - len(ordered)) // (workers - k)
        part = [item for group in groups[k::workers] for item in group]
        room = max(0, size - len(part))
        ordered += part + others[:room]
        others = others[room:]
    items[:] = ordered + others


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load("digits", Path("unused"))


@pytest.fixture(scope="session", autouse=True)
def without_lpips() -> Iterator[None]:
    """The judge's features stand in for LPIPS, whose weights no test of a lab has to fetch."""

    def none(_folder: Path) -> None:
        raise FileNotFoundError("tests fetch nothing")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measurements, "alexnet_weights", none)
        yield


@pytest.fixture(scope="session", autouse=True)
def in_float32() -> Iterator[None]:
    """What the tests train in their own processes is the same on every processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "fast_in_bfloat16", lambda _device: False)
        yield


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this worker, with the finished stages of all workers."""
    folder = tmp_path_factory.mktemp("lab")
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = tmp_path_factory.getbasetemp().parent / "checkpoints"
        shared.mkdir(exist_ok=True)
        (folder / "checkpoints").symlink_to(shared)
    return folder


@pytest.fixture(scope="session")
def lab(lab_folder: Path) -> Lab:
    """A lab whose finished stages the tests share; none may change them."""
    return Lab.open("smoke", dataset="digits", folder=lab_folder, device="cpu")


@pytest.fixture
def own(lab: Lab, tmp_path: Path) -> Callable[..., Lab]:
    """Opens a lab of the test's own, which begins with some of what the shared one has made."""

    def opened(*begins_with: Any) -> Lab:
        folder = tmp_path / "checkpoints"
        folder.mkdir(exist_ok=True)
        for made in begins_with:
            for suffix in (".json", ".safetensors"):
                shutil.copy(lab.store.path(made.facts["name"], suffix), folder)
        return Lab.open("smoke", dataset="digits", folder=tmp_path, device="cpu")

    return opened


@pytest.fixture(scope="session")
def accelerator(request: pytest.FixtureRequest) -> Path | None:
    """The library of the fake device, where there is a compiler for it."""
    if "FAKE_DEVICE" in os.environ:
        return Path(os.environ["FAKE_DEVICE"])
    if shutil.which("g++") is None:
        return None
    import fake_device

    return fake_device.compiled(Path(request.config.cache.mkdir("fake_device")))


@pytest.fixture
def small_cvae() -> OneHotCVAE:
    torch.manual_seed(0)
    return OneHotCVAE(pixels=20, classes=4, z_dim=3, hidden=(16, 8))


@pytest.fixture(scope="session")
def panel_of() -> Callable[..., Panel]:
    """A panel of functions, images (N, P) to what each takes them for (N,)."""

    class Stub:
        def __init__(self, takes: Callable[[Tensor], Tensor]) -> None:
            self.takes = takes

    def made(takes: Sequence[Callable], pixels: int = 784, classes: int = 10) -> Panel:
        members = {str(k): cache(partial(Stub, each)) for k, each in enumerate(takes)}
        quick = RefereeCNN(classes, width=2, features=4).eval()
        return Panel(members, pixels, classes, lambda: quick, {"name": "stub"})

    return made
