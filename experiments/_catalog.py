"""Methods and worlds that several simulation studies share, by the names of their tables."""

from madpo_theory import METHODS as KINDS
from madpo_theory import MarginSchedule
from madpo_theory.methods import method_from, method_named
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

# Weights that no method is named after: MADPO with each of them.
METHODS |= {
    name: method_from(name) for name in ("confidence", "reward_magnitude", "reward_probability")
}
PAIRWISE = tuple(
    name
    for name, method in sorted(METHODS.items())
    if type(method).__module__.startswith("madpo_theory.")
    and method.is_pairwise
    and not isinstance(method, KINDS["hinge"])
    and name not in ("madpo_4", "madpo_class", "madpo_flat")
)
"""Every method of the library that a table of responses can be fitted with, at its defaults. The
minima of a hinge are a polygon: it fits none."""


def named(*names):
    """(name, Method) pairs of the catalog, for a Cell."""
    return tuple((name, METHODS[name]) for name in names)
