"""A5: the paper on IPO."""

from .ledger import Claim

CLAIM = Claim(
    id="A5",
    title="IPO asks for the same small margin of every pair",
    statement="IPO's uniform regularization can be overly conservative.",
    reading="True: IPO asks for at most 1/(2 beta) nats of log-ratio of any pair, however clear.",
    source="arXiv 2510.05342, abstract",
    assumptions="Bradley-Terry labels",
    verdict="holds",
    figure="effective_target",
    parts=("B2",),
)
