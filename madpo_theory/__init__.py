"""madpo_theory: the theory of margin-adaptive DPO, verified, simulated and trained with.

The formulas below take Python floats, NumPy arrays, torch tensors, SymPy expressions and
python-flint Arb balls, and return the same kind. Methods are in :mod:`madpo_theory.methods`,
their losses as functions in :mod:`madpo_theory.losses`, the ledger of claims in
:mod:`madpo_theory.claims`; :mod:`madpo_theory.audit` is the verdict sheet of any loss.
"""

import importlib
from importlib.util import find_spec

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "WEIGHTS",
    "BoundedRatioWeight",
    "EfficientWeight",
    "MarginSchedule",
    "Method",
    "PowerTarget",
    "PublishedWeight",
    "ScaledWeight",
    "TargetShapedWeight",
    "Weighting",
    "audit",
    "coefficient",
    "dpo_target",
    "effective_target",
    "influence_bound",
    "ipo_target",
    "log_weight",
    "log_weight_ratio",
    "losses",
    "monotone_limit",
    "pair_risk",
    "risk_curvature",
    "risk_slope",
    "safe_lam",
    "safe_tau",
    "weight",
]


_FOUND_IN = {
    "methods": ("METHODS", "Method"),
    "order": ("monotone_limit", "safe_lam", "safe_tau"),
    "risk": ("pair_risk", "risk_curvature", "risk_slope"),
    "schedule": ("MarginSchedule", "coefficient"),
    "targets": ("dpo_target", "effective_target", "influence_bound", "ipo_target"),
    "weights": (
        "WEIGHTS", "BoundedRatioWeight", "EfficientWeight", "PowerTarget", "PublishedWeight",
        "ScaledWeight", "TargetShapedWeight", "Weighting", "log_weight", "log_weight_ratio",
        "weight",
    ),
}  # fmt: skip


def __getattr__(name):
    """What is asked for is loaded then: a name of __all__, or any module of the library.

    So the command can answer ^C while NumPy is still being loaded (:mod:`madpo_theory.start`).
    """
    for module, names in _FOUND_IN.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    if name.startswith("_") or find_spec(f"{__name__}.{name}") is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def __dir__():
    return sorted({*globals(), *__all__})
