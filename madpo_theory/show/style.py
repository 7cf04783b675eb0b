"""The house style of figures: type, lines, nothing of what the caller's matplotlibrc says."""

import functools

from .names import INK

__all__ = ["styled"]

RC = {
    "font.family": ["STIXGeneral"],
    "mathtext.fontset": "stix",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.unicode_minus": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "lines.solid_capstyle": "butt",
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # whole outlines, embedded: text stays text
    "svg.fonttype": "path",  # letters as outlines: they need no font
    "svg.hashsalt": "madpo_theory",
    "path.simplify": True,
}


def styled(function):
    """Run a function under the house style and nothing the caller's matplotlibrc says."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        import matplotlib

        with matplotlib.rc_context({**matplotlib.rcParamsDefault, "backend": "agg", **RC}):
            return function(*args, **kwargs)

    return wrapped
