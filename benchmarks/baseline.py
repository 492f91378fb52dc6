"""The paper's protocol, written plainly: what `make bench` measures ours against.

A DataLoader that turns one image after another into a tensor, one sample at a time for the
Fisher diagonal, a constant learning rate of 1e-4, and an attack's starts one after another. The
losses are those of the package: both sides compute the same thing.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.transforms.functional import to_tensor

from selective_amnesia.attacks import terms
from selective_amnesia.config import AttackConfig
from selective_amnesia.data.dataset import Dataset
from selective_amnesia.forgetting.losses import ewc, replay, surrogate
from selective_amnesia.models.classifiers import Judge
from selective_amnesia.models.cvae import OneHotCVAE, one_hot
from selective_amnesia.models.elbo import elbo_terms

LR, BATCH = 1e-4, 256
CVAE_STEPS, FISHER_SAMPLES, FORGET_STEPS = 100_000, 50_000, 10_000


class PILImages(torch.utils.data.Dataset):
    """One PIL image to one tensor at each access, as torchvision's MNIST with ToTensor does it."""

    def __init__(self, data: Dataset) -> None:
        self.images = data.train_images.view(-1, 28, 28).cpu().numpy()
        self.labels = data.train_labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return to_tensor(Image.fromarray(self.images[i], mode="L")), self.labels[i]


class CVAETraining:
    """Steps of the CVAE's training."""

    def __init__(self, data: Dataset, device: torch.device) -> None:
        self.loader = DataLoader(PILImages(data), BATCH, shuffle=True)
        self.batches: Iterator = iter(())
        self.model = OneHotCVAE().to(device)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=LR)
        self.device = device

    def steps(self, count: int) -> None:
        for _ in range(count):
            try:
                images, labels = next(self.batches)
            except StopIteration:
                self.batches = iter(self.loader)
                images, labels = next(self.batches)
            x = images.flatten(1).to(self.device)
            bce, kl = elbo_terms(self.model, x, one_hot(labels, 10, self.device))
            self.optimiser.zero_grad()
            (bce + kl).mean().backward()
            self.optimiser.step()


def fisher(model: nn.Module, samples: int) -> dict[str, Tensor]:
    """The Fisher diagonal, one of the model's own samples after another."""
    device = next(model.parameters()).device
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for _ in range(samples):
        c = one_hot(torch.randint(10, (1,)), 10, device)
        with torch.no_grad():
            x = model.decode(torch.randn(1, model.z_dim, device=device), c)
        bce, kl = elbo_terms(model, x, c)
        model.zero_grad()
        (bce + kl).sum().backward()
        for name, p in model.named_parameters():
            total[name] += p.grad.square()
    return {name: t / samples for name, t in total.items()}


class Forgetting:
    """Steps of Selective Amnesia, for one label."""

    def __init__(
        self, original: OneHotCVAE, fisher: dict[str, Tensor], label: int, model: OneHotCVAE
    ) -> None:
        self.original, self.fisher, self.model = original, fisher, model
        self.anchor = {k: p.detach().clone() for k, p in original.named_parameters()}
        self.optimiser = torch.optim.Adam(model.parameters(), lr=LR)
        self.device = next(model.parameters()).device
        self.label = label
        self.kept = torch.tensor([k for k in range(10) if k != label])

    def steps(self, count: int) -> None:
        for _ in range(count):
            forget = one_hot(torch.full((BATCH,), self.label), 10, self.device)
            keep = one_hot(self.kept[torch.randint(9, (BATCH,))], 10, self.device)
            weights = dict(self.model.named_parameters())
            loss = (
                surrogate(self.model, forget).sum()
                + replay(self.model, self.original, keep).sum()
                + 100 * ewc(weights, self.anchor, self.fisher)
            )
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()


def recover(
    model: OneHotCVAE, judge: Judge, real: Tensor, label: int, config: AttackConfig, z: Tensor
) -> tuple[float, Tensor]:
    """Method A on the codes z from one start after another, through the judge as it is: the least
    objective and its condition (1, C)."""
    with torch.no_grad():
        shallow_mean, deep_mean = (maps.mean(0) for maps in judge.features(real))
    found = []
    for start in range(model.classes):
        if start == label:
            continue
        c = one_hot([start], model.classes, z.device).requires_grad_()
        begun = torch.full((len(z),), start, device=z.device)
        optimiser = torch.optim.Adam([c], lr=config.lr)
        decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, config.steps)
        for step in range(config.steps + 1):
            x = model.decode(z, c.expand(len(z), -1))
            shallow, deep = judge.features(x)
            log_p = judge.classify(deep).log_softmax(-1)
            objective = (
                config.shape * terms.shape(deep, deep_mean)
                + config.edge * terms.edge(shallow, shallow_mean)
                + config.repel * terms.repel(log_p.exp(), label, begun)
                + config.tv * terms.total_variation(x)
                - log_p[:, label]
            ).mean()
            if step < config.steps:
                optimiser.zero_grad()
                objective.backward(inputs=[c])
                optimiser.step()
                decay.step()
        found.append((float(objective.detach()), c.detach()))
    return min(found, key=lambda pair: pair[0])
