"""The lab's networks: asked for by name, made once, resumed, refused."""

import os
import re
from itertools import combinations

import pytest
import torch

from selective_amnesia import Lab, LabError, forgetting
from selective_amnesia.forgetting import calibrated_amnesia, naive
from selective_amnesia.storage.store import SnapshotStore
from selective_amnesia.training import cvae, loop


def same(a, b):
    """Whether two models have the same weights."""
    return all(map(torch.equal, a.state_dict().values(), b.state_dict().values()))


def files(lab, pattern="*"):
    return sorted(lab.store.path("", "").glob(pattern))


def test_asking_for_an_amnesiac_makes_all_that_it_needs(own):
    lab = own()
    amnesiac = lab.amnesiac({1})
    assert [path.stem.rsplit("-", 1)[0] for path in files(lab, "*.json")] == [
        "amnesiac-1", "cvae", "fisher",
    ]  # fmt: skip
    assert not files(lab, "*.partial")
    assert amnesiac.facts["parents"][0].startswith("cvae-")
    assert amnesiac.history["frames"].shape[1:] == (10, 8, 784)


def test_a_finished_stage_is_not_made_again(lab, monkeypatch):
    amnesiac, control = lab.amnesiac({0}), lab.control({0})
    monkeypatch.setattr(forgetting, "forget", None)
    monkeypatch.setattr(cvae, "train_cvae", None)
    again = Lab.open("smoke", 0, "digits", lab.store.folder, "cpu")
    assert same(amnesiac, again.amnesiac("0"))
    assert same(control, again.control(0))
    assert again.amnesiac("0").facts == amnesiac.facts


def test_a_stopped_lab_goes_on_and_ends_with_the_same_bits(lab, own, monkeypatch, capfd):
    """`faults/test_kills.py` ends it by SIGKILL."""
    mine, save, saved = own(), SnapshotStore.save, []

    def save_and_stop(self, state):
        save(self, state)
        saved.append(int(state["step"]))
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SnapshotStore, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            mine.cvae()
    assert saved == [20, 40]
    capfd.readouterr()
    assert same(mine.cvae(), lab.cvae())
    bar = capfd.readouterr().err
    assert "40/60" in bar
    assert not re.search(r"(?<!\d)[0-3]?0/60", bar)


@pytest.mark.parametrize("moment", ["amnesiac-1", ".json"], ids=["first save", "before the facts"])
def test_a_lab_stopped_inside_a_write_ends_with_the_same_bits(lab, own, monkeypatch, moment):
    expected, mine = lab.amnesiac({1}), own(lab.cvae(), lab.fisher())
    replace = os.replace

    def stop(source, target):
        if moment in str(target) and "amnesiac-1" in str(target):
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            mine.amnesiac({1})
    assert bool(files(mine, "amnesiac-1-*.partial")) == (moment == ".json")
    assert same(mine.amnesiac({1}), expected)
    assert [path.suffix for path in files(mine, "*amnesiac-1-*")] == [".json", ".safetensors"]


@pytest.mark.parametrize("stopped", ["calibrated_amnesia-1-student", "calibrated_amnesia-1"])
def test_a_student_is_a_stage_of_its_own_and_is_resumed(lab, own, monkeypatch, stopped):
    """Killed as it learns it goes on; killed later it is not trained again."""
    how = {"method": "calibrated_amnesia", "steps": 12}
    expected = lab.amnesiac({1}, **how)
    mine = own(lab.cvae(), lab.fisher())
    save, begun = SnapshotStore.save, []

    def save_and_stop(self, state):
        save(self, state)
        if self.key.rpartition("-")[0] == stopped:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SnapshotStore, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            mine.amnesiac({1}, **how)
    assert [path.stem.rpartition("-")[0] for path in files(mine, "*.partial")] == [stopped]

    def fit(*args, snapshots, **kwargs):
        begun.append(int(snapshots.load()["step"]))
        return loop.fit(*args, snapshots=snapshots, **kwargs)

    monkeypatch.setattr(calibrated_amnesia, "fit", fit)
    assert same(mine.amnesiac({1}, **how), expected)
    assert begun == ([10] if stopped.endswith("student") else [])
    assert files(mine, "calibrated_amnesia-1-student-*.json")


def test_forgetting_leaves_the_original_as_it_was(lab):
    original = lab.cvae()
    before = {k: v.clone() for k, v in original.state_dict().items()}
    lab.amnesiac({1})
    assert all(torch.equal(before[k], v) for k, v in original.state_dict().items())


def test_the_control_learns_what_the_original_learns_but_for_the_label(lab):
    trio = lab.trio({0})
    assert trio["control"].facts["forget"] == [0]
    assert trio["control"].facts["settings"] == trio["original"].facts["settings"]
    assert not any(same(a, b) for a, b in combinations(trio.values(), 2))


def test_a_variant_shares_nothing_that_its_change_has_shaped(lab):
    flat, other = lab.variant(z_dim=2), lab.variant(seed=1)
    assert flat.amnesiac({0}).z_dim == flat.cvae().z_dim == 2
    assert lab.cvae().z_dim == 8
    assert flat.judge().facts["name"] == lab.judge().facts["name"]
    assert flat.data is lab.data
    assert other.cvae().facts["settings"]["seed"] == other.seed == 1
    assert not same(other.cvae(), lab.cvae())
    assert same(lab.variant().cvae(), lab.cvae())


