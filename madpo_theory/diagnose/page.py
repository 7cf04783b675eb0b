"""A diagnosis as one HTML page that needs no network and no script."""

from pathlib import Path

import numpy as np

from ..extensions import FIGURES
from ..files import replacing
from ..ops.numpy_world import sigmoid
from ..schedule import LARGEST
from ..show.pages import inline_svg, page_template
from ..targets import dpo_target
from ..theory.efficiency import effective_sample_size
from ..weights import weight
from .effects import largest_shift, targets_at
from .fits import probability
from .recommendation import lower_lam, lower_tau, scaled, with_c_max
from .text import (
    advice_text,
    choice_rows,
    effect_rows,
    fitted_text,
    offset_rows,
    settings_text,
    target_rows,
)

__all__ = ["tables", "write_page"]

BARS = 120
TAIL = 0.001
"""Share of the pairs on either side that the plots may leave out."""


def write_page(diagnosis, out):
    """Write the self-contained page of a :class:`~.diagnosis.Diagnosis`; returns its path.

    out : the page. The same diagnosis gives the same bytes.
    """
    drawn = {
        name: inline_svg(name, FIGURES[f"diagnosis_{name}"].draw(table))
        for name, table in tables(diagnosis).items()
    }
    names, rows = effect_rows(diagnosis)
    advice, out = diagnosis.recommendation, Path(out)
    page = page_template("diagnosis.html.j2").render(
        d=diagnosis,
        figures=drawn,
        asked=settings_text(diagnosis),
        recommended=advice and advice_text(diagnosis),
        choices=advice and choice_rows(diagnosis),
        quantiles=list(offset_rows(diagnosis) if advice else target_rows(diagnosis)),
        names=names,
        rows=rows,
        fitted=list(fitted_text(diagnosis)),
        name=Path(diagnosis.source).name,
    )
    with replacing(out) as temporary:
        temporary.write_bytes(page.encode())
    return out


def tables(diagnosis):
    """The table that each figure called diagnosis_NAME draws, by NAME."""
    found = {
        "margins": _margins(diagnosis),
        "reliability": _reliability(diagnosis),
        "targets": _targets(diagnosis),
    }
    return found if diagnosis.recommendation is None else found | {"choice": _choice(diagnosis)}


class _Table:
    """Equally long columns, filled in blocks; what a block lacks is NaN, or repeated."""

    def __init__(self, *names):
        self.names, self.blocks = names, []

    def add(self, **values):
        size = max(np.size(v) for v in values.values())
        self.blocks.append(
            [np.broadcast_to(values.get(name, np.nan), size) for name in self.names]
        )  # fmt: skip

    def made(self):
        return {
            name: np.concatenate([block[i] for block in self.blocks])
            for i, name in enumerate(self.names)
        }


def _methods(diagnosis):
    """(name, method) of all but the efficient weight, and of what is recommended instead, if it is
    for the same margins."""
    found = [(e.kind, e.method) for e in diagnosis.effects if e.kind != "efficient"]
    advice = diagnosis.recommendation
    if advice and advice.changed and advice.effect and advice.scale == diagnosis.scale:
        found.append(("recommended", advice.effect.method))
    return found


def _density(margins, counts, low, high):
    """(lower edges, share of the pairs per nat) of bars of one width, one beginning at 0.

    As many bars as Rice's rule says, twice the cube root of the pairs, and at most BARS.
    """
    width = (high - low) / min(BARS, np.ceil(2 * np.cbrt(counts.sum())))
    edges = width * np.arange(np.floor(low / width), np.ceil(high / width) + 1)
    heights, _ = np.histogram(margins, edges, weights=counts)
    return edges[:-1], heights / (counts.sum() * width)


