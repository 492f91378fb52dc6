"""Sweeps on a scheduler of Dask's with a worker in this process: what is made, said and refused."""

import asyncio
import dataclasses

import distributed
import pytest

from selective_amnesia import Diverged, Lab, LabError
from selective_amnesia import __main__ as command
from selective_amnesia.storage.store import Store
from selective_amnesia.sweep import cluster, run, worker
from selective_amnesia.sweep.plan import Task, networks
from selective_amnesia.sweep.where import Where

SMOKE = ["sweep", "--profile", "smoke", "--datasets", "digits"]


@pytest.fixture(scope="module")
def dask_cluster():
    """A scheduler on loopback with one worker, both in this process."""
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
        resources={"GPU": 1},
    ) as found:
        yield found


@pytest.fixture
def there(dask_cluster):
    return Where(scheduler=dask_cluster.scheduler_address)


@pytest.fixture
def home(own, tmp_path, monkeypatch):
    """A folder of the test's own, and a function that opens its lab with what is given in it."""
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(tmp_path))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return own


def explode(_lab, sentence):
    raise LabError(sentence)


def diverge(_lab):
    raise Diverged("its loss is NaN")


def note(lab):
    (lab.store.folder / "noted").touch()


# --- what is made --------------------------------------------------------------------------------


def test_a_sweep_makes_what_is_missing_says_how_it_goes_and_makes_nothing_again(
    lab, home, dask_cluster, monkeypatch, capsys
):
    here = home(lab.cvae(), lab.judge())
    made, make = [], Store._make
    monkeypatch.setattr(
        Store, "_make", lambda s, stage, m: made.append(stage.name) or make(s, stage, m)
    )
    options = [*SMOKE, "--forget", "0", "--seeds", "1", "--methods", "naive"]
    options += ["--scheduler", dask_cluster.scheduler_address, "--resources", "GPU=1"]
    assert command.main(options) == 0
    said = capsys.readouterr().out
    assert "5 tasks, 2 kept already; the others about" in said
    assert "stop it whenever you like" in said
    assert "1 workers at tcp://127.0.0.1" in said
    assert "[3/3] amnesiac 0 naive of digits, seed 0: " in said
    assert sorted(made) == ["control-0", "fisher", "naive-0"]
    assert here.store.path(here.control({0}).facts["name"], ".json").is_file()

    assert command.main(options) == 0
    assert "5 tasks, 5 kept already\n" in capsys.readouterr().out
    assert len(made) == 3


def test_what_needs_a_model_that_diverged_is_not_done_and_the_rest_is(home, there, capsys):
    lost = Task("amnesiac", "digits", 0, diverge, measures=True)
    tasks = [Task("row", "digits", 0, note, needs=(lost,), measures=True)]
    run.sweep([home()], tasks, there)
    said = capsys.readouterr().out
    assert (
        "[2/2] row of digits, seed 0: failed: amnesiac of digits, seed 0: its loss is NaN" in said
    )
    assert "2 of them failed" in said
    assert not (home().store.folder / "noted").exists()


def test_what_a_worker_cannot_do_is_one_sentence_after_all_else_is_done(home, there):
    bad = Task("cvae", "digits", 0, explode, ("the disk is full. Free some.",), measures=True)
    tasks = [bad, Task("row", "digits", 0, note, needs=(bad,), measures=True)]
    tasks.append(Task("row", "digits", 1, note, measures=True))
    says = r"2 of 3 tasks were not done\. The first: the disk is full\. Free some\. What was"
    with pytest.raises(LabError, match=says):
        run.sweep([home()], tasks, there)
    assert (home().store.folder / "noted").exists()


def test_a_mirror_is_where_workers_meet_that_do_not_see_the_folder(
    lab, home, there, tmp_path, monkeypatch
):
    """The client's folder has no mark that the worker sees: it works in its own."""
    mirror, theirs, ours = (tmp_path / name for name in ("mirror", "theirs", "ours"))
    mirror.mkdir()
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(theirs))
    client = Lab.open("smoke", dataset="digits", folder=ours, device="cpu", mirror=str(mirror))
    order = dataclasses.replace(worker.order(client), mark="another")
    monkeypatch.setattr(run, "order", lambda _lab: order)
    run.sweep([client], networks("digits", [0], [(0,)], [])[:2], there)
    keys = {path.stem.partition("-")[0] for path in theirs.glob("checkpoints/*.json")}
    assert keys == {"judge", "cvae"}
    assert not list(ours.glob("checkpoints/cvae*"))
    there_too = {path.name for path in mirror.glob("checkpoints/*.json")}
    assert there_too == {path.name for path in theirs.glob("checkpoints/*.json")}


