"""A diagnosis in words and numbers: the rows that the terminal and the page show."""

import math
import textwrap

from ..weights import weight
from .columns import margin_line
from .rows import KINDS

__all__ = [
    "advice_text",
    "choice_rows",
    "effect_rows",
    "fitted_text",
    "offset_rows",
    "plus_minus",
    "rows_text",
    "schedule_text",
    "settings_text",
    "share_plus_minus",
    "target_rows",
    "text",
    "weights_text",
]

COLUMNS = 100
UNSCALED = 1.25
"""Factor between 1 and the mean weight above which it is a warning."""


def plus_minus(value, error):
    """A number and its standard error."""
    return f"{value:.3g}" if error is None else f"{value:.3g} +- {error:.2g}"


def share_plus_minus(value, error):
    """A share and its standard error, in per cent."""
    return f"{value:.1%}" if error is None else f"{value:.1%} +- {100 * error:.1f}%"


def fitted_text(diagnosis):
    """What the labels say of margins and of themselves: (what, words) of each fit."""
    c = diagnosis.calibration
    found = c.says
    if c.repeated is not None:
        yield (
            "judged again",
            f"{c.repeated.pairs:,} pairs; of {c.repeated.verdicts:,} later verdicts "
            f"{c.repeated.agreed:.1%} are the same, and tell the scale",
        )
    if found.both is None:
        return

    def said(test):
        return f"LR {test.statistic:.1f}, p {test.p:.2g}{': rejected' * test.rejected}"

    def alone(number, test):
        return f"alone {number}, {said(test)}"

    both, scale, flips = found.both, found.scale_alone, found.flips_alone
    flipped = share_plus_minus(flips.flip_rate, flips.flip_rate_error)
    yield (
        "fitted",
        (
            f"scale {plus_minus(both.scale, both.scale_error)}, flipped labels "
            f"{share_plus_minus(both.flip_rate, both.flip_rate_error)}"
        ),
    )
    yield "  scale", alone(plus_minus(scale.scale, scale.scale_error), found.against_scale)
    yield "  flips", alone(flipped, found.against_flips)
    yield "  neither", said(found.against_none)
    after = ""
    if c.error_fitted is not None and c.kind != "calibrated" and found is c.fits:
        after = f": ECE {c.error_fitted:.4f}, log loss {c.log_loss_fitted:.4f}"
    yield "  so", f"{_KINDS[found.kind]}{after}"


_KINDS = {
    "calibrated": "neither a scale nor flips are needed",
    "scale": "a scale is needed, and no flips",
    "flips": "flipped labels are needed, and no scale",
    "both": "a scale and flipped labels are needed",
    "untold": "something is wrong, and either alone would explain it",
}


def schedule_text(schedule):
    """A schedule in one line."""
    return ", ".join(f"{n} {getattr(schedule, n):.4g}" for n in ("c_max", "c_min", "lam", "tau"))