def _margins(d):
    low, high = d.sketch.quantile(TAIL), d.sketch.quantile(1 - TAIL)
    pad = 0.02 * (high - low) or 0.5
    low, high = min(low, 0.0) - pad, max(high, 0.0) + pad
    table = _Table("element", "name", "x", "y")
    edges, heights = _density(d.sketch.margins, d.sketch.counts, low, high)
    middles = edges + (edges[1] - edges[0]) / 2
    for regime in d.regimes:
        inside = (middles >= regime.low) & (middles < regime.high)
        if inside.any():
            table.add(element="bar", name=regime.name, x=edges[inside], y=heights[inside])
    h = np.linspace(low, high, 801)
    for name, method in _methods(d):
        if method.slot_weighting is not None:
            table.add(element="weight", name=name, x=h, y=weight(h, method.slot_weighting))
    return table.made()


def _reliability(d):
    table = _Table("element", "x", "y", "low", "high", "share")
    bins = d.calibration.bins
    table.add(
        element="bin",
        x=np.array([b.confidence for b in bins]),
        y=np.array([b.agreement for b in bins]),
        low=np.array([b.agreement_low for b in bins]),
        high=np.array([b.agreement_high for b in bins]),
        share=np.array([b.pairs for b in bins]) / d.pairs,
    )
    both = d.calibration.fits.both
    if both is not None:
        h = np.linspace(0, 8, 401)
        table.add(element="fit", x=sigmoid(h), y=probability(h, both.scale, both.flip_rate))
    return table.made()


def _targets(d):
    sizes = np.abs(d.sketch.margins)
    order = np.argsort(sizes)
    at = np.searchsorted(np.cumsum(d.sketch.counts[order]), (1 - 2 * TAIL) * d.pairs)
    reach = float(sizes[order][min(at, len(order) - 1)]) * 1.05 or 1.0
    u = np.linspace(0, reach, 801)
    table = _Table("element", "name", "x", "y")
    for name, method in _methods(d):
        targets = targets_at(method, u)
        drawn = np.isfinite(targets)
        if drawn.any() and name != "dpo":
            table.add(element="curve", name=name, x=u[drawn], y=targets[drawn])
    table.add(element="curve", name="dpo", x=u, y=dpo_target(u))
    first = d.effects[0]
    if first.dpo_beta is not None:
        name = f"DPO, beta = {first.dpo_beta:.3g}"
        table.add(element="curve", name=name, x=u, y=first.rho * u)
    for fall in first.falls:
        if fall.start < reach:
            table.add(element="fall", x=np.array([fall.start, min(fall.end, reach)]), y=0.0)
    edges, heights = _density(sizes, d.sketch.counts, 0.0, reach)
    table.add(element="density", x=edges, y=heights)
    return table.made()


def _choice(d):
    table = _Table("panel", "element", "name", "x", "y")
    c_max = np.geomspace(0.02, max(1.5 * (d.schedule.c_max - 1), 4.0), 33) + 1
    c_max = c_max[c_max <= LARGEST]

    advice = d.recommendation
    pairs = scaled(d.sketch, advice.scale / d.scale)
    name = advice.choice and advice.choice.name
    mend, mark = lower_tau if name == "tau" else lower_lam, advice.schedule
    if name == "target_shaped":
        mark = None  # another weight than the curve is of

    def values(schedule):
        weights = weight(pairs.margins, schedule)
        share = effective_sample_size(weights, pairs.counts) / d.pairs
        return {"ess": share, "D": largest_shift(schedule)}

    asked = [with_c_max(d.schedule, c) for c in c_max]
    ordered = [mend(schedule) for schedule in asked]
    for name, schedules, made in (
        ("asked", asked, d.schedule),
        ("recommended", ordered, mark),
    ):
        found = [values(schedule) for schedule in schedules]
        for panel in ("ess", "D"):
            y = np.array([value[panel] for value in found])
            table.add(panel=panel, element="curve", name=name, x=c_max, y=y)
            if made is not None:
                y = values(made)[panel]
                table.add(panel=panel, element="mark", name=name, x=made.c_max, y=y)
    table.add(panel="ess", element="wanted", name="wanted", x=np.nan, y=d.ess)
    if d.bound is not None:
        table.add(panel="D", element="wanted", name="wanted", x=np.nan, y=d.bound)
    return table.made()
