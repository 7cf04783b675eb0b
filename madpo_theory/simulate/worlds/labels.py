"""Labels of pairs: exact or sampled, flipped, with ties; each a config in LABELS."""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from ...ops import check_number
from ...ops.checks import check_choice, check_count, check_kind, check_nonnegative, check_positive
from .sampling import check_sampling
from .world import both_orders

__all__ = [
    "LABELS",
    "DavidsonTies",
    "ExactLabels",
    "Labels",
    "RaoKupperTies",
    "SampledLabels",
    "draw_labels",
]


@dataclass(frozen=True)
class DavidsonTies:
    """Davidson's ties: nu/(nu + 2 cosh(h/2)) of all comparisons; the rest are Bradley-Terry.

    Dropping them leaves the odds of the labels as they were and takes comparisons from hard pairs.
    Source: R. R. Davidson, Journal of the American Statistical Association 65(329), 1970.
    """

    nu: float = 1.0
    """> 0; at h = 0, nu/(nu + 2) of the comparisons are ties."""
    kind: str = field(default="davidson", init=False)
    """Which tie model it is."""

    def __post_init__(self):
        check_positive("nu", self.nu)

    def outcomes(self, h):
        size = np.abs(h)
        log_decided = size / 2 + np.log1p(np.exp(-size)) - math.log(self.nu)  # log odds
        decided = expit(log_decided)
        return decided * expit(h), expit(-log_decided), decided * expit(-h)


@dataclass(frozen=True)
class RaoKupperTies:
    """Rao and Kupper's ties: i wins with probability sigma(h - threshold), j with sigma(-h - ...).

    Dropping them makes the labels steeper than Bradley-Terry: the log-odds of what is left are
    log[(1 + e^(h + threshold))/(1 + e^(-h + threshold))], between h and 2h in size.
    Source: P. V. Rao, L. L. Kupper, Journal of the American Statistical Association 62(317), 1967.
    """

    threshold: float = 0.5
    """Differences that judges do not see, nats, >= 0."""
    kind: str = field(default="rao_kupper", init=False)
    """Which tie model it is."""

    def __post_init__(self):
        check_nonnegative("threshold", self.threshold)

    def outcomes(self, h):
        win, lose = expit(h - self.threshold), expit(-h - self.threshold)
        # (e^2t - 1) win lose, of which e^2t overflows and the products underflow
        log_tie = 2 * self.threshold - np.logaddexp(0, self.threshold - h)
        log_tie = log_tie - np.logaddexp(0, self.threshold + h)
        return win, -np.expm1(-2 * self.threshold) * np.exp(log_tie), lose


class _Labels:
    def __post_init__(self):
        check_number("flip", self.flip, "0 <= flip <= 1", lambda v: (v >= 0) & (v <= 1))
        if self.ties is not None:
            check_kind("ties", self.ties, DavidsonTies, RaoKupperTies)

    def outcomes(self, h):
        """Probabilities (win, tie, lose) of the row response, of true margins h."""
        win, tie, lose = (
            (expit(h), 0 * h, expit(-h)) if self.ties is None else self.ties.outcomes(h)
        )
        keep = 1 - self.flip
        return keep * win + self.flip * lose, tie, keep * lose + self.flip * win


@dataclass(frozen=True)
class ExactLabels(_Labels):
    """Infinitely many labels: their probabilities."""

    flip: float = 0.0
    """Probability that a decided label is turned round, in [0, 1]."""
    ties: object | None = None
    """DavidsonTies or RaoKupperTies, whose tied comparisons are dropped; None for no ties."""
    kind: str = field(default="exact", init=False)
    """Its name in LABELS."""


