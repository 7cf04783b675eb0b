"""The formulas of the library as Coq definitions: the text of ``proofs/Generated.v``.

Each is evaluated in the SymPy world and printed. What speaks of any weight (the risk, the loss,
the targets) is evaluated with a weight that is two undefined functions, and is a Coq function of
those; the published weight and the bounded-ratio one are definitions to put in their places. So is
what speaks of any slots.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace

import sympy as sp

from ..losses import beta_dpo_beta, dpo, ipo, madpo
from ..methods import Cdpo, Method, OffsetMadpo, Rdpo, Simpo, Slots
from ..methods.beta_dpo import log_keep
from ..ops import stable, sympy_world
from ..order import amplified_limit, beyond_limit, monotone_limit
from ..risk import pair_risk, risk_curvature, risk_slope
from ..schedule import MarginSchedule, coefficient, excess
from ..targets import dpo_target, effective_target, influence_bound, ipo_target
from ..weights import BoundedRatioWeight, Weighting, log_weight, log_weight_ratio, weight
from .printer import coq_argument, coq_definition

__all__ = ["generated"]

HEADER = """\
(* Written by `python -m madpo_theory.coq` from the formulas of madpo_theory, evaluated in the
   SymPy world: do not edit. tests/test_proofs.py checks that it is what the code prints today. *)

From Coq Require Import Reals.
From Madpo Require Import Sigmoid.
Open Scope R_scope.

Record schedule := Schedule { c_max : R; c_min : R; lam : R; tau : R }.
"""

textbook = SimpleNamespace(
    **vars(sympy_world)
    | {
        "exp_difference": lambda a, b, x: sp.exp(-a) * (1 - sp.exp(-x)),
        "mobius_exp": lambda a, k: (1 - sp.exp(a)) / (1 + k * sp.exp(a)),
    }
)
"""The SymPy world with two primitives as their definitions have them, for proofs; its own, which
are equal, stay finite where an expression is compiled."""

NAMED = ("released", "class_defaults")


@dataclass(frozen=True)
class _AnyWeight(Weighting):
    """A weight of which nothing is known; its ratio is the base class's."""

    def log_weight(self, xp, h):
        return sp.Function("log_w")(h)


@dataclass(frozen=True)
class _AnyRatio(Weighting):
    """A weight of whose ratio nothing is known."""

    def log_weight(self, xp, h):
        raise ValueError("a formula of the ratio asked for the weight itself")

    def log_ratio(self, xp, h):
        return sp.Function("delta")(h)


@dataclass(frozen=True)
class _AnySlots(Method):
    """A method of whose slots nothing is known but which are filled; a label has two positive
    parts, so that SymPy follows the formulas where they are finite."""

    filled: tuple = ()

    def slots(self, xp, h):
        every = {
            "log_weight": sp.Function("log_w", real=True)(h),
            "label": tuple(sp.Function(q, positive=True)(h) for q in ("agreed", "disputed")),
            "offset": sp.Function("offset", real=True)(h),
            "temperature": sp.Symbol("b", positive=True),
        }
        return Slots(**{name: every[name] for name in self.filled})


