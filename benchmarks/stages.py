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

from selective_amnesia import Lab, evaluation, recipes, recovery
from selective_amnesia.audit import erasure
from selective_amnesia.config import PROFILES, CVAEConfig, FisherConfig
from selective_amnesia.data import pixels
from selective_amnesia.fisher import fisher_diagonal, relative_error
from selective_amnesia.forgetting import forget
from selective_amnesia.models import OneHotCVAE
from selective_amnesia.results import matrix
from selective_amnesia.training import fast_in_bfloat16, seeded

RESULTS = Path(__file__).resolve().parent / "results"
SEEDS = (0, 1, 2)

# multiplications of the CVAE's layers for one image (see benchmarks/README.md)
ENCODER = (794 * 512, 512 * 256, 2 * 256 * 8)
DECODER = (18 * 256, 256 * 512, 512 * 784)
FORWARD = sum(ENCODER) + sum(DECODER)
TRAINING = 3 * FORWARD - ENCODER[0]  # forward, gradients of weights and of inputs, but the image's


def protocol(lab: Lab) -> Row:
    """What the paper's own 100,000 steps come to, made to the end by our loop and kept."""
    models = [_seeded(lab, seed, "paper").cvae() for seed in SEEDS]
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
    """The training of profile `fast`, which goes on to better samples."""
    return _cvae(lab, lab.profile.cvae, "")


def _cvae(lab: Lab, config: CVAEConfig, goal: str) -> Row:
    """The whole training over three seeds, against the rate of the paper's steps."""
    plain = baseline.CVAETraining(lab.data, lab.device)
    plain.steps(5)
    trained, times, rates = [], [], []
    for seed in SEEDS:

        def ours(seed: int = seed) -> None:
            trained.append(recipes.train_cvaes(lab.data, config, seeds=[seed])[0])

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
        half=config.half and fast_in_bfloat16(lab.device),
    )


def _quality(lab: Lab, models: Sequence[OneHotCVAE], losses: Sequence[float]) -> dict[str, str]:
    """Loss and samples of CVAEs, over their seeds."""
    scores = [scores_of(lab, model) for model in models]
    return {
        "test loss (nats)": _spread(losses),
        "referee's P(digit)": _spread([p for p, _ in scores]),
        "Frechet distance": _spread([d for _, d in scores]),
    }


def _measured(part: str) -> dict[str, list]:
    """The quality that a part was measured to have on a CPU, if it was."""
    path = RESULTS / "cpu.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    return known[part]["rows"][0]["quality"] if part in known else {}


def _seeded(lab: Lab, seed: int, profile: str = "") -> Lab:
    """The lab of another seed, in the same folder."""
    return Lab.open(profile or lab.profile.name, seed=seed, folder=lab.folder, device=lab.device)


def fisher(lab: Lab) -> Row:
    """50,000 samples in batches, against one after another, in the same float32."""
    together, alone = _same_samples(lab.cvae())
    same = relative_error(together, alone)
    return _fisher(lab, False, {"relative difference on the same samples": [same, 0.0]})


def fisher_half(lab: Lab) -> Row:
    """The same in bfloat16: what it differs by, and what Selective Amnesia makes of it."""
    full, half = (
        FisherConfig(samples=baseline.FISHER_SAMPLES, half=half) for half in (False, True)
    )
    model = lab.cvae()
    exact = fisher_diagonal(model, full, 0)
    differs = [
        relative_error(fisher_diagonal(model, *how), exact) for how in ((half, 0), (full, 1))
    ]
    quality = {"relative difference, in float32 that of other samples": differs}
    found: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    for seed in SEEDS:
        own = _seeded(lab, seed)
        original = own.cvae()
        for config in (half, full):
            weights = fisher_diagonal(original, config, seed)
            [(amnesiac, _)] = forget(
                "selective_amnesia", original, weights, [{0}], lab.profile.forget, seeds=[seed]
            )
            found[config.half].append(_forgotten(own, amnesiac))
    lead = "Selective Amnesia after it, against after float32's: "
    for name in found[True][0]:
        sides = [_spread([each[name] for each in found[half]]) for half in (True, False)]
        quality[lead + name], lead = sides, ""
    return _fisher(lab, True, quality)


