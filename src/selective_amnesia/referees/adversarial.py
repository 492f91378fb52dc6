r"""A CNN trained on its own worst cases (Madry et al., ICLR 2018), found by one step from a random
beginning (Wong, Rice and Kolter, ICLR 2020).

    minimise  E  max_{|d|_inf <= epsilon}  -log p(y | x + d)

over real images, as hands and decoders may draw them (`augment.varied`), and over images of none of
the classes, which are labelled so. Its shape is `cnn.RefereeCNN`'s. The score of a class is the
log of its odds against none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import RefereeConfig
from ..training.augment import varied
from ..training.loop import fit as train
from ..training.random import Batches, seeded
from .cnn import RefereeCNN
from .task import MemberTask, Scorer, Tensors

VERSION = 4
NAME = "adversarial CNN"


@dataclass(frozen=True, kw_only=True)
class Settings(RefereeConfig):
    """`searches` steps to find the worst of the images within `epsilon` of each. A step costs as
    much as `searches` + 1 of plain training, and there are as many fewer of them."""

    haze: float = 0.6
    grain: float = 0.4
    epsilon: float = 0.1
    searches: int = 1


def fit(task: MemberTask) -> Tensors:
    """The weights of the network, and what builds it."""
    settings: Settings = task.settings
    with seeded(task.seed, task.images.device):
        model = RefereeCNN(task.classes, settings.width, settings.features).to(task.images.device)
    batches = Batches(task.images, task.labels, batch_size=settings.batch_size, seed=task.seed)
    extra = round(settings.batch_size * settings.negatives)

    def loss(images: Tensor, labels: Tensor) -> Tensors:
        rows = torch.randint(len(task.none), (extra,), device=images.device)
        x = torch.cat([varied(images, settings.haze, settings.grain), task.none[rows]])
        y = torch.cat([labels, labels.new_full((extra,), model.none)])
        return {"loss": F.cross_entropy(model(pgd(model, x, y, settings)), y)}

    steps = settings.steps // (settings.searches + 1)
    plan = replace(settings, steps=steps, warmup=min(settings.warmup, steps // 4))
    train(model, loss, plan, seed=task.seed, label=NAME, batches=batches, snapshots=task.snapshots)
    shape = torch.tensor([task.classes, settings.width, settings.features])
    return {f"net.{k}": v for k, v in model.state_dict().items()} | {"shape": shape}


def pgd(model: RefereeCNN, x: Tensor, y: Tensor, settings: Settings) -> Tensor:
    """Images (N, P) within epsilon of x at which the network is most wrong about y (N,)."""
    size = 2.5 * settings.epsilon / settings.searches
    found = x + settings.epsilon * (2 * torch.rand_like(x) - 1)
    for _ in range(settings.searches):
        found = found.clamp(0, 1).detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(F.cross_entropy(model(found), y), found)
        moved = found.detach() + size * slope.sign()
        found = torch.minimum(torch.maximum(moved, x - settings.epsilon), x + settings.epsilon)
    return found.clamp(0, 1).detach()


def network(learned: Tensors) -> RefereeCNN:
    """The network that was trained."""
    with torch.device("meta"):  # no numbers are drawn for weights that are there already
        model = RefereeCNN(*learned["shape"].tolist())
    weights = {k[4:]: v for k, v in learned.items() if k.startswith("net.")}
    model.load_state_dict(weights, assign=True)
    return model.to(memory_format=torch.channels_last).eval()


def scorer(learned: Tensors) -> Scorer:
    """Images (N, P) to scores (N, classes)."""
    model = network(learned)

    def scores(x: Tensor) -> Tensor:
        logits: Tensor = model(x)
        return logits[:, : model.none] - logits[:, model.none :]

    return scores
