import json
import threading
import time

import pytest
import torch

from selective_amnesia.storage.store import SnapshotStore, Store


@pytest.fixture
def store(runtime):
    return runtime("lab")


def test_a_stage_is_made_once_and_read_afterwards(store, stage, recipe, runtime, files, never):
    made = store.finish(stage, recipe)
    for each in (store.finish(stage, never), runtime("lab").finish(stage, never)):
        assert torch.equal(each.tensors["w"], torch.ones(4))
        assert each.facts == made.facts
    assert recipe.made == 1
    assert store.used == {stage.key: made.facts["sha256"]}
    assert files(store) == [f"{stage.key}.json", f"{stage.key}.safetensors"]


def test_facts_say_what_made_it(tmp_path, stage, recipe):
    facts = (
        Store(tmp_path, about={"device": "cpu", "loss": "less than the recipe's word"})
        .finish(stage, recipe)
        .facts
    )
    assert facts["device"] == "cpu"
    assert facts["loss"] == 1.0
    assert (facts["stage"], facts["version"], facts["settings"]) == ("cvae", 1, {"steps": 3})
    assert facts["parents"] == []


def test_what_lacks_a_field_is_made_anew(store, stage, recipe, other_recipe):
    store.finish(stage, recipe)
    assert store.finish(stage, other_recipe, fits=lambda c: "w" in c.tensors).facts["loss"] == 1
    assert store.finish(stage, other_recipe, lambda c: c.facts["loss"] == 2).facts["loss"] == 2
    assert store.finish(stage, recipe).facts["loss"] == 2
    assert (recipe.made, other_recipe.made) == (1, 1)


def test_a_stage_is_resumed_from_its_snapshot(store, stage, recipe, files):
    with pytest.raises(KeyboardInterrupt):
        store.finish(stage, lambda s: (s.save({"step": torch.tensor(3)}), interrupt()))
    assert files(store) == [f"{stage.key}.partial"]
    store.finish(stage, recipe)
    assert int(recipe.resumed[0]["step"]) == 3
    assert files(store) == [f"{stage.key}.json", f"{stage.key}.safetensors"]


def interrupt():
    raise KeyboardInterrupt


def test_tensors_without_facts_are_no_finished_stage(store, stage, recipe):
    store.finish(stage, recipe)
    store.path(stage.key, ".json").unlink()
    store.finish(stage, recipe)
    assert recipe.made == 2


def test_a_damaged_snapshot_is_set_aside(store, stage, capsys):
    snapshots = SnapshotStore(store, stage.key)
    assert snapshots.load() is None
    snapshots.save({"step": torch.tensor(3)})
    assert int(snapshots.load()["step"]) == 3
    snapshots.path.write_bytes(snapshots.path.read_bytes()[:-1])
    assert snapshots.load() is None
    assert not snapshots.path.exists()
    assert capsys.readouterr().out == f"{stage.key}.partial is damaged and set aside.\n"


def test_of_two_that_want_a_stage_one_makes_it(stage, recipe, runtime, capsys):
    def slowly(snapshots):
        time.sleep(0.3)
        return recipe(snapshots)

    stores = [runtime("lab"), runtime("lab")]
    threads = [threading.Thread(target=store.finish, args=(stage, slowly)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recipe.made == 1
    assert stores[0].used == stores[1].used
    said = capsys.readouterr().out
    assert said == "cvae is being made by another process: waiting for it.\n"


def test_what_killed_writes_left_behind_goes_when_the_stage_is_made(store, stage, recipe):
    stray = store.path("", f".{stage.key}.partial.abc")
    stray.write_bytes(b"half")
    store.finish(stage, recipe)
    assert not stray.exists()


def test_checkpoints_are_plain_files(store, stage, recipe):
    """Another program reads them with safetensors and JSON alone."""
    import safetensors.torch

    store.finish(stage, recipe)
    assert json.loads(store.path(stage.key, ".json").read_text())["stage"] == "cvae"
    found = safetensors.torch.load_file(store.path(stage.key, ".safetensors"))
    assert torch.equal(found["w"], torch.ones(4))
