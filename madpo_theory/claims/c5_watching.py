"""C5: offsets that watch the policy from behind a stop-gradient."""

import math

import numpy as np
import sympy as sp
from flint import arb
from hypothesis import strategies as st
from scipy.special import expit

from ..certify.enclosure import precision
from ..methods import METHODS, Slots
from ..ops import arb_world, numpy_world
from ..risk import logistic_slope
from .evidence import enclosed, foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import EVEN, ODD, B, slot_symbols, symbolic_risk, z
from .settings import LABELS, lone_slope, lone_target, margins, scaled

simpo, amapo = METHODS["simpo"], METHODS["amapo"]
SHARE = sp.Symbol("a", real=True)
KEPT = 1 - SHARE  # of z
STEP = 8  # over 1 - a: below it gradient descent settles
RUNAWAY = (3, -1, 0.007)  # h*, AMaPO's batch mean and beta; its spread is 1
FAR = 1e3  # nats: what has left for it does not come back


def held_slope(xp, z, h_true, offset, mirrored):
    """Slope of a pair's risk at z under offsets held: `offset` on its label, `mirrored` against."""
    p, q = xp.sigmoid(h_true), xp.sigmoid(-h_true)
    return logistic_slope(xp, z, p, q, (offset, mirrored))


def watched_slope(z, h_true, gamma, a):
    """The same for g = gamma + a z of the label's own z, which is -z against it."""
    return held_slope(numpy_world, z, h_true, gamma + a * z, gamma - a * z)


def rest(target, a):
    """Where a pair of SimPO's target rests under the offset gamma + a z."""
    return target / (1 - a)


@foil("the offset follows the other way", KEPT=lambda true: 1 + SHARE)
@foil("a step of 9/(1 - a)", STEP=lambda true: 9)
@symbolic("C5: the slope with the offset held is that of an even offset at (1 - a) z")
def c5_stationary():
    sides = slot_symbols(soft=False)
    held = sp.diff(symbolic_risk(*sides), z).subs(B, 1)
    watching = held.subs(ODD, SHARE * z)
    even = sp.diff(symbolic_risk(*slot_symbols(soft=False)), z).subs({B: 1, ODD: 0})
    yield "R'(z) at g_o = a z, held: R_gamma'((1 - a) z)", watching, even.subs(z, KEPT * z)
    # Minimizing again and again, with the offset of the last minimizer: z -> T + a z.
    start, fixed = sp.symbols("z_0 T", real=True)
    point = fixed / KEPT
    yield (
        "refitting: distances from T/(1 - a) are multiplied by a",
        (fixed + SHARE * start - point),
        SHARE * (start - point),
    )
    at_one = watching.subs(SHARE, 1)
    yield "a = 1: the slope is the same at every z", sp.diff(at_one, z), sp.S(0)
    reference, mean = sp.symbols("z_ref mu", real=True)
    yield (
        "AlphaDPO, g = gamma + a (z - z_ref - mu) of the label's side: R_(gamma - a mu)'((1 - a) z "
        "+ a z_ref)",
        held.subs({ODD: SHARE * (z - reference), EVEN: EVEN - SHARE * mean}, simultaneous=True),
        even.subs({z: KEPT * z + SHARE * reference, EVEN: EVEN - SHARE * mean}, simultaneous=True),
    )

    # The curvature of R_gamma is at most 1/4: times (1 - a) and the step it must be below 2.
    y = sp.Symbol("y", positive=True)  # e^-z
    bend = y / (1 + y) ** 2
    yield (
        "sigma(z) sigma(-z) = 1/4 - (1 - y)^2/(2 (1 + y))^2",
        bend,
        sp.Rational(1, 4) - ((1 - y) / (1 + y) / 2) ** 2,
    )
    yield "at the largest, y = 1, a step of 8/(1 - a) just overshoots", STEP * bend.subs(y, 1), 2


