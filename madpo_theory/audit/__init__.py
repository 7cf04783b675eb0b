"""The verdict sheet of any preference loss: ``madpo audit``, and :func:`audit` in Python."""

from .sheet import Row, Sheet, audit
from .subject import method_of_function

__all__ = ["Row", "Sheet", "audit", "method_of_function"]
