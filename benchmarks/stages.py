"""The stages against the paper's protocol: CVAE, Fisher diagonal, forgetting, recovery."""

from __future__ import annotations

import copy
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import baseline
import torch
from measure import Row, in_turns, seconds

from selective_amnesia import Lab
from selective_amnesia.attacks import robust
from selective_amnesia.attacks.search import AttackTask, spanning_codes
from selective_amnesia.config import CVAEConfig, FisherConfig
from selective_amnesia.data.dataset import pixels
from selective_amnesia.forgetting import forget
from selective_amnesia.forgetting.fisher import (
    fisher_diagonal,
    relative_error,
    squared_gradients,
)
from selective_amnesia.metrics import recognition
from selective_amnesia.metrics.erasure import erasure
from selective_amnesia.metrics.perceptual import JudgeFeatures
from selective_amnesia.models.classifiers import probabilities
from selective_amnesia.models.cvae import OneHotCVAE
from selective_amnesia.profiles import PROFILES
from selective_amnesia.reports.matrix import cases, matrix
from selective_amnesia.training.cvae import train_cvae
from selective_amnesia.training.loop import precision
from selective_amnesia.training.random import seeded

RESULTS = Path(__file__).resolve().parent / "results"
SEEDS = (0, 1, 2)

# multiplications of the CVAE's layers for one image (see benchmarks/README.md)
ENCODER = (794 * 512, 512 * 256, 2 * 256 * 8)
DECODER = (18 * 256, 256 * 512, 512 * 784)
FORWARD = sum(ENCODER) + sum(DECODER)
TRAINING = 3 * FORWARD - ENCODER[0]  # forward, gradients of weights and of inputs, but the image's


def protocol(lab: Lab) -> Row:
    """What the paper's own 100,000 steps come to, made to the end by our loop and kept."""
    where = lab.data.name, lab.store.folder, str(lab.device)
    models = [Lab.open("paper", seed, *where).cvae() for seed in SEEDS]
    quality = _quality(lab, models, [model.facts["test_loss"] for model in models])
    return Row(
        what=f"CVAE, the paper's {baseline.CVAE_STEPS:,} steps made to the end",
        ours=[],
        quality={name: [value, None] for name, value in quality.items()},
    )


def sprint(lab: Lab) -> Row:
    """The shortest training that ends at 96.9 nats, what a first long run of the paper's protocol
    had come to. Like the baseline's it is only trained: the test images, which profile `fast` looks
    at 25 times on the way, for its curve, are looked at before and after."""
    return _cvae(lab, replace(lab.profile.cvae, steps=4000, frames=1), "60 x to 96.9 nats")


def as_good(lab: Lab) -> Row:
    """The shortest training whose loss and samples are those of the paper's protocol."""
    return _cvae(lab, replace(lab.profile.cvae, steps=6000, frames=1), "")


def cvae(lab: Lab) -> Row:
    """The training of profile `fast`, with its looks at the test images."""
    return _cvae(lab, lab.profile.cvae, "")


def _cvae(lab: Lab, config: CVAEConfig, goal: str) -> Row:
    """The whole training over three seeds, against the rate of the paper's steps."""
    plain = baseline.CVAETraining(lab.data, lab.device)
    plain.steps(5)
    trained, times, rates = [], [], []
    for seed in SEEDS:

        def ours(seed: int = seed) -> None:
            trained.append(train_cvae(lab.data, config, seed=seed))

        times.append(seconds(ours, lab.device))
        rates.append(seconds(lambda: plain.steps(100), lab.device) / 100)
    models, _, facts = zip(*trained, strict=True)
    paper = _measured("protocol")
    return Row(
        what=f"CVAE, {config.steps:,} steps",
        ours=times,
        baseline=[rate * baseline.CVAE_STEPS for rate in rates],
        goal=goal,
        extrapolated=f"from the rate of 100 of {baseline.CVAE_STEPS:,} steps",
        quality={
            name: [value, paper.get(name, [None])[0]]
            for name, value in _quality(lab, models, [each["test_loss"] for each in facts]).items()
        },
        gflop=2e-9 * TRAINING * config.batch_size * config.steps,
        bfloat16=precision(config, lab.device) == "bfloat16",
    )


def _quality(lab: Lab, models: Sequence[OneHotCVAE], losses: Sequence[float]) -> dict[str, str]:
    """Loss and samples of CVAEs, over their seeds, by the names that results/ knows them by."""
    scores = [scores_of(lab, model) for model in models]
    return {
        "test loss (nats)": _spread(losses),
        "panel's share of the digit": _spread([p for p, _ in scores]),
        "Frechet distance": _spread([d for _, d in scores]),
    }


