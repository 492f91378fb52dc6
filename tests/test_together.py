"""Many models at once are the models that each would have been alone."""

import dataclasses

import pytest
import torch

from selective_amnesia import Lab, recipes, stages, training
from selective_amnesia.checkpoint import Snapshot
from selective_amnesia.config import CVAEConfig, ForgetConfig
from selective_amnesia.forgetting import METHODS, forget, settings
from selective_amnesia.models import stack, unstack

CVAE = CVAEConfig(steps=25, batch_size=32, lr=2e-3, warmup=5, hidden=(32, 16), frames=2)
FORGET = ForgetConfig(steps=15, batch_size=32, lr=2e-3, frames=2)
QUICK = {"calibrated_amnesia": {"attackers": 3, "images": 4, "bank": 8, "level_steps": 5}}
SETS = [(0,), (1, 7), (2, 3, 4)]


def close(one, other):
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(tensor, other.state_dict()[name], rtol=1e-3, atol=2e-5)


def same(one, other):
    return all(torch.equal(t, other.state_dict()[k]) for k, t in one.state_dict().items())


def alike(one, other):
    assert one.keys() == other.keys()
    for name in one.keys() - {"seconds", "frames"}:
        torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-4)
    assert (one["frames"].int() - other["frames"].int()).abs().max() <= 1


