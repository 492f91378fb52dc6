"""The figures of a lab, as `build/results.json` holds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from . import evaluation, latent
from .audit import area, erasure_with_interval, steps_to
from .config import forget_set
from .lab import Lab
from .recovery import METHODS
from .training import frame_steps

__all__ = ["ROWS", "cases", "erasures", "matrix", "results"]

ForgetSet = tuple[int, ...]


def results(lab: Lab, forget_sets: Iterable[Iterable[int] | str] = ((0,), (0, 1))) -> dict:
    """All figures of the lab for those forget sets, made where they are not there yet.

    "seconds" are those that a checkpoint took to make, in all its sittings; "checkpoints" names
    those that the figures were read from, with the SHA-256 of their tensors.
    """
    sets = [forget_set(forget, lab.classes) for forget in forget_sets]
    if not sets:
        raise ValueError("there are no forget sets: name at least one")
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
        "recovery": {_case(d, forget): _recovery(lab, d, forget) for d, forget in cases(sets)},
        "audit": {_case(d, forget): _audit(lab, d, forget) for d, forget in cases(sets)},
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


def _recovery(lab: Lab, digit: int, forget: ForgetSet) -> dict[str, Any]:
    """Notebook 07: what each way of asking brings out of each model."""
    figures: dict[str, Any] = {"metric": lab.metric.name}
    for name, model in lab.trio(forget).items():
        figures[name] = {}
        for method in ("label", *METHODS):
            seen = lab.verdict(model, digit, method)
            figures[name][method] = {
                "judge": float(seen.judge.mean()),
                "referee": float(seen.referee.mean()),
                "referee_interval": evaluation.interval(seen.referee),
                "taken": float(seen.taken.float().mean()),
                "diversity": float(seen.diversity),
                "frechet": float(seen.frechet),
            }
    figures["real_diversity"] = float(lab.diversity(lab.real(digit, test=True)))
    return figures


def _audit(lab: Lab, digit: int, forget: ForgetSet) -> dict[str, Any]:
    """Notebook 07: description length, erasure and relearning."""
    trio = lab.trio(forget)
    nats = {name: lab.description_length(model, digit) for name, model in trio.items()}
    value, low, high = erasure_with_interval(nats["amnesiac"], nats["original"], nats["control"])
    config = lab.profile.relearning
    watched = frame_steps(config.steps, config.looks)
    curves = {name: lab.relearning(model, digit) for name, model in trio.items()}
    relearning = {}
    for i, k in enumerate(config.images):
        means = {name: curve[i].mean(0) for name, curve in curves.items()}
        relearning[str(k)] = {
            "steps": {name: steps_to(mean, watched) for name, mean in means.items()},
            "area_above_control": float(area(means["amnesiac"] - means["control"], watched)),
        }
    return {
        "description_length": {name: float(n.mean()) for name, n in nats.items()},
        "erasure": value,
        "interval": [low, high],
        "relearning": relearning,
    }


# --- the evaluation matrix -----------------------------------------------------------------------

ROWS = {
    "original": ("original", "label"),
    "amnesiac": ("amnesiac", "label"),
    "amnesiac, recovery A": ("amnesiac", "a"),
    "amnesiac, recovery B": ("amnesiac", "b"),
    "control": ("control", "label"),
    "control, recovery A": ("control", "a"),
    "control, recovery B": ("control", "b"),
}


def cases(forget_sets: Iterable[Iterable[int] | str]) -> list[tuple[int, ForgetSet]]:
    """Each forgotten digit with the set that it was forgotten in."""
    return [(d, s) for s in (forget_set(f) for f in forget_sets) for d in s]


def matrix(lab: Lab, cases: Iterable[tuple[int, ForgetSet]]) -> dict[str, dict[str, list[float]]]:
    """The evaluation matrix: "referee" and "judge", each a row of mean P(digit) for each model
    and way of asking, one column for each (digit, forget set)."""
    cases = list(cases)
    sets = list(dict.fromkeys(forget for _, forget in cases))
    lab.amnesiacs(sets)
    lab.controls(sets)
    tables: dict[str, dict[str, list[float]]] = {"referee": {}, "judge": {}}
    for digit, forget in cases:
        trio = lab.trio(forget)
        for row, (name, method) in ROWS.items():
            seen = lab.verdict(trio[name], digit, method)
            for who, table in tables.items():
                table.setdefault(row, []).append(float(getattr(seen, who).mean()))
    return tables


def erasures(
    lab: Lab, cases: Iterable[tuple[int, ForgetSet]]
) -> dict[str, tuple[float, float, float]]:
    """The amnesiac's erasure of each case, and its 95 % interval over test images."""
    found = {}
    for digit, forget in cases:
        trio = lab.trio(forget)
        nats = [lab.description_length(trio[m], digit) for m in ("amnesiac", "original", "control")]
        found[_case(digit, forget)] = erasure_with_interval(*nats)
    return found


def _case(digit: int, forget: ForgetSet) -> str:
    return str(digit) if forget == (digit,) else f"{digit} of {_words(forget)}"


def _words(forget: ForgetSet) -> str:
    return " ".join(map(str, forget))


def _only(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: facts[name] for name in names}
