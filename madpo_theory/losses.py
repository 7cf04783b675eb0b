"""Losses of preference optimization, one per pair, in the field's signature.

Every loss takes ``(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps,
reference_rejected_logps)``: log-probabilities of whole responses, nats, one entry a pair, all
of one shape, kind and floating type; and returns ``(losses, chosen_rewards,
rejected_rewards)``, of the same shape. Nothing is reduced: the caller takes the mean. The
implicit rewards are ``beta * (policy - reference)`` and carry no gradient. Log-probabilities
must be finite and all arguments of one shape, else ValueError; mixed kinds or floating types
are a TypeError.

The implicit margin is m = (policy - reference)(chosen) - (policy - reference)(rejected), and
l(z) = log(1 + e^-z).
"""

import functools
import inspect
from dataclasses import dataclass, replace

from .ops import check_number, elementwise, shape_error, world_of
from .targets import effective_target
from .weights import weight

__all__ = [
    "BetaDPOState",
    "beta_dpo",
    "beta_dpo_beta",
    "beta_dpo_keep",
    "beta_dpo_margins",
    "beta_dpo_update",
    "distillation",
    "dpo",
    "ipo",
    "madpo",
]

_LOGPS = (
    "policy_chosen_logps",
    "policy_rejected_logps",
    "reference_chosen_logps",
    "reference_rejected_logps",
)
BETA_DPO_VARIANTS = ("authors", "madpo")


def _positive(name, value):
    return check_number(name, value, f"{name} > 0", lambda v: v > 0)


def _finite(name, value):
    return check_number(name, value, f"{name} finite", lambda v: True)


def preference_loss(*values):
    """Decorator: give ``formula(xp, chosen, rejected, *, ...)`` the field's signature.

    The formula takes the log-ratios policy - reference of either response and returns the losses
    and the temperature of the implicit rewards. `values` names further per-pair arguments.
    """

    def decorate(formula):
        @functools.wraps(formula)
        def loss(xp, *logps, **settings):
            policy_chosen, policy_rejected, reference_chosen, reference_rejected = logps
            chosen = policy_chosen - reference_chosen
            rejected = policy_rejected - reference_rejected
            losses, beta = formula(xp, chosen, rejected, **settings)
            return losses, beta * xp.stop_gradient(chosen), beta * xp.stop_gradient(rejected)

        world, _, _, *settings = inspect.signature(formula).parameters.values()
        logps = [world.replace(name=name) for name in _LOGPS]
        loss.__signature__ = inspect.Signature([world, *logps, *settings])
        return elementwise(*_LOGPS, *values, same_shape=True)(loss)

    return decorate


def _logistic_loss(xp, beta, margin):
    """l(beta m), of which every loss here but IPO's is made."""
    return xp.softplus(-beta * margin)


@preference_loss()
def dpo(xp, chosen, rejected, *, beta=0.1):
    """DPO: l(beta m). Population target z* = h* (B1). Source: arXiv 2305.18290."""
    _positive("beta", beta)
    return _logistic_loss(xp, beta, chosen - rejected), beta


@preference_loss()
def ipo(xp, chosen, rejected, *, beta=0.1):
    """IPO: (m - 1/(2 beta))^2, with beta the paper's tau. Source: arXiv 2310.12036.

    Two conventions exist and the caller picks one by what it passes: summed log-probabilities
    (the paper, the MADPO author) or log-probabilities divided by the number of response tokens
    (TRL). Population target m* = tanh(h*/2)/(2 beta) (B2).
    """
    _positive("beta", beta)
    return (chosen - rejected - 1 / (2 * beta)) ** 2, beta


@preference_loss("margin")
def madpo(xp, chosen, rejected, *, margin, weighting, beta=0.1):
    """MADPO: w(margin) l(beta m). Source: arXiv 2510.05342.

    `margin` is the reward model's score of the chosen response minus that of the rejected one
    (nats; negative where the model disputes the label); no gradient flows through it. `weighting`
    is a MarginSchedule (the published weight) or any Weighting. Population target
    z* = :func:`~madpo_theory.effective_target` (T1).
    """
    _positive("beta", beta)
    weights = weight.formula(xp, xp.stop_gradient(margin), weighting)
    return weights * _logistic_loss(xp, beta, chosen - rejected), beta


@preference_loss("margin")
def distillation(xp, chosen, rejected, *, margin, weighting, beta=0.1):
    """Soft-label distillation: sigma(T) l(beta m) + sigma(-T) l(-beta m), T = h + delta(h).

    The control that asks what weighting by a reward model adds to imitating it: h is `margin`, the
    target is the reward model's own T(h), and the label counts for nothing (swapping the responses
    and the margin's sign leaves the loss as it was). T is the target map of `weighting`; with a
    BoundedRatioWeight it is c h. Errors as in :func:`madpo`. Statement N3; derived here.
    """
    _positive("beta", beta)
    margin = xp.stop_gradient(margin)
    target = effective_target.formula(xp, margin, margin, weighting)
    z = chosen - rejected
    losses = xp.sigmoid(target) * _logistic_loss(xp, beta, z)
    return losses + xp.sigmoid(-target) * _logistic_loss(xp, beta, -z), beta


