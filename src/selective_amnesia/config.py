"""Every number of the protocol, in one place.

A `Profile` says how much work each stage does. `paper` is the authors' protocol to the letter,
`fast` reaches its quality in a fraction of the steps, `smoke` only shows that everything runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from numbers import Real
from typing import Any

__all__ = [
    "PROFILES",
    "AttackConfig",
    "CVAEConfig",
    "DescriptionConfig",
    "EvaluationConfig",
    "FisherConfig",
    "FitConfig",
    "ForgetConfig",
    "JudgeConfig",
    "Profile",
    "RefereeConfig",
    "RelearningConfig",
    "SeeingConfig",
    "amount",
    "count",
    "digit",
    "forget_set",
    "get_profile",
    "same_result",
]


def count(name: str, value: int, least: int = 1) -> int:
    """`value`, if it is a whole number of at least `least`.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}: use a whole number of at least {least}")
    return value


def amount(name: str, value: float) -> float:
    """`value`, if it is zero or a positive number.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} is {value!r}: use a number")
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} is {value}: use zero or a positive number")
    return value


def digit(value: int, classes: int = 10) -> int:
    """`value`, if it is a digit.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < classes:
        raise ValueError(f"{value!r} is not a digit: use 0 to {classes - 1}")
    return value


def one_each(what: str, some: Sequence[Any], of_what: str, others: Sequence[Any]) -> None:
    """Raises ValueError where there is not one of `some` for each of `others`, or none at all."""
    if not len(others) or len(some) != len(others):
        raise ValueError(f"{len(some)} {what}s for {len(others)} {of_what}s: give one each")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Settings whose whole numbers are counts, at least 1 (or 0, where that is their default), and
    whose others are zero or more. A list, as JSON has it, becomes a tuple."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            name, value, kind = setting.name, getattr(self, setting.name), setting.type
            kind = kind.__name__ if isinstance(kind, type) else str(kind)
            if kind == "int":
                count(name, value, 0 if setting.default == 0 else 1)
            elif kind == "float":
                amount(name, value)
            elif kind == "bool" and not isinstance(value, bool):
                raise ValueError(f"{name} is {value!r}: use True or False")
            elif kind.startswith("tuple"):
                object.__setattr__(self, name, tuple(value))
                if kind.startswith("tuple[int"):
                    for each in value:
                        count(name, each)
                if "..." not in kind and len(value) != len(setting.default):
                    raise ValueError(f"{name} is {value!r}: use {len(setting.default)} numbers")


@dataclass(frozen=True, kw_only=True)
class FitConfig(Counts):
    """How a stage is trained: Adam on `steps` batches.

    `lr` rises linearly over `warmup` steps and falls linearly to zero over the last of them, the
    share `decay` of all; between the two it stays.
    With `half`, matrix products are of bfloat16 numbers where the device is faster with them.
    `log_every` and `save_every` (in steps) do not change what is learned.
    """

    steps: int
    batch_size: int
    lr: float
    warmup: int = 0
    decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    half: bool = False
    log_every: int = 50
    save_every: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.lr < float("inf"):
            raise ValueError(f"lr is {self.lr}: use a positive learning rate")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are {self.betas}: use numbers from 0 to below 1")
        if self.decay > 1:
            raise ValueError(f"decay is {self.decay}: use a share of the steps, 0 to 1")
        if not 0 <= self.warmup < self.steps:
            raise ValueError(f"warmup is {self.warmup}: use 0 to steps - 1 = {self.steps - 1}")


@dataclass(frozen=True, kw_only=True)
class CVAEConfig(FitConfig):
    """The original and the control. The KL term is phased in over `kl_warmup` steps. `frames`
    pictures of the training are kept for the GIF."""

    z_dim: int = 8
    hidden: tuple[int, int] = (512, 256)
    kl_warmup: int = 0
    frames: int = 24


@dataclass(frozen=True, kw_only=True)
class JudgeConfig(FitConfig):
    """The paper's classifier."""


@dataclass(frozen=True, kw_only=True)
class RefereeConfig(FitConfig):
    """The independent classifier. `non_digits` is that class's share of each batch; digits are
    blurred by up to `blur` pixels and soiled with `haze` and `grain` of up to that strength."""

    width: int = 16
    features: int = 64
    non_digits: float = 0.25
    blur: float = 1.0
    haze: float = 0.8
    grain: float = 0.4


