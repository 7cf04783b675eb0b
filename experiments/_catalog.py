"""Methods and worlds that several simulation studies share, by the names of their tables."""

from madpo_theory import MarginSchedule
from madpo_theory.simulate.methods import (
    BetaDpo,
    BoundedRatio,
    Cdpo,
    Distillation,
    Dpo,
    Efficient,
    Ipo,
    Madpo,
    Rdpo,
    TargetShaped,
)
from madpo_theory.simulate.worlds import GaussianRewards, WorldsConfig

RELEASED = MarginSchedule.released()
METHODS = {
    "dpo": Dpo(),
    "madpo": Madpo(RELEASED),
    "madpo_4": Madpo(MarginSchedule.released(4)),
    "madpo_class": Madpo(MarginSchedule.class_defaults()),
    "madpo_flat": Madpo(MarginSchedule(2.0, 0.5, 1.0, 1e6)),  # c = 2 at every margin
    "bounded_ratio": BoundedRatio(RELEASED),
    "target_shaped": TargetShaped(),
    "efficient": Efficient(RELEASED),
    "distillation": Distillation(RELEASED),
    "ipo": Ipo(),
    "beta_dpo": BetaDpo("authors"),
    "beta_dpo_madpo": BetaDpo("madpo"),
    "cdpo": Cdpo(0.1),
    "rdpo": Rdpo(0.1),  # needs labels flipped that often: none of clean labels fits it
}
WORLDS = WorldsConfig(prompts=16, responses=6)
WIDE = WorldsConfig(prompts=16, responses=6, rewards=GaussianRewards(2.0))  # margins up to 8 nats
BETA = 0.5


def named(*names):
    """(name, Method) pairs of the catalog, for a Cell."""
    return tuple((name, METHODS[name]) for name in names)
