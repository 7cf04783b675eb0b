"""L2: the objective of a linear policy is convex; that of one that emits tokens is not."""

import numpy as np
import sympy as sp
from flint import arb, arb_series, ctx

from ..certify.enclosure import precision
from ..ops import arb_world
from ..risk import pair_risk, risk_curvature, risk_slope
from ..schedule import MarginSchedule
from ..theory.linear import LinearRisk, fit_linear
from .evidence import enclosed, must, property_test, symbolic
from .ledger import Claim
from .regimes import REGIMES, h_true, in_c, z
from .settings import SEEDS, margins, random_design, schedules

BETA = 0.5


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


@symbolic("a softmax over whole responses has a linear margin")
def l2_softmax():
    logits, reference = (sp.symbols(f"{name}_1:4", real=True) for name in ("a", "b"))

    def log_ratio(k):
        normalizers = (sp.log(sum(sp.exp(v) for v in row)) for row in (logits, reference))
        policy, base = (row[k] - n for row, n in zip((logits, reference), normalizers, strict=True))
        return policy - base

    margin = log_ratio(0) - log_ratio(1)
    linear = (logits[0] - reference[0]) - (logits[1] - reference[1])
    yield "m = theta_1 - theta_2, theta the logits less the reference's", margin, linear


@enclosed("a softmax over tokens is not convex", "curvature < 0 along one logit")
def l2_tokens():
    """Rejected response "A A", chosen response "B": m = -(s + log sigma(t)), t a second logit."""
    with precision():
        cap, ctx.cap = ctx.cap, 3
        try:
            t = arb_series([arb(0), 1], prec=3)
            margin = -5 + arb_world.softplus(-t)
            curvature = 2 * arb_world.softplus(-margin)[2]
        finally:
            ctx.cap = cap
        return f"d2 l/dt2 = {curvature.str(8, radius=False)} at s = 5, t = 0", curvature < 0


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


@property_test(
    "Newton steps find the certified minimizer from any start", "L2, consequence", examples=100
)
def l2_one_minimum(seed=SEEDS, far=margins(20.0)):
    features, truth, model, rng = random_design(seed)
    risk = LinearRisk.expected(features, truth, model, MarginSchedule.released(), beta=BETA)
    first, second = fit_linear(risk), fit_linear(risk, start=far * rng.normal(size=3))
    apart = np.abs(risk.scaled_margins(first.theta) - risk.scaled_margins(second.theta)).max()
    must(apart <= first.error + second.error + 1e-12)


CLAIM = Claim(
    id="L2",
    statement=r"The whole objective is convex in the parameters, and its gradient is at most "
    r"$\beta\, w_{max} \|\nabla_\theta m\|$.",
    reading="True of log-linear policies and of a softmax over whole responses, which have "
    "one minimum whatever the weights; a policy that emits tokens has bounded gradients only.",
    source="arXiv 2510.05342 (A3); derived here",
    assumptions="any valid schedule, any reward model",
    verdict="conditional",
    condition=r"$m$ is linear in $\theta$; the bound on the gradient needs no condition",
    counterexample="softmax over tokens: rejected 'A A' against chosen 'B' has curvature "
    "-0.243 along the logit of the second A",
    uses=("L1",),
    evidence=(l2_hessian, l2_softmax, l2_tokens, l2_convex, l2_one_minimum),
)