def settings_text(diagnosis):
    """The settings of a method in one line."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in diagnosis.settings.items()
    )


def _percent(share):
    return f"{share:.1%}"


def _number(value):
    return "-" if value is None else f"{value:.3g}"


def _falls(effect):
    stretches = [
        f"{fall.start:.2f} to {fall.end:.2f}"
        if math.isfinite(fall.end)
        else f"from {fall.start:.2f}"
        for fall in effect.falls
    ]
    return "; ".join(stretches) or "nowhere"


def _bound(effect):
    return "no bound" if effect.influence is None else _number(effect.influence)


_ROWS = (
    (
        "c_max, tau",
        lambda e: "-" if e.schedule is None else f"{e.schedule.c_max:.3g}, {e.schedule.tau:.3g}",
        "of the schedule",
    ),
    ("mean weight", lambda e: _number(e.mean), "1 keeps the step size"),
    ("  smallest", lambda e: _number(e.smallest), "of these pairs"),
    ("  largest", lambda e: _number(e.largest), "of these pairs"),
    ("ESS", lambda e: _percent(e.ess), "effective share of the pairs: how equal the weights are"),
    ("weight < 1/2", lambda e: _percent(e.suppressed), "suppressed pairs"),
    ("target falls", _falls, "nats of |h| on which an easier pair gets a smaller target (T5)"),
    ("  pairs there", lambda e: _percent(e.falling_share), ""),
    ("  by nats", lambda e: _number(max((f.drop for f in e.falls), default=0.0)), ""),
    ("L", lambda e: _number(e.sensitivity), "nats of target per nat of reward-model error (R1)"),
    (
        "D",
        _bound,
        "nats by which the worst reward model moves a target (R2, N3)",
    ),
    ("  these pairs", lambda e: _number(e.influence_here), "the same, at the margins given"),
    ("L, D known", lambda e: e.known, "over all margins, on those alone, or measured on a grid"),
    ("DPO beta", lambda e: _number(e.dpo_beta), "of the DPO with the nearest targets (L5)"),
    (
        "  off by",
        lambda e: "-" if e.distance is None else _percent(e.distance),
        "of the length of the targets",
    ),
    ("target change", lambda e: _number(e.target_change), "nats, mean, from DPO's at this beta"),
    ("  from asked", lambda e: _number(e.asked_change), "the same, from the asked published one"),
)


def _found(effect, value):
    """A supremum: what a search found is its lower end."""
    return f">= {value}" if effect.known.startswith("searched") and value[0].isdigit() else value


def _limit(effect):
    if not math.isfinite(effect.ceiling):
        return "infinite"
    return f"{effect.ceiling:.3g}" if effect.saturates else "none seen"


_METHOD_ROWS = (
    ("target change", lambda e: _number(e.target_change),
     "nats, mean, from DPO's target at the same beta, the margin itself"),
    ("pairs moved", lambda e: _percent(e.moved), "whose target is more than 0.1 nats off it"),
    ("  amplified", lambda e: _percent(e.amplified), "whose target is larger by as much"),
    ("  dampened", lambda e: _percent(e.dampened), "whose target is smaller by as much"),
    ("  infinite", lambda e: _percent(e.infinite), "whose label is trusted without limit"),
    ("largest target", _limit, "nats, up to margins of 60, where it levels off or falls"),
    ("target falls", _falls, "nats of |h| on which an easier pair gets a smaller target (T5)"),
    ("  pairs there", lambda e: _percent(e.falling_share), "in the wrong order"),
    ("  by nats", lambda e: _number(max((f.drop for f in e.falls), default=0.0)), "at worst"),
    ("L", lambda e: _found(e, _number(e.sensitivity)),
     "nats of target per nat of reward-model error (R1)"),
    ("D", lambda e: _found(e, _bound(e)), "nats that the worst reward model moves it (R2)"),
    ("  these pairs", lambda e: _number(e.influence_here), "the same, at the margins given"),
    ("L, D known", lambda e: e.known, "certified, or the largest found on a grid"),
    ("first step", lambda e: _number(e.first_step[0]), "mean push of a pair, DPO's being 1"),
    ("  smallest", lambda e: _number(e.first_step[1]), "below 0 it pushes against the label"),
    ("DPO beta", lambda e: _number(e.dpo_beta), "of the DPO with the nearest targets (L5)"),
    ("  off by", lambda e: "-" if e.distance is None else _percent(e.distance),
     "of the length of the targets"),
)  # fmt: skip
_WEIGHT_ROWS = (
    ("ESS", lambda e: _percent(e.ess), "share of the pairs that the weights are worth"),
    ("weight < 1/2", lambda e: _percent(e.suppressed), "suppressed pairs"),
    ("mean weight", lambda e: _number(e.mean), "1 keeps the step size"),
    ("  smallest", lambda e: _number(e.smallest), "of these pairs"),
    ("  largest", lambda e: _number(e.largest), "of these pairs"),
)
_NO_WEIGHT = (("weights", lambda e: "none", "every pair counts alike: the ESS is all of them"),)


def effect_rows(diagnosis):
    """(names of columns, rows): a row has a name, a cell for each column, and what it means."""
    if diagnosis.recommendation is None:
        (own,) = diagnosis.effects
        rows = _METHOD_ROWS + (_NO_WEIGHT if own.ess is None else _WEIGHT_ROWS)
        return [own.label], [(name, [cell(own)], meaning) for name, cell, meaning in rows]
    advice = diagnosis.recommendation.effect if diagnosis.recommendation.changed else None
    effects = [*diagnosis.effects, *([advice] if advice else [])]
    names = [e.label for e in diagnosis.effects] + ["recommended"] * bool(advice)
    return names, [(name, [cell(e) for e in effects], meaning) for name, cell, meaning in _ROWS]


def target_rows(diagnosis):
    """(share, margin, target, target - margin) at quantiles of the margins, as texts."""
    for share, margin, target in diagnosis.targets:
        change = f"{target - margin:+.3g}" if math.isfinite(target) else "-"
        shown = f"{target:.3g}" if math.isfinite(target) else "-infinite"[target > 0 :]
        yield f"{share:.0%}", f"{margin:.3g}", shown, change


def offset_rows(diagnosis):
    """(share, margin, weight, offset) of the asked weight at quantiles of the margins, as texts:
    the weight of such a pair, or the offset that gives it the same target with a weight of 1."""
    own = diagnosis.own
    for share, margin, target in diagnosis.targets:
        shown = f"{weight(margin, own.weighting):.3g}"
        yield f"{share:.0%}", f"{margin:.3g}", shown, f"{target - margin:+.3g}"


def text(diagnosis):
    """The diagnosis as plain text, for a terminal."""
    concern = _method if diagnosis.recommendation is None else _schedule
    return "\n".join([*_about(diagnosis), "", *concern(diagnosis), "", *_advice(diagnosis)])


def rows_text(written):
    """How many pairs have each trouble: the :class:`~.rows.RowTroubles` in lines."""
    lines = [f"{written.path}: a flag and a score of {written.pairs:,} pairs"]
    width = max(map(len, written.flagged))
    for name, count in written.flagged.items():
        share = count / max(written.pairs, 1)
        lines.append(f"  {name:<{width}}{count:>11,}{share:>7.1%}  {KINDS[name]}")
    return "\n".join(lines)


def weights_text(made):
    """What was written, and what the weights are like: the :class:`~.weights.WeightedPairs`."""
    lines = [f"{made.path}: {made.pairs:,} pairs, {made.label} weights in column {made.column}"]
    if made.drawn is not None:
        lines = [
            f"{made.path}: {made.drawn:,} rows drawn from {made.pairs:,} pairs by {made.label} "
            "weights"
        ]
    if made.offset is not None:
        lines.append(
            f"their offsets in column {made.offset}: train with these or with the weights, not both"
        )
    lines += [f"margin: {made.margin}", *_filled("weights: ", [_weights_text(made)])]
    if (
        made.drawn is None
        and made.mean is not None
        and not max(made.mean, 1 / made.mean) <= UNSCALED
    ):
        lines += _filled(
            "WARNING: ",
            [
                f"a mean of {made.mean:.3g} takes steps {made.mean:.3g} times as large as DPO's at "
                "the same learning rate; --mean-one scales the weights to the mean 1"
            ],
        )
    if made.dropped:
        left_out = ", ".join(f"{number:,} {reason}" for reason, number in made.dropped)
        lines.append(f"left out: {left_out}")
    return "\n".join([*lines, *([str(made.sidecar)] if made.sidecar else [])])


def _weights_text(made):
    if made.mean is None:
        return "none"
    return (
        f"mean {made.mean:.3g}, from {made.smallest:.3g} to {made.largest:.3g}, worth "
        f"{made.ess:.1%} of the pairs"
    )


def _about(d):
    """Lines on the margins and the labels."""
    m, c = d.margins, d.calibration
    yield f"{d.source}: {d.pairs:,} pairs"
    yield from _filled("CAUTION      ", d.cautions)
    yield f"margin       {margin_line(d.columns, d.scale, d.guessed)}"
    if d.dropped:
        yield "left out     " + ", ".join(f"{number:,} {reason}" for reason, number in d.dropped)
    ties = f", {m.ties:,} ties" if m.ties else ""
    yield (
        f"nats         from {m.lowest:.4g} to {m.highest:.4g}, mean {m.mean:.4g}, std "
        f"{m.std:.4g}{ties}"
    )
    yield "quantiles    " + "  ".join(f"{share:.0%} {at:.3g}" for share, at in m.quantiles)
    yield (
        f"labels       the reward model disputes {c.disputed:.1%}; were it calibrated, it would "
        f"dispute {c.disputed_expected:.1%}"
    )
    yield f"calibration  ECE {c.error:.4f}, log loss {c.log_loss:.4f}"
    for what, words in fitted_text(d):
        yield f"{what:<13}{words}"


def _method(d):
    """Lines on what a method does to targets."""
    yield f"method       {d.label}: {settings_text(d)}"
    yield from _regimes(d)
    yield ""
    yield from _across(("quantile", "  margin", "  target", "  change"), target_rows(d))
    yield ""
    rows = effect_rows(d)[1]
    width = max(len(cell) for _, (cell,), _ in rows)
    for name, (cell,), meaning in rows:
        yield f"{name:<14}  {cell:>{width}}  {meaning}".rstrip()


def _schedule(d):
    """Lines on the schedule's regimes and on what the weights do."""
    yield f"schedule     {schedule_text(d.schedule)}"
    yield from _regimes(d)
    names, rows = effect_rows(d)
    widths = [max(len(n), *(len(cells[i]) for _, cells, _ in rows)) for i, n in enumerate(names)]
    yield ""
    for name, cells, _ in [("", names, ""), *rows]:
        padded = (f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        yield f"{name:<13}{''.join(padded)}".rstrip()
    yield ""
    yield from _across(("quantile", "  margin", "  weight", "  or offset"), offset_rows(d))
    yield ""
    yield "ESS: share of the pairs that the weights are worth. Margins, L and D are in nats:"
    yield "L of target per nat of reward-model error, D of target at worst. --html says more."


def _across(names, rows):
    """Lines, one a name, of what each row says under it."""
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        yield f"{name:<13}" + "".join(f"{cell:>10}" for cell in cells)


def _regimes(d):
    for regime in d.regimes:
        low = f"{regime.low:.4g} <= " if math.isfinite(regime.low) else ""
        high = f" < {regime.high:.4g}" if math.isfinite(regime.high) else ""
        yield f"  {regime.name:<20}{regime.share:>7.1%}   {low}h{high}"


def _advice(d):
    """Lines on what to do."""
    advice = d.recommendation
    if advice is not None:
        yield f"recommended  {advice_text(d)}"
        yield from _filled("  because    ", advice.reasons)
        yield from _table(*choice_rows(d))
        yield ""
    yield from _filled("note         ", d.notes)
    yield from _filled("WARNING      ", d.warnings)


def _filled(head, sentences):
    for sentence in sentences:
        yield textwrap.fill(
            sentence, COLUMNS, initial_indent=head, subsequent_indent=" " * len(head)
        )


def _table(names, rows):
    """Lines of a table, its first column to the left and the last one free."""
    if not rows:
        return
    widths = [max(len(row[i]) for row in (names, *rows)) for i in range(len(names) - 1)]
    for first, *others, last in (names, *rows):
        cells = "".join(f"  {c:>{w}}" for c, w in zip(others, widths[1:], strict=True))
        yield f"  {first:<{widths[0]}}{cells}  {last}".rstrip()


def choice_text(choice):
    """What a :class:`~.recommendation.Choice` trains, in one line."""
    if choice.weighting is None:
        return f"DPO at beta {choice.beta:.3g}, without weights"
    kind = "" if choice.name != "target_shaped" else f"{choice.weighting.title} weights of "
    return f"{kind}{schedule_text(choice.schedule)}, at beta {choice.beta:.3g}"


def advice_text(diagnosis):
    """What is recommended, in one line."""
    advice = diagnosis.recommendation
    if advice.choice is None:
        return "nothing yet"
    scale = "" if advice.scale == diagnosis.scale else f", of margins times {advice.scale:.3g}"
    return f"{choice_text(advice.choice)}{scale}{'' if advice.changed else ' (as asked)'}"


def choice_rows(diagnosis):
    """(names of columns, rows) of what could be trained, the simplest first, as texts."""
    advice = diagnosis.recommendation
    if advice.scales:
        return ("disputed by a second judge", "scale", "then"), [
            (f"{s.disputed:.0%}", f"{s.scale:.3g}", choice_text(s.choice)) for s in advice.scales
        ]
    return ("choice", "off by", "beta", "ESS", "D", ""), [
        (
            {"dpo": "DPO", "target_shaped": "target shaped"}.get(c.name, c.name),
            f"{c.off:.1%}", f"{c.beta:.3g}", f"{c.ess:.1%}",
            "no bound" if c.influence is None else f"{c.influence:.3g}",
            "" if c.schedule is None else schedule_text(c.schedule),
        )
        for c in advice.choices
    ]  # fmt: skip
