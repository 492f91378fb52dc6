"""The networks: the conditional VAE that forgets, the judge and the referee that look at it.

The CVAE describes an image x in [0, 1]^784 by a code z in R^8 and a condition c in R^10:

    q(z | x, c) = N(mu(x, c), diag exp log_var(x, c))        encoder 794-512-256-(8, 8)
    p(x | z, c) = prod_j Bernoulli(x_j; decoder(z, c)_j)     decoder 18-256-512-784

c is a digit's one-hot vector in training and any vector under attack. Images are rows of 784
pixels everywhere; only the two classifiers fold them into squares.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import count

__all__ = [
    "Judge",
    "OneHotCVAE",
    "Referee",
    "one_hot",
    "parameter_count",
    "stack",
    "unstack",
]


class OneHotCVAE(nn.Module):
    """The paper's "expanding MLP" conditional VAE (arXiv:2305.10120, appendix; 1.1 M weights).

    Args:
        pixels: P, pixels of an image.
        classes: C, length of the condition.
        z_dim: D, length of the code.
        hidden: widths of the encoder's two hidden layers; the decoder mirrors them.
    """

    def __init__(
        self,
        pixels: int = 784,
        classes: int = 10,
        z_dim: int = 8,
        hidden: tuple[int, int] = (512, 256),
    ) -> None:
        super().__init__()
        wide, narrow = hidden
        for name, size in [("pixels", pixels), ("classes", classes), ("z_dim", z_dim),
                           ("hidden", wide), ("hidden", narrow)]:  # fmt: skip
            count(name, size)
        self.pixels, self.classes, self.z_dim = pixels, classes, z_dim
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
        shaped(images=(x, f"... {self.pixels}"), conditions=(c, f"... {self.classes}"))
        h = self.encoder(torch.cat([x, c], dim=-1))
        return self.mu(h).float(), self.log_var(h).float()  # also where products are in bfloat16

    def decode_logits(self, z: Tensor, c: Tensor) -> Tensor:
        """Codes (N, D) and conditions (N, C) to the logits of the pixels (N, P)."""
        shaped(codes=(z, f"... {self.z_dim}"), conditions=(c, f"... {self.classes}"))
        return self.decoder(torch.cat([z, c], dim=-1))

    def decode(self, z: Tensor, c: Tensor) -> Tensor:
        """Codes (N, D) and conditions (N, C) to images (N, P) in [0, 1]: each pixel's mean."""
        return self.decode_logits(z, c).sigmoid()

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode, draw z = mu + exp(log_var / 2) * noise, decode: (logits, mu, log_var)."""
        mu, log_var = self.encode(x, c)
        z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        return self.decode_logits(z, c), mu, log_var


class Linears(nn.Module):
    """M linear layers of one shape side by side: (M, N, inputs) to (M, N, outputs)."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.mT)


def stack(models: Sequence[OneHotCVAE]) -> OneHotCVAE:
    """M models of one shape in one, whose every tensor has M as its first dimension: images are
    (M, N, P), codes (M, N, D), conditions (M, N, C). A single model is copied as it is."""
    together = copy.deepcopy(models[0])
    if len(models) > 1:
        for name, layer in models[0].named_modules():
            if isinstance(layer, nn.Linear):
                side_by_side = Linears([model.get_submodule(name) for model in models])
                together.set_submodule(name, side_by_side)
    return together


def unstack(together: OneHotCVAE, models: Sequence[OneHotCVAE]) -> list[OneHotCVAE]:
    """What `stack(models)` has become, as separate models again."""
    if len(models) == 1:
        return [together]
    apart = [copy.deepcopy(model) for model in models]
    for m, model in enumerate(apart):
        model.load_state_dict({name: t[m] for name, t in together.state_dict().items()})
    return apart


class Judge(nn.Module):
    """The paper's small CNN classifier: two convolutions, two linear layers, dropout.

    Attacks may differentiate through it; what they may not touch is the `Referee`.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        count("classes", classes)
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.bn1 = nn.BatchNorm2d(10)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.bn2 = nn.BatchNorm2d(20)
        self.drop2 = nn.Dropout2d(0.5)
        self.fc1 = nn.Linear(320, 50)
        self.drop = nn.Dropout(0.5)
        self.fc2 = nn.Linear(50, classes)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, 784) to the first convolution's maps (N, 10, 24, 24) and the second's
        (N, 20, 8, 8)."""
        check_rows("images", x, size=784)
        shallow = self.conv1(x.view(-1, 1, 28, 28))
        deep = self.conv2(F.relu(F.max_pool2d(self.bn1(shallow), 2)))
        return shallow, deep

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 784) to logits (N, classes)."""
        return self.classify(self.features(x)[1])

    def classify(self, deep: Tensor) -> Tensor:
        """The second convolution's maps (N, 20, 8, 8) to logits (N, classes)."""
        h = F.relu(F.max_pool2d(self.drop2(self.bn2(deep)), 2)).flatten(1)
        return self.fc2(self.drop(F.relu(self.fc1(h))))


