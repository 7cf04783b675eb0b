"""What every method fits to the same pairs: one batched problem, one solution, one call.

A :class:`PairProblem` is B prompts with K responses each: the mass of labels, the reward model's
margins, beta. :func:`solve` turns it, with a Method of :data:`madpo_theory.methods.METHODS` or of
the user's, into a :class:`Solution`, the minimizer of the method's own loss over tables of
log-ratios, with a certificate for each prompt::

    problem = PairProblem(labels, margins, beta=0.1)
    solve("dpo", problem).m                                   # settings by default
    solve(Madpo(MarginSchedule.released(4)), problem).scores  # z = beta m

A loss in slots is one of masses and offsets (:func:`slot_tables`), which goes to
:func:`~.solve.newton.minimize_tables`. Any other loss goes to
:func:`~.solve.general.minimize_general`. Two know better: IPO's equations are linear, and
beta-DPO's temperature is an equation of its own. Responses of a table have no lengths: a method
that divides by them counts one token each.
"""

import functools
import math
from dataclasses import dataclass, replace

import torch

from ..methods import Pairs, method_of
from ..methods.beta_dpo import BetaDpo, beta_dpo_margins
from ..methods.ipo import Ipo
from ..ops import check_number, torch_world
from ..ops.checks import check_antisymmetric
from .solve.fits import Reason, TableFits, check_masses, check_tables
from .solve.general import minimize_general
from .solve.newton import EPS, minimize_tables, solve_laplacian

__all__ = ["PairProblem", "Solution", "first_step", "pair_targets", "slot_tables", "solve"]


@dataclass(frozen=True, eq=False)
class PairProblem:
    """B prompts with K responses: labels, the reward model's margins, reference, temperature.

    Parameters
    ----------
    labels : (B, K, K) tensor, >= 0, zero diagonal: mass of the labels "i beats j", expected or
        drawn, times how often the pair is asked about. The unit of mass does not matter.
    margins : (B, K, K) tensor, antisymmetric: the reward model's margin of i over j, nats. None
        for methods that ask no reward model.
    beta : temperature of every method that the problem is given to, > 0, per nat; None leaves each
        its own.
    reference : (B, K) probabilities of the reference policy, > 0, for methods whose loss sees more
        than the margin; they need not sum to 1. None: all responses alike.

    All is taken to float64. Raises ValueError or TypeError with the argument, the value and the
    rule.
    """

    labels: torch.Tensor
    margins: torch.Tensor | None = None
    beta: float | None = None
    reference: torch.Tensor | None = None

    def __post_init__(self):
        labels = check_tables("labels", self.labels)
        object.__setattr__(self, "labels", labels)
        if self.beta is not None:
            check_number("beta", self.beta, "beta > 0", lambda v: v > 0)
        if self.reference is not None:
            reference = check_masses("reference", self.reference, tuple(labels.shape[:2]))
            if not (reference > 0).all():
                raise ValueError(
                    "reference breaks the rule reference > 0; the reference policy must reach "
                    "every response, drop those that it does not"
                )
            object.__setattr__(self, "reference", reference)
        if self.margins is None:
            return
        margins = check_masses("margins", self.margins, tuple(labels.shape), signed=True)
        if margins.device != labels.device:
            raise ValueError(
                f"margins are on {margins.device}, labels on {labels.device}; move one to the other"
            )
        object.__setattr__(self, "margins", check_antisymmetric("margins", margins))

    def margins_for(self, method):
        """The margins, 0 for a method that asks for none; the error of one that lacks them."""
        if "margin" in method.needs and self.margins is None:
            raise ValueError(
                f"margins is None, but {type(method).__name__} weighs pairs by the reward model's "
                "margins; give PairProblem its margins"
            )
        return torch.zeros_like(self.labels) if self.margins is None else self.margins


@dataclass(frozen=True, eq=False)
class Solution(TableFits):
    """A method's policy for every prompt, and what is proved of it; tensors.

    The scores are z = beta m, of a method without a reference beta log pi up to a constant; the
    gradient and the curvature are of the method's loss in z (of beta^2 times its loss for IPO,
    which takes no Newton steps; in the batch's own z for beta-DPO). Beside those:

    Attributes
    ----------
    m : (B, K) log-ratios up to a constant, mean 0, nats: pi is proportional to pi_ref e^m. NaN
        where not converged.
    temperature : (B,) the beta that the loss was taken with: the method's, but for beta-DPO.
    """

    m: torch.Tensor
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


def solve(method, problem, **options):
    """The :class:`Solution` of a :class:`PairProblem` by a Method, or by the name of one.

    `options` go to :func:`~.solve.newton.minimize_tables` (tolerance, accuracy, steps, chunk); for
    IPO tolerance, accuracy and chunk alone.
    """
    method, problem = _checked(method, problem)
    found = _solve(method, problem, **options)
    if "reference" in method.needs or problem.reference is None:
        return found
    # It asks for pi proportional to e^m whatever the reference: take that out of m.
    m = found.m - problem.reference.log()
    return replace(found, m=m - m.mean(1, keepdim=True))


