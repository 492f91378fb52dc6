"""Losses that explode and memory that runs out: the step, and the last good state."""

from __future__ import annotations

import pytest
import torch

from selective_amnesia import Diverged, Lab, LabError
from selective_amnesia.storage.stage import snapshot_decoded
from selective_amnesia.training import cvae


def out_of_memory():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")


FAULTS = {
    "a loss that is NaN": (lambda bce: bce * float("nan"), Diverged, "the loss became nan"),
    "a loss that explodes": (lambda bce: bce * 1e38 * 1e38, Diverged, "the loss became inf"),
    "a GPU without memory": (lambda _: out_of_memory(), LabError, "the GPU ran out of memory"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_training_stops_with_the_step_and_the_last_good_state(
    what, lab, tmp_path, monkeypatch, times, tally
):
    if "NaN" not in what and not times(0, 1):
        pytest.skip("part of `make faults`")
    harm, error, says = FAULTS[what]
    mine = Lab.open("smoke", dataset="digits", folder=tmp_path, device="cpu")
    inner, calls = cvae.elbo_terms, []

    def terms(model, x, c):
        bce, kl = inner(model, x, c)
        calls.append(model.training)
        return (harm(bce) if sum(calls) == 26 and model.training else bce), kl

    with monkeypatch.context() as context:
        context.setattr(cvae, "elbo_terms", terms)
        with pytest.raises(error, match=f"{says} at step 26; .*snapshot, of step 20, stands") as e:
            mine.cvae()
    assert "\n" not in str(e.value)
    (snapshot,) = tmp_path.glob("checkpoints/cvae-*.partial")
    state = snapshot_decoded(snapshot.stem, snapshot.read_bytes())
    assert int(state["step"]) == 20
    assert all(v.isfinite().all() for v in state.values())
    for name, tensor in mine.cvae().state_dict().items():
        assert torch.equal(tensor, lab.cvae().state_dict()[name])
    tally(what, 1, "the last snapshot stands; 6 steps repeated")
