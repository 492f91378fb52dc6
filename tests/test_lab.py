import copy
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from selective_amnesia import Lab, LabError, audit, networks
from selective_amnesia import lab as lab_module
from selective_amnesia.checkpoint import Snapshot
from selective_amnesia.perceptual import JudgeFeatures
from selective_amnesia.results import ROWS, cases, erasures, matrix, results
from selective_amnesia.stages import home
from selective_amnesia.training import frame_steps, seeded


def weights_of(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[k].nan_to_num(), b[k].nan_to_num()) for k in a)


@pytest.fixture
def metric(lab, monkeypatch):
    """The judge's features in the place of LPIPS, whose weights no test has to fetch."""
    stand_in = JudgeFeatures(lab.judge())
    monkeypatch.setitem(lab.__dict__, "metric", stand_in)
    return stand_in


def test_asking_for_an_amnesiac_makes_all_that_it_needs(lab):
    amnesiac = lab.amnesiac({0})
    made = {path.name.rsplit("-", 1)[0] for path in (lab.folder / "checkpoints").glob("*.json")}
    assert {"cvae", "fisher", "amnesiac-0"} <= made
    assert not list((lab.folder / "checkpoints").glob("*.partial"))
    assert amnesiac.facts["parents"][0].startswith("cvae-")
    assert amnesiac.history["frames"].shape[1:] == (10, 8, 784)


def test_a_finished_stage_is_not_made_again(lab, monkeypatch):
    first = weights_of(lab.amnesiac({0}))

    def fail(*_, **__):
        raise AssertionError("made again")

    monkeypatch.setattr(networks.forgetting, "forget", fail)
    monkeypatch.setattr(networks.recipes, "train_cvaes", fail)
    assert same(first, weights_of(Lab.open("smoke", 0, "digits", lab.folder, "cpu").amnesiac("0")))


def test_a_readers_model_whose_code_changes_is_another_one(lab):
    class Faint(torch.nn.Module):
        classes, z_dim, by = 10, 8, 1.0

        def __init__(self):
            super().__init__()
            self.inner = lab.cvae()

        def decode_logits(self, z, c):
            return self.by * self.inner.decode_logits(z, c)

        def decode(self, z, c):
            return self.decode_logits(z, c).sigmoid()

    model = Faint()
    before = lab.description_length(model, 0)
    model.by = 0.1
    assert not torch.equal(lab.description_length(model, 0), before)


def test_home_is_found_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", "lab")
    assert home() == tmp_path / "lab"
    assert Lab.open("smoke", dataset="digits", folder="here").folder == tmp_path / "here"


def test_a_changed_copy_of_the_labs_model_is_a_model_of_its_own(lab):
    known = lab.scores(lab.cvae())
    changed = copy.deepcopy(lab.cvae())
    with torch.no_grad():
        changed.decoder[-1].bias.zero_()
    assert not torch.equal(lab.scores(changed).judge, known.judge)
    assert torch.equal(lab.scores(copy.deepcopy(lab.cvae())).judge, known.judge)


def test_originals_of_several_seeds_are_those_of_their_labs(lab, tmp_path):
    labs = Lab.open("smoke", 0, "digits", tmp_path, "cpu").siblings([0, 1])
    assert [other.seed for other in labs] == [0, 1]
    alone = Lab.open("smoke", 1, "digits", lab.folder / "alone", "cpu").cvae()
    for a, b in zip(labs[1].cvae().parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)


def test_forgetting_leaves_the_original_as_it_was(lab):
    before = weights_of(lab.cvae())
    lab.amnesiac({2})
    assert same(before, weights_of(lab.cvae()))


def test_the_control_learns_what_the_original_learns_but_for_the_digit(lab):
    control = lab.control({4})
    assert control.facts["forget"] == [4]
    assert control.facts["settings"] | {"seed": 0} == lab.cvae().facts["settings"]
    assert not same(weights_of(control), weights_of(lab.cvae()))


