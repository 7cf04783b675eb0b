"""Figures of the paper: tables built with the library's own functions, drawn by paper_figures."""

import csv
import importlib
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..align.summary import COLUMNS
from ..files import replacing
from ..order import limit_decides, monotone_limit
from ..risk import pair_risk
from ..schedule import MarginSchedule, coefficient
from ..targets import dpo_target, effective_target, ipo_target
from ..weights import (
    BoundedRatioWeight,
    EfficientWeight,
    PowerTarget,
    TargetShapedWeight,
    log_weight_ratio,
    weight,
)

__all__ = ["FIGURES", "METHODS", "FigureSpec", "make_figures", "read_json", "read_summary"]

COMMAND = "madpo figures"
SENTIMENT = "madpo sentiment --preset cpu"
STUDY = "madpo study"

METHODS = {
    "sft": "SFT",
    "dpo": "DPO",
    "dpo_matched": "DPO",
    "ipo": "IPO",
    "beta_dpo": "β-DPO",
    "madpo": "MADPO",
    "dpo_filtered": "DPO, filtered",
    "dpo_relabelled": "DPO, relabelled",
    "ipo_per_token": "IPO, per token",
    "beta_dpo_madpo": "β-DPO, MADPO's author's",
    "amp_only": "Amp-Only",
    "reg_only": "Reg-Only",
    "bounded_ratio": "bounded ratio",
    "target_shaped": "target shaped",
    "distillation": "distillation",
}
MEASURED = ("reward", "reward_lo", "reward_hi", "kl", "kl_lo", "kl_hi")


@dataclass(frozen=True)
class FigureSpec:
    """A figure: how its table is built, which module draws it, and what a reader should see.

    `build` takes the folder that the figure needs, an experiment's or the recorded study's (None
    if it needs none), and returns the table: a dict of equally long columns. `caption` may hold
    $...$ mathematics; `alt` is plain.
    """

    name: str
    title: str
    caption: str
    alt: str
    build: Callable
    needs_experiment: bool = False
    needs_results: bool = False

    @property
    def needs(self):
        """What it is built from and the command that makes that, or None."""
        if self.needs_results:
            return "recorded study", STUDY
        return ("experiment run", SENTIMENT) if self.needs_experiment else None

    def source(self, experiment, results):
        """The one of the two folders that it is built from."""
        return results if self.needs_results else experiment

    def draw(self, table):
        """The matplotlib Figure of a table; imports matplotlib."""
        return importlib.import_module(f"paper_figures.{self.name}").draw(table)


def make_figures(out, *, experiment, results=None, names=None, say=None):
    """Write each figure as PNG (200 dpi), PDF and the CSV of its table; returns the paths.

    Parameters
    ----------
    out : folder, created if missing.
    experiment : folder of a finished sentiment run, or None: figures that need one are skipped.
    results : folder of the recorded sentiment study, or None: the same.
    names : names of :data:`FIGURES`, all of them by default.
    say : called with one line of text for each figure skipped; prints to stderr by default.

    The same inputs give the same bytes. Raises ValueError, naming file, column and remedy, for
    an unknown name or a summary that is missing, empty, incomplete or not finite.
    """
    out = Path(out)
    say = say or (lambda text: print(text, file=sys.stderr))
    chosen = list(FIGURES) if names is None else list(names)
    for name in chosen:
        if name not in FIGURES:
            raise ValueError(f"no figure is called {name!r}; choose among {', '.join(FIGURES)}")
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in chosen:
        spec = FIGURES[name]
        source = spec.source(experiment, results)
        if source is None and spec.needs:
            what, command = spec.needs
            say(f"figure {name} skipped: there is no {what}; make one with `{command}`")
            continue
        table = spec.build(source)
        figure = spec.draw(table)
        written += [_save(figure, out / f"{name}.{kind}") for kind in ("png", "pdf")]
        written.append(out / f"{name}.csv")
        with replacing(written[-1]) as path:
            path.write_bytes(table_bytes(table))
    return written