def generated():
    """The text of ``proofs/Generated.v``, always the same for the same formulas."""
    c_max, lam, tau = sp.symbols("c_max lam tau", positive=True)
    parameters = (c_max, sp.Symbol("c_min", nonnegative=True), lam, tau)
    s = MarginSchedule(*parameters)
    of_schedule = {p: f"{p.name} s" for p in parameters}
    h, h_true, h_model, z, mean, margin = sp.symbols("h h_true h_model z mean margin", real=True)
    logps = sp.symbols("chosen rejected ref_chosen ref_rejected", real=True)
    beta, alpha = sp.symbols("beta alpha", positive=True)
    running, std = sp.Symbol("running", real=True), sp.Symbol("std", positive=True)
    any_weight, any_ratio, bounded = _AnyWeight(), _AnyRatio(), BoundedRatioWeight(s)
    batch = {"beta": beta, "alpha": alpha, "running_mean": running, "variant": "madpo"}
    weighted = _AnySlots(("log_weight",))
    hard = _AnySlots(("log_weight", "offset", "temperature"))
    soft = _AnySlots(("log_weight", "label", "temperature"))
    every = _AnySlots(("log_weight", "label", "offset", "temperature"))
    epsilon, gamma, d = sp.symbols("epsilon gamma d", positive=True)
    a, b, x, k = *sp.symbols("a b x", real=True), sp.Symbol("k", positive=True)
    of_h, of_weight = "(s : schedule) (h : R)", "(log_w : R -> R)"
    of_hard, of_soft = "(log_w offset : R -> R)", "(log_w agreed disputed : R -> R)"
    of_slots, of_target = "(log_w agreed disputed offset : R -> R)", "(b h_true h : R)"
    of_pair, of_logps = "(z h_true h_model : R)", "(chosen rejected ref_chosen ref_rejected : R)"
    primitives = {"logistic": (a, k), "mobius_exp": (a, k), "exp_difference": (a, b, x)}
    definitions = (
        *(
            (prefix + name, f"({' '.join(map(str, values))} : R)", primitive(*values))
            for name, values in primitives.items()
            for prefix, primitive in (
                ("", getattr(textbook, name)),
                ("stable_", functools.partial(getattr(stable, name), sympy_world)),
            )
        ),
        ("coefficient", of_h, coefficient(h, s)),
        ("excess", of_h, excess.formula(textbook, h, s)),
        ("log_weight", of_h, log_weight.formula(textbook, h, s)),
        ("log_weight_ratio", of_h, log_weight_ratio.formula(textbook, h, s)),
        ("influence_bound", "(s : schedule)", influence_bound(s)),
        ("monotone_limit", "(s : schedule)", monotone_limit(*parameters[:2])),
        ("beyond_limit", "(s : schedule)", beyond_limit(*parameters[:2])),
        ("amplified_limit", "(s : schedule)", amplified_limit(*parameters[:2])),
        ("bounded_log_weight", of_h, log_weight.formula(textbook, h, bounded)),
        ("bounded_log_ratio", of_h, log_weight_ratio.formula(textbook, h, bounded)),
        ("weight", f"{of_weight} (h : R)", weight(h, any_weight)),
        ("ratio_of", f"{of_weight} (h : R)", log_weight_ratio(h, any_weight)),
        (
            "effective_target",
            "(delta : R -> R) (h_true h_model : R)",
            effective_target(h_true, h_model, any_ratio),
        ),
        ("pair_risk", f"{of_weight} {of_pair}", pair_risk(z, h_true, h_model, any_weight)),
        ("risk_slope", f"{of_weight} {of_pair}", risk_slope(z, h_true, h_model, any_weight)),
        (
            "risk_curvature",
            f"{of_weight} {of_pair}",
            risk_curvature(z, h_true, h_model, any_weight),
        ),
        (
            "madpo_loss",
            f"{of_weight} (beta margin : R) {of_logps}",
            madpo(*logps, margin=h, weighting=any_weight, beta=beta)[0].subs(h, margin),
        ),
        ("dpo_loss", f"(beta : R) {of_logps}", dpo(*logps, beta=beta)[0]),
        ("dpo_target", "(h : R)", dpo_target(h)),
        ("ipo_loss", f"(beta : R) {of_logps}", ipo(*logps, beta=beta)[0]),
        ("ipo_target", "(beta h : R)", ipo_target(h, beta)),
        ("beta_dpo_beta", "(beta alpha running mean : R)", beta_dpo_beta(mean, **batch)),
        ("log_keep", "(margin mean std : R)", log_keep(margin, mean, std)),
        ("weight_target", f"{of_weight} (h_true h : R)", weighted.target(h_true, h)),
        ("hard_loss", f"{of_hard} (b z h : R)", hard.margin_loss(sympy_world, z, h)),
        ("hard_target", f"{of_hard} {of_target}", hard.target(h_true, h)),
        ("soft_target", f"{of_soft} {of_target}", soft.target(h_true, h)),
        ("slot_loss", f"{of_slots} (b z h : R)", every.margin_loss(sympy_world, z, h)),
        ("slot_target", f"{of_slots} {of_target}", every.target(h_true, h)),
        ("cdpo_loss", "(epsilon z : R)", Cdpo(epsilon).margin_loss(sympy_world, z, h)),
        ("rdpo_loss", "(epsilon z : R)", Rdpo(epsilon).margin_loss(sympy_world, z, h)),
        (
            "clipped_offset",
            "(delta : R -> R) (d h : R)",
            OffsetMadpo(any_ratio, clip=d).offset(sympy_world, h),
        ),
        ("simpo_target", "(gamma h : R)", Simpo(gamma).target(h)),
    )
    texts = [coq_definition(*definition, of_schedule) for definition in definitions]
    texts += [_constant(name, getattr(MarginSchedule, name)(exact=True)) for name in NAMED]
    return "\n".join((HEADER, *texts))


def _constant(name, s):
    numbers = " ".join(coq_argument(v) for v in (s.c_max, s.c_min, s.lam, s.tau))
    return f"Definition {name} : schedule := Schedule {numbers}.\n"
