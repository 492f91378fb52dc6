"""The conditional VAE that forgets.

It describes an image x in [0, 1]^P by a code z in R^D and a condition c in R^C:

    q(z | x, c) = N(mu(x, c), diag exp log_var(x, c))        encoder 794-512-256-(8, 8)
    p(x | z, c) = prod_j Bernoulli(x_j; decoder(z, c)_j)     decoder 18-256-512-784

c is a label's one-hot vector in training and any vector under attack. Images are rows of pixels
everywhere; only classifiers fold them into squares.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch
from torch import Tensor, nn

from ..errors import LabError
from ..storage.files import write_bytes
from ..storage.stage import BROKEN, packed

CONFIG, WEIGHTS = "config.json", "model.safetensors"  # their names on the Hugging Face Hub


class Decoder(Protocol):
    """What attacks and metrics need of a generator; anybody's will do."""

    classes: int
    z_dim: int

    def decode(self, z: Tensor, c: Tensor) -> Tensor: ...

    def decode_logits(self, z: Tensor, c: Tensor) -> Tensor: ...


class OneHotCVAE(nn.Module):
    """The paper's "expanding MLP" conditional VAE (arXiv:2305.10120, appendix; 1.1 M weights).

    Args:
        pixels: P, pixels of an image.
        classes: C, length of the condition.
        z_dim: D, length of the code.
        hidden: widths of the encoder's two hidden layers; the decoder mirrors them.
    """

    facts: dict[str, Any]  # of a model that a lab has made: how, when, what it came to
    history: dict[str, Tensor]  # and what was recorded on the way

    def __init__(
        self,
        pixels: int = 784,
        classes: int = 10,
        z_dim: int = 8,
        hidden: tuple[int, int] = (512, 256),
    ) -> None:
        super().__init__()
        wide, narrow = hidden
        self.pixels, self.classes, self.z_dim = pixels, classes, z_dim
        self.hidden = wide, narrow
        self.encoder = nn.Sequential(
            nn.Linear(pixels + classes, wide), nn.ReLU(), nn.Linear(wide, narrow), nn.ReLU()
        )
        self.mu = nn.Linear(narrow, z_dim)
        self.log_var = nn.Linear(narrow, z_dim)
        self.decoder = nn.Sequential(
            nn.Linear(z_dim + classes, narrow),
            nn.ReLU(),
            nn.Linear(narrow, wide),
            nn.ReLU(),
            nn.Linear(wide, pixels),
        )

    def encode(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, P) and conditions (N, C) to mu and log_var, each (N, D)."""
        h = self.encoder(torch.cat([x, c], dim=-1))
        return self.mu(h).float(), self.log_var(h).float()  # also where products are in bfloat16

    def decode_logits(self, z: Tensor, c: Tensor) -> Tensor:
        """Codes (N, D) and conditions (N, C) to the logits of the pixels (N, P)."""
        logits: Tensor = self.decoder(torch.cat([z, c], dim=-1))
        return logits

    def decode(self, z: Tensor, c: Tensor) -> Tensor:
        """Codes (N, D) and conditions (N, C) to images (N, P) in [0, 1]: each pixel's mean."""
        return self.decode_logits(z, c).sigmoid()

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode, draw z = mu + exp(log_var / 2) * noise, decode: (logits, mu, log_var)."""
        mu, log_var = self.encode(x, c)
        z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        return self.decode_logits(z, c), mu, log_var

    @property
    def config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {name: getattr(self, name) for name in ("pixels", "classes", "z_dim", "hidden")}

    def save_pretrained(self, folder: Path) -> None:
        """Write weights and config into a folder, in the layout of the Hugging Face Hub.

        Raises:
            LabError: the disk does not take them.
        """
        write_bytes(folder / WEIGHTS, packed(self.state_dict()))
        write_bytes(folder / CONFIG, json.dumps(self.config, indent=1).encode())

    @classmethod
    def from_pretrained(cls, place: Path | str) -> OneHotCVAE:
        """The model in a folder that `save_pretrained` wrote, or with that id on the Hub; on the
        CPU, in evaluation mode.

        Raises:
            LabError: there is no such folder or id, or it holds no such model.
        """
        folder = Path(place) if Path(place).is_dir() else _from_hub(str(place))
        try:
            model = cls(**json.loads((folder / CONFIG).read_bytes()))
            model.load_state_dict(safetensors.torch.load((folder / WEIGHTS).read_bytes()))
        except (OSError, RuntimeError, *BROKEN) as error:
            raise LabError(
                f"{place} holds no OneHotCVAE that can be read: {CONFIG} or {WEIGHTS} is missing, "
                "damaged or of another model. Export or download it again."
            ) from error
        return model.eval()


def _from_hub(name: str) -> Path:
    """The folder that the Hub's model of that id was downloaded to."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise LabError(
            f"there is no folder {name}; if it is an id on the Hugging Face Hub: "
            "pip install huggingface_hub"
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=[CONFIG, WEIGHTS]))
    except (OSError, ValueError) as error:  # no such model, no network, no valid id
        raise LabError(
            f"{name} is neither a folder nor a model that the Hugging Face Hub gives: check the "
            "name and the network."
        ) from error


def one_hot(
    labels: Tensor | Sequence[int] | int, classes: int, device: torch.device | str | None = None
) -> Tensor:
    """Labels (N,) to conditions (N, classes) of float32."""
    labels = torch.as_tensor(labels, device=device).reshape(-1).long()
    return nn.functional.one_hot(labels, classes).float()


@torch.no_grad()
def decode_grid(model: Decoder, z: Tensor) -> Tensor:
    """The images of codes z (K, D) under every label: (classes, K, P) uint8."""
    c = torch.eye(model.classes, device=z.device).repeat_interleave(len(z), 0)
    images = model.decode(z.repeat(model.classes, 1), c)
    return (images * 255).round().byte().view(model.classes, len(z), -1)


def parameter_count(model: nn.Module) -> int:
    """The number of trainable weights."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
