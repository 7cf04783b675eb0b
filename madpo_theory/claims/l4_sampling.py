"""L4: three responses whose targets contradict each other."""

import numpy as np
import sympy as sp
from flint import arb, arb_mat
from hypothesis import strategies as st

from ..certify.enclosure import precision
from ..risk import risk_curvature, risk_slope
from ..schedule import MarginSchedule, coefficient
from ..simulate.solve.table import fit_table, minimize_table, sampled_wins, weigh_wins
from ..targets import dpo_target, effective_target
from ..weights import log_weight_ratio
from .evidence import enclosed, foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import KAPPA, REGIMES, both_weights, c_max, c_min, d, h_true, in_c, lam, sigma, z
from .settings import (
    LABELS,
    RELEASED,
    RELEASED_4,
    Unweighted,
    gap_errors,
    margins,
    offdiagonal,
    rewards_of,
    scaled,
    schedules,
)

A, B = sp.symbols("a b", positive=True)
THREE = (0, 2, 6)
# Samplings of the pairs (01, 12, 02) and the fitted gap of the outer two.
GAPS = {(1, 1, 1): 17.754, (10, 10, 1): 19.840, (1, 1, 10): 14.907}
OWN, PATH = 10.103, 21.094  # the outer pair's own target; the sum of the other two
ADDITIVE = 7.083  # released schedule: T(h) + T(h) = T(2h)
PAIRS = ((0, 1), (1, 2), (0, 2))


def sampling_of(weights):
    sampling = np.zeros((3, 3))
    for (i, j), value in zip(PAIRS, weights, strict=True):
        sampling[i, j] = sampling[j, i] = value
    return sampling


@foil("the targets are 5 % larger", effective_target=scaled(sp.Rational(21, 20)))
@foil("c is 5 % larger", coefficient=scaled(sp.Rational(21, 20)))
@symbolic("the slope of a pair vanishes at its own target; the targets do not add up")
def l4_cycle():
    for name, h, s in REGIMES:
        up, down = both_weights(h, s)
        p, q = sigma(h_true) * up, sigma(-h_true) * down
        target = sp.exp(h_true) * up / down  # e^z* (T1)
        yield (
            f"{name}: R'(z) = (p + q)(sigma(z) - sigma(z*)), and the table's gradient is D^T R'",
            in_c(risk_slope(z, h_true, h, s), s),
            (p + q) * (sigma(z) - 1 / (1 + 1 / target)),
        )
    s = MarginSchedule(c_max, c_min, lam, A + B + d)  # a, b and a + b inside the knee
    c = {x: coefficient(x, s) for x in (A, B, A + B)}
    T = {x: effective_target(x, x, s) for x in c}
    yield (
        "T(a) + T(b) - T(a + b) = a [c(a) - c(a + b)] + b [c(b) - c(a + b)]",
        T[A] + T[B] - T[A + B],
        A * (c[A] - c[A + B]) + B * (c[B] - c[A + B]),
    )
    near, far = (KAPPA * sp.exp(-lam * x) for x in (B + d, d))
    yield (
        "c(a) - c(a + b) = (c_max - c_min) kappa (E' - E)/((1 + kappa E)(1 + kappa E')), positive "
        "as c falls (Coq's S1_decreasing)",
        c[A] - c[A + B],
        (c_max - c_min) * (far - near) / ((1 + near) * (1 + far)),
    )
    yield "DPO: h12 + h23 - h13 = 0", dpo_target(A) + dpo_target(B) - dpo_target(A + B), sp.S(0)


def krawczyk(weights):
    """Arb ball that holds the fitted gap of the outer two, proved by one Krawczyk step.

    With s_0 = 0 the gradient F of the table's loss has two entries. K(X) = m - Y F(m) +
    (I - Y F'(X))(X - m) inside X proves one zero of F in X; the loss is convex, so it is the
    minimizer.
    """
    s, sampling = MarginSchedule.released(4), sampling_of(weights)
    start = fit_table(np.array(THREE, float), s, sampling=sampling).scores
    middle = [arb(x) for x in start[1:] - start[0]]
    box = [x + arb(0, 1e-9) for x in middle]
    h = [arb(THREE[j] - THREE[i]) for i, j in PAIRS]

    def of_pairs(f, x):
        gaps = (x[0], x[1] - x[0], x[1])
        return [n * f(g, m, m, RELEASED_4) for n, g, m in zip(weights, gaps, h, strict=True)]

    first, second, outer = of_pairs(risk_slope, middle)
    gradient = arb_mat(2, 1, [first - second, second + outer])
    first, second, outer = of_pairs(risk_curvature, box)
    hessian = arb_mat([[first + second, -second], [-second, second + outer]])
    inverse = arb_mat([[x.mid() for x in row] for row in hessian.mid().inv().tolist()])
    off = arb_mat(2, 1, [x - m for x, m in zip(box, middle, strict=True)])
    one = arb_mat([[1, 0], [0, 1]])
    image = arb_mat(2, 1, middle) - inverse * gradient + (one - inverse * hessian) * off
    inside = all(box[k].contains_interior(image[k, 0]) for k in range(2))
    return image[1, 0], inside


