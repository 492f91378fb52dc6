"""The figures of a lab, as `build/results.json` holds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ..attacks import ATTACKS
from ..checks import forget_set, words
from ..lab.lab import Lab
from ..lab.measurements import LABEL
from ..latent import geometry
from ..metrics import recognition, statistics
from ..metrics.erasure import erasure_with_interval
from ..metrics.relearning import area, steps_to
from ..training.random import eval_steps
from .matrix import Case, ForgetSet, case_words, cases
from .panel import instrument


def results(
    lab: Lab, forget_sets: Iterable[Iterable[int] | str] = ((0,), (0, 1))
) -> dict[str, Any]:
    """All figures of the lab for those forget sets, made where they are not there yet.

    "seconds" are those that a checkpoint took to make, in all its sittings, "precision" what its
    matrix products were made in; "checkpoints" names those that the figures were read from, with
    the SHA-256 of their tensors.
    """
    sets = [forget_set(forget, lab.data.classes) for forget in forget_sets]
    judge, cvae = lab.judge(), lab.cvae()
    grey, grey_entropy = recognition.grey_verdict(judge)
    about_cvae = ("test_loss", "test_bce", "test_kl", "steps", "seconds", "precision")
    asked = cases(sets, lab.data.classes)
    found = {
        "profile": lab.profile.name,
        "seed": lab.seed,
        "dataset": lab.data.name,
        "device": str(lab.device),
        "torch": torch.__version__,
        "cvae": _only(cvae.facts, *about_cvae),
        "judge": {
            **_only(judge.facts, "test_accuracy", "steps", "seconds", "precision"),
            "grey_probability": grey.tolist(),
            "grey_entropy": grey_entropy,
        },
        "panel": {kind: shares["panel"] for kind, shares in instrument(lab).items()},
        "original": lab.measure.scores(cvae).summary(),
        "fisher": _only(lab.fisher().facts, "samples", "seconds"),
        "forget": {words(forget): _forgetting(lab, forget) for forget in sets},
        "interpolation": _interpolation(lab, sets[0]),
        "latent": {words(forget): _geometry(lab, forget) for forget in sets},
        "recovery": {case_words(case): _recovery(lab, *case) for case in asked},
        "audit": {case_words(case): _audit(lab, *case) for case in asked},
    }
    return found | {"checkpoints": dict(sorted(lab.store.used.items()))}


def _forgetting(lab: Lab, forget: ForgetSet) -> dict[str, Any]:
    """Notebook 04: the verdicts on the forgotten labels, and how those kept have fared."""
    amnesiac = lab.amnesiac(forget)
    before, after = lab.measure.scores(lab.cvae()), lab.measure.scores(amnesiac)
    kept = [label for label in range(lab.data.classes) if label not in forget]
    rows = list(forget)
    return {
        "judge_probability": after.judge[rows].mean(1).tolist(),
        "judge_entropy": after.judge_entropy[rows].mean(1).tolist(),
        "panel_share": after.panel[rows].mean(1).tolist(),
        "retained_change": float(after.panel[kept].mean() - before.panel[kept].mean()),
        **_only(amnesiac.facts, "steps", "seconds", "precision"),
    }


def _interpolation(lab: Lab, forget: ForgetSet) -> dict[str, Any]:
    """Notebook 05: the mean radius of amnesia of each model."""
    trio = lab.trio(forget)
    radii = {name: float(lab.latent.radii(model, forget).mean()) for name, model in trio.items()}
    return {"forget": list(forget), "radius": radii}


def _geometry(lab: Lab, forget: ForgetSet) -> dict[str, Any]:
    """Notebook 06: purity and silhouette before and after, and each label's centroid shift, for
    both views of the encoder."""
    figures = {}
    for view, blind in (("labelled", False), ("blind", True)):
        before = lab.latent.encodings(lab.cvae(), blind=blind)
        after = lab.latent.encodings(lab.amnesiac(forget), blind=blind)
        then, now = lab.latent.geometry(before), lab.latent.geometry(after)
        shift = geometry.centroid_shift(before, after, lab.data.test_labels, lab.data.classes)
        figures[view] = {
            "purity": [float(then["purity"].mean()), float(now["purity"].mean())],
            "silhouette": [float(then["silhouette"].mean()), float(now["silhouette"].mean())],
            "centroid_shift": shift[:, 0].tolist(),
        }
    return figures


def _recovery(lab: Lab, label: int, forget: ForgetSet) -> dict[str, Any]:
    """Notebook 07: what each way of asking brings out of each model."""
    figures: dict[str, Any] = {"metric": lab.measure.perceptual.name}
    for name, model in lab.trio(forget).items():
        figures[name] = {}
        for way in (LABEL, *ATTACKS.titles()):
            seen = lab.measure.verdict(model, label, way)
            figures[name][way] = {
                "judge": float(seen.judge.mean()),
                "panel": float(seen.panel.mean()),
                "panel_interval": statistics.interval(seen.panel),
                "members": seen.members.mean(1).tolist(),
                "diversity": float(seen.diversity),
                "frechet": float(seen.frechet),
            }
    figures["real_diversity"] = float(lab.measure.diversity(lab.data.of(label, test=True)))
    return figures


def _audit(lab: Lab, label: int, forget: ForgetSet) -> dict[str, Any]:
    """Notebook 08: true nats, erasure and relearning, and the energy beside them."""
    trio = lab.trio(forget)
    nats = _nats(lab, label, forget)
    energy = {name: lab.measure.metric(m, label, "description") for name, m in trio.items()}
    value, low, high = erasure_with_interval(nats["amnesiac"], nats["original"], nats["control"])
    config = lab.profile.relearning
    at = eval_steps(config.steps, config.evaluations)
    curves = {name: lab.measure.metric(m, label, "relearning") for name, m in trio.items()}
    relearning = {}
    for i, k in enumerate(config.images):
        means = {name: curve[i].mean(0) for name, curve in curves.items()}
        relearning[str(k)] = {
            "steps": {name: steps_to(mean, at) for name, mean in means.items()},
            "area_above_control": float(area(means["amnesiac"] - means["control"], at)),
        }
    return {
        "nats": {name: float(n.mean()) for name, n in nats.items()},
        "description_length": {name: float(n.mean()) for name, n in energy.items()},
        "erasure": value,
        "interval": [low, high],
        "relearning": relearning,
    }


def erasures(lab: Lab, cases: Iterable[Case]) -> dict[str, tuple[float, float, float]]:
    """The amnesiac's erasure of each case, in true nats, and its 95 % interval over test images."""
    found = {}
    for case in cases:
        nats = _nats(lab, *case)
        found[case_words(case)] = erasure_with_interval(
            nats["amnesiac"], nats["original"], nats["control"]
        )
    return found


