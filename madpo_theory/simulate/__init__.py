"""Bradley-Terry worlds in which the losses are trained on sampled labels."""

from .pairs import PairFit, fit_pairs, minimize_margins

__all__ = ["PairFit", "fit_pairs", "minimize_margins"]
