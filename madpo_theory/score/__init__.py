"""Preference pairs scored by a reward model: ``madpo score PAIRS --reward-model NAME -o OUT``.

:func:`~.scoring.score_pairs` is the command from Python.
"""

__all__ = ["SCORED"]

SCORED = ("margin", "reward_chosen", "reward_rejected")
"""Columns that a scored file has more: the margin, nats, and the two rewards that it is of."""
