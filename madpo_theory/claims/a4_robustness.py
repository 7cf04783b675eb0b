"""A4: the paper on its robustness."""

from .ledger import Claim
from .r1_sensitivity import L_4, L
from .r2_influence import D_4, D

CLAIM = Claim(
    id="A4",
    title="the damage of a wrong reward model is bounded; DPO's is nil",
    statement="The method is robust to errors of the reward model.",
    reading=f"The damage is bounded: by {L:.2f} nats of target per nat of error and {D:.3f} in all "
    f"at the released schedule, by {L_4:.2f} and {D_4:.2f} at the c_max = 4 of its script; but "
    "DPO, which asks no reward model, suffers none.",
    source="arXiv 2510.05342, abstract",
    assumptions="any reward model",
    verdict="conditional",
    condition="robust means a bounded effect: on targets always, on parameters where the "
    "margin is linear in them",
    figure="target_shift",
    parts=("R1", "R2", "R3", "R4", "R5", "R6"),
)
