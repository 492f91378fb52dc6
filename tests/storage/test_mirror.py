"""What a mirror holds, gets and gives; `faults/test_mirrors.py` lets it fail under a lab."""

import os
import time
from pathlib import Path

import pytest
import torch

from selective_amnesia.errors import LabError
from selective_amnesia.storage import place
from selective_amnesia.storage.mirror import Mirror
from selective_amnesia.storage.store import SnapshotStore


def test_a_finished_stage_follows_and_is_fetched_elsewhere(
    runtime, url, stage, recipe, files, never, names
):
    here = runtime("here", url)
    made = here.finish(stage, recipe)
    assert here.mirror.flush()
    (facts, tensors) = sorted(names(url), key=len)
    assert facts == f"{stage.key}.json"
    assert tensors == f"{stage.key}.{made.facts['sha256'][:16]}.safetensors"
    there = runtime("there", url)
    assert there.finish(stage, never).facts == made.facts
    assert files(there) == files(here)
    assert there.mirror.flush()
    assert runtime("third", url).finish(stage, never).facts == made.facts


def test_a_snapshot_follows_is_resumed_from_elsewhere_and_goes(
    runtime, url, stage, recipe, never, interrupted, names
):
    here = runtime("here", url)
    interrupted(here, stage)
    assert here.mirror.flush()
    assert names(url) == [f"{stage.key}.partial"]
    there = runtime("there", url)
    there.finish(stage, recipe)
    assert int(recipe.resumed[0]["step"]) == 3
    assert there.mirror.flush()
    assert f"{stage.key}.partial" not in names(url)
    here.finish(stage, never)  # begun here, finished there
    assert not SnapshotStore(here, stage.key).path.exists()


def test_snapshots_follow_at_some_distance(runtime, url, stage, monkeypatch):
    store = runtime("here", url)
    snapshots, followed = SnapshotStore(store, stage.key), []
    monkeypatch.setattr(store.mirror, "follow", followed.append)
    for _ in range(3):
        snapshots.save({"step": torch.tensor(1)})
    assert len(followed) == 1
    snapshots.followed -= 61
    snapshots.save({"step": torch.tensor(1)})
    assert len(followed) == 2


def test_what_earlier_processes_could_not_bring_follows(runtime, url, stage, recipe, never, names):
    runtime("here").finish(stage, recipe)  # without a mirror
    assert runtime("here", url).mirror.flush()
    assert len(names(url)) == 2
    runtime("there", url).finish(stage, never)


def test_the_first_finished_stage_stays(runtime, url, stage, recipe, other_recipe, never):
    runtime("here").finish(stage, recipe)
    runtime("there").finish(stage, other_recipe)
    for name in ("here", "there"):
        assert runtime(name, url).mirror.flush()
        assert runtime(f"new beside {name}", url).finish(stage, never).facts["loss"] == 1
    assert runtime("there", url).finish(stage, never).facts["loss"] == 2  # each keeps its own


def test_two_at_the_same_time_leave_a_pair_that_fits(
    runtime, url, stage, recipe, other_recipe, monkeypatch, never
):
    """The other is finished while this one's tensors are on their way."""
    here, there = runtime("here", url), runtime("there")
    there.finish(stage, other_recipe)
    write = here.mirror.place.write

    def slowly(name, content):
        write(name, content)
        if name.endswith(".safetensors"):
            assert runtime("there", url).mirror.flush()

    monkeypatch.setattr(here.mirror.place, "write", slowly)
    here.finish(stage, recipe)
    assert here.mirror.flush()
    assert runtime("third", url).finish(stage, never).facts["loss"] == 2


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_what_lacks_one_of_its_files_there_is_made_anew_and_replaced(
    suffix, runtime, tmp_path, stage, recipe, other_recipe, capsys, never
):
    """`faults/test_damage.py` breaks them."""
    url = str(tmp_path / "mirror")
    os.mkdir(url)
    here = runtime("here", url)
    here.finish(stage, recipe)
    assert here.mirror.flush()
    (file,) = Path(url, "checkpoints").glob(f"*{suffix}")
    file.unlink()
    there = runtime("there", url)
    assert there.finish(stage, other_recipe).facts["loss"] == 2
    assert there.mirror.flush()
    assert runtime("third", url).finish(stage, never).facts["loss"] == 2
    damaged = f"{stage.key} is damaged in the mirror {url}: it is made anew.\n"
    assert capsys.readouterr().out == ("" if suffix == ".json" else damaged)


def test_what_lacks_a_field_there_is_made_anew_and_replaced(
    runtime, url, stage, recipe, other_recipe, never
):
    here, there = runtime("here", url), runtime("there", url)
    here.finish(stage, recipe)
    assert here.mirror.flush()
    there.finish(stage, other_recipe, lambda found: found.facts["loss"] == 2)
    assert there.mirror.flush()
    assert here.finish(stage, never, lambda found: found.facts["loss"] == 2)  # theirs does


def test_what_is_damaged_here_does_not_follow(runtime, url, stage, recipe, names):
    here = runtime("here")
    here.finish(stage, recipe)
    here.path(stage.key, ".safetensors").write_bytes(b"broken")
    here.path("begun-1", ".partial").write_bytes(b"broken")
    here.path("notes", ".json").write_text("{}")
    assert runtime("here", url).mirror.flush()
    assert names(url) == []


def test_what_is_damaged_here_is_fetched_by_the_next_run(runtime, url, stage, recipe, never):
    here = runtime("here", url)
    here.finish(stage, recipe)
    assert here.mirror.flush()
    here.path(stage.key, ".json").write_bytes(b"{}")
    with pytest.raises(LabError, match="run again"):
        here.finish(stage, never)
    assert here.finish(stage, never).facts["loss"] == 1


def test_the_snapshot_of_a_stage_finished_there_goes(runtime, tmp_path, stage, recipe, names):
    """Its machine was killed between the two."""
    url = str(tmp_path / "mirror")
    os.mkdir(url)
    here = runtime("here", url)
    here.finish(stage, recipe)
    assert here.mirror.flush()
    for key in (stage.key, "begun-1"):
        Path(url, "checkpoints", f"{key}.partial").touch()
    assert runtime("there", url).mirror.flush()
    assert [name for name in names(url) if name.endswith("partial")] == ["begun-1.partial"]


def test_abandoned_uploads_go_and_young_ones_stay(runtime, tmp_path, monkeypatch):
    folder = tmp_path / "mirror" / "checkpoints"
    folder.mkdir(parents=True)
    for name, age in ((".cvae-1.json.1.part", 2 * place.ABANDONED), (".cvae-1.json.2.part", 60)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    assert runtime("here", str(tmp_path / "mirror")).mirror.flush()
    assert [p.name for p in folder.iterdir()] == [".cvae-1.json.2.part"]


def test_what_a_mirror_cannot_be(runtime, tmp_path):
    for url in ("nowhere://lab", "s4://lab"):
        with pytest.raises(ValueError, match=f"the mirror '{url}' cannot be opened: "):
            Mirror(url)
    (tmp_path / "here").mkdir()
    with pytest.raises(ValueError, match="is the lab's own folder: name another, or none"):
        runtime("here", str(tmp_path / "here"))
