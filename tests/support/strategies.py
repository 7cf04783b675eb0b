"""What tests draw at random beside the ledger's own strategies (`claims.settings`)."""

import numpy as np
from hypothesis import strategies as st


def floats(low, high, **kwargs):
    return st.floats(low, high, allow_nan=False, allow_infinity=False, **kwargs)


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
