"""CW-PO: a weak annotator's labels, weighted by its confidence."""

from dataclasses import dataclass, replace

from ..weights import ConfidenceWeight
from .dpo_relabelled import DpoRelabelled

__all__ = ["CwPo"]


@dataclass(frozen=True)
class CwPo(DpoRelabelled):
    """CW-PO with DPO's loss: C l(z), C = 2 sigma(s+ - s-) - 1, of the annotator's own labels.

    In the paper s+ and s- are the scores of the response that the weak model itself prefers and of
    the other, so C lies in [0, 1). Here h is the reward model's margin toward the observed label:
    where h < 0 the model prefers the other response, and the loss is tanh(-h/2) l(-z). A pair with
    h = 0 has weight 0 and is left out. The observed label counts for nothing, and the target is
    infinite, as in :class:`~.dpo_relabelled.DpoRelabelled`.

    With the observed labels kept, the weight 2 sigma(|h|) - 1 is even and the targets are DPO's
    (C4): Madpo(:class:`~madpo_theory.weights.ConfidenceWeight`). The formula as printed, at h < 0,
    would be a negative weight and a loss unbounded below. Source: arXiv 2603.04968, abstract; the
    formula by a secondary source.
    """

    name, label, source = "cw_po", "CW-PO", "arXiv 2603.04968"
    look = None

    @property
    def slot_weighting(self):
        return ConfidenceWeight()

    def slots(self, xp, h):
        return replace(super().slots(xp, h), log_weight=self.slot_weighting.log_weight(xp, h))
