"""SPPO with the reward model's probabilities."""

from dataclasses import dataclass

from .sppo_hard import SppoHard

__all__ = ["Sppo"]


@dataclass(frozen=True)
class Sppo(SppoHard):
    """SPPO: (rho_w - (P - 1/2)/beta)^2 + (rho_l + (P - 1/2)/beta)^2, P = sigma(h).

    rho = log pi - log pi_ref, nats; beta is the paper's 1/eta. P is the probability that the chosen
    response wins: the paper's is against the policy itself, a mean over samples; here it is the
    reward model's of the pair alone (h is its margin). Exchanging the responses and the margin's
    sign leaves the loss as it was: the label counts for nothing. P = 1 is TRL's `sppo_hard`.
    Source: arXiv 2405.00675.
    """

    name, label, source = "sppo", "SPPO", "arXiv 2405.00675"
    needs = frozenset({"reference", "margin"})

    def lead(self, xp, h):
        return xp.tanh(h / 2)
