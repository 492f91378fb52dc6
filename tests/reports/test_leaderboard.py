"""The leaderboard: what it measures, its tables, its record, and where these stand."""

import importlib.util
import json
import math
from pathlib import Path

import pytest

from selective_amnesia import Diverged, Lab, LabError
from selective_amnesia import __main__ as command
from selective_amnesia.reports import leaderboard as boards
from selective_amnesia.reports.leaderboard import leaderboard, measured, stronger
from selective_amnesia.reports.tables import (
    board,
    by_set,
    over_labels,
    over_labels_board,
    ranked,
    sets_board,
)

SOME = ("retrain", "selective_amnesia", "fine_tuning")


@pytest.fixture(autouse=True)
def one_image(monkeypatch):
    monkeypatch.setattr(boards, "RELEARNED_FROM", 1)


@pytest.fixture(scope="module")
def found(lab):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boards, "RELEARNED_FROM", 1)
        return leaderboard(lab, {0}, (0, 1), SOME, ("robust",))


# --- what is measured ----------------------------------------------------------------------------


def test_each_control_is_measured_against_the_others(found):
    assert set(found["rows"]) == set(SOME)
    originals, controls = (found["yardstick"]["by_seed"][k] for k in ("original", "control"))
    rows = found["rows"]["retrain"]["seeds"]
    for i in (0, 1):
        low, high = originals[i], controls[1 - i]
        assert rows[str(i)]["erasure"] == pytest.approx((controls[i] - low) / (high - low))
    relearned = found["yardstick"]["by_seed"]["relearning"]
    assert rows["0"]["relearning"] == pytest.approx(relearned[0] - relearned[1])


def test_a_method_is_measured_against_the_mean_control(found):
    row, ends = found["rows"]["selective_amnesia"]["seeds"]["1"], found["yardstick"]["by_seed"]
    assert found["yardstick"]["control"] == pytest.approx(sum(ends["control"]) / 2)
    worth = found["yardstick"]["control"] - ends["original"][1]
    assert 0 <= row["label"] <= 1
    gap = abs(row["erasure"] - 1) + row["label"] + max(0, row["cost"]) / worth
    assert row["gap"] == pytest.approx(gap)
    assert row["seconds"] > 0


def test_a_single_control_has_nothing_to_be_measured_against(lab):
    alone = leaderboard(lab, {0}, (0,), ("retrain", "fine_tuning"), ())
    row = alone["rows"]["retrain"]["seeds"]["0"]
    assert row["erasure"] is row["relearning"] is None
    assert board(alone).loc["retrain (the control)", "erasure"] == ""


def test_where_the_control_is_no_worse_there_was_nothing_to_erase(lab, found):
    """Not a division by zero: such a row is last, and its cells say so."""
    yardstick = {"control": found["yardstick"]["by_seed"]["original"][0], "relearning": 0.0}
    row = measured(lab, lab.amnesiac({0}), lab.cvae(), {0}, yardstick, ())
    assert math.isnan(row["erasure"])
    assert math.isnan(row["gap"])
    shown = {"rows": {"naive": {"seeds": {"0": row}}, "retrain": found["rows"]["retrain"]}}
    assert [name for name, _ in ranked(shown)] == ["retrain", "naive"]
    assert board(shown).loc["naive", ["gap", "erasure"]].tolist() == ["n/a", "n/a"]


def test_it_is_sorted_by_the_gap_and_a_failure_is_reported(lab, monkeypatch):
    def fails(self, forget, method, **changes):
        raise Diverged("the loss became nan")

    monkeypatch.setattr(Lab, "amnesiac", fails)
    failed = leaderboard(lab, {0}, (0,), ("naive", "retrain"), ())
    assert failed["rows"]["naive"]["failed"] == "the loss became nan"
    assert [name for name, _ in ranked(failed)] == ["retrain", "naive"]
    assert board(failed).loc["naive"].tolist()[:2] == ["diverged", ""]