@foil(
    "of the pairs the outer one is sampled as often",
    sampling_of=lambda true: lambda weights: true((1, 1, 1)),
)
@foil("one gap is a thousandth more", GAPS=lambda true: true | {(1, 1, 1): true[1, 1, 1] + 1e-3})
@enclosed(
    f"r = {THREE}, c_max = 4: the gap of the outer two under three samplings",
    f"{', '.join(map(str, GAPS.values()))}; its own target is {OWN}, the sum of the others {PATH}",
)
def l4_optima():
    with precision():
        found, agrees = [], True
        for weights, expected in GAPS.items():
            gap, proved = krawczyk(weights)
            agrees &= proved and abs(gap - expected) < 5e-4
            found.append(f"{weights}: {gap.str(8, radius=False)}")
        own, *rest = (effective_target(arb(h), arb(h), RELEASED_4) for h in (6, 2, 4))
        path = sum(rest, arb(0))
        agrees &= abs(own - OWN) < 5e-4
        agrees &= abs(path - PATH) < 5e-4
        text = f"{'; '.join(found)}; target {own.str(8, radius=False)}"
        return text + f", by way of the middle one {path.str(8, radius=False)}", agrees


@foil("at a margin 5 % larger", ADDITIVE=scaled(1.05))
@enclosed(
    "beyond tau: a triple (h, h, 2h) whose targets add up, though c is not constant",
    f"2 T(h) - T(2h) changes sign at h = {ADDITIVE}, released schedule",
)
def l4_additive_triple():
    with precision():
        low, high = (
            2 * log_weight_ratio(h, RELEASED) - log_weight_ratio(2 * h, RELEASED)
            for h in (arb(ADDITIVE) - 5e-4, arb(ADDITIVE) + 5e-4)
        )
        text = f"{low.str(5, radius=False)} just below, {high.str(5, radius=False)} just above"
        return text, low > 0 and high < 0


@foil("the targets add up", log_weight_ratio=scaled(0))
@property_test(
    "T(a) + T(b) - T(a + b) tends to (c(b) - 1) b > 0 and delta(b) < 0 as a grows, b on either "
    "side of tau",
    "L4: analytic and not 0 on either side, it is 0 on a null set",
    examples=100,
)
def l4_far_apart(s=schedules(), share=st.floats(0.01, 0.99), beyond=st.floats(0.01, 5)):
    with precision(3000):  # enough to see e^(-c b) beside what a leaves
        easy = arb(s.tau) * (1 + beyond / (s.lam * s.tau))
        far = arb(1000) / min(s.lam, s.c_min or s.lam) + 2 * easy
        for b, limit in ((arb(s.tau) * share, 1), (easy, -1)):
            own = log_weight_ratio(b, s)
            defect = log_weight_ratio(far, s) + own - log_weight_ratio(far + b, s)
            must(limit * own > 0)
            must(abs(defect - own) < abs(own) / 100, f"b = {b}")


@foil(
    "the targets are those of c(a) throughout",
    effective_target=lambda true: lambda h, h_model, s: h * s.c_max,
)
@property_test("T(a) + T(b) > T(a + b) for a, b <= tau", "L4; equal where c does not differ")
def l4_superadditive(s=schedules(), first=margins(40.0), second=margins(40.0)):
    a, b = (min(abs(h), s.tau) for h in (first, second))
    path, direct = effective_target(a, a, s) + effective_target(b, b, s), a + b
    direct = effective_target(direct, direct, s)
    # The difference of two sums of rounded targets: a few ulp of the larger.
    rounding = 1e-14 * path
    must(path >= direct - rounding)
    spread = min(coefficient(a, s), coefficient(b, s)) - coefficient(a + b, s)
    if a + b <= s.tau and spread * (a + b) > rounding:
        must(path > direct)


def resolved(x, s):
    """A margin of the size of x, inside the knee, whose target float64 fits in a table."""
    return min(abs(x), s.tau, 8 / s.c_max)


