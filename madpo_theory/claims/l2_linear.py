"""L2: the objective of a linear policy is convex; that of one that emits tokens is not."""

from dataclasses import replace

import numpy as np
import sympy as sp
import torch
from flint import arb, arb_series, ctx
from hypothesis import strategies as st

from ..certify.enclosure import precision
from ..losses import madpo
from ..ops import arb_world
from ..risk import pair_risk, risk_curvature, risk_slope
from ..schedule import MarginSchedule
from ..theory.linear import LinearRisk, fit_linear
from ..weights import weight
from .evidence import enclosed, foil, must, property_test, symbolic
from .ledger import Claim
from .regimes import REGIMES, h_true, in_c, z
from .settings import SEEDS, margins, random_design, scaled, schedules

BETA = 0.5
SCORE, CURVATURE = 5, -0.243  # of the counterexample: -m there, and d2 l/dt2


@foil("R'' is 5 % larger", risk_curvature=scaled(sp.Rational(21, 20)))
@symbolic("the Hessian is beta^2 R'' x x^T, a square times a positive number")
def l2_hessian():
    beta = sp.Symbol("beta", positive=True)
    x, theta, v = (sp.symbols(f"{name}_1 {name}_2", real=True) for name in ("x", "theta", "v"))
    at = beta * (x[0] * theta[0] + x[1] * theta[1])
    for name, h, s in REGIMES:
        slope, curvature = (in_c(f(z, h_true, h, s), s) for f in (risk_slope, risk_curvature))
        risk = in_c(pair_risk(at, h_true, h, s), s)
        gradient = [sp.diff(risk, t) for t in theta]
        yield f"{name}: dF/dtheta = beta R'(z) x", gradient[0], beta * x[0] * slope.subs(z, at)
        form = sum(v[i] * v[j] * sp.diff(gradient[i], theta[j]) for i in (0, 1) for j in (0, 1))
        along = beta * (v[0] * x[0] + v[1] * x[1])
        yield (
            f"{name}: v . H v = R''(z) (beta x . v)^2 >= 0",
            form,
            curvature.subs(z, at) * along**2,
        )


def log_policies(*rows):
    """log-probabilities of a softmax over each row."""
    return [[v - sp.log(sum(map(sp.exp, row))) for v in row] for row in rows]


@foil(
    "a policy's scores are its log-odds",
    log_policies=lambda true: (
        lambda *rows: [[v - sp.log(sum(map(sp.exp, set(row) - {v}))) for v in row] for row in rows]
    ),
)
@symbolic("a softmax over whole responses has a linear margin")
def l2_softmax():
    logits, reference = (sp.symbols(f"{name}_1:4", real=True) for name in ("a", "b"))
    policy, base = log_policies(logits, reference)
    margin = (policy[0] - base[0]) - (policy[1] - base[1])
    linear = (logits[0] - reference[0]) - (logits[1] - reference[1])
    yield "m = theta_1 - theta_2, theta the logits less the reference's", margin, linear


def softplus_of(x):
    """-log sigma(-x), what a second token adds to a margin."""
    return arb_world.softplus(x)


@foil("of a margin linear in t", softplus_of=lambda true: lambda x: x / 2)
@enclosed("a softmax over tokens is not convex", f"d2 l/dt2 = {CURVATURE} along one logit")
def l2_tokens():
    """Rejected response "A A", chosen response "B": m = -(s + log sigma(t)), t a second logit."""
    with precision():
        cap, ctx.cap = ctx.cap, 3
        try:
            t = arb_series([arb(0), 1], prec=3)
            margin = softplus_of(-t) - SCORE
            curvature = 2 * arb_world.softplus(-margin)[2]
        finally:
            ctx.cap = cap
        text = f"d2 l/dt2 = {curvature.str(8, radius=False)} at s = {SCORE}, t = 0"
        return text, abs(curvature - CURVATURE) < 5e-4


def with_tokens(true):
    """The expected risk, of a margin that bends downward like a second token's."""

    class Bent(true):
        def value(self, theta):
            return super().value(theta) - np.square(theta).sum() / 10

    return Bent


