"""What a method's weights do to the pairs it trains on."""

from ..theory.efficiency import effective_sample_size

__all__ = ["weight_statistics"]


def weight_statistics(margins, weights):
    """What MADPO's weights do to the pairs; margins are the reward model's, toward the label."""
    return {
        "pairs": len(weights),
        "ess": effective_sample_size(weights),
        "suppressed": float((weights < 0.5).mean()),
        "mean": float(weights.mean()),
        "min": float(weights.min()),
        "max": float(weights.max()),
        "disputed": float((margins < 0).mean()),
        "margin_std": float(margins.std()),
    }
