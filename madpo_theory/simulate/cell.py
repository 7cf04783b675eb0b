"""Cells of studies: some worlds, one reward model, several methods, everything measured.

A study's settings are :class:`Cell`, or one of the settings that hold a cell and look at it in
another way: :class:`Binned` by the size of the margin, :class:`Resampled` under other pair
samplings, :class:`Repeated` beside what infinitely many labels would give. Each has a function that
measures it on the worlds of some numbers and returns columns, a row for each method and world.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import torch

from ..methods import method_of, settings_of
from ..ops import check_number, torch_world
from ..ops.checks import check_kind
from ..schedule import MarginSchedule
from ..theory.linear import population_covariance, tabular_features
from .measure import frontier, measure, policy_of, rms_over_pairs
from .problem import PairProblem, first_step, pair_targets, solve
from .reward_models import ExactModel, RewardModel, draw_margins
from .worlds import (
    AllPairs,
    ExactLabels,
    Labels,
    OnPolicySampled,
    SampledLabels,
    Worlds,
    WorldsConfig,
    draw_labels,
    draw_worlds,
    from_problems,
    gaps,
    pair_sampling,
    to_problems,
)

__all__ = [
    "Binned",
    "Cell",
    "Repeated",
    "Resampled",
    "measure_bins",
    "measure_cell",
    "measure_displacement",
    "measure_repeated",
    "measure_resampled",
]


@dataclass(frozen=True)
class Cell:
    """Settings that share worlds, labels and a reward model.

    Attributes
    ----------
    methods : (name, Method) pairs, or names of :data:`~madpo_theory.methods.METHODS`.
    keys : (column, value) pairs that tell the cell from others in the table.
    constants : (method name, L, D) triples: the certified sensitivity and influence of a method's
        weight, for the theory's columns.
    divergences : KL values, nats, at which the reward on the method's own frontier is taken, beside
        the best that any policy can do there. The scores z of every method but beta-DPO are the
        same for every beta, so that sweeping beta is the tilt of
        :func:`~madpo_theory.simulate.measure.reward_at_kl`; beta-DPO's own temperatures are those
        at the cell's beta.
    order : also measure which pairs change places (:func:`reversals`).
    """

    methods: tuple
    worlds: WorldsConfig = field(default_factory=WorldsConfig)
    model: RewardModel = field(default_factory=ExactModel)
    sampling: object = field(default_factory=AllPairs)
    labels: object = field(default_factory=ExactLabels)
    beta: float = 0.1
    keys: tuple = ()
    constants: tuple = ()
    divergences: tuple = ()
    order: bool = False

    def __post_init__(self):
        check_number("beta", self.beta, "beta > 0", lambda v: v > 0)
        pairs = [(m, m) if isinstance(m, str) else m for m in self.methods]
        # Methods themselves, not their names: their code is part of what a study's parts depend on.
        methods = tuple((name, method_of(method)) for name, method in pairs)
        object.__setattr__(self, "methods", methods)


@dataclass(frozen=True, eq=False)
class Scene:
    """What the methods of a cell share, drawn; `population` is the problem with exact labels."""

    worlds: Worlds
    sampling: np.ndarray
    labels: Labels
    margins: np.ndarray
    problem: PairProblem
    population: PairProblem


def draw_scene(cell, indices, seed, device):
    """The :class:`Scene` of a cell in some worlds."""
    worlds = draw_worlds(cell.worlds, seed, indices)
    sampling = pair_sampling(cell.sampling, worlds)
    return _scene(cell, worlds, sampling, device)


def _scene(cell, worlds, sampling, device, margins=None):
    labels = draw_labels(cell.labels, worlds, sampling)
    margins = draw_margins(cell.model, worlds, labels) if margins is None else margins

    reference = to_problems(np.exp(worlds.log_reference), device)

    def problem(labels):
        return PairProblem(
            to_problems(labels.masses, device),
            to_problems(margins, device),
            beta=cell.beta,
            reference=reference,
        )

    drawn = problem(labels)
    if isinstance(cell.labels, ExactLabels):
        return Scene(worlds, sampling, labels, margins, drawn, drawn)
    exact = ExactLabels(flip=cell.labels.flip, ties=cell.labels.ties)
    population = problem(draw_labels(exact, worlds, sampling))
    return Scene(worlds, sampling, labels, margins, drawn, population)


def fit(method, problem, worlds):
    """Log-ratios m (W, P, K), 0 where not converged, and the worlds (W,) that have converged."""
    m = from_problems(solve(method, problem).m, worlds)
    converged = np.isfinite(m).all(axis=(1, 2))
    return np.where(np.isfinite(m), m, 0.0), converged


def measure_cell(cell, indices, seed, device):
    """Columns with a row for each method and world: keys, method, world, converged, measurements.

    A world in which a prompt has not converged is a row with converged false and NaN measurements.
    """
    scene = draw_scene(cell, indices, seed, device)
    return _stacked(
        _columns(cell, scene, name, method, seed, *fit(method, scene.problem, scene.worlds))
        for name, method in cell.methods
    )


def _columns(cell, scene, name, method, seed, m, converged, **more):
    """Columns of one method, a row a world; `more` are further measurements (W,)."""
    weighting, settings = method.slot_weighting, settings_of(method)
    sensitivity, influence = {n: limits for n, *limits in cell.constants}.get(name, (None, None))
    target = scene_targets(scene, method)
    moved, shift = target_shifts(scene, method)
    measured = measure(
        scene.worlds,
        scene.margins,
        scene.sampling,
        scene.labels.masses,
        m,
        beta=cell.beta,
        weighting=weighting,
        target=np.where(np.isfinite(target), target, 0.0),
        moved=moved,
        shift=shift,
        lipschitz=sensitivity,
        limit=influence,
    ).columns()
    unmet = (~np.isfinite(target) & (scene.sampling > 0)).any(axis=(1, 2, 3))
    measured["own_target_error"] = np.where(unmet, np.nan, measured["own_target_error"])
    slopes = shift_slopes(scene.worlds.margins, method)
    measured["local_slope"] = (scene.sampling * slopes).sum(axis=(2, 3)).mean(axis=1)
    measured["local_sensitivity"] = rms_over_pairs(slopes, scene.sampling)
    if cell.divergences:
        at = frontier(scene.worlds, m, cell.divergences).reward
        best = frontier(scene.worlds, scene.worlds.rewards, cell.divergences).reward
        for k, kl in enumerate(cell.divergences):
            measured[f"reward_at_{kl:g}"], measured[f"best_at_{kl:g}"] = at[:, k], best[:, k]
    if cell.order:
        measured["target_reversals"] = reversals(scene, target)
        measured["reversals"] = reversals(scene, gaps(cell.beta * m))
    count = len(scene.worlds.indices)
    told = {
        **dict(cell.keys),
        "method": name,
        **{c: settings.get(c, np.nan) for c in ("c_max", "c_min", "lam", "tau")},
        "noise": float(cell.model.noise or 0),
        "beta": cell.beta,
        "prompts": scene.worlds.shape[1],
        "responses": scene.worlds.shape[2],
    }
    return {
        **{key: [value] * count for key, value in told.items()},
        "world": list(scene.worlds.indices),
        "seed": [seed] * count,
        "converged": converged.tolist(),
        **{k: np.where(converged, v, np.nan).tolist() for k, v in (measured | more).items()},
    }


def _stacked(pieces):
    pieces = list(pieces)
    return {key: [x for piece in pieces for x in piece[key]] for key in pieces[0]}


def shift_slopes(margins, method):
    """dz*/dh of a method's target by the reward model's margin, at exact margins of any shape.

    No unit; delta'(h) for weights and odd offsets, 0 for a method that takes no margin, NaN for one
    without slots.
    """
    if "margin" not in method.needs:
        return np.zeros(margins.shape)
    if not method.has_slots:
        return np.full(margins.shape, np.nan)
    true = torch.from_numpy(np.ascontiguousarray(margins))
    h = true.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(method.target_formula(torch_world, true, h).sum(), h)
    return slopes.numpy()


def scene_targets(scene, method, margins=None):
    """The method's own targets (W, P, K, K), infinitely many labels a pair; NaN where it has none.

    An effective target, for methods that weigh labels (T1). `margins` (W, P, K, K) stand in for the
    reward model's.
    """
    problem = scene.population
    if margins is not None:
        problem = replace(problem, margins=to_problems(margins, problem.labels.device))
    return from_problems(pair_targets(method, problem), scene.worlds)


def target_shifts(scene, method):
    """What the reward model does to the targets of a method that is no weighting, (W, P, K, K).

    (from where they are at a margin of 0, from where an exact model has them), nats, NaN where it
    has no target. (None, None) for a weighting, whose ratio says it, and without a margin.
    """
    if method.is_weighting or "margin" not in method.needs:
        return None, None
    true = scene.worlds.margins
    found, *others = (scene_targets(scene, method, h) for h in (None, 0 * true, true))
    return tuple(found - other for other in others)


def reversals(scene, z):
    """Share (W,) of the couples of sampled pairs that z (W, P, K, K) puts in the wrong order.

    A couple is in the wrong order if the pair of the larger true |h*| has the smaller z on the true
    side; those whose |h*| are equal to 1e-9 nats are in no order. A world's pairs, of all prompts
    together; NaN if z is.
    """
    first, second = np.triu_indices(z.shape[-1], 1)
    true = scene.worlds.margins[..., first, second]
    z, kept = np.sign(true) * z[..., first, second], scene.sampling[..., first, second] > 0
    shares = []
    for size, value, of_world in zip(np.abs(true), z, kept, strict=True):
        larger = size[of_world][:, None] > size[of_world] + 1e-9
        smaller = value[of_world][:, None] < value[of_world]
        count = of_world.sum()
        wrong = (larger & smaller).sum() / max(count * (count - 1) / 2, 1)
        shares.append(wrong if np.isfinite(value[of_world]).all() else np.nan)
    return np.array(shares)


# ----------------------------------------------------------------------- by the size of the margin


@dataclass(frozen=True)
class Binned:
    """A cell whose pairs are told apart by the size of their true margin.

    edges : ascending, nats; bin k holds edges[k] <= |h*| < edges[k + 1].
    """

    cell: Cell
    edges: tuple

    def __post_init__(self):
        check_kind("cell", self.cell, Cell)
        if len(self.edges) < 2 or list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"edges must be two or more ascending numbers, got {self.edges}")


def measure_bins(setting, indices, seed, device):
    """Columns with a row for each method, bin and world.

    Beside :func:`measure_cell`'s: low, high, the bin's edges; share of the world's pairs that lie
    in it; and means over those, each on the true side: true_margin |h*|, fitted z, pair_target (the
    method's own), first_step (z after one step of gradient descent from the reference, T6; NaN for
    methods of whole batches). NaN where the bin is empty.
    """
    cell = setting.cell
    scene = draw_scene(cell, indices, seed, device)
    true, pieces = scene.worlds.margins, []
    side, size = np.sign(true), np.abs(true)
    bins = [(size >= low) & (size < high) for low, high in _bins(setting.edges)]
    for name, method in cell.methods:
        m, converged = fit(method, scene.problem, scene.worlds)
        values = {
            "true_margin": size,
            "fitted": side * gaps(cell.beta * m),
            "pair_target": side * scene_targets(scene, method),
            "first_step": side
            * gaps(from_problems(first_step(method, scene.problem), scene.worlds)),
        }
        common = _columns(cell, scene, name, method, seed, m, converged)
        for (low, high), inside in zip(_bins(setting.edges), bins, strict=True):
            weights = scene.sampling * inside
            total = weights.sum(axis=(1, 2, 3))
            held = np.where(total > 0, total, 1)
            row = {"low": low, "high": high, "share": total / scene.worlds.shape[1]}
            row |= {
                key: np.where(
                    total > 0,
                    (weights * np.where(weights > 0, value, 0)).sum(axis=(1, 2, 3)) / held,
                    np.nan,
                )
                for key, value in values.items()
            }
            count = len(total)
            row = {k: np.broadcast_to(v, count).tolist() for k, v in row.items()}
            pieces.append(common | row)
    return _stacked(pieces)


def _bins(edges):
    return list(pairwise(edges))


# --------------------------------------------------------------------------- other pair samplings


@dataclass(frozen=True)
class Resampled:
    """A cell under other pair samplings, beside its own.

    samplings : (name, config) pairs; OnPolicySampled draws from each method's own fit in the cell.
    """

    cell: Cell
    samplings: tuple

    def __post_init__(self):
        check_kind("cell", self.cell, Cell)


def measure_resampled(setting, indices, seed, device):
    """Columns with a row for each method, sampling and world.

    Beside :func:`measure_cell`'s: sampling; sampling_shift, the root mean square over all pairs of
    z less the cell's own z, nats (0 for the cell's own, which is named by its kind); z_range, the
    mean over prompts of the largest z of a pair.
    """
    cell = setting.cell
    scene = draw_scene(cell, indices, seed, device)
    alike, pieces = pair_sampling(AllPairs(), scene.worlds), []
    for name, method in cell.methods:
        m, converged = fit(method, scene.problem, scene.worlds)
        for label, config in ((cell.sampling.kind, None), *setting.samplings):
            there, again, both = scene, m, converged
            if config is not None:
                own = policy_of(scene.worlds, m) if isinstance(config, OnPolicySampled) else None
                sampling = pair_sampling(config, scene.worlds, own)
                there = _scene(cell, scene.worlds, sampling, device, scene.margins)
                again, solved = fit(method, there.problem, scene.worlds)
                both = converged & solved
            z = gaps(cell.beta * again)
            more = {
                "sampling_shift": rms_over_pairs(z - gaps(cell.beta * m), alike),
                "z_range": z.max(axis=(2, 3)).mean(axis=1),
            }
            under = replace(cell, keys=(*cell.keys, ("sampling", label)))
            pieces.append(_columns(under, there, name, method, seed, again, both, **more))
    return _stacked(pieces)


# ------------------------------------------------------------- who loses probability


def measure_displacement(cell, indices, seed, device):
    """Columns with a row for each method and world.

    Beside :func:`measure_cell`'s, of the labels of a world, at the optimum and, with `step_`
    before, in the first step of gradient descent on all of them from the reference policy:
    chosen_falls, the share whose chosen response loses probability; both_fall, whose rejected one
    does too. And at the optimum chosen_gain, rejected_gain: the mean of log pi - log pi_ref, nats.
    Changes below 1e-9 nats, or below 1e-9 of the largest in a first step, count as none.
    """
    scene = draw_scene(cell, indices, seed, device)
    reference, pieces = np.exp(scene.worlds.log_reference), []
    for name, method in cell.methods:
        m, converged = fit(method, scene.problem, scene.worlds)
        step = from_problems(first_step(method, scene.problem), scene.worlds)
        step = step - (reference * step).sum(-1, keepdims=True)
        largest = np.abs(step).max(axis=(-2, -1), keepdims=True)
        gain = policy_of(scene.worlds, m) - scene.worlds.log_reference
        more = _displaced(gain, scene.labels.masses)
        step = _displaced(step / np.where(largest > 0, largest, 1), scene.labels.masses)
        more |= {f"step_{key}": step[key] for key in ("chosen_falls", "both_fall")}
        pieces.append(_columns(cell, scene, name, method, seed, m, converged, **more))
    return _stacked(pieces)


def _displaced(gain, masses):
    """What labels (W, P, K, K) see of gains (W, P, K) of log-probability; NaN where a gain is."""
    total = masses.sum(axis=(1, 2, 3))

    def mean(values):
        return (masses * values).sum(axis=(1, 2, 3)) / total

    falls = np.where(np.isnan(gain), np.nan, gain < -1e-9)
    chosen, rejected = falls[..., :, None], falls[..., None, :]
    return {
        "chosen_falls": mean(chosen),
        "both_fall": mean(chosen * rejected),
        "chosen_gain": mean(gain[..., :, None]),
        "rejected_gain": mean(gain[..., None, :]),
    }


# ------------------------------------------------------------- beside infinitely many labels


@dataclass(frozen=True)
class Repeated:
    """A cell with so many labels of every pair, beside what infinitely many would give."""

    cell: Cell

    def __post_init__(self):
        check_kind("cell", self.cell, Cell)
        check_kind("labels", self.cell.labels, SampledLabels)
        if self.cell.labels.per != "pair":
            raise ValueError(
                f'per = {self.cell.labels.per!r} must be "pair": the sandwich is of a fixed design'
            )


def measure_repeated(setting, indices, seed, device):
    """Columns with a row for each method and world.

    Beside :func:`measure_cell`'s: labels, the number of labels of a pair; sampling_error, the root
    mean square over pairs of z less the z that infinitely many labels give under the same margins,
    nats; full_error, less the z that they give under the true margins; predicted_sampling_error,
    what the sandwich says of the first (R6), NaN where it does not apply: methods that are no
    weighting of labels, labels with ties or flips, reward models fitted to the same labels.
    """
    cell = setting.cell
    scene = draw_scene(cell, indices, seed, device)
    informed = replace(scene.population, margins=to_problems(scene.worlds.margins, device))
    plain = cell.labels.flip == 0 and cell.labels.ties is None
    fresh = getattr(cell.model, "data", "fresh") == "fresh" and isinstance(cell.sampling, AllPairs)
    told = replace(cell, keys=(*cell.keys, ("labels", cell.labels.labels)))
    pieces = []
    for name, method in cell.methods:
        m, converged = fit(method, scene.problem, scene.worlds)
        m_limit, there = fit(method, scene.population, scene.worlds)
        m_true, known = fit(method, informed, scene.worlds)
        z, z_limit = gaps(cell.beta * m), gaps(cell.beta * m_limit)
        applies = plain and fresh and method.is_weighting
        count = len(scene.worlds.indices)
        more = {
            "sampling_error": rms_over_pairs(z - z_limit, scene.sampling),
            "full_error": rms_over_pairs(z - gaps(cell.beta * m_true), scene.sampling),
            "predicted_sampling_error": (
                _sandwich_error(scene, method.slot_weighting, cell.beta * m_limit)
                / np.sqrt(cell.labels.labels)
                if applies
                else np.full(count, np.nan)
            ),
        }
        solved = converged & there & known
        pieces.append(_columns(told, scene, name, method, seed, m, solved, **more))
    return _stacked(pieces)


def _sandwich_error(scene, weighting, scores):
    """Root mean square over pairs (W,) of z's asymptotic error from one label of every pair."""
    first, second = np.triu_indices(scores.shape[-1], 1)
    features = tabular_features(first, second, scores.shape[-1])
    true, model = (x[..., first, second] for x in (scene.worlds.margins, scene.margins))
    if weighting is None:  # w(0) = 1: margins of 0 make the published weight DPO's
        model, weighting = np.zeros_like(model), MarginSchedule()
    held = (scores - scores[..., -1:])[..., :-1]
    squares = np.empty(scores.shape[:2])
    for at in np.ndindex(squares.shape):
        covariance = population_covariance(
            features, true[at], model[at], weighting, held[at], beta=1.0
        )
        squares[at] = np.einsum("ni,ij,nj->n", features, covariance, features).mean()
    return np.sqrt(squares.mean(axis=1))