@foil("the risk bends downward", LinearRisk=with_tokens)
@property_test("convex on chords, H >= 0, |gradient| <= beta mean(max(p, q)|x|)", "L2")
def l2_convex(s=schedules(), seed=SEEDS):
    features, truth, model, rng = random_design(seed)
    risk = LinearRisk.expected(features, truth, model, s, beta=BETA)
    start, end = rng.normal(0, 5, (2, 3))
    share = rng.uniform()
    chord = (1 - share) * risk.value(start) + share * risk.value(end)
    # Rounding of two means of twelve positive terms.
    must(risk.value((1 - share) * start + share * end) <= chord * (1 + 1e-14))
    hessian = risk.hessian(start)
    must(np.linalg.eigvalsh(hessian)[0] >= -1e-14 * np.trace(hessian))
    bound = BETA * (np.maximum(risk.p, risk.q) * np.linalg.norm(features, axis=1)).mean()
    must(np.linalg.norm(risk.gradient(start)) <= bound * (1 + 1e-14))


def largest_weight(h, s):
    return weight(h, s).max()


@foil("95 % of it is a bound", largest_weight=scaled(0.95))
@property_test(
    "|gradient| <= beta w_max max|grad m|, a policy that emits tokens", "L2", examples=150
)
def l2_tokens_bounded(
    s=schedules(), seed=SEEDS, size=st.floats(0.1, 300), pairs=st.sampled_from((1, 1, 2, 6))
):  # a lone pair that a peaked policy ranks wrong comes near the bound
    rng = np.random.default_rng(seed)
    # log pi(token | the one before): 4 states of which the last begins, 3 tokens, responses of 3
    logits = torch.tensor(rng.normal(0, size, (4, 3)), requires_grad=True)
    responses = rng.integers(0, 3, (2, pairs, 3))
    before = np.concatenate([np.full((2, pairs, 1), 3), responses[..., :-1]], axis=-1)
    chosen, rejected = torch.log_softmax(logits, -1)[before, responses].sum(-1)
    h = rng.normal(0, s.tau, pairs)
    none = torch.zeros(pairs, dtype=torch.float64)
    losses, *_ = madpo(chosen, rejected, none, none, margin=torch.tensor(h), weighting=s, beta=BETA)
    steepest = max(
        torch.autograd.grad(m, logits, retain_graph=True)[0].norm() for m in chosen - rejected
    )
    (gradient,) = torch.autograd.grad(losses.mean(), logits)
    # Rounding of log-probabilities of up to 3 (20 size) nats, in sums of 18 terms.
    rounding = 1e-13 * (1 + 60 * size)
    must(gradient.norm() <= BETA * largest_weight(h, s) * (steepest + rounding) * (1 + 1e-13))


def led_astray(true):
    """A fit that ends by a millionth of the way where it started."""

    def fit(risk, start=None):
        found = true(risk, start=start)
        return found if start is None else replace(found, theta=found.theta + 1e-6 * start)

    return fit


@foil("where they start moves the end, by a millionth of it", fit_linear=led_astray)
@property_test(
    "Newton steps find the certified minimizer from any start", "L2, consequence", examples=40
)
def l2_one_minimum(seed=SEEDS, far=margins(20.0)):
    features, truth, model, rng = random_design(seed)
    risk = LinearRisk.expected(features, truth, model, MarginSchedule.released(), beta=BETA)
    first, second = fit_linear(risk), fit_linear(risk, start=far * rng.normal(size=3))
    apart = np.abs(risk.scaled_margins(first.theta) - risk.scaled_margins(second.theta)).max()
    must(apart <= first.error + second.error + 1e-12)


CLAIM = Claim(
    id="L2",
    title="a linear policy has one minimum, one that emits tokens need not",
    statement=r"The whole objective is convex in the parameters, and its gradient is at most "
    r"$\beta\, w_{max} \|\nabla_\theta m\|$.",
    reading="True of log-linear policies and of a softmax over whole responses: whatever the "
    "weights, what minimizes the risk is one policy (if there is any, L3); of a policy that emits "
    "tokens only the gradients are bounded.",
    source="arXiv 2510.05342 (A3); derived here",
    assumptions="any valid schedule, any reward model",
    verdict="conditional",
    condition=r"$m$ is linear in $\theta$; the bound on the gradient needs no condition",
    counterexample="softmax over tokens, beta and weight 1, so that it is DPO's own: rejected "
    f"'A A' against chosen 'B' at a margin of -{SCORE} + log 2 has curvature {CURVATURE:.3f} along "
    "the logit of the second A",
    uses=("L1",),
    evidence=(l2_hessian, l2_softmax, l2_tokens, l2_convex, l2_tokens_bounded, l2_one_minimum),
)
