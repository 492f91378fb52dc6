"""What only a GPU can show; skipped where there is none."""

import dataclasses
import warnings

import pytest
import torch
from torch import nn

from selective_amnesia import Lab
from selective_amnesia.config import CVAEConfig, ForgetConfig
from selective_amnesia.data import load
from selective_amnesia.forgetting import METHODS, forget
from selective_amnesia.forgetting.fisher import fisher_diagonal, relative_error
from selective_amnesia.profiles import PROFILES
from selective_amnesia.referees.cnn import train_referee
from selective_amnesia.training import loop
from selective_amnesia.training.classifiers import train_judge
from selective_amnesia.training.cvae import train_cvae, untrained

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

CVAE = CVAEConfig(steps=60, batch_size=32, lr=2e-3, warmup=5, hidden=(32, 16), frames=2)
FORGET = ForgetConfig(steps=20, batch_size=32, lr=2e-3, frames=2)
SMOKE = dataclasses.replace(PROFILES["smoke"], forget=FORGET)


@pytest.fixture(scope="module")
def on_gpu(tmp_path_factory):
    return load("digits", tmp_path_factory.mktemp("unused"), "cuda")


@pytest.fixture
def recorded():
    """A step that cannot be recorded is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def weights(model):
    return torch.cat([p.detach().flatten().cpu() for p in model.parameters()])


@pytest.mark.parametrize("last_batch", [False, True])  # of another shape than the others
def test_recorded_steps_are_the_steps(on_gpu, recorded, last_batch, monkeypatch):
    """A replayed CUDA graph trains what one operation after another trains."""
    config = dataclasses.replace(CVAE, last_batch=last_batch)
    replayed = train_cvae(on_gpu, config, seed=3)[0]
    monkeypatch.setattr(loop, "cuda_graphed", lambda train_step, *_: train_step)
    stepped = train_cvae(on_gpu, config, seed=3)[0]
    torch.testing.assert_close(weights(replayed), weights(stepped), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_forgetting_is_recorded(on_gpu, recorded, method):
    torch.manual_seed(0)
    original = untrained(on_gpu, CVAE).cuda()
    fisher = {k: torch.rand_like(p) for k, p in original.named_parameters()}
    config = METHODS.settings(method, ForgetConfig, SMOKE)
    model, _ = forget(method, original, fisher, (1, 2), config, seed=0, data=on_gpu)
    assert weights(model).isfinite().all()


def test_the_classifiers_are_recorded(on_gpu, recorded):
    few = {"steps": 20, "warmup": 0, "batch_size": 64}
    train_judge(on_gpu, dataclasses.replace(SMOKE.judge, **few), seed=0)
    train_referee(on_gpu, dataclasses.replace(SMOKE.referee, **few), seed=0)


def test_a_step_that_cannot_be_recorded_goes_on_with_one_warning():
    model, x = nn.Linear(3, 1).cuda(), torch.rand(8, 3, device="cuda")

    def loss():
        value = model(x).square().mean()
        float(value)  # a wait for the device, which no recording allows
        return {"loss": value}

    with pytest.warns(UserWarning, match="one operation at a time") as caught:
        history = loop.fit(model, loss, FORGET, seed=0, label="waiting")
    assert len([w for w in caught if "one operation" in str(w.message)]) == 1
    assert history["loss"].isfinite().all()


def test_a_cpu_snapshot_goes_on_there(tmp_path):
    """A lab that was begun on a CPU is finished on a GPU."""
    Lab.open("smoke", 0, "digits", tmp_path, "cpu").cvae()
    lab = Lab.open("smoke", 0, "digits", tmp_path, "cuda")
    assert lab.amnesiac({0}).facts["device"].startswith("cuda")


def test_the_fisher_diagonal_is_that_of_a_cpu(tmp_path):
    lab = Lab.open("smoke", 0, "digits", tmp_path, "cuda")
    model, config = lab.cvae(), dataclasses.replace(lab.profile.fisher, samples=20_000)
    on_cpu = fisher_diagonal(model.cpu(), config, 0)
    there = fisher_diagonal(model.cuda(), config, 1)
    assert relative_error({k: v.cpu() for k, v in there.items()}, on_cpu) < 0.1