def test_a_variant_shares_nothing_that_its_change_has_shaped(lab):
    flat = lab.variant(z_dim=2)
    assert flat.cvae().z_dim == 2
    assert lab.cvae().z_dim == 8
    assert flat.amnesiac({0}).z_dim == 2
    assert flat.judge().facts["name"] == lab.judge().facts["name"]


def test_every_setting_and_parent_is_part_of_the_name(lab):
    def key(**changes):
        other = Lab.open("smoke", changes.get("seed", 0), "digits", lab.folder)
        return other._fisher_stage.key

    assert key() == lab._fisher_stage.key
    assert key(seed=1) != lab._fisher_stage.key
    a, b = lab.amnesiac({0}), lab.amnesiac({0}, lam=1.0)
    assert not same(weights_of(a), weights_of(b))


CHILD = """
import os, signal, sys
from selective_amnesia import Lab, checkpoint

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "between":
    save, count = checkpoint.Snapshot.save, []
    def save_and_count(self, state):
        save(self, state)
        count.append(1)
        if len(count) == 2:
            die()
    checkpoint.Snapshot.save = save_and_count
else:
    replace = os.replace
    os.replace = lambda a, b: die() if sys.argv[2] in str(b) else replace(a, b)
Lab.open("smoke", dataset="digits", folder=sys.argv[1], device="cpu").amnesiac({1})
"""


@pytest.mark.parametrize(
    ("moment", "resumes"),
    [("between", True), ("cvae", False), ("amnesiac", False), (".json", True)],
    ids=["after the second save", "inside the first save", "while forgetting", "before the facts"],
)
def test_a_killed_lab_resumes_and_ends_with_the_same_bits(lab, tmp_path, moment, resumes):
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), moment], capture_output=True, timeout=120
    )
    assert child.returncode == -9, child.stderr.decode()
    left = {path.suffix for path in (tmp_path / "checkpoints").iterdir()}
    assert (".partial" in left) == resumes
    again = Lab.open("smoke", dataset="digits", folder=tmp_path, device="cpu")
    assert same(weights_of(again.amnesiac({1})), weights_of(lab.amnesiac({1})))
    assert same(weights_of(again.cvae()), weights_of(lab.cvae()))


def test_resuming_goes_on_and_does_not_start_again(lab, tmp_path, capfd):
    subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), "between"], capture_output=True, timeout=120
    )
    (snapshot,) = (tmp_path / "checkpoints").glob("cvae-*.partial")
    assert int(Snapshot(snapshot.with_suffix("")).load()["step"]) == 40
    capfd.readouterr()
    Lab.open("smoke", dataset="digits", folder=tmp_path, device="cpu").cvae()
    bar = capfd.readouterr().err
    assert "40/60" in bar
    assert not re.search(r"(?<!\d)[0-3]?0/60", bar)


def test_a_flipped_checkpoint_is_refused_once_and_then_made_anew(lab, tmp_path):
    mine = Lab.open("smoke", dataset="digits", folder=tmp_path, device="cpu")
    mine.cvae()
    (file,) = (tmp_path / "checkpoints").glob("cvae-*.safetensors")
    content = bytearray(file.read_bytes())
    content[-100] ^= 4
    file.write_bytes(content)
    with pytest.raises(LabError, match=r"cvae-.* is damaged.*set aside.*run again"):
        mine.cvae()
    assert same(weights_of(mine.cvae()), weights_of(lab.cvae()))


def test_sequence_forgets_one_after_another(lab):
    models = lab.sequence()
    assert [m.facts["forget"] for m in models] == [[0], [0, 1]]
    assert models[1].facts["parents"][0].startswith("sequence-0-")
    with pytest.raises(ValueError, match="rounds is 10: use 1 to 9"):
        lab.sequence(10)


