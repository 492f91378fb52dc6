"""The leaderboard: effects and order on planted populations, its tables, and where they stand."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selective_amnesia import LabError
from selective_amnesia import __main__ as command
from selective_amnesia.metrics.distinguish import Told
from selective_amnesia.reports.leaderboard import Standing, effects, leaderboard, standing
from selective_amnesia.reports.population import MADE, MODEL, ORIGINAL, VERSION, record_of
from selective_amnesia.reports.tables import board, interval, number
from selective_amnesia.reports.told import by_queries, floor, told

# kind: nats and kept nats above the original's, seen under the label
PLANTED = {
    ORIGINAL: (0, 0, 1.0),
    "retrain": (40, 0, 0.1),
    "salun": (20, 3, 0.1),
    "calibrated_amnesia": (40, 0, 0.1),
    "naive": (10, 9, 0.9),
}


def population(models=12, kinds=tuple(PLANTED), label=0, seed=0):
    """Rows as the record has them."""
    rng = np.random.default_rng(seed)
    about = {"version": VERSION, "profile": "smoke", "dataset": "digits", "judges": 0}
    about |= {"forget": str(label), "label": label, "failed": "", "seconds": 9.0}
    about |= {"device": "CPU", "torch": "2.11", "date": "2026-11-30"}
    rows = []
    for kind in kinds:
        moved, kept, shown = PLANTED[kind]
        for k in range(models):
            row = about | {"kind": kind, "seed": k}
            row |= {"samples: label, panel": shown + 0.1 * rng.normal()}
            row |= {"decoder: nats": 80 + k + moved + 0.1 * rng.normal()}
            row |= {"decoder: kept nats": 90 + kept + 0.1 * rng.normal()}
            row |= {"weights: encoder, KL": rng.normal(), "original: moved images": rng.normal()}
            row |= {f"judge over {n}": shown + rng.normal() / n**0.5 for n in (1, 10, 100, 1000)}
            rows.append(row | {f"error of {name} moved": 0.0 for name in ("nats", "kept nats")})
    return pd.DataFrame(rows)


def test_erasure_is_between_original_and_controls_and_cost_above_the_original():
    rows = population()
    for kind, (moved, kept, _) in PLANTED.items():
        erasure, cost = effects(rows, kind)
        assert erasure[0] == pytest.approx(moved / 40, abs=0.01)
        assert cost[0] == pytest.approx(kept, abs=0.2)
        for value, low, high in (erasure, cost):
            assert low <= value <= high < low + 0.3


def test_images_models_and_controls_are_all_in_the_interval():
    """Each alone, where the others do not vary."""
    rows = population()
    calm = rows["decoder: nats"]

    def width(**changes):
        value, low, high = effects(rows.assign(**{"decoder: nats": calm} | changes), "salun")[0]
        assert value == pytest.approx(0.5, abs=0.1)
        return high - low

    plain = width()
    assert width(**{"error of nats moved": 2.0}) == pytest.approx(4 * 2.0 / 40, rel=0.4)
    for kind in ("salun", "retrain"):
        spread = np.where(rows["kind"].eq(kind), rows["seed"] % 2 * 8 - 4, 0)
        assert width(**{"decoder: nats": calm + spread}) > 3 * plain


def test_the_order_is_by_the_test_and_then_by_erasure():
    found = leaderboard(population(models=16))
    assert list(found) == ["calibrated_amnesia", "salun", "naive", "retrain", ORIGINAL]
    assert found["calibrated_amnesia"].tiers["decoder"].low < 0.5
    assert found["salun"].tiers["decoder"].auc == 1
    assert found["naive"].tiers["samples"].auc == 1
    assert found["retrain"].tiers == {}
    assert found[ORIGINAL].erasure[0] == 0
    ties = {"naive": 0.3, "salun": 0.6}  # both are told by everything
    rows = population(models=16)
    rows.loc[rows["kind"].isin(ties), "samples: label, panel"] = 5.0
    assert [k for k in leaderboard(rows) if k in ties] == ["salun", "naive"]


def test_few_models_have_effects_and_no_test():
    found = standing(population(models=3), "salun")
    assert found.tiers == {}
    assert found.erasure[0] == pytest.approx(0.5, abs=0.05)
    alone = standing(population(kinds=("salun",)), "salun")
    assert math.isnan(alone.erasure[0])


def test_failures_are_counted_and_left_out():
    rows = population()
    fails = rows["kind"].eq("naive") & rows["seed"].lt(2)
    rows.loc[fails, "failed"] = "the loss became nan"
    rows.loc[fails, "decoder: nats"] = math.nan
    found = standing(rows, "naive")
    assert (found.models, found.failed) == (10, 2)
    assert found.erasure[0] == pytest.approx(0.25, abs=0.02)
    assert board({"naive": found}).loc["naive", "models"] == "10, 2 diverged"


# --- tables --------------------------------------------------------------------------------------


def test_a_board_has_a_row_a_kind_and_the_floor_with_the_controls():
    near = Standing(8, 0, {"samples": Told(0.5, 0.3, 0.7, 0.2)}, (1, 0.9, 1.1), (-0.001, 0, 0), 61)
    never = Standing(8, 0, {}, (1, 1, 1), (0.5, 0.4, 0.6), math.nan)
    shown = board({"salun": near, "retrain": never}, {"samples": (0.49, 0.3, 0.7)})
    assert shown.index.tolist() == ["SalUn", "retrain (the control)"]
    assert shown.loc["SalUn", "AUC, samples"] == "0.50 (0.30 to 0.70)"
    assert shown.loc["retrain (the control)", "AUC, samples"] == "0.49 (0.30 to 0.70)"
    assert "AUC, decoder" not in shown  # known of none
    assert shown.loc["SalUn", "kept labels' cost (nats)"] == "0.00"
    assert shown["seconds"].tolist() == ["61", ""]


def test_numbers_have_a_minus_sign_and_nothing_is_not_a_number():
    assert (number(-1.234), number(-0.001), number(math.nan)) == ("−1.23", "0.00", "n/a")
    assert interval(None) == interval((math.nan, 0, 0)) == ""


# --- where they stand ----------------------------------------------------------------------------


@pytest.fixture
def scripts():
    """scripts/tables.py."""
    path = Path(__file__).parents[2] / "scripts" / "tables.py"
    spec = importlib.util.spec_from_file_location("tables", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def record(tmp_path):
    path = tmp_path / record_of("digits").name
    both = [population(label=k, seed=k) for k in (0, 3)]
    rows = pd.concat(both)
    assert {*MODEL, *MADE} <= set(rows)
    rows.to_csv(path, index=False)
    return path


def test_the_pages_show_what_the_record_holds(scripts, record):
    text = scripts.leaderboard(record)
    assert "| Calibrated Amnesia " in text
    assert "| 3 " in text
    assert "profile smoke" in text
    assert record.with_name("leaderboard-digits.png").read_bytes().startswith(b"\x89PNG")
    text = scripts.population(record)
    assert "| decoder " in text
    assert " 1,000 " in text
    assert record.with_name("never_saw.png").is_file()


def test_the_command_prints_the_leaderboard_of_what_is_recorded(
    lab, lab_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(tmp_path))
    path = tmp_path / record_of("digits")
    path.parent.mkdir(parents=True)
    population(models=4).to_csv(path, index=False)
    monkeypatch.setattr("selective_amnesia.reports.population.of_plugins", list)
    smoke = ["population", "--profile", "smoke", "--dataset", "digits", "--seeds", "4"]
    assert command.main([*smoke, "--methods", "salun"]) == 0
    said = capsys.readouterr().out
    assert "SalUn" in said
    assert str(path) in said
    assert command.main([*smoke, "--methods", "hope"]) == 2
    assert "method 'hope' is unknown" in capsys.readouterr().err


def test_a_page_without_marks_is_left_as_it_was(scripts, tmp_path):
    file = tmp_path / "text.md"
    file.write_text("no marks")
    with pytest.raises(LabError, match="put both where the table belongs"):
        scripts.between_marks(file, "leaderboard", "table")
    assert file.read_text() == "no marks"


def test_a_record_made_on_several_days_says_so(scripts):
    days = scripts.first_and_last
    assert days(["2026-11-23", "2026-11-22", "2026-11-23"]) == "2026-11-22 to 2026-11-23"
    assert days(["2026-11-22"]) == "2026-11-22"


def test_planted_rows_are_what_the_test_takes():
    """The rows above are like the record's: nothing of the test fails on them."""
    rows = population(models=16)
    assert told(rows, "salun").loc[("decoder", "kept nats"), "auc"] == 1
    assert floor(rows, splits=3).keys() == {"samples", "decoder", "weights", "original"}
    assert by_queries(rows, "naive")[1000].auc == 1
