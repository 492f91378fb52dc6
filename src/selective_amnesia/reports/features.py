"""What an auditor may look at in a model that claims to have forgotten a label, by access:

    samples    what it generates under the label and under the others
    decoder    its weights are at hand: true nats, attacks, relearning, every other metric
    weights    the encoder as well
    original   the original is at hand to compare with

Each access sees what those before it see. A feature's name begins with its access. Attacks and
metrics are plug-ins: those of a reader's own are among the features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..attacks import ATTACKS
from ..lab.lab import Lab
from ..lab.measurements import LABEL
from ..latent.encodings import encodings
from ..latent.geometry import purity
from ..metrics import METRICS
from ..metrics.distinguish import ACCESS
from ..metrics.recognition import entropy
from ..metrics.relearning import area
from ..models.classifiers import probabilities
from ..models.cvae import one_hot
from ..models.elbo import elbo_terms
from ..training.random import eval_steps

NAMED = ("likelihood", "kept", "relearning")  # metrics whose features have names of their own
SAMPLES = 100  # of each kept label
ENCODED = 300  # images of each label
QUERIES = (1, 10, 100, 1000)  # images that are asked for under the label


def of_plugins() -> list[str]:
    """The features that come with the attacks and metrics that are here."""
    attacks = (
        f"attack {t}, {who}" for t in ATTACKS.titles().values() for who in ("panel", "judge")
    )
    return [f"decoder: {name}" for name in (*attacks, *_others().values())]


def _others() -> dict[str, str]:
    """The metrics that are features by their mean, and their titles."""
    return {name: METRICS.title(name) for name in METRICS if name not in NAMED}


def access(feature: str) -> str:
    """Which access a feature needs."""
    return feature.partition(": ")[0]


def is_feature(column: str) -> bool:
    """Whether a column of the record is one: others say which model it is, and what a figure is
    worth."""
    return access(column) in ACCESS and ": " in column


def measures(lab: Lab) -> Lab:
    """The lab with fewer images and steps for each model: there are many of them."""
    profile = lab.profile
    fewer = replace(
        profile,
        description=_at_most(profile.description, images=40, steps=100),
        relearning=_at_most(profile.relearning, draws=2, samples=50, evaluations=10),
        evaluation=_at_most(profile.evaluation, samples=300),
    )
    brief = Lab(fewer, lab.seed, lab.data.name, lab.store, lab.device)
    vars(brief).update(data=lab.data, panel=lab.panel)
    vars(brief.measure).update(perceptual=lab.measure.perceptual)
    return brief


def _at_most(config: Any, **most: int) -> Any:
    return replace(config, **{name: min(n, getattr(config, name)) for name, n in most.items()})


def features(
    lab: Lab, model: Any, label: int, forget: tuple[int, ...], original: Any, draw: int = 0
) -> dict[str, float]:
    """The features of a model for a label that it has forgotten, and how exact its nats are.

    Args:
        lab: whose judge and panel look at it; `measures` makes one that is quick.
        model: anything with the decoder's interface and weights; what it has no encoder for, or
            what cannot be compared with the original, is left out.
        original: what it was made from, or would have been.
        draw: of the attacks' codes.
    """
    found = {
        "samples": _under_the_label(lab, model, label) | _under_the_others(lab, model, forget),
        "decoder": _by_gradient(lab, model, label, forget, draw),
        "weights": _by_encoder(lab, model, label) if hasattr(model, "encode") else {},
        "original": _moved(lab, model, original, forget),
    }
    named = {f"{of}: {name}": value for of, each in found.items() for name, value in each.items()}
    more = _queries(lab, model, label) | _errors(lab, model, label, forget, original)
    return {name: float(value) for name, value in (named | more).items()}


def _under_the_label(lab: Lab, model: Any, label: int) -> dict[str, Tensor]:
    seen = lab.measure.verdict(model, label, LABEL)
    judged = probabilities(lab.judge(), lab.measure.images(model, label))
    return {
        "label, panel": seen.panel.mean(),
        "label, judge": seen.judge.mean(),
        "label, entropy": entropy(judged).mean(),
        "label, diversity": seen.diversity,
        "label, distance": seen.frechet,
    }


def _under_the_others(lab: Lab, model: Any, forget: tuple[int, ...]) -> dict[str, Tensor]:
    kept = _kept(lab, forget)
    images = lab.measure.samples(model, SAMPLES)[kept]
    asked = torch.tensor(kept, device=images.device)[:, None]
    judged = probabilities(lab.judge(), images)
    return {
        "kept, panel": lab.panel.shows(images).eq(asked).float().mean(),
        "kept, judge": judged.gather(2, asked[..., None].expand(-1, SAMPLES, 1)).mean(),
    }


def _by_gradient(
    lab: Lab, model: Any, label: int, forget: tuple[int, ...], draw: int
) -> dict[str, Tensor]:
    measure, relearning = lab.measure, lab.profile.relearning
    found = {
        "nats": measure.metric(model, label, "likelihood", forget)[0].mean(),
        "kept nats": measure.metric(model, label, "kept", forget).mean(),
    }
    for name, title in ATTACKS.titles().items():
        seen = measure.verdict(model, label, name, draw=draw)
        found |= {f"attack {title}, panel": seen.panel.mean()}
        found |= {f"attack {title}, judge": seen.judge.mean()}
    curves = measure.metric(model, label, "relearning", forget)
    at = eval_steps(relearning.steps, relearning.evaluations)
    for k, each in zip(relearning.images, curves, strict=True):
        found[f"relearning from {k}"] = area(each.mean(0), at)
    for name, title in _others().items():
        found[title] = measure.metric(model, label, name, forget).float().mean()
    return found


def _by_encoder(lab: Lab, model: Any, label: int) -> dict[str, Tensor]:
    """The KL term of the label's images, and the share of its neighbours that an image's code,
    label withheld, has of its own label."""
    classes = lab.data.classes
    images = [lab.data.third(k, "evaluate", ENCODED) for k in range(classes)]
    x = images[label]
    with torch.no_grad():
        kl = elbo_terms(model, x, one_hot(label, classes, lab.device).expand(len(x), -1))[1]
    labels = torch.arange(classes).repeat_interleave(torch.tensor([len(i) for i in images]))
    codes = encodings(model, torch.cat(images), labels.to(lab.device), blind=True)
    near = purity(codes, labels, lab.profile.visualisation.purity_neighbours)
    return {"encoder, KL": kl.mean(), "encoder, recognised": near[labels == label].mean()}


def _moved(lab: Lab, model: Any, original: Any, forget: tuple[int, ...]) -> dict[str, Tensor]:
    """How far the decoder's weights, by the norm of the original's, and the images of the kept
    labels have moved from the original's."""
    kept = _kept(lab, forget)
    now, then = (lab.measure.samples(m, SAMPLES)[kept] for m in (model, original))
    found = {"moved images": (now - then).abs().mean()}
    weights, old = ([p.detach() for p in _decoder(m)] for m in (model, original))
    if [p.shape for p in weights] == [p.shape for p in old]:
        new, first = (torch.cat([p.flatten() for p in each]) for each in (weights, old))
        found["moved weights"] = (new - first).norm() / first.norm()
    return found


