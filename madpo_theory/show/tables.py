"""The tables behind the figures of the theory: dicts of equally long columns."""

import math
from functools import partial

import numpy as np

from .. import risk, targets
from ..methods import METHODS
from ..order import beyond_limit, falling_stretches, monotone_limit
from ..schedule import MarginSchedule, coefficient
from ..weights import WEIGHTS, log_weight_ratio, weight
from .experiment import MEASURED, label_of, read_summary, setting_of
from .names import is_ours

__all__ = [
    "corrected_weights",
    "effective_target",
    "field_targets",
    "monotone_region",
    "pair_risk",
    "primer",
    "reward_kl",
    "target_shift",
    "weight_and_coefficient",
]


SCHEDULES = {
    "madpo_2": MarginSchedule.released(2),
    "madpo_3": MarginSchedule.released(3),
    "madpo_4": MarginSchedule.released(4),
    "madpo_class": MarginSchedule.class_defaults(),
}
ONE, TWO = (
    {name: SCHEDULES[name] for name in names} for names in (("madpo_2",), ("madpo_2", "madpo_4"))
)
"""Those of a figure for which all would be too many."""
EXACT = {f"madpo_{c}": MarginSchedule.released(c, exact=True) for c in (2, 4)}


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


def weight_and_coefficient(schedules=SCHEDULES):
    """w(h) and c(|h|) of the released schedules and the class defaults, kinks and crossings."""
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


def effective_target(schedules=TWO, methods=()):
    """Targets of an exact reward model, MADPO, DPO and IPO, and the stretches where they fall.

    Instances of `methods`, which have a target, stand beside them; NaN where it is infinite.
    """
    beta = 0.1  # cancels: beta m* does not depend on it
    h = _grid(0.0, 12.0, *(s.tau for s in schedules.values()))
    pieces = []
    shown = {name: partial(_exact_target, s) for name, s in schedules.items()}
    shown |= {method.own_name: partial(_target_of, method) for method in methods}
    for name, target in shown.items():
        pieces.append(_rows(method=name, element="curve", h=h, z=target(h)))
        for ends in falling_stretches(target, h):
            pieces.append(_rows(method=name, element="fall", h=ends, z=target(ends)))
    pieces.append(_rows(method="dpo", element="curve", h=h, z=targets.dpo_target(h)))
    pieces.append(_rows(method="ipo", element="curve", h=h, z=beta * targets.ipo_target(h, beta)))
    return _stack(pieces)


def _exact_target(schedule, h):
    return targets.effective_target(h, h, schedule)


def _target_of(method, h):
    try:
        return _finite_target(method, h)
    except TypeError as error:
        raise ValueError(f"method = {method.own_name}: {error}; show one with a target") from error


def _finite_target(method, h):
    """Its targets of an exact reward model, NaN where infinite; TypeError where it has none: it is
    no function of the margin alone, or watches its batch."""
    target = np.asarray(method.target(h), dtype=float)
    return np.where(np.isfinite(target), target, np.nan)


def pair_risk(schedules=ONE):
    """R(z) of a hard, a medium and an easy pair, with the minimizers."""
    ((name, s),) = schedules.items()
    pieces = []
    for pair, h, lo, hi in (("hard", 0.5, -1.5, 3), ("medium", 3.0, -1, 9), ("easy", 8.0, 3, 13)):
        for method, h_model in ((name, h), ("dpo", 0.0)):  # w(0) = 1: DPO
            best = targets.effective_target(h, h_model, s)
            z = np.linspace(lo, hi, 401)
            for element, at in (("curve", z), ("minimizer", np.array([best]))):
                y = risk.pair_risk(at, h, h_model, s)
                pieces.append(_rows(pair=pair, h=h, method=method, element=element, z=at, risk=y))
    return _stack(pieces)


PRIMER = 2.0
"""True margin of the pair that the primer follows, nats; its reward model is exact."""


def primer(schedules=ONE):
    """One pair: the coefficient of its margin, the weights of its two labels, its risk."""
    ((_, s),) = schedules.items()
    u, h, z = _grid(0.0, 10.0, s.tau), _grid(-10.0, 10.0, -s.tau, 0.0), np.linspace(-1.5, 8.0, 401)
    target = targets.effective_target(PRIMER, PRIMER, s)
    pieces = [
        _rows(panel="coefficient", element="curve", x=u, y=coefficient(u, s)),
        _rows(panel="coefficient", element="pair", x=PRIMER, y=coefficient(PRIMER, s)),
        _rows(panel="weight", element="curve", x=h, y=weight(h, s)),
    ]
    for sign, element in ((1, "agreed"), (-1, "disputed")):
        at = sign * PRIMER
        pieces.append(_rows(panel="weight", element=element, x=at, y=weight(at, s)))
    for element, h_model, at in (("madpo", PRIMER, target), ("dpo", 0.0, PRIMER)):  # w(0) = 1
        risks = risk.pair_risk(np.append(z, at), PRIMER, h_model, s)
        pieces.append(_rows(panel="risk", element=element, x=z, y=risks[:-1]))
        pieces.append(_rows(panel="risk", element=f"{element} target", x=at, y=risks[-1]))
    return _stack(pieces)


