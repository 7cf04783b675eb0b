"""A4: the paper on its robustness."""

from .ledger import Claim

CLAIM = Claim(
    id="A4",
    statement="The method is robust to errors of the reward model.",
    reading="The damage is bounded, by 2.3 nats of target per nat of error and 3.5 in all at "
    "the released schedule; but DPO, which asks no reward model, suffers none.",
    source="arXiv 2510.05342, abstract",
    assumptions="any reward model",
    verdict="conditional",
    condition="robust means a bounded effect: on targets always, on parameters where the "
    "margin is linear in them",
    figure="target_shift",
    parts=("R1", "R2", "R3", "R4", "R5", "R6"),
)
