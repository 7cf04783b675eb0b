"""DPO at the temperature that a schedule amplifies hard pairs to."""

from dataclasses import dataclass, replace

from ..registry import Look, setting
from .dpo import Dpo

__all__ = ["DpoMatched"]


@dataclass(frozen=True)
class DpoMatched(Dpo):
    """DPO at beta/c_max: the control for a weight that amplifies by at most c_max (L5)."""

    name, label, source = "dpo_matched", "DPO, β/c_max", "arXiv 2305.18290"
    look = Look("#56b4e9", "v", (0, (4, 1.6)))

    beta: float = setting(0.1 / 4, "beta > 0", lambda v: v > 0, "here", kw_only=True)

    @classmethod
    def of(cls, *, c_max=4.0, **known):
        """DPO at the known beta, or DPO's own, over `c_max`."""
        base = Dpo.of(**known)
        return replace(cls(), beta=base.beta / c_max)
