"""One decorator for each kind of evidence: what it runs, and when it agrees.

Evidence is a function with the attribute `kind`; that which stands on Coq theorems or certified
quantities names them in `uses`.
"""

import functools
import inspect
import json
from pathlib import Path

import numpy as np
import sympy as sp
from hypothesis import HealthCheck, Phase, given, settings

from ..audit import checker
from ..audit.examiner import Examiner
from ..audit.graph import derivative
from ..audit.subject import Subject
from ..certify import Quantity, kept_certificate, supremum
from ..certify.quantities import weighting_kind
from ..coq.coqc import NotChecked, checked_once
from ..files import write_text
from .ledger import Evidence

__all__ = [
    "certified",
    "certified_box",
    "certified_slopes",
    "describe",
    "enclosed",
    "observed",
    "property_test",
    "proved",
    "simulated",
    "slope_range",
    "symbolic",
]


def describe(schedule):
    """(c_max, c_min, lam, tau) of a schedule, as text."""
    return f"({schedule.c_max}, {schedule.c_min}, {schedule.lam}, {schedule.tau})"


def symbolic(name):
    """Evidence from a function that returns steps ``(text, lhs, rhs)`` or ``(text, relation)``.

    It agrees if SymPy simplifies every lhs - rhs to zero and decides every relation to be true.
    """

    def decorate(derivation):
        @functools.wraps(derivation)
        def evidence():
            lines, agrees, residuals, decided = [], True, [], []
            for text, *sides in derivation():
                if len(sides) == 1:
                    (relation,) = sides
                    agrees &= relation == sp.true
                    decided.append(str(relation))
                    lines.append(f"{text}: {relation}")
                    continue
                lhs, rhs = sides
                residual = simplified(lhs - rhs)
                agrees &= residual == 0
                residuals.append(str(residual))
                lines.append(f"{text}: {sp.sstr(lhs)} = {sp.sstr(rhs)}; difference {residual}")
            relations = f"; relations decided: {', '.join(decided)}" if decided else ""
            return Evidence(
                kind="symbolic",
                name=name,
                computed=f"differences simplified to {', '.join(residuals)}{relations}",
                theory=f"0 for each{'; all True' if decided else ''}",
                agrees=bool(agrees and residuals),
                detail="SymPy, every parameter a symbol",
                steps=tuple(lines),
            )

        evidence.kind = "symbolic"
        return evidence

    return decorate


def simplified(expression):
    """The expression, brought to one fraction in the exponentials it holds.

    Every e^(k t) becomes the k-th power of a symbol for e^t. What is zero as a rational function
    of those symbols is zero as a function; anything else counts as not proved.
    """
    names = {}

    def power(exponent):
        product = sp.Integer(1)
        for term in sp.Add.make_args(sp.expand(sp.cancel(exponent))):
            count, base = term.as_coeff_Mul()
            if not count.is_Integer:
                count, base = sp.Integer(1), term
            product *= names.setdefault(base, sp.Dummy(positive=True)) ** count
        return product

    expression = sp.expand_log(sp.sympify(expression), force=True)
    fraction = expression.replace(sp.exp, power).replace(sp.log, _log_of_fraction)
    fraction = sp.cancel(sp.together(fraction))
    return fraction.subs({name: sp.exp(base) for base, name in names.items()})


def _log_of_fraction(argument):
    return sp.log(sp.cancel(sp.together(argument)))


def certified(name, quantity, weighting, *, below=None, above=None, digits=6):
    """Evidence that the certified supremum of a quantity lies between two numbers.

    `weighting` is a MarginSchedule with exact parameters (the published weight), or a
    BoundedRatioWeight of one. The certificate is written, or found from an earlier run, read by
    the independent checker, and named in the evidence.
    """

    def detail(certificate):
        kind, schedule = weighting_kind(weighting)
        return (
            f"sup {quantity}{_of(kind)}, {len(certificate['boxes'])} boxes and tail, schedule "
            f"{describe(schedule)}"
        )

    return _certified(name, "certified", quantity, weighting, (below, above, digits), detail)


