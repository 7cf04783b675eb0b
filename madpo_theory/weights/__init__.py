"""Weights of pairs; each is one file here, found by :data:`WEIGHTS` under its name.

A :class:`Weighting` says what the logarithm of its weight is; the weight itself, the shift of the
targets, the risk, the loss and the theorems follow from that alone. A
:class:`~madpo_theory.MarginSchedule` stands for the published weight of that schedule.

A target depends on the ratio w(h)/w(-h) alone. :class:`BoundedRatioWeight` (N1) and
:class:`TargetShapedWeight` (N2) fix that ratio and set the larger of the two weights to 1;
:class:`EfficientWeight` (N4) keeps the targets of any weight and spends the remaining freedom, the
common scale of w(h) and w(-h), on the least variance; :class:`ScaledWeight` multiplies by a
constant.
"""

from .base import (
    OF_RATIO,
    WEIGHTS,
    Weighting,
    log_weight,
    log_weight_ratio,
    weight,
    weighting_named,
    weighting_of,
)
from .bounded_ratio import BoundedRatioWeight
from .confidence import ConfidenceWeight
from .efficient import EfficientWeight
from .even import EvenWeight
from .one_sided import AmpOnlyWeight, OneSidedWeight, RegOnlyWeight
from .published import PublishedWeight
from .reward_magnitude import RewardMagnitudeWeight
from .reward_probability import RewardProbabilityWeight
from .scaled import ScaledWeight
from .target_shaped import PowerTarget, TargetMap, TargetShapedWeight

__all__ = [
    "OF_RATIO",
    "WEIGHTS",
    "AmpOnlyWeight",
    "BoundedRatioWeight",
    "ConfidenceWeight",
    "EfficientWeight",
    "EvenWeight",
    "OneSidedWeight",
    "PowerTarget",
    "PublishedWeight",
    "RegOnlyWeight",
    "RewardMagnitudeWeight",
    "RewardProbabilityWeight",
    "ScaledWeight",
    "TargetMap",
    "TargetShapedWeight",
    "Weighting",
    "log_weight",
    "log_weight_ratio",
    "weight",
    "weighting_named",
    "weighting_of",
]
