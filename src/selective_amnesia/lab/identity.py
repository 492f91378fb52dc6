"""What the lab knows of a model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Identity:
    """What the lab knows of a model: nothing of a reader's own, nor of one of the lab's whose
    weights have been changed since."""

    key: str  # the name of its files, or a fingerprint
    name: str  # its stage, or the fingerprint
    forget: tuple[int, ...] | None  # what it has forgotten, where that is known


def identify(model: nn.Module, device: torch.device) -> Identity:
    """The identity of a model; of a reader's own a hash of its weights and of what it generates:
    its code may change.

    Raises:
        ValueError: the model is on another device than the lab.
    """
    for weights in model.state_dict().values():
        if weights.device.type != device.type:
            raise ValueError(
                f"the model is on {weights.device.type} and this lab on {device.type}: move it "
                "with .to(lab.device)"
            )
    facts: dict[str, Any] = getattr(model, "facts", {})
    if facts and facts.get("weights") == hash_of(model):
        forgotten = facts.get("forget")
        return Identity(
            facts["name"], facts["stage"], None if forgotten is None else tuple(forgotten)
        )
    fingerprint = hash_of(model, decoding=True)
    return Identity(fingerprint, fingerprint, None)


def hash_of(model: Any, decoding: bool = False) -> str:
    """A hash of a model's weights and, with `decoding`, of what it generates from fixed codes."""
    digest = hashlib.sha256(type(model).__qualname__.encode())
    weights = model.state_dict()
    for name, tensor in weights.items():
        digest.update(name.encode() + _bytes(tensor))
    if decoding and all(hasattr(model, name) for name in ("decode_logits", "classes", "z_dim")):
        device = next((tensor.device for tensor in weights.values()), None)
        c = torch.eye(model.classes, device=device)
        z = torch.linspace(-2, 2, model.classes * model.z_dim, device=device)
        with torch.no_grad():
            digest.update(_bytes(model.decode_logits(z.view(model.classes, -1), c)))
    return digest.hexdigest()[:12]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().tobytes()