def certified_box(
    name,
    quantity,
    box,
    *,
    kind="published",
    below=None,
    above=None,
    tolerance=None,
    within=None,
    digits=4,
):
    """Evidence that a supremum over all margins and all schedules of a ScheduleBox is bounded.

    With a `tolerance` the supremum is enclosed and must lie between `above` and `below`; without
    one only sup <= `below` is proved, which costs less. `kind` is the weight, "published" or
    "bounded_ratio"; `within` a range of margins in taus, or one margin. Certificates as in
    :func:`certified`.
    """
    options = {"kind": kind, "within": within}
    options |= {"bound": below} if tolerance is None else {"tolerance": tolerance}

    def detail(certificate):
        leaves = sum(tree.count(".") for trees in certificate["trees"].values() for tree in trees)
        margin, *schedule = certificate["witness"]
        extent = "and tail" if within is None else f"at margins {certificate['within']} tau"
        return (
            f"sup {quantity}{_of(kind)} over {box}, {leaves} boxes {extent}; lower end at "
            f"h = {margin} tau, schedule ({', '.join(schedule)})"
        )

    limits = below, above, digits
    return _certified(name, "certified_box", quantity, box, limits, detail, **options)


def _of(kind):
    return "" if kind == "published" else f" of the {kind} weight"


def _certified(name, how, quantity, subject, limits, detail, **options):
    """Evidence from the kept certificate of a quantity; `detail` says of it what it covers."""
    below, above, digits = limits
    bounds = [f"<= {below}"] * (below is not None) + [f">= {above}"] * (above is not None)

    def evidence(folder):
        certificate, path = kept_certificate(folder, quantity, subject, **options)
        lower, upper = certificate["lower"], certificate["upper"]
        return Evidence(
            kind="certified",
            name=name,
            computed=f"[{lower:.{digits}f}, {upper:.{digits}f}]",
            theory=" and ".join(bounds),
            agrees=(below is None or upper <= below) and (above is None or lower >= above),
            detail=detail(certificate),
            certificate=path.name,
        )

    evidence.__name__ = f"{how}_{quantity}"
    evidence.kind, evidence.writes, evidence.uses = "certified", True, (quantity,)
    return evidence


def observed(kind, name, theory, detail):
    """Evidence of the given kind from a function that returns (text, truth)."""

    def decorate(observation):
        @functools.wraps(observation)
        def evidence():
            text, agrees = observation()
            return Evidence(kind, name, text, theory, bool(agrees), detail)

        evidence.kind = kind
        return evidence

    return decorate


def enclosed(name, theory):
    """Evidence from Arb balls evaluated at points; the function returns (text, truth)."""
    return observed("certified", name, theory, "Arb balls, 128 bits, at points")


REACH = 60.0
"""Nats within which the target map of a method is searched: no bound on its tail is known."""


class _TargetSlope(Quantity):
    """Slope of the target map T(h) = z*(h, h) of a method; T is odd, so that h >= 0 is enough."""

    def tail(self, weighting, far):
        return None


def slope_range(method, tolerance=1e-3, limit=100_000):
    """(inf T', sup T') of a method with an exact reward model over |h| <= REACH: two Supremum.

    That of the infimum is of -T'. The method needs a target in closed form (slots).
    """

    def formula(xp, h, method):
        return method.target_formula(xp, h, h)

    return tuple(
        supremum(
            _TargetSlope(name, formula, 1, (sign,)),
            method,
            tolerance=tolerance,
            bits=256,
            limit=limit,
            reach=REACH,
        )
        for name, sign in (("target_slope_min", -1), ("target_slope_max", 1))
    )


def certified_slopes(name, method, *, least, most):
    """Evidence that inf T' and sup T' of a method lie between two numbers each.

    T(h) is its target with an exact reward model, in closed form, |h| <= REACH; the bounds are
    found as those of a verdict sheet. Their certificates are written, and read by its checker.
    """

    def evidence(folder):
        subject = Subject(method)
        ask, slope = Examiner(seconds=10.0, quick=False, breaks=subject.breaks), derivative(1)
        # T is odd, so that h >= 0 is enough
        options = {"sides": {"h": (0.0, REACH)}, "tolerance": 1e-4}
        found = (
            ask.inf(subject.exact_target, slope, **options),
            ask.sup(subject.exact_target, slope, **options),
        )
        written = []
        for end, bound in zip(("least", "most"), found, strict=True):
            for k, certificate in enumerate(bound.certificates):
                certificate |= {"method": subject.title, "row": f"{end} slope of the target"}
                checker.check(certificate)
                path = Path(folder) / f"slope-{subject.name}-{end}-{k}.json"
                write_text(path, json.dumps(certificate) + "\n")
                written.append(len(certificate["boxes"]))
        shown = [f"[{x.lower:.8g}, {x.upper:.8g}]" for x in found]
        limits = zip(found, (least, most), strict=True)
        return Evidence(
            "certified",
            name,
            f"inf T' in {shown[0]}, sup T' in {shown[1]}",
            f"between {least[0]} and {least[1]}, between {most[0]} and {most[1]}",
            bool(written) and all(low <= x.lower and x.upper <= high for x, (low, high) in limits),
            f"|h| <= {REACH:g} nats, {sum(written)} boxes, accepted by "
            "python -m madpo_theory.audit.checker",
            certificate=f"slope-{subject.name}-*.json",
        )

    evidence.__name__ = "certified_slopes"
    evidence.kind, evidence.writes = "certified", True
    return evidence


