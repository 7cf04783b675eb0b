"""Preference pairs before training: what a schedule would do to them, and their weights.

``madpo diagnose PAIRS`` and ``madpo weights PAIRS -o OUT`` are :func:`diagnose` and
:func:`write_weights`; both read a file of any size in batches.
"""

from .diagnosis import Diagnosis, diagnose
from .reading import Reading
from .rows import write_rows
from .weights import write_weights

__all__ = ["Diagnosis", "Reading", "diagnose", "write_rows", "write_weights"]
