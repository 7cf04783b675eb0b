"""What claims share: the schedules they speak of, what is drawn at random, how a run is scored."""

import math
from dataclasses import dataclass, replace

import numpy as np
import sympy as sp
import torch
from flint import arb, arb_series
from hypothesis import strategies as st
from scipy.special import expit

from ..certify import ScheduleBox
from ..certify.enclosure import precision
from ..methods import Method, Slots, slot_loss, slot_target
from ..ops import arb_world, numpy_world
from ..schedule import MarginSchedule
from ..simulate import PairProblem, solve
from ..theory.linear import population_covariance, tabular_features
from ..weights import Weighting
from .evidence import certified_box, foil, must, ranges_of
from .regimes import kappa

# -- schedules, with exact parameters -----------------------------------------------------------

RELEASED = MarginSchedule.released(exact=True)
RELEASED_4 = MarginSchedule.released(4, exact=True)
CLASS = MarginSchedule.class_defaults(exact=True)
# Boxes of schedules: around the class defaults, around the released ones (log 999 = 6.9068), and
# one that holds every schedule a user is likely to set at lam = 1.
CLASS_BOX = ScheduleBox(("1.8", "2.2"), ("0.45", "0.55"), ("0.9", "1.1"), ("1.8", "2.2"))
RELEASED_BOX = ScheduleBox(("1.9", "2.1"), ("0.48", "0.52"), ("0.95", "1.05"), ("6.8", "7"))
WIDE_BOX = ScheduleBox(("1.5", "4"), ("0.25", "0.6"), 1, (2, 7))
BOXES = {
    "box around the class defaults": CLASS_BOX,
    "box around the released schedule": RELEASED_BOX,
    "wide box": WIDE_BOX,
}


def to_digit(value, unit, through=float):
    """Limits (`above`, `below`) of what a printed number, to half of its last digit, stands for.

    `through` is a monotone function, as of a weight to its logarithm.
    """
    above, below = sorted((through(value - unit / 2), through(value + unit / 2)))
    return {"above": above, "below": below}


def minus_log(x):
    """Of a weight: certified is that of the smallest."""
    return -math.log(x)


class Unweighted(Weighting):
    """w = 1: DPO, wherever MADPO's weight is asked for."""

    def log_weight(self, xp, h):
        return 0 * h


def certified_boxes(name, quantity, *limits):
    """Evidence for each of :data:`BOXES`: (above, below, tolerance)."""
    return tuple(
        certified_box(f"{name}, {place}", quantity, box, above=low, below=high, tolerance=width)
        for (place, box), (low, high, width) in zip(BOXES.items(), limits, strict=True)
    )


def margin_of(c, schedule):
    """The margin u at which c(u) = c: tau + log[(c_max - c)/(kappa (c - c_min))]/lam, floats."""
    odds = (schedule.c_max - c) / (kappa(schedule) * (c - schedule.c_min))
    return schedule.tau + math.log(odds) / schedule.lam


# -- foils ----------------------------------------------------------------------------------------


def to_digits(found, said, places):
    """Whether a number, or each of a ball, is the one said when rounded to so many decimals."""
    return abs(found - said) <= 0.5 * 10.0**-places


def scaled(factor):
    """For a foil: a number, or what a function returns, times a factor."""

    def changed(true):
        if isinstance(true, (int, float, sp.Basic)):
            return factor * true
        return lambda *values, **options: factor * true(*values, **options)

    return changed


def shifted_more(true):
    """For a foil: the effective target, of which the shift delta is 5 % larger."""
    return lambda h, h_model, s: h + 1.05 * (true(h, h_model, s) - h)


# -- Hypothesis strategies ----------------------------------------------------------------------


def described(strategy, ranges):
    """The strategy, which evidence describes by its `ranges`."""
    strategy.ranges = ranges
    return strategy


SEEDS = described(st.integers(0, 2**32 - 1), "any")
POSITIVE_C_MIN = 1e-3, 0.999