def test_results_have_the_figures_that_others_read(lab, metric):
    found = results(lab, ["0", "0 1"])
    assert {"profile", "seed", "device", "torch", "cvae", "judge", "referee", "original",
            "fisher", "forget"} <= found.keys()  # fmt: skip
    assert {"test_loss", "steps", "seconds"} <= found["cvae"].keys()
    assert {"test_accuracy", "grey_probability", "grey_entropy"} <= found["judge"].keys()
    assert {"test_accuracy", "noise_rejected", "blends_rejected", "digits_kept"} <= found[
        "referee"
    ].keys()
    assert len(found["original"]["referee_probability"]) == 10
    assert {"samples", "seconds"} == found["fisher"].keys()
    assert len(found["forget"]["0 1"]["judge_probability"]) == 2
    assert {"judge_probability", "judge_entropy", "referee_probability", "retained_change",
            "seconds"} <= found["forget"]["0"].keys()  # fmt: skip
    assert found["interpolation"]["radius"].keys() == {"original", "amnesiac", "control"}
    for view in ("labelled", "blind"):
        figures = found["latent"]["0 1"][view]
        assert len(figures["centroid_shift"]) == 10
        assert {"purity", "silhouette"} <= figures.keys()
    for name in ("original", "amnesiac", "control"):
        assert found["recovery"]["0"][name].keys() == {"label", "a", "b", "joint"}
        assert name in found["audit"]["0"]["description_length"]
    assert found["audit"].keys() == {"0", "0 of 0 1", "1 of 0 1"}
    low, high = found["audit"]["0"]["interval"]
    assert low <= found["audit"]["0"]["erasure"] <= high
    assert found["audit"]["0"]["relearning"].keys() == {"1", "10", "100"}
    assert 0 < found["explorer"]["p50_ms"] <= found["explorer"]["p95_ms"]
    assert found == results(lab, ["0", "0 1"])


def test_radii_are_those_of_the_kept_digits(lab):
    radii = lab.radii(lab.cvae(), {3, 8})
    assert radii.shape == (8, lab.profile.seeing.codes)
    assert ((radii >= 0) & (radii <= 1)).all()
    everywhere = lab.radius_map(lab.cvae())
    assert torch.equal(radii[0], everywhere[0, 3])
    assert everywhere.isnan().all(-1).nonzero().tolist() == [[d, d] for d in range(10)]


def test_encodings_are_those_of_the_test_images(lab):
    codes = lab.encodings(lab.cvae())
    assert codes.shape == (len(lab.data.test_labels), 8)
    assert not torch.equal(codes, lab.encodings(lab.cvae(), blind=True))
    assert lab.geometry(codes)["purity"].shape == (len(codes),)


def test_scores_are_kept_for_any_model_and_go_with_its_weights(lab, monkeypatch):
    import copy

    cvae = lab.cvae()
    kept = lab.scores(cvae)
    foreign = copy.deepcopy(cvae)
    del foreign.facts
    with torch.no_grad():
        foreign.decoder[-1].bias.zero_()
    assert not torch.equal(kept.judge, lab.scores(foreign).judge)
    monkeypatch.setattr(lab_module.evaluation, "score", None)
    again = lab.scores(lab.cvae())
    assert same(vars(kept), vars(again))


@pytest.mark.parametrize("method", ["a", "b", "joint"])
def test_an_attack_is_kept(method, lab, metric, monkeypatch):
    model = lab.amnesiac({0})
    found = lab.recovery(model, 0, method)
    assert found.start != 0
    assert ("diversity" in found.history) == (method == "b")
    assert ("prior" in found.history) == (method == "joint")
    monkeypatch.setattr(lab_module.recovery, "recover", None)
    again = lab.recovery(model, 0, method)
    assert torch.equal(found.c, again.c)
    assert same(found.history, again.history)
    with pytest.raises(TypeError):
        lab.recovery(model, 0, method, codes=3)


