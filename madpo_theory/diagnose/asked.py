"""What a diagnosis is asked about: the weights that a schedule makes, or any one method."""

import math
from dataclasses import dataclass, replace

import numpy as np

from ..methods import Madpo, Method, method_from, settings_of
from ..methods.trial import tried
from ..ops import check_number
from ..registry import in_user_file
from ..schedule import MarginSchedule, check_schedule
from ..weights import Weighting, weighting_named, weighting_of
from .effects import (
    asked_weighting,
    breaks_of,
    effect,
    floats,
    no_enclosure,
    schedule_in,
    targets_at,
    tried_weight,
    weight_effect,
)
from .recommendation import Recommendation, alike, at_scales, recommend, scaled
from .text import UNSCALED

__all__ = ["BETA", "COMPARED", "ESS", "AskedMethod", "AskedWeights", "Regime"]

BETA, ESS = 0.1, 0.5
"""The temperature and the effective share of the pairs that are asked for where none are given."""
COMPARED = ("published", "bounded_ratio", "target_shaped", "efficient")
"""The weights, made with the schedule, that every diagnosis without a method compares."""

POINTS_AWAY = (
    "the margins point to the rejected response, or nowhere: nothing is to be weighted by them"
)
FLIPS = "all this takes labels as not flipped: allow for the flips that are warned of, or mend them"


@dataclass(frozen=True)
class Regime:
    """Pairs that a method treats alike: low <= h < high, and their exact share."""

    name: str
    low: float
    high: float
    share: float


def _searched(weighting):
    """A note where L and D are not enclosed because of how the weight's formula is written."""
    if why := weighting and no_enclosure(weighting):
        yield f"L and D are the largest that a grid found, not enclosed: {why}"


def _regimes(found, names, bounds):
    return tuple(
        Regime(name, low, high, found.share(low, high))
        for name, low, high in zip(names, bounds, bounds[1:], strict=False)
    )


@dataclass(frozen=True)
class AskedWeights:
    """MADPO's weights of a schedule, one of which warnings are about.

    Attributes
    ----------
    schedule : the one asked for, in floats. beta : the matched temperature is relative to it.
    weightings : (Weighting, schedule that it was made from, or None) of all that are compared.
    asked : the Weighting that warnings are about.
    """

    schedule: MarginSchedule
    beta: float
    weightings: tuple
    asked: Weighting

    method = None
    scaled_for = "lam and tau are meant for log-odds"

    @classmethod
    def of(cls, schedule, weight, beta, gamma):
        """As :func:`~.diagnosis.diagnose` is asked; None is the default of each."""
        schedule = MarginSchedule.released() if schedule is None else check_schedule(schedule)
        schedule, weight = floats(schedule), "published" if weight is None else weight
        beta = BETA if beta is None else beta
        check_number("beta", beta, "beta > 0", lambda v: v > 0)
        settings = {} if gamma is None else {"target_shaped": {"gamma": gamma}}
        compared = {n: weighting_named(n, schedule, **settings.get(n, {})) for n in COMPARED}
        name = weight.replace("-", "_") if isinstance(weight, str) else None
        asked, made_from = compared.get(name), schedule
        if asked is None:
            asked, made_from = asked_weighting(weight, schedule)
        weightings = [(weighting, schedule) for weighting in compared.values()]
        if asked not in compared.values():
            weightings.append((asked, made_from))
        return cls(schedule, beta, tuple(weightings), asked)

    @property
    def label(self):
        return self.asked.title

    @property
    def settings(self):
        return settings_of(self.schedule)

    @property
    def weight(self):
        return self.asked.own_name

    def breaks(self):
        tau = self.schedule.tau
        found = [tau, -tau, np.nextafter(-tau, 0)]
        for weighting, made_from in self.weightings:
            found += breaks_of(Madpo(weighting), made_from or self.schedule)
        return found

    def regimes(self, found):
        tau, up = self.schedule.tau, float(np.nextafter(-self.schedule.tau, 0))
        names = ("disputed beyond tau", "disputed", "amplified", "easy")
        return _regimes(found, names, (-math.inf, up, 0.0, tau, math.inf))

    def effects(self, found):
        """All the effects, and the one that warnings are about."""
        published = weighting_of(self.schedule)
        against = targets_at(Madpo(self.schedule), found.margins)
        effects = []
        for weighting, made_from in self.weightings:
            own = weight_effect(
                found, weighting, made_from or self.schedule, beta=self.beta,
                against=None if weighting == published else against,
            )  # fmt: skip
            effects.append(replace(own, schedule=made_from))
        return tuple(effects), next(e for e in effects if e.weighting == self.asked)

    def advice(self, found, labels, ess, bound, scale):
        """The :class:`~.recommendation.Recommendation` at the scale that the labels ask for."""
        shaped = next(w for w, _ in self.weightings if w.own_name == "target_shaped")
        options = {"ess": ess, "bound": bound, "beta": self.beta}
        if labels.points_away:
            return Recommendation(None, False, scale, (POINTS_AWAY,), (), None)
        if labels.says.kind == "unknown" and scale == 1 and not alike(found):
            return at_scales(found, self.schedule, shaped, **options, scale=scale)
        if (times := labels.needed_scale) != 1:
            found, scale = scaled(found, times), float(f"{scale * times:.3g}")
        advice = recommend(found, self.schedule, shaped, **options, scale=scale)
        more = (FLIPS,) if labels.kind in ("flips", "both") else ()
        return replace(advice, reasons=advice.reasons + more)

    def notes(self, found, effects):
        ratio = effects[1]
        own = next(e for e in effects if e.weighting == self.asked)
        yield (
            f"the offset delta = log w(h) - log w(-h) in log(1 + exp(delta - beta m)) has the "
            f"{own.label} targets with weights of 1: an ESS of 100 % in the place of "
            f"{own.ess:.1%}, and no label suppressed (N5); madpo weights --offset writes it"
        )
        easy = found.share(self.schedule.tau, math.inf)
        if easy >= 1e-3:
            yield (
                f"{easy:.1%} of the pairs are easy (h >= tau): the published weight leaves their "
                f"targets at h, within {math.log(2):.2f} nats (T3); the {ratio.label} one dampens "
                "them to c h"
            )
        if self.asked != weighting_of(self.schedule):
            yield (
                "what is recommended is for the targets of the published weight; the warnings and "
                f"the next command are about the {own.label} weight, which was asked for"
            )
        yield from _searched(self.asked)
        far = [e for e in effects if e.mean > 0 and max(e.mean, 1 / e.mean) > UNSCALED]
        if far:
            means = ", ".join(f"{e.label} {e.mean:.3g}" for e in far)
            yield (
                f"mean weights far from 1 ({means}) take as much larger or smaller steps; "
                "--mean-one scales them (N1)"
            )


