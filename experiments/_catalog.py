"""Methods and worlds that several simulation studies share, by the names of their tables."""

from madpo_theory import METHODS as KINDS
from madpo_theory import MarginSchedule
from madpo_theory.methods import method_named
from madpo_theory.simulate.worlds import GaussianRewards, WorldsConfig

RELEASED = MarginSchedule.released()
# The defaults of every method, but the released schedule; and a few with settings of their own.
METHODS = {name: method_named(name, schedule=RELEASED) for name in KINDS} | {
    "madpo_4": method_named("madpo", schedule=MarginSchedule.released(4)),
    "madpo_class": method_named("madpo", schedule=MarginSchedule.class_defaults()),
    "madpo_flat": method_named("madpo", c_max=2.0, tau=1e6),  # c = 2 at every margin
}
WORLDS = WorldsConfig(prompts=16, responses=6)
WIDE = WorldsConfig(prompts=16, responses=6, rewards=GaussianRewards(2.0))  # margins up to 8 nats
BETA = 0.5

PAIRWISE = tuple(
    name
    for name, kind in KINDS.items()
    if kind.__module__.startswith(METHODS["dpo"].__module__.rpartition(".")[0])
    and METHODS[name].is_pairwise
)
"""Every method of the library that a table of responses can be fitted with."""


def named(*names):
    """(name, Method) pairs of the catalog, for a Cell."""
    return tuple((name, METHODS[name]) for name in names)
