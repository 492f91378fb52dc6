"""The settings of every stage. `profiles.py` says how much work each profile does."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .checks import amount, count

PIXELS = ("binary", "grey", "continuous")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Validated settings: whole numbers are counts, at least 1 (or 0, where that is their default),
    and other numbers are zero or more. A list, as JSON has it, becomes a tuple.

    Raises:
        ValueError: at construction, where a value is not of its setting's kind.
    """

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
                if "..." not in kind and len(value) != len(setting.default):  # type: ignore[arg-type]
                    raise ValueError(f"{name} is {value!r}: use {len(setting.default)} numbers")  # type: ignore[arg-type]

    def shaping(self) -> dict[str, Any]:
        """The settings that shape a result: those that only say when to log or save are left
        out."""
        return {k: v for k, v in asdict(self).items() if k not in {"log_every", "save_every"}}


@dataclass(frozen=True, kw_only=True)
class FitConfig(Config):
    """How a stage is trained: Adam on `steps` batches.

    `lr` rises linearly over `warmup` steps and falls linearly to zero over the last of them, the
    share `decay` of all; between the two it stays. With `drop_every` it is times 0.1 every so many
    steps. `last_batch` keeps the incomplete batch at an epoch's end. With `bfloat16`, matrix
    products are of bfloat16 numbers where the device is faster with them. `log_every` and
    `save_every` (in steps) do not change what is learned.
    """

    steps: int
    batch_size: int
    lr: float
    warmup: int = 0
    decay: float = 0.0
    drop_every: int = 0
    last_batch: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    bfloat16: bool = False
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
    """The panel's CNN, or an attacker's surrogate classifier. `negatives`, images of none of the
    classes, are that share of each batch; images are blurred by up to `blur` pixels and corrupted
    with `haze` and `grain` of up to that strength."""

    width: int = 16
    features: int = 64
    negatives: float = 0.25
    blur: float = 1.0
    haze: float = 0.8
    grain: float = 0.4


@dataclass(frozen=True, kw_only=True)
class PanelConfig(Config):
    """What the panel's members learn from: the first `images` of the training set (0: all of it),
    and `negatives`, images of none of the classes."""

    images: int = 0
    negatives: int = 9000


@dataclass(frozen=True, kw_only=True)
class FisherConfig(Config):
    """The Fisher diagonal from `samples` of the model's own images, `batch_size` at a time."""

    samples: int
    batch_size: int = 1000


@dataclass(frozen=True, kw_only=True)
class ForgetConfig(FitConfig):
    """A forgetting method: `gamma` weighs the replay, `lam` the elastic weight consolidation.

    The batch is 256 in every profile, since the loss sums over it (see `forgetting.losses`).
    """

    gamma: float = 1.0
    lam: float = 100.0
    frames: int = 24


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Config):
    """`samples` generated per label for every figure about generated images."""

    samples: int = 1000


@dataclass(frozen=True, kw_only=True)
class AttackConfig(Config):
    """A recovery attack: Adam on the condition, `codes` images at once, terms by their weights.

    The weights were chosen on digit 0 and seed 0 alone, the verdicts of a single CNN in sight. `lr`
    falls linearly. After the share `settle` of the steps only the `finalists`, those starts that
    are ahead, are searched on. So many `surrogates`, classifiers of the attacker's own, have a say
    beside the judge. With `together` the finalists answer as one, a mixture of conditions. `real`
    training images of the label are what the attacker knows it by. Another `draw` is another draw
    of its codes.
    """

    steps: int
    codes: int = 16
    lr: float = 0.1
    shape: float = 1.0
    edge: float = 4.0
    repel: float = 1.0
    tv: float = 0.5
    settle: float = 0.4
    finalists: int = 3
    frames: int = 12
    surrogates: int = 0
    together: bool = False
    real: int = 2000
    draw: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.settle > 1:
            raise ValueError(f"settle is {self.settle}: use a share of the steps, 0 to 1")


@dataclass(frozen=True, kw_only=True)
class DescriptionConfig(Config):
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
class WeightingConfig(Config):
    """Importance weighting: `samples` an image around the best codes from `codes` starts; `pixels`
    are binary, grey or continuous (`metrics.likelihood`)."""

    samples: int = 100
    codes: int = 2
    pixels: str = "binary"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pixels not in PIXELS:
            raise ValueError(f"pixels is {self.pixels!r}: use one of {', '.join(PIXELS)}")


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig(WeightingConfig, DescriptionConfig):
    """True nats: the condition is sought on `images` images and measured on as many others."""

    steps: int = 60
    images: int = 100
    more_starts: int = 5
    polish: int = 50


@dataclass(frozen=True, kw_only=True)
class RelearningConfig(Config):
    """Relearning: Adam on the decoder's weights (`lr`) and the images' posteriors (`code_lr`).

    From each number of real `images`, `draws` times with other images; the panel looks at
    `samples` decoded images at about `evaluations` steps.
    """

    steps: int
    images: tuple[int, ...] = (1, 10, 100)
    draws: int = 5
    samples: int = 100
    evaluations: int = 24
    lr: float = 1e-3
    code_lr: float = 0.1


@dataclass(frozen=True, kw_only=True)
class VisualisationConfig(Config):
    """How finely paths and encodings are looked at.

    Radii are means over `codes` paths of `path_steps` steps. UMAP and t-SNE show `drawn` images
    (below 4,096 umap-learn compares all pairs in Python, above it compiles for a minute), UMAP by
    `neighbours`. The purity takes `purity_neighbours`, the silhouette `silhouette` images.
    """

    codes: int = 16
    path_steps: int = 20
    drawn: int = 1000
    neighbours: int = 15
    purity_neighbours: int = 10
    silhouette: int = 4000


@dataclass(frozen=True, kw_only=True)
class Profile(Config):
    """How much work: one configuration a stage. `surrogate` is how an attacker trains classifiers
    of its own; `ablation_steps` cuts Selective Amnesia short, for the study of its terms;
    `sequence` is each round of forgetting one label after another."""

    name: str
    judge: JudgeConfig
    referee: RefereeConfig
    surrogate: RefereeConfig
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
    panel: PanelConfig = field(default_factory=PanelConfig)
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    visualisation: VisualisationConfig = field(default_factory=VisualisationConfig)

    def like(self, kind: type[Config]) -> Config | None:
        """The configuration of this profile whose class is `kind` or the nearest that `kind`
        extends: what the settings of a method, an attack or a metric begin from."""
        values = [getattr(self, setting.name) for setting in fields(self)]
        own = {type(c): c for c in reversed(values) if isinstance(c, Config)}
        return next((own[k] for k in kind.__mro__ if k in own), None)
