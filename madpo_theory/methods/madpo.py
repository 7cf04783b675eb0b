"""MADPO."""

from dataclasses import dataclass, field

from ..schedule import MarginSchedule
from ..weights import PublishedWeight, Weighting, weighting_named, weighting_of
from .base import schedule_of
from .weighted import Weighted

__all__ = ["Madpo"]


@dataclass(frozen=True)
class Madpo(Weighted):
    """MADPO: w(margin) l(beta m), for any weight. Source: arXiv 2510.05342.

    `weighting` is a MarginSchedule (the published weight) or a Weighting. Target
    z* = :func:`~madpo_theory.effective_target` (T1).
    """

    name, label, source = "madpo", "MADPO", "arXiv 2510.05342"
    look = PublishedWeight.look

    weighting: MarginSchedule | Weighting = field(default_factory=MarginSchedule)

    @classmethod
    def of(cls, *, weighting=None, weight="published", **known):
        """With a `weighting`, or the one called `weight` of the known schedule."""
        schedule = schedule_of(known)
        if weighting is None and schedule is not None:
            weighting = weighting_named(weight, schedule)
        return super().of(weighting=weighting, **known)

    @property
    def title(self):
        """Its own, or that of a weight other than the published one."""
        weighting = self.slot_weighting
        return super().title if type(weighting) is PublishedWeight else weighting.title

    @property
    def slot_weighting(self):
        return weighting_of(self.weighting)
