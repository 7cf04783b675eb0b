"""The risk of one pair as a function of its implicit margin: value, slope and curvature."""

from .ops import elementwise
from .weights import weight

__all__ = ["pair_risk", "risk_curvature", "risk_slope"]


def _label_masses(xp, h_true, h_model, weighting):
    """p = sigma(h*) w(h), q = sigma(-h*) w(-h): weighted probability of either label."""
    return (
        xp.sigmoid(h_true) * weight.formula(xp, h_model, weighting),
        xp.sigmoid(-h_true) * weight.formula(xp, -h_model, weighting),
    )


@elementwise("z", "h_true", "h_model")
def pair_risk(xp, z, h_true, h_model, weighting):
    """Expected MADPO loss of one pair over the two labels that Bradley-Terry may give it.

    ``R(z) = sigma(h*) w(h) l(z) + sigma(-h*) w(-h) l(-z)``, l(z) = log(1 + e^-z).

    Parameters
    ----------
    z : beta times the implicit margin, nats.
    h_true : true margin h*, nats.
    h_model : margin h of the reward model, nats.
    weighting : MarginSchedule (the published weight) or Weighting.

    The three margins broadcast; the result, in nats, has their kind and dtype. Strictly convex
    in z, minimal at :func:`~madpo_theory.effective_target`. Statements T1 and L1; derived here.
    """
    p, q = _label_masses(xp, h_true, h_model, weighting)
    return p * xp.softplus(-z) + q * xp.softplus(z)


@elementwise("z", "h_true", "h_model")
def risk_slope(xp, z, h_true, h_model, weighting):
    """dR/dz = q sigma(z) - p sigma(-z) of :func:`pair_risk`; |dR/dz| <= max(p, q). L1."""
    p, q = _label_masses(xp, h_true, h_model, weighting)
    return q * xp.sigmoid(z) - p * xp.sigmoid(-z)


@elementwise("z", "h_true", "h_model")
def risk_curvature(xp, z, h_true, h_model, weighting):
    """d2R/dz2 = (p + q) sigma(z) sigma(-z) of :func:`pair_risk`, in (0, (p + q)/4]. L1."""
    p, q = _label_masses(xp, h_true, h_model, weighting)
    return (p + q) * xp.sigmoid(z) * xp.sigmoid(-z)
