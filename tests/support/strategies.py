"""What tests draw at random beside the ledger's own strategies (`claims.settings`)."""

import numpy as np
from hypothesis import strategies as st

from madpo_theory import MarginSchedule


def floats(low, high, **kwargs):
    return st.floats(low, high, allow_nan=False, allow_infinity=False, **kwargs)


SEEDS = st.integers(0, 2**32 - 1)
# Schedules that move a target by at most 7.5 nats: beyond, weights differ by so many powers of ten
# that float64 cannot tell a design that spans from one that does not, which is no theorem's matter.
GENTLE = st.builds(
    MarginSchedule,
    c_max=floats(1.001, 2.5),
    c_min=floats(0.0, 0.999),
    lam=floats(0.05, 20.0),
    tau=floats(0.01, 5.0),
)


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