def draw_study(name, path):
    """Draw the table of a simulation study beside it, as PNG; returns the path."""
    from pyarrow import parquet

    columns = parquet.read_table(path).to_pydict()
    table = {column: np.array(values) for column, values in columns.items()}
    draw = importlib.import_module(f"paper_figures.study_{name}").draw
    return _save(draw(table), Path(path).with_suffix(".png"))


def _save(figure, target):
    """Write a Figure, without dates, versions or anything else that changes between runs."""
    from paper_figures.style import styled

    kind = target.suffix[1:]
    unstamped = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    with replacing(target) as path:
        styled(figure.savefig)(path, format=kind, metadata=unstamped[kind])
    return target


def table_bytes(table):
    """A table as CSV in UTF-8: ten significant digits, empty where not a number."""
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    for row in zip(*(np.asarray(column).tolist() for column in table.values()), strict=True):
        writer.writerow(_cell(value) for value in row)
    return text.getvalue().encode()


def _cell(value):
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.10g}"
    return "" if value is None else value


# --- tables -------------------------------------------------------------------------------------


def _rows(**columns):
    """Columns broadcast to one length; a dict of arrays."""
    names, values = columns.keys(), columns.values()
    return dict(zip(names, map(np.ravel, np.broadcast_arrays(*values)), strict=True))


def _stack(pieces):
    """Tables of the same columns, one under the other."""
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _grid(lo, hi, *through, n=1201):
    """`n` equal steps from lo to hi, and the given points between them."""
    inside = [x for x in through if lo <= x <= hi]
    return np.unique(np.concatenate([np.linspace(lo, hi, n), inside]))


def _weight_and_coefficient(experiment=None):
    schedules = {
        f"released, c_max = {c_max}": MarginSchedule.released(c_max) for c_max in (2, 3, 4)
    }
    schedules["class defaults, tau = 2"] = MarginSchedule.class_defaults()
    pieces = []
    for name, s in schedules.items():
        h, u = _grid(-12.0, 12.0, -s.tau, 0.0), _grid(0.0, 12.0, s.tau)
        for panel, element, x, y in (
            ("weight", "curve", h, weight(h, s)),
            ("weight", "kink", -s.tau, weight(-s.tau, s)),
            ("coefficient", "curve", u, coefficient(u, s)),
            ("coefficient", "crossing", s.tau, coefficient(s.tau, s)),
        ):
            pieces.append(_rows(panel=panel, schedule=name, element=element, x=x, y=y))
    return _stack(pieces)


def _effective_target(experiment=None):
    beta = 0.1  # cancels: beta m* does not depend on it
    h = _grid(0.0, 12.0, MarginSchedule.released().tau)
    pieces = []
    for c_max in (2, 4):
        s = MarginSchedule.released(c_max)
        name = f"MADPO, c_max = {c_max}"
        z = effective_target(h, h, s)
        pieces.append(_rows(method=name, element="curve", h=h, z=z))
        for ends in _falls(h, z, lambda x, s=s: effective_target(x, x, s)):
            pieces.append(
                _rows(method=name, element="fall", h=ends, z=effective_target(ends, ends, s))
            )
    pieces.append(_rows(method="DPO", element="curve", h=h, z=dpo_target(h)))
    pieces.append(_rows(method="IPO", element="curve", h=h, z=beta * ipo_target(h, beta)))
    return _stack(pieces)


def _study_table(name):
    """The builder of a table of the recorded sentiment study."""

    def build(folder):
        return getattr(importlib.import_module("experiments.sentiment.tables"), name)(folder)

    return build


