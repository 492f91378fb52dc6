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

from selective_amnesia.storage import mirror

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


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Mirrors that failed are asked again at once, and all that were started come to rest."""
    monkeypatch.setattr(mirror, "AGAIN", 0.02)
    monkeypatch.setattr(mirror, "_started", [])
    yield
    for started in mirror._started:
        started.flush(2.0)


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk of that size, where we may mount one."""
    place = tmp_path / "disk"

    def mounted(size: str) -> Path:
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("a small disk cannot be mounted here")
        return place

    yield mounted
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


class ForkServer:
    """Runs of a lab in processes of their own (`fork_server.py`)."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        )
        assert self.process.stdout.readline() == "warm\n"

    def run(self, *folders: Path, **order: Any) -> dict[str, list]:
        """A run in each of the folders, all at once (see `fork_server.py`)."""
        trace = str(folders[0] / "trace")
        order = {"folders": list(map(str, folders)), "trace": trace, "few": not FULL} | order
        for folder in folders:
            folder.mkdir(exist_ok=True)
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def hashes() -> Callable[[Path], dict[str, str]]:
    """A lab's folder -> the SHA-256 of every finished stage's tensors."""
    return lambda folder: {
        file.stem: hashlib.sha256(file.with_suffix(".safetensors").read_bytes()).hexdigest()
        for file in (folder / "checkpoints").glob("*.json")
    }


@pytest.fixture(scope="session")
def calm(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two runs made at once that nothing else disturbs; `said` holds their words."""
    folder = tmp_path_factory.mktemp("calm")
    answer = fork_server.run(folder, folder)
    assert answer["status"] == [0, 0], answer["said"]
    (folder / "said").write_text("\n".join(answer["said"]))
    return folder


@pytest.fixture(scope="session")
def undisturbed(calm: Path, hashes: Callable) -> dict[str, str]:
    """The `hashes` of `calm`, as its runs left them."""
    return hashes(calm)
