"""Certificates: suprema over all margins, enclosed in interval arithmetic and checkable."""

from .boxes import BoxSupremum, ExceedsBound, ScheduleBox, box_supremum
from .certificate import certify, certify_box, check, kept_certificate, write_certificate
from .grid import Cell, monotone_cells, section_cells
from .optimize import Supremum, supremum
from .quantities import QUANTITIES, InfiniteSupremum, Quantity

__all__ = [
    "QUANTITIES",
    "BoxSupremum",
    "Cell",
    "ExceedsBound",
    "InfiniteSupremum",
    "Quantity",
    "ScheduleBox",
    "Supremum",
    "box_supremum",
    "certify",
    "certify_box",
    "check",
    "kept_certificate",
    "monotone_cells",
    "section_cells",
    "supremum",
    "write_certificate",
]
