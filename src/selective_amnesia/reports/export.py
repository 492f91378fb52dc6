"""Trained models for others: folders for the Hugging Face Hub, and what page and notebook 00 read.

`build/export/SET/MODEL/` is the whole model with its card. `web/models/SET/` is what a browser
needs, a few megabytes: decoders, judge and the panel's quick member, their weights in float16, and
`about.json`, which says how they were made and what was measured. SET is the forget set, as `0` or
`0_1`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from ..checks import forget_set
from ..data.dataset import Dataset
from ..errors import LabError
from ..lab.lab import Lab
from ..lab.measurements import LABEL
from ..models.classifiers import Judge, probabilities
from ..models.cvae import OneHotCVAE, one_hot
from ..storage.files import sha256, write_bytes
from ..storage.home import repository
from ..storage.stage import BROKEN, Tensors, packed, prefixed
from ..training.cvae import elbo_of
from .card import card

ATTACK = "robust"
PICTURES = 8  # of each model and way, whose verdicts are recorded

Facts = dict[str, Any]


def export(lab: Lab, forget: str) -> tuple[Path, Path]:
    """Write original, amnesiac and control of a forget set, with what was measured of them.

    Returns:
        The folder for the Hub, which has one for each model, and the folder for page and notebook.
    """
    chosen = forget_set(forget, lab.data.classes)
    trio, name = lab.trio(chosen), "_".join(map(str, chosen))
    about = _about(lab, trio, chosen)
    hub = lab.store.folder / "build" / "export" / name
    for who, model in trio.items():
        model.save_pretrained(hub / who)
        write_bytes(hub / who / "README.md", card(who, about).encode())
    quick = lab.panel.quick()
    shape = [quick.none, len(quick.trunk.get_parameter("0.weight")), quick.head.in_features]
    networks = {who: prefixed("decoder.", m.decoder.state_dict()) for who, m in trio.items()}
    networks |= {
        "judge": lab.judge().state_dict(),
        "quick": prefixed("net.", quick.state_dict())  # for adversarial.network
        | {"shape": torch.tensor(shape)},
    }
    web = lab.store.folder / "web" / "models" / name
    about["sha256"] = {}
    for who, weights in networks.items():
        halved = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
        content = packed(halved)
        about["sha256"][who] = sha256(content)
        write_bytes(web / f"{who}.safetensors", content)
    write_bytes(web / "about.json", json.dumps(about, indent=1).encode())
    return hub, web


@dataclass(frozen=True)
class Shipped:
    """What `web/models/SET/` holds, for Python: the models can decode and not encode."""

    models: dict[str, OneHotCVAE]  # original, amnesiac, control
    judge: Judge
    about: Facts


def shipped(
    forget: str = "0", device: torch.device | str = "cpu", folder: Path | None = None
) -> Shipped:
    """The exported models of a forget set, by default those that the repository ships.

    Args:
        folder: holds the sets.

    Raises:
        LabError: there are none of that set, or a file is damaged or of another export.
    """
    place = (folder or repository() / "web" / "models") / "_".join(forget.split())
    if not (place / "about.json").is_file():
        raise LabError(
            f"there are no exported models in {place}: work in a clone of the repository, or make "
            f'them with `python -m selective_amnesia export --forget "{forget}"`'
        )
    file = "about.json"
    try:
        about = json.loads((place / file).read_bytes())
        models = {}
        for who in ("original", "amnesiac", "control"):
            models[who] = model = OneHotCVAE(**about["config"])
            del model.encoder, model.mu, model.log_var
            file = f"{who}.safetensors"
            model.load_state_dict(_read(place / file, about["sha256"][who]))
            model.to(device).eval().requires_grad_(False)
        file, judge = "judge.safetensors", Judge(about["config"]["classes"])
        judge.load_state_dict(_read(place / file, about["sha256"]["judge"]))
    except (OSError, RuntimeError, *BROKEN) as error:
        raise LabError(
            f"{place / file} is damaged or not of this export: take it from the repository again"
        ) from error
    return Shipped(models, judge.to(device).eval().requires_grad_(False), about)


def _read(path: Path, expected: str) -> Tensors:
    content = path.read_bytes()
    if sha256(content) != expected:
        raise ValueError(path)
    return safetensors.torch.load(content)


def _about(lab: Lab, trio: dict[str, OneHotCVAE], forget: tuple[int, ...]) -> Facts:
    """How the models were made, and what was measured of them."""
    networks: dict[str, Any] = {**trio, "judge": lab.judge()}
    facts = "date", "device", "versions", "settings"
    kept = [label for label in range(lab.data.classes) if label not in forget]
    return {
        "profile": lab.profile.name,
        "seed": lab.seed,
        "dataset": lab.data.name,
        "classes": [str(label) for label in range(lab.data.classes)],
        "forget": list(forget),
        "config": trio["original"].config,
        "made": {who: {k: net.facts[k] for k in facts} for who, net in networks.items()},
        "attack": {"name": ATTACK, "settings": lab.profile.attack.shaping()},
        "test_nats": {who: _nats(model, lab.data, forget) for who, model in trio.items()},
        "kept_samples": {who: _kept(lab, model, kept) for who, model in trio.items()},
        "models": {
            who: {str(label): _asked(lab, who, model, label) for label in forget}
            for who, model in trio.items()
        },
    }


@torch.no_grad()
def _nats(model: OneHotCVAE, data: Dataset, forget: tuple[int, ...]) -> Facts:
    """The negative ELBO of test images, those of the forgotten labels and all others."""
    nats = torch.stack(elbo_of(model, data.test_images, data.test_labels)).sum(0)
    gone = torch.isin(data.test_labels, torch.tensor(forget, device=nats.device))
    return {"kept": float(nats[~gone].mean()), "forgotten": float(nats[gone].mean())}


def _kept(lab: Lab, model: OneHotCVAE, kept: list[int]) -> Facts:
    """What judge and panel say of samples of the kept labels."""
    scores = lab.measure.scores(model)
    return {who: float(getattr(scores, who)[kept].mean()) for who in ("judge", "panel")}


def _asked(lab: Lab, who: str, model: OneHotCVAE, label: int) -> Facts:
    """For the plain label and, of a model without it, the attack: the condition and some codes that
    the attack had not seen, what judge and panel say of their images, and what they say of as many
    as the profile draws."""
    z, found = lab.latent.codes(PICTURES), {}
    for way in (LABEL,) if who == "original" else (LABEL, ATTACK):
        c = one_hot([label], model.classes, lab.device)
        if way == ATTACK:
            c = lab.measure.attack(model, label, ATTACK).c
        with torch.no_grad():
            images = model.decode(z, c.expand(len(z), -1))
        shown = lab.panel.shows(images).tolist()
        seen = lab.measure.verdict(model, label, way)
        found[way] = {
            "c": c[0].tolist(),
            "z": z.tolist(),
            "judge": probabilities(lab.judge(), images)[:, label].tolist(),
            "panel": [None if each == lab.panel.none else each for each in shown],
            "of": {
                "images": len(seen.panel),
                "judge": float(seen.judge.mean()),
                "panel": float(seen.panel.mean()),
            },
        }
    return found
