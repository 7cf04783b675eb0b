"""A3: the paper on its landscape."""

from .ledger import Claim

CLAIM = Claim(
    id="A3",
    statement="The optimization landscape is well behaved.",
    reading="As well behaved as DPO's for one pair, a table or a linear policy; but the "
    "targets of three responses contradict each other, so that the optimum depends on which "
    "pairs are sampled.",
    source="arXiv 2510.05342, abstract",
    assumptions="exact or wrong reward model",
    verdict="conditional",
    condition="the implicit margin is linear in the parameters; a finite optimum needs Ford's "
    "condition as for DPO, and is independent of the sampling only if c is constant",
    figure="pair_risk",
    parts=("L1", "L2", "L3", "L4", "L5"),
)