def _falls(x, y, function):
    """End points of the stretches where `function`, sampled as y at x, falls."""
    from scipy.optimize import minimize_scalar

    def extremum(index, sign):
        if index in (0, len(x) - 1):
            return x[index]
        found = minimize_scalar(
            lambda t: sign * function(float(t)),
            bounds=(x[index - 1], x[index + 1]),
            method="bounded",
            options={"xatol": 1e-10},
        )
        # A kink, where the sample itself is extreme, beats the search.
        return found.x if found.fun < sign * y[index] else x[index]

    steps = np.diff(np.concatenate([[0], (np.diff(y) < 0).astype(int), [0]]))
    for start, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        yield np.array([extremum(start, -1.0), extremum(end, 1.0)])


def _pair_risk(experiment=None):
    s = MarginSchedule.released()
    pieces = []
    for pair, h, lo, hi in (("hard", 0.5, -1.5, 3), ("medium", 3.0, -1, 9), ("easy", 8.0, 3, 13)):
        for method, h_model in (("MADPO, c_max = 2", h), ("DPO", 0.0)):  # w(0) = 1: DPO
            best = effective_target(h, h_model, s)
            z = np.linspace(lo, hi, 401)
            for element, at in (("curve", z), ("minimizer", np.array([best]))):
                risk = pair_risk(at, h, h_model, s)
                pieces.append(
                    _rows(pair=pair, h=h, method=method, element=element, z=at, risk=risk)
                )
    return _stack(pieces)


def _target_shift(experiment=None):
    from ..certify import QUANTITIES, supremum

    pieces = []
    for c_max in (2, 4):
        s, exact = MarginSchedule.released(c_max), MarginSchedule.released(c_max, exact=True)
        influence, sensitivity = (
            supremum(QUANTITIES[name], exact) for name in ("influence", "sensitivity")
        )
        h, steepest = _grid(-14.0, 14.0, -s.tau, s.tau), float(sensitivity.witness.middle)
        run = 0.4 * influence.upper / sensitivity.upper  # half the width of the drawn tangent
        slope = math.copysign(
            sensitivity.upper,
            log_weight_ratio(steepest + 1e-6, s) - log_weight_ratio(steepest - 1e-6, s),
        )
        tangent = steepest + run * np.array([-1.0, 1.0])
        for element, x, y, bound in (
            ("curve", h, log_weight_ratio(h, s), math.nan),
            ("influence", math.nan, influence.upper * np.array([-1.0, 1.0]), influence.upper),
            (
                "tangent",
                tangent,
                log_weight_ratio(steepest, s) + slope * (tangent - steepest),
                sensitivity.upper,
            ),
        ):
            name = f"released, c_max = {c_max}"
            pieces.append(_rows(schedule=name, element=element, h=x, shift=y, bound=bound))
    return _stack(pieces)


def _monotone_region(experiment=None):
    """Map of monotone_limit, the schedules that have a name, and the certified cells."""
    from ..certify import section_cells

    c_max = np.geomspace(1.1, 8.0, 121)
    c_min = np.linspace(0.0, 0.98, 99)
    x, y = np.meshgrid(c_max, c_min)
    limit = monotone_limit(x, y)
    decided = np.array([[limit_decides(a, b) for a in c_max[::2]] for b in c_min[::2]])
    pieces = [
        _region_rows("map", "limit", x, y, limit),
        _region_rows("map", "beyond", x[::2, ::2], y[::2, ::2], ~decided),
        _region_rows("map", "harmonic", c_max, c_max / (2 * c_max - 1)),
        _region_rows("map", "released type", c_max, 1 / c_max),
        _region_rows("section", "limit", c_max, monotone_limit(c_max, np.array(0.5))),
    ]
    for cell in section_cells().ravel():
        (low, high), _, _, (near, far) = (map(float, side) for side in cell.box.sides)
        middle = ((low + high) / 2, (near + far) / 2)
        pieces.append(_region_rows("cells", cell.verdict, *middle, high - low))
    for name, s in (
        ("released, c_max = 2", MarginSchedule.released(2)),
        ("released, c_max = 3", MarginSchedule.released(3)),
        ("released, c_max = 4", MarginSchedule.released(4)),
        ("class defaults, tau = 2", MarginSchedule.class_defaults()),
    ):
        pieces.append(_region_rows("map", name, s.c_max, s.c_min, s.lam * s.tau))
        if s.c_min == 0.5:
            pieces.append(_region_rows("section", name, s.c_max, s.lam * s.tau))
    return _stack(pieces)