@dataclass(frozen=True)
class BetaDPOState:
    """Running mean and standard deviation of the margin that beta-DPO compares a batch with.

    `mean` is finite, `std` > 0, both in the units of :func:`beta_dpo_margins`; else ValueError.
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self):
        _finite("mean", self.mean)
        _positive("std", self.std)


def _check_variant(variant):
    if variant not in BETA_DPO_VARIANTS:
        raise ValueError(f"variant must be one of {BETA_DPO_VARIANTS}, got {variant!r}")


@elementwise("margin_mean")
def beta_dpo_beta(xp, margin_mean, *, beta=0.1, alpha=0.6, running_mean=0.0, variant="authors"):
    """Temperature of a batch: beta (1 + alpha (M - M0)), statement B3. Source: arXiv 2407.08639.

    `margin_mean` M and `running_mean` M0 are in the variant's own units: raw implicit margins m
    for ``"authors"`` (whose released code clamps the result at 1e-3), beta * m for ``"madpo"``
    (the MADPO author's reimplementation, which does not clamp: the result is negative iff
    M < M0 - 1/alpha).
    """
    _check_variant(variant)
    _positive("beta", beta), _finite("alpha", alpha), _finite("running_mean", running_mean)
    batch_beta = beta * (1 + alpha * (margin_mean - running_mean))
    return (
        batch_beta if variant == "madpo" else xp.where_greater(batch_beta, 1e-3, batch_beta, 1e-3)
    )


@preference_loss()
def beta_dpo(
    xp, chosen, rejected, *, beta=0.1, alpha=0.6, running_mean=0.0, kept=None, variant="authors"
):
    """beta-DPO: l(beta_batch m) with one temperature for the batch. Source: arXiv 2407.08639.

    ``beta_batch`` is :func:`beta_dpo_beta` of the batch's mean margin: over the kept pairs of
    raw margins (variant ``"authors"``), or over all pairs of beta * m (variant ``"madpo"``).

    Parameters
    ----------
    kept : boolean mask from :func:`beta_dpo_keep`, or None to keep all. A dropped pair has loss
        exactly 0: reduce with ``losses.sum() / kept.sum()``.
    running_mean : BetaDPOState.mean, in the variant's units.
    """
    margins = chosen - rejected
    if 0 in margins.shape:
        raise ValueError("beta_dpo needs at least one pair for its batch mean, got none")
    held = beta_dpo_margins(xp.stop_gradient(margins), beta=beta, variant=variant)
    if kept is not None:
        _check_mask(kept, margins)
    if kept is not None and variant == "authors":
        held = held[kept]
    batch_beta = beta_dpo_beta.formula(
        xp, held.mean(), beta=beta, alpha=alpha, running_mean=running_mean, variant=variant
    )
    losses = _logistic_loss(xp, batch_beta, margins)
    return losses if kept is None else losses * kept, batch_beta


def _check_mask(kept, margins):
    """Refuse a mask that is not boolean, of the margins' kind and shape, with a pair in it."""
    if type(kept) is not type(margins) or str(kept.dtype).removeprefix("torch.") != "bool":
        found = getattr(kept, "dtype", type(kept).__qualname__)
        raise TypeError(f"kept must be a boolean mask of the margins' kind, got {found}")
    if kept.shape != margins.shape:
        raise shape_error({"kept": kept.shape, "margins": margins.shape})
    if not kept.any():
        raise ValueError("kept drops every pair; keep at least one, the batch mean needs it")


def beta_dpo_margins(margins, *, beta=0.1, variant="authors"):
    """Implicit margins m in the units that a variant's filter and running mean work in."""
    _check_variant(variant)
    return margins if variant == "authors" else beta * margins


def _check_batch(margins):
    """Refuse anything but a non-empty 1-D floating torch tensor of finite margins."""
    world = world_of(margins=margins)
    if not world.__name__.endswith("torch_world"):
        raise TypeError(f"margins must be a torch tensor, got {type(margins).__qualname__}")
    world.lift({"margins": margins}, same_shape=False)
    if margins.ndim != 1 or len(margins) == 0:
        shape = tuple(margins.shape)
        raise ValueError(f"margins must be 1-D with at least one pair, got shape {shape}")


def beta_dpo_keep(margins, state, *, fraction=0.8, generator):
    """beta-DPO's filter: keep a fraction of the batch, drawn without replacement.

    Pair i is drawn with probability proportional to ``exp(-(M_i - mean)^2 / (2 std^2))``.

    Parameters
    ----------
    margins : torch tensor (pairs,), finite, in the variant's units (:func:`beta_dpo_margins`).
    state : BetaDPOState.
    fraction : share to keep, in (0, 1]; at least one pair is kept.
    generator : torch.Generator on the margins' device.

    Returns a boolean mask (pairs,). Source: arXiv 2407.08639.
    """
    import torch

    check_number("fraction", fraction, "0 < fraction <= 1", lambda v: (v > 0) & (v <= 1))
    _check_batch(margins)
    size = max(1, int(fraction * len(margins)))
    logits = -(((margins.detach().double() - state.mean) / state.std) ** 2) / 2
    # Gumbel top-k draws without replacement from exp(logits) without ever exponentiating:
    # margins far from the mean, whose probabilities underflow, still have a place in the order.
    uniform = torch.rand(
        logits.shape, generator=generator, dtype=torch.float64, device=logits.device
    )
    order = torch.argsort(logits - torch.log(-torch.log(uniform)), descending=True)
    mask = torch.zeros(len(margins), dtype=torch.bool, device=margins.device)
    mask[order[:size]] = True
    return mask


def beta_dpo_update(state, margins, *, decay=0.9):
    """Running statistics after a batch: exponential averages, no bias correction.

    `margins` are those that the variant averages: the kept ones for ``"authors"``, all for
    ``"madpo"``. A standard deviation needs two pairs; with one, it stays. Source: arXiv
    2407.08639.
    """
    check_number("decay", decay, "0 <= decay <= 1", lambda v: (v >= 0) & (v <= 1))
    _check_batch(margins)
    mean = decay * state.mean + (1 - decay) * float(margins.mean())
    if len(margins) < 2:
        return replace(state, mean=mean)
    return BetaDPOState(mean, decay * state.std + (1 - decay) * float(margins.std()))
