"""RM1: AMaPO's central claim, of its formula and of its released code."""

import numpy as np
import sympy as sp
import torch
from flint import arb
from hypothesis import assume
from hypothesis import strategies as st
from scipy.special import expit

from ..certify.enclosure import precision
from ..methods import METHODS, Slots, slot_loss
from ..methods.amapo import steepness
from ..ops import arb_world, sympy_world
from .evidence import enclosed, foil, must, property_test, symbolic
from .ledger import Claim
from .settings import margins, to_digits

PAPER, RELEASED = METHODS["amapo"], METHODS["amapo_released"]


def unheld(expression):
    """AMaPO's margin where its exponent is below the one at which floats would overflow."""
    return expression.replace(sp.Min, lambda *of: next(x for x in of if not x.is_number))


@foil(
    "the margin counts twice",
    slot_loss=lambda true: lambda xp, z, slots: true(xp, z, Slots(offset=2 * slots.offset)),
)
@symbolic("AMaPO: what a held margin does to a pair's gradient, and who gets one")
def rm1_margins():
    r, g = sp.symbols("r g", real=True)
    nu, d, s, b = sp.symbols("nu d s beta", positive=True)
    push = -sp.diff(slot_loss(sympy_world, r, Slots(offset=g)), r)
    yield (
        "the margin adds itself to the log-odds of the push: g - r",
        sp.log(push / (1 - push)),
        g - r,
    )
    for text, mean, kinds in (
        ("mean nu > 0", nu, ("below", "above")),
        ("mean -nu < 0", -nu, ("above", "below")),
    ):
        for kind, sign in zip(kinds, (1, -1), strict=True):
            at = mean - d if kind == "below" else mean + d
            offset = unheld(PAPER(beta=b).offset(sympy_world, at, mean, s))
            expected = b * sp.exp(nu * d / s) if sign > 0 else sp.S(0)
            yield f"{text}: the margin of a pair {kind} it by d", offset, expected
    at = steepness(sympy_world, -nu - d, -nu, s)
    yield "as released, mean -nu < 0: the exponent falls with the distance d below", at, -nu * d / s
    of_r, of_m = (steepness(sympy_world, x * (nu - d), x * nu, x * s) for x in (b, sp.S(1)))
    yield "the formula's exponent is beta times the released one", of_r, b * of_m


def pushes(cls, r, beta):
    """-d loss/dr of each pair of a batch, by the method's own loss."""
    zero, one = torch.zeros(len(r), dtype=torch.float64), torch.ones(len(r), dtype=torch.float64)
    policy = torch.tensor(r / beta, requires_grad=True)
    lengths = {"chosen_lengths": one, "rejected_lengths": one}
    loss, *_ = cls(beta=beta)(policy, zero, **lengths)
    (slope,) = torch.autograd.grad(loss.sum(), policy)
    return -slope.numpy() / beta


def same_push(found, margin, r):
    """Whether pushes are those of the margins, to the rounding of a logistic function."""
    return np.allclose(found, expit(margin - r), rtol=1e-12, atol=1e-14)


@foil("the released code is the formula", PAPER=lambda _: RELEASED)
@property_test(
    "AMaPO's own gradients on batches. Mean > 0: a margin of beta or more for misranked pairs, and "
    "for ranked ones below the mean, for none above; mean < 0: for ranked pairs, for none below "
    "it. As released: for all below the mean, and at mean < 0 less for harder ones",
    "RM1, batches of 3 to 8, |r| <= 4 nats, beta from 0.5 to 4",
    examples=100,
)
def rm1_batches(r=st.lists(margins(4.0), min_size=3, max_size=8), beta=st.floats(0.5, 4)):
    r = np.sort(r)
    mean, spread = r.mean(), r.std(ddof=1)
    # At the mean itself the margin jumps, and whose side of it a pair is on is left to rounding.
    assume(spread > 1e-3 and abs(mean) > 1e-3 and np.abs(r - mean).min() > 1e-6)
    below = r < mean
    exponent = np.minimum(mean * (mean - r) / spread, 80.0)
    margin = np.where(exponent > 0, beta * np.exp(exponent), 0)
    must(same_push(pushes(PAPER, r, beta), margin, r))
    if mean > 0:
        must((margin[r <= 0] >= beta).all() and not margin[~below].any())
        must((margin[(r > 0) & below] >= beta).all())  # ranked, and pushed on all the same
    else:
        must((margin[r >= 0] >= beta).all() and not margin[below].any())
    margin = np.where(below, beta * np.exp(np.minimum(exponent / beta, 80.0)), 0)
    must(same_push(pushes(RELEASED, r, beta), margin, r))
    steps = np.diff(margin[below])
    must((steps <= 0).all() if mean > 0 else (steps >= 0).all() and margin.max() < beta)


