"""What the tests share: a tiny lab on scikit-learn's digits, which needs no network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from selective_amnesia import Lab
from selective_amnesia.data import load
from selective_amnesia.data.dataset import Dataset
from selective_amnesia.lab import measurements
from selective_amnesia.models.cvae import OneHotCVAE

for name in ("MIRROR", "HOME", "PLUGINS"):  # what the machine's owner has set is not tested here
    os.environ.pop(f"SELECTIVE_AMNESIA_{name}", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, in either half: each of two workers begins with one half of the tests."""
    long = [item for item in items if item.path.stem in ("test_notebooks", "test_kills")]
    others = [item for item in items if item not in long]
    half = len(items) // 2 - len(long[::2])
    items[:] = [*long[::2], *others[:half], *long[1::2], *others[half:]]


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


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def lab(lab_folder: Path) -> Lab:
    """A lab whose finished stages the tests share; none may change them."""
    return Lab.open("smoke", dataset="digits", folder=lab_folder, device="cpu")


@pytest.fixture(scope="session")
def accelerator(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The library of the fake device, where there is a compiler for it."""
    if "FAKE_DEVICE" in os.environ:
        return Path(os.environ["FAKE_DEVICE"])
    if shutil.which("g++") is None:
        return None
    import fake_device

    return fake_device.compiled(tmp_path_factory.mktemp("device"))


@pytest.fixture
def small_cvae() -> OneHotCVAE:
    torch.manual_seed(0)
    return OneHotCVAE(pixels=20, classes=4, z_dim=3, hidden=(16, 8))
