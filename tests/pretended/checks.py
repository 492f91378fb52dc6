"""What goes wrong on a device of its own alone. `test_devices.py` runs these in a process of their
own, since torch asks once, before its first gradient, what devices there are."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import pretended
from selective_amnesia import Lab, stages, training
from selective_amnesia.forgetting import METHODS
from selective_amnesia.perceptual import JudgeFeatures
from selective_amnesia.results import cases, matrix, results


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
    """All losses here, and the Fisher diagonal, are such as can be recorded: they are what lies
    within an autocast."""
    monkeypatch.setattr(torch, "autocast", lambda *_args, **_kwargs: Unhurried())


def test_a_step_that_waits_is_found(there):
    layer = nn.Linear(2, 1).to(there.device)

    def loss():
        value = layer(torch.ones(3, 2, device=there.device)).mean()
        float(value.detach())
        return {"loss": value}

    with pytest.raises(AssertionError, match="waits for the device"):
        training.fit(layer, loss, there.profile.forget, seed=0, label="waiting")


@pytest.fixture(scope="module")
def there(accelerator, tmp_path_factory):
    """A lab on the pretended device."""
    pretended.start(accelerator)
    lab = Lab.open("smoke", 0, "digits", tmp_path_factory.mktemp("there"), pretended.NAME)
    lab.metric = JudgeFeatures(lab.judge())
    return lab


def test_the_pretended_device_keeps_its_tensors_apart(there):
    layer = nn.Linear(2, 2).to(there.device)
    assert layer(torch.ones(1, 2, device=there.device)).device.type == pretended.NAME
    with pytest.raises(RuntimeError, match="same device"):
        layer(torch.ones(1, 2))
    with pytest.raises(TypeError, match="numpy"):
        layer.weight.detach().numpy()


def test_all_figures_of_a_lab_are_made_there(there):
    found = results(there, ["0"])
    assert found["device"] == pretended.NAME
    assert set(found["audit"]) == {"0"}
    assert set(matrix(there, cases(["0"]))) == {"referee", "judge"}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_forgets_there(there, method):
    amnesiac = there.amnesiac({1}, method, steps=5)
    assert all(p.device.type == pretended.NAME for p in amnesiac.parameters())
    assert there.scores(amnesiac).referee.device.type == "cpu"


def test_several_models_are_made_at_once_there(there, monkeypatch):
    monkeypatch.setitem(stages.AT_ONCE, pretended.NAME, 3)
    models = [*there.controls([{2}, {3}, {4}]), *there.amnesiacs([{2}, {3}])]
    assert all(torch.isfinite(p).all() for model in models for p in model.parameters())
    assert len({model.facts["weights"] for model in models}) == 5


def test_an_armed_attacker_and_a_joint_one_work_there(there):
    amnesiac = there.amnesiac({0})
    armed = {"critics": 1, "together": True}
    assert there.painted(amnesiac, 0, "b", **armed).device.type == pretended.NAME
    assert there.verdict(amnesiac, 0, "joint").referee.isfinite().all()


def test_what_a_cpu_has_begun_goes_on_there(there, lab):
    other = Lab.open("smoke", 0, "digits", lab.folder, pretended.NAME)
    kept = lab.cvae().state_dict()
    assert all(torch.equal(v.cpu(), kept[k]) for k, v in other.cvae().state_dict().items())
    assert torch.equal(lab.scores(lab.cvae()).referee, other.scores(other.cvae()).referee)


def test_a_model_on_another_device_is_named(there):
    elsewhere = copy.deepcopy(there.cvae()).cpu()
    with pytest.raises(ValueError, match=r"the model is on cpu .* move it with \.to\(lab\."):
        there.verdict(elsewhere, 0)