class Referee(nn.Module):
    """An independent classifier with one class more than there are digits: "not a digit".

    Four convolutions in two stages with batch normalisation and average pooling: nothing of the
    judge's shape. The last class is trained on what no digit looks like (`recipes.non_digits`).
    No attack and no training loss ever touches this network.
    """

    def __init__(self, classes: int = 10, width: int = 16, features: int = 64) -> None:
        super().__init__()
        for name, size in {"classes": classes, "width": width, "features": features}.items():
            count(name, size)
        self.not_a_digit = classes

        def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
            conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
            return [conv, nn.BatchNorm2d(outputs), nn.SiLU()]

        self.trunk = nn.Sequential(
            *block(1, width, 2),
            *block(width, 2 * width, 1),
            *block(2 * width, 2 * width, 2),
            *block(2 * width, 2 * width, 1),
            nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
            nn.Linear(18 * width, features),
            nn.SiLU(),
        )
        self.head = nn.Linear(features, classes + 1)

    def features(self, x: Tensor) -> Tensor:
        """Images (N, 784) to the features (N, 64) in which Frechet distances are measured."""
        check_rows("images", x, size=784)
        return self.trunk(x.view(-1, 1, 28, 28))

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 784) to logits (N, classes + 1); the last is "not a digit"."""
        return self.head(self.features(x))


def one_hot(
    labels: Tensor | Sequence[int] | int, classes: int, device: torch.device | str | None = None
) -> Tensor:
    """Labels (N,) to conditions (N, classes) of float32.

    Raises:
        ValueError: a label lies outside 0 .. classes - 1.
        TypeError: the labels are no whole numbers.
    """
    count("classes", classes)
    try:
        labels = torch.as_tensor(labels, device=device).reshape(-1)
    except RuntimeError as error:
        raise TypeError(f"labels are {labels!r}: use whole numbers") from error
    if labels.numel() and (labels.is_floating_point() or labels.dtype == torch.bool):
        raise TypeError(f"labels are {labels.dtype}: use whole numbers")
    labels = labels.long()
    if labels.numel() and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
        wrong = labels[(labels < 0) | (labels >= classes)][0].item()
        raise ValueError(f"label {wrong} is not a class: use 0 to {classes - 1}")
    return F.one_hot(labels, classes).float()


def shaped(**tensors: tuple[Tensor, str]) -> None:
    """Check tensors against their shapes as docstrings write them: images=(x, "N 784").

    A letter is one size of at least 1 wherever it stands; leading dots are any sizes, those of
    the first tensor that has them.

    Raises:
        ValueError: a tensor has another shape.
    """
    known: dict[str, int | tuple[int, ...]] = {}
    for name, (tensor, wanted) in tensors.items():
        words, sizes = wanted.split(), list(tensor.shape)
        if words[0] == "...":
            leading = max(0, len(sizes) + 1 - len(words))
            sizes[:leading] = [tuple(sizes[:leading])]
        expected = [int(word) if word.isdecimal() else known.get(word, word) for word in words]
        fits = len(sizes) == len(words) and all(
            want in (word, size) for want, word, size in zip(expected, words, sizes, strict=True)
        )
        if not fits or not tensor.numel():
            listed = ", ".join(filter(None, (str(want).strip("(),") for want in expected)))
            some = "" if tensor.numel() else ", none of these sizes 0"
            raise ValueError(f"{name} are of shape {tuple(tensor.shape)}: use ({listed}){some}")
        known |= dict(zip(words, sizes, strict=True))


def side_of(images: Tensor) -> int:
    """The side of square images (..., P).

    Raises:
        ValueError: they are not square.
    """
    shaped(images=(images, "... P"))
    side = math.isqrt(images.shape[-1])
    if side < 2 or side**2 != images.shape[-1]:
        raise ValueError(f"images have {images.shape[-1]} pixels: use a square number from 4 on")
    return side


def alike(**tables: Mapping[str, Tensor]) -> None:
    """Raise ValueError where tensors by name differ in their names or shapes, or are none."""
    (first, wanted), *others = (
        (name, {k: tuple(t.shape) for k, t in table.items()}) for name, table in tables.items()
    )
    if not wanted:
        raise ValueError(f"{first} holds no tensors: give at least one")
    for name, found in others:
        for k in wanted.keys() | found.keys():
            if wanted.get(k) != found.get(k):
                raise ValueError(
                    f"{k} is of shape {wanted.get(k)} in {first} and {found.get(k)} in {name}: "
                    "use those of one model"
                )


def check_rows(name: str, tensor: Tensor, least: int = 1, size: int | None = None) -> Tensor:
    """`tensor`, if it has at least `least` rows, of `size` numbers.

    Raises:
        ValueError: it has not.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} are of type {type(tensor).__name__}: use a tensor")
    sound = tensor.ndim == 2 and len(tensor) >= least and tensor.shape[1] > 0
    if not sound or tensor.shape[1] != (size or tensor.shape[1]):
        wanted = f"({least} or more, {size or 'any'})"
        raise ValueError(f"{name} are of shape {tuple(tensor.shape)}: use {wanted}")
    return tensor


def parameter_count(model: nn.Module) -> int:
    """The number of trainable weights."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