def test_cvaes_are_what_each_is_alone(digits):
    config, seeds, without = (
        dataclasses.replace(CVAE, kl_warmup=10),
        [3, 5, 8],
        [(), (1,), (4, 6)],
    )
    codes = [torch.randn(2, 8) for _ in seeds]
    together = recipes.train_cvaes(digits, config, seeds=seeds, without=without, frames_z=codes)
    for m, (model, history, metrics) in enumerate(together):
        own = {"seeds": seeds[m : m + 1], "without": without[m : m + 1]}
        [(alone, own, facts)] = recipes.train_cvaes(
            digits, config, **own, frames_z=codes[m : m + 1]
        )
        close(model, alone)
        alike(history, own)
        assert metrics == pytest.approx(facts, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_amnesiacs_are_what_each_is_alone(small_digit_cvae, digits, method):
    fisher = {k: torch.rand_like(p) for k, p in small_digit_cvae.named_parameters()}
    config = settings(method, FORGET, **QUICK.get(method, {}))
    how = {"data": digits, "frames_z": torch.randn(2, 8)}
    together = forget(method, small_digit_cvae, fisher, SETS, config, seeds=[3, 5, 8], **how)
    for m, (model, history) in enumerate(together):
        one = {"forget_sets": SETS[m : m + 1], "seeds": [[3, 5, 8][m]]}
        [(alone, own)] = forget(method, small_digit_cvae, fisher, config=config, **one, **how)
        close(model, alone)
        alike(history, own)


@pytest.fixture
def small_digit_cvae(digits):
    torch.manual_seed(0)
    return recipes.cvae_for(digits, CVAE)


def test_a_stack_comes_apart_as_it_was(digits):
    models = [recipes.cvae_for(digits, CVAE) for _ in range(3)]
    together = stack(models)
    z, c = torch.randn(3, 4, 8), torch.rand(3, 4, 10)
    painted = together.decode(z, c)
    for m, model in enumerate(unstack(together, models)):
        assert same(model, models[m])
        torch.testing.assert_close(painted[m], models[m].decode(z[m], c[m]))


def test_streams_draw_what_each_would_draw_alone():
    with training.Streams([1, 2], torch.device("cpu")):
        drawn = [torch.rand(2, 3), torch.randn(2, 3, 4), torch.randint(9, (2, 5))]
        like, even = torch.randn_like(torch.empty(2, 7)), torch.rand_like(torch.empty(2, 3))
    for m, seed in enumerate([1, 2]):
        generator = torch.Generator().manual_seed(seed)
        assert torch.equal(drawn[0][m], torch.rand(3, generator=generator))
        assert torch.equal(drawn[1][m], torch.randn(3, 4, generator=generator))
        assert torch.equal(drawn[2][m], torch.randint(9, (5,), generator=generator))
        assert torch.equal(like[m], torch.randn(7, generator=generator))
        assert torch.equal(even[m], torch.rand(3, generator=generator))


def test_a_killed_run_of_many_goes_on_and_makes_no_finished_one_again(lab, monkeypatch):
    monkeypatch.setitem(stages.AT_ONCE, "cpu", 3)
    sets = [{3}, {5}, {6}]
    undisturbed = type(lab).open("smoke", 0, "digits", lab.folder / "other", "cpu").controls(sets)
    save, saves = Snapshot.save, []

    def killed(keeper, state):
        save(keeper, state)
        saves.append(int(state["step"]))
        if len(saves) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Snapshot, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        lab.controls(sets)
    resumed = lab.controls(sets)
    assert saves == [20, 40]
    assert not list((lab.folder / "checkpoints").glob("*.partial"))
    for one, other in zip(undisturbed, resumed, strict=True):
        assert same(one, other)


@pytest.fixture
def made(monkeypatch):
    """How many CVAEs each run trained."""
    counts, train = [], recipes.train_cvaes

    def counted(*args, **kwargs):
        counts.append(len(kwargs["seeds"]))
        return train(*args, **kwargs)

    monkeypatch.setattr(recipes, "train_cvaes", counted)
    return counts


def test_more_than_pay_at_once_are_made_in_several_runs(tmp_path, made, monkeypatch):
    lab = Lab.open("smoke", 0, "digits", tmp_path, "cpu")
    monkeypatch.setitem(stages.AT_ONCE, "cpu", 2)
    lab.controls([{0, 1}, {0, 2}, {0, 3}])
    lab.controls([{0, 1}, {0, 2}, {0, 4}])
    assert made == [2, 1, 1]


def test_what_a_finished_stage_left_behind_is_not_counted_twice(lab, made, monkeypatch):
    """A kill can leave a finished stage with its last snapshot beside it."""
    finished = lab.control({4, 5})
    (lab.folder / "checkpoints" / f"{finished.facts['name']}.partial").write_bytes(b"left behind")
    monkeypatch.setitem(stages.AT_ONCE, "cpu", 3)
    lab.controls([{4, 5}, {4, 6}, {4, 7}])
    assert made == [1, 2]


def killed_at(step, monkeypatch):
    """From now on a run dies once it has saved that step."""
    save = Snapshot.save

    def killed(keeper, state):
        save(keeper, state)
        if int(state["step"]) == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(Snapshot, "save", killed)
    return lambda: monkeypatch.setattr(Snapshot, "save", save)


def left(lab):
    return sorted(p.name for p in (lab.folder / "checkpoints").glob("*.partial"))


def test_a_killed_run_goes_on_in_another_list(tmp_path, made, monkeypatch):
    lab = Lab.open("smoke", 0, "digits", tmp_path, "cpu")
    monkeypatch.setitem(stages.AT_ONCE, "cpu", 2)
    lab.controls([{0}, {1}])
    live = killed_at(40, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        lab.controls([{0}, {1}, {2}, {3}])
    live()
    (run,) = left(lab)
    first = made.copy()
    two, three = lab.controls([{2}, {3}])
    assert run.startswith("together-")
    assert made == [*first, 2]
    assert (two.facts["forget"], three.facts["forget"]) == ([2], [3])
    assert left(lab) == []


def test_a_set_named_twice_is_made_once(tmp_path, made):
    lab = Lab.open("smoke", 0, "digits", tmp_path, "cpu")
    one, other = lab.controls([{0}, {0}])
    assert made == [1]
    assert same(one, other)


def test_one_that_was_begun_alone_goes_on_alone(tmp_path, made, monkeypatch):
    lab = Lab.open("smoke", 0, "digits", tmp_path, "cpu")
    live = killed_at(40, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        lab.control({7})
    live()
    monkeypatch.setitem(stages.AT_ONCE, "cpu", 3)
    lab.controls([{7}, {8}, {9}])
    assert made == [1, 2, 1]
    assert left(lab) == []


def test_what_fails_together_is_made_one_by_one(tmp_path, made, monkeypatch, capsys):
    lab = Lab.open("smoke", 0, "digits", tmp_path, "cpu")
    monkeypatch.setitem(stages.AT_ONCE, "cpu", 3)
    train = recipes.train_cvaes

    def fails(*args, **kwargs):
        if len(kwargs["seeds"]) > 1:
            raise training.Diverged("the loss became nan.")
        return train(*args, **kwargs)

    monkeypatch.setattr(recipes, "train_cvaes", fails)
    assert len(lab.controls([{7}, {8}])) == 2
    assert "the loss became nan. They are made one by one instead." in capsys.readouterr().out
    assert made == [1, 1]


def test_the_snapshot_of_a_run_whose_stages_are_finished_goes(tmp_path, monkeypatch):
    lab = Lab.open("smoke", 0, "digits", tmp_path, "cpu")
    monkeypatch.setitem(stages.AT_ONCE, "cpu", 2)
    monkeypatch.setattr(Snapshot, "drop", lambda _keeper: None)
    lab.controls([{7}, {8}])
    assert left(lab)
    monkeypatch.undo()
    monkeypatch.setitem(stages.AT_ONCE, "cpu", 2)
    lab.controls([{7}, {8}])
    assert left(lab) == []


def test_streams_take_every_form_and_refuse_what_they_cannot_split():
    def drawn():
        yield torch.rand((2, 3))
        yield torch.randn(size=(2, 3))
        yield torch.rand(torch.Size([2, 3]))
        yield torch.randint(4, 9, (2, 3))
        yield torch.randint(9, size=(2, 3))
        yield torch.randn_like(torch.empty(2, 3, dtype=torch.float64))

    with training.Streams([1, 1], torch.device("cpu")):
        for x in drawn():
            assert x.shape == (2, 3)
            assert torch.equal(x[0], x[1])
        assert x.dtype == torch.float64
        alone = torch.rand(5, generator=torch.Generator().manual_seed(3))
        assert torch.equal(alone, torch.rand(5, generator=torch.Generator().manual_seed(3)))
        with pytest.raises(ValueError, match="for 2 models: give the number of models"):
            torch.rand(5)
