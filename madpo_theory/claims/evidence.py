"""One decorator for each kind of evidence: what it runs, and when it agrees.

Evidence is a function with the attribute `kind`; that which stands on Coq theorems or certified
quantities names them in `uses`. Its `foils` are false statements near its own, on which the same
code must disagree.
"""

import functools
import inspect
import json
import math
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import sympy as sp
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.configuration import set_hypothesis_home_dir

from ..audit import checker
from ..audit.examiner import Examiner, magnitude
from ..audit.graph import derivative, number, substitute
from ..audit.subject import Formula, Subject
from ..certify import kept_certificate
from ..certify.quantities import weighting_kind
from ..coq.coqc import NotChecked, checked_once
from ..files import write_text
from .ledger import Contradiction, Evidence, must

__all__ = [
    "certified",
    "certified_box",
    "certified_slopes",
    "describe",
    "enclosed",
    "foil",
    "must",
    "observed",
    "property_test",
    "proved",
    "ranges_of",
    "simulated",
    "symbolic",
]


def describe(schedule):
    """(c_max, c_min, lam, tau) of a schedule, as text."""
    return f"({schedule.c_max}, {schedule.c_min}, {schedule.lam}, {schedule.tau})"


@dataclass(frozen=True)
class Foil:
    """A false statement near that of a piece of evidence; `evidence` is that code put to it."""

    statement: str
    evidence: Callable


def foil(statement, **false):
    """A false statement on which the evidence below must disagree, to be put above its decorator.

    Each keyword is a name that the evidence finds in its module, and a function from what the name
    stands for to what it is to stand for while the foil is run::

        @foil("L is 5 % smaller", released_sensitivity=lambda true: lambda: 0.95 * true())
        @property_test("|z*(h) - z*(h')| <= L |h - h'|", "R1")
        def r1_lipschitz(...):
    """

    def decorate(evidence):
        names = inspect.unwrap(evidence).__globals__
        if unknown := false.keys() - names.keys():
            raise ValueError(
                f"the foil {statement!r} changes {unknown}, not in {names['__name__']}"
            )

        @functools.wraps(evidence)
        def changed(*folder):
            put = {name: change(names[name]) for name, change in false.items()}
            _forget(names)
            try:
                with mock.patch.dict(names, put):
                    return evidence(*folder)
            finally:
                _forget(names)

        evidence.foils = (Foil(statement, changed), *getattr(evidence, "foils", ()))
        return evidence

    return decorate


def _forget(names):
    """Empty what a module caches: it may have been computed from what is changed."""
    for value in list(names.values()):
        getattr(value, "cache_clear", lambda: None)()


def _labelled(evidence, kind, title, theory):
    """The evidence, with what the ledger says of it if it comes to no result."""
    evidence.kind, evidence.title, evidence.theory = kind, title, theory
    return evidence


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

        return _labelled(evidence, "symbolic", name, "0 for each")

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
    """Evidence from the kept certificate of a quantity; `detail` says of it what it covers.

    A foil for each limit: it lies 5 % further inside, and the certificate must refute it.
    """
    below, above, digits = limits

    def found(folder, below, above, verdict):
        certificate, path = kept_certificate(folder, quantity, subject, **options)
        lower, upper = certificate["lower"], certificate["upper"]
        bounds = [
            f"{sign} {limit:.9g}"
            for sign, limit in (("<=", below), (">=", above))
            if limit is not None
        ]
        return Evidence(
            kind="certified",
            name=name,
            computed=f"[{lower:.{digits}f}, {upper:.{digits}f}]",
            theory=" and ".join(bounds),
            agrees=verdict(lower, upper, below, above),
            detail=detail(certificate),
            certificate=path.name,
        )

    def labelled(evidence):
        evidence.uses = (quantity,)
        return _writing(evidence, f"{how}_{quantity}", name)

    def inside(limit):
        return None if limit is None else 0.05 * (abs(limit) or 1.0)

    def foil_of(statement, below, above):
        return Foil(statement, labelled(lambda folder: found(folder, below, above, _not_refuted)))

    evidence = labelled(lambda folder: found(folder, below, above, _within))
    evidence.foils = ()
    if below is not None:
        smaller = below - inside(below)
        evidence.foils += (foil_of(f"at most {smaller:.6g}, 5 % less", smaller, None),)
    if above is not None:
        larger = above + inside(above)
        evidence.foils += (foil_of(f"at least {larger:.6g}, 5 % more", None, larger),)
    return evidence


