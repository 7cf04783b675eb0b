"""What one forked child does: put the mutant in its module's place, run the tests, say who noticed.

Nothing is written to the library's files: a loader serves the mutated source from memory.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import signal
import sys
import time
import warnings
from collections import defaultdict

import pytest
from hypothesis import Phase, settings
from mutants import ROOMS, ROOT, path_of

SUITES = {
    "formulas": (
        "tests/test_ops.py",
        "tests/test_schedule.py",
        "tests/test_weight.py",
        "tests/test_weights.py",
        "tests/test_losses.py",
        "tests/test_methods.py",
        "tests/test_seam.py",
        "tests/align/test_preference.py",
        "tests/test_targets.py",
        "tests/test_risk.py",
        "tests/test_invalid_input.py",
        "tests/golden",
        "tests/test_claims.py::test_evidence_agrees",
    ),
    "certificates": (
        "tests/test_forgeries.py",
        "tests/test_certify.py",
        "tests/test_certify_boxes.py",
        "tests/test_audit_checker.py",
    ),
    # What judges the judge: not whether the claims' evidence agrees.
    "ledger": (
        "tests/test_ledger.py",
        *(
            f"tests/test_claims.py::{test}"
            for test in (
                "test_a_roll_up_stands_as_its_weakest_part",
                "test_a_roll_up_without_its_parts_is_refused",
                "test_evidence_for_a_falsehood_disagrees",
                "test_an_error_is_no_evidence_either_way",
                "test_a_claim_of_which_nothing_was_checked_is_said_to_be",
                "test_a_folder_that_cannot_be_written_is_no_contradiction",
                "test_a_foil_changes_what_the_evidence_finds_and_puts_it_back",
                "test_which_ends_of_a_certificate_are_compared",
                "test_slopes_come_with_certificates_that_the_sheets_checker_accepts",
                "test_simplified_is_zero_exactly_for_identities",
                "test_a_claim_with_an_unfounded_verdict_is_refused",
                "test_json_has_the_published_shape",
                "test_verify_exits_non_zero_on_disagreement",
            )
        ),
    ),
}
"""What has a say in the mutants of a room."""
LEDGER = "tests/test_claims.py"
EXAMPLES = 25
SECONDS = 3.0
"""Slower tests, without a mutant and traced, are not asked."""


class Mutated(importlib.abc.MetaPathFinder):
    """Serves the source of one module from memory; all others come from their files."""

    def __init__(self, module, source):
        self.name, self.path = f"madpo_theory.{module}", str(path_of(module))
        self.source = source

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        loader = _Loader(name, self.path)
        loader.source = self.source
        return importlib.util.spec_from_file_location(name, self.path, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a mutant may compare with `is`
            return compile(self.source, self.path, "exec", dont_inherit=True)


class Selection:
    """pytest plugin: run the given tests in the given order; remember the first that fails.

    A test that takes more than its limit of processor seconds ends the process by a signal.
    """

    def __init__(self, order=None, limits=None):
        self.order, self.limits, self.killer, self.seen = order, limits or {}, None, []

    def pytest_configure(self, config):
        settings.register_profile(
            "mutation",
            settings.get_profile("madpo"),
            max_examples=EXAMPLES,
            database=None,
            phases=(Phase.explicit, Phase.generate),
        )
        settings.load_profile("mutation")

    def pytest_collection_modifyitems(self, items):
        if self.order is not None:
            rank = {name: i for i, name in enumerate(self.order)}
            items[:] = sorted(
                (i for i in items if i.nodeid in rank), key=lambda item: rank[item.nodeid]
            )

    def pytest_collectreport(self, report):
        if report.failed:
            self.killer = self.killer or f"import of {report.nodeid}"

    def pytest_runtest_logstart(self, nodeid):
        signal.setitimer(signal.ITIMER_PROF, self.limits.get(nodeid, 0))

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.killer = self.killer or report.nodeid
        if report.when == "call" and report.passed:
            self.seen.append(report.nodeid)


OPTIONS = (
    "-x -q --no-header --no-summary --tb=no --disable-warnings "
    "-p no:cacheprovider -p no:xdist -p no:hypothesispytest "
    "-W ignore::pytest.PytestAssertRewriteWarning"
).split()


def run(mutant, stages, limits):
    """The test that notices the mutant, or None; `stages` are lists of tests, run in order."""
    if f"madpo_theory.{mutant.module}" in sys.modules:
        raise RuntimeError(f"{mutant.module} is imported already: no test would see the mutant")
    sys.meta_path.insert(0, Mutated(mutant.module, mutant.source))
    for order in stages:
        if not order:
            continue
        plugin = Selection(order, limits)
        signal.setitimer(signal.ITIMER_PROF, 60)  # for the imports
        files = list(dict.fromkeys(name.split("::")[0] for name in order))
        code = pytest.main([*OPTIONS, *files], plugins=[plugin])
        if plugin.killer is not None:
            return plugin.killer
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return f"pytest's exit code {int(code)}"
    return None


def run_by_hand(mutant, tests):
    """The first of the tests, slow ones too, that fails on the mutant, or None."""
    sys.meta_path.insert(0, Mutated(mutant.module, mutant.source))
    plugin = Selection()
    signal.setitimer(signal.ITIMER_PROF, 0)
    pytest.main([*OPTIONS, *tests], plugins=[plugin])
    return plugin.killer


class Tracing(Selection):
    """The suite without a mutant: how long a test takes, which functions of the library it calls.

    A mutant inside a function that a test never calls cannot be noticed by it.
    """

    def __init__(self, room):
        super().__init__()
        self.files = {str(path_of(module)): module for module in ROOMS[room]}
        self.calls, self.seconds = defaultdict(set), {}
        self.test, self.failed = "", []

    def trace(self, frame, event, argument):
        module = self.files.get(frame.f_code.co_filename)
        if module is not None:
            self.calls[self.test].add(f"{module}:{frame.f_code.co_firstlineno}")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        self.test, start = item.nodeid, time.process_time()
        sys.settrace(self.trace)
        yield
        self.seconds[item.nodeid] = time.process_time() - start
        self.test = ""

    def pytest_runtest_logreport(self, report):
        super().pytest_runtest_logreport(report)
        if report.failed:
            self.failed.append(report.nodeid)


def baseline(room):
    """Of a room: {tests: {name: {seconds, calls}}, always: [calls at import], failed: [...]}."""
    plugin = Tracing(room)
    sys.settrace(plugin.trace)
    files = [name for name in SUITES[room] if (ROOT / name.split("::")[0]).exists()]
    code = pytest.main(
        [o for o in OPTIONS if o != "-x"] + ["-m", "not slow", *files], plugins=[plugin]
    )
    sys.settrace(None)
    if plugin.failed or plugin.killer or code != pytest.ExitCode.OK:
        return {"failed": plugin.failed or [plugin.killer or f"exit code {int(code)}"]}
    tests = {
        name: {"seconds": round(plugin.seconds[name], 4), "calls": sorted(plugin.calls[name])}
        for name in plugin.seen
        if plugin.seconds[name] <= SECONDS
    }
    return {"tests": tests, "always": sorted(plugin.calls[""]), "failed": []}