def pair_targets(method, problem):
    """z (B, K, K) that a method would fit to each pair alone, nats; antisymmetric.

    NaN where it would fit none or an infinite one, as without labels, and for methods that fit no
    pair alone.
    """
    method, problem = _checked(method, problem)
    labels, margins = problem.labels, problem.margins_for(method)
    if not method.is_margin_loss:
        return torch.full_like(labels, math.nan)
    h_true = labels.log() - labels.mT.log()
    z = method.target_formula(torch_world, h_true, margins)
    # one of each pair's two orders: of several targets only one of them may be told
    z = torch.where(torch.isfinite(z), z, math.nan).triu(1)
    return z - z.mT


def first_step(method, problem):
    """Scores (B, K) after one unit step of gradient descent from the reference policy (T6).

    The policy is pi ~ pi_ref e^(s/beta), so that a pair's z is s_i - s_j; the loss is the sum over
    labels, masses as they stand. NaN for a method that watches batches, tokens or the policy.
    """
    method, problem = _checked(method, problem)
    labels, scores = problem.labels, problem.labels.new_zeros(problem.labels.shape[:2])
    reference = _log_probabilities(problem.reference, labels)
    given = _given(method, problem, reference)
    if not method.is_pairwise:
        return scores + math.nan
    with torch.enable_grad():
        scores.requires_grad_()
        rho = (reference + scores / method.beta).log_softmax(1) - reference
        place = labels.nonzero(as_tuple=True)
        batch, won, lost = place
        loss = _pair_losses(method)(rho[batch, won], rho[batch, lost], *(x[place] for x in given))
        return -torch.autograd.grad((labels[place] * loss).sum(), scores)[0]


def _checked(method, problem):
    """The method at the problem's temperature, and the problem; or an error."""
    method = method_of(method)
    if not isinstance(problem, PairProblem):
        raise TypeError(
            f"problem must be a PairProblem, got {type(problem).__qualname__}; make one with "
            "PairProblem(labels, margins, beta)"
        )
    return method if problem.beta is None else replace(method, beta=problem.beta), problem


def slot_tables(method, problem):
    """(masses, offsets, temperature, lost) whose logistic loss a method with slots minimizes.

    The loss is ``sum_ij masses_ij l(b z_ij - offsets_ij)``, b the temperature; offsets are None
    where there are none. `lost` (B,) are prompts of which a weight or a soft label underflows.
    Returns None for a loss that is none of this form: one without slots, or with soft labels and
    an even offset, or with a temperature that depends on the margin.
    """
    method, problem = _checked(method, problem)
    if not method.has_slots:
        return None
    labels, h = problem.labels, problem.margins_for(method)
    slots = method.slots(torch_world, h)
    kept, lost = labels, torch.zeros_like(labels, dtype=torch.bool)
    if slots.log_weight is not None:
        log_weight = torch.as_tensor(slots.log_weight, dtype=labels.dtype, device=labels.device)
        kept = labels * log_weight.exp()
        lost |= (labels > 0) & (kept == 0) & (log_weight > -math.inf)
    offsets = slots.offset
    if offsets is not None:
        offsets = torch.as_tensor(offsets, dtype=labels.dtype, device=labels.device)
        offsets = offsets.expand_as(labels)
    if slots.label is not None:
        agreed, disputed = slots.label
        masses = kept * agreed + (kept * disputed).mT
        masses = masses if slots.total is None else masses / slots.total
        if offsets is not None and (offsets != -offsets.mT).any():
            return None
        if isinstance(agreed, torch.Tensor) and not slots.exact:
            lost |= (labels > 0) & ((agreed == 0) | (disputed == 0))
    else:
        masses = kept
    temperature = 1.0 if slots.temperature is None else slots.temperature
    if isinstance(temperature, torch.Tensor) and temperature.numel() > 1:
        return None
    return masses, offsets, float(temperature), lost.flatten(1).any(1)


@functools.singledispatch
def _solve(method, problem, **options):
    tables = slot_tables(method, problem)
    if tables is None:
        return _general(method, problem, **options)
    masses, offsets, temperature, lost = tables
    fits = minimize_tables(masses, offsets=offsets, signed=bool((masses < 0).any()), **options)
    found = _solution(method, fits, 1 / temperature)
    reason = torch.where(lost, int(Reason.UNDERFLOW), found.reason)
    return replace(found, converged=found.converged & ~lost, reason=reason)


def _solution(method, fits, unit):
    """The :class:`Solution` that fits of scores s are, z being `unit` times s."""
    return Solution(
        fits.scores * unit,
        fits.converged,
        fits.reason,
        fits.gradient_norm / unit,
        fits.curvature / unit**2,
        fits.error_bound * unit,
        fits.iterations,
        m=fits.scores * unit / method.beta,
        temperature=torch.full_like(fits.curvature, method.beta),
    )


