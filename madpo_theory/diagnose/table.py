"""A diagnosis in words and numbers: the rows that the terminal and the page show."""

import math
import textwrap

__all__ = ["effect_rows", "schedule_text", "text"]

WIDTH = 100


def schedule_text(schedule):
    """A schedule in one line."""
    return ", ".join(f"{n} {getattr(schedule, n):.4g}" for n in ("c_max", "c_min", "lam", "tau"))


def _percent(share):
    return f"{share:.1%}"


def _number(value):
    return "-" if value is None else f"{value:.3g}"


def _falls(effect):
    return "; ".join(
        f"{fall.start:.2f} to {fall.end:.2f}" if math.isfinite(fall.end) else f"from {fall.start:.2f}"
        for fall in effect.falls
    ) or "nowhere"  # fmt: skip


def effect_rows(diagnosis):
    """(names of columns, rows): a row has a name, a cell for each column, and what it means."""
    advice = diagnosis.recommendation.effect
    effects = [*diagnosis.effects, *([advice] if advice else [])]
    names = [e.kind for e in diagnosis.effects] + ["recommended"] * bool(advice)
    beta = diagnosis.beta
    described = (
        ("c_max, tau", lambda e: f"{e.schedule.c_max:.3g}, {e.schedule.tau:.3g}",
         "the schedule"),
        ("mean weight", lambda e: _number(e.mean), "1 keeps the step size"),
        ("weights from", lambda e: f"{_number(e.smallest)}", "smallest of these pairs"),
        ("         to", lambda e: f"{_number(e.largest)}", "largest of these pairs"),
        ("ESS", lambda e: _percent(e.ess), "share of pairs that equal weights would need"),
        ("weight < 1/2", lambda e: _percent(e.suppressed), "suppressed pairs"),
        ("target falls", _falls, "nats of |h|; easier pairs get smaller targets (T5)"),
        ("  pairs there", lambda e: _percent(e.falling_share), ""),
        ("  by nats", lambda e: _number(max((f.drop for f in e.falls), default=0.0)), ""),
        ("L", lambda e: _number(e.sensitivity), "nats of target per nat of model error (R1)"),
        ("D", lambda e: "no bound" if e.influence is None else _number(e.influence),
         "nats a wrong model can move a target (R2)"),
        ("D on these", lambda e: _number(e.influence_here), "the same, at these margins"),
        ("DPO beta", lambda e: _number(e.dpo_beta), f"nearest DPO, for beta {beta:g} (L5)"),
        ("  off by", lambda e: "-" if e.distance is None else _percent(e.distance),
         "of the targets' length"),
        ("target change", lambda e: _number(e.target_change), "mean |change| from published, nats"),
    )  # fmt: skip
    rows = [(name, [cell(e) for e in effects], meaning) for name, cell, meaning in described]
    return names, rows


def text(diagnosis):
    """The diagnosis as plain text, for a terminal."""
    d, m, c = diagnosis, diagnosis.margins, diagnosis.calibration
    scaled = "" if d.scale == 1 else f", times {d.scale:g}"
    guessed = " (guessed; --margin or --rewards names others)" if d.guessed else ""
    lines = [
        f"{d.source}: {d.pairs:,} pairs",
        f"margin       {d.columns}{scaled}{guessed}",
    ]
    if d.dropped:
        left = ", ".join(f"{number:,} {reason}" for reason, number in d.dropped)
        lines.append(f"left out     {left}")
    quantiles = "  ".join(f"{share:.0%} {value:.2f}" for share, value in m.quantiles)
    lines += [
        f"nats         from {m.lowest:.4g} to {m.highest:.4g}, mean {m.mean:.4g}, std {m.std:.4g}"
        + (f", {m.ties:,} ties" if m.ties else ""),
        f"quantiles    {quantiles}",
        f"labels       the reward model disputes {c.disputed:.1%}; were it calibrated, it would "
        f"{c.disputed_expected:.1%}",
        f"calibration  error (ECE) {c.error:.4f}, log loss {c.log_loss:.4f}"
        + (
            ""
            if c.scale is None or c.scale <= 0
            else f"; fitted scale {c.scale:.4g} +- {c.scale_error:.2g} (temperature "
            f"{c.temperature:.4g}), with which {c.error_scaled:.4f} and {c.log_loss_scaled:.4f}"
        ),
        "",
        f"schedule     {schedule_text(d.schedule)}",
    ]
    for regime in d.regimes:
        bounds = f"{regime.low:.4g} <= h < {regime.high:.4g}".replace("-inf <= ", "").replace(
            " < inf", ""
        )
        lines.append(f"  {regime.name:<20}{regime.share:>7.1%}   {bounds}")
    names, rows = effect_rows(d)
    widths = [max(len(n), *(len(cells[i]) for _, cells, _ in rows)) for i, n in enumerate(names)]
    lines += ["", _line("", names, widths, "")]
    lines += [_line(name, cells, widths, meaning) for name, cells, meaning in rows]
    advice = d.recommendation
    stated = schedule_text(advice.schedule) if advice.schedule else "none"
    lines += ["", f"recommended  {stated}" + ("" if advice.changed else " (as asked)") * (
        advice.schedule is not None)]  # fmt: skip
    lines += [_wrapped("  because    ", reason) for reason in advice.reasons]
    lines += [""] * bool(d.notes) + [_wrapped("note         ", note) for note in d.notes]
    lines += [""] * bool(d.warnings) + [_wrapped("WARNING      ", w) for w in d.warnings]
    return "\n".join(lines)


def _line(name, cells, widths, meaning):
    padded = "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{name:<14}{padded}   {meaning}".rstrip()


def _wrapped(head, body):
    return textwrap.fill(body, WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