@foil(
    "sampled more it moves away",
    sampling_of=lambda true: lambda weights: true([1 / n for n in weights]),
)
@property_test(
    "sampling the outer pair more pulls its gap toward its own target",
    "T(a + b) < z < T(a) + T(b), and z falls with the pair's weight",
)
def l4_moves(s=schedules(), first=margins(8.0), second=margins(8.0), heavy=st.floats(2, 50)):
    a, b = resolved(first, s), resolved(second, s)
    path = effective_target(a, a, s) + effective_target(b, b, s)
    direct = effective_target(a + b, a + b, s)
    rewards = np.array([0.0, a, a + b])
    fits = [fit_table(rewards, s, sampling=sampling_of((1, 1, n))) for n in (1, heavy)]
    light, loaded = (f.gaps[2, 0] for f in fits)
    error = 2 * max(f.radius for f in fits) + 1e-14 * path  # of a gap: sqrt(2) radii each
    must(direct - error <= loaded <= light + error <= path + 2 * error)
    if path - direct > 1e-6:
        must(direct < loaded < light < path)


@foil(
    "MADPO does",
    fit_table=lambda true: (
        lambda rewards, sampling: true(rewards, MarginSchedule.released(), sampling=sampling)
    ),
)
@property_test("DPO fits the true gaps whatever the sampling of pairs", "z = h*, 4 responses")
def l4_dpo_control(rewards=rewards_of(4), sampling=offdiagonal(st.floats(0.1, 10), 4, True)):
    fit = fit_table(rewards, sampling=sampling)
    gaps = rewards[:, None] - rewards[None, :]
    must(np.abs(fit.gaps - gaps).max() <= 2 * fit.radius + 1e-14 * np.abs(gaps).max())


@foil("DPO depends on the sampling", Unweighted=lambda true: lambda: MarginSchedule.released(4))
@foil("MADPO's gaps are 1 % larger", GAPS=lambda true: {n: 1.01 * gap for n, gap in true.items()})
@simulated(
    "tables trained on labels, two samplings of the pairs",
    f"the certified gaps of r = {THREE}, {GAPS[10, 10, 1]} and {GAPS[1, 1, 10]}; DPO 6 under both",
)
def l4_trained():
    rewards, s, scores, text = np.array(THREE, float), MarginSchedule.released(4), [], []
    for seed, weights in enumerate([(10, 10, 1), (1, 1, 10)]):
        sampling = sampling_of(weights)
        wins = sampled_wins(rewards, (sampling * LABELS).astype(int), seed)
        for weighting, target in ((s, GAPS[weights]), (Unweighted(), 6.0)):
            fit = minimize_table(weigh_wins(wins, rewards, weighting))
            error = gap_errors(fit, rewards, sampling, LABELS, weighting)[2, 0]
            scores.append((fit.gaps[2, 0] - target) / error)
            text.append(f"{fit.gaps[2, 0]:.3f} +- {error:.3f}")
    text = "MADPO {}, DPO {} at (10, 10, 1); MADPO {}, DPO {} at (1, 1, 10)".format(*text)
    return text, np.array(scores)


CLAIM = Claim(
    id="L4",
    title="the targets of three responses contradict each other",
    statement=r"Of three responses of different rewards the targets are not additive, $T(h_{12}"
    r") + T(h_{23}) \neq T(h_{13})$, so the table's optimum depends on which pairs are "
    r"sampled. DPO's optimum, $h^*$, does not.",
    reading="With three or more responses MADPO has no target of its own: at c_max = 4 the "
    f"same rewards are fitted with a gap of {GAPS[1, 1, 10]:.1f} or of {GAPS[10, 10, 1]:.1f}, as "
    "pairs are drawn.",
    source="derived here",
    assumptions="exact reward model; any valid schedule; rewards in the order 1, 2, 3",
    verdict="conditional",
    condition=r"$h_{12}, h_{23} \leq \tau$, and then always $T(h_{12}) + T(h_{23}) > T(h_{13})"
    r"$; beyond $\tau$, for all rewards but a null set: on either side of $\tau$ the "
    r"difference is analytic, and as one margin grows it tends to $(c(b) - 1) b > 0$ or "
    r"$\delta(b) < 0$, $b$ the other",
    counterexample=f"released schedule: at h = {ADDITIVE:.3f}, to three digits, the targets of "
    "the triple (h, h, 2h) add up exactly",
    uses=("S1", "C6", "T1", "T2", "L1", "B1"),
    evidence=(
        l4_cycle,
        l4_optima,
        l4_additive_triple,
        l4_far_apart,
        l4_superadditive,
        l4_moves,
        l4_dpo_control,
        l4_trained,
        proved("Finite", "L4_any_graph", "L4_superadditive"),
    ),
)
