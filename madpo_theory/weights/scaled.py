"""Another weight times a constant."""

import math
from dataclasses import dataclass

import numpy as np

from ..ops import check_number
from .base import Weighting, log_weight, weighting_of

__all__ = ["ScaledWeight"]


@dataclass(frozen=True)
class ScaledWeight(Weighting):
    """e^log_scale times another weight: the same targets, another step size. Derived here."""

    base: Weighting
    log_scale: float

    def __post_init__(self):
        weighting_of(self.base)
        check_number("log_scale", self.log_scale, "log_scale finite", lambda v: True)

    @classmethod
    def mean_one(cls, base, margins, counts=None):
        """`base` scaled so that its mean over the data is 1: one constant, never per batch.

        Parameters
        ----------
        margins : the reward model's margins toward the observed labels, nats, 1-D, not empty.
        counts : how many pairs have each of the margins, > 0; default one.
        """
        margins = np.asarray(margins, dtype=np.float64)
        if margins.ndim != 1 or margins.size == 0:
            raise ValueError(
                f"margins must be 1-D with at least one entry, got shape {margins.shape}; pass "
                "one margin for each labelled pair of the data"
            )
        counts = np.ones(len(margins)) if counts is None else np.asarray(counts, dtype=np.float64)
        if counts.shape != margins.shape or not (counts > 0).all():
            raise ValueError(
                f"counts must be > 0 and one for each of the {len(margins)} margins; drop margins "
                "that do not occur"
            )
        logs = log_weight(margins, base) + np.log(counts)
        return cls(base, -float(np.logaddexp.reduce(logs) - math.log(counts.sum())))

    def log_weight(self, xp, h):
        return weighting_of(self.base).log_weight(xp, h) + xp.number(self.log_scale, h)

    def log_ratio(self, xp, h):
        return weighting_of(self.base).log_ratio(xp, h)

    def tail(self, xp, quantity, far):
        """The base's: log w is moved by log_scale, w' multiplied, and the ratio is the same."""
        bound = weighting_of(self.base).tail(xp, quantity, far)
        if bound is None or bound == math.inf:
            return bound
        shift = xp.number(self.log_scale, far)
        if quantity == "weight_slope":
            return bound * xp.exp(shift)
        return bound + {"log_weight_max": shift, "log_weight_min": -shift}.get(quantity, 0)
