"""Sweeps whose workers, nodes, scheduler, network and disk are lost: commands and clusters as they
are used, in processes of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from selective_amnesia import Lab
from selective_amnesia.sweep.kept import kept
from selective_amnesia.sweep.plan import in_order, networks

psutil = pytest.importorskip("psutil")
if importlib.util.find_spec("distributed") is None:
    pytest.skip("Dask's distributed is not installed", allow_module_level=True)
pytestmark = pytest.mark.timeout(900)

SWEEP = (
    "-m selective_amnesia sweep --profile smoke --datasets digits --seeds 1 "
    "--methods selective_amnesia"
)
WAIT = 240.0  # seconds until something has to have happened
IMPATIENT = {  # a busy machine may keep a worker from saying a word for as long
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "20s",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "40s",
}


class Machines:
    """Processes of a sweep in a folder, each with a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.home, self.trace, self.file = folder / "lab", folder / "trace", folder / "scheduler"
        self.home.mkdir(exist_ok=True)
        self.trace.touch()
        self.folder, self.started = folder, []

    def start(self, words: str, *before: str, home: Path | None = None) -> subprocess.Popen:
        """A command of Python's; `said` is the file of what it says."""
        said = self.folder / f"said-{len(self.started)}"
        preload = json.dumps([str(Path(__file__).with_name("traced.py"))])
        own = {
            "SELECTIVE_AMNESIA_HOME": str(home or self.home),
            "SWEEP_TRACE": str(self.trace),
            "DASK_DISTRIBUTED__WORKER__PRELOAD": preload,
            "OMP_NUM_THREADS": "1",
            "TQDM_DISABLE": "1",
        }
        process = subprocess.Popen(
            [*before, sys.executable, *words.split()],
            stdout=said.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=self.folder,
            env=os.environ | own,
        )
        process.said = said
        self.started.append(process)
        return process

    def scheduler(self, *before: str, host: str = "127.0.0.1") -> subprocess.Popen:
        self.file.unlink(missing_ok=True)
        words = f"--scheduler-file {self.file} --host {host} --no-dashboard --no-show"
        found = self.start(f"-m dask scheduler {words}", *before)
        until(lambda: self.file.exists() and self.file.stat().st_size, found)
        return found

    def node(self, *before: str, more: str = "") -> subprocess.Popen:
        """A nanny and a worker."""
        words = f"--scheduler-file {self.file} --nthreads 1 --no-dashboard --memory-limit 0 {more}"
        return self.start(f"-m dask worker {words}", *before)

    def sweep(self, more: str, *before: str, home: Path | None = None) -> subprocess.Popen:
        return self.start(f"{SWEEP} {more}", *before, home=home)

    def noted(self, what: str) -> list[tuple[str, int]]:
        """The stages that were "begun" or "made", and by which process."""
        lines = [line.split() for line in self.trace.read_text().splitlines()]
        return [(key, int(pid)) for key, happened, pid in lines if happened == what]

    def kill(self, process: subprocess.Popen, how: int = signal.SIGKILL) -> None:
        """A process and all that it started."""
        os.killpg(process.pid, how)
        process.wait(WAIT)

    def close(self) -> None:
        for process in self.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(WAIT)


def until(happened: Callable[[], object], process: subprocess.Popen) -> None:
    """Wait until something has happened, while a process runs."""
    end = time.monotonic() + WAIT
    while not happened():
        assert process.poll() is None, process.said.read_text()
        assert time.monotonic() < end, process.said.read_text()
        time.sleep(0.05)


def ended(process: subprocess.Popen, status: int = 0) -> str:
    """What a process said, which ends with that status."""
    found = process.wait(WAIT)
    said = process.said.read_text()
    assert found == status, said
    return said


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    found = Machines(tmp_path)
    yield found
    found.close()


@pytest.fixture
def whole(times: Callable) -> None:
    if not times(0, 1):
        pytest.skip("part of `make faults`")


@pytest.fixture(scope="module")
def calm_sweep(
    tmp_path_factory: pytest.TempPathFactory, hashes: Callable, times: Callable
) -> dict[str, str]:
    """The `hashes` of a sweep that nothing disturbs."""
    if not times(0, 1):
        pytest.skip("part of `make faults`")
    found = Machines(tmp_path_factory.mktemp("calm_sweep"))
    try:
        ended(found.sweep("--workers 1"))
    finally:
        found.close()
    return hashes(found.home)


def check_all_there(machines: Machines) -> None:
    """Every stage of the plan is kept, and none was made twice to the end."""
    lab = Lab.open("smoke", dataset="digits", folder=machines.home, device="cpu")
    plan = in_order(networks("digits", [0], [(0,)], ["selective_amnesia"]))
    assert kept([lab], plan).keys() == set(plan)
    made = Counter(key for key, _ in machines.noted("made"))
    assert set(made.values()) == {1}, made


def workers(process: subprocess.Popen) -> dict[int, psutil.Process]:
    found = psutil.Process(process.pid).children(recursive=True)
    return {each.pid: each for each in found if "spawn_main" in " ".join(each.cmdline())}


