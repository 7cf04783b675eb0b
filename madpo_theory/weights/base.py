"""What a weight is, and the functions that take any of them."""

from abc import ABC, abstractmethod
from dataclasses import fields, is_dataclass

import numpy as np

from ..ops import PRIMITIVES, STABLE, elementwise, numpy_world
from ..registry import Named, Registry
from ..schedule import MarginSchedule

__all__ = [
    "OF_RATIO",
    "WEIGHTS",
    "Weighting",
    "check_log_weight",
    "log_weight",
    "log_weight_ratio",
    "weight",
    "weighting_named",
    "weighting_of",
]

OF_RATIO = ("sensitivity", "influence", "dampening", "target_slope_min", "target_slope_max")
"""The certified quantities that depend on the ratio w(h)/w(-h) alone; they are even in h."""

WEIGHTS = Registry("weight", __package__)
"""Weights by name: those of this folder, and every other class that gives itself a name."""


class Weighting(Named, ABC):
    """A weight w(h) of pairs, by its logarithm; subclasses are immutable and validated.

    Subclasses define :meth:`log_weight` over the primitives of a world; they may define
    :meth:`log_ratio` where the difference of two logarithms loses digits, and :meth:`tail` where
    they know more than a search over margins can. With a `name` they are registered.
    """

    registry = WEIGHTS

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        # A tail bound was proved of one formula: a class that changes the formula has none until
        # it brings its own.
        place = {
            name: next(k for k, base in enumerate(cls.__mro__) if name in vars(base))
            for name in ("log_weight", "log_ratio", "tail")
        }
        if place["tail"] > min(place["log_weight"], place["log_ratio"]):
            cls.tail = Weighting.tail

    @classmethod
    def of(cls, schedule, **settings):
        """The weight of this kind that goes with a MarginSchedule, if it has one."""
        if is_dataclass(cls) and any(field.name == "schedule" for field in fields(cls)):
            settings = {"schedule": schedule} | settings
        return cls(**settings)

    @abstractmethod
    def log_weight(self, xp, h):
        """log w(h) in the world `xp`, h a value of that world.

        Real for every real h; or -inf, which leaves a pair out.
        """

    def log_ratio(self, xp, h):
        """delta(h) = log w(h) - log w(-h): the shift of a pair's target; odd."""
        return self.log_weight(xp, h) - self.log_weight(xp, -h)

    def tail(self, xp, quantity, far):
        """A number that a quantity does not exceed at any margin with |h| >= far.

        Parameters
        ----------
        xp : the world that `far` lives in; where that is Arb, the bound is rigorous.
        quantity : a name in :data:`madpo_theory.certify.QUANTITIES`; those of :data:`OF_RATIO`
            depend on :meth:`log_ratio` alone.
        far : nats, > 0.

        Returns None where no bound is known (of the quantity, or from this `far` on), and math.inf,
        at every `far`, where the quantity has no finite supremum.
        """
        return None


def check_log_weight(called, formula):
    """ValueError that names a weight, unless its `formula` log w(xp, h) is a number at margins of
    both signs, or -inf; what is no array of margins is not looked at."""
    h = np.array([-60.0, -20.0, -5.5, -0.75, 0.0, 0.3125, 4.0, 17.0, 60.0])
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(formula(numpy_world, h))
    except (TypeError, AttributeError, ArithmeticError, NameError) as error:
        raise ValueError(
            f"log_weight of {called} cannot be evaluated in the numpy world: {error}; the "
            f"primitives of a world are {PRIMITIVES}"
        ) from error
    if value.dtype.kind != "f" or value.shape not in ((), h.shape):
        return
    wrong = np.flatnonzero(np.broadcast_to(np.isnan(value) | (value == np.inf), h.shape))
    if len(wrong):
        k = wrong[0]
        raise ValueError(
            f"log_weight of {called} is {np.broadcast_to(value, h.shape)[k]} at h = {h[k]:g} nats; "
            "it must be finite at every margin, negative ones too, or -inf, which leaves a pair "
            f"out: {STABLE}"
        )


def weighting_of(weighting):
    """The Weighting that an argument `weighting` stands for; TypeError for anything else.

    The one place that knows that a MarginSchedule stands for the published weight.
    """
    if isinstance(weighting, Weighting):
        return weighting
    if isinstance(weighting, MarginSchedule):
        from .published import PublishedWeight  # it is a Weighting, of this module

        return PublishedWeight(weighting)
    raise TypeError(
        f"weighting must be a MarginSchedule (the published weight) or a Weighting, got "
        f"{type(weighting).__qualname__}; make one with MarginSchedule.released() or "
        "BoundedRatioWeight(schedule)"
    )


def weighting_named(name, schedule, **settings):
    """The weight called `name` in :data:`WEIGHTS`, or of a file, that goes with a schedule.

    A hyphen stands for an underscore. `settings` are those of its kind, such as `gamma` of
    "target_shaped"; those that it does not have are a TypeError.
    """
    name = name if ".py:" in name else name.replace("-", "_")
    return WEIGHTS.find(name).of(schedule, **settings)


@elementwise("h")
def log_weight(xp, h, weighting):
    """Logarithm of the weight of a pair's loss.

    For a MarginSchedule: ``log w(h) = log sigma(c h) - log sigma(h)`` for h > -tau and 0 for
    h <= -tau, with c = :func:`~madpo_theory.coefficient` (h).

    Parameters
    ----------
    h : margin of the reward model toward the observed label, nats, any shape; finite.
    weighting : MarginSchedule (the published weight) or Weighting; TypeError for anything else.

    Returns log w, of the kind, dtype and shape of h. The published one is zero exactly at h = 0,
    |h| = tau and below -tau; in float64 its relative error is below 1e-13 for |h| <= 1e4 and lam
    >= 0.05; for slower schedules the rounding of c alone costs up to 3 (c h) 2^-52 where
    log w ~ e^-ch is about to underflow (c h > 500). Source: arXiv 2510.05342 (weight).
    """
    return weighting_of(weighting).log_weight(xp, h)


@elementwise("h")
def weight(xp, h, weighting):
    """Weight of a pair's loss, w(h) = e^(log_weight(h)); positive, the published one below 2.

    It is rounded to 0 where e^(log w) is below the smallest number of h's type: in float32 from
    log w = -104 on.

    Parameters, kinds and errors as in :func:`log_weight`. Source: arXiv 2510.05342.
    """
    return xp.exp(log_weight.formula(xp, h, weighting))


@elementwise("h")
def log_weight_ratio(xp, h, weighting):
    """delta(h) = log w(h) - log w(-h): how far a weight moves a pair's target, in nats.

    Odd. The published one is ``(c - 1) h`` for |h| < tau and ``log[sigma(c h)/sigma(h)]`` for
    h >= tau. Parameters, kinds and errors as in :func:`log_weight`. Statements T1, T4; derived
    here.
    """
    return weighting_of(weighting).log_ratio(xp, h)
