"""Mean rewards that the paper's author published (v1), at one seed and without intervals.

Source: the saved outputs and figures of the released notebooks; numbers read off a figure are good
to 0.02. Their policy, reward and pairs differ from ours: compare shapes, not levels.
"""

__all__ = ["ABLATION", "COEFFICIENT", "GAINS", "HEADLINE", "SMALLEST_PUBLISHED", "THRESHOLD"]

TIERS = ("high", "medium", "low")


def by_tier(*values):
    return dict(zip(TIERS, values, strict=True))


HEADLINE = {
    "madpo": by_tier(2.23, 2.23, 1.95),  # c_max 4
    "beta_dpo": by_tier(1.67, 1.84, 1.76),
    "dpo": by_tier(1.62, 1.71, 1.48),
    "ipo": by_tier(0.35, 0.31, 0.10),
}
"""Method to tier to mean reward, beta 0.1."""

GAINS = {tier: round(HEADLINE["madpo"][tier] - HEADLINE["dpo"][tier], 2) for tier in TIERS}
"""Tier to the mean reward of MADPO minus DPO's."""

SMALLEST_PUBLISHED = min(GAINS.values())

ABLATION = {
    2.0: {
        "reg_only": by_tier(1.66, 1.78, 1.50),
        "amp_only": by_tier(2.16, 2.11, 1.81),
        "madpo": by_tier(2.08, 2.15, 1.75),
    },
    4.0: {
        "reg_only": by_tier(1.71, 1.70, 1.51),
        "amp_only": by_tier(2.20, 2.23, 2.00),
        "madpo": by_tier(2.23, 2.23, 1.95),
    },
}
"""c_max to method to tier to mean reward, tau 7; read off a figure."""

COEFFICIENT = {
    2.0: by_tier(2.08, 2.15, 1.75),
    3.0: by_tier(2.17, 2.20, 1.89),
    4.0: by_tier(2.23, 2.23, 1.95),
}
"""c_max to tier to mean reward of MADPO, tau 7."""

THRESHOLD = {
    2.0: by_tier(1.72, 1.89, 1.56),
    4.0: by_tier(2.09, 2.05, 1.72),
    7.0: by_tier(2.08, 2.15, 1.75),
    10.0: by_tier(2.07, 2.17, 1.80),
}
"""tau to tier to mean reward of MADPO, c_max 2; read off a figure."""
