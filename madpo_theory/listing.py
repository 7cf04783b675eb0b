"""``madpo ls``: what there is, by kind, each with a line of words."""

from . import extensions

__all__ = ["KINDS", "listed"]


def claims():
    """(id, its verdict and title) of every claim."""
    from .claims import CLAIMS
    from .verdicts import VERDICTS

    return [(c.id, f"{VERDICTS[c.verdict].text:<10}{c.title}") for c in CLAIMS]


def methods():
    """(name, what it is called and where it comes from) of every preference loss."""
    from .methods import METHODS

    return classes(METHODS)


def weights():
    """The same of every weight."""
    from .weights import WEIGHTS

    return classes(WEIGHTS)


def classes(registry):
    """(name, label and source) of the classes of a registry."""
    return [(name, f"{cls.label or name}: {cls.source}") for name, cls in registry.items()]


def studies():
    """(name, first line) of every simulation study."""
    return [(name, module.__doc__.splitlines()[0]) for name, module in extensions.STUDIES.items()]


def figures():
    """(name, title) of every figure."""
    from .show.figures import figures as known

    return [(name, figure.title) for name, figure in known().items()]


KINDS = {f.__name__: f for f in (claims, methods, weights, studies, figures)}
"""What can be listed: a function without arguments -> [(name, words)]."""


def listed(kind):
    """The lines that ``madpo ls KIND`` prints."""
    rows = KINDS[kind]()
    width = max(len(name) for name, _ in rows) + 2
    return [f"{name:<{width}}{words}" for name, words in rows]
