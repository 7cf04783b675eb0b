"""madpo_theory: the theory of margin-adaptive DPO, verified, simulated and trained with.

The formulas below take Python floats, NumPy arrays, torch tensors, SymPy expressions and
python-flint Arb balls, and return the same kind. Methods are in :mod:`madpo_theory.methods`,
their losses as functions in :mod:`madpo_theory.losses`, the ledger of claims in
:mod:`madpo_theory.claims`; :mod:`madpo_theory.audit` is the verdict sheet of any loss.
"""

import importlib

from . import losses
from .methods import METHODS, Method
from .order import monotone_limit, safe_lam, safe_tau
from .risk import pair_risk, risk_curvature, risk_slope
from .schedule import MarginSchedule, coefficient
from .targets import dpo_target, effective_target, influence_bound, ipo_target
from .weights import (
    WEIGHTS,
    BoundedRatioWeight,
    EfficientWeight,
    PowerTarget,
    PublishedWeight,
    ScaledWeight,
    TargetShapedWeight,
    Weighting,
    log_weight,
    log_weight_ratio,
    weight,
)

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


def __getattr__(name):
    """The verdict sheet, ``madpo_theory.audit(method)``, is loaded once it is asked for."""
    if name != "audit":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
