import pytest
import torch
from torch import nn

from selective_amnesia.config import FitConfig
from selective_amnesia.training import Batches, Diverged, fit, frame_steps, schedule


class Memory:
    """Keeps every snapshot in memory; `stop_at` plays the killer after that many."""

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


def task():
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.3), nn.Linear(6, 1))
    x = torch.randn(40, 6)
    batches = Batches(x, batch_size=CONFIG.batch_size, seed=1)

    def loss(rows, _step):
        return {"loss": (model(rows) + torch.randn(8, 1)).square().mean()}

    def watch(step):
        return {"output": model(x[:2]) + torch.randn(2, 1)}

    return model, {
        "loss": loss,
        "batches": lambda step: (*batches(step), torch.tensor(step)),
        "watch": watch,
        "watch_at": frame_steps(25, 4),
    }


def test_a_killed_run_ends_with_the_same_bits():
    undisturbed, how = task()
    history = fit(undisturbed, config=CONFIG, seed=2, label="test", **how)
    keeper = Memory(stop_at=2)
    model, how = task()
    with pytest.raises(KeyboardInterrupt):
        fit(model, config=CONFIG, seed=2, label="test", keeper=keeper, **how)
    keeper.stop_at = None
    model, how = task()
    torch.manual_seed(99)
    resumed = fit(model, config=CONFIG, seed=2, label="test", keeper=keeper, **how)
    for a, b in zip(model.parameters(), undisturbed.parameters(), strict=True):
        assert torch.equal(a, b)
    for name in history.keys() - {"seconds"}:
        assert torch.equal(history[name], resumed[name]), name


def test_history_is_closed_before_each_save():
    model, how = task()
    history = fit(model, config=CONFIG, seed=2, label="test", **how)
    assert history["step"].tolist() == [4, 8, 10, 12, 16, 20, 24, 25]


def test_watching_does_not_change_what_is_learned():
    watched, how = task()
    fit(watched, config=CONFIG, seed=2, label="test", **how)
    alone, how = task()
    fit(alone, how["loss"], CONFIG, seed=2, label="test", batches=how["batches"])
    for a, b in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a, b)


def test_fit_leaves_the_global_random_state_alone():
    model, how = task()
    before = torch.get_rng_state()
    fit(model, config=CONFIG, seed=2, label="test", **how)
    assert torch.equal(before, torch.get_rng_state())


def test_a_nan_stops_the_stage_and_says_at_which_step():
    model, how = task()
    inner = how["loss"]
    keeper = Memory()

    def loss(rows, step):
        values = inner(rows, step)
        return {"loss": values["loss"] * float("nan")} if step == 17 else values

    with pytest.raises(Diverged, match="loss became nan at step 18"):
        fit(model, config=CONFIG, seed=2, label="test", keeper=keeper, **(how | {"loss": loss}))
    assert int(keeper.state["step"]) == 10
    assert all(v.isfinite().all() for k, v in keeper.state.items() if k.startswith("model"))


def test_no_snapshot_is_taken_of_a_loss_that_is_not_finite():
    model, how = task()
    keeper = Memory()

    def loss(rows, step):
        values = how["loss"](rows, step)
        return {"loss": values["loss"] * float("inf")} if step == 9 else values

    with pytest.raises(Diverged, match="at step 10"):
        fit(model, config=CONFIG, seed=2, label="test", keeper=keeper, **(how | {"loss": loss}))
    assert keeper.state is None


def test_no_snapshot_is_taken_of_weights_that_are_not_finite():
    model, how = task()
    keeper = Memory()

    def loss(rows, step):
        values = how["loss"](rows, step)
        exploding = values["loss"] + 0 * sum(
            (p - p.detach()).abs().sqrt().sum() for p in model.parameters()
        )
        return {"loss": exploding if step == 9 else values["loss"]}

    with pytest.raises(Diverged, match="weights became NaN or infinite at step 10"):
        fit(model, config=CONFIG, seed=2, label="test", keeper=keeper, **(how | {"loss": loss}))
    assert keeper.state is None


def test_schedule_warms_up_and_falls_to_zero():
    rates = [schedule(step, CONFIG) for step in range(25)]
    assert rates[0] == pytest.approx(1e-2 / 5)
    assert rates[5] == pytest.approx(1e-2)
    assert rates[24] == pytest.approx(1e-2 / 20)
    constant = FitConfig(steps=10, batch_size=1, lr=1e-4)
    assert {schedule(step, constant) for step in range(10)} == {1e-4}


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own():
    batches = Batches(torch.arange(40), batch_size=8, seed=3)
    epochs = [torch.cat([batches(5 * e + i)[0] for i in range(5)]) for e in range(2)]
    assert all(sorted(e.tolist()) == list(range(40)) for e in epochs)
    assert not torch.equal(*epochs)
    again = Batches(torch.arange(40), batch_size=8, seed=3)
    assert torch.equal(again(7)[0], batches(7)[0])


def test_frames_begin_and_end_with_the_training():
    steps = frame_steps(1000, 40)
    assert (steps[0], steps[-1]) == (0, 1000)
    assert len(steps) <= 41
    assert frame_steps(3, 40) == (0, 1, 2, 3)