SHARES = st.floats(-3, 3).filter(lambda a: abs(a - 1) > 0.01)


@foil("at T_gamma/(1 - a) times 1.05", rest=scaled(1.05))
@foil("at T_gamma/(1 + a)", rest=lambda true: lambda target, a: true(target, -a))
@property_test(
    "the training loss, its offset held at gamma + a z, is stationary at T_gamma/(1 - a) alone; "
    "descent leads there for a < 1 and away for a > 1",
    "C5, |a| <= 3, gamma up to 5, h* up to 20 nats",
)
def c5_where(a=SHARES, gamma=st.floats(-5, 5), h=margins(20.0), away=st.floats(1e-3, 50)):
    with precision(800):
        a, gamma, h, away = map(arb, (a, gamma, h, away))
        fixed = rest(lone_target(arb_world, h, *[Slots(arb(0), offset=gamma)] * 2), a)
        for step in (away, -away, away * arb("1e-20"), -away * arb("1e-20")):
            at = fixed + step
            sides = tuple(Slots(arb(0), offset=gamma + s * a * at) for s in (1, -1))
            slope = lone_slope(at, h, sides) * step
            must(slope > 0 if a < 1 else slope < 0)


def _descended(h, gamma, a, rate, steps=4000, start=0.0):
    z = np.full_like(np.asarray(h, float), start)
    for _ in range(steps):
        z = np.clip(z - rate * watched_slope(z, h, gamma, a), -FAR, FAR)
    return z


def _pairs(shares):
    """Lists of 40 pairs (a, gamma, h*)."""
    return st.lists(st.tuples(shares, st.floats(0, 2), st.floats(0.3, 3)), min_size=40, max_size=40)


def _targets(h, gamma):
    """T_gamma(h) of each pair."""
    return np.array([simpo(gamma=g).target(x) for x, g in zip(h, gamma, strict=True)])


@foil("its targets are 1 % larger", rest=scaled(1.01))
@foil("steps up to 9/(1 - a) settle", STEP=lambda true: 9)
@property_test(
    "gradient descent from z = 0: to T_gamma/(1 - a) for a < 1 (a step below 8/(1 - a)); without "
    "end on the side of h*, not of the stationary point, for a >= 1",
    "C5, a in [-3, 3], steps of 1/(1 - a) and of 7.84/(1 - a), of 1 for a >= 1; lists of 40 pairs",
    examples=5,
)
def c5_descent(settles=_pairs(st.floats(-3, 0.9)), leaves=_pairs(st.floats(1.0, 3))):
    settles = [(0.0, 0.0, 0.3), *settles]  # the first bends most
    a, gamma, h = np.array(settles).T
    target = rest(_targets(h, gamma), a)
    # The curvature at these targets is above 0.01: what is left shrinks by e^-0.01 a step.
    for step in (1, 0.98 * STEP):
        off = np.abs(_descended(h, gamma, a, step / (1 - a)) - target) / (1 + np.abs(target))
        must(off.max() <= 1e-6, settles[off.argmax()])
    a, gamma, h = np.array(leaves).T
    z, path = 0.0, []
    for steps in (200, 200, 400):
        z = _descended(h, gamma, a, 1.0, steps, z)
        path.append(z)
    farther = (path[0] > 0) & (path[1] > path[0]) & (path[2] > path[1])
    must((farther | (path[2] == FAR)).all() and ((a == 1) | (_targets(h, gamma) > 0)).all())


@foil("it settles 5 % further out", rest=scaled(1.05))
@property_test("refitting z -> T + a z settles iff |a| < 1; at a = -1 it alternates", "C5")
def c5_refit(a=st.floats(-3, 3), gamma=st.floats(0, 2), h=st.floats(0.3, 3)):
    target, z = simpo(gamma=gamma).target(h), 0.0
    path = [z := target + a * z for _ in range(400)]
    last, before = path[-1], path[-2]
    if abs(a) < 0.95:
        must(math.isclose(last, rest(target, a), rel_tol=1e-6))
    elif abs(a) >= 1:
        must(abs(last - before) >= 0.99 * target)


