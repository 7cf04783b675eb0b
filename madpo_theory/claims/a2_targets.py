"""A2: the paper on its targets."""

from .ledger import Claim

CLAIM = Claim(
    id="A2",
    statement="The effective target margin is amplified for hard pairs and dampened for easy ones.",
    reading="Half of it holds: hard pairs are amplified; easy pairs keep their margin, up to "
    "0.0052 nats at the released schedule, and just below tau easier pairs get smaller "
    "targets. BoundedRatioWeight (N1) does what is claimed.",
    source="arXiv 2510.05342, abstract",
    assumptions="exact reward model",
    verdict="fails",
    counterexample="released schedule: h* = 8 gets 7.997, not c h* = 5.722 (T3); h* = 5.26 "
    "gets 8.33, more than h* = 6.9 (T5)",
    figure="effective_target",
    parts=("T1", "T2", "T3", "T4", "T5", "T6"),
)