def _region_rows(panel, element, x, y, value=math.nan):
    return _rows(panel=panel, element=element, x=x, y=y, value=np.asarray(value, dtype=float))


def _corrected_weights(experiment=None):
    s = MarginSchedule.released()
    weights = {
        "published": s,
        "bounded ratio": BoundedRatioWeight(s),
        "target shaped": TargetShapedWeight(PowerTarget.with_slope(s.tau, 0.5, s.c_max)),
        "efficient": EfficientWeight(s),
    }
    h, u = _grid(-12.0, 12.0, -s.tau, 0.0), _grid(0.0, 14.0, s.tau)
    pieces = []
    for name, w in weights.items():
        pieces.append(_rows(panel="weight", method=name, h=h, y=weight(h, w)))
        pieces.append(_rows(panel="target", method=name, h=u, y=effective_target(u, u, w)))
    return _stack(pieces)


def _reward_kl(experiment):
    summary = read_summary(experiment)
    labels = list(map(label_of, summary["method"], summary["beta"]))
    keep = {name: summary[name] for name in ("method", "beta", "c_max", "tau", "seed", *MEASURED)}
    return {"setting": [setting_of(experiment)] * len(labels), "label": labels, **keep}


def label_of(method, beta):
    """Name of a method as a reader meets it, with its temperature."""
    name = METHODS.get(method, method)
    return name if method == "sft" or _absent(beta) else f"{name}, β = {beta:g}"


def _absent(value):
    return value is None or (isinstance(value, float) and math.isnan(value))


# --- the experiment's files -----------------------------------------------------------------------


