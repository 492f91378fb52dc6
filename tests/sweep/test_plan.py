"""Plans: what is in them, in which order, and what of them is kept already."""

import pickle
import pickletools

import pytest

from selective_amnesia import Lab
from selective_amnesia.forgetting import RETRAIN
from selective_amnesia.reports import matrix as matrices
from selective_amnesia.reports import population as populations
from selective_amnesia.storage.store import Store
from selective_amnesia.sweep import worker
from selective_amnesia.sweep.kept import kept, seconds
from selective_amnesia.sweep.plan import Task, in_order, networks, referees
from selective_amnesia.sweep.where import Where

SETS = [(0,), (0, 1)]
METHODS = ["selective_amnesia", "salun"]


def test_a_plan_holds_every_stage_once_after_what_it_needs():
    plan = in_order(networks("digits", range(2), SETS, METHODS) * 2)
    found = {}
    for task in plan:
        assert set(task.needs) <= found.keys()
        assert task not in found
        found[task] = True
    assert len({str(task) for task in plan}) == len(plan)
    kinds = [task.what for task in plan]
    expected = {"judge": 1, "cvae": 2, "fisher": 2, "control": 4, "amnesiac": 8}
    assert {kind: kinds.count(kind) for kind in kinds} == expected


def test_the_controls_are_in_a_plan_whether_they_are_named_or_not():
    named = networks("digits", [0], SETS, [RETRAIN, *METHODS])
    assert named == networks("digits", [0], SETS, METHODS)


def test_names_and_numbers_travel_and_nothing_else(lab):
    tasks = matrices.tasks(lab, {(0, (0,)): 1})
    tasks += populations.tasks(lab, (0,), [0, 1], METHODS)
    for task in in_order(tasks):
        sent = pickle.dumps((worker.order(lab), worker.alone(task)), protocol=4)
        assert len(sent) < 1500
        opcodes = list(pickletools.genops(sent))
        assert not [arg for _, arg, _ in opcodes if str(arg).startswith(("torch.", "numpy"))]
        assert not [op for op, _, _ in opcodes if op.name.endswith("BYTES")]


def test_what_is_kept_is_found_without_reading_or_making_it(lab, own, monkeypatch):
    judge = lab.judge()
    here = own(lab.cvae(), judge)
    monkeypatch.setattr(Store, "_make", None)
    monkeypatch.setattr(Store, "_here", None)
    plan = in_order(networks("digits", range(2), [(0,)], ["selective_amnesia"]))
    there = kept([here], plan)
    assert {(task.what, task.seed) for task in there} == {("cvae", 0), ("judge", 0)}
    assert there[plan[0]] == judge.facts["name"]


def test_a_stage_takes_as_long_as_a_kept_one_of_its_kind_or_as_a_guess(lab, own):
    here = own(lab.cvae())
    plan = in_order(networks("digits", range(2), [(0,)], ["selective_amnesia"]))
    expected = seconds(here, plan, kept([here], plan))
    took = {task: expected[task] for task in plan if task.what == "cvae"}
    assert set(took.values()) == {lab.cvae().facts["seconds"]}
    assert all(0 < guess < 10 for guess in expected.values())


def test_a_task_that_asks_for_no_stage_has_to_say_that_it_measures(lab):
    with pytest.raises(TypeError, match="say that it measures"):
        kept([lab], [Task("profile", "digits", 0, getattr, ("profile",))])


@pytest.fixture
def made_by_tasks(lab, monkeypatch):
    """Does tasks one after another, as workers do, and forbids to make anything afterwards."""

    def done(tasks):
        order = worker.order(lab)
        for task in in_order(tasks):
            assert worker.make(order, worker.alone(task)).failed == ""
        monkeypatch.setattr(Store, "_make", None)

    return done


def test_a_population_makes_nothing_after_its_tasks(lab, made_by_tasks):
    made_by_tasks(populations.tasks(lab, (0,), [0], ["selective_amnesia"]))
    again = Lab.open("smoke", dataset="digits", folder=lab.store.folder, device="cpu")
    for kind in (populations.ORIGINAL, RETRAIN, "selective_amnesia"):
        (row,) = populations.measured(again, 0, (0,), kind)
        assert row["decoder: nats"] > 0


def test_a_matrix_makes_nothing_after_its_tasks(lab, made_by_tasks):
    asked = {(0, (0,)): 1}
    made_by_tasks(matrices.tasks(lab, asked))
    again = Lab.open("smoke", dataset="digits", folder=lab.store.folder, device="cpu")
    tables = matrices.matrix(again, asked, stronger=True)
    assert len(tables["panel"]["amnesiac, stronger A"]) == 1


def test_the_referees_of_a_report_are_the_first_seeds():
    assert {task.seed for task in in_order(referees("digits", 3, 2))} == {3}


# --- which cluster -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"workers": 2, "scheduler": "tcp://a:1"}, "name one of --workers, --scheduler"),
        ({"scheduler": "tcp://a:1", "scheduler_file": "f"}, "name one of"),
        ({"resources": ("GPU=1",)}, "--resources belong to a scheduler's workers"),
        ({"scheduler": "tcp://a:1", "resources": ("GPU",)}, "resource 'GPU' is not valid"),
    ],
)
def test_what_does_not_name_a_cluster_is_refused(given, says):
    with pytest.raises(ValueError, match=says):
        Where(**given)
    assert Where(scheduler="tcp://a:1", resources=("GPU=1",)).taken() == {"GPU": 1.0}
