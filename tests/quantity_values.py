"""The certified quantities in floats, to hold enclosures against."""

import numpy as np

from madpo_theory import log_weight, log_weight_ratio, weight

STEP = 2.0**-20  # nats: slopes are differences over this step


def values(name, h, weighting):
    """The quantity at margins h, in floats; slopes as differences over STEP, which average them."""

    def slope(f):
        return (f(h + STEP, weighting) - f(h, weighting)) / STEP

    return {
        "sensitivity": lambda: abs(slope(log_weight_ratio)),
        "influence": lambda: abs(log_weight_ratio(h, weighting)),
        "dampening": lambda: np.maximum(-log_weight_ratio(abs(h), weighting), 0),
        "log_weight_max": lambda: log_weight(h, weighting),
        "log_weight_min": lambda: -log_weight(h, weighting),
        "target_slope_min": lambda: -1 - slope(log_weight_ratio),
        "target_slope_max": lambda: 1 + slope(log_weight_ratio),
        "weight_slope": lambda: abs(slope(weight)),
    }[name]()
