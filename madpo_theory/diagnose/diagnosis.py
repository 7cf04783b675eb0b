"""What a margin-adaptive schedule would do to preference pairs, before anything is trained."""

import json
import math
from dataclasses import dataclass, field, is_dataclass, replace

import numpy as np

from ..files import replacing
from ..ops import check_number
from ..schedule import MarginSchedule, check_schedule
from ..weights import weighting_named
from .calibration import Calibration, calibration
from .effects import asked_weighting, breaks_of, effect
from .reading import Pairs, Reading
from .recommendation import Recommendation, recommend
from .sketch import WIDTH, MarginSketch, sketch

__all__ = ["Diagnosis", "MarginSummary", "Regime", "diagnose"]

COMPARED = ("published", "bounded_ratio", "target_shaped", "efficient")
"""The weights, made with the schedule, that every diagnosis compares."""
SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
FALLING = 0.01
"""Share of the pairs on a falling stretch above which it is a warning."""
MISCALIBRATED = 1.25
"""Factor between fitted and calibrated scale above which, beyond doubt, it is a warning."""


@dataclass(frozen=True)
class MarginSummary:
    """The margins' distribution, nats.

    Attributes
    ----------
    lowest, highest : exact. mean, std : to 1e-6.
    quantiles : (share, margin) pairs, within `width`, or 2^-14 (|margin| + 16) beyond 16.
    ties : number of margins that are exactly 0.
    width : of a cell of the grid.
    """

    lowest: float
    highest: float
    mean: float
    std: float
    quantiles: tuple
    ties: int
    width: float


@dataclass(frozen=True)
class Regime:
    """Pairs that the published weight treats alike: low <= h < high, and their exact share."""

    name: str
    low: float
    high: float
    share: float


