"""The verdict sheet of any preference loss: ``madpo audit``, and in Python this package itself.

``madpo_theory.audit(method)`` is :func:`audit`: the package can be called, so that the function has
the name of the command.
"""

import sys
from types import ModuleType

from .sheet import Row, Sheet, audit
from .subject import method_of_function

__all__ = ["Row", "Sheet", "audit", "method_of_function"]


class _Audit(ModuleType):
    __call__ = staticmethod(audit)


sys.modules[__name__].__class__ = _Audit
