"""What only a GPU can show; skipped where there is none."""

import dataclasses
import warnings

import pytest
import torch

from selective_amnesia import Lab, recipes, training
from selective_amnesia.config import CVAEConfig, ForgetConfig
from selective_amnesia.data import load
from selective_amnesia.fisher import fisher_diagonal, relative_error
from selective_amnesia.forgetting import METHODS, forget, settings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

CVAE = CVAEConfig(steps=30, batch_size=32, lr=2e-3, warmup=5, hidden=(32, 16), frames=2)
FORGET = ForgetConfig(steps=20, batch_size=32, lr=2e-3, frames=2)


@pytest.fixture(scope="module")
def on_gpu(tmp_path_factory):
    return load("digits", tmp_path_factory.mktemp("unused"), "cuda")


def weights(model):
    return torch.cat([p.detach().flatten().cpu() for p in model.parameters()])


@pytest.mark.parametrize("seeds", [[3], [3, 5]])
def test_recorded_steps_are_the_steps(on_gpu, seeds, monkeypatch):
    """A replayed CUDA graph trains what one operation after another trains."""

    def train():
        without = [()] * len(seeds)
        return recipes.train_cvaes(on_gpu, CVAE, seeds=seeds, without=without)

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that it could not be recorded
        recorded = train()
    monkeypatch.setattr(training, "replayed", lambda take, *_: take)
    for (one, *_), (other, *_) in zip(recorded, train(), strict=True):
        torch.testing.assert_close(weights(one), weights(other), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_forgetting_is_recorded(on_gpu, method):
    torch.manual_seed(0)
    original = recipes.cvae_for(on_gpu, CVAE).cuda()
    fisher = {k: torch.rand_like(p) for k, p in original.named_parameters()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config, sets = settings(method, FORGET), [{0}, {1, 2}]
        made = forget(method, original, fisher, sets, config, seeds=[0, 1], data=on_gpu)
    assert all(weights(model).isfinite().all() for model, _ in made)


def test_the_classifiers_are_recorded(lab, on_gpu):
    few = {"steps": 20, "warmup": 0, "batch_size": 64}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipes.train_judge(on_gpu, dataclasses.replace(lab.profile.judge, **few), seed=0)
        recipes.train_referee(on_gpu, dataclasses.replace(lab.profile.referee, **few), seed=0)


def test_a_step_that_cannot_be_recorded_goes_on_with_one_warning():
    from torch import nn

    model = nn.Linear(3, 1).cuda()
    x = torch.rand(8, 3, device="cuda")

    def loss():
        value = model(x).square().mean()
        float(value)  # a wait for the device, which no recording allows
        return {"loss": value}

    config = dataclasses.replace(FORGET, steps=20)
    with pytest.warns(UserWarning, match="one operation at a time") as caught:
        history = training.fit(model, loss, config, seed=0, label="waiting")
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
