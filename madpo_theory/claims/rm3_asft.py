"""RM3: what ASFT and ORPO are made of, and how fast a step moves the two probabilities."""

import numpy as np
import sympy as sp
import torch
from flint import arb
from hypothesis import assume
from hypothesis import strategies as st

from ..certify.enclosure import precision
from ..methods import METHODS
from ..ops import sympy_world
from .evidence import enclosed, foil, must, property_test, symbolic
from .ledger import Claim
from .regimes import beta, sigma
from .settings import margins, to_digits

asft, dpo, orpo = (METHODS[name] for name in ("asft", "dpo", "orpo"))
LAM = sp.Symbol("lambda", positive=True)
X, Y = sp.symbols("x y", positive=True)  # the odds of the chosen and of the rejected response
WON, LOST = X / (1 + X), Y / (1 + Y)


class _Uneven:
    """A loss in which the rejected response counts twice."""

    def __init__(self, method):
        self.method = method

    def pair_loss(self, xp, chosen, rejected, h):
        return self.method.pair_loss(xp, chosen, 2 * rejected, h)


@foil("the odds of the rejected response are those of the chosen", LOST=lambda _: WON)
@symbolic("ASFT and ORPO as likelihoods; the odds X and Y of either response are free")
def rm3_identities():
    of_asft = -sp.log(WON) - LAM * (sp.log(sigma(sp.log(X))) + sp.log(sigma(-sp.log(Y))))
    of_orpo = -sp.log(WON) - LAM * sp.log(sigma(sp.log(X) - sp.log(Y)))
    plain = -(1 + LAM) * sp.log(WON) - LAM * sp.log(1 - LOST)
    yield "L_ASFT = -(1 + lambda) log p_w - lambda log(1 - p_l)", of_asft, plain
    one_of_them = WON * (1 - LOST) + LOST * (1 - WON)
    yield (
        "L_ORPO = L_ASFT + lambda log[p_w (1 - p_l) + p_l (1 - p_w)]",
        of_orpo,
        of_asft + LAM * sp.log(sp.factor(one_of_them)),
    )
    yield (
        "which is no more: 1 > p_w (1 - p_l) + p_l (1 - p_w)",
        sp.Gt(sp.factor(1 - one_of_them), 0),
    )


@foil(
    "DPO's loss counts twice for the rejected response",
    dpo=lambda true: lambda **rule: _Uneven(true(**rule)),
)
@symbolic("DPO's slopes in free probabilities, and its speeds by softmax logits")
def rm3_speeds():
    won, lost = sp.symbols("p_w p_l", positive=True)
    ratios = sp.symbols("r_w r_l", positive=True)
    loss = dpo(beta=beta).pair_loss(
        sympy_world, *(sp.log(p / r) for p, r in zip((won, lost), ratios, strict=True)), None
    )
    yield "|dL/dp_w|/|dL/dp_l| = p_l/p_w", -sp.diff(loss, won) / sp.diff(loss, lost), lost / won
    plain = -(1 + LAM) * sp.log(won) - LAM * sp.log(1 - lost)
    yield (
        "of ASFT (1 + lambda)(1 - p_l)/(lambda p_w)",
        -sp.diff(plain, won) / sp.diff(plain, lost),
        (1 + LAM) * (1 - lost) / (LAM * won),
    )
    shares = {won: X / (1 + X + Y), lost: Y / (1 + X + Y)}
    excess = ((1 + LAM) * (1 - lost) - LAM * won).subs(shares)
    yield "which is above 1", sp.Gt(sp.factor(excess), 0)
    # Logits a = log p: whatever is outside the pair is one more response, as none of it is pushed.
    logits = sp.symbols("a_w a_l a_o", real=True)
    total = sum(map(sp.exp, logits))
    policy = [sp.exp(a) / total for a in logits]
    loss = dpo(beta=beta).pair_loss(sympy_world, *map(sp.log, policy[:2]), None)
    steps = [-sp.diff(loss, a) for a in logits]
    rates = [sum(sp.diff(p, a) * s for a, s in zip(logits, steps, strict=True)) for p in policy]
    push, (w, v, _) = steps[0], policy
    yield "the pair's logits part, by c each", steps[1], -push
    yield "no other logit moves", steps[2], sp.S(0)
    yield "p_w rises by c p_w (1 - p_w + p_l)", rates[0], push * w * (1 - w + v)
    yield "p_l falls by c p_l (1 + p_w - p_l)", -rates[1], push * v * (1 + w - v)
    yield "apart: c (p_w - p_l)(1 - p_w - p_l)", rates[0] + rates[1], push * (w - v) * (1 - w - v)
    yield (
        "log p_l falls faster by 2 c (p_w - p_l)",
        -rates[1] / v - rates[0] / w,
        2 * push * (w - v),
    )
    rise = (won * (1 - won + lost)).subs(shares)
    yield "p_w rises always", sp.Gt(sp.factor(rise), 0)


