"""How preference pairs are made, where every law is a table and every expectation a sum.

* :mod:`.rejection`: which candidates RSO accepts;
* :mod:`.segments`: SAPO's rejected responses, and what its buffer replays;
* :mod:`.tokens`: BMC's token weights and bridged pairs;
* :mod:`.coverage`: RPO on arms that no pair holds;
* :mod:`.laws`: the policies, over single responses or short sequences.

Policies are arrays of log-probabilities, gradients are of free logits, and what is random takes a
numpy Generator. Claims RM4 to RM7 rest on it.
"""

from .coverage import (
    CoverageFit,
    TheoremSettings,
    draw_wins,
    fit_rewards,
    flat_directions,
    rpo_gradient,
    rpo_risk,
    theorem_settings,
)
from .laws import (
    averaged,
    descended,
    draw_sequence_law,
    logit_gradient,
    logits,
    moved,
    tempered,
    token_logs,
    total_variation,
)
from .rejection import Accepted, merged_law, published_law, sample_accepted, successive_law
from .segments import (
    ReplayLaw,
    dpo_gradient,
    replay_law,
    sample_replay,
    segment_pairs,
    segment_starts,
)
from .tokens import PrecomputedBmc, bmc_gradient, bmc_margins, bridged_wins

__all__ = [
    "Accepted",
    "CoverageFit",
    "PrecomputedBmc",
    "ReplayLaw",
    "TheoremSettings",
    "averaged",
    "bmc_gradient",
    "bmc_margins",
    "bridged_wins",
    "descended",
    "dpo_gradient",
    "draw_sequence_law",
    "draw_wins",
    "fit_rewards",
    "flat_directions",
    "logit_gradient",
    "logits",
    "merged_law",
    "moved",
    "published_law",
    "replay_law",
    "rpo_gradient",
    "rpo_risk",
    "sample_accepted",
    "sample_replay",
    "segment_pairs",
    "segment_starts",
    "successive_law",
    "tempered",
    "theorem_settings",
    "token_logs",
    "total_variation",
]