def test_workers_killed_at_random_moments(machines, hashes, undisturbed, times, tally, request):
    kills, draw = times(1, 5), Random(11)
    sweep = machines.sweep("--workers 2")
    for done in range(kills):
        until(lambda n=done: len(machines.noted("begun")) > n, sweep)
        if not done:  # a port of Dask's executes what is sent to it
            those = [psutil.Process(sweep.pid), *workers(sweep).values()]
            ports = [c for p in those for c in p.net_connections("inet") if c.status == "LISTEN"]
            assert len(ports) > 2
            assert {port.laddr.ip for port in ports} == {"127.0.0.1"}
        time.sleep(draw.uniform(0, 1.5))
        finished = {key for key, _ in machines.noted("made")}
        busy = {pid for key, pid in machines.noted("begun") if key not in finished}
        alive = workers(sweep)
        chosen = sorted(busy & alive.keys()) or sorted(alive)
        os.kill(draw.choice(chosen), signal.SIGKILL)
    ended(sweep)
    check_all_there(machines)
    reference = request.getfixturevalue("calm_sweep") if times(0, 1) else undisturbed
    found = hashes(machines.home)
    common = found.keys() & reference.keys()
    assert len(common) >= 4
    assert {key: found[key] for key in common} == {key: reference[key] for key in common}
    tally("sweep, workers killed", kills, "no stage; none made twice, the same bits")


def test_ctrl_c_leaves_all_resumable(machines, whole, hashes, calm_sweep, tally):
    """It reaches all processes of a terminal."""
    sweep = machines.sweep("--workers 2")
    until(lambda: len(machines.noted("begun")) > 2, sweep)
    left = workers(sweep)
    os.killpg(sweep.pid, signal.SIGINT)
    said = ended(sweep, 130)
    assert said.rstrip().endswith("stopped: what is finished is kept, and the same command goes on")
    assert "Traceback" not in said
    assert not [pid for pid in left if psutil.pid_exists(pid)]
    said = ended(machines.sweep("--workers 2"))
    assert " 0 kept already" not in said
    check_all_there(machines)
    assert hashes(machines.home) == calm_sweep
    tally("sweep, Ctrl-C", 1, "nothing")


def test_a_node_is_lost_and_another_joins_late(machines, whole, hashes, calm_sweep, tally):
    machines.scheduler()
    lost = machines.node()
    sweep = machines.sweep(f"--scheduler-file {machines.file}")
    until(lambda: len(machines.noted("begun")) > 1, sweep)
    machines.kill(lost)
    machines.node()
    ended(sweep)
    check_all_there(machines)
    assert hashes(machines.home) == calm_sweep
    assert len({pid for _, pid in machines.noted("made")}) == 2
    tally("sweep, nanny and worker killed, another joins", 1, "nothing")


def test_the_scheduler_is_killed_and_the_sweep_started_again(
    machines, whole, hashes, calm_sweep, tally
):
    scheduler = machines.scheduler()
    node = machines.node()
    sweep = machines.sweep(f"--scheduler-file {machines.file}")
    until(lambda: len(machines.noted("made")) > 1, sweep)
    machines.kill(scheduler)
    said = ended(sweep, 2)
    assert "has gone: start it and its workers, and run this again. What was finished" in said
    assert "Traceback" not in said
    machines.kill(node)
    machines.scheduler()
    machines.node()
    said = ended(machines.sweep(f"--scheduler-file {machines.file}"))
    assert " 0 kept already" not in said
    check_all_there(machines)
    assert hashes(machines.home) == calm_sweep
    tally("sweep, scheduler killed", 1, "nothing")


def test_a_store_that_takes_nothing_more_is_one_sentence(machines, whole, disk_of, tally):
    full = disk_of("3m")
    said = ended(machines.sweep("--workers 1", home=full), 2)
    last = said.rstrip().split("\n")[-1]
    assert last.startswith("error: ")
    assert "tasks were not done. The first: cannot write " in last
    assert "No space left on device" in last
    tally("sweep, store full", 1, "nothing that was finished")


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Three hosts on a network of their own: namespaces h0 to h2 with addresses 10.77.0.1 to 3."""
    names, bridge = [f"sweep-h{i}" for i in range(3)], "sweep-bridge"

    def ip(words: str) -> None:
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)

    try:
        ip(f"link add {bridge} type bridge")
        ip(f"link set {bridge} up")
        for i, name in enumerate(names):
            ip(f"netns add {name}")
            ip(f"link add {name} type veth peer name eth0 netns {name}")
            ip(f"link set {name} master {bridge} up")
            ip(f"-n {name} addr add 10.77.0.{i + 1}/24 dev eth0")
            ip(f"-n {name} link set eth0 up")
            ip(f"-n {name} link set lo up")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"network namespaces cannot be made here: {error}")
    else:
        yield names
    finally:
        for words in (*(f"netns del {name}" for name in names), f"link del {bridge}"):
            subprocess.run(["ip", *words.split()], capture_output=True)


def test_a_host_is_cut_off_in_the_middle_and_comes_back(
    machines, whole, hosts, hashes, calm_sweep, tally, monkeypatch
):
    """Workers of `docs/sweeps.md`: in a loop, so that one whose scheduler was lost comes back."""
    for name, value in IMPATIENT.items():
        monkeypatch.setenv(name, value)
    inside = [("ip", "netns", "exec", host) for host in hosts]
    loop = ("sh", "-c", 'while sleep 1; do "$@"; done', "loop")
    machines.scheduler(*inside[0], host="10.77.0.1")
    machines.node(*inside[1], more="--no-nanny")
    machines.node(*inside[2], *loop, more="--no-nanny")
    sweep = machines.sweep(f"--seeds 16 --scheduler-file {machines.file}", *inside[0])

    def there() -> set[int]:
        return {pid for _, pid in machines.noted("begun")}

    def link(state: str) -> None:
        subprocess.run(["ip", "link", "set", hosts[2], state], check=True)

    until(lambda: len(there()) == 2, sweep)
    link("down")
    time.sleep(60)  # longer than the scheduler waits for a word of it
    cut_off = there()
    link("up")
    until(lambda: there() > cut_off, sweep)
    ended(sweep)
    check_all_there(machines)
    assert calm_sweep.items() <= hashes(machines.home).items()
    tally("sweep, one of three hosts cut off", 1, "nothing")
