"""C6: which targets three responses can meet together."""

from dataclasses import dataclass

import numpy as np
import sympy as sp
import torch
from flint import arb
from hypothesis import strategies as st
from scipy.special import expit

from ..certify.enclosure import precision
from ..methods import METHODS, Method, Slots
from ..schedule import MarginSchedule
from ..simulate import PairProblem, sampled_wins, solve
from ..targets import effective_target
from .evidence import enclosed, foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import KAPPA, c_max, c_min, d, lam, u
from .settings import RELEASED, EverySlot, scaled, schedules

SAMPLINGS = ((1.0, 1.0, 1.0), (10.0, 10.0, 1.0), (1.0, 1.0, 10.0))
PAIRS = ((0, 1), (1, 2), (0, 2))


@dataclass(frozen=True)
class Linear(Method):
    """All slots of which the target is rho h: weight e^(kappa h), offset alpha h, temperature b."""

    needs = frozenset({"reference", "margin"})

    kappa: float = 0.25
    alpha: float = 0.5
    b: float = 2.0

    def slots(self, xp, h):
        return Slots(
            xp.number(self.kappa, h) * h,
            offset=xp.number(self.alpha, h) * h,
            temperature=xp.number(self.b, h),
        )


def rho(method):
    """Slope of the target of a :class:`Linear` method."""
    return (1 + 2 * method.kappa + method.alpha) / method.b


OUTER = (0, 0, 1)  # one label more of the pair (1, 3)
EXCESS = 3.673  # 2 T(3) - T(6), released schedule, nats
EVEN_SAMPLING = ((1.0, 1.0, 1.0),) * 3


@foil("more of an inner pair", OUTER=lambda true: (1, 0, 0))
@symbolic("C6: one table for two samplings has every pair at its own target")
def c6_stationary():
    n = sp.symbols("n_12 n_23 n_13", positive=True)
    scores, pairs = sp.symbols("s_1 s_2 s_3", real=True), ((0, 1), (1, 2), (0, 2))
    gaps = [scores[i] - scores[j] for i, j in pairs]
    risks = [sp.Function(f"R_{i + 1}{j + 1}")(x) for (i, j), x in zip(pairs, gaps, strict=True)]
    slopes = sp.symbols("S_12 S_23 S_13", real=True)
    s12, s23, s13 = slopes
    named = {
        sp.diff(r, scores[i]).doit(): s for r, (i, _), s in zip(risks, pairs, slopes, strict=True)
    }

    def gradient(counts):
        whole = sum(count * risk for count, risk in zip(counts, risks, strict=True))
        slope = [sp.diff(whole, scores[k]).doit() for k in (0, 2)]
        return [x.subs(named) for x in slope]

    first, second = gradient(n), gradient([x + more for x, more in zip(n, OUTER, strict=True)])
    yield (
        "more of the outer pair: the gradient changes by its slope, so S_13 = 0",
        second[0] - first[0],
        s13,
    )
    yield "and then S_12 = 0", first[0].subs(s13, 0), n[0] * s12
    yield "and S_23 = 0", -first[1].subs(s13, 0), n[1] * s23


@foil("kappa is 5 % larger", KAPPA=scaled(1.05))
@foil("of DPO's target", effective_target=lambda true: lambda h, *_: h)
@symbolic("C6: 2 T(u) - T(2u) at 2u < tau, positive by C6_published: no valid schedule is linear")
def c6_published():
    schedule = MarginSchedule(c_max, c_min, lam, 2 * u + d)
    half, whole = (effective_target(x, x, schedule) for x in (u, 2 * u))
    near, far = (KAPPA * sp.exp(-lam * x) for x in (u + d, d))
    difference = 2 * u * (c_max - c_min) * (far - near) / ((1 + near) * (1 + far))
    yield "2 T(u) - T(2u) = 2u (c(u) - c(2u))", 2 * half - whole, difference
    grown = KAPPA * sp.exp(-lam * (u + d)) * (sp.exp(lam * u) - 1)
    yield (
        "of the sign of kappa (E(2u) - E(u)) = kappa e^(-lam (u + d)) (e^(lam u) - 1)",
        far - near,
        grown,
    )


@foil("by 5 % more", effective_target=scaled(1.05))
@foil("of DPO's target, too", effective_target=lambda true: lambda h, *_: h)
@enclosed("C6: released schedule, the triple (3, 3, 6)", f"T(3) + T(3) > T(6), by {EXCESS}")
def c6_released():
    with precision():
        three, six = (effective_target(arb(h), arb(h), RELEASED) for h in (3, 6))
        off = 2 * three - six
        text = f"2 T(3) - T(6) = {off.str(8, radius=False)}"
        return text, EXCESS - 5e-4 < off < EXCESS + 5e-4


def _solutions(method, rewards):
    """Gaps (samplings, 3) of PAIRS that a method fits to expected labels, and their error."""
    h = rewards[:, None] - rewards
    labels = np.stack([expit(h) * _symmetric(sampling) for sampling in SAMPLINGS])
    margins = torch.as_tensor(h).expand(len(labels), 3, 3)
    fits = solve(method, PairProblem(torch.as_tensor(labels), margins))
    scores = fits.scores.numpy()
    gaps = np.stack([scores[:, j] - scores[:, i] for i, j in PAIRS], 1)
    return gaps, 2 * fits.error_bound.numpy().max() + 1e-12 * (1 + np.abs(gaps).max())


def _as_if_even(true):
    """For a foil: the solutions of even sampling for all."""

    def solutions(method, rewards):
        gaps, error = true(method, rewards)
        return gaps[[0, 0, 0]], error

    return solutions