def _decoder(model: Any) -> Iterable[Tensor]:
    return getattr(model, "decoder", model).parameters()  # type: ignore[no-any-return]


def _queries(lab: Lab, model: Any, label: int) -> dict[str, Tensor]:
    """The judge's mean probability of the label over the first images under it."""
    c = one_hot([label], lab.data.classes, lab.device).expand(QUERIES[-1], -1)
    with torch.no_grad():
        z = lab.latent.codes(QUERIES[-1])
        judged = probabilities(lab.judge(), model.decode(z, c))[:, label]
    return {f"judge over {n}": judged[:n].mean() for n in QUERIES}


def _errors(
    lab: Lab, model: Any, label: int, forget: tuple[int, ...], original: Any
) -> dict[str, Tensor]:
    """The standard errors over images of the nats, and of nats and kept nats above the
    original's."""
    now, then = (
        {
            "nats": lab.measure.metric(m, label, "likelihood", forget)[0],
            "kept nats": lab.measure.metric(m, label, "kept", forget).flatten(),
        }
        for m in (model, original)
    )
    more = {f"error of {name} moved": _error(now[name] - then[name]) for name in now}
    return {"error of nats": _error(now["nats"])} | more


def _error(values: Tensor) -> Tensor:
    error: Tensor = values.std() / len(values) ** 0.5
    return error


def _kept(lab: Lab, forget: tuple[int, ...]) -> list[int]:
    return [k for k in range(lab.data.classes) if k not in forget]