def _within(lower, upper, below, above):
    """Whether every number of [lower, upper] is at most `below` and at least `above`."""
    return (below is None or upper <= below) and (above is None or lower >= above)


def _not_refuted(lower, upper, below, above):
    """Whether some number of [lower, upper] is at most `below` and at least `above`."""
    return (below is None or lower <= below) and (above is None or upper >= above)


def observed(kind, name, theory, detail):
    """Evidence of the given kind from a function that returns (text, truth)."""

    def decorate(observation):
        @functools.wraps(observation)
        def evidence():
            text, agrees = observation()
            return Evidence(kind, name, text, theory, bool(agrees), detail)

        return _labelled(evidence, kind, name, theory)

    return decorate


def enclosed(name, theory):
    """Evidence from Arb balls evaluated at points; the function returns (text, truth)."""
    return observed("certified", name, theory, "Arb balls, 128 bits, at points")


REACH = 60.0
"""Nats within which the targets of a method are searched: no bound on their tails is asked for."""


class TargetBounds:
    """Bounds on a method's targets over |h| <= REACH, found as those of its verdict sheet.

    The method needs a target in closed form (slots). Targets are odd in the margins, so that
    h >= 0 is enough. Each bound is a :class:`~madpo_theory.audit.examiner.Found`; RuntimeError if
    its search finds no end.
    """

    def __init__(self, method):
        self.subject = Subject(method)
        self.ask = Examiner(seconds=10.0, quick=False, breaks=self.subject.breaks)

    def slopes(self):
        """(inf T', sup T') of the target T(h) with an exact reward model."""
        target, slope = self.subject.exact_target, derivative(1)
        return self._found(self.ask.inf, target, slope), self._found(self.ask.sup, target, slope)

    def influence(self):
        """(D, L): sup |z*(0, h)|, and the sup of its slope in h, for a pair of h* = 0."""
        moved = self.subject.target.node
        moved = Formula(substitute(moved, {"t": number(0, None)}), ("h",))
        return tuple(
            self._found(self.ask.sup, moved, magnitude(derivative(order))) for order in (0, 1)
        )

    @staticmethod
    def _found(search, formula, statement):
        found = search(formula, statement, {"h": (0.0, REACH)}, tolerance=1e-4)
        if not math.isfinite(found.upper - found.lower):
            raise RuntimeError(f"between {found.lower:.6g} and {found.upper:.6g}")
        return found

    def written(self, folder, label, found):
        """Checks and writes the certificates of bounds, by name; returns their glob and boxes.

        What is an identity has none.
        """
        stem, boxes = f"{label}-{self.subject.name}", 0
        for what, bound in found.items():
            for k, certificate in enumerate(bound.certificates):
                certificate |= {"method": self.subject.title, "row": what}
                checker.check(certificate)
                path = Path(folder) / f"{stem}-{what.split()[0]}-{k}.json"
                write_text(path, json.dumps(certificate) + "\n")
                boxes += len(certificate["boxes"])
        return f"{stem}-*.json" if boxes else "", boxes

    def evidence(self, folder, label, name, theory, agrees, found):
        """Evidence of bounds, by name, whose certificates it writes."""
        certificate, boxes = self.written(folder, label, found)
        told = f"{boxes} boxes, accepted by python -m madpo_theory.audit.checker"
        return Evidence(
            "certified",
            name,
            ", ".join(f"{what} in [{x.lower:.8g}, {x.upper:.8g}]" for what, x in found.items()),
            theory,
            agrees,
            f"|h| <= {REACH:g} nats, {told if boxes else 'an identity'}",
            certificate=certificate,
        )


