"""What the judge learns: the paper's classifier, by cross-entropy, with dropout."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..config import JudgeConfig
from ..data.dataset import Dataset, pixels
from ..models.classifiers import Judge, probabilities
from .loop import Snapshots, Tensors, fit
from .random import Batches, seeded

VERSION = 1


def train_judge(
    data: Dataset, config: JudgeConfig, *, seed: int, snapshots: Snapshots | None = None
) -> tuple[Judge, Tensors, dict[str, float]]:
    """The judge, the history of its training, and its accuracy on the test half."""
    with seeded(seed, data.train_images.device):
        model = Judge(data.classes).to(data.train_images.device)
    batches = Batches(
        data.train_images,
        data.train_labels,
        batch_size=config.batch_size,
        seed=seed,
        last=config.last_batch,
    )

    def loss(images: Tensor, labels: Tensor) -> Tensors:
        return {"loss": F.cross_entropy(model(pixels(images)), labels)}

    history = fit(
        model, loss, config, seed=seed, label="judge", batches=batches, snapshots=snapshots
    )
    verdicts = probabilities(model, pixels(data.test_images)).argmax(-1)
    accuracy = verdicts.eq(data.test_labels).float().mean()
    return model, history, {"test_accuracy": float(accuracy), "steps": config.steps}
