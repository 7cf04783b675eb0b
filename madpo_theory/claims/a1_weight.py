"""A1: the paper on its weight."""

from .ledger import Claim
from .s3_bound import LEAST_4

CLAIM = Claim(
    id="A1",
    title="no pair is discarded",
    statement="The weight is continuous and adaptive for every pair, and preserves the data: "
    "no pair is discarded.",
    reading="True of the formula: every weight is positive and below 2; but with the "
    f"released script's c_max = 4 a disputed label can weigh as little as {LEAST_4:.5f}, which is "
    "discarding it.",
    source="arXiv 2510.05342, abstract",
    assumptions="any valid schedule",
    verdict="holds",
    figure="weight_and_coefficient",
    parts=("S1", "S2", "S3", "S4"),
)