@dataclass(frozen=True, kw_only=True)
class FisherConfig(Counts):
    """The Fisher diagonal from `samples` of the model's own images, `batch_size` at a time.

    With `half`, matrix products are of bfloat16 numbers where the device is faster with them: half
    the time, and an error that is a fifth of what other 50,000 samples change.
    """

    samples: int
    batch_size: int = 1000
    half: bool = False


@dataclass(frozen=True, kw_only=True)
class ForgetConfig(FitConfig):
    """Selective Amnesia: `gamma` weighs the replay, `lam` the elastic weight consolidation.

    The batch is 256 in every profile, since the loss sums over it (see `losses`).
    """

    gamma: float = 1.0
    lam: float = 100.0
    frames: int = 24


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Counts):
    """`samples` generated per digit for every figure about generated images."""

    samples: int = 1000


@dataclass(frozen=True, kw_only=True)
class AttackConfig(Counts):
    """A recovery attack: Adam on the condition, `codes` images at once, terms by their weights.

    The weights were chosen on digit 0 and seed 0 alone, the referee's verdicts in sight. `lr`
    falls linearly. After the share `settle` of the steps only the `finalists`, those starts that
    are ahead, are searched on. Method B asks for diversity from then on, when there is a digit to
    vary; before that it is method A. So many `critics`, classifiers of the attacker's own, have a
    say beside the judge. With `together` the finalists answer as one, a mixture of conditions.
    """

    steps: int
    codes: int = 16
    lr: float = 0.1
    shape: float = 1.0
    edge: float = 4.0
    repel: float = 1.0
    tv: float = 0.5
    diversity: float = 1.0
    settle: float = 0.4
    finalists: int = 3
    prior: float = 0.01
    frames: int = 12
    critics: int = 0
    together: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.settle > 1:
            raise ValueError(f"settle is {self.settle}: use a share of the steps, 0 to 1")


@dataclass(frozen=True, kw_only=True)
class DescriptionConfig(Counts):
    """Description length: Adam on a shared c and each image's z, for `images` test images.

    A stronger attacker begins from `more_starts` random conditions besides the labels, and goes on
    from the best with at most `polish` steps of L-BFGS.
    """

    steps: int
    images: int = 200
    lr: float = 0.1
    more_starts: int = 0
    polish: int = 0


@dataclass(frozen=True, kw_only=True)
class RelearningConfig(Counts):
    """Relearning: Adam on the decoder's weights (`lr`) and the images' posteriors (`code_lr`).

    From each number of real `images`, `draws` times with other images; the referee looks at
    `samples` painted ones at about `looks` steps.
    """

    steps: int
    images: tuple[int, ...] = (1, 10, 100)
    draws: int = 5
    samples: int = 200
    looks: int = 24
    lr: float = 1e-3
    code_lr: float = 0.1


@dataclass(frozen=True, kw_only=True)
class SeeingConfig(Counts):
    """How finely paths and encodings are looked at.

    Radii are means over `codes` paths of `path_steps` steps. UMAP takes `neighbours` into account,
    t-SNE `tsne` images, the purity `purity_neighbours`, the silhouette `silhouette` images.
    `events` of the explorer's sliders are timed.
    """

    codes: int = 32
    path_steps: int = 20
    neighbours: int = 15
    tsne: int = 1000
    purity_neighbours: int = 10
    silhouette: int = 4000
    events: int = 200


@dataclass(frozen=True, kw_only=True)
class Profile(Counts):
    """How much work: one configuration a stage. `critic` is how an attacker schools classifiers of
    his own; `ablation_steps` cuts Selective Amnesia short, for the study of its terms; `sequence`
    is each round of forgetting one digit after another."""

    name: str
    judge: JudgeConfig
    referee: RefereeConfig
    critic: RefereeConfig
    cvae: CVAEConfig
    fisher: FisherConfig
    forget: ForgetConfig
    ablation_steps: int
    sequence: ForgetConfig
    sequence_fisher: FisherConfig
    sequence_rounds: int
    attack: AttackConfig
    description: DescriptionConfig
    relearning: RelearningConfig
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    seeing: SeeingConfig = field(default_factory=SeeingConfig)


def _forget(steps: int, lr: float, **kwargs: Any) -> ForgetConfig:
    return ForgetConfig(steps=steps, batch_size=256, lr=lr, **kwargs)


def _referee(steps: int) -> RefereeConfig:
    return RefereeConfig(
        steps=steps,
        batch_size=128,
        lr=4e-3,
        warmup=200,
        decay=0.8,
        betas=(0.9, 0.99),
        half=True,
    )


