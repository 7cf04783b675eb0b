"""The quantities whose suprema the theory needs, each with a proved bound on its tail."""

from collections.abc import Callable
from dataclasses import dataclass

from ..ops import arb_world
from ..schedule import coefficient
from ..targets import effective_target
from ..weight import log_weight, log_weight_ratio

__all__ = ["QUANTITIES", "Quantity"]


@dataclass(frozen=True)
class Quantity:
    """What is maximized: `signed` of a derivative of `function` over all margins.

    Attributes
    ----------
    function : (h, schedule) -> value, in Arb.
    derivative : 0 for the value, 1 for the slope in h.
    signed : how a value enters the maximum: as it is, negated (for a minimum), or absolute.
    tail : (schedule, U) -> a ball above `signed` on [U, inf), for U > tau and lam U >= 1.
    two_sided : whether negative margins are searched too (there w = 1 beyond -tau); False for
        quantities that are even in h by symmetry.
    """

    name: str
    function: Callable
    derivative: int
    signed: Callable
    tail: Callable
    two_sided: bool = False


def _value_tail(schedule, far):
    """|log w(u)| = log[(1 + e^-cu)/(1 + e^-u)] <= log(1 + e^(-c_min U)) for u >= U > tau."""
    _, c_min, *_ = schedule.in_world(arb_world, far)
    return arb_world.softplus(-c_min * far)


def _slope_tail(schedule, far):
    """|(log w)'(u)| = |(c + u c') sigma(-cu) - sigma(-u)| for u >= U > tau.

    At most (c(U) + U |c'| bound) sigma(-c_min U) + sigma(-U), where u |c'(u)| <=
    lam u (c_max - c_min) e^(-lam (u - tau)) / kappa, which decreases once lam u >= 1.
    """
    c_max, c_min, lam, tau, kappa = schedule.in_world(arb_world, far)
    stretch = lam * far * (c_max - c_min) * (-lam * (far - tau)).exp() / kappa
    level = coefficient(far, schedule) + stretch
    return level * arb_world.sigmoid(-c_min * far) + arb_world.sigmoid(-far)


def _dampening(h, schedule):
    """max(-delta(h), 0): how far an easy pair's target falls below its margin."""
    return -arb_world.minimum(log_weight_ratio(h, schedule), 0)


def _as_is(ball):
    return ball


def _negated(ball):
    return -ball


QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity("sensitivity", log_weight_ratio, 1, abs, _slope_tail),
        Quantity("influence", log_weight_ratio, 0, abs, _value_tail),
        Quantity("dampening", _dampening, 0, _as_is, _value_tail),
        Quantity("log_weight_max", log_weight, 0, _as_is, lambda s, far: 0 * far, True),
        Quantity("log_weight_min", log_weight, 0, _negated, _value_tail, True),
        Quantity(
            "target_slope_min",
            lambda h, schedule: effective_target(h, h, schedule),
            1,
            _negated,
            lambda s, far: _slope_tail(s, far) - 1,
        ),
    )
}
