"""Hypothesis strategies: valid schedules, and margins where the formulas change character.

The bounds are those of the accuracy promise: lam >= 0.05 (below it the rounding of c limits
log w where it underflows, see `log_weight`) and parameters that a person might choose.
"""

import math

import numpy as np
from hypothesis import strategies as st

from madpo_theory import MarginSchedule


def floats(low, high, **kwargs):
    return st.floats(low, high, allow_nan=False, allow_infinity=False, **kwargs)


POSITIVE_C_MIN = floats(1e-3, 0.999)
ANY_C_MIN = st.just(0.0) | POSITIVE_C_MIN


def schedules(c_min=ANY_C_MIN):
    """Every kind of valid schedule: amplifying a little or a lot, gentle or nearly a step."""
    return st.builds(
        MarginSchedule,
        c_max=floats(1.001, 100.0),
        c_min=c_min,
        lam=floats(0.05, 20.0),
        tau=floats(0.01, 100.0),
    )


def margins(bound=1e4):
    """Margins of either sign, tiny ones included."""
    signs = st.sampled_from((-1.0, 1.0))
    tiny = st.builds(lambda sign, e: sign * 10.0**e, signs, floats(-300.0, -3.0))
    return floats(-bound, bound, allow_subnormal=False) | floats(-20.0, 20.0) | tiny


@st.composite
def scheduled_margins(draw, bound=1e4, **kwargs):
    """(schedule, margin): the margin often sits within a few ulps of +-tau, or in (-tau, 0)."""
    schedule = draw(schedules(**kwargs))
    tau = schedule.tau
    near_tau = st.builds(
        lambda sign, k: sign * (tau + k * math.ulp(tau)),
        st.sampled_from((-1.0, 1.0)),
        st.integers(-4, 4) | st.integers(-(2**40), 2**40),
    )
    return schedule, draw(margins(bound) | near_tau | floats(-tau, 0.0, allow_subnormal=False))


def telling_margins(schedule, n=60):
    """Tiny, ordinary and huge margins, and those around 0 and +-tau, of either sign."""
    rng, tau = np.random.default_rng(7), schedule.tau
    positive = np.concatenate(
        [
            10.0 ** rng.uniform(-300, -3, n),
            10.0 ** rng.uniform(-3, 4, n),
            rng.uniform(0, tau, n),
            rng.uniform(0, 3000, n),
            tau + np.spacing(tau) * np.arange(-4, 5),
            tau * (1 + 10.0 ** rng.uniform(-15, -1, n) * rng.choice([-1, 1], n)),
            [0.0, 1e4],
        ]
    )
    return np.concatenate([positive, -positive])
