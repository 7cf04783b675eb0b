"""S4: below tau the weight is an importance ratio."""

import sympy as sp
from flint import arb

from ..certify.enclosure import precision
from ..ops.arb_world import sigmoid
from ..schedule import coefficient
from ..weights import weight
from .evidence import foil, must, property_test, proved, symbolic
from .ledger import Claim
from .regimes import INSIDE, OUTSIDE, OUTSIDE_MARGIN, C, in_c, sigma, u
from .settings import scaled, scheduled_margins


@foil("the labels are sharpened to 1.05 c", C=scaled(sp.Rational(21, 20)))
@symbolic("importance ratio and label mass A")
def s4_mass():
    w_up, w_down = in_c(weight(u, INSIDE), INSIDE), in_c(weight(-u, INSIDE), INSIDE)
    yield "|h| < tau: sigma(h) w(h) = sigma(ch)", sigma(u) * w_up, sigma(C * u)
    yield "|h| < tau: sigma(-h) w(-h) = sigma(-ch)", sigma(-u) * w_down, sigma(-C * u)
    yield "|h| < tau: A = 1", sigma(u) * w_up + sigma(-u) * w_down, sp.Integer(1)
    far = OUTSIDE_MARGIN
    w_up, w_down = in_c(weight(far, OUTSIDE), OUTSIDE), weight(-far, OUTSIDE)
    yield (
        "h > tau: 1 - A = sigma(h) - sigma(ch), positive by Coq's S4_mass_below_one",
        1 - sigma(far) * w_up - sigma(-far) * w_down,
        sigma(far) - sigma(C * far),
    )


@foil("the labels are sharpened to 1.05 c", coefficient=scaled(1.05))
@foil("sigma(h) is 5 % larger", sigmoid=scaled(1.05))
@property_test("A = 1 inside the knee, A < 1 outside", "S4")
def s4_mass_numeric(case=scheduled_margins(300.0)):
    s, h = case
    with precision(2000):  # enough to see e^-300 beside 1
        both = arb(h), arb(-h)
        kept = [weight(x, s) * sigmoid(x) for x in both]
        if abs(h) > s.tau:
            must(sum(kept) < 1)
            return
        tempered = [sigmoid(coefficient(x, s) * x) for x in both]
        must(all(a.overlaps(b) for a, b in zip(kept, tempered, strict=True)))
        must(sum(kept).contains(1) and sum(kept).rad() < 1e-300)


CLAIM = Claim(
    id="S4",
    title="below tau it is DPO on sharpened labels",
    statement=r"For $|h| < \tau$ the weight is the importance ratio from labels drawn with "
    r"$\sigma(h)$ to labels drawn with $\sigma(c h)$, so $A(h) = \sigma(h) w(h) + \sigma(-h) "
    r"w(-h) = 1$; and $A(h) < 1$ for $|h| > \tau$.",
    reading="Below tau MADPO is DPO on labels sharpened to c times the model's margin.",
    source="derived here",
    assumptions="any valid schedule; the reward model's margin is the true one",
    figure="weight_and_coefficient",
    verdict="holds",
    uses=("S1", "S2"),
    evidence=(
        s4_mass,
        s4_mass_numeric,
        proved("Weight", "S4_importance", "S4_mass_one", "S4_mass_below_one"),
    ),
)