def test_an_order_is_the_same_each_time_and_another_for_another_folder(home, lab):
    ours, theirs = worker.order(home()), worker.order(lab)
    assert ours != theirs
    assert worker.order(home()) == ours


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--datasets", "runes"], "data set 'runes' is unknown"),
        (["--forget", "0", "11"], "the forget set is not valid: '11' is not among the labels"),
        (["--methods", "hypnosis"], "method 'hypnosis' is unknown: use one of"),
        (["--seeds", "0"], "seeds is 0"),
        (["--workers", "0"], "workers is 0"),
        (
            ["--scheduler-file", "nowhere.json"],
            "there is no file nowhere.json: start",
        ),
        (["--scheduler", "tcp://127.0.0.1:9"], "the scheduler tcp://127.0.0.1:9 does not answer"),
        (["--scheduler", "127.0.0.1:x"], "the scheduler 127.0.0.1:x does not answer"),
    ],
)
def test_bad_input_is_one_sentence_and_a_non_zero_exit(options, says, home, monkeypatch, capsys):
    home()
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    assert command.main([*SMOKE, *options]) == 2
    error = capsys.readouterr().err
    assert f"error: {says}" in error
    assert error.rstrip().rpartition("error: ")[2].count("\n") == 0


def test_a_set_whose_files_are_wrong_is_refused_before_anything_is_made(
    home, tmp_path, monkeypatch, capsys
):
    (tmp_path / "plug/data").mkdir(parents=True)
    (tmp_path / "plug/data/torn.py").write_text(
        "def load(folder):\n    raise FileNotFoundError('torn: put t.gz into data/torn')\n"
    )
    monkeypatch.setenv("SELECTIVE_AMNESIA_PLUGINS", str(tmp_path / "plug"))
    assert command.main([*SMOKE, "torn", "--workers", "1"]) == 2
    assert capsys.readouterr().err == "error: torn: put t.gz into data/torn\n"
    assert not list(tmp_path.glob("checkpoints/*.json"))


def orders(lab):
    """What is wrong with an order -> the order, and what its sweep is refused with."""
    right = worker.order(lab)
    (name, digest), *others = right.versions
    older = (("torch", "2.5.0"),)
    return {
        "package": (
            dataclasses.replace(right, versions=((name, "0"), *others)),
            rf"worker tcp://\S+ has another version of selective_amnesia \({digest}, not 0\)",
        ),
        "torch": (
            dataclasses.replace(right, versions=(*right.versions[:2], *older)),
            "has another version of torch .* not 2.5.0",
        ),
        "folder": (
            dataclasses.replace(right, mark="another"),
            "cannot keep what it makes: the sweep's folder .* is not there. Share it",
        ),
        "mirror": (
            dataclasses.replace(right, mirror="http://127.0.0.1:9/"),
            "cannot keep what it makes: the mirror http://127.0.0.1:9/ takes nothing",
        ),
        "refuses": (
            dataclasses.replace(right, mirror="/proc"),
            "cannot keep what it makes: the mirror /proc takes nothing",
        ),
    }


@pytest.mark.parametrize("wrong", ["package", "torch", "folder", "mirror", "refuses"])
def test_a_worker_that_cannot_do_it_right_is_refused_before_anything_is_made(
    wrong, home, there, monkeypatch
):
    here = home()
    order, says = orders(here)[wrong]
    monkeypatch.setattr(run, "order", lambda _lab: order)
    with pytest.raises(LabError, match=says):
        run.sweep([here], networks("digits", [0], [(0,)], []), there)
    assert not list(here.store.path("", "").glob("*.json"))


def test_a_worker_that_joins_late_is_checked_too(home, there, dask_cluster, monkeypatch, caplog):
    """The door is shown to a worker of another version while a sweep is under way."""
    here = home()
    order = worker.order(here)
    with cluster.connected(there, order, here.store.folder / "log"):
        monkeypatch.setattr(worker, "versions", lambda: (("torch", "2.5.0"), *order.versions[:2]))

        async def join():
            async with distributed.Worker(dask_cluster.scheduler_address, dashboard=False) as late:
                await asyncio.wait_for(late.finished(), 30)

        asyncio.run(join())
        assert "has another version of torch (2.5.0" in caplog.text
        assert len(dask_cluster.scheduler.workers) == 1