def proved(file, *theorems):
    """Evidence that Coq accepts the theorems of a file of ``proofs/`` on this machine.

    It disagrees if a proof does not compile, is not there, or is about other formulas than the
    code's; where Coq is missing it is not checked.
    """

    def evidence():
        result = checked_once()
        shown = functools.partial(
            Evidence, "proof", f"proofs/{file}.v, {', '.join(theorems)}",
            theory="proved, with no axiom beyond proofs/axioms.txt",
        )  # fmt: skip
        if isinstance(result, NotChecked):
            return shown(computed=f"not checked here: {result}", agrees=False, checked=False)
        if isinstance(result, Exception):
            return shown(computed=f"refused: {result}", agrees=False)
        missing = [name for name in theorems if (file, name) not in result.statements]
        if missing:
            return shown(computed=f"no theorem {', '.join(missing)} in {file}.v", agrees=False)
        return shown(
            computed="proved",
            agrees=True,
            detail=f"Coq; axioms: {', '.join(_named(result.axioms[file]))}",
            steps=tuple(result.statements[file, name] for name in theorems),
        )

    evidence.__name__ = f"proved_{file}"
    evidence.kind, evidence.uses = "proof", tuple(f"{file}.{name}" for name in theorems)
    return evidence


def _named(axioms):
    """Axioms by name, those of machine integers by their number."""
    integers = [a for a in axioms if a.startswith(("Uint63.", "PrimInt63."))]
    reals = [a.split(".")[-1] for a in axioms if a not in integers]
    return [*reals, f"{len(integers)} of 63-bit integers"] if integers else reals


PHASES = tuple(Phase)
"""What Hypothesis does for a property: look for a counterexample, then for a simpler one."""


def property_test(name, theory, *, examples=200):
    """Evidence from a Hypothesis test, whose argument defaults are strategies.

    An argument `s` is a schedule and `case` a schedule with a margin: both range over all valid
    schedules. The test asserts: the evidence agrees if no example fails, and reports the shrunk
    counterexample if one does.
    """

    def decorate(test):
        strategies = {n: p.default for n, p in inspect.signature(test).parameters.items()}
        ranges = (
            "all valid schedules" if {"s", "case"} & strategies.keys() else "the arguments it names"
        )
        run = 0

        def counted(**values):
            nonlocal run
            run += 1
            test(**values)

        @functools.wraps(test)
        def evidence():
            nonlocal run
            run = 0
            trial = settings(
                max_examples=examples,
                derandomize=True,
                database=None,
                deadline=None,
                print_blob=False,
                report_multiple_bugs=False,  # one counterexample, as an AssertionError
                suppress_health_check=list(HealthCheck),
                phases=PHASES,
            )(given(**strategies)(counted))
            try:
                trial()
                computed, agrees = f"no counterexample in {run} examples", True
            except AssertionError as error:
                notes = " ".join(getattr(error, "__notes__", []))
                computed, agrees = f"counterexample: {error} {notes}", False
            return Evidence("property", name, computed, theory, agrees, "Hypothesis over " + ranges)

        evidence.kind = "property"
        return evidence

    return decorate


def simulated(name, theory, *, sigmas=5.0, of="sampled Bradley-Terry labels"):
    """Evidence from a function that returns (text, z-scores): agrees if none exceeds `sigmas`."""

    def decorate(simulation):
        @functools.wraps(simulation)
        def evidence():
            text, scores = simulation()
            worst = float(np.abs(scores).max())
            return Evidence(
                "simulation",
                name,
                f"{text}; largest deviation {worst:.2f} standard errors of {np.size(scores)}",
                theory,
                bool(worst < sigmas),
                f"{of}; agrees below {sigmas:g} standard errors",
            )

        evidence.kind = "simulation"
        return evidence

    return decorate
