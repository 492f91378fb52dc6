"""The fault suite: a short selection in `make test`, all of it in `make faults` (FAULTS=full).

Each test says what it tried, how often, and what was lost; the table is printed at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FULL = os.environ.get("FAULTS") == "full"
ROWS: list[tuple[str, int, str]] = []


@pytest.fixture(scope="session")
def times() -> Callable[[int, int], int]:
    """(in the short selection, in all) -> how often to try."""
    return lambda short, full: full if FULL else short


@pytest.fixture
def tally() -> Callable[[str, int, str], None]:
    """Adds a row to the table: what was tried, how often, what was lost."""
    return lambda what, tried, lost: ROWS.append((what, tried, lost))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not ROWS:
        return
    wide = max(len(what) for what, _, _ in ROWS)
    terminalreporter.section("faults: what was tried, how often, what was lost")
    for what, tried, lost in ROWS:
        terminalreporter.line(f"{what:<{wide}}  {tried:>4}  {lost}")


class Nursery:
    """Labs that live in processes of their own (`nursery.py`)."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        )
        assert self.process.stdout.readline() == "warm\n"

    def life(self, folder: Path, **order: Any) -> dict[str, list]:
        """Lead one life or several (see `nursery.py`), in `folder`."""
        order |= {"folder": str(folder), "trace": str(folder / "trace")}
        folder.mkdir(exist_ok=True)
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every finished stage's tensors, but for those that are times."""
    return {
        file.stem: hashlib.sha256(file.with_suffix(".safetensors").read_bytes()).hexdigest()
        for file in (folder / "checkpoints").glob("*.json")
        if not file.name.startswith("explorer")
    }


@pytest.fixture(scope="session")
def calm(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two lives led at once that nothing else disturbs; `said` holds their words."""
    folder = tmp_path_factory.mktemp("calm")
    answer = nursery.life(folder, beside=2)
    assert answer["status"] == [0, 0], answer["said"]
    (folder / "said").write_text("\n".join(answer["said"]))
    return folder


@pytest.fixture(scope="session")
def undisturbed(calm: Path) -> dict[str, str]:
    """The `hashes` of `calm`, as its lives left them."""
    return hashes(calm)