def probability_rates(method, logits):
    """(policy, its velocity) (K,) under gradient flow on logits, by the method's own loss.

    The first response is the chosen one, the second the rejected; a token each. The reference,
    where one is asked for, is far from the policy.
    """
    logits = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    log_policy, one = torch.log_softmax(logits, 0), torch.ones(1, dtype=torch.float64)
    reference = torch.log_softmax(torch.sin(torch.arange(len(logits)).double() * 3), 0)
    lengths = {"chosen_lengths": one, "rejected_lengths": one}
    asked = {name: v for name, v in lengths.items() if name in method.arguments()}
    pairs = (log_policy[:1], log_policy[1:2], reference[:1], reference[1:2])
    (slope,) = torch.autograd.grad(method(*pairs, **asked)[0].sum(), logits)
    policy = log_policy.detach().exp()
    return policy.numpy(), (policy * ((policy * slope).sum() - slope)).numpy()


LOGITS = st.lists(margins(4.0), min_size=2, max_size=6)


@foil("the gradient is ASFT's", dpo=lambda _: lambda beta: asft())
@property_test(
    "DPO's own gradient on softmax tables: the ratio of the speeds; p_w rises; p_l falls faster "
    "iff p_w < p_l, of three and more; log p_l falls faster iff p_w > p_l",
    "RM3, 2 to 6 responses, logits up to 4 nats",
    examples=80,
)
def rm3_dpo(logits=LOGITS):
    policy, rate = probability_rates(dpo(beta=0.5), logits)
    won, lost = policy[:2]
    assume(abs(won - lost) > 1e-6)
    must(rate[0] > 0 > rate[1])
    rise, fall = won * (1 - won + lost), lost * (1 + won - lost)
    must(abs(-rate[1] * rise - rate[0] * fall) <= 1e-13 * rate[0])  # ulps of sums of the policy
    apart = rate[0] + rate[1]
    if len(policy) == 2:
        must(abs(apart) <= 1e-15)  # two ulps of a probability
    else:
        must((apart < 0) == (won < lost))
    must((-rate[1] / lost > rate[0] / won) == (won > lost))


@foil("the gradient is DPO's", asft=lambda _: lambda lam: dpo())
@property_test(
    "ASFT's own gradient on softmax tables: p_w rises faster than p_l falls where p_w >= p_l",
    "RM3, 3 to 6 responses, logits up to 4 nats, lambda from 0.01 to 10",
    examples=100,
)
def rm3_asft(logits=st.lists(margins(4.0), min_size=3, max_size=6), lam=st.floats(0.01, 10)):
    logits = [max(logits[:2]), min(logits[:2]), *logits[2:]]
    _, rate = probability_rates(asft(lam=lam), logits)
    must(rate[0] + rate[1] > 0)


@foil("ORPO is ASFT", orpo=lambda _: asft)
@property_test(
    "the library's losses, enclosed: ASFT's two terms, and ORPO below it by lambda log of the "
    "chance that just one of two independent draws of p_w and p_l succeeds",
    "RM3, log-probabilities from -1e-6 to -50 nats, lambda from 0.01 to 10",
)
def rm3_losses(won=st.floats(-50, -1e-6), lost=st.floats(-50, -1e-6), lam=st.floats(0.01, 10)):
    with precision(300):
        won, lost, lam = map(arb, (won, lost, lam))
        lengths = {"chosen_lengths": arb(1), "rejected_lengths": arb(1)}
        of_asft, of_orpo = (m(lam=lam)(won, lost, **lengths)[0] for m in (asft, orpo))
        p_w, p_l = won.exp(), lost.exp()
        must(of_asft.overlaps(-(1 + lam) * won - lam * (1 - p_l).log()))
        gap = -lam * (p_w * (1 - p_l) + p_l * (1 - p_w)).log()
        must((of_asft - of_orpo).overlaps(gap) and of_orpo < of_asft)
        must((of_asft - of_orpo).rad() < 1e-60)