@dataclass(frozen=True)
class AskedMethod:
    """Any one method with a target."""

    asked: Method

    schedule = weight = None
    scaled_for = "the targets here take them for log-odds"

    @classmethod
    def of(cls, method, **others):
        """What :func:`~madpo_theory.methods.method_from` makes of `method`; others must be None."""
        options = {"schedule": "schedule (--c-max, --c-min, --lam, --tau)"}
        given = ", ".join(options.get(k, k) for k, v in others.items() if v is not None)
        if given:
            raise ValueError(
                f"{given} must not be given with a method, which has settings of its own; set "
                "those, as in --set c_max=2"
            )
        asked = tried(method_from(method))
        if asked.is_weighting and asked.slot_weighting is not None:
            tried_weight(asked.slot_weighting)
        try:
            asked.target(0.0)
        except TypeError as error:
            if in_user_file(error):
                raise
            raise ValueError(
                f"method = {asked.own_name!r} breaks the rule that a pair has a target ({error}); "
                "choose a method with slots or a loss of the margin"
            ) from error
        return cls(asked)

    @property
    def method(self):
        return self.asked.own_name

    @property
    def label(self):
        return self.asked.title

    @property
    def settings(self):
        return settings_of(self.asked)

    @property
    def beta(self):
        return self.asked.beta

    def breaks(self):
        return breaks_of(self.asked, schedule_in(self.asked))

    def regimes(self, found):
        return _regimes(found, ("disputed", "agreed"), (-math.inf, 0.0, math.inf))

    def effects(self, found):
        """All the effects, and the one that warnings are about."""
        own = effect(found, self.asked, schedule_in(self.asked), beta=self.beta)
        return (own,), own

    def advice(self, found, labels, ess, bound, scale):
        return None

    def notes(self, found, effects):
        (own,) = effects
        yield from _searched(self.asked.is_weighting and own.weighting)
        if "margin" not in self.asked.needs:
            yield (
                f"{own.label} does not see the margins: they stand for the true ones here, and no "
                "error of the reward model enters"
            )
        if self.asked.per_token or "reference" not in self.asked.needs:
            means = "mean " if self.asked.per_token else ""
            ratio = "" if "reference" in self.asked.needs else " without a reference"
            yield (
                f"its z is of {means}log-probabilities{ratio}: targets are nats of that, not of "
                "DPO's z"
            )
        if own.saturates:
            yield (
                f"no target is larger than {own.ceiling:.3g} nats, however sure the label: they "
                "level off, or fall"
            )
        if own.dpo_beta is not None and own.distance < 0.05 and own.moved > 0:
            yield (
                f"all but {own.distance:.1%} of what it does to targets, DPO does at beta = "
                f"{own.dpo_beta:.3g} (L5)"
            )