def margins(largest=60.0):
    """Margins up to `largest` nats, of either sign: large, ordinary, and tiny ones to 1e-300."""
    ordinary = min(largest, 20.0)
    signs = st.sampled_from((-1.0, 1.0))
    tiny = st.builds(lambda sign, power: sign * 10.0**power, signs, st.floats(-300, -3))
    drawn = (
        st.floats(-largest, largest, allow_subnormal=False)
        | st.floats(-ordinary, ordinary, allow_subnormal=False)
        | tiny
    )
    return described(drawn, f"0 and 1e-300 to {largest:g} nats, of either sign")


def schedules(c_max=(1.001, 100), c_min=(*POSITIVE_C_MIN, 0), lam=(0.01, 20), tau=(0.01, 100)):
    """Schedules amplifying a little or a lot, from nearly constant to nearly a step.

    Of each parameter a least and a largest value, and maybe one that is drawn as often as all else.
    """
    ranges = {"c_max": c_max, "c_min": c_min, "lam": lam, "tau": tau}
    drawn, said = {}, []
    for name, (low, high, *apart) in ranges.items():
        drawn[name] = st.one_of(*(st.just(float(x)) for x in apart), st.floats(low, high))
        said.append(" or ".join([f"{name} {low:g} to {high:g}", *(f"{x:g}" for x in apart)]))
    return described(st.builds(MarginSchedule, **drawn), f"schedules of {', '.join(said)}")


def scheduled_margins(largest=60.0, **parameters):
    """(schedule, margin): the margin, of either sign, is often below tau or a few ulps from it."""
    ulps = st.integers(-4, 4) | st.integers(-(2**40), 2**40)
    places = (
        margins(largest).map(lambda h: lambda tau: h)
        | st.floats(0, 1).map(lambda share: lambda tau: share * tau)
        | ulps.map(lambda count: lambda tau: tau + count * math.ulp(tau))
    )

    def placed(drawn):
        schedule, sign, place = drawn
        return schedule, sign * place(schedule.tau)

    valid = schedules(**parameters)
    drawn = st.tuples(valid, st.sampled_from((1.0, -1.0)), places).map(placed)
    return described(drawn, f"{valid.ranges}; margins to {largest:g} nats, near 0 and at tau")


def gentle_schedules():
    """Schedules that move a target by at most 7.5 nats.

    Beyond, weights differ by so many powers of ten that float64 cannot tell a design that spans
    from one that does not, which is no theorem's matter.
    """
    return schedules((1.001, 2.5), (0, 0.999), (0.05, 20), (0.01, 5))


def rewards_of(size, largest=3.0):
    """Rewards (K,), nats."""
    drawn = st.lists(margins(largest), min_size=size, max_size=size).map(np.array)
    return described(drawn, f"{size} rewards to {largest:g} nats")


def offdiagonal(values, size, symmetric=False):
    """(K, K) matrices of zero diagonal whose other entries are `values`."""

    def filled(entries):
        matrix = np.zeros((size, size))
        if symmetric:
            matrix[np.triu_indices(size, 1)] = entries
            return matrix + matrix.T
        matrix[~np.eye(size, dtype=bool)] = entries
        return matrix

    count = size * (size - 1) // (2 if symmetric else 1)
    drawn = st.lists(values, min_size=count, max_size=count).map(filled)
    return described(drawn, f"{count} entries in {ranges_of(values)}")