def _measured(part: str) -> dict[str, list]:
    """The quality that a part was measured to have on a CPU, if it was."""
    path = RESULTS / "cpu.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    return known[part]["rows"][0]["quality"] if part in known else {}


def fisher(lab: Lab) -> Row:
    """50,000 samples in batches, against one after another, in the same float32."""
    model, config, few = lab.cvae(), FisherConfig(samples=baseline.FISHER_SAMPLES), 300
    same = relative_error(*_same_samples(model))
    plain = copy.deepcopy(model)
    baseline.fisher(plain, 20)
    fisher_diagonal(model, replace(config, samples=2000), 0)
    ours, theirs = in_turns(
        lambda: fisher_diagonal(model, config, 0),
        lambda: baseline.fisher(plain, few),
        3,
        lab.device,
    )
    return Row(
        what=f"Fisher diagonal, {config.samples:,} samples",
        ours=ours,
        baseline=[t * config.samples / few for t in theirs],
        goal="100 x",
        extrapolated=f"from {few} samples",
        quality={"relative difference on the same samples": [same, 0.0]},
        gflop=2e-9 * config.samples * (sum(DECODER) + 3 * FORWARD - ENCODER[0]),
    )


def _same_samples(model: OneHotCVAE, count: int = 50) -> tuple[dict, dict]:
    """The squared gradients of the same samples in one batch and one by one, in float64."""
    model = copy.deepcopy(model).double()
    device = next(model.parameters()).device
    c = torch.eye(model.classes, device=device, dtype=torch.float64)[torch.arange(count) % 10]
    with torch.no_grad():
        x = model.decode(torch.randn(count, model.z_dim, device=device, dtype=torch.float64), c)

    def mean_code_loss(model: OneHotCVAE, x: torch.Tensor, c: torch.Tensor) -> tuple:
        mu, log_var = model.encode(x, c)  # no draw: both sides must see the same
        logits = model.decode_logits(mu, c)
        bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return bce.sum(-1), log_var.square().sum(-1)

    batched = squared_gradients(model, x, c, mean_code_loss)
    single = {k: torch.zeros_like(v) for k, v in batched.items()}
    for n in range(count):
        model.zero_grad()
        sum(t.sum() for t in mean_code_loss(model, x[n : n + 1], c[n : n + 1])).backward()
        for name, p in model.named_parameters():
            single[name] += p.grad.square()
    return batched, single


def forgetting(lab: Lab) -> Row:
    """Label 0 by profile `fast`, against the rate of the paper's steps; the quality, over three
    originals, of the baseline is that of all its 10,000 steps, made once and kept."""
    original, fisher = lab.cvae(), lab.fisher()
    plain = baseline.Forgetting(original, fisher, 0, copy.deepcopy(original).requires_grad_(True))
    plain.steps(5)
    paper, config = PROFILES["paper"].forget, lab.profile.forget
    times, rates, fast, slow = [], [], [], []
    for seed in SEEDS:
        own = lab.variant(seed=seed)
        start, made = (own.cvae(), own.fisher()), []

        def ours(start: tuple = start, made: list = made, seed: int = seed) -> None:
            made.append(forget("selective_amnesia", *start, (0,), config, seed=seed)[0])

        times.append(seconds(ours, lab.device))
        rates.append(seconds(lambda: plain.steps(60), lab.device) / 60)
        fast.append(_forgotten(own, made[0]))
        to_the_end = own.amnesiac(
            {0},
            steps=paper.steps,
            lr=paper.lr,
            warmup=0,
            decay=0.0,
            betas=paper.betas,
            bfloat16=False,
        )
        slow.append(_forgotten(own, to_the_end))
    return Row(
        what=f"forgetting one label ({config.steps:,} steps)",
        ours=times,
        baseline=[rate * baseline.FORGET_STEPS for rate in rates],
        goal="15 x",
        extrapolated=f"from the rate of 60 of {baseline.FORGET_STEPS:,} steps",
        quality={
            name: [_spread([each[name] for each in side]) for side in (fast, slow)]
            for name in fast[0]
        },
        gflop=2e-9 * (sum(DECODER) + 2 * TRAINING) * 256 * config.steps,
        bfloat16=precision(config, lab.device) == "bfloat16",
    )


