"""A diagnosis in words and numbers: the rows that the terminal and the page show."""

import math
import textwrap

__all__ = ["effect_rows", "schedule_text", "text"]

COLUMNS = 100


def schedule_text(schedule):
    """A schedule in one line."""
    return ", ".join(f"{n} {getattr(schedule, n):.4g}" for n in ("c_max", "c_min", "lam", "tau"))


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
        lambda e: "no bound" if e.influence is None else _number(e.influence),
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
    ("target change", lambda e: _number(e.target_change), "nats, mean, from the published"),
)


def effect_rows(diagnosis):
    """(names of columns, rows): a row has a name, a cell for each column, and what it means."""
    advice = diagnosis.recommendation.effect
    effects = [*diagnosis.effects, *([advice] if advice else [])]
    names = [e.label for e in diagnosis.effects] + ["recommended"] * bool(advice)
    return names, [(name, [cell(e) for e in effects], meaning) for name, cell, meaning in _ROWS]


def text(diagnosis):
    """The diagnosis as plain text, for a terminal."""
    return "\n".join([*_about(diagnosis), "", *_schedule(diagnosis), "", *_advice(diagnosis)])


def _about(d):
    """Lines on the margins and the labels."""
    m, c = d.margins, d.calibration
    scaled = "" if d.scale == 1 else f", times {d.scale:g}"
    guessed = " (guessed; --margin or --rewards names others)" if d.guessed else ""
    yield f"{d.source}: {d.pairs:,} pairs"
    yield f"margin       {d.columns}{scaled}{guessed}"
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
        f"{c.disputed_expected:.1%}"
    )
    yield f"calibration  ECE {c.error:.4f}, log loss {c.log_loss:.4f}"
    if c.scale is None:
        return
    fitted = f"             fitted scale {c.scale:.4g} +- {c.scale_error:.2g}"
    if c.temperature is not None:
        fitted += (
            f" (temperature {c.temperature:.4g}): ECE {c.error_scaled:.4f}, log loss "
            f"{c.log_loss_scaled:.4f}"
        )
    yield fitted


def _schedule(d):
    """Lines on the schedule's regimes and on what the weights do."""
    yield f"schedule     {schedule_text(d.schedule)}"
    for regime in d.regimes:
        low = f"{regime.low:.4g} <= " if math.isfinite(regime.low) else ""
        high = f" < {regime.high:.4g}" if math.isfinite(regime.high) else ""
        yield f"  {regime.name:<20}{regime.share:>7.1%}   {low}h{high}"
    names, rows = effect_rows(d)
    widths = [max(len(n), *(len(cells[i]) for _, cells, _ in rows)) for i, n in enumerate(names)]
    yield ""
    for name, cells, _ in [("", names, ""), *rows]:
        padded = (f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        yield f"{name:<13}{''.join(padded)}".rstrip()
    yield ""
    yield "ESS: share of the pairs that the weights are worth. Margins, L and D are in nats:"
    yield "L of target per nat of reward-model error, D of target at worst. --html says more."


def _advice(d):
    """Lines on what to do."""
    advice = d.recommendation
    stated = "none" if advice.schedule is None else schedule_text(advice.schedule)
    same = " (as asked)" if advice.schedule == d.schedule else ""
    yield f"recommended  {stated}{same}"
    for head, sentences in (
        ("  because    ", advice.reasons),
        ("note         ", d.notes),
        ("WARNING      ", d.warnings),
    ):
        for sentence in sentences:
            yield textwrap.fill(
                sentence, COLUMNS, initial_indent=head, subsequent_indent=" " * len(head)
            )
