"""Policy-gradient systems on softmax bandits, where every expectation is a finite sum.

A bandit has K actions, so the law of a sample, a group of samples or a set of kept items has
finitely many outcomes. Bias, variance and mean squared error of an estimator are sums over them,
not averages of runs. Everything is NumPy in float64; formulas of single numbers are those of
:mod:`madpo_theory.ops` and live in every world.
"""

from .bandit import (
    GrpoGroups,
    Moments,
    SoftmaxBandit,
    covariance,
    group_advantages,
    grpo_groups,
    moments,
    score_gradient,
)
from .clipping import (
    Bapo,
    BapoReleased,
    ClipSearch,
    clipped_surrogate,
    contributions,
    entropy_rule,
    entropy_slope,
    flowing,
    flowing_contributions,
    net_share,
    share,
)
from .mixing import (
    MixingMoments,
    TraceBandit,
    best_mixing,
    mixed_error,
)
from .pruning import (
    KeepLaw,
    bernoulli,
    fixed_count,
    hierarchical,
    hierarchical_variance,
    keep_weight,
    pruned_groups,
    pruning_variance,
    ranked,
    self_normalized,
)

__all__ = [
    "Bapo",
    "BapoReleased",
    "ClipSearch",
    "GrpoGroups",
    "KeepLaw",
    "MixingMoments",
    "Moments",
    "SoftmaxBandit",
    "TraceBandit",
    "bernoulli",
    "best_mixing",
    "clipped_surrogate",
    "contributions",
    "covariance",
    "entropy_rule",
    "entropy_slope",
    "fixed_count",
    "flowing",
    "flowing_contributions",
    "group_advantages",
    "grpo_groups",
    "hierarchical",
    "hierarchical_variance",
    "keep_weight",
    "mixed_error",
    "moments",
    "net_share",
    "pruned_groups",
    "pruning_variance",
    "ranked",
    "score_gradient",
    "self_normalized",
    "share",
]
