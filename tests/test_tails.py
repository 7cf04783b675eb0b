"""The bounds on the tails: checker and search compute the formulas that proofs/Tails.v proves."""

import re

import mpmath
import pytest
from flint import arb, ctx, fmpq
from hypothesis import example, given, settings
from hypothesis import strategies as st

from madpo_theory import MarginSchedule
from madpo_theory.certify import QUANTITIES, checker
from madpo_theory.clone import folder
from madpo_theory.weights import BoundedRatioWeight

mp = mpmath.mp.clone()
mp.dps = 60
DEFINITION = r"Definition (\w+) \(s : schedule\) \(far : R\) : R :=\s+(.*?)\.\n"
PROVED = dict(re.findall(DEFINITION, (folder("proofs") / "Tails.v").read_text(), re.S))
# The quantity of each weight, as the theorems bound it.
BOUNDS = {
    ("published", "sensitivity"): "slope_tail s far",
    ("published", "influence"): "value_tail s far",
    ("published", "dampening"): "value_tail s far",
    ("published", "log_weight_max"): "0",
    ("published", "log_weight_min"): "value_tail s far",
    ("published", "target_slope_min"): "slope_tail s far - 1",
    ("published", "target_slope_max"): "1 + slope_tail s far",
    ("published", "weight_slope"): "slope_tail s far",
    ("bounded_ratio", "sensitivity"): "ratio_slope_tail s far",  # above 1 - c(far) too
    ("bounded_ratio", "log_weight_max"): "0",
    ("bounded_ratio", "target_slope_min"): "ratio_slope_tail s far - 1",
    ("bounded_ratio", "target_slope_max"): "c s far",
    ("bounded_ratio", "weight_slope"): "ratio_weight_slope_tail s far",
}


def c(s, u):
    """The coefficient as the paper prints it."""
    c_max, c_min, lam, tau = s
    return c_min + (c_max - c_min) / (1 + kappa(s) * mp.exp(lam * (u - tau)))


def kappa(s):
    return (s[0] - 1) / (1 - s[1])


def value_of(term, s, far):
    """A term of Coq over a schedule and `far`, by the definitions of Tails.v, at 60 digits."""
    names = dict(zip(("c_max", "c_min", "lam", "tau"), s, strict=True))
    names |= {"far": far, "exp": mp.exp, "ln": mp.log, "kappa": kappa(s), "c": c(s, far)}
    for name, body in PROVED.items():
        if re.search(rf"\b{name} s far\b", term):
            names[name] = value_of(body, s, far)
    words = re.sub(r"\b(\w+) s( far)?\b", r"\1", " ".join(term.split()))
    return eval(re.sub(r"\b(exp|ln) (\w+)", r"\1(\2)", words), {"__builtins__": {}}, names)


def test_the_terms_are_read_as_coq_has_them():
    assert set(PROVED) == {
        "value_tail", "stretch", "slope_tail", "ratio_slope_tail", "ratio_weight_slope_tail",
    }  # fmt: skip
    s = tuple(map(mp.mpf, (2, 0.5, 1, 2)))
    far = mp.mpf(4)
    assert kappa(s) == 2
    stretch = 4 * mp.mpf("1.5") * mp.exp(-2) / 2
    assert mp.almosteq(value_of("stretch s far", s, far), stretch)
    slope = (c(s, far) + stretch) / (1 + mp.exp(2)) + 1 / (1 + mp.exp(4))
    assert mp.almosteq(value_of("1 + slope_tail s far", s, far), 1 + slope)


sixteenths = [st.integers(17, 80), st.integers(0, 15), st.integers(1, 80), st.integers(1, 128)]
cases = st.tuples(*sixteenths, st.integers(1, 160)).map(lambda x: tuple(fmpq(n, 16) for n in x))


def exact(case):
    """(schedule, far) in mpmath, far beyond tau and 1/lam."""
    *s, more = (mp.mpf(int(x.p)) / int(x.q) for x in case)
    return tuple(s), max(s[3], 1 / s[2]) + more


def ball(x):
    """The ball around a number of mpmath, of 60 digits."""
    return arb(mp.nstr(x, 58)) + arb(0, 1e-50) * (1 + abs(arb(mp.nstr(x, 10))))


@settings(max_examples=60)
@given(case=cases)
def test_checker_and_search_compute_what_is_proved(case):
    s, far = exact(case)
    with ctx.workprec(128):
        at = ball(far)
        schedule = checker._Schedule(*map(arb, case[:4]))
        weights = {"published": MarginSchedule(*map(arb, case[:4]))}
        weights["bounded_ratio"] = BoundedRatioWeight(weights["published"])
        for (weighting, name), term in BOUNDS.items():
            expected = ball(value_of(term, s, far))
            computed = checker._QUANTITIES[weighting][name][3](schedule, at)
            searched = QUANTITIES[name].tail(weights[weighting], at)
            for found in (computed, searched):
                # 128 bits less what the largest exponent, 5 x 24, and the factors lose
                assert found.overlaps(expected) and found.rad() < 1e-30 * (1 + abs(expected))


def test_every_bound_is_one_of_those():
    known = {(w, name) for w, table in checker._QUANTITIES.items() for name in table}
    assert known == set(BOUNDS)


def measured(s, far, name, weighting):
    """The quantity's values at margins beyond `far`, by the definition, at 60 digits."""

    def log_w(u):
        if weighting == "bounded_ratio":
            return (c(s, u) - 1) * u
        return mp.log((1 + mp.exp(-u)) / (1 + mp.exp(-c(s, u) * u)))

    value = {
        "sensitivity": lambda u: abs(mp.diff(log_w, u)),
        "influence": lambda u: abs(log_w(u)),
        "dampening": lambda u: -log_w(u),
        "log_weight_max": log_w,
        "log_weight_min": lambda u: -log_w(u),
        "target_slope_min": lambda u: -1 - mp.diff(log_w, u),
        "target_slope_max": lambda u: 1 + mp.diff(log_w, u),
        "weight_slope": lambda u: abs(mp.diff(lambda v: mp.exp(log_w(v)), u)),
    }[name]
    return [value(far + mp.mpf(step) ** 2 / 16 + mp.mpf(1) / 1000) for step in range(0, 24, 3)]


@settings(max_examples=8)
@given(case=cases)
@example(case=(fmpq(2), fmpq(0), fmpq(40), fmpq(1), fmpq(1, 64)))
def test_no_margin_beyond_exceeds_the_bound(case):
    s, far = exact(case)
    for (weighting, name), term in BOUNDS.items():
        # 1e-15: mp.diff takes a difference over a step of half the digits
        assert max(measured(s, far, name, weighting)) <= value_of(term, s, far) + mp.mpf("1e-15")


@pytest.mark.parametrize("weighting", ["published", "bounded_ratio"])
def test_half_the_bound_is_exceeded_and_so_is_the_bound_without_the_stretch(weighting):
    """Steep, with c still near 1 where the tail begins: u c' is most of the slope."""
    s, far = tuple(map(mp.mpf, (8, 0, 40, 1))), mp.mpf("1.04")
    bound = value_of(BOUNDS[weighting, "sensitivity"], s, far)
    stretch = value_of("stretch s far", s, far)
    share = 1 / (1 + mp.exp(s[1] * far)) if weighting == "published" else 1
    largest = max(measured(s, far, "sensitivity", weighting))
    assert largest > bound / 2 and largest > bound - stretch * share
    assert largest <= bound
