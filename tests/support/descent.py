"""Plain gradient descent, which every solver must agree with."""

import torch


def descended(wins, *, rate, steps):
    """Scores (B, K) after steps from 0 down ``sum_ij wins[b, i, j] l(s_i - s_j)``."""
    scores = wins.new_zeros(wins.shape[:2])
    for _ in range(steps):
        pull = wins * torch.sigmoid(scores[:, None, :] - scores[:, :, None])
        scores = scores + rate * (pull - pull.mT).sum(2)
    return scores