@dataclass(frozen=True)
class SampledLabels(_Labels):
    """Finitely many labels, drawn independently."""

    labels: int = 16
    """How many comparisons are made, >= 1; ties, which are dropped, among them."""
    per: str = "pair"
    """pair: so many of every pair, whose share of the sampling stays its weight; prompt: so many in
    all, spread over the pairs by their shares at random."""
    flip: float = 0.0
    """Probability that a decided label is turned round, in [0, 1]."""
    ties: object | None = None
    """DavidsonTies or RaoKupperTies, whose tied comparisons are dropped; None for no ties."""
    kind: str = field(default="sampled", init=False)
    """Its name in LABELS."""

    def __post_init__(self):
        super().__post_init__()
        check_count("labels", self.labels, 1)
        check_choice("per", self.per, ("pair", "prompt"))


LABELS = {cls.kind: cls for cls in (ExactLabels, SampledLabels)}


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of worlds.

    Attributes
    ----------
    masses : (W, P, K, K), share of the prompt's labels that say "row beats column", the shares of
        the pairs' sampling included; sums to 1 a prompt.
    counts : (W, P, K, K) numbers of labels, or None if they are exact.
    decided : (W, P), share of the comparisons, weighted as the masses are, that was no tie.
    """

    masses: np.ndarray
    counts: np.ndarray | None
    decided: np.ndarray


def draw_labels(config, worlds, sampling, *, replicate=0, component="labels"):
    """Labels of the worlds' pairs.

    Parameters
    ----------
    config : ExactLabels or SampledLabels.
    sampling : (W, P, K, K) shares of the pairs, from :func:`pair_sampling`.
    replicate : number of the data set, for several of one world.
    component : whose draws they are; "model labels" for those that only the reward model sees.

    Returns :class:`Labels`. Raises ValueError if a prompt has no decided label at all, or if a
    label's probability underflows (true margins beyond 700 nats).
    """
    check_kind("config", config, *LABELS.values())
    sampling = check_sampling(sampling, worlds)
    size = worlds.shape[-1]
    first, second = np.triu_indices(size, 1)
    shares = 2 * sampling[..., first, second]
    win, tie, lose = config.outcomes(worlds.margins[..., first, second])
    if isinstance(config, ExactLabels):
        underflows = (np.minimum(win, lose) == 0) & (shares > 0)
        if underflows.any():
            world, prompt, pair = map(int, np.argwhere(underflows)[0])
            raise ValueError(
                f"the probability of a label underflows for responses {first[pair]} and "
                f"{second[pair]} of prompt {prompt} of world {worlds.indices[world]}; take smaller "
                "rewards, or leave the pair out of the sampling"
            )
        up, down, counts = shares * win, shares * lose, None
    else:
        pairs = [
            _draw_counts(config, rng, *of_world)
            for rng, *of_world in zip(
                worlds.generators(component, replicate), shares, win, tie, lose, strict=True
            )
        ]
        won, lost = (np.stack(side).astype(np.float64) for side in zip(*pairs, strict=True))
        counts = both_orders(won, lost, size)
        each = 1 / config.labels if config.per == "prompt" else shares / config.labels
        up, down = each * won, each * lost
    decided = (up + down).sum(axis=-1)
    if not (decided > 0).all():
        world, prompt = map(int, np.argwhere(~(decided > 0))[0])
        raise ValueError(
            f"prompt {prompt} of world {worlds.indices[world]} has no decided label: all its "
            "comparisons were ties; draw more labels"
        )
    share = decided[..., None]
    return Labels(both_orders(up / share, down / share, size), counts, decided)


def _draw_counts(config, rng, shares, win, tie, lose):
    """Numbers of wins and losses (P, pairs) of one world."""
    if config.per == "pair":
        made = np.where(shares > 0, config.labels, 0)
    else:
        # What rounding leaves of the total falls to the last entry: let that be the heaviest.
        order = np.argsort(shares, axis=-1)
        heavier = np.take_along_axis(shares, order, axis=-1)
        drawn = rng.multinomial(config.labels, heavier / heavier.sum(axis=-1, keepdims=True))
        made = np.empty_like(drawn)
        np.put_along_axis(made, order, drawn, axis=-1)
    outcome = rng.multinomial(made, np.stack([win, tie, lose], axis=-1))
    return outcome[..., 0], outcome[..., 2]
