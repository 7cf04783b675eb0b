"""A2: the paper on its targets."""

from .ledger import Claim
from .t3_easy_pairs import CLAIMED, EASY, MOST, TARGET
from .t5_order import AT_TAU, PEAK, PEAKED

CLAIM = Claim(
    id="A2",
    title="targets are amplified as claimed, but not dampened",
    statement="The effective target margin is amplified for hard pairs and dampened for easy ones.",
    reading="Half of it holds: hard pairs are amplified; easy pairs keep their margin, up to "
    f"{MOST:.4f} nats at the released schedule, and just below tau easier pairs get smaller "
    "targets. BoundedRatioWeight (N1) does what is claimed.",
    source="arXiv 2510.05342, abstract",
    assumptions="exact reward model",
    verdict="fails",
    counterexample=f"released schedule: h* = {EASY} gets {TARGET:.3f}, not c h* = {CLAIMED:.3f} "
    f"(T3); h* = {PEAK:.2f} gets {PEAKED:.3f}, more than the {AT_TAU:.3f} of h* = log 999 (T5)",
    figure="effective_target",
    parts=("T1", "T2", "T3", "T4", "T5", "T6"),
)
