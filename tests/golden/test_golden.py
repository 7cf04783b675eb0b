"""The library against committed 40-digit values, and those values against their script."""

import importlib.util
import json
from pathlib import Path

import mpmath as mp
import pytest
from formulas import LIBRARY, OF_MARGINS

HERE = Path(__file__).parent
SPEC = importlib.util.spec_from_file_location("golden_make", HERE / "make.py")
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)
GOLDEN = json.loads(make.FILE.read_text())


def test_the_committed_values_are_what_the_script_writes():
    assert make.FILE.read_text() == make.text()


@pytest.mark.parametrize("name", OF_MARGINS)
@pytest.mark.parametrize("label", make.SCHEDULES)
def test_floats_agree_with_the_committed_values(label, name):
    """1e-13 relative; the risk slope, a difference of numbers below 2, to 1e-15 absolute."""
    floor = 1e-15 if name == "risk_slope" else 1e-300
    for margin, digits in GOLDEN[label][name].items():
        h = float(margin)
        value = OF_MARGINS[name](LIBRARY, h, h, h / 2, make.SCHEDULES[label])
        assert abs(mp.mpf(value) - mp.mpf(digits)) <= 1e-13 * abs(mp.mpf(digits)) + floor