def amapo_offset(xp, z, mean, spread, beta):
    """AMaPO's: beta e^(mean (mean - z)/spread) where mean (mean - z) > 0, else 0; held."""
    return amapo(beta=beta).offset(xp, z, mean, spread)


def amapo_slope(xp, z, h, mean, spread, beta):
    """Slope of a pair's risk under AMaPO's offsets, batch statistics held."""
    return held_slope(xp, z, h, *(amapo_offset(xp, s * z, mean, spread, beta) for s in (1, -1)))


def amapo_stuck(mean, spread, beta):
    """(low, high) of the true margins whose pairs have no stationary point, for a mean > 0.

    Where z passes the mean the offset falls from beta to 0, and the slope jumps from
    q sigma(mean + G) - p sigma(beta - mean) up to q sigma(mean + G) - p sigma(-mean), G the other
    label's offset beta e^(2 mean^2/spread).
    """
    other = expit(mean + amapo_offset(numpy_world, -mean, mean, spread, beta))
    return np.log(other / np.array([expit(beta - mean), expit(-mean)]))


@foil("its h* are 5 % larger", amapo_stuck=scaled(1.05))
@foil("the other label has no offset", amapo_stuck=lambda true: lambda *of: true(of[0], 1e9, of[2]))
@property_test(
    "AMaPO, mean margin > 0: the slope rises in z with a jump at the mean; pairs of h* between "
    "log[sigma(mu + G)/sigma(beta - mu)] and log[sigma(mu + G)/sigma(-mu)] never have slope 0",
    "C5, mu, s and beta from 0.1 to 3",
    examples=100,
)
def c5_amapo(
    mean=st.floats(0.1, 3),
    spread=st.floats(0.3, 3),
    beta=st.floats(0.1, 3),
    share=st.floats(-1, 2) | st.floats(-0.05, 0.05) | st.floats(0.95, 1.05),
):
    low, high = amapo_stuck(mean, spread, beta)
    h = low + share * (high - low)
    if h <= 0 or min(abs(h - low), abs(h - high)) < 1e-6:
        return
    grid = np.sort(np.concatenate([np.linspace(-8, 20, 4001), [mean]]))
    slope = amapo_slope(numpy_world, grid, h, mean, spread, beta)
    must((np.diff(slope) >= -1e-15).all())  # rounding of two logistic functions
    below, above = amapo_slope(
        numpy_world, np.array([np.nextafter(mean, 0), mean]), h, mean, spread, beta
    )
    jumps = below < 0 < above
    must(jumps == (low < h < high))
    if jumps:  # descent stays within a step of the mean, and goes on stepping
        z = mean
        for _ in range(200):
            before, z = z, z - 0.01 * float(amapo_slope(numpy_world, z, h, mean, spread, beta))
        must(abs(z - mean) <= 0.01 and z != before)


@foil("nor at 0.95 of that beta", RUNAWAY=lambda true: (3, -1, 0.95 * 0.007))
@foil("nor at a mean of 1", RUNAWAY=lambda true: (3, 1, 0.007))
@enclosed(
    "AMaPO, mean margin {1}, spread 1, beta {2}, h* = {0}: no stationary point".format(*RUNAWAY),
    "slope below 0 on boxes that cover |z| <= 8, and by the ends of its parts beyond; above 0 "
    "somewhere at 0.95 of that beta",
)
def c5_negative_mean():
    with precision():
        h, mean, beta = map(arb, map(str, RUNAWAY))
        settings = mean, arb(1), beta
        p, q = arb_world.sigmoid(h), arb_world.sigmoid(-h)

        def falls(low, high):
            slope = amapo_slope(arb_world, arb(low).union(arb(high)), h, *settings)
            middle = (low + high) / 2
            return slope < 0 or (high - low > 2**-16 and falls(low, middle) and falls(middle, high))

        # R' = q sigma(z + g(-z)) - p sigma(g(z) - z): the first is at most q; the second rises in
        # z > 8, where g(z) = beta e^(z + 1), and is at least p sigma(8) for z < -8, where g(z) = 0.
        offset = amapo_offset(arb_world, arb(8), *settings)
        ends = q - p * arb_world.sigmoid(offset - 8), q - p * arb_world.sigmoid(arb(8))
        falls_everywhere = falls(-8.0, 8.0) and all(slope < 0 for slope in ends)
        less = mean, arb(1), arb("0.95") * beta
        stops = any(amapo_slope(arb_world, arb(k) / 16, h, *less) > 0 for k in range(64))
        text = f"below 0 everywhere: {falls_everywhere}; at 0.95 beta somewhere not: {stops}"
        return text, stops and falls_everywhere


