"""What a method would do to preference pairs, before anything is trained: MADPO, or any other."""

import json
import math
from dataclasses import dataclass, field, is_dataclass

import numpy as np

from ..files import replacing
from ..ops import check_number
from ..schedule import MarginSchedule
from .asked import ESS, AskedMethod, AskedWeights
from .calibration import MISCALIBRATED, Calibration, calibration
from .effects import targets_at
from .reading import Pairs, Reading
from .recommendation import FALLING, Recommendation, alike
from .repeated import repeated
from .sketch import WIDTH, MarginSketch, sketch
from .text import plus_minus, share_plus_minus, text

__all__ = ["Diagnosis", "MarginSummary", "diagnose"]

SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
FEW = 0.05
"""Calibration error by chance alone above which pairs are said to be few."""
LEVELS = 20
"""Different margins up to which they look like grades."""
LEAST = 100
"""Pairs below which they are, whatever their margins."""
FLIPPED = 0.05
"""Share of flipped labels above which, beyond doubt, it is a warning."""
VAGUE = 0.25
"""Standard error of the scale, relative, above which labels are said to tell little."""


SMALLEST = float(np.finfo(np.float32).tiny)
"""A weight below it is 0, or has lost its digits, where losses are computed in float32."""


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
class Diagnosis:
    """Everything that :func:`diagnose` finds.

    Attributes
    ----------
    source : the file, or "margins". columns : what the margin was made of.
    guessed : whether nobody named the columns. scale : what margins were multiplied with.
    pairs : how many there are. dropped : (reason, number) of the rows left out.
    margins : :class:`MarginSummary`. calibration : :class:`~.calibration.Calibration`.
    method : name of the method asked for, or None. label, settings : its label and its settings.
    schedule : the one asked for; None where a method was. beta, ess, bound : as asked.
    weight : name of the weight asked for, which the warnings are about; None where a method was.
    regimes : four :class:`~.asked.Regime`, two of a method.
    effects : the :class:`~.effects.Effect` of the published weight, of those corrected, and of the
        weight asked for, if it is another; or that of the method alone.
    targets : (share, margin, target) at quantiles of the margins, of the weight or method asked
        for.
    recommendation : :class:`~.recommendation.Recommendation`; None where a method was asked for.
    warnings : sentences; empty if there is nothing to mend. notes : sentences.
    cautions : sentences on what these pairs cannot tell, before any statistics.
    reading : :class:`~.reading.Reading`, how the margins were read.
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
    method: str | None
    label: str
    settings: dict
    schedule: MarginSchedule | None
    beta: float
    ess: float
    bound: float | None
    weight: str | None
    regimes: tuple
    effects: tuple
    targets: tuple
    recommendation: Recommendation | None
    warnings: tuple
    notes: tuple
    cautions: tuple
    reading: Reading
    sketch: MarginSketch = field(repr=False)

    @property
    def in_order(self):
        """Whether there is nothing to mend: no warning, and something that can be recommended."""
        return not self.warnings and (self.method is not None or self.recommended)

    @property
    def recommended(self):
        """Whether there is something to train: False too where a method was asked for."""
        return self.recommendation is not None and self.recommendation.choice is not None

    @property
    def own(self):
        """The :class:`~.effects.Effect` that the warnings are about."""
        *_, own = (e for e in self.effects if self.method or e.kind == self.weight)
        return own

    def __str__(self):
        """The text of `madpo diagnose`."""
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
        return {k: _plain(v) for k, v in value.__dict__.items() if k != "method"}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else repr(value)


def diagnose(
    source,
    schedule=None,
    *,
    method=None,
    weight=None,
    reading=None,
    beta=None,
    ess=ESS,
    bound=None,
    gamma=None,
    rows=None,
):
    """What a method does to pairs with the given margins: a :class:`Diagnosis`.

    Without a `method`, that is MADPO with a schedule, beside the corrected weights and with advice.

    Parameters
    ----------
    source : a file of pairs (see :class:`~.reading.Pairs`), read in batches, or an array (n,) of
        margins toward the observed labels, nats.
    schedule : MarginSchedule; default the released one.
    method : any method or weight with its settings: what :func:`~madpo_theory.methods.method_from`
        takes. It takes the place of schedule, weight, beta and gamma.
    weight : the weight that warnings are about: a name in WEIGHTS or path/to/file.py:Class, made
        with the schedule, or a Weighting, or a MarginSchedule for its published weight. Default
        the published one.
    reading : :class:`~.reading.Reading`, how the file is read; of an array, its scale,
        drop_invalid and keep_ties.
    beta : DPO temperature that the matched one is relative to, > 0; default 0.1.
    ess : effective share of the pairs to keep, in (0, 1); less is a warning.
    bound : most nats that a wrong reward model may move a target, > 0, or None.
    gamma : exponent of the target-shaped weight's target, in (0, 1); default that of the weight.
    rows : rows to a batch; the result does not depend on it.

    Counts and the shares of the asked schedule are exact; the rest is to 1e-6, see
    :class:`~.sketch.MarginSketch`. ValueError or TypeError with argument, value, rule and fix.
    """
    reading = Reading() if reading is None else reading
    check_number("ess", ess, "0 < ess < 1", lambda v: (v > 0) & (v < 1))
    if bound is not None:
        check_number("bound", bound, "bound > 0", lambda v: v > 0)
    others = {"schedule": schedule, "weight": weight, "beta": beta, "gamma": gamma}
    asked = AskedWeights.of(**others) if method is None else AskedMethod.of(method, **others)
    pairs = Pairs(source, reading)
    found = sketch(pairs.margins(rows), asked.breaks())
    effects, own = asked.effects(found)
    labels, summary = calibration(found), _summary(found)
    if labels.kind == "unknown":
        labels = labels.judged_again(repeated(pairs))
    return Diagnosis(
        source=pairs.name,
        columns=str(pairs.columns),
        guessed=pairs.columns.guessed,
        scale=reading.scale,
        pairs=found.pairs,
        dropped=tuple(sorted(pairs.dropped.items())),
        margins=summary,
        calibration=labels,
        method=asked.method,
        label=asked.label,
        settings=asked.settings,
        schedule=asked.schedule,
        beta=asked.beta,
        ess=ess,
        bound=bound,
        weight=asked.weight,
        regimes=asked.regimes(found),
        effects=effects,
        targets=tuple((q, h, float(targets_at(own.method, h))) for q, h in summary.quantiles),
        recommendation=asked.advice(found, labels, ess, bound, reading.scale),
        warnings=tuple(_warnings(found, labels, own, asked, ess, bound)),
        notes=(*_of_labels(found, labels), *asked.notes(found, effects)),
        cautions=tuple(_cautions(found, labels)),
        reading=reading,
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


def _cautions(found, labels):
    if labels.error_by_chance > FEW or found.pairs < LEAST:
        yield (
            f"{found.pairs} {'pairs are' if found.pairs > 1 else 'pair is'} few: a calibrated "
            f"reward model would show an ECE of about {labels.error_by_chance:.2g} by chance, and "
            f"a share of the pairs is known to within {1.96 / 2 / math.sqrt(found.pairs):.0%}"
        )
    levels = len(found.counts)
    if found.lowest > 0:
        yield (
            "all margins are positive: the labels can be separated, and a policy that can follow "
            "the margins has no finite optimum (L3); stop by the KL, or take a method whose "
            "targets level off"
        )
    elif found.highest < 0:
        yield "all margins are negative: chosen and rejected may be the wrong way round"
    if found.lowest >= 0 and levels <= LEVELS and found.pairs >= 10 * levels and not alike(found):
        yield (
            f"the margins have {levels} values, none of them negative: they look like a training "
            "margin of a reward model or a difference of ratings, and not like log-odds"
        )
    if alike(found):
        yield (
            "all margins have one size: a weight of the margin is a constant, or two, and there is "
            "nothing to adapt to"
        )


def _warnings(found, labels, own, asked, ess, bound):
    if own.infinite > 0:
        yield (
            f"target: infinite for {own.infinite:.1%} of the pairs: these labels are trusted "
            "without limit"
        )
    if own.falling_share > FALLING and not alike(found):
        first, last = own.falls[0], own.falls[-1]
        yield (
            f"target: {own.falling_share:.1%} of the pairs lie where it falls, at margins of "
            f"{first.start:.2f} to {last.end:.2f} nats: there an easier pair gets a smaller one, "
            f"by up to {max(f.drop for f in own.falls):.2f} nats"
            + ", if these margins are log-odds"
            * (labels.says.kind == "unknown")
        )
    if own.ess is not None and own.ess < ess:
        yield f"ESS: the weights are worth {own.ess:.1%} of the pairs, less than {ess:.0%}"
    if own.smallest is not None and 0 < own.smallest < SMALLEST:
        yield (
            f"weights: the smallest, {own.smallest:.3g}, is 0 in float32, so that training leaves "
            "such a pair out; a smaller c_max or tau keeps it"
        )
    if bound is not None and (own.influence is None or own.influence > bound):
        far = "without bound" if own.influence is None else f"by {own.influence:.2f} nats"
        yield f"D: a wrong reward model can move a target {far}, more than {bound:g}"
    if labels.points_away:
        yield (
            f"labels: the reward model disputes {labels.disputed:.1%} of them, and no positive "
            "scale of its margins fits: they point to the rejected response, or nowhere"
        )
    elif labels.says is not labels.fits and labels.says.believed:
        yield from _scaled(labels.says.believed, asked.scaled_for)
    elif labels.kind in _WRONG:
        yield from _WRONG[labels.kind](labels.fits, asked.scaled_for)


def _scaled(fit, scaled_for):
    if max(fit.scale, 1 / fit.scale) > MISCALIBRATED:
        much = "over" if fit.scale < 1 else "under"
        yield (
            f"calibration: margins are {much}confident, as labels ask for a scale of "
            f"{plus_minus(fit.scale, fit.scale_error)}; {scaled_for}: --scale {fit.scale:.3g} "
            "makes them so"
        )


def _flipped(fit):
    if fit.flip_rate > FLIPPED:
        yield (
            f"labels: {share_plus_minus(fit.flip_rate, fit.flip_rate_error)} look flipped at "
            f"random; rdpo and cdpo allow for that: --method rdpo --set "
            f"epsilon={fit.flip_rate:.2g}"
        )


def _both(found, scaled_for):
    yield from _flipped(found.both)
    yield from _scaled(found.both, scaled_for)


def _either(found, scaled_for):
    scale, flips = found.scale_alone, found.flips_alone
    yield (
        "calibration: margins and labels do not fit, and these pairs cannot tell whether a scale "
        f"of {plus_minus(scale.scale, scale.scale_error)} would mend it or "
        f"{share_plus_minus(flips.flip_rate, flips.flip_rate_error)} of the labels are flipped at "
        "random; give more pairs"
    )


_WRONG = {
    "scale": lambda found, scaled_for: _scaled(found.scale_alone, scaled_for),
    "flips": lambda found, scaled_for: _flipped(found.flips_alone),
    "both": _both,
    "untold": _either,
}
"""The warnings of each kind of :class:`~.fits.Fits`."""


def _of_labels(found, labels):
    both, ties = labels.fits.both, found.ties
    agreed = found.pairs - found.count_below(0.0) - ties
    if ties == found.pairs:
        yield (
            "all margins are 0, ties: the reward model prefers neither response of any pair, and "
            "agrees with no label and disputes none"
        )
    elif labels.disputed == 0 or agreed <= 0:
        always = "all" if labels.disputed == 0 else "none"
        besides = f" but for {ties:,} ties" * (ties > 0)
        yield (
            f"the reward model agrees with {always} of the labels{besides}: they tell nothing of "
            "its calibration, and may have been made from its rewards"
        )
    else:
        yield "calibration on pairs that the reward model was trained on is too good; hold some out"
    if labels.kind == "calibrated" and (both.scale_error or math.inf) > VAGUE * both.scale:
        yield (
            f"too few labels to tell: a scale of {plus_minus(both.scale, both.scale_error)} with "
            f"{share_plus_minus(both.flip_rate, both.flip_rate_error)} of them flipped fits best, "
            "and neither alone, nor none of it, is ruled out"
        )
