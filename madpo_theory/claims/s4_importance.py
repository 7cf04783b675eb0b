"""S4: below tau the weight is an importance ratio."""

import numpy as np
import sympy as sp

from ..weights import weight
from .evidence import property_test, proved, symbolic
from .ledger import Claim
from .regimes import INSIDE, OUTSIDE, OUTSIDE_MARGIN, C, in_c, sigma, u
from .settings import margins, schedules


@symbolic("importance ratio and label mass A")
def s4_mass():
    w_up, w_down = in_c(weight(u, INSIDE), INSIDE), in_c(weight(-u, INSIDE), INSIDE)
    yield "|h| < tau: sigma(h) w(h) = sigma(ch)", sigma(u) * w_up, sigma(C * u)
    yield "|h| < tau: sigma(-h) w(-h) = sigma(-ch)", sigma(-u) * w_down, sigma(-C * u)
    yield "|h| < tau: A = 1", sigma(u) * w_up + sigma(-u) * w_down, sp.Integer(1)
    far = OUTSIDE_MARGIN
    w_up, w_down = in_c(weight(far, OUTSIDE), OUTSIDE), weight(-far, OUTSIDE)
    yield (
        "h > tau: 1 - A = sigma(h) - sigma(ch) > 0 as c < 1",
        1 - sigma(far) * w_up - sigma(-far) * w_down,
        sigma(far) - sigma(C * far),
    )


@property_test("A = 1 inside the knee, A < 1 outside", "S4")
def s4_mass_numeric(s=schedules(), h=margins()):
    both = np.array([h, -h])
    mass = float((weight(both, s) / (1 + np.exp(-both))).sum())
    if abs(h) <= s.tau:
        assert abs(mass - 1) < 1e-13, mass
    else:
        assert mass <= 1 + 1e-15, mass


CLAIM = Claim(
    id="S4",
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