def _forgotten(lab: Lab, model: OneHotCVAE) -> dict[str, float]:
    """What there is to say of an amnesiac of label 0."""
    scores, before = _scores(lab, model), lab.measure.scores(lab.cvae())
    models = model, lab.cvae(), lab.control({0})
    nats = (float(lab.measure.metric(each, 0, "likelihood")[0].mean()) for each in models)
    return {
        "judge's P(0)": float(scores.judge[0].mean()),
        "judge's entropy (nats)": float(scores.judge_entropy[0].mean()),
        "panel's share of 0": float(scores.panel[0].mean()),
        "change of the share of the kept": float(scores.panel[1:].mean() - before.panel[1:].mean()),
        "Frechet distance of the kept": float(scores.frechet[1:].mean()),
        "erasure": erasure(*nats),
    }


def recover(lab: Lab) -> Row:
    """Method A from nine starts at once, against one start after another."""
    model, judge, label = lab.amnesiac({0}), lab.judge(), 0
    config, alike = lab.profile.attack, JudgeFeatures(judge)  # which this attack does not ask
    real = lab.data.of(label, config.real)
    found: dict[str, tuple[float, torch.Tensor]] = {}

    def ours() -> None:
        attack = robust.recover(AttackTask(model, judge, label, real, alike, config, [], seed=0))
        found["ours"] = attack.objective, attack.c

    def theirs() -> None:
        with seeded(0, lab.device):
            z = spanning_codes(config.codes, model.z_dim, lab.device)
        found["baseline"] = baseline.recover(model, judge, real, label, config, z)

    times = in_turns(ours, theirs, 15, lab.device)
    quality: dict[str, list[float]] = {}
    for side in ("ours", "baseline"):
        objective, c = found[side]
        with torch.no_grad(), seeded(0, lab.device):
            z = torch.randn(1000, model.z_dim, device=lab.device)
            images = model.decode(z, c.expand(1000, -1))
        figures = {
            "judge's P on fresh codes": float(probabilities(judge, images)[:, label].mean()),
            "panel's share": float(lab.panel.shows(images).eq(label).float().mean()),
            "objective": objective,
        }
        for name, value in figures.items():
            quality.setdefault(name, []).append(value)
    return Row("recovery A, nine starts", *times, goal="4 x", quality=quality)


def scores_of(lab: Lab, model: OneHotCVAE) -> tuple[float, float]:
    """The share of samples that the panel takes for their label, and the mean Frechet distance."""
    scores = _scores(lab, model)
    return float(scores.panel.mean()), float(scores.frechet.mean())


def _scores(lab: Lab, model: OneHotCVAE) -> recognition.Scores:
    """Judge and panel on the model's samples; unlike `lab.measure.scores` it keeps nothing."""
    real, labels = pixels(lab.data.test_images), lab.data.test_labels
    images = lab.measure.samples(model)
    return recognition.score(images, lab.judge(), lab.panel, real, labels)


def _spread(values: list[float]) -> str:
    """Mean and range, over seeds."""
    return f"{statistics.mean(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def paper(lab: Lab) -> Row:
    """The paper's 100,000 steps themselves, in our loop."""
    config = PROFILES["paper"].cvae
    trained = []
    took = seconds(lambda: trained.append(train_cvae(lab.data, config, seed=0)))
    loss = trained[0][2]["test_loss"]
    return Row(
        what=f"CVAE, the paper's {config.steps:,} steps in our loop",
        ours=[took],
        goal="10 s on an H100",
        quality={"test loss (nats)": [loss, None]},
        gflop=2e-9 * TRAINING * config.batch_size * config.steps,
    )


def whole_matrix(lab: Lab) -> Row:
    """Every label forgotten on its own, their controls and all attacks, from the original."""
    with tempfile.TemporaryDirectory() as folder:
        for kept in ("data", "figures"):
            if (lab.store.folder / kept).is_dir():
                (Path(folder) / kept).symlink_to(lab.store.folder / kept)
        fresh = Lab.open(lab.profile.name, lab.seed, lab.data.name, folder, str(lab.device))
        for stage in (fresh.judge, fresh.fisher):
            stage()
        for member in fresh.panel.members.values():
            member()
        each = dict.fromkeys(cases({k} for k in range(lab.data.classes)), 1)
        took = seconds(lambda: matrix(fresh, each), lab.device)
    return Row("the ten-label matrix, with controls and attacks", [took], goal="60 s on an H100")


ALL = {
    "protocol": protocol,
    "sprint": sprint,
    "as_good": as_good,
    "cvae": cvae,
    "fisher": fisher,
    "forgetting": forgetting,
    "recovery": recover,
    "paper": paper,
    "matrix": whole_matrix,
}
