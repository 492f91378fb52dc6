"""What forgetting does, on a CVAE of twenty pixels and four labels."""

import pytest
import torch

from selective_amnesia.config import ForgetConfig
from selective_amnesia.forgetting import forget, title, version

CONFIG = {"batch_size": 32, "lr": 1e-2}


def made(model, fisher=None, labels=(2,), *, steps=20, seed=0, **how):
    if fisher is None:
        fisher = {k: torch.zeros_like(p) for k, p in model.named_parameters()}
    config = ForgetConfig(steps=steps, **CONFIG)
    return forget("selective_amnesia", model, fisher, labels, config, seed=seed, **how)


def test_the_original_stays_as_it_was_and_no_run_sees_another(small_cvae):
    before = {k: v.clone() for k, v in small_cvae.state_dict().items()}
    alone, _ = made(small_cvae, labels=(1, 2))
    made(small_cvae, labels=(0,), seed=1)
    again, _ = made(small_cvae, labels=(1, 2))
    for name, tensor in small_cvae.state_dict().items():
        assert torch.equal(before[name], tensor)
        assert torch.equal(alone.state_dict()[name], again.state_dict()[name])
    assert all(p.requires_grad and p.grad is None for p in small_cvae.parameters())
    assert not torch.equal(before["decoder.0.weight"], alone.decoder[0].weight)


def test_a_forgotten_label_decodes_to_grey_and_the_kept_ones_stay(small_cvae):
    with torch.no_grad():
        small_cvae.decoder[-1].bias.copy_(3 * torch.randn(20))
    z, labels = torch.randn(50, 3), torch.eye(4)
    model, history = made(small_cvae, steps=350, frames_z=z[:2])

    def decoded(who, label):
        return who.decode(z, labels[label].expand(50, -1))

    assert (decoded(model, 2) - 0.5).abs().mean() < 0.06
    for kept in (0, 1, 3):
        assert (decoded(model, kept) - decoded(small_cvae, kept)).abs().mean() < 0.06
    assert history["forget"][-1] < history["forget"][0]
    torch.testing.assert_close(
        history["loss"], 32 * (history["forget"] + history["replay"]), rtol=1e-4, atol=1e-2
    )
    assert history["frames"].shape[1:] == (4, 2, 20)


def test_ewc_holds_what_fisher_protects(small_cvae):
    fisher = {k: torch.zeros_like(p) for k, p in small_cvae.named_parameters()}
    fisher["decoder.0.weight"] += 1e6
    model, _ = made(small_cvae, fisher)
    moved = {
        k: float((p - q).detach().abs().max())
        for (k, p), q in zip(model.named_parameters(), small_cvae.parameters(), strict=True)
    }
    assert moved["decoder.0.weight"] < 0.2 * moved["decoder.4.weight"]


def test_a_label_forgotten_before_is_neither_forgotten_nor_rehearsed(small_cvae):
    with pytest.raises(ValueError, match="nothing would be left to keep"):
        made(small_cvae, labels=(3,), forgotten={0, 1, 2})
    without = [made(small_cvae, forgotten=before)[0].decoder[0].weight for before in ((), (0,))]
    assert not torch.equal(*without)


def test_rows_of_tables_have_titles_and_methods_versions():
    assert title("retrain") == "retrain (the control)"
    assert title("salun") == "SalUn"
    assert title("something_else") == "something else"
    assert version("selective_amnesia") == "1-1"
