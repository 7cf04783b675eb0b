"""What decides in the library decides under ``python -O`` too, where no assert is left."""

import ast
import subprocess
import sys

import pytest
from test_imports import MODULES, tree_of

FALSEHOODS = """
from madpo_theory.claims.evidence import enclosed, must, property_test, simulated
from madpo_theory.claims import CLAIMS, verify
from madpo_theory.claims.settings import margins
from dataclasses import replace

@property_test("h is at most 1", "never")
def small(h=margins()):
    must(h <= 1, f"h = {h}")

@enclosed("1 is above 2", "never")
def above():
    must(1 > 2)

@simulated("nothing is far off", "never")
def near():
    return "ten", [10.0]

claim = replace(CLAIMS[0], evidence=(small, above, near))
print(*(e.outcome for _, found in verify([claim]).rows for e in found), __debug__)
"""


def test_no_assert_decides_in_the_library():
    found = {
        name: [node.lineno for node in ast.walk(tree_of(name)) if isinstance(node, ast.Assert)]
        for name in MODULES
    }
    assert len(found) > 300 and not any(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-O",)], ids=["plain", "optimized"])
def test_a_falsehood_disagrees_however_python_is_run(options):
    command = [sys.executable, *options, "-c", FALSEHOODS]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.split() == ["DISAGREES"] * 3 + [str(not options)]
