"""The quantities whose suprema the theory needs, each with a proved bound on its tail."""

from collections.abc import Callable
from dataclasses import dataclass

from ..ops import arb_world
from ..schedule import MarginSchedule, coefficient
from ..targets import effective_target
from ..weights import BoundedRatioWeight, PublishedWeight, log_weight, log_weight_ratio, weight

__all__ = ["QUANTITIES", "WEIGHTINGS", "Quantity", "quantity_of", "weighting_kind"]

WEIGHTINGS = {"published": PublishedWeight, "bounded ratio": BoundedRatioWeight}


@dataclass(frozen=True)
class Quantity:
    """What is maximized: a derivative of `formula` over all margins, under one sign or both.

    Attributes
    ----------
    formula : (xp, h, weighting) -> value, in any world.
    derivative : 0 for the value, 1 for the slope in h.
    signs : 1 for a maximum, -1 for the negative of a minimum, both for an absolute value.
    tails : for each kind of weight, (schedule, U) -> a ball above the quantity on [U, inf), for
        U > tau and lam U >= 1; a kind that is absent has no finite supremum.
    two_sided : whether negative margins are searched too (beyond -tau every weight here is 1);
        False for quantities that are even in h by symmetry.
    """

    name: str
    formula: Callable
    derivative: int
    signs: tuple
    tails: dict
    two_sided: bool = False

    def signed(self, ball):
        """The value as it enters the maximum."""
        return abs(ball) if len(self.signs) == 2 else self.signs[0] * ball


def quantity_of(name, kind):
    """The quantity called `name`; ValueError if there is none, or none finite for this weight."""
    if name not in QUANTITIES:
        raise ValueError(f"name must be one of {sorted(QUANTITIES)}, got {name!r}")
    if kind not in WEIGHTINGS:
        raise ValueError(f"the weight must be one of {sorted(WEIGHTINGS)}, got {kind!r}")
    quantity = QUANTITIES[name]
    if kind not in quantity.tails:
        finite = sorted(n for n, q in QUANTITIES.items() if kind in q.tails)
        raise ValueError(
            f"{name} of the {kind} weight is infinite, as delta = (c - 1) h and log w fall without "
            f"bound when h grows (so D is infinite); ask for one of {finite}"
        )
    return quantity


def weighting_kind(weighting):
    """(kind, schedule) of a MarginSchedule, which means the published weight, or a Weighting."""
    if isinstance(weighting, MarginSchedule):
        return "published", weighting
    for kind, cls in WEIGHTINGS.items():
        if type(weighting) is cls:
            return kind, weighting.schedule
    raise TypeError(
        "weighting must be a MarginSchedule, PublishedWeight or BoundedRatioWeight, got "
        f"{type(weighting).__qualname__}; no tail bound is known for another"
    )


def _value_tail(schedule, far):
    """|log w(u)| = log[(1 + e^-cu)/(1 + e^-u)] <= log(1 + e^(-c_min U)) for u >= U > tau."""
    _, c_min, *_ = schedule.in_world(arb_world, far)
    return arb_world.softplus(-c_min * far)


def _stretch(schedule, far):
    """u |c'(u)| <= lam u (c_max - c_min) e^(-lam (u - tau)) / kappa for u >= U.

    From c' = -lam (c - c_min)(c_max - c)/(c_max - c_min) and c - c_min < (c_max - c_min)/(kappa
    E), and it decreases once lam u >= 1: the bound at U holds beyond it.
    """
    c_max, c_min, lam, tau, kappa = schedule.in_world(arb_world, far)
    return lam * far * (c_max - c_min) * (-lam * (far - tau)).exp() / kappa


def _slope_tail(schedule, far):
    """|(log w)'(u)| = |(c + u c') sigma(-cu) - sigma(-u)| for u >= U > tau.

    At most (c(U) + stretch) sigma(-c_min U) + sigma(-U). It bounds |w'| too, as w <= 1 there.
    """
    _, c_min, *_ = schedule.in_world(arb_world, far)
    level = coefficient(far, schedule) + _stretch(schedule, far)
    return level * arb_world.sigmoid(-c_min * far) + arb_world.sigmoid(-far)


def _ratio_slope_tail(schedule, far):
    """|((c - 1) u)'| = |c - 1 + u c'| <= (1 - c_min) + stretch for u >= U > tau."""
    _, c_min, *_ = schedule.in_world(arb_world, far)
    return 1 - c_min + _stretch(schedule, far)


def _ratio_weight_slope_tail(schedule, far):
    """|w'| = e^((c - 1) u) |c - 1 + u c'| <= e^((c(U) - 1) U) (1 - c_min + stretch), u >= U > tau.

    (c - 1) u decreases there: c - 1 is negative and decreases.
    """
    decay = ((coefficient(far, schedule) - 1) * far).exp()
    return decay * _ratio_slope_tail(schedule, far)


def _zero(schedule, far):
    """log w <= 0 beyond tau, where c < 1; for both weights."""
    return 0 * far


def _target_rise_tail(schedule, far):
    """T' = 1 + (log w)'."""
    return 1 + _slope_tail(schedule, far)


def _target_fall_tail(schedule, far):
    """-T' = -1 - (log w)'."""
    return _slope_tail(schedule, far) - 1


def _ratio_target_rise_tail(schedule, far):
    """T' = c + u c' <= c(U), as c decreases."""
    return coefficient(far, schedule)


def _ratio_target_fall_tail(schedule, far):
    """-T' = -(c + u c') <= stretch - c_min."""
    _, c_min, *_ = schedule.in_world(arb_world, far)
    return _stretch(schedule, far) - c_min


def _dampening(xp, h, weighting):
    """max(-delta(h), 0): how far an easy pair's target falls below its margin."""
    return -xp.minimum(log_weight_ratio.formula(xp, h, weighting), 0)


def _target(xp, h, weighting):
    return effective_target.formula(xp, h, h, weighting)


_delta, _log_weight = log_weight_ratio.formula, log_weight.formula

_ALL = (
    Quantity(
        "sensitivity",
        _delta,
        1,
        (1, -1),
        {"published": _slope_tail, "bounded ratio": _ratio_slope_tail},
    ),
    Quantity("influence", _delta, 0, (1, -1), {"published": _value_tail}),
    Quantity("dampening", _dampening, 0, (1,), {"published": _value_tail}),
    Quantity("log_weight_max", _log_weight, 0, (1,), dict.fromkeys(WEIGHTINGS, _zero), True),
    Quantity("log_weight_min", _log_weight, 0, (-1,), {"published": _value_tail}, True),
    Quantity(
        "target_slope_min",
        _target,
        1,
        (-1,),
        {"published": _target_fall_tail, "bounded ratio": _ratio_target_fall_tail},
    ),
    Quantity(
        "target_slope_max",
        _target,
        1,
        (1,),
        {"published": _target_rise_tail, "bounded ratio": _ratio_target_rise_tail},
    ),
    Quantity(
        "weight_slope",
        weight.formula,
        1,
        (1, -1),
        {"published": _slope_tail, "bounded ratio": _ratio_weight_slope_tail},
        True,
    ),
)
QUANTITIES = {quantity.name: quantity for quantity in _ALL}
