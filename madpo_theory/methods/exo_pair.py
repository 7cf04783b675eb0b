"""EXO on pairs: the policy's preference is fitted to a smoothed label in the reverse direction."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["ExoPair"]


@dataclass(frozen=True)
class ExoPair(Method):
    """EXO of pairs: KL(Bern(sigma(z)) || Bern(1 - epsilon)), TRL's `exo_pair`.

    cDPO with the two distributions exchanged: sigma(z) [log sigma(z) - log(1 - epsilon)] +
    sigma(-z) [log sigma(-z) - log epsilon] = (a - z) sigma(-z) - l(z) - log(1 - epsilon), with
    a = log((1 - epsilon)/epsilon); its slope is (z - a) sigma(z) sigma(-z). Bounded, between 0 and
    -log epsilon, so not convex. A pair's risk is convex in sigma(z), and its one target is IPO's in
    another unit: z* = a tanh(h*/2), at epsilon = 0.001 3.45 h* near 0 and at most 6.9 (derived
    here).

    epsilon is TRL's label_smoothing, refused there at 0. Source: arXiv 2402.00856, equation 16.
    """

    name, label, source = "exo_pair", "EXO, pairs", "arXiv 2402.00856"

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "code", kw_only=True)
    epsilon: float = setting(1e-3, "0 < epsilon < 1/2", lambda v: (v > 0) & (v < 0.5), "paper")

    def margin_loss(self, xp, z, h):
        kept, flipped = self._log_label(xp, z)
        return (kept - flipped - z) * xp.sigmoid(-z) - xp.softplus(-z) - kept

    def target_formula(self, xp, h_true, h_model):
        kept, flipped = self._log_label(xp, h_true)
        return (kept - flipped) * xp.tanh(h_true / 2) + 0 * h_model

    def _log_label(self, xp, like):
        """log(1 - epsilon) and log epsilon, values of the world."""
        epsilon = xp.number(self.epsilon, like) + 0 * like
        return xp.log1p(-epsilon), xp.log(epsilon)
