import json

import pytest

from selective_amnesia import __main__ as command
from selective_amnesia import leaderboard as boards
from selective_amnesia.checkpoint import LabError
from selective_amnesia.leaderboard import (
    by_set,
    digits_markdown,
    leaderboard,
    markdown,
    over_digits,
    ranked,
    sets_markdown,
    stronger,
)
from selective_amnesia.networks import Networks
from selective_amnesia.records import between_marks, first_and_last
from selective_amnesia.training import Diverged

SOME = ("retrain", "selective_amnesia", "fine_tuning")


@pytest.fixture(autouse=True)
def one_draw(monkeypatch):
    monkeypatch.setattr(boards, "RELEARNED_FROM", 1)


@pytest.fixture
def found(lab):
    return leaderboard(lab, {0}, (0, 1), SOME)


def test_each_control_is_measured_against_the_others(lab, found):
    assert set(found["rows"]) == set(SOME)
    originals, controls = (found["yardstick"]["by_seed"][k] for k in ("original", "control"))
    rows = found["rows"]["retrain"]["seeds"]
    for i in (0, 1):
        low, high = originals[i], controls[1 - i]
        assert rows[str(i)]["erasure"] == pytest.approx((controls[i] - low) / (high - low))
    relearned = found["yardstick"]["by_seed"]["relearning"]
    assert rows["0"]["relearning"] == pytest.approx(relearned[0] - relearned[1])


def test_a_method_is_measured_against_the_mean_control(found):
    row = found["rows"]["selective_amnesia"]["seeds"]["1"]
    worth = found["yardstick"]["control"] - found["yardstick"]["by_seed"]["original"][1]
    assert found["yardstick"]["control"] == pytest.approx(
        sum(found["yardstick"]["by_seed"]["control"]) / 2
    )
    assert 0 <= row["label"] <= 1
    gap = abs(row["erasure"] - 1) + row["label"] + max(0, row["cost"]) / worth
    assert row["gap"] == pytest.approx(gap)


def test_a_single_control_has_nothing_to_be_measured_against(lab):
    found = leaderboard(lab, {0}, (0,), ("retrain", "fine_tuning"))
    row = found["rows"]["retrain"]["seeds"]["0"]
    assert row["erasure"] is None
    assert row["relearning"] is None
    assert "| retrain (the control) | " in markdown(found)


def test_it_is_sorted_by_the_gap_and_a_failure_is_reported(lab, monkeypatch):
    def fails(self, forget, method, **changes):
        raise Diverged("the loss became nan")

    monkeypatch.setattr(Networks, "amnesiac", fails)
    found = leaderboard(lab, {0}, (0,), ("naive", "retrain"))
    assert found["rows"]["naive"]["failed"] == "the loss became nan"
    assert [name for name, _ in ranked(found)] == ["retrain", "naive"]
    assert "| naive | diverged |" in markdown(found)


def test_the_mean_over_digits_leaves_out_sets_of_two():
    def table(erasure):
        measures = ("erasure", "gap", "cost", "label", "relearning")
        return dict.fromkeys(measures, (erasure, 0.0, 2.0))

    sets = {"0": table(0.9), "1": table(1.1), "0 1": table(0.1)}
    mean, low, high = over_digits(sets)["erasure"]
    assert mean == pytest.approx(1.0)
    assert (low, high) == pytest.approx((0.9, 1.1))
    assert over_digits({"0": table(0.9), "0 1": table(0.1)}) == {}


def test_sets_show_what_was_measured_on_several_of_them():
    def found(*rows):
        seeds = (0, 1)
        return {"rows": {
            method: {"seeds": {str(seed): {"gap": gap + 0.02 * seed, "erasure": 1 - gap,
                                           "cost": 0.5, "label": 0.0} for seed in seeds}}
            for method, gap in rows
        }}  # fmt: skip

    known = {
        "0": found(("naive", 0.9), ("retrain", 0.1), ("selective_amnesia", 0.3)),
        "0 1": found(("selective_amnesia", 0.2)),
        "1": found(("retrain", 0.1), ("selective_amnesia", 0.1)),
    }
    known["1"]["rows"]["selective_amnesia"]["seeds"]["0"]["harder"] = 0.8
    sets = by_set(known)
    assert list(sets) == ["retrain", "selective_amnesia"]  # the nearest first, naive but once
    assert list(sets["selective_amnesia"]) == ["0", "0 1", "1"]
    head, _, control, amnesia = digits_markdown(known).splitlines()
    assert head.startswith("| method | digits | gap | erasure | erasure by a harder attacker |")
    assert control.startswith("| retrain (the control) | 2 | 0.11 | 0.90 |  |  | 0.50 |")
    assert amnesia.startswith("| Selective Amnesia | 2 | 0.21 (0.11 to 0.31) |")
    head, _, *rows = sets_markdown(known).splitlines()
    assert head == "| forgotten | retrain (the control) | Selective Amnesia | harder |"
    assert rows == ["| 0 | 0.90 | 0.70 |  |", "| 1 | 0.90 | 0.90 | 0.80 |", "| 0 1 |  | 0.80 |  |"]