def random_design(seed, pairs=12, parameters=3, spread=2.0):
    """(features, h_true, h_model, rng): a random design whose reward model is wrong."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(pairs, parameters))
    truth = rng.normal(0, spread, pairs)
    return features, truth, truth + rng.normal(0, spread, pairs), rng


# -- slots, whatever their functions of the margin -----------------------------------------------


def lone_risk(xp, z, h_true, chosen, rejected):
    """A pair's expected loss by the training loss: sigma(h*) f(z; h) + sigma(-h*) f(-z; -h).

    `chosen` and `rejected` are the :class:`~madpo_theory.methods.Slots` at h and at -h.
    """
    won, lost = slot_loss(xp, z, chosen), slot_loss(xp, -z, rejected)
    return xp.sigmoid(h_true) * won + xp.sigmoid(-h_true) * lost


def lone_target(xp, h_true, chosen, rejected):
    """The closed form of its minimizer."""
    delta = chosen.log_weight - rejected.log_weight
    return slot_target(xp, h_true, delta, chosen, rejected)


def of_other_slots(change):
    """For a foil: the closed form, of slots that `change` makes of (delta, chosen, rejected)."""

    def changed(true):
        def form(xp, h_true, chosen, rejected):
            delta = chosen.log_weight - rejected.log_weight
            delta, *sides = change(delta, chosen, rejected)
            weights = (delta / 2, -delta / 2)
            return true(
                xp,
                h_true,
                *(replace(side, log_weight=w) for side, w in zip(sides, weights, strict=True)),
            )

        return form

    return changed


def _without(side, *slots):
    return replace(side, **dict.fromkeys(slots))


def _upside_down(side):
    return side if side.offset is None else replace(side, offset=-side.offset)


WRONG_FORMS = {  # of the closed form of C1 to C3, by what is wrong
    "delta is unheeded": of_other_slots(lambda d, a, b: (0 * d, a, b)),
    "labels are unheeded": of_other_slots(
        lambda d, *ab: (d, *(_without(x, "label", "total") for x in ab))
    ),
    "offsets change sign": of_other_slots(lambda d, *ab: (d, *map(_upside_down, ab))),
    "one label's offset is the other's": of_other_slots(
        lambda d, a, b: (d, a, replace(b, offset=a.offset))
    ),
    "the temperature is unheeded": of_other_slots(
        lambda d, *ab: (d, *(_without(x, "temperature") for x in ab))
    ),
    "the target is 1 % larger": scaled(1.01),
}


def wrong_forms(*but):
    """Foils of :data:`WRONG_FORMS`, `but` for some, as the closed form that the evidence calls."""

    def decorate(evidence):
        for statement, change in WRONG_FORMS.items():
            if statement not in but:
                evidence = foil(statement, lone_target=change)(evidence)
        return evidence

    return decorate


def slot_pairs(*, soft, even):
    """(Slots at h, Slots at -h) of a pair, all filled with balls drawn apart.

    So they are those of any functions of h: log w in [-20, 20]; q within 1e-6 of 0 and 1, given as
    two masses and their total, or 1 unless `soft`; offsets in [-20, 20], odd unless `even`; a
    temperature in [0.01, 10], the same for both.
    """
    number = st.floats(-20, 20).map(arb)
    mass = st.floats(-3, 3).map(lambda power: arb(10.0**power))

    def made(drawn):
        weights, masses, (first, second), temperature = drawn
        sides = zip(weights, masses, (first, second if even else -first), strict=True)
        with precision(200):  # so that the totals are exact
            return tuple(
                Slots(
                    w,
                    label if soft else None,
                    g,
                    temperature,
                    total=sum(label) if soft else None,
                )
                for w, label, g in sides
            )

    two = st.tuples(number, number)
    labels = st.tuples(*[st.tuples(mass, mass)] * 2)
    drawn = st.tuples(two, labels, two, st.floats(0.01, 10).map(arb)).map(made)
    return described(
        drawn, "slots at h and at -h drawn apart: log w and offset to 20, b 0.01 to 10"
    )


def by_form(form, method):
    """Target of a method by a closed form of its slots: a function of the two margins, floats."""

    def target(h_true, h_model):
        return form(numpy_world, h_true, *(method.slots(numpy_world, s * h_model) for s in (1, -1)))

    return target


def lone_slope(z, h_true, sides):
    """Slope at z of :func:`lone_risk`, by power series of the training loss; a ball."""
    return lone_risk(arb_world, arb_series([z, 1], prec=2), h_true, *sides)[1]


def falls_up_to_its_target(form, h_true, sides, away):
    """Assert that the training loss falls up to a closed form and rises from there: 1e-30 nats
    and `away` from it. Returns (h_true, target) as balls of the caller's precision."""
    h_true = arb(h_true)
    target = form(arb_world, h_true, *sides)
    for step in (arb("1e-30"), arb(away)):
        must(lone_slope(target - step, h_true, sides) < 0)
        must(lone_slope(target + step, h_true, sides) > 0)
    return h_true, target


