"""What the figures of the sentiment study share: styles, intervals, published markers."""

from .style import BLACK, BLUE, GREEN, INK, ORANGE, PINK, RED, SKY

__all__ = ["STYLES", "TIERS", "interval", "published", "style_of"]

TIERS = {"high": "High", "medium": "Medium", "low": "Low"}
STYLES = {
    "sft": (INK, "*"),
    "dpo": (BLACK, "^"),
    "dpo_matched": (SKY, "v"),
    "dpo_filtered": (SKY, "<"),
    "dpo_relabelled": (SKY, ">"),
    "ipo": (GREEN, "D"),
    "ipo_per_token": (GREEN, "d"),
    "beta_dpo": (ORANGE, "P"),
    "beta_dpo_madpo": (ORANGE, "X"),
    "madpo": (RED, "s"),
    "amp_only": (RED, "^"),
    "reg_only": (RED, "v"),
    "bounded_ratio": (BLUE, "o"),
    "target_shaped": (BLUE, "h"),
    "distillation": (PINK, "p"),
}


def style_of(method):
    """Colour and marker of a method."""
    color, marker = STYLES[method]
    return {"color": color, "marker": marker}


def interval(axes, x, y, low, high, method, **options):
    """A measurement with its 95 % interval."""
    style = style_of(method) | dict(ls="", ms=6, mec="white", mew=0.5, elinewidth=1, capsize=2)
    axes.errorbar(x, y, yerr=[[y - low], [high - y]], **(style | options))


def published(axes, x, y, method, **options):
    """A published number: hollow, and without an interval since none was given."""
    color, marker = STYLES[method]
    hollow = dict(marker=marker, mfc="none", mec=color, mew=1.0, ls="", ms=6)
    axes.plot(x, y, **(hollow | options))