def test_a_stronger_attacker_measures_on_the_same_scale(lab):
    brief = {"steps": 3, "more_starts": 2, "polish": 2, "images": 5}
    nats = [
        [float(lab.measure.metric(m, 0, "description", **brief).mean())
         for m in (sibling.cvae(), sibling.control({0}))]
        for sibling in map(lab.variant, (0, 1))
    ]  # fmt: skip
    (low, high), (low_1, high_1) = nats
    expected = [(high - low) / (high_1 - low), (high_1 - low_1) / (high - low_1)]
    assert stronger(lab, "retrain", {0}, (0, 1), **brief) == pytest.approx(expected)
    assert len(stronger(lab, "fine_tuning", {0}, (0,), **brief)) == 1


def test_the_stronger_attacker_is_asked_where_it_is_wanted(lab, monkeypatch):
    monkeypatch.setattr(
        boards, "stronger", lambda _lab, _method, _forget, seeds: [0.5 for _ in seeds]
    )
    asked = leaderboard(lab, {0}, (0,), ("retrain", "fine_tuning"), (), harder=True)
    [row] = asked["rows"]["fine_tuning"]["seeds"].values()
    assert row["harder"] == 0.5
    shown = dict(ranked(asked))["fine_tuning"]
    rest = shown["gap"][0] - abs(row["erasure"] - 1)
    assert shown["harder_gap"][0] == pytest.approx(rest + 0.5)
    [control] = asked["rows"]["retrain"]["seeds"].values()
    assert control["harder"] is None


def test_what_does_not_exist_is_refused_in_a_sentence(lab):
    for says, refused in {
        "method 'hope' is unknown": lambda: leaderboard(lab, {0}, (0,), ("hope",)),
        "the forget set is not valid: 11": lambda: leaderboard(lab, {11}),
        "method 'hope' is unknown: use": lambda: stronger(lab, "hope", {0}, (0,), steps=1),
        "there are no seeds: name at least one": lambda: leaderboard(lab, {0}, ()),
        "attack 'hope' is unknown": lambda: leaderboard(lab, {0}, (0,), SOME[:1], ("hope",)),
    }.items():
        with pytest.raises(ValueError, match=says):
            refused()


# --- tables --------------------------------------------------------------------------------------


def table(erasure):
    measures = ("erasure", "gap", "cost", "label", "relearning")
    return dict.fromkeys(measures, (erasure, 0.0, 2.0))


def test_the_mean_over_labels_leaves_out_sets_of_two():
    for name in ("1", "10"):  # a label may have two characters
        sets = {"0": table(0.9), name: table(1.1), "0 1": table(0.1)}
        mean, low, high = over_labels(sets)["erasure"]
        assert mean == pytest.approx(1.0)
        assert (low, high) == pytest.approx((0.9, 1.1))
    assert over_labels({"0": table(0.9), "0 1": table(0.1)}) == {}


def test_sets_show_what_was_measured_on_several_of_them():
    def recorded(*rows):
        return {"rows": {
            method: {"seeds": {str(seed): {"gap": gap + 0.02 * seed, "erasure": 1 - gap,
                                           "cost": 0.5, "label": 0.0} for seed in (0, 1)}}
            for method, gap in rows
        }}  # fmt: skip

    known = {
        "0": recorded(("naive", 0.9), ("retrain", 0.1), ("selective_amnesia", 0.3)),
        "0 1": recorded(("selective_amnesia", 0.2)),
        "10": recorded(("retrain", 0.1), ("selective_amnesia", 0.1)),
    }
    known["10"]["rows"]["selective_amnesia"]["seeds"]["0"]["harder"] = 0.8
    sets = by_set(known)
    assert list(sets) == ["retrain", "selective_amnesia"]  # the nearest first, naive but once
    assert list(sets["selective_amnesia"]) == ["0", "0 1", "10"]
    shown = over_labels_board(known)
    assert shown.loc["retrain (the control)"].tolist()[:6] == ["2", "0.11", "0.90", "", "", "0.50"]
    assert shown.loc["Selective Amnesia", "gap"] == "0.21 (0.11 to 0.31)"
    shown = sets_board(known)
    assert shown.columns.tolist() == [
        "retrain (the control)", "Selective Amnesia", "Selective Amnesia, stronger",
    ]  # fmt: skip
    assert shown.index.tolist() == ["0", "10", "0 1"]
    assert shown.to_numpy().tolist() == [
        ["0.90", "0.70", ""], ["0.90", "0.90", "0.80"], ["", "0.80", ""],
    ]  # fmt: skip