def _general(method, problem, **options):
    """Any other loss, by automatic differentiation; without a reference, from a uniform one."""
    if not method.is_pairwise:
        raise TypeError(
            f"{type(method).__name__} has no table: it watches the batch, the tokens, or the "
            "policy from behind a stop-gradient, so that no risk is minimized; give solve a loss "
            "of single pairs, or train it"
        )
    asked = problem.reference if "reference" in method.needs else None
    reference = _log_probabilities(asked, problem.labels)
    given = _given(method, problem, reference)
    fits = minimize_general(_pair_losses(method), problem.labels, given, reference, **options)
    return _solution(method, fits, method.beta)


def _log_probabilities(reference, labels):
    """log pi_ref (B, K) of what a problem says of its reference."""
    reference = torch.ones_like(labels[:, 0]) if reference is None else reference
    return reference.log().log_softmax(1)


def _given(method, problem, reference):
    """What :func:`_pair_losses` is told of each pair, (B, K, K) each: the margin, and the reference
    (B, K), nats, of the one that won and of the one that lost."""
    table = reference[:, :, None].expand_as(problem.labels)
    return problem.margins_for(method), table, table.mT


def _pair_losses(method):
    """The loss of labelled pairs of a table by their log-ratios and what :func:`_given` tells."""

    def losses(chosen, rejected, h, at_chosen, at_rejected):
        if method.is_pair_loss:
            if "reference" not in method.needs:
                chosen, rejected = chosen + at_chosen, rejected + at_rejected
            return method.pair_loss(torch_world, chosen, rejected, h)
        one = torch.ones_like(chosen)
        pairs = Pairs(
            chosen + at_chosen, rejected + at_rejected, at_chosen, at_rejected, h, one, one
        )
        return method.losses(torch_world, pairs)

    return losses


@_solve.register
def _(method: Ipo, problem, *, tolerance=1e-10, accuracy=1e-6, chunk=None):
    """(m - 1/(2 beta))^2, one linear system a prompt.

    In z = beta m the equations are ``sum_j N_ij (z_i - z_j) = sum_j (L_ij - L_ji)/2`` whatever
    beta is. A minimizer exists always; it is unique where comparisons connect all responses.
    """
    labels, beta = problem.labels, method.beta
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
        z,
        converged,
        torch.where(converged, int(Reason.CONVERGED), unsolved).to(torch.int8),
        torch.where(torch.isfinite(slope), slope, math.inf),
        2 * curvature,
        error,
        torch.zeros_like(converged, dtype=torch.int32),
        m=z / beta,
        temperature=torch.full_like(slope, beta),
    )


@_solve.register
def _(method: BetaDpo, problem, **options):
    """beta-DPO with a whole prompt as the batch, every pair kept.

    At a stationary point z_i - z_j = beta_b m_ij is DPO's optimum whatever beta_b is, and beta_b
    must be the temperature (:func:`~madpo_theory.losses.beta_dpo_beta`) of the mean margin
    z/beta_b over the labels: a quadratic equation. Counted are its solutions with the sign of the
    temperature at the reference policy, m = 0, where training starts (the "authors" variant
    clamps, so its are positive; the other's may be negative, and the policy reversed: B3). None,
    or more than one, is Reason.TEMPERATURE.
    """
    fits = minimize_tables(problem.labels, **options)
    z, beta = fits.scores, method.beta
    mass = problem.labels.flatten(1).sum(1)
    advantage = (problem.labels - problem.labels.mT).sum(2)
    mean = torch.where(fits.converged, (advantage * z).sum(1) / mass, 0.0)  # of z, over labels
    held = beta_dpo_margins(mean, beta=beta, variant=method.variant)  # of m, times beta_b
    # beta_b = start + slope held/beta_b
    start = torch.full_like(mean, beta * (1 - method.alpha * method.running_mean))
    slope = beta * method.alpha
    root = (start * start + 4 * slope * held).sqrt()  # NaN: no real solution
    large = (start + torch.where(start < 0, -root, root)) / 2
    small = torch.where(large != 0, -slope * held / large, 0)
    clamped = torch.full_like(mean, 1e-3)
    floor = method.temperature_of(torch.zeros_like(mean))
    candidates = torch.stack([large, torch.where(small == large, 0, small), clamped])
    legal = torch.isfinite(candidates) & (candidates * floor.sign() > 0)
    if method.variant == "authors":
        legal[:2] &= candidates[:2] > 1e-3
        legal[2] &= method.temperature_of(held / 1e-3) == 1e-3
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
        beta * m, converged, reason.to(torch.int8), fits.gradient_norm, fits.curvature, error,
        fits.iterations, m=m, temperature=temperature,
    )  # fmt: skip