def test_a_critic_is_a_network_of_its_own_and_shapes_the_attack(lab):
    critics = [lab.critic(0), lab.critic(1), lab.referee()]
    heads = [critic.head.weight for critic in critics]
    assert not any(torch.equal(heads[i], heads[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    model = lab.amnesiac({0})
    alone, armed = lab.recovery(model, 0, "a"), lab.recovery(model, 0, "a", critics=1)
    assert not torch.equal(alone.history["likelihood"], armed.history["likelihood"])
    assert torch.equal(lab.recovery(model, 0, "a", critics=0).c, alone.c)
    seen = lab.verdict(model, 0, "a", critics=1)
    longer = replace(lab.profile, critic=replace(lab.profile.critic, steps=60))
    other = Lab(longer, lab.seed, lab.dataset, lab.folder, lab.device)
    assert not torch.equal(other.verdict(model, 0, "a", critics=1).referee, seen.referee)


def test_conditions_that_answer_together_take_turns(lab, metric):
    model = lab.amnesiac({0})
    found = lab.recovery(model, 0, "b", together=True)
    many, count = len(found.c), lab.profile.evaluation.samples
    assert many == lab.profile.attack.finalists
    assert torch.equal(lab.recovery(model, 0, "b", together=True).c, found.c)
    images = lab.painted(model, 0, "b", together=True)
    with torch.no_grad(), seeded(lab.seed_of("fresh codes"), lab.device):
        z = torch.randn(count, model.z_dim)
        for k, c in enumerate(found.c):
            own = model.decode(z[k::many], c.expand(len(z[k::many]), -1))
            torch.testing.assert_close(images[k::many], own)


def test_what_the_audit_measures_is_kept(lab, monkeypatch):
    model = lab.amnesiac({0})
    nats, curves = lab.description_length(model, 0), lab.relearning(model, 0)
    assert nats.shape == (10,)
    config = lab.profile.relearning
    assert curves.shape == (3, config.draws, len(frame_steps(config.steps, config.looks)))
    monkeypatch.setattr(lab_module.audit, "description_length", None)
    monkeypatch.setattr(lab_module.audit, "relearning", None)
    assert torch.equal(nats, lab.description_length(model, 0))
    assert torch.equal(curves, lab.relearning(model, 0))


def test_what_was_not_forgotten_is_neither_attacked_nor_audited(lab):
    says = "amnesiac-0 has not forgotten 3: attack and audit it for 0"
    for ask in (lab.recovery, lab.verdict, lab.description_length, lab.relearning):
        with pytest.raises(ValueError, match=says):
            ask(lab.amnesiac({0}), 3)
    with pytest.raises(ValueError, match="digits from 0 to 9"):
        lab.description_length(lab.cvae(), 10)
    with pytest.raises(ValueError, match="method 'c' is unknown: use one of a, b, joint"):
        lab.recovery(lab.amnesiac({0}), 0, "c")


def test_a_verdict_is_on_the_same_fresh_codes_for_every_model(lab, metric):
    amnesiac = lab.amnesiac({0})
    seen = lab.verdict(amnesiac, 0, "a")
    images = lab.painted(amnesiac, 0, "a")
    assert images.shape == (lab.profile.evaluation.samples, 784)
    by_judge = lab.judge()(images).softmax(-1)[:, 0]
    torch.testing.assert_close(seen.judge, by_judge)
    assert not torch.equal(images, lab.painted(amnesiac, 0))
    assert torch.equal(lab.painted(amnesiac, 0), lab.painted(amnesiac, 0))


def test_without_weights_of_lpips_the_judges_features_stand_in(lab, monkeypatch, capsys):
    def none(_folder):
        raise FileNotFoundError("no source")

    monkeypatch.setattr(lab_module.perceptual, "trunk", none)
    fresh = Lab.open("smoke", dataset="digits", folder=lab.folder, device="cpu")
    assert isinstance(fresh.metric, JudgeFeatures)
    assert "not by LPIPS: no source" in capsys.readouterr().out


def test_the_audit_takes_any_model_with_the_decoders_interface(lab, metric):
    table = audit.audit(Mean(lab.cvae()), lab, {0})
    assert list(table.columns) == ["original", "model", "control"]
    assert table.loc[(0, "erasure"), "original"] == 0
    assert table.loc[(0, "erasure"), "control"] == 1
    low, value, high = (
        table.loc[(0, f"erasure{which}"), "model"] for which in (", 2.5 %", "", ", 97.5 %")
    )
    assert low <= value <= high
    assert table.loc[(0, "plain label: diversity"), "model"] == pytest.approx(0, abs=1e-4)
    curves = lab.relearning(lab.cvae(), 0).mean(1)
    config = lab.profile.relearning
    expected = audit.steps_to(curves[2], frame_steps(config.steps, config.looks))
    assert expected is not None
    assert table.loc[(0, "relearning from 100: steps"), "original"] == expected
    kept = audit.audit(lab.amnesiac({0}), lab, {0})
    assert kept.loc[(0, "description length (nats)"), "control"] == pytest.approx(
        float(lab.description_length(lab.control({0}), 0).mean())
    )


class Mean(nn.Module):
    """A method of a reader's own: one grey picture for every label."""

    def __init__(self, original):
        super().__init__()
        self.classes, self.z_dim = original.classes, original.z_dim
        self.logits = nn.Parameter(torch.zeros(original.pixels))

    def decode_logits(self, z, c):
        return self.logits.expand(len(z), -1)

    def decode(self, z, c):
        return self.decode_logits(z, c).sigmoid()


def test_the_matrix_has_a_column_for_each_digit_of_each_set(lab, metric):
    asked = cases(["0"])
    assert cases(["0", "3 8"]) == [(0, (0,)), (3, (3, 8)), (8, (3, 8))]
    tables = matrix(lab, asked)
    assert list(tables["judge"]) == list(ROWS)
    by_a = lab.verdict(lab.control({0}), 0, "a")
    assert tables["referee"]["control, recovery A"] == [float(by_a.referee.mean())]
    value, low, high = erasures(lab, asked)["0"]
    assert low <= value <= high


def test_an_audit_against_another_forget_set_is_refused(lab):
    with pytest.raises(ValueError, match=r"the model forgot \(0,\), the control would never have"):
        audit.audit(lab.amnesiac({0}), lab, {0, 1})
    with pytest.raises(TypeError, match="Linear has no decode"):
        audit.audit(nn.Linear(2, 2), lab, {0})


def test_samples_are_exported_as_files(lab):
    from PIL import Image

    folder = lab.export_samples(lab.cvae(), "original", per_label=2)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    assert files[:3] == ["0/0000.png", "0/0001.png", "1/0000.png"]
    assert len(files) == 20
    assert Image.open(folder / files[0]).size == (28, 28)
    again = lab.export_samples(lab.cvae(), "original", per_label=1)
    assert len(list(again.rglob("*.png"))) == 10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"profile": "quick"}, "profile 'quick' is unknown"),
        ({"dataset": "letters"}, "dataset 'letters' is unknown"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "0"}, "seed is '0'"),
    ],
)
def test_a_lab_that_cannot_be_opened_says_why(arguments, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        Lab.open(**({"folder": tmp_path} | arguments))


@pytest.mark.parametrize("forget", [{10}, set(), range(10), {-1}])
def test_bad_forget_sets_are_refused_before_any_work(forget, lab):
    before = set((lab.folder / "checkpoints").iterdir())
    with pytest.raises(ValueError, match="forget"):
        lab.amnesiac(forget)
    assert set((lab.folder / "checkpoints").iterdir()) == before


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(LabError, match=r"cannot write .*file.*make the folder writable"):
        Lab.open("smoke", dataset="digits", folder=tmp_path / "file")


def test_home_is_the_chosen_folder_or_the_repository(tmp_path, monkeypatch):
    monkeypatch.delenv("SELECTIVE_AMNESIA_HOME", raising=False)
    assert (home() / "pyproject.toml").is_file()
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(tmp_path))
    assert home() == tmp_path
