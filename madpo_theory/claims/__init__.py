"""Every claim about MADPO with its evidence and verdict; ``madpo verify`` prints them."""

from .abstract import CLAIMS as _ABSTRACT
from .baselines import CLAIMS as _BASELINES
from .corrected import CLAIMS as _CORRECTED
from .landscape import CLAIMS as _LANDSCAPE
from .ledger import VERDICTS, Claim, Evidence, Ledger, verify
from .monotone import CLAIMS as _MONOTONE
from .parametric import CLAIMS as _PARAMETRIC
from .responses import CLAIMS as _RESPONSES
from .targets import CLAIMS as _TARGETS
from .weights import CLAIMS as _WEIGHTS

__all__ = ["CLAIMS", "VERDICTS", "Claim", "Evidence", "Ledger", "select", "verify"]

_LETTERS = "STLRBNA"  # the order of theory: schedule, targets, landscape, robustness, ...

CLAIMS = tuple(
    sorted(
        (
            *_WEIGHTS,
            *_TARGETS,
            *_MONOTONE,
            *_LANDSCAPE,
            *_RESPONSES,
            *_PARAMETRIC,
            *_BASELINES,
            *_CORRECTED,
            *_ABSTRACT,
        ),
        key=lambda claim: (_LETTERS.index(claim.id[0]), int(claim.id[1:])),
    )
)


def select(ids):
    """The claims of the given ids and the parts of those that are roll-ups, in the ledger's order.

    Raises ValueError for an unknown id.
    """
    known = {claim.id: claim for claim in CLAIMS}
    unknown = [i for i in ids if i not in known]
    if unknown:
        raise ValueError(f"no claim {', '.join(unknown)}; the ledger has {', '.join(known)}")
    wanted = {part for i in ids for part in (i, *known[i].parts)}
    return tuple(claim for claim in CLAIMS if claim.id in wanted)
