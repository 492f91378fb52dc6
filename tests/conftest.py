"""What the tests share: a tiny lab on scikit-learn's digits, which needs no network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pretended
import pytest
import torch

from selective_amnesia import Lab, checkpoint
from selective_amnesia.data import Dataset, load
from selective_amnesia.models import OneHotCVAE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: the last test of a run has all cores but one idle beside it."""
    items.sort(key=lambda item: item.path.stem not in ("test_notebooks", "test_kills"))


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load("digits", Path("unused"))


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def lab(lab_folder: Path) -> Lab:
    """A lab whose finished stages the tests share; none may change them."""
    return Lab.open("smoke", dataset="digits", folder=lab_folder, device="cpu")


@pytest.fixture(scope="session")
def accelerator(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The library of the pretended device, where there is a compiler for it."""
    if "PRETENDED_DEVICE" in os.environ:
        return Path(os.environ["PRETENDED_DEVICE"])
    if shutil.which("g++") is None:
        return None
    return pretended.compiled(tmp_path_factory.mktemp("device"))


@pytest.fixture
def small_cvae() -> OneHotCVAE:
    torch.manual_seed(0)
    return OneHotCVAE(pixels=20, classes=4, z_dim=3, hidden=(16, 8))


@pytest.fixture(autouse=True)
def refuge(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A refuge of the test's own, away from the home folder."""
    place = tmp_path_factory.mktemp("refuge")
    monkeypatch.setattr(checkpoint, "REFUGE", place)
    return place
