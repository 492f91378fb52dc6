import dataclasses

import pytest
import torch
from torch import nn

from selective_amnesia.config import FitConfig
from selective_amnesia.errors import Diverged, LabError
from selective_amnesia.training import loop
from selective_amnesia.training.loop import fast_in_bfloat16, fit, precision, schedule
from selective_amnesia.training.random import Batches, eval_steps


class Memory:
    """Keeps the last snapshot in memory; `stop_at` plays the kill after so many."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.state, self.saves, self.stop_at = None, 0, stop_at

    def load(self):
        return self.state

    def save(self, state):
        self.state = {k: v.clone() for k, v in state.items()}
        self.saves += 1
        if self.saves == self.stop_at:
            raise KeyboardInterrupt


CONFIG = FitConfig(steps=25, batch_size=8, lr=1e-2, warmup=5, decay=0.8, log_every=4, save_every=10)


def training(change=lambda values, step, model: values, **how):
    """A model with dropout, trained on noisy targets; `change` alters the loss of a step."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.3), nn.Linear(6, 1))
    x = torch.randn(40, 6)
    batches = Batches(x, batch_size=8, seed=1)

    def loss(rows, step):
        values = {"loss": (model(rows) + torch.randn(8, 1)).square().mean()}
        return change(values, int(step), model)

    torch.manual_seed(99)  # which no result may depend on
    usual = {
        "batches": lambda step: (*batches(step), torch.tensor(step)),
        "eval_fn": lambda: {"output": model(x[:2]) + torch.randn(2, 1)},
        "eval_at": eval_steps(25, 4),
    }
    return model, fit(model, loss, CONFIG, seed=2, label="test", **usual | how)


def same(one, other):
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("stop_at", [1, 2])
def test_a_killed_run_ends_with_the_same_bits(stop_at):
    undisturbed, history = training()
    snapshots = Memory(stop_at)
    with pytest.raises(KeyboardInterrupt):
        training(snapshots=snapshots)
    resumed, again = training(snapshots=snapshots)
    assert same(resumed, undisturbed)
    assert history.keys() == again.keys()
    for name in history.keys() - {"seconds"}:
        assert torch.equal(history[name], again[name]), name
    assert history["step"].tolist() == [4, 8, 10, 12, 16, 20, 24, 25]  # closed at each save


def test_evaluation_changes_nothing_that_is_learned():
    assert same(training()[0], training(eval_fn=None)[0])


def test_fit_leaves_the_global_random_state_alone():
    before = torch.Generator().manual_seed(99).get_state()
    training()
    assert torch.equal(before, torch.get_rng_state())


def infinite_loss(values, step, _model):
    return {"loss": values["loss"] * float("inf")} if step == 9 else values


def infinite_gradient(values, step, model):
    roots = sum((p - p.detach()).abs().sqrt().sum() for p in model.parameters())
    return {"loss": values["loss"] + 0 * roots} if step == 9 else values


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (infinite_loss, "the loss became inf at step 10"),
        (infinite_gradient, "weights became NaN or infinite at step 10"),
    ],
)
def test_no_snapshot_is_taken_of_what_is_not_finite(change, says):
    snapshots = Memory()
    with pytest.raises(Diverged, match=f"{says}; .* no snapshot was taken"):
        training(change, snapshots=snapshots)
    assert snapshots.state is None


def test_a_full_gpu_is_named_and_the_snapshot_stands():
    def full(values, step, _model):
        if step == 12:
            raise torch.OutOfMemoryError("no memory")
        return values

    with pytest.raises(LabError, match=r"ran out of memory at step 13; .* of step 10, stands"):
        training(full, snapshots=Memory())


def test_the_rate_warms_up_and_falls_to_zero():
    rates = [schedule(step, CONFIG) for step in range(25)]
    assert [rates[i] for i in (0, 5, 24)] == pytest.approx([1e-2 / 5, 1e-2, 1e-2 / 20])
    constant = FitConfig(steps=10, batch_size=1, lr=1e-4)
    assert {schedule(step, constant) for step in range(10)} == {1e-4}


def test_the_rate_drops_as_torchs_step_schedule():
    config = FitConfig(steps=10, batch_size=1, lr=0.3, drop_every=3)
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    steps = torch.optim.lr_scheduler.StepLR(optimiser, step_size=3, gamma=0.1)
    for step in range(10):
        assert schedule(step, config) == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        steps.step()


@pytest.mark.parametrize(("last", "sizes"), [(False, [8] * 5), (True, [8] * 5 + [3])])
def test_an_epoch_shows_an_image_once_in_an_order_of_its_own(last, sizes):
    batches = Batches(torch.arange(43), batch_size=8, seed=3, last=last)
    steps = len(sizes)
    epochs = [[batches(steps * e + i)[0] for i in range(steps)] for e in range(2)]
    assert [list(map(len, epoch)) for epoch in epochs] == [sizes] * 2
    first, second = (torch.cat(epoch) for epoch in epochs)
    assert len(first.unique()) == len(second.unique()) == sum(sizes)
    assert not torch.equal(first, second)
    again = Batches(torch.arange(43), batch_size=8, seed=3, last=last)
    assert torch.equal(again(steps + 1)[0], batches(steps + 1)[0])


@pytest.mark.parametrize(("asked", "fast"), [(True, True), (True, False), (False, True)])
def test_products_are_of_bfloat16_where_asked_for_and_fast(monkeypatch, asked, fast):
    monkeypatch.setattr(loop, "fast_in_bfloat16", lambda _device: fast)
    config = dataclasses.replace(CONFIG, steps=6, bfloat16=asked)
    layer, seen = nn.Linear(2, 2), set()

    def loss():
        out = layer(torch.ones(3, 2))
        seen.add(out.dtype)
        return {"loss": out.float().square().mean()}

    fit(layer, loss, config, seed=0, label="test")
    wanted = "bfloat16" if asked and fast else "float32"
    assert precision(config, torch.device("cpu")) == wanted
    assert seen == {getattr(torch, wanted)}
    assert layer.weight.dtype == torch.float32


@pytest.mark.parametrize(("half", "faster"), [(0.5, True), (0.9, False), (2.0, False)])
def test_a_processor_is_asked_how_fast_its_bfloat16_is(monkeypatch, half, faster):
    """Some multiply such numbers at half the speed of float32."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    took = {torch.bfloat16: half, torch.float32: 1.0}
    monkeypatch.setattr(loop, "_product_seconds", took.get)
    assert fast_in_bfloat16.__wrapped__(torch.device("cpu")) == faster
