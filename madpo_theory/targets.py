"""Effective targets: where each method's population loss sends a pair's implicit margin."""

from .ops import check_number, elementwise
from .ops.stable import maximum
from .schedule import check_schedule
from .weights import log_weight_ratio

__all__ = ["dpo_target", "effective_target", "influence_bound", "ipo_target"]


@elementwise("h_true", "h_model")
def effective_target(xp, h_true, h_model, weighting):
    """MADPO's target for z = beta m: the unique minimizer of :func:`pair_risk`.

    ``z* = h_true + log w(h_model) - log w(-h_model)``

    Parameters
    ----------
    h_true : true Bradley-Terry margin, nats.
    h_model : margin of the reward model toward the same response, nats; broadcast with h_true.
    weighting : MarginSchedule (the published weight) or Weighting.

    Returns z* in nats, of the kind and dtype of the margins. Statements T1-T4; derived here.
    """
    return h_true + log_weight_ratio.formula(xp, h_model, weighting)


@elementwise("h_true")
def dpo_target(xp, h_true):
    """DPO's target for z = beta m: the true margin itself (B1). Source: arXiv 2305.18290."""
    return h_true + 0 * h_true


@elementwise("h_true")
def ipo_target(xp, h_true, beta):
    """IPO's target for m (not z): tanh(h_true/2) / (2 beta), bounded however large h_true is.

    `beta` is IPO's tau, per nat, > 0. Statement B2. Source: arXiv 2310.12036.
    """
    check_number("beta", beta, "beta > 0", lambda v: v > 0)
    return xp.tanh(h_true / 2) / (2 * xp.number(beta, h_true))


def influence_bound(schedule):
    """Closed form above D = sup |delta|: max((c_max - 1) tau, log(1 + e^(-c_min tau))), nats.

    No reward model, however wrong, moves a target by more than D (R2). The number is of the
    kind of the schedule's parameters. TypeError for anything but a MarginSchedule. Derived here.
    """
    xp = check_schedule(schedule).world()
    c_max, c_min, _, tau, _ = schedule.in_world(xp, 0.0)
    return maximum(xp, (c_max - 1) * tau, xp.softplus(-c_min * tau))
