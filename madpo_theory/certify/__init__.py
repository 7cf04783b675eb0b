"""Certificates: suprema over all margins, enclosed in interval arithmetic and checkable."""

from .certificate import certify, write_certificate
from .checker import check
from .optimize import Supremum, supremum
from .quantities import QUANTITIES, Quantity

__all__ = [
    "QUANTITIES",
    "Quantity",
    "Supremum",
    "certify",
    "check",
    "supremum",
    "write_certificate",
]
