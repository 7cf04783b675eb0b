"""A6: the paper on beta-DPO."""

from .ledger import Claim

CLAIM = Claim(
    id="A6",
    title="beta-DPO's temperature is a batch's, and can turn negative",
    statement="beta-DPO applies one compromised temperature to pairs of mixed margins, its "
    "linear rule can produce a negative one, and its filter discards data.",
    reading="True of the formulas; the negative temperature cannot occur in the beta-DPO "
    "authors' own code, which clamps it.",
    source="arXiv 2510.05342, abstract",
    assumptions="the formulas as printed",
    verdict="conditional",
    condition="the temperature is not clamped, as in the MADPO author's reimplementation",
    parts=("B3", "B4", "B5"),
)
