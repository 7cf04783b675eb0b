"""The offset that does a weight's work."""

from dataclasses import dataclass, field

from ..ops.stable import maximum
from ..registry import Look, setting
from ..schedule import MarginSchedule
from ..weights import Weighting, log_weight_ratio, weighting_of
from .base import Method
from .madpo import Madpo
from .slots import Slots

__all__ = ["OffsetMadpo"]


@dataclass(frozen=True)
class OffsetMadpo(Method):
    """l(beta m - delta(h)), delta = log w(h) - log w(-h): the targets of a weight w, all weights 1.

    Target h* + delta(h), MADPO's, whatever the reward model says; no label is suppressed and none
    counts more than another (N5). `weighting` is a MarginSchedule (the published weight) or a
    Weighting. With `clip` the offset is held within [-clip, clip] nats, so that no reward model
    moves a target further: at every margin the nearest to the wanted target of all that obey this.
    A weight of 0 asks for an infinite offset; clip it. Derived here.
    """

    name, label, source = "offset_madpo", "offset MADPO", "derived here"
    look = Look("#117733", "P")
    needs = frozenset({"reference", "margin"})

    weighting: MarginSchedule | Weighting = field(default_factory=MarginSchedule)
    clip: float | None = setting(None, "clip > 0, or none", lambda v: v > 0, "here")

    @classmethod
    def of(cls, *, weighting=None, weight="published", **known):
        """With the weighting that :meth:`Madpo.of` takes."""
        made = Madpo.of(weighting=weighting, weight=weight, **known)
        return super().of(weighting=made.weighting, **known)

    def __post_init__(self):
        super().__post_init__()
        weighting_of(self.weighting)  # refuses what is none

    @property
    def title(self):
        """Its own, or that of a weight other than the published one."""
        made = Madpo(self.weighting)
        return super().title if made.title == Madpo.label else f"offset {made.title}"

    def offset(self, xp, h):
        """delta(h), clipped, nats; odd."""
        delta = log_weight_ratio.formula(xp, h, self.weighting)
        if self.clip is None:
            return delta
        clip = xp.number(self.clip, h)
        return maximum(xp, xp.minimum(delta, clip), -clip)

    def slots(self, xp, h):
        return Slots(offset=self.offset(xp, h), odd=True)
