"""The figures of a lab, as `build/results.json` holds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from . import evaluation, latent
from .config import forget_set
from .lab import Lab

__all__ = ["results"]

ForgetSet = tuple[int, ...]


def results(lab: Lab, forget_sets: Iterable[Iterable[int] | str] = ((0,), (0, 1))) -> dict:
    """All figures of the lab for those forget sets, made where they are not there yet.

    "seconds" are those that a checkpoint took to make, in all its sittings; "checkpoints" names
    those that the figures were read from, with the SHA-256 of their tensors.
    """
    sets = [forget_set(forget, lab.classes) for forget in forget_sets]
    judge, referee, cvae = lab.judge(), lab.referee(), lab.cvae()
    grey, grey_entropy = evaluation.grey_verdict(judge)
    found = {
        "profile": lab.profile.name,
        "seed": lab.seed,
        "dataset": lab.dataset,
        "device": str(lab.device),
        "torch": torch.__version__,
        "cvae": _only(cvae.facts, "test_loss", "test_bce", "test_kl", "steps", "seconds"),
        "judge": {
            **_only(judge.facts, "test_accuracy", "steps", "seconds"),
            "grey_probability": grey.tolist(),
            "grey_entropy": grey_entropy,
        },
        "referee": _only(referee.facts, *REFEREE_FIGURES),
        "original": lab.scores(cvae).summary(),
        "fisher": _only(lab.fisher_facts(), "samples", "seconds"),
        "forget": {_words(forget): _forgetting(lab, forget) for forget in sets},
        "interpolation": _interpolation(lab, sets[0]),
        "latent": {_words(forget): _geometry(lab, forget) for forget in sets},
        "explorer": _explorer(lab, sets[0]),
    }
    return found | {"checkpoints": dict(sorted(lab.used.items()))}


REFEREE_FIGURES = (
    "test_accuracy",
    "soiled_accuracy",
    "noise_rejected",
    "grey_rejected",
    "blank_rejected",
    "blends_rejected",
    "digits_kept",
    "steps",
    "seconds",
)


def _forgetting(lab: Lab, forget: ForgetSet) -> dict[str, Any]:
    """Notebook 04: the verdicts on the forgotten digits, and how those kept have fared."""
    amnesiac = lab.amnesiac(forget)
    before, after = lab.scores(lab.cvae()), lab.scores(amnesiac)
    kept = [digit for digit in range(lab.classes) if digit not in forget]
    rows = list(forget)
    return {
        "judge_probability": after.judge[rows].mean(1).tolist(),
        "judge_entropy": after.judge_entropy[rows].mean(1).tolist(),
        "referee_probability": after.referee[rows].mean(1).tolist(),
        "retained_change": float(after.referee[kept].mean() - before.referee[kept].mean()),
        **_only(amnesiac.facts, "steps", "seconds"),
    }


def _interpolation(lab: Lab, forget: ForgetSet) -> dict[str, Any]:
    """Notebook 05: the mean radius of amnesia of each model."""
    trio = lab.trio(forget)
    radii = {name: float(lab.radii(model, forget).mean()) for name, model in trio.items()}
    return {"forget": list(forget), "radius": radii}


def _explorer(lab: Lab, forget: ForgetSet) -> dict[str, float]:
    """Notebook 05: the explorer's times."""
    times = lab.explorer_times(forget)
    return {f"p{q}_ms": float(times.quantile(q / 100)) for q in (50, 95)}


def _geometry(lab: Lab, forget: ForgetSet) -> dict[str, Any]:
    """Notebook 06: purity and silhouette before and after, and each digit's centroid shift, for
    both views of the encoder."""
    figures = {}
    for view, blind in (("labelled", False), ("blind", True)):
        before = lab.encodings(lab.cvae(), blind=blind)
        after = lab.encodings(lab.amnesiac(forget), blind=blind)
        then, now = lab.geometry(before), lab.geometry(after)
        shift = latent.centroid_shift(before, after, lab.data.test_labels, lab.classes)
        figures[view] = {
            "purity": [float(then["purity"].mean()), float(now["purity"].mean())],
            "silhouette": [float(then["silhouette"].mean()), float(now["silhouette"].mean())],
            "centroid_shift": shift[:, 0].tolist(),
        }
    return figures


def _words(forget: ForgetSet) -> str:
    return " ".join(map(str, forget))


def _only(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: facts[name] for name in names}
