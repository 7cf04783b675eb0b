"""What a weight does, in one row: constants of its targets, its spread, its efficiency."""

from dataclasses import asdict, dataclass

import numpy as np

from ..methods import Distillation, Madpo
from ..ops.numpy_world import sigmoid
from ..targets import effective_target
from ..weights import log_weight, weight
from .efficiency import effective_sample_size, pair_information

__all__ = ["WeightProfile", "apart", "distillation_profile", "largest_pull", "weight_profile"]

_POINTS = 200_001


@dataclass(frozen=True)
class WeightProfile:
    """Properties of a weight, or of distillation, over margins up to `reach` in size.

    Attributes
    ----------
    sensitivity : nats of target per nat of reward-model error at worst (R1's L over the reach).
    influence : nats that the worst reward model moves a target (R2's D over the reach).
    largest_weight, smallest_weight : of w over the reach.
    ess : effective share of the pairs, (E w)^2/E w^2 under Bradley-Terry labels of the data.
    dampening : nats by which an exact reward model lowers the target at the reach.
    monotone : whether the target increases with the true margin over the reach.
    efficiency : variance of the best weight over that of this one, for one parameter shared by all
        pairs whose targets it reaches, exact reward model (N4); nan for distillation, whose
        targets carry no label noise at all.
    """

    sensitivity: float
    influence: float
    largest_weight: float
    smallest_weight: float
    ess: float
    dampening: float
    monotone: bool
    efficiency: float

    def row(self):
        """The profile as a dict."""
        return asdict(self)


def apart(a, b):
    """|a - b|, 0 where both are the same infinity."""
    with np.errstate(invalid="ignore"):
        return np.where(a == b, 0.0, np.abs(a - b))


def largest_pull(method, h_true, sizes):
    """(L, D): slope in h and size, at worst, of T(h*, h) - T(h*, 0), the reward model's part.

    Parameters
    ----------
    method : a :class:`~madpo_theory.methods.Method` with a target T.
    h_true : (m,) true margins h*, nats.
    sizes : (n,) sizes of the reward model's margins h, ascending, >= 0; both signs are looked at.

    Largest values on the grid: L between its neighbours, D at its points; infinite where targets
    are. R1 and R2 for any method; derived here.
    """
    h = np.unique(np.concatenate([-sizes, sizes]))
    h_true = np.asarray(h_true, dtype=np.float64)[:, None]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        targets = np.broadcast_to(method.target(h_true, h), (len(h_true), len(h)))
        still = method.target(h_true, 0 * h_true)
        steps = apart(targets[:, 1:], targets[:, :-1])
        return float((steps / np.diff(h)).max()), float(apart(targets, still).max())


def _margins(margins):
    margins = np.asarray(margins, dtype=np.float64)
    if margins.ndim != 1 or not margins.size or not np.isfinite(margins).all():
        raise ValueError(
            f"margins must be 1-D, finite and not empty, got shape {margins.shape}; pass one true "
            "margin for each pair"
        )
    return margins


def weight_profile(weighting, margins, *, reach=20.0):
    """:class:`WeightProfile` of a weight for pairs with the given true margins.

    Parameters
    ----------
    weighting : MarginSchedule (the published weight) or Weighting.
    margins : true margins of the data, nats, 1-D; the reward model is exact.
    reach : size of the margins over which suprema are taken, nats. A grid finds them, so they are
        measured, to 1e-3 relative; the ledger certifies the published ones.

    Statement N3; derived here.
    """
    h = _margins(margins)
    logs = log_weight(np.linspace(-reach, reach, _POINTS), weighting)
    up, down, p = weight(h, weighting), weight(-h, weighting), sigmoid(h)
    curvature, variance = pair_information(h, h, weighting)
    target = effective_target(h, h, weighting)
    fisher = (p * (1 - p) * target**2).sum()
    own = (curvature * target**2).sum() ** 2 / (variance * target**2).sum()
    return WeightProfile(
        **_of_targets(Madpo(weighting), reach),
        largest_weight=float(np.exp(logs.max())),
        smallest_weight=float(np.exp(logs.min())),
        ess=effective_sample_size(np.append(up, down), np.append(p, 1 - p)) / len(h),
        efficiency=float(own / fisher),
    )


def distillation_profile(weighting, margins, *, reach=20.0):
    """The same row for soft-label distillation toward the targets of `weighting`.

    Its target is the reward model's, T(h), whatever the label: an error enters whole and without
    bound, and there is no weight. Arguments as in :func:`weight_profile`.
    """
    _margins(margins)
    found = _of_targets(Distillation(weighting=weighting), reach) | {"influence": float("inf")}
    return WeightProfile(
        **found, largest_weight=1.0, smallest_weight=1.0, ess=1.0, efficiency=float("nan")
    )


def _of_targets(method, reach):
    """The part of a :class:`WeightProfile` that targets decide."""
    sizes = np.linspace(0, reach, _POINTS // 2 + 1)
    steepest, widest = largest_pull(method, np.zeros(1), sizes)
    target = method.target(sizes)
    return {
        "sensitivity": steepest,
        "influence": widest,
        "dampening": float(reach - target[-1]),
        "monotone": bool((np.diff(target) >= 0).all()),
    }
