"""RM10: BVPO's mixture of a gradient with a thinking trace and one without."""

from dataclasses import replace

import numpy as np
import sympy as sp
from flint import arb
from hypothesis import strategies as st

from ..certify.enclosure import precision
from ..simulate.gradients import TraceBandit, best_mixing, mixed_error
from .evidence import foil, must, property_test, simulated, symbolic
from .ledger import Claim
from .settings import SEEDS, scaled, to_digits

DRAWS = 100_000
ALPHA, T, E, X = sp.symbols("alpha T E X", real=True)
SPREAD = T + E - 2 * X
BEST = (E - X) / SPREAD


@foil(
    "the cross term is 5 % more",
    mixed_error=lambda true: lambda at, trace, empty, cross: true(at, trace, empty, 1.05 * cross),
)
@symbolic("RM10: the error of every mixture, from three numbers")
def rm10_optimum():
    error = mixed_error(ALPHA, T, E, X)
    yield "dMSE/d alpha at (E - X)/(T + E - 2X)", sp.diff(error, ALPHA).subs(ALPHA, BEST), sp.S(0)
    yield "d2MSE/d alpha2 = 2 (T + E - 2X) > 0", sp.diff(error, ALPHA, 2), 2 * SPREAD
    least = error.subs(ALPHA, BEST)
    yield "T less the least MSE: (T - X)^2/(T + E - 2X) >= 0", T - least, (T - X) ** 2 / SPREAD
    yield "E less the least MSE: (E - X)^2/(T + E - 2X) >= 0", E - least, (E - X) ** 2 / SPREAD
    yield (
        "below g_e iff 0 < alpha < 2 alpha*",
        error - E,
        SPREAD * ALPHA * (ALPHA - 2 * BEST),
    )
    yield (
        "below g_t iff 2 alpha* - 1 < alpha < 1",
        error - T,
        SPREAD * (ALPHA - 1) * (ALPHA - (2 * BEST - 1)),
    )
    inside = best_mixing(sp.Rational(2), sp.Rational(1), sp.Rational(1, 4))
    yield "T = 2, E = 1, X = 1/4: alpha* = 3/10", inside, sp.Rational(3, 10)
    covariant = sp.Rational(5, 4)
    yield "T = 2, E = 1, X = 5/4: clipped to 0", best_mixing(sp.S(2), sp.S(1), covariant), sp.S(0)
    yield "T = 1, E = 2, X = 5/4: clipped to 1", best_mixing(sp.S(1), sp.S(2), covariant), sp.S(1)


@foil(
    "the cross term is 5 % more",
    mixed_error=lambda true: lambda at, trace, empty, cross: true(at, trace, empty, 1.05 * cross),
)
@symbolic("RM10: the same in biases and covariances, two parameters")
def rm10_biases():
    of_trace = sp.Matrix(sp.symbols("b_t1 b_t2", real=True))
    of_empty = sp.Matrix(sp.symbols("b_e1 b_e2", real=True))
    s_t, s_e, s_te = sp.symbols("S_t S_e S_te", real=True)  # traces
    made = {
        T: of_trace.dot(of_trace) + s_t,
        E: of_empty.dot(of_empty) + s_e,
        X: of_trace.dot(of_empty) + s_te,
    }
    apart = of_trace - of_empty
    yield (
        "alpha* = [|b_e|^2 - b_t.b_e + tr(S_e - S_te)]/[|b_t - b_e|^2 + tr(S_t + S_e - 2 S_te)]",
        BEST.subs(made),
        (of_empty.dot(of_empty) - of_trace.dot(of_empty) + s_e - s_te)
        / (apart.dot(apart) + s_t + s_e - 2 * s_te),
    )
    error = mixed_error(ALPHA, T, E, X).subs(made)
    mixed = ALPHA * of_trace + (1 - ALPHA) * of_empty
    yield (
        "MSE = |bias|^2 + variance; of the latter the trace's part is alpha^2 S_t < S_t",
        error - mixed.dot(mixed),
        ALPHA**2 * s_t + (1 - ALPHA) ** 2 * s_e + 2 * ALPHA * (1 - ALPHA) * s_te,
    )


COORDINATES = st.lists(st.floats(-5, 5), min_size=6, max_size=6)


@foil("the best weight is 5 % more", best_mixing=scaled(1.05))
@property_test(
    "MSE at alpha* is above neither end; a mixture is below both iff 2 alpha* - 1 < alpha < "
    "2 alpha*, the paper's 1/2 iff 1/4 < alpha* < 3/4",
    "RM10, errors of three equally likely outcomes, up to 5",
)
def rm10_everywhere(first=COORDINATES, second=COORDINATES, alpha=st.floats(0.01, 0.99)):
    with precision():
        pairs = list(zip(map(arb, first), map(arb, second), strict=True))
        trace = sum(t * t for t, _ in pairs) / 3
        empty = sum(e * e for _, e in pairs) / 3
        cross = sum(t * e for t, e in pairs) / 3
        if not trace + empty - 2 * cross > arb("1e-20"):
            return  # one estimator, to rounding
        best = best_mixing(trace, empty, cross)
        least = mixed_error(best, trace, empty, cross)
        must(not least > trace and not least > empty)
        for weight in (arb(alpha), arb("0.5")):
            error = mixed_error(weight, trace, empty, cross)
            below = error < trace and error < empty
            inside = 2 * best - 1 < weight < 2 * best
            above = error >= trace or error >= empty
            outside = weight <= 2 * best - 1 or weight >= 2 * best
            must(not (below and outside) and not (inside and above))


