"""What goes wrong on a device of its own alone. `test_devices.py` runs these in a process of their
own, since torch asks once, before its first gradient, what devices there are."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import fake_device
from selective_amnesia import Lab
from selective_amnesia.forgetting import METHODS
from selective_amnesia.metrics.perceptual import JudgeFeatures
from selective_amnesia.reports.matrix import cases, matrix
from selective_amnesia.reports.results import results
from selective_amnesia.storage.store import SnapshotStore
from selective_amnesia.training.loop import fit


class Unhurried(TorchDispatchMode):
    """Within it nobody waits for a value of the device or sends it one: a step that is recorded as
    a CUDA graph can do neither."""

    WAITS = ("_local_scalar_dense", "lift_fresh", "nonzero", "masked_select", "equal", "_unique2")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
        name = function.overloadpacket.__name__
        masked = name == "index" and any(t.dtype == torch.bool for t in tensors[1:-1])
        sent = name in ("_to_copy", "copy_") and len({t.device.type for t in tensors}) > 1
        if name in self.WAITS or masked or sent:
            raise AssertionError(f"{name} waits for the device")
        return result


@pytest.fixture(autouse=True)
def no_loss_waits(monkeypatch):
    """All losses here are such as can be recorded: they are what lies within an autocast."""
    monkeypatch.setattr(torch, "autocast", lambda *_args, **_kwargs: Unhurried())


def tiny(folder, device):
    """A lab that does next to nothing of everything."""
    lab, few = Lab.open("smoke", 0, "digits", folder, device), {"steps": 6, "batch_size": 32}
    smoke, data = lab.profile, lab.data
    vars(lab)["data"] = replace(
        data,
        train_images=data.train_images[:500],
        train_labels=data.train_labels[:500],
        test_images=data.test_images[:150],
        test_labels=data.test_labels[:150],
    )
    lab.profile = replace(
        smoke,
        judge=replace(smoke.judge, **few),
        referee=replace(smoke.referee, **few),
        surrogate=replace(smoke.surrogate, **few),
        cvae=replace(smoke.cvae, **few, hidden=(32, 16), kl_warmup=2, frames=2, save_every=4),
        fisher=replace(smoke.fisher, samples=50, batch_size=25),
        forget=replace(smoke.forget, **few, frames=2),
        sequence=replace(smoke.sequence, **few),
        attack=replace(smoke.attack, steps=5, codes=2),
        description=replace(smoke.description, steps=3, images=3),
        relearning=replace(smoke.relearning, steps=2, draws=1, samples=5),
        evaluation=replace(smoke.evaluation, samples=8),
        visualisation=replace(smoke.visualisation, codes=2, path_steps=3, silhouette=50),
    )
    return lab


@pytest.fixture(scope="module")
def there(accelerator, tmp_path_factory):
    """A lab on the fake device."""
    fake_device.start(accelerator)
    lab = tiny(tmp_path_factory.mktemp("there"), fake_device.NAME)
    lab.measure.perceptual = JudgeFeatures(lab.judge())
    return lab


def test_a_step_that_waits_is_found(there):
    layer = nn.Linear(2, 1).to(there.device)

    def loss():
        value = layer(torch.ones(3, 2, device=there.device)).mean()
        float(value.detach())
        return {"loss": value}

    with pytest.raises(AssertionError, match="waits for the device"):
        fit(layer, loss, there.profile.forget, seed=0, label="waiting")


def test_the_fake_device_keeps_its_tensors_apart(there):
    layer = nn.Linear(2, 2).to(there.device)
    assert layer(torch.ones(1, 2, device=there.device)).device.type == fake_device.NAME
    with pytest.raises(RuntimeError, match="same device"):
        layer(torch.ones(1, 2))
    with pytest.raises(TypeError, match="numpy"):
        layer.weight.detach().numpy()


def test_all_figures_of_a_lab_are_made_there(there):
    found = results(there, ["0"])
    assert found["device"] == fake_device.NAME
    assert set(found["audit"]) == {"0"}
    assert set(matrix(there, dict.fromkeys(cases(["0"]), 1))) == {"panel", "judge"}
    assert len(there.sequence()) == there.profile.sequence_rounds


@pytest.mark.parametrize("method", METHODS)
def test_every_method_forgets_there(there, method):
    brief = {"calibrated_amnesia": {"bank": 8, "images": 4}}
    amnesiac = there.amnesiac({1}, method, **brief.get(method, {}))
    assert all(p.device.type == fake_device.NAME for p in amnesiac.parameters())
    assert there.measure.scores(amnesiac).panel.device.type == "cpu"


def test_a_stronger_attacker_and_a_joint_one_work_there(there):
    amnesiac, measure = there.amnesiac({0}), there.measure
    stronger = {"surrogates": 1, "together": True}
    assert measure.images(amnesiac, 0, "diverse", **stronger).device.type == fake_device.NAME
    assert measure.verdict(amnesiac, 0, "joint").panel.isfinite().all()
    polished = measure.metric(amnesiac, 0, "description", more_starts=2, polish=2)
    assert polished.isfinite().all()
    assert measure.metric(amnesiac, 0, "kept", images=3).shape == (9, 3)


def test_what_a_cpu_has_made_is_read_there(there, tmp_path):
    labs = [tiny(tmp_path, device) for device in ("cpu", fake_device.NAME)]
    one, other = (lab.cvae().state_dict() for lab in labs)
    assert all(torch.equal(v.cpu(), one[k]) for k, v in other.items())
    assert torch.equal(*(lab.measure.metric(lab.cvae(), 0, "description") for lab in labs))


def test_what_a_cpu_has_begun_goes_on_there(there, tmp_path, monkeypatch):
    save, begun = SnapshotStore.save, []

    def killed(snapshots, state):
        save(snapshots, state)
        begun.append(state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SnapshotStore, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            tiny(tmp_path, "cpu").cvae()
    history = tiny(tmp_path, fake_device.NAME).cvae().history
    assert history["step"].tolist() == [4, 6]
    assert torch.equal(history["loss"][0], begun[0]["history.loss"][0])


def test_a_model_on_another_device_is_named(there):
    elsewhere = copy.deepcopy(there.cvae()).cpu()
    with pytest.raises(ValueError, match=r"the model is on cpu .* move it with \.to\(lab\."):
        there.measure.verdict(elsewhere, 0)
