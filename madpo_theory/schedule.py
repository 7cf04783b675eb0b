"""The margin schedule: how the temperature coefficient c falls with the size of the margin."""

import math
from dataclasses import dataclass, field, fields
from fractions import Fraction

from .ops import check_number, elementwise, world_of
from .ops.stable import magnitude

__all__ = ["MarginSchedule", "check_schedule", "coefficient", "kappa"]


# Beyond it kappa and lam tau leave float32's range, and a formula would return inf/inf.
LARGEST = 10**8


def _parameter(default, rule, holds):
    """A field with its range: in words, and as a function of the value."""
    return field(default=default, metadata={"rule": rule, "holds": holds})


@dataclass(frozen=True)
class MarginSchedule:
    """The four numbers of MADPO's coefficient c(|h|), validated and immutable.

    ``c(u) = c_min + (c_max - c_min) / (1 + kappa e^(lam (u - tau)))`` with
    ``kappa = (c_max - 1) / (1 - c_min)``, so that c(tau) = 1.

    Parameters
    ----------
    c_max : amplification limit of hard pairs, > 1 (this, lam and tau at most 1e8).
    c_min : dampening limit of easy pairs, 0 <= c_min < 1.
    lam : steepness, > 0, per nat.
    tau : the margin, in nats, at which c = 1; > 0.

    Parameters may be floats, :class:`fractions.Fraction`, SymPy expressions or Arb balls
    (a ball stands for every schedule in it). Raises ValueError or TypeError with the rule that
    a parameter breaks. Source: arXiv 2510.05342; the released code for the defaults.
    """

    c_max: float = _parameter(2.0, f"1 < c_max <= {LARGEST:g}", lambda v: (v > 1) & (v <= LARGEST))
    c_min: float = _parameter(0.5, "0 <= c_min < 1", lambda v: (v >= 0) & (v < 1))
    lam: float = _parameter(1.0, f"0 < lam <= {LARGEST:g}", lambda v: (v > 0) & (v <= LARGEST))
    tau: float = _parameter(
        math.log(999), f"0 < tau <= {LARGEST:g}", lambda v: (v > 0) & (v <= LARGEST)
    )

    def __post_init__(self):
        for f in fields(self):
            check_number(f.name, getattr(self, f.name), f.metadata["rule"], f.metadata["holds"])

    @classmethod
    def released(cls, c_max=2, *, exact=False):
        """The released settings: c_min = 1/c_max, lam = 1, tau = log 999.

        With ``exact=True`` the parameters are exact (rationals and SymPy's log 999), for
        derivations and certificates; otherwise floats.
        """
        if not exact:
            return cls(float(c_max), 1.0 / c_max, 1.0, math.log(999))
        import sympy

        return cls(Fraction(c_max), 1 / Fraction(c_max), Fraction(1), sympy.log(999))

    @classmethod
    def class_defaults(cls, *, exact=False):
        """The defaults of the released loss class: c_max = 2, c_min = 1/2, lam = 1, tau = 2."""
        kind = Fraction if exact else float
        return cls(kind(2), kind(1) / 2, kind(1), kind(2))

    def world(self):
        """The world that its parameters live in; floats and fractions join any."""
        values = {n: getattr(self, n) for n in ("c_max", "c_min", "lam", "tau")}
        return world_of(**{n: v for n, v in values.items() if not isinstance(v, Fraction)})

    def in_world(self, xp, like):
        """(c_max, c_min, lam, tau, kappa) as numbers of the world `xp`."""
        c_max, c_min, lam, tau = (
            xp.number(value, like) for value in (self.c_max, self.c_min, self.lam, self.tau)
        )
        return c_max, c_min, lam, tau, kappa(c_max, c_min)


def kappa(c_max, c_min):
    """``(c_max - 1)/(1 - c_min)``, which makes c(tau) = 1; of numbers of any world."""
    return (c_max - 1) / (1 - c_min)


def check_schedule(schedule):
    """The schedule, or a TypeError that names what came instead."""
    if not isinstance(schedule, MarginSchedule):
        raise TypeError(
            f"schedule must be a MarginSchedule, got {type(schedule).__qualname__}; make one with "
            "MarginSchedule(c_max=..., c_min=..., lam=..., tau=...) or MarginSchedule.released()"
        )
    return schedule


@elementwise("h")
def coefficient(xp, h, schedule):
    """Temperature coefficient of a pair with reward-model margin h.

    ``c(|h|) = c_min + (c_max - c_min) / (1 + kappa e^(lam (|h| - tau)))``, strictly
    decreasing in |h| from just below c_max to c_min, 1 at |h| = tau.

    Parameters
    ----------
    h : margin toward the observed label, nats, any shape; finite.
    schedule : MarginSchedule.

    Returns the coefficient (no unit), of the kind, dtype and shape of h.
    Source: arXiv 2510.05342; statement S1.
    """
    c_max, c_min, lam, tau, kappa = check_schedule(schedule).in_world(xp, h)
    return c_min + (c_max - c_min) * xp.logistic(lam * (magnitude(xp, h) - tau), kappa)


@elementwise("h")
def excess(xp, h, schedule):
    """c(|h|) - 1 without cancellation at |h| = tau: (c_max - 1)(1 - E)/(1 + kappa E).

    E = e^(lam (|h| - tau)); equal to ``coefficient - 1`` by an identity that the ledger proves
    (S1). Shapes, kinds and errors as in :func:`coefficient`. Derived here.
    """
    c_max, _, lam, tau, kappa = check_schedule(schedule).in_world(xp, h)
    return (c_max - 1) * xp.mobius_exp(lam * (magnitude(xp, h) - tau), kappa)


def stretch(xp, far, schedule):
    """A bound on u |c'(u)| for all u >= far; None where this one does not hold.

    ``lam far (c_max - c_min) e^(-lam (far - tau)) / kappa``, from c' = -lam (c - c_min)(c_max - c)
    / (c_max - c_min) and c - c_min < (c_max - c_min)/(kappa E). It falls with `far` once
    lam far >= 1; with far > tau too, the tail bounds that use it have c < 1. Derived here.
    """
    c_max, c_min, lam, tau, kappa = check_schedule(schedule).in_world(xp, far)
    if not (far > tau and lam * far >= 1):
        return None
    return lam * far * (c_max - c_min) * xp.exp(-lam * (far - tau)) / kappa
