"""Write reference.json: 40-digit values of every formula, by the oracle (mpmath).

Run from the repository root: ``PYTHONPATH=tests/support python tests/golden/make.py``. The test
beside it regenerates the text and compares, so the file cannot drift from this script.
"""

import json
from pathlib import Path

import mpmath as mp
import oracle
from formulas import OF_MARGINS

from madpo_theory import MarginSchedule

FILE = Path(__file__).with_name("reference.json")
MARGINS = ("-1e4", "-6.5", "-2", "-1.75", "-1e-8", "0", "1e-300", "0.5", "2", "7.25", "800")
SCHEDULES = {
    "released": MarginSchedule.released(exact=True),
    "released, c_max = 4": MarginSchedule.released(4, exact=True),
    "class defaults": MarginSchedule.class_defaults(exact=True),
}


def reference():
    """{schedule: {function: {margin: 40 digits}}} at h_true = h_model = margin, z = margin/2."""
    return {
        label: {
            name: {
                text: mp.nstr(
                    formula(oracle, float(text), float(text), float(text) / 2, schedule), 40
                )
                for text in MARGINS
            }
            for name, formula in OF_MARGINS.items()
        }
        for label, schedule in SCHEDULES.items()
    }


def text():
    return json.dumps(reference(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