@dataclass(frozen=True)
class Diagnosis:
    """Everything that :func:`diagnose` finds.

    Attributes
    ----------
    source : the file, or "margins". columns : what the margin was made of.
    guessed : whether nobody named the columns. scale : what margins were multiplied with.
    pairs : how many there are. dropped : (reason, number) of the rows left out.
    margins : :class:`MarginSummary`. calibration : :class:`~.calibration.Calibration`.
    schedule : the one asked for. beta, ess, bound : as asked.
    weight : name of the weight asked for, which the warnings are about.
    regimes : four :class:`Regime`.
    effects : the :class:`~.effects.Effect` of the published weight, of those corrected, and of the
        weight asked for, if it is another.
    recommendation : :class:`~.recommendation.Recommendation`.
    warnings : sentences; empty if there is nothing to mend. notes : sentences.
    sketch : the margins themselves, as far as they are kept.
    """

    source: str
    columns: str
    guessed: bool
    scale: float
    pairs: int
    dropped: tuple
    margins: MarginSummary
    calibration: Calibration
    schedule: MarginSchedule
    beta: float
    ess: float
    bound: float | None
    weight: str
    regimes: tuple
    effects: tuple
    recommendation: Recommendation
    warnings: tuple
    notes: tuple
    sketch: MarginSketch = field(repr=False)

    def __str__(self):
        """The text of `madpo diagnose`."""
        from .text import text

        return text(self)

    def record(self):
        """The diagnosis as JSON types; what is infinite is None."""
        return {k: _plain(v) for k, v in self.__dict__.items() if k != "sketch"}

    def write(self, path):
        """Write :meth:`record` as a JSON file, atomically."""
        with replacing(path) as temporary:
            text = json.dumps(self.record(), indent=1, allow_nan=False, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def _plain(value):
    if is_dataclass(value):
        return {k: _plain(v) for k, v in value.__dict__.items() if k != "weighting"}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def diagnose(
    source,
    schedule=None,
    *,
    weight="published",
    reading=None,
    beta=0.1,
    ess=0.5,
    bound=None,
    gamma=None,
    rows=None,
):
    """What a margin-adaptive schedule does to pairs with the given margins: a :class:`Diagnosis`.

    Parameters
    ----------
    source : a file of pairs (see :class:`~.reading.Pairs`), read in batches, or an array (n,) of
        margins toward the observed labels, nats.
    schedule : MarginSchedule; default the released one with c_max = 4.
    weight : the weight that warnings are about: a name in WEIGHTS or path/to/file.py:Class, made
        with the schedule, or a Weighting, or a MarginSchedule for its published weight.
    reading : :class:`~.reading.Reading`, how the file is read; of an array, its scale,
        drop_invalid and keep_ties.
    beta : DPO temperature that the matched one is relative to, > 0.
    ess : effective share of the pairs to keep, in (0, 1); less is a warning.
    bound : most nats that a wrong reward model may move a target, > 0, or None.
    gamma : exponent of the target-shaped weight's target, in (0, 1); default that of the weight.
    rows : rows to a batch; the result does not depend on it.

    Counts and the shares of the asked schedule are exact; the rest is to 1e-6, see
    :class:`~.sketch.MarginSketch`. ValueError or TypeError with argument, value, rule and fix.
    """
    schedule = MarginSchedule.released(4) if schedule is None else check_schedule(schedule)
    schedule = MarginSchedule(
        *(float(v) for v in (schedule.c_max, schedule.c_min, schedule.lam, schedule.tau))
    )
    reading = Reading() if reading is None else reading
    check_number("beta", beta, "beta > 0", lambda v: v > 0)
    check_number("ess", ess, "0 < ess < 1", lambda v: (v > 0) & (v < 1))
    if bound is not None:
        check_number("bound", bound, "bound > 0", lambda v: v > 0)
    settings = {} if gamma is None else {"target_shaped": {"gamma": gamma}}
    compared = {n: weighting_named(n, schedule, **settings.get(n, {})) for n in COMPARED}
    name = weight.replace("-", "_") if isinstance(weight, str) else None
    asked, made_from = compared.get(name), schedule
    if asked is None:
        asked, made_from = asked_weighting(weight, schedule)
    others = [] if asked in compared.values() else [asked]
    pairs = Pairs(source, reading)
    found = sketch(pairs.margins(rows), breaks_of(schedule, [*compared.values(), *others]))
    effects = [effect(found, w, schedule, beta=beta) for w in compared.values()]
    for weighting in others:
        own = effect(found, weighting, made_from or schedule, beta=beta)
        effects.append(replace(own, schedule=made_from))
    concerned = next(e for e in effects if e.weighting == asked)
    labels = calibration(found)
    advice = recommend(found, schedule, ess=ess, bound=bound, beta=beta)
    return Diagnosis(
        source=pairs.name,
        columns=str(pairs.columns),
        guessed=pairs.columns.guessed,
        scale=reading.scale,
        pairs=found.pairs,
        dropped=tuple(sorted(pairs.dropped.items())),
        margins=_summary(found),
        calibration=labels,
        schedule=schedule,
        beta=beta,
        ess=ess,
        bound=bound,
        weight=concerned.kind,
        regimes=_regimes(found, schedule),
        effects=tuple(effects),
        recommendation=advice,
        warnings=tuple(_warnings(labels, concerned, ess, bound)),
        notes=tuple(_notes(found, labels, effects, schedule)),
        sketch=found,
    )


def _summary(found):
    mean = found.mean(found.margins)
    return MarginSummary(
        found.lowest,
        found.highest,
        mean,
        math.sqrt(found.mean((found.margins - mean) ** 2)),
        tuple((share, found.quantile(share)) for share in SHARES),
        found.ties,
        WIDTH,
    )


def _regimes(found, schedule):
    tau, up = schedule.tau, float(np.nextafter(-schedule.tau, 0))
    names = ("disputed beyond tau", "disputed", "amplified", "easy")
    bounds = (-math.inf, up, 0.0, tau, math.inf)
    return tuple(
        Regime(name, low, high, found.share(low, high))
        for name, low, high in zip(names, bounds, bounds[1:], strict=False)
    )


def _warnings(labels, asked, ess, bound):
    if asked.falling_share > FALLING:
        first, last = asked.falls[0], asked.falls[-1]
        yield (
            f"target: {asked.falling_share:.1%} of the pairs lie where it falls, at margins of "
            f"{first.start:.2f} to {last.end:.2f} nats: there an easier pair gets a smaller one, "
            f"by up to {max(f.drop for f in asked.falls):.2f} nats"
        )
    if asked.ess < ess:
        yield f"ESS: the weights are worth {asked.ess:.1%} of the pairs, less than {ess:.0%}"
    if bound is not None and (asked.influence is None or asked.influence > bound):
        far = "without bound" if asked.influence is None else f"by {asked.influence:.2f} nats"
        yield f"D: a wrong reward model can move a target {far}, more than {bound:g}"
    if labels.disputed == 1 or (labels.scale is not None and labels.scale <= 0):
        yield (
            f"labels: the reward model disputes {labels.disputed:.1%} of them, and no positive "
            "scale of its margins fits: they point to the rejected response, or nowhere"
        )
    elif labels.scale is not None:
        yield from _miscalibrated(labels)


def _miscalibrated(labels):
    off = max(labels.scale, 1 / labels.scale)
    if off > MISCALIBRATED and abs(labels.scale - 1) > 2 * labels.scale_error:
        much = "over" if labels.scale < 1 else "under"
        yield (
            f"calibration: margins are {much}confident, as labels ask for a scale of "
            f"{labels.scale:.3g} +- {labels.scale_error:.2g}; lam and tau are meant for log-odds: "
            f"--scale {labels.scale:.3g} makes them so"
        )


def _notes(found, labels, effects, schedule):
    if labels.scale is None:
        always = "all" if labels.disputed == 0 else "none"
        yield (
            f"the reward model agrees with {always} of the labels: they tell nothing of its "
            "calibration, and may have been made from its rewards"
        )
    else:
        yield (
            "calibration on pairs that the reward model was trained on is too good; hold some out"
        )
    published, ratio = effects[:2]
    easy = found.share(schedule.tau, math.inf)
    if easy > 0:
        yield (
            f"{easy:.1%} of the pairs are easy (h >= tau): their targets stay at h, within "
            f"{math.log(2):.2f} nats (T3); the {ratio.label} weight dampens them to c h"
        )
    if published.distance is not None and published.distance < 0.05:
        yield (
            f"all but {published.distance:.1%} of what the schedule does to targets, DPO does at "
            f"beta = {published.dpo_beta:.3g} (L5)"
        )
    if ratio.mean < 0.8:
        yield (
            f"the {ratio.label} weights have the mean {ratio.mean:.2f}, and so take smaller steps; "
            "--mean-one scales them (N1)"
        )