WORLD = TraceBandit(
    trace_logits=[0.0, 1.0, 0.5],
    answer_logits=[[0.0, 0.5], [1.5, 0.0], [-1.0, 1.0]],
    reference_trace_logits=[0.0, 1.0, 0.5],
    reference_answer_logits=[[0.0, 0.5], [1.5, 0.0], [-1.0, 1.0]],
    pairs=[[0.0, 0.7], [0.3, 0.0]],
    beta=0.5,
)


@foil("it is unbiased elsewhere too", replace=lambda _: lambda world, **moved: world)
@property_test(
    "at pi = pi_ref the trace gradient is unbiased, elsewhere it is not; the empty one is biased",
    "RM10, 3 traces, 2 answers, exact",
    examples=60,
)
def rm10_unbiased_at_the_reference(seed=SEEDS, move=st.floats(0.3, 3)):
    rng = np.random.default_rng(seed)
    traces, answers = rng.normal(size=3), rng.normal(size=(3, 2))
    share = rng.uniform(0.1, 0.4)
    world = TraceBandit(traces, answers, traces, answers, [[0.0, 1 - share], [share, 0.0]])
    at = world.mixing()
    must(np.abs(at.trace_bias).max() <= 1e-13)  # sums of 36 terms of at most 2
    must(np.linalg.norm(at.empty_bias) > 1e-6)
    moved = replace(world, answer_logits=answers + move * np.array([[1.0, -1], [0, 0], [-1, 1]]))
    must(np.linalg.norm(moved.mixing().trace_bias) > 1e-6)


HARMED_FROM, LARGEST = 12, 64  # pairs a batch
# Of the largest: mean squared errors of either gradient, of the mixture at 1/2, and alpha*.
TRACE, EMPTY, HALF, BEST_WEIGHT = 0.0021, 0.0236, 0.0066, 0.928


def _half_harms(exact):
    return exact.error(0.5) > min(exact.trace, exact.empty)


@foil("1/2 harms from one pair later on", HARMED_FROM=lambda true: true + 1)
@simulated(
    "a bandit with a latent trace at pi = pi_ref: batches of 1 and of 64 pairs, drawn",
    "the exact MSE at alpha 0, 1/2, alpha* and 1; 1/2 helps up to 11 pairs and harms from 12 to 64",
    of="100 000 pairs a batch size",
)
def rm10_drawn():
    target, rng, scores, text = WORLD.gradient, np.random.default_rng(200), [], []
    one = WORLD.mixing()
    harmed = [n for n in range(1, LARGEST + 1) if _half_harms(one.of_batch(n))]
    must(harmed == list(range(HARMED_FROM, LARGEST + 1)), f"1/2 harms batches of {harmed} pairs")
    largest = one.of_batch(LARGEST)
    for found, said, places in (
        (largest.trace, TRACE, 4),
        (largest.empty, EMPTY, 4),
        (largest.error(0.5), HALF, 4),
        (largest.best, BEST_WEIGHT, 3),
    ):
        must(to_digits(found, said, places), f"{found} at {LARGEST} pairs, not {said}")
    for pairs in (1, LARGEST):
        exact, count = one.of_batch(pairs), DRAWS // pairs
        of_trace, of_empty = (
            g.reshape(count, pairs, -1).mean(axis=1) for g in WORLD.draw(count * pairs, rng)
        )
        for alpha in (0.0, 0.5, exact.best, 1.0):
            squares = ((alpha * of_trace + (1 - alpha) * of_empty - target) ** 2).sum(axis=1)
            error = squares.std(ddof=1) / np.sqrt(count)
            scores.append((squares.mean() - exact.error(alpha)) / error)
        text.append(
            f"{pairs}: T {exact.trace:.3g}, E {exact.empty:.3g}, alpha* {exact.best:.3f}, MSE "
            f"{exact.error(exact.best):.3g} there, {exact.error(0.5):.3g} at 1/2"
        )
    return "; ".join(text), np.array(scores)


CLAIM = Claim(
    id="RM10",
    title="BVPO's mixture helps, but one half is not its best",
    statement=r"BVPO: $\alpha g_t + (1 - \alpha) g_e$ has less of the trace's variance than $g_t$, "
    r"and the weight $\alpha^* = \mathrm{clip}_{01} \frac{E - X}{T + E - 2X}$ ($T$, $E$ the mean "
    r"squared errors of $g_t$ and $g_e$ about the marginal loss' gradient, $X$ their cross term) "
    r"the least mean squared error, above neither end. Mixing with the paper's $\alpha = 1/2$ has "
    r"a smaller error than both.",
    reading="The optimum is right, but 1/2 is not it: a weight helps iff it lies between "
    "2 alpha* - 1 and 2 alpha*, so 1/2 does iff alpha* is within 1/4 and 3/4; as the batch grows "
    "the bias of the empty trace stays, alpha* goes to 1 (at pi = pi_ref), and in our bandit 1/2 "
    f"is worse than no mixture from {HARMED_FROM} pairs on, three times so at {LARGEST}. Use it "
    f"instead of MADPO when "
    "answers come by way of sampled thinking traces and batches are small.",
    source="arXiv 2510.05095, abstract, equations from a secondary source; optimum derived here",
    assumptions="pairs given; traces of the data from the reference's posterior; "
    "E|g_t - g_e|^2 > 0",
    verdict="conditional",
    condition=r"$1/4 < \alpha^* < 3/4$",
    counterexample="a bandit of 3 traces and 2 answers at pi = pi_ref, batches of "
    f"{LARGEST} pairs: T = {TRACE:.4f}, E = {EMPTY:.4f}, alpha* = {BEST_WEIGHT:.3f}; MSE "
    f"{HALF:.4f} "
    f"at 1/2, {TRACE:.4f} of the trace gradient alone",
    evidence=(
        rm10_optimum,
        rm10_biases,
        rm10_everywhere,
        rm10_unbiased_at_the_reference,
        rm10_drawn,
    ),
)
