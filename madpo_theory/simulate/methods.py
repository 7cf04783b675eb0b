"""What every method fits to the same pairs: one batched problem, one solution, one call.

A :class:`PairProblem` is B prompts with K responses each: the mass of labels, the reward model's
margins, beta. A :class:`Method` with its settings turns it into a :class:`Solution`, the exact
minimizer of the method's own loss (:mod:`madpo_theory.losses`) over tables of log-ratios, with a
certificate for each prompt::

    problem = PairProblem(labels, margins, beta=0.1)
    solve("dpo", problem).m                                   # settings by default
    solve(Madpo(MarginSchedule.released(4)), problem).scores  # z = beta m

Every logistic loss here, whatever its weights, is one of a matrix of masses (:func:`masses_of`),
which goes to :func:`~madpo_theory.simulate.solve.newton.minimize_tables`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch

from ..losses import BETA_DPO_VARIANTS, beta_dpo_beta, beta_dpo_margins
from ..ops import check_number
from ..schedule import MarginSchedule, check_schedule
from ..targets import effective_target
from ..weights import (
    BoundedRatioWeight,
    EfficientWeight,
    PowerTarget,
    TargetShapedWeight,
    Weighting,
    weight,
    weighting_of,
)
from .solve.fits import Reason, check_masses, check_tables
from .solve.newton import EPS, minimize_tables, solve_laplacian

__all__ = [
    "METHODS",
    "BetaDpo",
    "BoundedRatio",
    "Cdpo",
    "Distillation",
    "Dpo",
    "Efficient",
    "Ipo",
    "Madpo",
    "Method",
    "PairProblem",
    "Rdpo",
    "Solution",
    "TargetShaped",
    "masses_of",
    "solve",
]


@dataclass(frozen=True, eq=False)
class PairProblem:
    """B prompts with K responses: labels, the reward model's margins, the temperature.

    Parameters
    ----------
    labels : (B, K, K) tensor, >= 0, zero diagonal: mass of the labels "i beats j", expected or
        drawn, times how often the pair is asked about. The unit of mass does not matter.
    margins : (B, K, K) tensor, antisymmetric: the reward model's margin of i over j, nats. None
        for methods that ask no reward model.
    beta : > 0, per nat.

    All is taken to float64. Raises ValueError or TypeError with the argument, the value and the
    rule.
    """

    labels: torch.Tensor
    margins: torch.Tensor | None = None
    beta: float = 0.1

    def __post_init__(self):
        labels = check_tables("labels", self.labels)
        object.__setattr__(self, "labels", labels)
        check_number("beta", self.beta, "beta > 0", lambda v: v > 0)
        if self.margins is None:
            return
        margins = check_masses("margins", self.margins, tuple(labels.shape), signed=True)
        if margins.device != labels.device:
            raise ValueError(
                f"margins are on {margins.device}, labels on {labels.device}; move one to the other"
            )
        bad = margins != -margins.mT
        if bad.any():
            b, i, j = bad.nonzero()[0].tolist()
            raise ValueError(
                f"margins[{b}, {i}, {j}] = {margins[b, i, j].item():g} but margins[{b}, {j}, {i}] "
                f"= {margins[b, j, i].item():g}, breaking the rule that swapping two responses "
                "flips a margin's sign; pass (margins - margins.mT)/2"
            )
        object.__setattr__(self, "margins", margins)

    def asked(self, method):
        """The margins, or the error of a method that needs them."""
        if self.margins is None:
            raise ValueError(
                f"margins is None, but {type(method).__name__} weighs pairs by the reward model's "
                "margins; give PairProblem its margins"
            )
        return self.margins


@dataclass(frozen=True, eq=False)
class Solution:
    """A method's policy for every prompt, and what is proved of it; tensors.

    Attributes
    ----------
    m : (B, K) log-ratios up to a constant, mean 0, nats: pi is proportional to pi_ref e^m. NaN
        where not converged.
    scores : (B, K) z = beta m, with the problem's beta.
    converged : (B,) boolean.
    reason : (B,) int8 of :class:`~madpo_theory.simulate.solve.fits.Reason`.
    gradient_norm, curvature : (B,) of the method's loss in z, masses scaled to a largest pair of
        1, as in :class:`~madpo_theory.simulate.solve.fits.TableFits` (of beta^2 times its loss for
        IPO; in the batch's own z for beta-DPO).
    error_bound : (B,) nats of z from the exact minimizer, inf where not converged.
    iterations : (B,) Newton steps; 0 for IPO, whose equations are linear.
    temperature : (B,) the beta that the loss was taken with: the problem's, but for beta-DPO.
    """

    m: torch.Tensor
    scores: torch.Tensor
    converged: torch.Tensor
    reason: torch.Tensor
    gradient_norm: torch.Tensor
    curvature: torch.Tensor
    error_bound: torch.Tensor
    iterations: torch.Tensor
    temperature: torch.Tensor

    def __post_init__(self):
        lost = ~self.converged
        if not lost.any():
            return
        for name, value in (
            ("m", math.nan), ("scores", math.nan), ("curvature", 0.0), ("error_bound", math.inf)
        ):  # fmt: skip
            kept = getattr(self, name)
            mask = lost[:, None] if kept.ndim == 2 else lost
            object.__setattr__(self, name, torch.where(mask, value, kept))


class Method(ABC):
    """A preference-optimization method with its settings; subclasses are frozen dataclasses."""

    @abstractmethod
    def solve(self, problem, **options):
        """The :class:`Solution` of a :class:`PairProblem`."""

    def pair_targets(self, problem):
        """z (B, K, K) that the method would fit to each pair alone, nats; antisymmetric.

        NaN where it would fit none, as without labels, and for methods that fit no pair alone.
        """
        return torch.full_like(problem.labels, math.nan)


class LogisticMethod(Method):
    """A method whose loss is ``sum_ij masses_ij l(beta m_ij)``."""

    signed = False

    @abstractmethod
    def masses(self, problem):
        """(B, K, K) weighted masses of the labels "i beats j"."""

    def needed(self, problem):
        """Where a mass must not be 0: a weight that underflows would drop the label."""
        return problem.labels > 0

    def pair_targets(self, problem):
        masses = self.masses(problem)
        logs = torch.where(masses > 0, masses, math.nan).log()
        return logs - logs.mT

    def underflowed(self, problem, masses):
        """Prompts (B,) that lost a label to underflow."""
        return (self.needed(problem) & (masses == 0)).flatten(1).any(1)

    def solve(self, problem, **options):
        masses = self.masses(problem)
        fits = minimize_tables(masses, signed=self.signed, **options)
        lost = self.underflowed(problem, masses)
        return Solution(
            fits.scores / problem.beta,
            fits.scores,
            fits.converged & ~lost,
            torch.where(lost, int(Reason.UNDERFLOW), fits.reason),
            fits.gradient_norm,
            fits.curvature,
            fits.error_bound,
            fits.iterations,
            torch.full_like(fits.curvature, problem.beta),
        )


@dataclass(frozen=True)
class Dpo(LogisticMethod):
    """DPO: the labels as they are. Source: arXiv 2305.18290."""

    def masses(self, problem):
        return problem.labels


@dataclass(frozen=True)
class Madpo(LogisticMethod):
    """MADPO: labels weighted by w(margin), for any weight. Source: arXiv 2510.05342.

    `weighting` is a MarginSchedule (the published weight) or a Weighting.
    """

    weighting: MarginSchedule | Weighting = field(default_factory=MarginSchedule)

    def __post_init__(self):
        weighting_of(self.weighting)

    def masses(self, problem):
        return problem.labels * weight(problem.asked(self), self.weighting)


@dataclass(frozen=True)
class BoundedRatio(LogisticMethod):
    """MADPO with the bounded-ratio weight of a schedule (N1)."""

    schedule: MarginSchedule = field(default_factory=MarginSchedule)

    def __post_init__(self):
        check_schedule(self.schedule)

    def masses(self, problem):
        return Madpo(BoundedRatioWeight(self.schedule)).masses(problem)


def _default_target():
    """Concave, slope 2 at 0 like the default schedule's c_max, through the same tau."""
    return PowerTarget.with_slope(MarginSchedule().tau, 0.5, 2.0)


@dataclass(frozen=True)
class TargetShaped(LogisticMethod):
    """MADPO with the weight of a target map (N2)."""

    target: PowerTarget = field(default_factory=_default_target)

    def __post_init__(self):
        TargetShapedWeight(self.target)

    def masses(self, problem):
        return Madpo(TargetShapedWeight(self.target)).masses(problem)


@dataclass(frozen=True)
class Efficient(LogisticMethod):
    """MADPO with the least-variance weight that has the targets of `base` (N4)."""

    base: MarginSchedule | Weighting = field(default_factory=MarginSchedule)

    def __post_init__(self):
        EfficientWeight(self.base)

    def masses(self, problem):
        return Madpo(EfficientWeight(self.base)).masses(problem)


@dataclass(frozen=True)
class Distillation(LogisticMethod):
    """Soft labels sigma(T(h)) of the reward model; a pair keeps its mass, its labels do not count.

    T is the target map of `weighting`, as in :func:`madpo_theory.losses.distillation` (N3).
    """

    weighting: MarginSchedule | Weighting = field(default_factory=MarginSchedule)

    def __post_init__(self):
        weighting_of(self.weighting)

    def masses(self, problem):
        margins = problem.asked(self)
        target = effective_target(margins, margins, self.weighting)
        return (problem.labels + problem.labels.mT) * torch.sigmoid(target)

    def needed(self, problem):
        return (problem.labels + problem.labels.mT) > 0


@dataclass(frozen=True)
class Cdpo(LogisticMethod):
    """cDPO: (1 - eps) l(z) + eps l(-z), 0 <= eps <= 1/2; a clean label has sigma(z*) = 1 - eps."""

    eps: float = 0.1

    def __post_init__(self):
        check_number("eps", self.eps, "0 <= eps <= 1/2", lambda v: (v >= 0) & (v <= 0.5))

    def masses(self, problem):
        return (1 - self.eps) * problem.labels + self.eps * problem.labels.mT


@dataclass(frozen=True)
class Rdpo(LogisticMethod):
    """rDPO: [(1 - eps) l(z) - eps l(-z)]/(1 - 2 eps), 0 <= eps < 1/2.

    Unbiased under labels flipped at rate eps. Labels cleaner than that may leave no minimizer:
    masses are negative, and Reason.NO_MINIMIZER is then to be expected.
    """

    eps: float = 0.1
    signed = True

    def __post_init__(self):
        check_number("eps", self.eps, "0 <= eps < 1/2", lambda v: (v >= 0) & (v < 0.5))

    def masses(self, problem):
        labels, eps = problem.labels, self.eps
        return ((1 - eps) * labels - eps * labels.mT) / (1 - 2 * eps)

    def underflowed(self, problem, masses):
        # A mass of exactly 0 is where the two labels are in the ratio of eps to 1 - eps.
        return torch.zeros(len(masses), dtype=torch.bool, device=masses.device)


@dataclass(frozen=True)
class Ipo(Method):
    """IPO: (m - 1/(2 beta))^2, one linear system a prompt. Source: arXiv 2310.12036.

    In z = beta m the equations are ``sum_j N_ij (z_i - z_j) = sum_j (L_ij - L_ji)/2`` whatever
    beta is. A minimizer exists always; it is unique where comparisons connect all responses.
    """

    def pair_targets(self, problem):
        return (problem.labels - problem.labels.mT) / (2 * (problem.labels + problem.labels.mT))

    def solve(self, problem, *, tolerance=1e-10, accuracy=1e-6, chunk=None):
        labels, beta = problem.labels, problem.beta
        total = labels + labels.mT
        largest = total.flatten(1).amax(1)
        scale = torch.where(largest > 0, largest, 1)[:, None, None]
        side = ((labels - labels.mT) / (2 * scale)).sum(2)
        z, curvature, missed = solve_laplacian(total / scale, side, chunk=chunk)
        slope = 2 * missed
        # Of every term a few ulp of itself; then K terms to add.
        size = z.shape[1]
        spread = z.amax(1) - z.amin(1) + 1
        rounding = 2 * EPS * (size + 4) * spread * (total / scale).sum(2).square().sum(1).sqrt()
        error = torch.where(curvature > 0, (slope + rounding) / (2 * curvature), math.inf)
        converged = (slope <= tolerance) & (error <= accuracy)
        unsolved = torch.where(curvature > 0, int(Reason.PRECISION), int(Reason.UNCONNECTED))
        return Solution(
            z / beta,
            z,
            converged,
            torch.where(converged, int(Reason.CONVERGED), unsolved).to(torch.int8),
            torch.where(torch.isfinite(slope), slope, math.inf),
            2 * curvature,
            error,
            torch.zeros_like(converged, dtype=torch.int32),
            torch.full_like(slope, beta),
        )


@dataclass(frozen=True)
class BetaDpo(Method):
    """beta-DPO with a whole prompt as the batch, every pair kept. Source: arXiv 2407.08639.

    At a stationary point z_i - z_j = beta_b m_ij is DPO's optimum whatever beta_b is, and beta_b
    must be the temperature (:func:`~madpo_theory.losses.beta_dpo_beta`) of the mean margin
    z/beta_b over the labels: a quadratic equation. Counted are its solutions with the sign of the
    temperature at the reference policy, m = 0, where training starts (the "authors" variant
    clamps, so its are positive; the other's may be negative, and the policy reversed: B3). None,
    or more than one, is Reason.TEMPERATURE.

    Parameters
    ----------
    variant : "authors" or "madpo"; `alpha` as in the loss.
    running_mean : M0, held fixed, in the variant's units.
    """

    variant: str = "authors"
    alpha: float = 0.6
    running_mean: float = 0.0

    def __post_init__(self):
        if self.variant not in BETA_DPO_VARIANTS:
            raise ValueError(f"variant must be one of {BETA_DPO_VARIANTS}, got {self.variant!r}")
        for name in ("alpha", "running_mean"):
            check_number(name, getattr(self, name), f"{name} finite", lambda v: True)

    def _temperature_of(self, mean, beta):
        return beta_dpo_beta(
            mean, beta=beta, alpha=self.alpha, running_mean=self.running_mean, variant=self.variant
        )

    def solve(self, problem, **options):
        fits = minimize_tables(problem.labels, **options)
        z, beta = fits.scores, problem.beta
        mass = problem.labels.flatten(1).sum(1)
        advantage = (problem.labels - problem.labels.mT).sum(2)
        mean = torch.where(fits.converged, (advantage * z).sum(1) / mass, 0.0)  # of z, over labels
        held = beta_dpo_margins(mean, beta=beta, variant=self.variant)  # of m, times beta_b
        # beta_b = start + slope held/beta_b
        start = torch.full_like(mean, beta * (1 - self.alpha * self.running_mean))
        slope = beta * self.alpha
        root = (start * start + 4 * slope * held).sqrt()  # NaN: no real solution
        large = (start + torch.where(start < 0, -root, root)) / 2
        small = torch.where(large != 0, -slope * held / large, 0)
        clamped = torch.full_like(mean, 1e-3)
        floor = self._temperature_of(torch.zeros_like(mean), beta)
        candidates = torch.stack([large, torch.where(small == large, 0, small), clamped])
        legal = torch.isfinite(candidates) & (candidates * floor.sign() > 0)
        if self.variant == "authors":
            legal[:2] &= candidates[:2] > 1e-3
            legal[2] &= self._temperature_of(held / 1e-3, beta) == 1e-3
        else:
            legal[2] = False
        single = legal.sum(0) == 1
        chosen = torch.where(legal, candidates, 0).sum(0)
        temperature = torch.where(single, chosen, math.nan)
        m = z / temperature[:, None]
        converged = fits.converged & single
        reason = torch.where(fits.converged & ~single, int(Reason.TEMPERATURE), fits.reason)
        # First order in the error of z: through z itself, and through the mean in beta_b.
        error = fits.error_bound
        moved = slope * (held.abs() / mean.abs().clamp_min(1e-300)) * math.sqrt(2) * error
        moved = torch.where(legal[2], 0, moved / root)
        length = torch.linalg.vector_norm(z, dim=1)
        error = beta / temperature.abs() * (error + length * moved / temperature.abs())
        return Solution(
            m, beta * m, converged, reason.to(torch.int8), fits.gradient_norm, fits.curvature,
            error, fits.iterations, temperature,
        )  # fmt: skip


METHODS = {
    "dpo": Dpo,
    "ipo": Ipo,
    "beta_dpo": BetaDpo,
    "madpo": Madpo,
    "bounded_ratio": BoundedRatio,
    "target_shaped": TargetShaped,
    "efficient": Efficient,
    "distillation": Distillation,
    "cdpo": Cdpo,
    "rdpo": Rdpo,
}


def method_of(method):
    """The Method that a name of METHODS, or a Method, stands for; or an error."""
    if isinstance(method, Method):
        return method
    if isinstance(method, str) and method in METHODS:
        return METHODS[method]()
    raise ValueError(
        f"method must be a Method or one of {sorted(METHODS)}, got {method!r}; settings go to its "
        'class, as in METHODS["rdpo"](eps=0.2)'
    )


def solve(method, problem, **options):
    """The :class:`Solution` of a :class:`PairProblem` by a Method, or by the name of one.

    `options` go to :func:`~.newton.minimize_tables` (tolerance, accuracy,
    steps, chunk, ...); for IPO tolerance, accuracy and chunk alone.
    """
    method = method_of(method)
    if not isinstance(problem, PairProblem):
        raise TypeError(
            f"problem must be a PairProblem, got {type(problem).__qualname__}; make one with "
            "PairProblem(labels, margins, beta)"
        )
    return method.solve(problem, **options)


def masses_of(method, problem):
    """(B, K, K) masses whose logistic loss the method minimizes, and whether some may be negative.

    For :func:`~madpo_theory.simulate.solve.descent.train_tables`. TypeError for IPO and beta-DPO.
    """
    method = method_of(method)
    if not isinstance(method, LogisticMethod):
        raise TypeError(f"{type(method).__name__}'s loss is not a logistic loss of fixed masses")
    return method.masses(problem), method.signed