# --- the record ----------------------------------------------------------------------------------


@pytest.fixture
def scripts():
    """scripts/tables.py."""
    path = Path(__file__).parents[2] / "scripts" / "tables.py"
    spec = importlib.util.spec_from_file_location("tables", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_record_keeps_its_rows_and_the_readme_shows_them(
    lab, lab_folder, scripts, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(lab_folder))
    smoke = ["leaderboard", "--profile", "smoke", "--dataset", "digits", "--seeds"]
    record = lab_folder / "figures" / "gallery" / "leaderboard.json"

    def run(*options):
        status = command.main([*smoke, *options])
        said = capsys.readouterr()
        return said.err if status else said.out

    assert "minutes from nothing" in run("1", "--methods", "retrain", "selective_amnesia")
    assert "Selective Amnesia" in run("1", "--methods", "fine_tuning")
    known = json.loads(record.read_text())
    known["0"]["rows"]["fine_tuning"]["seeds"]["0"]["harder"] = 0.5  # as if it had been asked for
    record.write_text(json.dumps(known))
    run("1", "--methods", "fine_tuning")
    known = json.loads(record.read_text())["0"]
    assert set(known["rows"]) == set(SOME)
    assert known["rows"]["fine_tuning"]["seeds"]["0"]["harder"] == 0.5
    assert {"date", "device", "torch", "seeds"} <= known.keys()
    assert record.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    run("1", "--forget", "3 8", "--methods", "fine_tuning")
    assert record.with_name("leaderboard_sets.png").is_file()

    readme, marks = tmp_path / "README.md", "<!-- board: begin -->\nold\n<!-- board: end -->"
    readme.write_text(f"before\n{marks}\nafter\n")
    scripts.between_marks(readme, "board", scripts.leaderboard(record))
    text = readme.read_text()
    assert text.startswith("before\n<!-- board: begin -->\n\n|")
    assert text.endswith("\n\n<!-- board: end -->\nafter\n")
    assert "old" not in text
    assert "| Selective Amnesia " in text
    assert "Profile smoke, seeds 0, 20" in text
    assert "| 3 8 " in text

    before = record.read_bytes()
    assert "was recorded with" in run("2", "--methods", "naive")
    assert "method 'hope' is unknown" in run("1", "--methods", "hope")
    assert record.read_bytes() == before
    known = json.loads(before)
    known["0"]["yardstick"]["control"] += 1
    record.write_text(json.dumps(known))
    says = "the yardstick is no longer the one of fine_tuning, selective_amnesia"
    assert says in run("1", "--methods", "retrain")
    record.write_text("{")
    assert "is damaged" in run("1", "--methods", "retrain")
    record.unlink()


def test_a_readme_without_marks_is_left_as_it_was(scripts, tmp_path):
    file = tmp_path / "text.md"
    file.write_text("no marks")
    with pytest.raises(LabError, match="put both where the table belongs"):
        scripts.between_marks(file, "leaderboard", "table")
    assert file.read_text() == "no marks"


def test_a_record_made_on_several_days_says_so(scripts):
    days = scripts.first_and_last
    assert days(["2026-11-23", "2026-11-22", "2026-11-23"]) == "2026-11-22 to 2026-11-23"
    assert days(["2026-11-22"]) == "2026-11-22"