# A batch whose ranked pair is the last: its variance, that pair's margin, the log-odds of its push,
# that push, and the push of the worst ranked.
BATCH, VARIANCE, MARGIN, LOG_ODDS, PUSH, WORST = (-3, -2, 2), 7, 6.2, 4.2, 0.985, 0.953


@foil("the released code is the formula", PAPER=lambda _: RELEASED)
@enclosed(
    "AMaPO, beta = 2, margins (-3, -2, 2): the ranked pair is pushed harder than misranked ones",
    "push on r = 2 above that on r = -3 by the formula, below it as released",
)
def rm1_reversed():
    with precision():
        r, beta = tuple(map(arb, BATCH)), arb(2)
        mean = sum(r, arb(0)) / 3
        spread = (sum(((x - mean) ** 2 for x in r), arb(0)) / 2) ** (arb(1) / 2)
        paper, released = (
            [arb_world.sigmoid(cls(beta=beta).offset(arb_world, x, mean, spread) - x) for x in r]
            for cls in (PAPER, RELEASED)
        )
        shown = [", ".join(x.str(5, radius=False) for x in found) for found in (paper, released)]
        text = f"pushes {shown[0]}; as released {shown[1]}"
        gaps = paper[2] - paper[0], released[0] - released[2]  # 0.0329 and 0.8683
        ranges = (("0.0325", "0.0332"), ("0.868", "0.8687"))
        inside = [arb(low) < x < arb(high) for x, (low, high) in zip(gaps, ranges, strict=True)]
        margin = PAPER(beta=beta).offset(arb_world, r[2], mean, spread)
        inside += [
            (spread * spread).overlaps(arb(VARIANCE)),
            to_digits(margin, MARGIN, 1),
            to_digits(margin - r[2], LOG_ODDS, 1),
            to_digits(paper[2], PUSH, 3),
            to_digits(paper[0], WORST, 3),
        ]
        return text, all(inside)


CLAIM = Claim(
    id="RM1",
    title="AMaPO pushes by the sign of its batch's mean margin",
    statement=r"AMaPO gives misranked pairs more gradient and wastes none on ranked ones. Of "
    r"$\ell(r - \mathrm{sg}[h])$ the margin adds $h$ to the log-odds of a pair's gradient. At a "
    r"batch mean $\mu > 0$ every misranked pair has $h \geq \beta$, but so has every ranked pair "
    r"of $0 < r < \mu$, and above $\mu$ the gradient is that of no margin, $\sigma(-r)$, not 0. At "
    r"$\mu < 0$ the formula gives $h \geq \beta$ to every ranked pair and 0 to all below the mean. "
    r"The released code keeps to the pairs below the mean; at $\mu < 0$ it gives the hardest the "
    r"least, under $\beta$, and its exponent is $1/\beta$ of the formula's. Which pairs have a "
    r"stationary point at all is C5.",
    reading="The sign of the batch's mean margin decides whom AMaPO pushes; where a model still "
    "ranks most of a batch wrong, the formula pushes the pairs that it ranks right. Use it instead "
    "of MADPO when there is neither a reward model nor a reference, batches are large, and most of "
    "their pairs are ranked right already.",
    source="arXiv 2511.09385 (formula from a secondary source) and its released code",
    assumptions="batch statistics held in the gradient",
    verdict="fails",
    counterexample=f"beta = 2, a batch of margins r = ({BATCH[0]}, {BATCH[1]}, {BATCH[2]}), mean "
    f"-1, deviation sqrt {VARIANCE}: "
    f"the ranked pair r = 2 gets the margin {MARGIN:.1f} and the gradient sigma({LOG_ODDS:.1f}) = "
    f"{PUSH:.3f}; the worst ranked, r = -3, gets none, and sigma(3) = {WORST:.3f}",
    uses=("C5",),
    evidence=(rm1_margins, rm1_batches, rm1_reversed),
)