def test_a_stronger_attacker_measures_on_the_same_scale(lab):
    brief = {"steps": 3, "more_starts": 2, "polish": 2, "images": 5}
    nats = [
        [float(lab.description_length(m, 0, **brief).mean()) for m in (s.cvae(), s.control({0}))]
        for s in lab.siblings((0, 1))
    ]
    (low, high), (low_1, high_1) = nats
    expected = [(high - low) / (high_1 - low), (high_1 - low_1) / (high - low_1)]
    assert stronger(lab, "retrain", {0}, (0, 1), **brief) == pytest.approx(expected)
    assert len(stronger(lab, "fine_tuning", {0}, (0,), **brief)) == 1


def test_the_harder_attacker_is_asked_where_he_is_wanted(lab):
    found = leaderboard(lab, {0}, (0,), ("retrain", "fine_tuning"), harder=True)
    [row] = found["rows"]["fine_tuning"]["seeds"].values()
    assert [row["harder"]] == stronger(lab, "fine_tuning", {0}, (0,))
    shown = dict(ranked(found))["fine_tuning"]
    assert shown["harder"][0] == row["harder"]
    rest = shown["gap"][0] - abs(row["erasure"] - 1)
    assert shown["harder_gap"][0] == pytest.approx(rest + abs(row["harder"] - 1))
    [control] = found["rows"]["retrain"]["seeds"].values()
    assert control["harder"] is None


def test_what_does_not_exist_is_refused_before_any_work(lab):
    with pytest.raises(ValueError, match="method 'hope' is unknown"):
        leaderboard(lab, {0}, (0,), ("hope",))
    with pytest.raises(ValueError, match="cannot forget 11"):
        leaderboard(lab, {11})
    with pytest.raises(ValueError, match="method 'hope' is unknown"):
        stronger(lab, "hope", {0})
    with pytest.raises(ValueError, match="there are no seeds: name at least one"):
        leaderboard(lab, {0}, ())


def test_the_command_writes_table_picture_and_readme_and_keeps_other_rows(
    lab, lab_folder, monkeypatch, capsys
):
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(lab_folder))
    readme = lab_folder / "README.md"
    readme.write_text("before\n<!-- leaderboard: begin -->\n<!-- leaderboard: end -->\nafter\n")
    run = ["leaderboard", "--profile", "smoke", "--dataset", "digits", "--seeds", "1", "--methods"]
    assert command.main([*run, "retrain", "selective_amnesia"]) == 0
    assert command.main([*run, "fine_tuning"]) == 0
    assert "minutes from nothing" in capsys.readouterr().out
    folder = lab_folder / "figures" / "gallery"
    record = json.loads((folder / "leaderboard.json").read_text())
    record["0"]["rows"]["fine_tuning"]["seeds"]["0"]["harder"] = 0.5  # as if it had been asked for
    (folder / "leaderboard.json").write_text(json.dumps(record))
    assert command.main([*run, "fine_tuning"]) == 0
    capsys.readouterr()
    kept = json.loads((folder / "leaderboard.json").read_text())["0"]
    assert set(kept["rows"]) == set(SOME)
    assert kept["rows"]["fine_tuning"]["seeds"]["0"]["harder"] == 0.5
    assert {"date", "device", "torch", "seeds"} <= kept.keys()
    assert (folder / "leaderboard.png").read_bytes().startswith(b"\x89PNG")
    text = readme.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "| Selective Amnesia |" in text
    other = [*run[:5], "--seeds", "1", "--forget", "3 8", "--methods", "fine_tuning"]
    assert command.main(other) == 0
    assert "| forgotten | fine tuning | harder |\n| --- | --- | --- |\n| 0 | " in readme.read_text()
    assert "\n| 3 8 | " in readme.read_text()
    before = (folder / "leaderboard.json").read_bytes()
    assert command.main([*run[:5], "--seeds", "2", "--methods", "naive"]) == 2
    assert "was recorded with" in capsys.readouterr().err
    assert (folder / "leaderboard.json").read_bytes() == before
    assert (folder / "leaderboard_sets.png").is_file()
    assert command.main([*run, "hope"]) == 2
    assert "method 'hope' is unknown" in capsys.readouterr().err
    record = json.loads(before)
    record["0"]["yardstick"]["control"] += 1
    (folder / "leaderboard.json").write_text(json.dumps(record))
    assert command.main([*run, "retrain"]) == 2
    says = "the yardstick is no longer the one of fine_tuning, selective_amnesia"
    assert says in capsys.readouterr().err
    (folder / "leaderboard.json").write_text("{")
    assert command.main([*run, "retrain"]) == 2
    assert "is damaged" in capsys.readouterr().err
    readme.unlink()


def test_a_file_without_marks_is_left_as_it_was(tmp_path):
    file = tmp_path / "text.md"
    file.write_text("no marks")
    with pytest.raises(LabError, match="put both where the table belongs"):
        between_marks(file, "leaderboard", "table")
    assert file.read_text() == "no marks"


def test_a_record_made_on_several_days_says_so():
    assert first_and_last(["2026-11-23", "2026-11-22", "2026-11-23"]) == "2026-11-22 to 2026-11-23"
    assert first_and_last(["2026-11-22"]) == "2026-11-22"
