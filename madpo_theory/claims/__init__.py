"""Every claim about MADPO with its evidence and verdict; ``madpo verify`` prints them."""

from .baselines import CLAIMS as _BASELINES
from .landscape import CLAIMS as _LANDSCAPE
from .ledger import VERDICTS, Claim, Evidence, Ledger, verify
from .targets import CLAIMS as _TARGETS
from .weights import CLAIMS as _WEIGHTS

__all__ = ["CLAIMS", "VERDICTS", "Claim", "Evidence", "Ledger", "select", "verify"]

CLAIMS = (*_WEIGHTS, *_TARGETS, *_LANDSCAPE, *_BASELINES)


def select(ids):
    """The claims of the given ids, in the ledger's order; ValueError for an unknown id."""
    known = {claim.id for claim in CLAIMS}
    unknown = [i for i in ids if i not in known]
    if unknown:
        raise ValueError(
            f"no claim {', '.join(unknown)}; the ledger has {', '.join(sorted(known))}"
        )
    return tuple(claim for claim in CLAIMS if claim.id in ids)
