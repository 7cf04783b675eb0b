"""Bradley-Terry worlds: true rewards, reference policies, which pairs are compared, their labels.

A world is a set of prompts with the same number of responses each; all arrays have the leading axes
(worlds, prompts). Each random component of world w draws from its own
``SeedSequence(seed, spawn_key=(w, component))``: so a world is the same whatever the chunk or the
order it is drawn in, and a new component leaves the draws of the others as they were. On another
machine, exponentials and logarithms may round differently in the last digit.

Everything is a NumPy array in float64; :func:`to_problems` makes the torch batches that the solvers
consume, and :func:`from_problems` takes their answers back.
"""

from .labels import (
    LABELS,
    DavidsonTies,
    ExactLabels,
    Labels,
    RaoKupperTies,
    SampledLabels,
    draw_labels,
)
from .references import (
    REFERENCES,
    DirichletReference,
    DominantReference,
    SoftmaxReference,
    UniformReference,
)
from .rewards import (
    REWARDS,
    ClusteredRewards,
    Drawn,
    FileRewards,
    GaussianRewards,
    LinearRewards,
    StudentRewards,
)
from .sampling import (
    SAMPLINGS,
    AllPairs,
    GapSampled,
    OnPolicySampled,
    ReferenceSampled,
    check_sampling,
    pair_sampling,
)
from .world import (
    COMPONENTS,
    Worlds,
    WorldsConfig,
    both_orders,
    draw_worlds,
    from_problems,
    gaps,
    to_problems,
)

__all__ = [
    "COMPONENTS",
    "LABELS",
    "REFERENCES",
    "REWARDS",
    "SAMPLINGS",
    "AllPairs",
    "ClusteredRewards",
    "DavidsonTies",
    "DirichletReference",
    "DominantReference",
    "Drawn",
    "ExactLabels",
    "FileRewards",
    "GapSampled",
    "GaussianRewards",
    "Labels",
    "LinearRewards",
    "OnPolicySampled",
    "RaoKupperTies",
    "ReferenceSampled",
    "SampledLabels",
    "SoftmaxReference",
    "StudentRewards",
    "UniformReference",
    "Worlds",
    "WorldsConfig",
    "both_orders",
    "check_sampling",
    "draw_labels",
    "draw_worlds",
    "from_problems",
    "gaps",
    "pair_sampling",
    "to_problems",
]