@dataclass(frozen=True)
class EverySlot(Method):
    """A method of no paper: of the slots named by `filled`, none is odd in h, and one even."""

    needs = frozenset({"reference", "margin"})

    filled: tuple = ("log_weight", "label", "offset", "temperature")

    def slots(self, xp, h):
        t = xp.tanh(h / 2)
        filled = {
            "log_weight": t - t * t / 2,
            "label": (0.8 + 0.15 * t, 0.2 - 0.15 * t),
            "offset": 0.6 + 0.4 * h,
            "temperature": 1 + t * t / 2,
        }
        return Slots(**{name: filled[name] for name in self.filled})


# -- runs ---------------------------------------------------------------------------------------

LABELS = 4_000_000  # to a pair


def target_scores(fit, h_true, targets, beta):
    """Deviation of fitted z = beta m from the targets, in standard errors of the label draw."""
    p = expit(h_true)
    return (beta * fit.m - targets) * np.sqrt(LABELS * p * (1 - p))


def label_scores(method, h_true, h_model, seed, labels=LABELS, target=None):
    """Deviation of z of pairs that a method is solved for on drawn labels from its targets.

    `target` is that of the method unless another function of (h_true, h_model) is given. In
    standard errors: a pair's z is a function of its share of wins, so its error is that of the
    share's logit times dz*/dh*, and what the solver's certificate leaves open.
    """
    wins = np.random.default_rng(np.random.SeedSequence(seed)).binomial(labels, expit(h_true))
    counts, margins = np.zeros((2, len(h_true), 2, 2))
    counts[:, 0, 1], counts[:, 1, 0] = wins, labels - wins
    margins[:, 0, 1], margins[:, 1, 0] = h_model, -h_model
    fits = solve(method, PairProblem(*map(torch.as_tensor, (counts, margins))))
    found = (fits.scores[:, 0] - fits.scores[:, 1]).numpy()
    target = target or method.target
    around = [target(h_true + side * 1e-4, h_model) for side in (-1, 0, 1)]
    p, slope = expit(h_true), (around[2] - around[0]) / 2e-4
    error = slope / np.sqrt(labels * p * (1 - p)) + math.sqrt(2) * fits.error_bound.numpy()
    return (found - around[1]) / error


def gap_errors(fit, rewards, sampling, labels, weighting):
    """(K, K) standard errors of a table's fitted gaps, nats, over the draw of the labels.

    A pair has `labels` times its symmetric integer sampling[i, j] of them. The table is the
    linear policy whose features are +1 and -1, so its covariance is the sandwich (R6).
    """
    size = len(rewards)
    first, second = np.triu_indices(size, 1)
    pairs = np.repeat(np.arange(len(first)), sampling[first, second].astype(int))
    h = (rewards[first] - rewards[second])[pairs]
    drawn = tabular_features(first[pairs], second[pairs], size)
    theta = fit.scores[:-1] - fit.scores[-1]
    covariance = population_covariance(drawn, h, h, weighting, theta, beta=1.0) / labels
    features, errors = tabular_features(first, second, size), np.zeros((size, size))
    errors[first, second] = np.sqrt(np.einsum("pi,ij,pj->p", features, covariance, features))
    return errors + errors.T