def _fisher(lab: Lab, half: bool, quality: dict[str, list]) -> Row:
    model, config = lab.cvae(), FisherConfig(samples=baseline.FISHER_SAMPLES, half=half)
    plain = copy.deepcopy(model)
    few = 300
    baseline.fisher(plain, 20)
    fisher_diagonal(model, replace(config, samples=2000), 0)
    ours, theirs = in_turns(
        lambda: fisher_diagonal(model, config, 0),
        lambda: baseline.fisher(plain, few),
        3,
        lab.device,
    )
    return Row(
        what=f"Fisher diagonal, {config.samples:,} samples" + ", in bfloat16" * half,
        ours=ours,
        baseline=[t * config.samples / few for t in theirs],
        goal="100 x",
        extrapolated=f"from {few} samples",
        quality=quality,
        gflop=2e-9 * config.samples * (sum(DECODER) + 3 * FORWARD - ENCODER[0]),
        half=half and fast_in_bfloat16(lab.device),
    )


def _same_samples(model: OneHotCVAE, count: int = 50) -> tuple[dict, dict]:
    """The squared gradients of the same samples in one batch and one by one, in float64."""
    from selective_amnesia.fisher import squared_gradients

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
    """Digit 0 by profile `fast`, against the rate of the paper's steps; the quality, over three
    originals, of the baseline is that of all its 10,000 steps, made once and kept."""
    original, fisher = lab.cvae(), lab.fisher()
    plain = baseline.Forgetting(original, fisher, 0, copy.deepcopy(original).requires_grad_(True))
    plain.steps(5)
    paper, config = PROFILES["paper"].forget, lab.profile.forget
    times, rates, fast, slow = [], [], [], []
    for seed in SEEDS:
        own = _seeded(lab, seed)
        start, made = (own.cvae(), own.fisher()), []

        def ours(start: tuple = start, made: list = made, seed: int = seed) -> None:
            made.append(forget("selective_amnesia", *start, [{0}], config, seeds=[seed])[0][0])

        times.append(seconds(ours, lab.device))
        rates.append(seconds(lambda: plain.steps(60), lab.device) / 60)
        fast.append(_forgotten(own, made[0]))
        to_the_end = own.amnesiac(
            {0}, steps=paper.steps, lr=paper.lr, warmup=0, decay=0.0, betas=paper.betas, half=False
        )
        slow.append(_forgotten(own, to_the_end))
    return Row(
        what=f"forgetting one digit ({config.steps:,} steps)",
        ours=times,
        baseline=[rate * baseline.FORGET_STEPS for rate in rates],
        goal="15 x",
        extrapolated=f"from the rate of 60 of {baseline.FORGET_STEPS:,} steps",
        quality={
            name: [_spread([each[name] for each in side]) for side in (fast, slow)]
            for name in fast[0]
        },
        gflop=2e-9 * (sum(DECODER) + 2 * TRAINING) * 256 * config.steps,
        half=fast_in_bfloat16(lab.device),
    )


def _forgotten(lab: Lab, model: OneHotCVAE) -> dict[str, float]:
    """What there is to say of an amnesiac of digit 0."""
    images = lab.samples(model)
    judge, referee = lab.judge(), lab.referee()
    real, labels = pixels(lab.data.test_images), lab.data.test_labels
    scores = evaluation.score(images, judge, referee, real, labels)
    before = lab.scores(lab.cvae())
    models = {"original": lab.cvae(), "model": model, "control": lab.control({0})}
    nats = {name: lab.description_length(each, 0) for name, each in models.items()}
    return {
        "judge's P(0)": float(scores.judge[0].mean()),
        "judge's entropy (nats)": float(scores.judge_entropy[0].mean()),
        "referee's P(0)": float(scores.referee[0].mean()),
        "change of P of the kept": float(scores.referee[1:].mean() - before.referee[1:].mean()),
        "Frechet distance of the kept": float(scores.frechet[1:].mean()),
        "erasure": erasure(nats["model"], nats["original"], nats["control"]),
    }


