"""beta-DPO: one temperature for a batch, from the mean margin of the batch."""

from dataclasses import dataclass, replace

from ..ops import check_number, elementwise, shape_error, world_of
from ..registry import Look, setting
from .base import Method

__all__ = [
    "BETA_DPO_VARIANTS",
    "BetaDPOState",
    "BetaDpo",
    "beta_dpo_beta",
    "beta_dpo_keep",
    "beta_dpo_margins",
    "beta_dpo_update",
]

BETA_DPO_VARIANTS = ("authors", "madpo")


def positive(name, value):
    return check_number(name, value, f"{name} > 0", lambda v: v > 0)


def finite(name, value):
    return check_number(name, value, f"{name} finite", lambda v: True)


@dataclass(frozen=True)
class BetaDPOState:
    """Running mean and standard deviation of the margin that beta-DPO compares a batch with.

    `mean` is finite, `std` > 0, both in the units of :func:`beta_dpo_margins`; else ValueError.
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self):
        finite("mean", self.mean)
        positive("std", self.std)


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
    positive("beta", beta), finite("alpha", alpha), finite("running_mean", running_mean)
    batch_beta = beta * (1 + alpha * (margin_mean - running_mean))
    return (
        batch_beta if variant == "madpo" else xp.where_greater(batch_beta, 1e-3, batch_beta, 1e-3)
    )


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


def log_keep(margin, mean, std):
    """log of the odds with which the filter draws a pair: -(M - mean)^2/(2 std^2)."""
    return -(((margin - mean) / std) ** 2) / 2


def beta_dpo_keep(margins, state, *, fraction=0.8, generator):
    """beta-DPO's filter: keep a fraction of the batch, drawn without replacement.

    Pair i is drawn with probability proportional to e^:func:`log_keep`, a normal density.

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
    logits = log_keep(margins.detach().double(), state.mean, state.std)
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


@dataclass(frozen=True)
class BetaDpo(Method):
    """beta-DPO: l(beta_batch m), one temperature for the batch. Source: arXiv 2407.08639.

    ``beta_batch`` is :func:`beta_dpo_beta` of the batch's mean margin: over the kept pairs of
    raw margins (variant "authors"), or over all pairs of beta m (variant "madpo").

    Parameters
    ----------
    variant : "authors", whose released code clamps the temperature at 1e-3, or "madpo", the
        MADPO author's reimplementation, which does not: it can be negative (B3).
    alpha : sensitivity to the batch's mean margin.
    running_mean : M0, in the variant's units, where it is held fixed; training keeps its own.
    fraction : share of a batch that training keeps.
    """

    name, label, source = "beta_dpo", "β-DPO", "arXiv 2407.08639"
    look = Look("#e69f00", "P", (0, (9, 2.5)))
    needs = frozenset({"reference", "batch"})

    variant: str = "authors"
    alpha: float = setting(0.6, "alpha finite", lambda v: True, "paper")
    running_mean: float = setting(0.0, "running_mean finite", lambda v: True, "code")
    fraction: float = setting(
        0.8, "0 < fraction <= 1", lambda v: (v > 0) & (v <= 1), "paper", training=True
    )

    def __post_init__(self):
        super().__post_init__()
        _check_variant(self.variant)

    def temperature_of(self, mean):
        """Temperature of a batch with that mean margin, in the variant's units."""
        return beta_dpo_beta(mean, **self._rule())

    def _rule(self):
        names = ("beta", "alpha", "running_mean", "variant")
        return {name: getattr(self, name) for name in names}

    def batch_loss(self, xp, chosen, rejected, kept=None):
        """(losses, temperature) of a batch; a pair that is not `kept` has loss exactly 0."""
        margins = chosen - rejected
        if 0 in margins.shape:
            raise ValueError("beta_dpo needs at least one pair for its batch mean, got none")
        held = beta_dpo_margins(xp.stop_gradient(margins), beta=self.beta, variant=self.variant)
        if kept is not None:
            _check_mask(kept, margins)
        if kept is not None and self.variant == "authors":
            held = held[kept]
        temperature = beta_dpo_beta.formula(xp, held.mean(), **self._rule())
        losses = xp.softplus(-temperature * margins)
        return losses if kept is None else losses * kept, temperature

    def losses(self, xp, pairs):
        return self.batch_loss(xp, *self.log_ratios(xp, pairs))[0]

    def evaluate(self, xp, pairs, *, kept=None):
        """As of any method; `kept` is a boolean mask from :func:`beta_dpo_keep`, None keeps all.

        A dropped pair has loss exactly 0: reduce with ``losses.sum() / kept.sum()``.
        """
        chosen, rejected = self.log_ratios(xp, pairs)
        losses, beta = self.batch_loss(xp, chosen, rejected, kept)
        return losses, beta * xp.stop_gradient(chosen), beta * xp.stop_gradient(rejected)

    def target_formula(self, xp, h_true, h_model):
        raise TypeError(
            f"{type(self).__name__} has no target for a pair alone: its temperature is the batch's"
        )

    def start(self):
        return {"mean": 0.0, "std": 1.0}

    def train_loss(self, pairs, *, state, generator):
        from ..ops import torch_world

        running = BetaDPOState(**state)
        chosen, rejected = self.log_ratios(torch_world, pairs)
        implicit = (chosen - rejected).detach().cpu()
        margins = beta_dpo_margins(implicit, beta=self.beta, variant=self.variant)
        kept = beta_dpo_keep(margins, running, fraction=self.fraction, generator=generator)
        averaged = margins[kept] if self.variant == "authors" else margins
        updated = beta_dpo_update(running, averaged)
        batch = replace(self, running_mean=running.mean)
        kept = kept.to(chosen.device)
        losses, _ = batch.batch_loss(torch_world, chosen, rejected, kept)
        # The rule of the MADPO author's variant is the one without a clamp.
        unclamped = replace(batch, variant="madpo")
        mean = averaged.mean()
        numbers = {
            "batch_beta": batch.temperature_of(mean).item(),
            "unclamped_beta": unclamped.temperature_of(mean).item(),
        }
        return losses.sum() / kept.sum(), {"mean": updated.mean, "std": updated.std}, numbers