def _symmetric(values):
    full = np.zeros((3, 3))
    for (i, j), value in zip(PAIRS, values, strict=True):
        full[i, j] = full[j, i] = value
    return full


@foil("it is 1.0001 rho r", rho=scaled(1.0001))
@foil("it is (1 + kappa + alpha) r/b", rho=lambda true: lambda m: true(m) - m.kappa / m.b)
@property_test(
    "weight e^(kappa h), offset alpha h, temperature b: the table is rho r however sampled",
    "C6, rho = (1 + 2 kappa + alpha)/b, of any sign",
    examples=60,
)
def c6_linear(
    kappa=st.floats(-1, 1),
    alpha=st.floats(-1, 1),
    b=st.floats(0.2, 5),
    steps=st.tuples(st.floats(0.1, 3), st.floats(0.1, 3)),
):
    method = Linear(kappa=kappa, alpha=alpha, b=b)
    rewards = np.array([0.0, *np.cumsum(steps)])
    gaps, error = _solutions(method, rewards)
    wanted = rho(method) * np.array([rewards[j] - rewards[i] for i, j in PAIRS])
    must(np.abs(gaps - wanted).max() <= error)


OTHERS = (
    METHODS["simpo"](gamma=1.6),
    METHODS["cdpo"](epsilon=0.1),
    METHODS["madpo"](),
    EverySlot(("log_weight", "label", "offset")),
)


@foil("and under even sampling", SAMPLINGS=lambda true: EVEN_SAMPLING)
@property_test(
    "targets that do not add up: the outer gap lies between T(a + b) and T(a) + T(b), and moves "
    "to its own target when drawn more",
    "C6, SimPO, cDPO, MADPO and a method of three slots",
    examples=60,
)
def c6_moves(
    method=st.sampled_from(OTHERS), steps=st.tuples(st.floats(0.2, 2.5), st.floats(0.2, 2.5))
):
    rewards = np.array([0.0, *np.cumsum(steps)])
    gaps, error = _solutions(method, rewards)
    path = sum(method.target(step) for step in steps)
    direct = method.target(rewards[2])
    even, less, more = gaps[:, 2]
    must(min(path, direct) - error <= even <= max(path, direct) + error)
    must(abs(more - direct) <= abs(even - direct) + error)
    must(abs(even - direct) <= abs(less - direct) + error)
    if abs(path - direct) > 1e-3:
        must(abs(more - direct) < abs(even - direct) < abs(less - direct) < abs(path - direct))


@foil("so of DPO", effective_target=lambda true: lambda h, *_: h)
@property_test("2 T(tau/2) > T(tau) of every schedule", "C6, none is linear")
def c6_no_schedule(s=schedules()):
    with precision(400):
        half = arb(s.tau) / 2
        must(2 * effective_target(half, half, s) > effective_target(2 * half, 2 * half, s))


@foil("the linear method's is 1 % more", rho=scaled(1.01))
@foil("MADPO's is that of even sampling", _solutions=_as_if_even)
@simulated(
    "tables of three drawn 400 times, two samplings of the pairs",
    "a linear method: rho r under both; MADPO: the optimum of its expected labels, which differs",
)
def c6_trained():
    rewards, draws, found, text = np.array([0.0, 1.0, 2.5]), 400, [], []
    h = torch.as_tensor(rewards[:, None] - rewards)
    linear = Linear()
    for start, method in ((160, linear), (165, METHODS["madpo"]())):
        expected, _ = _solutions(method, rewards)
        for k, sampling in enumerate(SAMPLINGS[1:], 1):
            counts = (_symmetric(sampling) * 100_000).astype(int)
            seeds = np.random.SeedSequence(start + k).spawn(draws)
            wins = np.stack([sampled_wins(rewards, counts, seed) for seed in seeds])
            problem = PairProblem(torch.as_tensor(wins), h.expand(draws, 3, 3))
            scores = solve(method, problem).scores.numpy()
            outer = scores[:, 2] - scores[:, 0]
            wanted = rho(linear) * 2.5 if method is linear else expected[k, 2]
            found.append((outer.mean() - wanted) / (outer.std(ddof=1) / np.sqrt(draws)))
            text.append(f"{outer.mean():.4f}")
    return "linear {} and {}, MADPO {} and {}".format(*text), np.array(found)


CLAIM = Claim(
    id="C6",
    title="among three responses only a temperature is consistent",
    statement=r"Of a method whose pairs each have one stationary point, the target $T(h)$ of an "
    r"exact model, three responses have one stationary table whatever the sampling of the pairs, "
    r"for all rewards, iff $T(h_{12}) + T(h_{23}) = T(h_{13})$ always; with $T$ bounded near 0 iff "
    r"$T(h) = \rho h$. For $\rho > 0$ that is DPO at $\beta/\rho$; no valid schedule of the "
    r"published weight is among them.",
    reading="With three or more responses a temperature is the only consistent choice: every "
    "method that amplifies some margins more than others fits what happens to be sampled.",
    source="derived here",
    assumptions=r"exact reward model; odd T. A weight need not be constant ($e^{h/4}$ has $\rho = "
    r"3/2$), nor $\rho$ positive ($e^{-h}$ has $-1$)",
    verdict="holds",
    uses=("C1", "C2", "C3"),
    evidence=(
        c6_stationary,
        c6_published,
        c6_released,
        c6_linear,
        c6_moves,
        c6_no_schedule,
        c6_trained,
        proved("Calculus", "C6_only_linear", "C6_weights", "C6_published"),
    ),
)