def read_json(path, *, remedy):
    """A JSON file; a ValueError names the file, the fault and the command that writes it."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except ValueError as error:  # also UnicodeDecodeError
        raise ValueError(f"{path}: not valid JSON ({error}); {remedy}") from error


def read_summary(experiment):
    """Columns of an experiment's ``summary.parquet``, checked, as lists of Python values.

    Raises ValueError, naming file, column and remedy, where a column is missing, a measured
    value is absent or not finite, an interval is reversed, or there is no method.
    """
    import pyarrow
    from pyarrow import parquet

    path = Path(experiment) / "summary.parquet"
    remedy = f"run the evaluation again with `{SENTIMENT}`"
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file; {remedy}")
    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise ValueError(f"{path}: not a readable Parquet file ({error}); {remedy}") from error
    if missing := [name for name in COLUMNS if name not in table.column_names]:
        raise ValueError(f"{path}: column {', '.join(map(repr, missing))} is missing; {remedy}")
    summary = {name: table.column(name).to_pylist() for name in COLUMNS}
    if not any(method != "sft" for method in summary["method"]):
        raise ValueError(f"{path}: column 'method' names no method besides sft; {remedy}")
    for name in MEASURED:
        for method, value in zip(summary["method"], summary[name], strict=True):
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(
                    f"{path}: column {name!r} holds {value} for method {method!r}, "
                    f"where a finite number belongs; {remedy}"
                )
    for name in ("reward", "kl"):
        lo, hi = summary[f"{name}_lo"], summary[f"{name}_hi"]
        for method, a, x, b in zip(summary["method"], lo, summary[name], hi, strict=True):
            if not a - 1e-9 <= x <= b + 1e-9:
                raise ValueError(
                    f"{path}: for method {method!r}, column {name!r} ({x}) lies outside its "
                    f"interval [{a}, {b}]; {remedy}"
                )
    return summary


def setting_of(experiment):
    """ "preset NAME" as config.json or details.json tell it, else "run FOLDER"."""
    experiment = Path(experiment)
    for name in ("config.json", "details.json"):
        found = read_json(experiment / name, remedy=f"run the experiment again with `{SENTIMENT}`")
        for level in (found, found.get("config") if isinstance(found, dict) else None):
            if isinstance(level, dict) and isinstance(level.get("preset"), str):
                return f"preset {level['preset']}"
    return f"run {experiment.name}"


FIGURES = {
    spec.name: spec
    for spec in (
        FigureSpec(
            "weight_and_coefficient",
            "Weight and coefficient",
            r"""Left: the weight of a pair's loss against the reward model's margin $h$ toward the
            observed label. Look at how little the curves rise above 1 and how far they fall below
            it: a schedule acts by suppressing labels that the reward model disputes,
            $-\tau < h < 0$ (shaded for the released $\tau$), and gives full weight again to the
            most strongly disputed ones. Hollow markers: the kink at $h=-\tau$. Right: the
            temperature coefficient against the size of the margin; it crosses 1 at $\tau$
            (hollow markers).""",
            "Weights dip towards zero between minus tau and zero and stay near one elsewhere; "
            "coefficients fall from below c max through one at tau.",
            _weight_and_coefficient,
        ),
        FigureSpec(
            "effective_target",
            "Effective targets",
            r"""Where each population loss sends $z=\beta m$ when the reward model is exact.
            Follow a MADPO curve to the right: it amplifies below $\tau$, but before $\tau$ it
            turns and falls (thick, shaded, ends labelled), so that an easier pair gets a smaller
            target; beyond $\tau$ it is DPO's diagonal up to a hair, not the dampening
            $c(|h^*|)h^*$. IPO's target is one for $m$; it is brought to this axis by its own
            $\beta$, $\beta m^* = \tanh(h^*/2)/2$, which never exceeds one half.""",
            "MADPO targets rise above the diagonal, fall back to it just before tau and then "
            "follow it; DPO is the diagonal; IPO stays below one half.",
            _effective_target,
        ),
        FigureSpec(
            "pair_risk",
            "Pair risk",
            r"""Expected loss of one pair over both labels, against $z=\beta m$ (exact reward
            model, released schedule). Compare the minimizers, marked
            and labelled: MADPO's lies beyond DPO's for a hard and for a medium pair, and on top
            of it for an easy one. Every curve is strictly convex.""",
            "Risk curves of a hard, a medium and an easy pair; MADPO's minimum is to the right of "
            "DPO's for the first two and coincides with it for the third.",
            _pair_risk,
        ),
        FigureSpec(
            "target_shift",
            "Target shift and its certified bounds",
            r"""How far the schedule moves a target, $\delta(h)=\log w(h)-\log w(-h)$. No reward
            model, however wrong, moves it beyond the dotted lines at $\pm D$; no error in the
            reward model's margin is magnified by more than $L$, the slope of the dashed tangent at
            the steepest point. Both numbers are upper bounds certified in ball arithmetic over the
            whole real line, tails included.""",
            "The target shift is odd, peaks inside the dotted bound lines, and is steepest just "
            "before tau where it returns to zero.",
            _target_shift,
        ),
        FigureSpec(
            "monotone_region",
            "Where targets keep the order of the margins",
            r"""Left: the largest $\lambda\tau$ for which an easier pair never gets a smaller target
            left of $\tau$, by $c_{\max}$ and $c_{\min}$, in closed form. Below the dashed line the
            slope at $\tau$ decides; above it the target turns earlier. Every schedule of the
            released type lies on the dotted line $c_{\min}=1/c_{\max}$. In the hatched corner
            a steep schedule can also reverse pairs beyond $\tau$. Right: the section
            $c_{\min}=1/2$. The class defaults lie in the region, the released schedule far
            above it; squares are boxes of schedules ($\lambda=1$) certified in ball arithmetic
            to lie inside or outside, without use of the closed form.""",
            "A map of the largest lambda tau over c max and c min, and a section at c min one half "
            "with the released schedule outside the region and the class defaults inside.",
            _monotone_region,
        ),
        FigureSpec(
            "corrected_weights",
            "Corrected weights",
            r"""Left: the published weight at the released schedule and three others, on a
            logarithmic axis. Right: the targets that each gives an exact reward model. The bounded
            ratio (N1) has $c(|h^*|)h^*$ on both sides of $\tau$, and inherits its fall; the
            target-shaped weight (N2) was built from a concave target, amplified by $c_{\max}$ at
            0, that never falls; the efficient weight (N4) has the published targets at the least
            variance, by weighting up what the published weight only fails to weight down.""",
            "Weights and targets of the published, bounded-ratio, target-shaped and efficient "
            "weights.",
            _corrected_weights,
        ),
        FigureSpec(
            "reward_kl",
            "Reward against KL",
            r"""The methods of the sentiment experiment with 95 % intervals in both directions,
            from the supervised model (SFT) at $\mathrm{KL}=0$. Read it as a frontier: a method is
            better only if it earns more reward at the same KL. Higher and further right is what
            any smaller $\beta$ buys.""",
            "Reward and KL of each method with intervals; SFT is the reference at the left.",
            _reward_kl,
            needs_experiment=True,
        ),
        FigureSpec(
            "sentiment_tiers",
            "Performance by tier",
            r"""Mean true reward of each method over the seeds recorded, with 95 % intervals over
            prompts and seeds; hollow markers are the published means, whose policy, judge and
            data are larger. All at $\beta=0.1$ but the second, DPO at $\beta/4$. Reward alone ranks
            temperatures as much as methods: see the frontier.""",
            "Mean reward by tier and method with intervals, and the published numbers.",
            _study_table("tiers"),
            needs_results=True,
        ),
        FigureSpec(
            "sentiment_frontier",
            "Reward and KL by tier",
            r"""Each recorded run a point; the line joins DPO at several $\beta$ (seed 0) and the
            fine-tuned model. A method is better only above that line;
            where DPO's true frontier bends, the line lies below it, which favours the rival.""",
            "Reward against KL for every run, a panel for each tier.",
            _study_table("frontier"),
            needs_results=True,
        ),
        FigureSpec(
            "sentiment_ablation",
            "Ablation",
            r"""DPO, either half of the published weight alone, and both, on the high tier at
            one seed. Hollow: published, at $\tau=7$ for both values of $c_{\max}$.""",
            "Reward of Reg-Only, Amp-Only and the full weight at two values of c max.",
            _study_table("ablation"),
            needs_results=True,
        ),
        FigureSpec(
            "sentiment_sensitivity",
            "Sensitivity to the schedule",
            r"""Reward of MADPO on the high tier against $c_{\max}$ at $\tau=\log 999$ and against
            $\tau$ at $c_{\max}=2$; one seed, intervals over prompts. Hollow: published.""",
            "Reward against c max and against tau, with the published numbers.",
            _study_table("sensitivity"),
            needs_results=True,
        ),
        FigureSpec(
            "sentiment_weights",
            "What the weights do to right and wrong labels",
            r"""MADPO's weights ($c_{\max}=4$) of the training pairs, by whether the label is that
            of the larger true reward. The weight works by suppressing labels that the reward model
            disputes; it is worth what the reward model knows.""",
            "Histograms of weights of pairs with right and with wrong labels, by tier.",
            _study_table("weights"),
            needs_results=True,
        ),
        FigureSpec(
            "sentiment_predictions",
            "Predictions against measurements",
            r"""Each prediction's interval (bar) and the measurement with its 95 % interval, every
            row on its own scale. The predictions were committed before the runs.""",
            "A row for each prediction with the predicted interval and the measured one.",
            _study_table("predictions"),
            needs_results=True,
        ),
    )
}
