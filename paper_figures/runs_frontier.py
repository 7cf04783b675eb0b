"""Runs of `madpo train` on the plane of reward and KL."""

from ._plane import plane
from ._style import styled

__all__ = ["draw"]


@styled
def draw(table):
    """Each run a point with 95 % intervals both ways, from their reference at KL = 0.

    Columns: method, label, reward, reward_lo, reward_hi, kl, kl_lo, kl_hi.
    """
    return plane(table, "Held-out prompts", "mean reward of the reward model")
