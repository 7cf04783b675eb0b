"""Progress of long work: a bar on a terminal, and in a log a line now and then."""

import sys

from tqdm import tqdm

__all__ = ["progress"]

EVERY = 30.0
"""Seconds between two lines of a log."""


def progress(iterable=None, *, name, total=None, initial=0, quiet=False):
    """A bar with tqdm's ``update`` and ``set_postfix``, over an iterable or beside the work.

    Parameters
    ----------
    name : what is being done, in words.
    total, initial : how much there is of it and how much was done before; of a sized iterable its
        length.
    quiet : say nothing, as all processes but one of several do.
    """
    kind = tqdm if quiet or sys.stderr.isatty() else Lines
    return kind(iterable, desc=name, total=total, initial=initial, disable=quiet)


class Lines(tqdm):
    """The bar where nobody can see it move: at its start, every EVERY seconds, and at its end."""

    def __init__(self, iterable=None, **options):
        self._told = None
        super().__init__(iterable, mininterval=EVERY, miniters=1, maxinterval=EVERY, **options)

    def display(self, msg=None, pos=None):
        """Print where the work stands, unless it has not moved."""
        if msg is None and self.n != self._told:
            self._told = self.n
            state = self.format_dict
            gone, rate = state["elapsed"], state["rate"]
            whole = f" of {self.total:,}" if self.total else ""
            left = ""
            if self.total and rate and self.n < self.total:
                left = f", about {tqdm.format_interval((self.total - self.n) / rate)} left"
            beside = f", {self.postfix}" if self.postfix else ""
            line = (
                f"{self.desc}: {self.n:,}{whole}{beside}, {tqdm.format_interval(gone)} gone{left}"
            )
            print(line, file=sys.stderr, flush=True)

    def set_postfix(self, *pairs, **named):
        """As of tqdm, without a line for each."""
        super().set_postfix(*pairs, refresh=False, **named)

    def close(self):
        """The last line, and no more."""
        if not self.disable:
            self.display()
            self.disable = True
            self._decr_instances(self)