def test_settings_parents_and_versions_are_part_of_the_name(lab, monkeypatch):
    key = lab._fisher_stage.key
    assert lab.variant(log_every=7, save_every=7)._fisher_stage.key == key
    named = [lab.amnesiac({0}, "naive", steps=1, **changes).facts["name"]
             for changes in ({}, {"gamma": 2.0}, {"log_every": 7})]  # fmt: skip
    assert named[0] != named[1]
    assert named[0] == named[2]
    monkeypatch.setattr(naive, "VERSION", 2, raising=False)
    assert lab.amnesiac({0}, "naive", steps=1).facts["name"] not in named
    others = [lab.variant(seed=1)._fisher_stage.key, lab.variant(z_dim=2)._fisher_stage.key]
    monkeypatch.setattr(cvae, "VERSION", 2)
    assert len({key, lab._fisher_stage.key, *others}) == 4


def test_facts_say_what_was_trained_where_and_how_exactly(lab, own, monkeypatch):
    facts = lab.cvae().facts
    assert facts["precision"] == loop.precision(lab.profile.cvae, lab.device)
    assert {"test_loss", "steps", "seconds", "device", "versions", "date"} <= facts.keys()
    assert lab.judge().facts["precision"] == "float32"
    mine = own(lab.cvae(), lab.fisher())
    monkeypatch.setattr(loop, "fast_in_bfloat16", lambda _device: True)
    assert mine.amnesiac({0}, "naive", steps=1).facts["precision"] == "bfloat16"


def test_the_fisher_diagonal_is_in_the_order_of_the_weights(lab):
    diagonal = lab.fisher()
    assert list(diagonal) == [name for name, _ in lab.cvae().named_parameters()]
    assert diagonal.facts["samples"] == lab.profile.fisher.samples


def test_surrogates_and_the_panels_network_are_networks_of_their_own(lab):
    networks = lab.surrogate(0), lab.surrogate(1), lab.panel.quick()
    heads = [each.head.weight for each in networks]
    assert not any(torch.equal(a, b) for a, b in combinations(heads, 2))


def test_a_sequence_forgets_one_label_after_another(lab):
    models = lab.sequence()
    assert [m.facts["forget"] for m in models] == [[0], [0, 1]]
    assert models[1].facts["parents"][0] == models[0].facts["name"]
    with pytest.raises(ValueError, match="rounds is 10: use 1 to 9"):
        lab.sequence(10)


def test_a_gpu_without_memory_is_one_sentence(own, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 MiB.\nOf GPU 0 ...")

    monkeypatch.setattr(cvae, "train_cvae", full)
    with pytest.raises(LabError, match=r"^cvae: the GPU ran out of memory. Close other notebooks"):
        own().cvae()


def test_a_figure_is_kept_as_a_file(own):
    from matplotlib.figure import Figure

    lab = own()
    assert lab.show(Figure(figsize=(1, 1)), "empty", alt="nothing").metadata == {"alt": "nothing"}
    assert (lab.store.folder / "figures" / "empty.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="use a file's name without folders"):
        lab.show(Figure(figsize=(1, 1)), "../empty")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"profile": "quick"}, "profile 'quick' is unknown: use one of smoke, fast, paper"),
        (
            {"dataset": "runes"},
            "data set 'runes' is unknown: use one of animal_mnist, digits",
        ),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "0"}, "seed is '0'"),
        ({"seed": 2**32}, "use one below 4294967296"),
        ({"device": "mps"}, "device 'mps' is not there or not supported: use cpu or cuda"),
        ({"device": "abacus"}, "device 'abacus' is not there"),
    ],
)
def test_a_lab_that_cannot_be_opened_says_why(arguments, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        Lab.open(**({"folder": tmp_path} | arguments))


def test_a_lab_says_what_it_is_and_where_it_keeps_its_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for url, follows in (("", ""), (str(mirror), f", and follow to {mirror}")):
        lab = Lab.open("smoke", 7, "digits", tmp_path / "lab", "cpu", url)
        kept = os.path.join("lab", "checkpoints")
        assert str(lab) == (
            f"profile smoke, seed 7, digits, on cpu; finished stages are kept in {kept}{follows}"
        )


def test_what_cannot_be_made_is_refused_before_any_work(own):
    lab = own()
    for forget in ({10}, set(), range(10), {-1}, "zero", {1.5}, True):
        for ask in (lab.amnesiac, lab.control, lab.trio):
            with pytest.raises(ValueError, match=r"^the forget set [^\n]*$"):
                ask(forget)
    with pytest.raises(ValueError, match="method 'hope' is unknown: use one of adversarial"):
        lab.amnesiac({0}, "hope")
    with pytest.raises(ValueError, match="naive has no colour: use steps, batch_size"):
        lab.amnesiac({0}, "naive", colour=1)
    with pytest.raises(ValueError, match="lam is -1"):
        lab.amnesiac({0}, lam=-1)
    with pytest.raises(ValueError, match="number is -1"):
        lab.surrogate(-1)
    with pytest.raises(ValueError, match="use one below 4294967296"):
        lab.variant(seed=2**32)
    assert not files(lab, "*.json")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(LabError, match=r"cannot write .*file.*make the folder writable"):
        Lab.open("smoke", dataset="digits", folder=tmp_path / "file")