@foil("1 % more", rest=scaled(1.01))
@simulated(
    "offsets that watch, 20 pairs descended on drawn labels",
    "T_gamma(h*)/(1 - a) for a = -2, -1/2 and 1/2",
)
def c5_trained():
    h, gamma, scores = np.linspace(0.3, 3, 20), 0.5, []
    for k, a in enumerate((-2.0, -0.5, 0.5)):
        rng = np.random.default_rng(np.random.SeedSequence(150 + k))
        p = expit(h)
        wins = rng.binomial(LABELS, p) / LABELS
        found = _descended(np.log(wins / (1 - wins)), gamma, a, 1 / (1 - a), 6000)
        around = [rest(simpo(gamma=gamma).target(h + s * 1e-4), a) for s in (-1, 0, 1)]
        error = (around[2] - around[0]) / 2e-4 / np.sqrt(LABELS * p * (1 - p))
        scores.append((found - around[1]) / error)
    return "gamma = 1/2", np.concatenate(scores)


CLAIM = Claim(
    id="C5",
    title="an offset that follows the policy divides the target",
    statement=r"Of $\ell(z - \mathrm{sg}[\gamma + a z])$ a pair is stationary at $z = "
    r"T_\gamma(h^*)/(1 - a)$ alone, for $a \neq 1$. Gradient descent (steps below "
    rf"${STEP}/(1 - a)$) comes to it iff $a < 1$; refitting with the last offset iff $|a| < 1$. "
    r"For $a \geq 1$ training has no target: at $a > 1$ the stationary point exists, has the wrong "
    r"sign and repels; at $a = 1$ there is none, unless $h^* = 0$. AMaPO at a batch mean $\mu > 0$ "
    r"has one but for the pairs of $\log\frac{\sigma(\mu + G)}{\sigma(\beta - \mu)} < h^* < "
    r"\log\frac{\sigma(\mu + G)}{\sigma(-\mu)}$, $G = \beta e^{2 \mu^2/s}$, which are held at "
    r"$z = \mu$ and step to and fro. At $\mu < 0$ a pair may have none and run away "
    rf"($h^* = {RUNAWAY[0]}$ at $\mu = {RUNAWAY[1]}$, $s = 1$, $\beta = {RUNAWAY[2]:.3f}$, which "
    r"is about the least that does it).",
    reading="An offset that follows the policy divides the target by 1 - a (AlphaDPO: a = alpha/s, "
    "so a batch whose margins spread by alpha or less has none); AMaPO parks a whole range of "
    "pairs at the batch mean.",
    source="derived here; arXiv 2410.10148 (AlphaDPO), 2511.09385 (AMaPO)",
    assumptions="hard labels, weight 1; batch statistics held; z of the label's own side",
    verdict="holds",
    uses=("C1",),
    evidence=(
        c5_stationary,
        c5_where,
        c5_descent,
        c5_refit,
        c5_amapo,
        c5_negative_mean,
        c5_trained,
        proved("Calculus", "C5_stationary", "C5_iteration"),
    ),
)
