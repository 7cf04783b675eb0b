"""The slots of a loss: what a logistic preference loss can let the reward model decide.

``loss = w [q l(y) + (1 - q) l(-y)]``, ``y = b z - g``, ``l(y) = log(1 + e^-y)``: a weight w > 0, a
soft label q, an offset g and a temperature b > 0, each a function of the reward model's margin h or
of what is held constant. Of a loss in slots everything is known in closed form.
"""

from dataclasses import dataclass
from typing import Any

from ..ops.stable import log_mass
from ..risk import logistic_slope

__all__ = ["Slots", "slot_loss", "slot_slope", "slot_target"]


@dataclass(frozen=True)
class Slots:
    """The slots at given margins, values of one world; None is the slot left empty.

    Attributes
    ----------
    log_weight : log w; None is 0. -inf leaves the pair out.
    label : (q, 1 - q) times `total`, both given so that neither loses digits; None is (1, 0). With
        q outside [0, 1] the loss may be unbounded below (rDPO).
    total : > 0, what the two of the label add up to; None is 1.
    constant : nats taken from the loss, such as the entropy of a soft label; None is 0. It moves no
        gradient.
    offset : g, nats of z; None is 0.
    odd : whether g(-h) = -g(h) at every h: then no even part of it is left by rounding.
    temperature : b > 0, the same for h and -h; None is 1.
    exact : whether a label of 0 is meant, rather than a number too small for floating point.
    """

    log_weight: Any = None
    label: tuple | None = None
    offset: Any = None
    temperature: Any = None
    exact: bool = False
    total: Any = None
    constant: Any = None
    odd: bool = False


def slot_loss(xp, z, slots, minus_z=None):
    """The loss of a pair, nats, at z = beta m.

    `minus_z` is -z where it was multiplied apart, as the field's code does: then gradients, too,
    add up as there, bit for bit.
    """

    def logistic(z, sign):
        y = z if slots.temperature is None else slots.temperature * z
        y = y if slots.offset is None else y - sign * slots.offset
        return xp.softplus(-y)

    loss = logistic(z, 1)
    if slots.label is not None:
        agreed, disputed = slots.label
        loss = agreed * loss + disputed * logistic(-z if minus_z is None else minus_z, -1)
        loss = loss if slots.total is None else loss / slots.total
    loss = loss if slots.constant is None else loss - slots.constant
    return loss if slots.log_weight is None else xp.exp(slots.log_weight) * loss


def slot_slope(xp, z, slots):
    """d/dz of :func:`slot_loss`: ``w b [(1 - q) sigma(y) - q sigma(-y)]``, y = b z - g."""
    agreed, disputed = (1, 0) if slots.label is None else slots.label
    total = 1 if slots.total is None else slots.total
    b = 1 if slots.temperature is None else slots.temperature
    offsets = None if slots.offset is None else (slots.offset, -slots.offset)
    slope = b * logistic_slope(xp, b * z, agreed / total, disputed / total, offsets)
    return slope if slots.log_weight is None else xp.exp(slots.log_weight) * slope


def slot_target(xp, h_true, delta, chosen, rejected):
    """The minimizer z* of a pair's risk, in closed form.

    With d = h* + delta, g_o and g_e the odd and the even part of the offset, the weighted masses
    ``A1 = sigma(d) q(h)``, ``A2 = sigma(d) (1 - q(h))``, ``B1 = sigma(-d) q(-h)``,
    ``B2 = sigma(-d) (1 - q(-h))``, P = A1 + B2 and Q = A2 + B1, the risk in y = b z - g_o is
    stationary where e^y solves ``Q X^2 + [(B1 - A1) e^g_e + (A2 - B2) e^-g_e] X - P = 0``:

        b z* = g_o + log(P/Q)/2 + asinh([(A1 - B1) e^g_e + (B2 - A2) e^-g_e]/(2 sqrt(P Q)))

    Infinite where P or Q is not positive: the risk then falls without end (or, with labels outside
    [0, 1], an even offset and P Q = 0, possibly not). Where there is no even offset this is
    g_o + log(P/Q), and with hard labels g_o + d (C1 to C3; derived here).

    Parameters
    ----------
    h_true : true margin, nats.
    delta : log w(h) - log w(-h), nats.
    chosen, rejected : :class:`Slots` at h and at -h.
    """
    d = h_true + delta
    odd, even = _parts_of(chosen, rejected, 0 * h_true)
    if chosen.label is None:
        y = d if even is None else d / 2 + xp.asinh(xp.exp(even) * xp.sinh(d / 2))
    else:
        won, lost = xp.sigmoid(d), xp.sigmoid(-d)
        if chosen.total is not None:
            won, lost = won / chosen.total, lost / rejected.total
        a1, a2 = (won * q for q in chosen.label)
        b1, b2 = (lost * q for q in rejected.label)
        up, down = a1 + b2, a2 + b1
        log_up, log_down = log_mass(xp, up), log_mass(xp, down)
        y = log_up - log_down
        if even is not None:
            pull = (a1 - b1) * xp.exp(even) + (b2 - a2) * xp.exp(-even)
            scale = xp.where_greater(xp.minimum(up, down), 0, -(log_up + log_down) / 2, 0)
            y = y / 2 + xp.asinh(pull / 2 * xp.exp(scale))
    y = y if odd is None else y + odd
    return y if chosen.temperature is None else y / chosen.temperature


def _parts_of(chosen, rejected, zero):
    """Odd and even part of an offset, None where there is none; `zero` is one of the world."""
    offset, mirrored = chosen.offset, rejected.offset
    if offset is None:
        return None, None
    if chosen.odd:
        return zero + offset, None
    return zero + (offset - mirrored) / 2, zero + (offset + mirrored) / 2
