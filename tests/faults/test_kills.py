"""Lives cut short by SIGKILL: all that was finished stays, and the end is the same to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from conftest import hashes

from selective_amnesia.config import PROFILES

SMOKE = PROFILES["smoke"]
INTERVAL = {
    "judge": SMOKE.judge.save_every,
    "referee": SMOKE.referee.save_every,
    "cvae": SMOKE.cvae.save_every,
    "control": SMOKE.cvae.save_every,
    "amnesiac": SMOKE.forget.save_every,
}


class Watch:
    """Follows the lives in one folder and holds each to what the lab promises."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.read = folder, 0
        self.finished: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self.repeated: list[int] = []

    def look(self) -> None:
        """After a life: no finished stage was begun again, at most one interval was repeated."""
        lines = (self.folder / "trace").read_text().splitlines()
        resumed = set()
        for line in lines[self.read :]:
            key, what = line.split()
            assert key not in self.finished, f"{key} was finished and is made again"
            if what == "made":
                continue
            step = int(what)
            if key in self.last and key not in resumed:
                repeated = self.last[key] + 1 - step
                assert 0 <= repeated <= INTERVAL[key.split("-")[0]], (key, repeated)
                self.repeated.append(repeated)
            resumed.add(key)
            self.last[key] = step
        self.read = len(lines)
        found = {p.stem: p.stat().st_mtime_ns for p in self.folder.glob("checkpoints/*.json")}
        assert self.finished.items() <= found.items(), "a finished stage was written again"
        self.finished = found


def deaths(seed: int) -> Iterator[dict]:
    """Orders for lives that end at a random moment or, every third, inside one of its writes."""
    draw = Random(seed)
    while True:
        if draw.random() < 2 / 3:
            yield {"after": draw.uniform(0, 1.2)}
        else:
            yield {"write": [draw.randint(1, 5), draw.choice(["half", "written", "renamed"])]}


@pytest.mark.timeout(600)
def test_every_resume_succeeds_and_the_end_is_the_same(
    nursery, undisturbed, tmp_path, times, tally
):
    kills, repeated = {"after": 0, "write": 0}, [0]
    labs = 0
    while sum(kills.values()) < times(8, 200):
        folder = tmp_path / str(labs)
        watch, ends = Watch(folder), deaths(labs)
        while (answer := nursery.life(folder, **(order := next(ends))))["status"] != [0]:
            assert answer["status"] == [-9], answer["said"]
            kills[next(iter(order))] += 1
            watch.look()
        watch.look()
        assert hashes(folder) == undisturbed
        left = {p.name for p in (folder / "checkpoints").iterdir()}
        wanted = {f"{key}{suffix}" for key in undisturbed for suffix in (".json", ".safetensors")}
        assert {name for name in left if ".writable" not in name} == wanted
        repeated += watch.repeated
        labs += 1
    lost = f"no stage redone, same bits; at most {max(repeated)} steps repeated, one interval"
    tally(f"SIGKILL at a random moment, {labs} labs of 9 stages", kills["after"], lost)
    tally("SIGKILL inside a write, the same labs", kills["write"], "the same")


@pytest.mark.parametrize("ended", [False, True], ids=["both live", "the first is killed"])
def test_two_processes_in_one_folder(ended, nursery, undisturbed, tmp_path, times, tally):
    if not ended and not times(0, 1):
        pytest.skip("part of `make faults`")
    order = {"after": 1.5} if ended else {}
    answer = nursery.life(tmp_path, beside=2, **order)
    assert answer["status"] == ([-9, 0] if ended else [0, 0]), answer["said"]
    assert hashes(tmp_path) == undisturbed
    waits = [line for said in answer["said"] for line in said.splitlines() if "waiting" in line]
    assert waits
    assert all("is being made by process" in line and "on this machine" in line for line in waits)
    steps = [line for line in (tmp_path / "trace").read_text().splitlines() if line[-1].isdigit()]
    twice = len(steps) - len(set(steps))
    assert twice <= (SMOKE.cvae.save_every if ended else 0)
    what = "two processes, one folder" + (", the first killed" if ended else "")
    tally(what, 1, f"the second waited and said so; {twice} steps repeated")
