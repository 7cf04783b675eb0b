"""MADPO against a change of temperature: which DPO(beta / rho) it is closest to, and how close.

DPO at the temperature beta / rho sends z = beta m to rho h. So a weighting whose effective target
T(h) is proportional to h on the margins that occur is DPO at another temperature (L5), and what is
not proportional is all that it adds. The reward model is taken to be exact. Of a policy instead of
targets: :func:`~madpo_theory.theory.value.nearest_dpo`.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..ops.checks import finite_array
from ..targets import effective_target

__all__ = ["TemperatureMatch", "match_targets", "match_temperature", "matched_temperature"]


@dataclass(frozen=True)
class TemperatureMatch:
    """The nearest change of temperature, in least squares of targets.

    Attributes
    ----------
    rho : DPO(beta / rho) has the nearest targets to MADPO(beta).
    distance : what is left of the targets, relative, in [0, 1]: 0 iff MADPO's optimum is DPO's at
        the temperature beta / rho on these margins.
    """

    rho: float
    distance: float


def match_temperature(margins, weighting, weights=None):
    """Nearest DPO target rho h to MADPO's T(h): :func:`match_targets` of a weighting's targets.

    `weighting` is what :func:`~madpo_theory.effective_target` takes; the rest is as there.
    Statement L5; derived here.
    """
    margins = finite_array("margins", margins, ndim=1)
    return match_targets(margins, effective_target(margins, margins, weighting), weights)


def match_targets(margins, targets, weights=None):
    """Nearest DPO target rho h to any T(h): ``min over rho of sum w (T(h) - rho h)^2``.

    ``rho = sum w h T / sum w h^2`` and ``distance = |T - rho h| / |T| = sqrt(1 - cos^2)``, cos that
    of the angle between h and T, computed from the residual so that it does not cancel.

    Parameters
    ----------
    margins : (n,) true margins, nats, not all 0.
    targets : (n,) their targets T(h), nats.
    weights : (n,) nonnegative, default 1.

    Returns a :class:`TemperatureMatch`. Raises ValueError or TypeError naming the argument.
    Statement L5; derived here.
    """
    margins = finite_array("margins", margins, ndim=1)
    targets = finite_array("targets", targets, shape=margins.shape)
    weights = np.ones(len(margins)) if weights is None else finite_array("weights", weights, ndim=1)
    if weights.shape != margins.shape:
        raise ValueError(f"weights must have shape {margins.shape} like margins: {weights.shape}")
    if (weights < 0).any():
        raise ValueError(f"weights = {weights.min():g} breaks the rule weights >= 0; choose it so")
    root = np.sqrt(weights)
    h, target = root * margins, root * targets
    if not h.any():
        raise ValueError("margins must hold one that is not 0 and has weight; 0 has no temperature")
    rho = float((h * target).sum() / (h * h).sum())
    length, left = (math.sqrt((v * v).sum()) for v in (target, target - rho * h))
    # Cauchy-Schwarz up to rounding: T orthogonal to h is at the distance 1.
    return TemperatureMatch(rho, min(left / (length or 1), 1.0))


def matched_temperature(margins, weighting, weights=None):
    """rho of :func:`match_temperature`: MADPO(beta) is nearest to DPO(beta / rho)."""
    return match_temperature(margins, weighting, weights).rho