def target_shift(schedules=TWO):
    """delta(h) with its certified bound D and the tangent of its certified slope L."""
    from ..certify import QUANTITIES, supremum

    pieces = []
    for name, s in schedules.items():
        exact = EXACT.get(name, s)  # of a float, the number that it is
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
            pieces.append(_rows(schedule=name, element=element, h=x, shift=y, bound=bound))
    return _stack(pieces)


def monotone_region(schedules=SCHEDULES):
    """Map of monotone_limit, the schedules that have a name, and the certified cells."""
    from ..certify import section_cells

    c_max = np.geomspace(1.1, 8.0, 121)
    c_min = np.linspace(0.0, 0.98, 99)
    x, y = np.meshgrid(c_max, c_min)
    limit = monotone_limit(x, y)
    pieces = [
        _region_rows("map", "limit", x, y, limit),
        _region_rows("map", "beyond", x, y, beyond_limit(x, y) < limit),
        _region_rows("map", "harmonic", c_max, c_max / (2 * c_max - 1)),
        _region_rows("map", "released type", c_max, 1 / c_max),
        _region_rows("section", "limit", c_max, monotone_limit(c_max, np.array(0.5))),
    ]
    for cell in section_cells().ravel():
        (low, high), _, _, (near, far) = (map(float, side) for side in cell.box.sides)
        middle = ((low + high) / 2, (near + far) / 2)
        pieces.append(_region_rows("cells", cell.verdict, *middle, high - low))
    for name, s in schedules.items():
        pieces.append(_region_rows("map", name, s.c_max, s.c_min, s.lam * s.tau))
        if s.c_min == 0.5:
            pieces.append(_region_rows("section", name, s.c_max, s.lam * s.tau))
    return _stack(pieces)


def _region_rows(panel, element, x, y, value=math.nan):
    return _rows(panel=panel, element=element, x=x, y=y, value=np.asarray(value, dtype=float))


def corrected_weights(schedules=ONE):
    """Weights and targets of the published weight and the three proposed ones."""
    ((_, s),) = schedules.items()
    names = ("published", "bounded_ratio", "target_shaped", "efficient")
    weights = {name: WEIGHTS[name].of(s) for name in names}
    h, u = _grid(-12.0, 12.0, -s.tau, 0.0), _grid(0.0, 14.0, s.tau)
    pieces = []
    for name, w in weights.items():
        pieces.append(_rows(panel="weight", method=name, h=h, y=weight(h, w)))
        pieces.append(_rows(panel="target", method=name, h=u, y=targets.effective_target(u, u, w)))
    return _stack(pieces)


def field_targets():
    """Targets of an exact reward model, every method of the library that has one, at its defaults
    but the released schedule; methods of one target are one curve.

    Columns: group (the name of its first method), others (how many more), h, target (NaN where it
    is infinite), gain (target/h).
    """
    h, groups = np.linspace(0.05, 12.0, 240), []
    for name, cls in METHODS.items():
        if not is_ours(cls):
            continue
        method = cls.of(schedule=MarginSchedule.released())
        try:
            target = _finite_target(method, h)
        except TypeError:
            continue
        for found in groups:
            # closed forms to a few ulp; a searched root of a flat risk to 1e-6
            if np.allclose(found[1], target, rtol=1e-6, atol=1e-6, equal_nan=True):
                found[2].append(name)
                break
        else:
            groups.append((name, target, []))
    finite = [group for group in groups if np.isfinite(group[1]).any()]
    return _stack(
        [
            _rows(group=name, others=len(more), h=h, target=target, gain=target / h)
            for name, target, more in finite
        ]
    )


def reward_kl(experiment):
    """Reward and KL of the methods of a finished experiment, with their intervals."""
    summary = read_summary(experiment)
    labels = list(map(label_of, summary["method"], summary["beta"]))
    keep = {name: summary[name] for name in ("method", "beta", "c_max", "tau", "seed", *MEASURED)}
    return {"setting": [setting_of(experiment)] * len(labels), "label": labels, **keep}