def recover(lab: Lab) -> Row:
    """Method A from nine starts at once, against one start after another."""
    model, judge, digit = lab.amnesiac({0}), lab.judge(), 0
    real, config = lab.real(digit, 2000), lab.profile.attack
    target = recovery.describe(judge, real, digit)
    found: dict[str, tuple[float, torch.Tensor]] = {}

    def ours() -> None:
        attack = recovery.recover(model, judge, target, config, seed=0)
        found["ours"] = attack.objective, attack.c

    def theirs() -> None:
        with seeded(0, lab.device):
            z = recovery.spanning_codes(config.codes, model.z_dim, lab.device)
        found["baseline"] = baseline.recover(model, judge, real, digit, config, z)

    times = in_turns(ours, theirs, 15, lab.device)
    quality = {}
    for who, judged in (("judge's P on fresh codes", judge), ("referee's P", lab.referee())):
        values = []
        for side in ("ours", "baseline"):
            c = found[side][1]
            with torch.no_grad(), seeded(0, lab.device):
                z = torch.randn(1000, model.z_dim, device=lab.device)
                images = model.decode(z, c.expand(1000, -1))
            values.append(float(evaluation.probabilities(judged, images)[:, digit].mean()))
        quality[who] = values
    quality["objective"] = [found[side][0] for side in ("ours", "baseline")]
    return Row("recovery A, nine starts", *times, goal="4 x", quality=quality)


def scores_of(lab: Lab, model: OneHotCVAE) -> tuple[float, float]:
    """The referee's mean P of the digit that was asked for, and the mean Frechet distance."""
    real, labels = pixels(lab.data.test_images), lab.data.test_labels
    scores = evaluation.score(lab.samples(model), lab.judge(), lab.referee(), real, labels)
    return float(scores.referee.mean()), float(scores.frechet.mean())


def _spread(values: list[float]) -> str:
    """Mean and range, over seeds."""
    return f"{statistics.mean(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def paper(lab: Lab) -> Row:
    """The paper's 100,000 steps themselves, in our loop."""
    config = PROFILES["paper"].cvae
    trained = []
    took = seconds(lambda: trained.extend(recipes.train_cvaes(lab.data, config, seeds=[0])))
    loss = trained[0][2]["test_loss"]
    return Row(
        what=f"CVAE, the paper's {config.steps:,} steps in our loop",
        ours=[took],
        goal="10 s on an H100",
        quality={"test loss (nats)": [loss, None]},
        gflop=2e-9 * TRAINING * config.batch_size * config.steps,
    )


def whole_matrix(lab: Lab) -> Row:
    """Ten digits, each forgotten on its own, their controls and all attacks, from the original."""
    with tempfile.TemporaryDirectory() as folder:
        for kept in ("data", "figures"):
            if (lab.folder / kept).is_dir():
                (Path(folder) / kept).symlink_to(lab.folder / kept)
        fresh = Lab.open(lab.profile.name, lab.seed, lab.dataset, Path(folder), str(lab.device))
        for stage in (fresh.judge, fresh.referee, fresh.cvae, fresh.fisher):
            stage()
        took = seconds(lambda: matrix(fresh, [(d, (d,)) for d in range(10)]), lab.device)
    return Row("the ten-digit matrix, with controls and attacks", [took], goal="60 s on an H100")


ALL = {
    "protocol": protocol,
    "sprint": sprint,
    "as_good": as_good,
    "cvae": cvae,
    "fisher": fisher,
    "fisher_half": fisher_half,
    "forgetting": forgetting,
    "recovery": recover,
    "paper": paper,
    "matrix": whole_matrix,
}