POLICY, RISE, FALL, TIMES = (0.5, 0.2, 0.3), 0.35, 0.26, 2.5
LAMBDA, FAR = "0.1", ("0.05", "0.9", "0.05")


@foil("ASFT is DPO", asft=lambda _: lambda lam: dpo())
@enclosed(
    "p = (0.5, 0.2, 0.3), chosen first: DPO's speeds by logits, enclosed and by autograd; ASFT's, "
    "by autograd, at (0.05, 0.9, 0.05)",
    "p_w rises by 0.35 c, p_l falls by 0.26 c, not 2.5 times as fast; under ASFT p_l falls faster",
)
def rm3_counterexample():
    with precision():
        won, lost = map(arb, map(str, POLICY[:2]))
        rise, fall = won * (1 - won + lost), lost * (1 + won - lost)
        inside = to_digits(rise, RISE, 4) and to_digits(fall, FALL, 4)
        inside &= to_digits(won / lost, TIMES, 4)
    _, by_dpo = probability_rates(dpo(), np.log(POLICY))
    _, by_asft = probability_rates(asft(lam=float(LAMBDA)), np.log(np.array(FAR, dtype=float)))
    inside &= abs(-by_dpo[0] / by_dpo[1] - float(rise / fall)) < 1e-12
    text = f"{float(rise):.4f} c and {float(fall):.4f} c; ASFT {by_asft[0]:.4f}, {-by_asft[1]:.4f}"
    return text, inside and by_asft[0] + by_asft[1] < -0.04


CLAIM = Claim(
    id="RM3",
    title="a DPO step on a pair's own logits never lowers the chosen response",
    statement=r"DPO lowers the probability of a rejected response faster than it raises that of "
    r"the chosen one, which ASFT does not. With $p_w$ and $p_l$ as free coordinates, yes: "
    r"$|\partial L/\partial p_w|/|\partial L/\partial p_l| = p_l/p_w$ for DPO, "
    r"$(1+\lambda)(1-p_l)/(\lambda p_w) > 1$ for ASFT. But a policy moves logits, and by those "
    r"of a softmax $p_w$ rises by $c\, p_w (1 - p_w + p_l)$ while $p_l$ falls by $c\, p_l (1 + "
    r"p_w - p_l)$, $c = \beta\sigma(-z)$: with two responses alike, with more $p_l$ falls faster "
    r"iff $p_w < p_l$, the reverse. Log-probabilities do as claimed: $\log p_l$ falls faster iff "
    r"$p_w > p_l$. ASFT's $p_w$ rises faster wherever $p_w \geq p_l$, and not everywhere else. "
    r"What holds: $L_\mathrm{ASFT} = -(1+\lambda) \log p_w - \lambda \log(1-p_l)$ and "
    r"$L_\mathrm{ORPO} = L_\mathrm{ASFT} + \lambda \log[p_w(1-p_l) + p_l(1-p_w)] < "
    r"L_\mathrm{ASFT}$.",
    reading="A DPO step on a pair's own logits never takes probability from the chosen response, "
    "and gives it more than the rejected one loses once it is the likelier; what lowers it is "
    "other pairs and shared parameters. Use it instead of MADPO when there is neither a reward "
    "model nor a reference, and one stage shall imitate the chosen responses and push down the "
    "rejected.",
    source="arXiv 2409.10571 (claim), 2502.01237 (identities); speeds derived here",
    assumptions="0 < p_w, p_l < 1; speeds of gradient flow on one pair, a token each, every "
    "response's logit a parameter of its own",
    verdict="fails",
    counterexample=f"p = ({POLICY[0]:.1f}, {POLICY[1]:.1f}, {POLICY[2]:.1f}), chosen first: p_w "
    f"rises by {RISE:.2f} c, p_l falls by "
    f"{FALL:.2f} c; the partial derivatives say {TIMES:.1f} times as fast. ASFT, lambda = "
    f"{LAMBDA}, "
    f"at ({', '.join(FAR)}): p_l falls faster",
    evidence=(rm3_identities, rm3_speeds, rm3_dpo, rm3_asft, rm3_losses, rm3_counterexample),
)
