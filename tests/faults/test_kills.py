"""Runs cut short by SIGKILL: all that was finished stays, and the end is the same to the bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from selective_amnesia.profiles import PROFILES

SMOKE = PROFILES["smoke"]
INTERVAL = {
    "judge": SMOKE.judge.save_every,
    "surrogate": SMOKE.surrogate.save_every,
    "cvae": SMOKE.cvae.save_every,
    "control": SMOKE.cvae.save_every,
    "amnesiac": SMOKE.forget.save_every,
}


class Watch:
    """Follows the runs in one folder and holds each to what the lab promises."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.read = folder, 0
        self.finished: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self.repeated: list[int] = []

    def look(self) -> None:
        """After a run: no finished stage was begun again, at most one interval was repeated."""
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


def orders(seed: int) -> Iterator[dict]:
    """Orders for runs that end at a random moment or, every third, inside one of its writes."""
    draw = Random(seed)
    while True:
        if draw.random() < 2 / 3:
            yield {"after": draw.uniform(0, 1.2)}
        else:
            yield {"write": [draw.randint(1, 5), draw.choice(["half", "written", "renamed"])]}


def figures(fork_server, folder: Path) -> dict:
    """What is reported of a finished lab, but for times."""
    report = folder / "results.json"
    assert fork_server.run(folder, results=str(report))["status"] == [0]
    return without_times(json.loads(report.read_text()))


def without_times(found: Any) -> Any:
    if isinstance(found, list):
        return [without_times(each) for each in found]
    if isinstance(found, dict):
        return {key: without_times(found[key]) for key in found.keys() - {"seconds"}}
    return found


@pytest.mark.timeout(600)
def test_every_resume_succeeds_and_the_end_is_the_same(
    fork_server, calm, undisturbed, hashes, tmp_path, times, tally
):
    kills, repeated = {"after": 0, "write": 0}, [0]
    labs = 0
    while sum(kills.values()) < times(4, 200):
        folder = tmp_path / str(labs)
        watch, ends = Watch(folder), orders(labs)
        while (answer := fork_server.run(folder, **(order := next(ends))))["status"] != [0]:
            assert answer["status"] == [-9], answer["said"]
            kills[next(iter(order))] += 1
            watch.look()
        watch.look()
        assert hashes(folder) == undisturbed
        left = {p.name for p in (folder / "checkpoints").iterdir()}
        wanted = {f"{key}{suffix}" for key in undisturbed for suffix in (".json", ".safetensors")}
        assert {name for name in left if ".writable" not in name and name != ".locks"} == wanted
        repeated += watch.repeated
        labs += 1
    if times(0, 1):
        reported = figures(fork_server, tmp_path / "0")
        assert reported == figures(fork_server, calm)
        assert reported["checkpoints"].items() <= hashes(calm).items()
        tally("two labs with one seed", 1, "every stage and results.json the same, but for times")
    lost = f"no stage redone, same bits; at most {max(repeated)} steps repeated, one interval"
    tally(
        f"SIGKILL at a random moment, {labs} labs of {len(undisturbed)} stages",
        kills["after"],
        lost,
    )
    tally("SIGKILL inside a write, the same labs", kills["write"], "the same")


def check_waits(said: str) -> None:
    waits = [line for line in said.splitlines() if "waiting" in line]
    assert waits
    assert len(waits) == len(set(waits))
    assert all("is being made by another process: waiting for it" in line for line in waits)


def steps_taken_twice(folder: Path) -> int:
    steps = [line for line in (folder / "trace").read_text().splitlines() if line[-1].isdigit()]
    return len(steps) - len(set(steps))


def test_two_processes_in_one_folder(calm, tally):
    check_waits((calm / "said").read_text())
    assert steps_taken_twice(calm) == 0
    made = [line for line in (calm / "trace").read_text().splitlines() if line.endswith("made")]
    assert len(made) == len(set(made))
    tally("two processes, one folder", 1, "the second waited and said so; no step taken twice")


def test_of_two_processes_the_first_is_killed(
    fork_server, undisturbed, hashes, tmp_path, times, tally
):
    if not times(0, 1):
        pytest.skip("part of `make faults`")
    answer = fork_server.run(tmp_path, tmp_path, after=1.5)
    assert answer["status"] == [-9, 0], answer["said"]
    assert hashes(tmp_path) == undisturbed
    check_waits("\n".join(answer["said"]))
    twice = steps_taken_twice(tmp_path)
    assert twice <= SMOKE.cvae.save_every
    tally("two processes, the first killed", 1, f"the second took over; {twice} steps repeated")


def test_another_number_of_threads_changes_little(fork_server, calm, tmp_path, times, tally):
    """Sums are then taken in another order: each figure is within 2 % (or 0.02, if it is below 1),
    though a training makes more of a rounding with every step, above all one in bfloat16."""
    if not times(0, 1):
        pytest.skip("part of `make faults`")
    assert fork_server.run(tmp_path, threads=2)["status"] == [0]
    largest = 0.0
    for file in (tmp_path / "checkpoints").glob("*.json"):
        one, two = (
            json.loads((f / "checkpoints" / file.name).read_text()) for f in (calm, tmp_path)
        )
        for name in one.keys() - {"seconds"}:
            if isinstance(one[name], float):
                gap = abs(one[name] - two[name]) / max(1, abs(one[name]))
                assert gap <= 0.02, (file.stem, name, one[name], two[name])
                largest = max(largest, gap)
    tally("one thread, two threads", 1, f"every figure within 2 %: the largest gap {largest:.2%}")
