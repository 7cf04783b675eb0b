"""What the figures of the sentiment study share: tiers, seeds, intervals, published markers."""

from ._style import mark, point

__all__ = ["TIERS", "interval", "published"]

TIERS = {"high": "High", "medium": "Medium", "low": "Low"}


def interval(axes, x, y, low, high, method, **options):
    """A measurement with its 95 % interval."""
    style = point(method) | dict(ls="", ms=6, mec="white", mew=0.5, elinewidth=1, capsize=2)
    axes.errorbar(x, y, yerr=[[y - low], [high - y]], **(style | options))


def published(axes, x, y, method, **options):
    """A published number: hollow, and without an interval since none was given."""
    axes.plot(x, y, **mark(method, **(dict(mfc="none", mew=1.0, ms=6) | options)))