def _nats(lab: Lab, label: int, forget: ForgetSet) -> dict[str, Tensor]:
    """The true nats (N,) of the label's test images, by each model of the trio."""
    trio = lab.trio(forget)
    return {name: lab.measure.metric(m, label, "likelihood")[0] for name, m in trio.items()}


def table(results: dict[str, Any]) -> str:
    """The results as a text table."""
    judge, original = results["judge"], results["original"]
    shares = original["panel_share"]
    rows = {
        "profile, seed, device": f"{results['profile']}, {results['seed']}, {results['device']}",
        "matrix products of the CVAE": results["cvae"]["precision"],
        "CVAE test loss (nats per image)": f"{results['cvae']['test_loss']:.2f}",
        "judge, test accuracy": f"{judge['test_accuracy']:.2%}",
        **{f"panel, {kind}": f"{share:.1%}" for kind, share in results["panel"].items()},
        "original, panel's share of each label, mean": f"{sum(shares) / len(shares):.2%}",
        "original, panel's share of each label, worst": f"{min(shares):.2%}",
        "judge's entropy for flat grey (nats)": f"{judge['grey_entropy']:.3f}",
    }
    for name, forgotten in results["forget"].items():
        grey = [judge["grey_probability"][int(word)] for word in name.split()]
        pairs = zip(forgotten["judge_probability"], grey, strict=True)
        rows |= {
            f"forgetting {name}: judge's P (of flat grey)": ", ".join(
                f"{p:.4f} ({g:.4f})" for p, g in pairs
            ),
            f"forgetting {name}: judge's entropy": _listed(forgotten["judge_entropy"], 3),
            f"forgetting {name}: panel's share": _listed(forgotten["panel_share"], 4),
            f"forgetting {name}: kept labels' change": f"{forgotten['retained_change']:+.2%}",
        }
    for case, models in results["recovery"].items():
        audit = results["audit"][case]
        low, high = audit["interval"]
        found = (f"{models[m]['robust']['panel']:.2%}" for m in ("amnesiac", "control"))
        rows |= {
            f"attack A for {case}: panel's share, amnesiac / control": " / ".join(found),
            f"erasure of {case} (95 %)": f"{audit['erasure']:.2f} ({low:.2f} to {high:.2f})",
        }
    width = max(map(len, rows))
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows.items())


def _listed(values: Iterable[float], places: int) -> str:
    return ", ".join(f"{value:.{places}f}" for value in values)


def _only(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: facts[name] for name in names}