def certified_slopes(name, method, *, least, most):
    """Evidence that inf T' and sup T' of a method lie between two numbers each.

    T(h) is its target with an exact reward model, in closed form, |h| <= REACH; see
    :class:`TargetBounds`.
    """

    def found(folder, least, most):
        bounds = TargetBounds(method)
        ends = dict(zip(("inf T'", "sup T'"), bounds.slopes(), strict=True))
        limits = zip(ends.values(), (least, most), strict=True)
        return bounds.evidence(
            folder,
            "slope",
            name,
            f"between {least[0]} and {least[1]}, between {most[0]} and {most[1]}",
            any(x.certificates for x in ends.values())
            and all(_within(x.lower, x.upper, high, low) for x, (low, high) in limits),
            ends,
        )

    def labelled(evidence):
        return _writing(evidence, "certified_slopes", name)

    steeper = tuple(x + 0.05 for x in least)
    flatter = tuple(0.95 * x for x in most)
    evidence = labelled(lambda folder: found(folder, least, most))
    evidence.foils = (
        Foil("the least slope is 0.05 more", labelled(lambda folder: found(folder, steeper, most))),
        Foil("the largest is 5 % less", labelled(lambda folder: found(folder, least, flatter))),
    )
    return evidence


def covered(name, label, theory, bounds, found):
    """Evidence of finite bounds of a :class:`TargetBounds`, by name, that were searched for."""

    def cover(folder):
        return bounds.evidence(folder, label, name, theory, True, found)

    return _writing(cover, "cover", name)


def _writing(evidence, called, title):
    """Certified evidence that takes the folder of its files."""
    evidence.__name__, evidence.writes = called, True
    return _labelled(evidence, "certified", title, "")


def proved(file, *theorems):
    """Evidence that Coq accepts the theorems of a file of ``proofs/`` on this machine.

    It disagrees if a proof does not compile, is not there, says something else than the committed
    ``proofs/statements.txt`` or is about other formulas than the code's; where Coq is missing it is
    not checked.
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

    evidence.__name__, evidence.uses = f"proved_{file}", tuple(f"{file}.{t}" for t in theorems)
    return _labelled(evidence, "proof", f"proofs/{file}.v", "proved")


def _named(axioms):
    """Axioms by name, those of machine integers by their number."""
    integers = [a for a in axioms if a.startswith(("Uint63.", "PrimInt63."))]
    reals = [a.split(".")[-1] for a in axioms if a not in integers]
    return [*reals, f"{len(integers)} of 63-bit integers"] if integers else reals


PHASES = tuple(Phase)
"""What Hypothesis does for a property: look for a counterexample, then for a simpler one."""


def ranges_of(strategy):
    """What a strategy draws from, in words: its `ranges`, or what Hypothesis calls it."""
    return getattr(strategy, "ranges", None) or repr(strategy)


@contextmanager
def _nothing_kept():
    """Within, Hypothesis writes no caches into the folder that a user happens to be in.

    It would write hundreds, and one that is killed, or finds the disk full, leaves temporaries.
    """
    if "HYPOTHESIS_STORAGE_DIRECTORY" in os.environ:  # where someone wants them
        yield
        return
    set_hypothesis_home_dir(os.devnull)  # no folder can be made there: it goes without
    try:
        yield
    finally:
        set_hypothesis_home_dir(None)


def property_test(name, theory, *, examples=200):
    """Evidence from a Hypothesis test, whose argument defaults are strategies.

    The evidence says over which values they range. The test says what :func:`must` be: the
    evidence agrees if no example fails, and reports the shrunk counterexample if one does.
    """

    def decorate(test):
        strategies = {n: p.default for n, p in inspect.signature(test).parameters.items()}
        ranges = "; ".join(f"{name}: {ranges_of(values)}" for name, values in strategies.items())
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
                report_multiple_bugs=False,  # one counterexample, as a Contradiction
                suppress_health_check=list(HealthCheck),
                phases=PHASES,
            )(given(**strategies)(counted))
            try:
                with _nothing_kept():
                    trial()
                computed, agrees = f"no counterexample in {run} examples", True
            except Contradiction as found:
                notes = " ".join(getattr(found, "__notes__", []))
                computed, agrees = f"counterexample: {found} {notes}", False
            return Evidence("property", name, computed, theory, agrees, "Hypothesis over " + ranges)

        return _labelled(evidence, "property", name, theory)

    return decorate


SIGMAS = 5.0
"""Standard errors that a simulation may deviate by, of all that it compares."""


def simulated(name, theory, *, sigmas=SIGMAS, of="sampled Bradley-Terry labels"):
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

        return _labelled(evidence, "simulation", name, theory)

    return decorate
