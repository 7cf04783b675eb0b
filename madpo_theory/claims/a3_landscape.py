"""A3: the paper on its landscape."""

from .l1_pair_risk import LEAST, LEAST_4
from .ledger import Claim

CLAIM = Claim(
    id="A3",
    title="the landscape is DPO's, flatter where the reward model is wrong",
    statement="The optimization landscape is well behaved.",
    reading="Convex wherever DPO's is: for one pair, a table or a linear policy. But where the "
    f"reward model is wrong it can be flatter, with {LEAST:.3f} of DPO's curvature at the released "
    f"schedule and {LEAST_4:.5f} at its c_max = 4; and the targets of three responses contradict "
    "each other, so that the optimum depends on which pairs are sampled.",
    source="arXiv 2510.05342, abstract",
    assumptions="exact or wrong reward model",
    verdict="conditional",
    condition="the implicit margin is linear in the parameters; a finite optimum needs Ford's "
    "condition as for DPO, and does not depend on the sampling of three or more "
    "responses only if T(h)/h is constant",
    figure="pair_risk",
    parts=("L1", "L2", "L3", "L4", "L5"),
)
