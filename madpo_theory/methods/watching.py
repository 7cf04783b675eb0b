"""What losses share whose weights or offsets watch the batch, or the policy itself."""

from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from math import prod

from .base import Method
from .slots import slot_loss

__all__ = ["Watching", "check_spread", "log_mean_exp", "sample_deviation"]


@dataclass(frozen=True)
class Watching(Method):
    """Slots that a batch fills: w l(z - g), w and g made of what the gradient does not see.

    A subclass says :meth:`watched`. A pair alone has no target then, and a table no minimizer:
    what is held in the gradient still moves with the policy.
    """

    watches = True

    @abstractmethod
    def watched(self, xp, z, pairs):
        """The :class:`~.slots.Slots` of a batch: z (pairs,), and all of its :class:`~.base.Pairs`,
        behind a stop-gradient."""

    def losses(self, xp, pairs):
        chosen, rejected = self.log_ratios(xp, pairs)
        z = self.beta * (chosen - rejected)
        if 0 in z.shape:
            raise ValueError(f"{self.own_name} needs at least one pair in a batch, got none")
        return slot_loss(xp, z, self.watched(xp, xp.stop_gradient(z), frozen(xp, pairs)))


def frozen(xp, pairs):
    """Pairs of which nothing carries a gradient."""
    values = {field.name: getattr(pairs, field.name) for field in fields(pairs)}
    return replace(
        pairs, **{n: xp.stop_gradient(value) for n, value in values.items() if value is not None}
    )


def check_spread(method, z):
    """ValueError for a batch too small to have a standard deviation."""
    if prod(z.shape) < 2:
        raise ValueError(
            f"{method.own_name} divides by the standard deviation of its batch, which takes two "
            f"pairs, got {prod(z.shape)}; use larger batches"
        )


def sample_deviation(values):
    """Standard deviation of a batch's values with n - 1 degrees of freedom, as the released codes
    have it; an array or tensor of no axis."""
    return (((values - values.mean()) ** 2).sum() / (prod(values.shape) - 1)) ** 0.5


def log_mean_exp(xp, values):
    """log of the mean of e^values over a batch: no overflow, no loss of digits near 0."""
    top = values.max()
    return top + xp.log1p(xp.expm1(values - top).mean())
