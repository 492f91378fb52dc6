"""CONTRIBUTING.md's examples: each, as printed there, is a whole plug-in."""

import os
import re
from pathlib import Path

import pytest
from PIL import Image

from selective_amnesia import Lab
from selective_amnesia.data import key
from selective_amnesia.reports.audit import audit
from selective_amnesia.reports.leaderboard import leaderboard
from selective_amnesia.reports.matrix import matrix_rows
from selective_amnesia.reports.population import read_population, record_population
from selective_amnesia.reports.tables import board

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
ROOMS = {
    "A forgetting method": "forgetting/dimming.py",
    "An attack": "attacks/bright.py",
    "A metric": "metrics/ink.py",
    "A data set": "data/stripes.py",
    "Images of your own": "data/leaves.py",
}


def example(heading: str) -> str:
    """The file that is printed under a heading."""
    section = re.split(r"\n##+ ", TEXT.split(f"\n### {heading}\n")[1])[0]
    (file,) = re.findall(r'```python\n(r""".*?)```', section, re.DOTALL)
    return file


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    """A lab on the example's data set, where each example lies in a folder of its own."""
    folders = []
    for heading, place in ROOMS.items():
        folders.append(tmp_path_factory.mktemp("plugins"))
        (folders[-1] / place).parent.mkdir()
        (folders[-1] / place).write_text(example(heading))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SELECTIVE_AMNESIA_PLUGINS", os.pathsep.join(map(str, folders)))
        folder = tmp_path_factory.mktemp("lab")
        yield Lab.open("smoke", dataset="stripes", folder=folder, device="cpu")


@pytest.mark.parametrize("heading", ROOMS)
def test_an_example_is_short_and_stands_in_the_folder_that_is_shown(heading):
    assert len(example(heading).splitlines()) < 40
    assert f"\n    {ROOMS[heading]}\n" in TEXT


def test_a_folder_of_images_is_a_set(stripes, tmp_path):
    for kind in ("oak", "elm"):
        (tmp_path / "data" / "leaves" / kind).mkdir(parents=True)
        for k in range(6):
            Image.new("L", (30, 30), 40 * k).save(tmp_path / "data" / "leaves" / kind / f"{k}.png")
    leaves = Lab.open("smoke", dataset="leaves", folder=tmp_path, device="cpu").data
    assert leaves.names == ("elm", "oak")
    assert leaves.train_images.shape == (10, 784)


def test_a_set_that_was_edited_is_another(tmp_path, monkeypatch):
    monkeypatch.setenv("SELECTIVE_AMNESIA_PLUGINS", str(tmp_path))
    file = tmp_path / ROOMS["A data set"]
    file.parent.mkdir()
    names = set()
    for text in (example("A data set"), example("A data set") + "# another\n"):
        file.write_text(text)
        names.add(key("stripes"))
    assert len(names) == 2
    assert key("mnist") == "mnist"


def test_all_four_are_in_the_audits_table(stripes, capsys):
    assert stripes.data.classes == 4
    table = audit(stripes.amnesiac({0}, method="dimming"), stripes, {0})
    assert "no controls without 0 of stripes" in capsys.readouterr().out
    rows = table.loc[(0, "decoder"), "model"]
    assert {f"attack bright, {who}" for who in ("judge", "panel")} <= set(rows.index)
    ink = stripes.measure.metric(stripes.amnesiac({0}, method="dimming"), 0, "ink").mean()
    assert rows["ink (share of real)"] == pytest.approx(float(ink))
    assert table["model"].notna().all()


def test_they_are_in_lab_matrix_and_population(stripes):
    found = stripes.measure.attack(stripes.amnesiac({0}), 0, "bright", brightness=2.0)
    assert "bright" in found.history
    assert found.c.shape == (1, 4)
    assert len(stripes.measure.metric(stripes.amnesiac({0}), 0, "ink", images=30)) == 30
    assert matrix_rows()["control, recovery bright"] == ("control", "bright", {})
    rows = read_population(record_population(stripes, (0,), [0], ["dimming"]))
    assert rows["kind"].tolist().count("dimming") == 1
    new = [
        "decoder: attack bright, panel",
        "decoder: attack bright, judge",
        "decoder: ink (share of real)",
    ]
    assert rows[new].notna().all(axis=None)
    assert "dimming" in board(leaderboard(rows)).index