PROFILES = {
    p.name: p
    for p in (
        Profile(
            name="smoke",
            judge=JudgeConfig(steps=30, batch_size=64, lr=1e-3, save_every=10),
            referee=RefereeConfig(
                steps=150, batch_size=64, lr=3e-3, half=True, width=8, save_every=50
            ),
            critic=RefereeConfig(steps=50, batch_size=64, lr=3e-3, half=True, width=8),
            cvae=CVAEConfig(
                steps=60, batch_size=128, lr=2e-3, half=True, kl_warmup=10, save_every=20, frames=5
            ),
            fisher=FisherConfig(samples=500, batch_size=250),
            forget=_forget(30, 1e-3, half=True, save_every=10, frames=5),
            ablation_steps=10,
            sequence=_forget(10, 1e-3, frames=2),
            sequence_fisher=FisherConfig(samples=250, batch_size=250),
            sequence_rounds=2,
            attack=AttackConfig(steps=10, codes=4, frames=2),
            description=DescriptionConfig(steps=20, images=10),
            relearning=RelearningConfig(steps=8, draws=2, samples=20, looks=4),
            evaluation=EvaluationConfig(samples=50),
            seeing=SeeingConfig(codes=4, path_steps=8, tsne=60, silhouette=200, events=20),
        ),
        Profile(
            name="fast",
            judge=JudgeConfig(steps=1500, batch_size=128, lr=3e-3, warmup=100, decay=1.0),
            referee=_referee(2500),
            critic=_referee(1000),
            cvae=CVAEConfig(
                steps=8000,
                batch_size=256,
                lr=4e-3,
                warmup=150,
                decay=0.6,
                betas=(0.9, 0.99),
                half=True,
                kl_warmup=500,
            ),
            fisher=FisherConfig(samples=50_000),
            forget=_forget(
                1000, 4e-3, warmup=50, decay=0.6, betas=(0.9, 0.99), half=True, save_every=200
            ),
            ablation_steps=300,
            sequence=_forget(
                300, 4e-3, warmup=30, decay=0.6, betas=(0.9, 0.99), half=True, frames=2
            ),
            sequence_fisher=FisherConfig(samples=10_000),
            sequence_rounds=9,
            attack=AttackConfig(steps=250),
            description=DescriptionConfig(steps=200),
            relearning=RelearningConfig(steps=150),
        ),
        Profile(
            name="paper",
            judge=JudgeConfig(steps=18_760, batch_size=64, lr=1e-4),
            referee=_referee(5000),
            critic=_referee(2500),
            cvae=CVAEConfig(steps=100_000, batch_size=256, lr=1e-4, save_every=1000),
            fisher=FisherConfig(samples=50_000),
            forget=_forget(10_000, 1e-4),
            ablation_steps=2000,
            sequence=_forget(10_000, 1e-4, frames=2),
            sequence_fisher=FisherConfig(samples=50_000),
            sequence_rounds=9,
            attack=AttackConfig(steps=500),
            description=DescriptionConfig(steps=400, images=500),
            relearning=RelearningConfig(steps=400, draws=10),
        ),
    )
}


def get_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in PROFILES:
        raise ValueError(f"profile {name!r} is unknown: use one of {', '.join(PROFILES)}")
    return PROFILES[name]


def same_result(config: Any) -> dict[str, Any]:
    """The settings that shape a result: those that only say when to log or save are left out, and
    what an attack (critics, answers together) or a Fisher diagonal (bfloat16) has not, so that
    older ones keep their names."""
    silent, optional = {"log_every", "save_every"}, {"critics", "together"}
    if isinstance(config, FisherConfig):
        optional.add("half")
    return {k: v for k, v in asdict(config).items() if k not in silent and (v or k not in optional)}


def forget_set(labels: Iterable[int] | str | int, classes: int = 10) -> tuple[int, ...]:
    """A forget set as sorted labels: from {3, 8}, [3, 8], "3 8", or 3 for a single one.

    Raises:
        ValueError: it is empty, holds something that is no label, or leaves nothing to keep.
    """
    what = f"digits from 0 to {classes - 1}"
    if isinstance(labels, int):
        labels = [labels]
    words = labels.replace(",", " ").split() if isinstance(labels, str) else list(labels)
    for word in words:
        if isinstance(word, bool) or not str(word).isdecimal() or int(word) >= classes:
            raise ValueError(f"cannot forget {word!r}: a forget set holds {what}")
    chosen = tuple(sorted({int(word) for word in words}))
    if not chosen:
        raise ValueError(f"the forget set is empty: name at least one of the {what}")
    if len(chosen) == classes:
        raise ValueError(f"the forget set holds all {classes} digits: leave at least one to keep")
    return chosen
