"""What one forked child does: put the mutant in its module's place, run the tests, say who noticed.

Nothing is written to the library's files. The functions of a library that is imported get the
mutated code; a mutant that acts when its module is imported is served, as source, by a loader.
"""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import signal
import sys
import time
import warnings
from collections import Counter, defaultdict
from contextlib import contextmanager
from types import CodeType, FunctionType

import pytest
from _pytest.fixtures import FixtureDef
from hypothesis import Phase, settings
from mutants import ROOMS, path_of

SUITES = {
    "formulas": (
        "tests/test_ops.py",
        "tests/test_schedule.py",
        "tests/test_weight.py",
        "tests/test_weights.py",
        "tests/test_losses.py",
        "tests/test_methods.py",
        "tests/test_seam.py",
        "tests/test_method_from.py",
        "tests/test_pairwise_losses.py",
        "tests/test_batch_losses.py",
        "tests/test_trl_methods.py",
        "tests/test_offset_madpo.py",
        "tests/test_generic.py",
        "tests/align/test_preference.py",
        "tests/test_targets.py",
        "tests/test_risk.py",
        "tests/test_invalid_input.py",
        "tests/test_signatures.py",
        "tests/golden",
        "tests/test_claims.py::test_evidence_agrees",
    ),
    "certificates": (
        "tests/test_forgeries.py",
        "tests/test_certify.py",
        "tests/test_certify_boxes.py",
        "tests/test_tails.py",
        "tests/test_audit_checker.py",
        "tests/test_signatures.py",
    ),
    # What judges the judge: not whether the claims' evidence agrees.
    "ledger": (
        "tests/test_ledger.py",
        "tests/test_signatures.py",
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
    "-q --no-header --no-summary --tb=no --disable-warnings "
    "-p no:cacheprovider -p no:xdist -p no:hypothesispytest "
    "-W ignore::pytest.PytestAssertRewriteWarning"
).split()


def run(mutant, order, limits):
    """The first of the tests, in their order, that notices the mutant, or None."""
    if f"madpo_theory.{mutant.module}" in sys.modules:
        raise RuntimeError(f"{mutant.module} is imported already: no test would see the mutant")
    sys.meta_path.insert(0, Mutated(mutant.module, mutant.source))
    plugin = Selection(order, limits)
    signal.setitimer(signal.ITIMER_PROF, 60)  # for the imports
    files = list(dict.fromkeys(name.split("::")[0] for name in order))
    code = pytest.main(["-x", *OPTIONS, *files], plugins=[plugin])
    if plugin.killer is not None:
        return plugin.killer
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return f"pytest's exit code {int(code)}"
    return None


def run_by_hand(mutants, tests):
    """The first of the tests, slow ones too, that fails on the mutants together, or None."""
    for mutant in mutants:
        sys.meta_path.insert(0, Mutated(mutant.module, mutant.source))
    plugin = Selection()
    signal.setitimer(signal.ITIMER_PROF, 0)
    pytest.main(["-x", *OPTIONS, *tests], plugins=[plugin])
    return plugin.killer


class Collected(Selection):
    """pytest plugin: a room's suite, collected once; every mutant is shown to it in a fork.

    What tests of a file or a session share is set up once, too, by `warm`, tests that ask for all
    of it; a child sets up anew what the mutant has a part in.
    """

    def __init__(self, fixtures, warm, serve):
        super().__init__()
        self.fixtures, self.warm, self.serve = fixtures, warm, serve

    def pytest_runtestloop(self, session):
        self.items = {item.nodeid: item for item in session.items}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FixtureDef, "finish", _finish_but_shared(FixtureDef.finish))
            self.first_failing(self.warm)
            if self.killer:
                raise RuntimeError(f"{self.killer} fails without a mutant")
            _forget()
            self.serve(self)
        return True

    def first_failing(self, order):
        """Run tests in their order up to the first that fails; None if none does."""
        items = [self.items[name] for name in order]
        for item, following in zip(items, [*items, None][1:], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.killer:
                break
        signal.setitimer(signal.ITIMER_PROF, 0)
        return self.killer

    def run(self, mutant, order, limits):
        """As the function of that name, in a child of the process that collected.

        With no mutant: whether the suite passes here as it does by itself.
        """
        calls = set().union(*self.fixtures.values())
        if mutant is not None:
            swap(mutant)
            calls = {f"{mutant.module}:{line}" for line in mutant.code}
        for item in self.items.values():
            for definition in shared_by(item):
                if calls.intersection(self.fixtures.get(name_of(definition), ())):
                    definition.cached_result = None
                    definition._finalizers.clear()
        self.limits = limits
        return self.first_failing(order)


def shared_by(item):
    """The definitions of fixtures that a test shares with others."""
    definitions = item._fixtureinfo.name2fixturedefs.values()
    return [d for several in definitions for d in several if _shared(d)]


def name_of(definition):
    return f"{definition.baseid}::{definition.argname}"


def _shared(definition):
    return definition.scope in ("module", "session") and not definition.params


def _finish_but_shared(finish):
    return lambda definition, request: None if _shared(definition) else finish(definition, request)


def _forget():
    """Empty the caches of library and tests: they hold what the code without a mutant computed."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("madpo_theory", "test_", "tests")):
            for value in list(vars(module).values()):
                getattr(value, "cache_clear", lambda: None)()


def codes(old, new):
    """{code object: that of the same function in a mutated module}, of those that differ.

    None if the change cannot be put into functions that exist: it adds one, or a free variable.
    """
    if old == new:
        return {}
    inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new)]
    if len(inner[0]) != len(inner[1]) or old.co_freevars != new.co_freevars:
        return None
    found = {old: new}
    for pair in zip(*inner, strict=True):
        if (below := codes(*pair)) is None:
            return None
        found |= below
    return found


def swapped(mutant):
    """:func:`codes` of a mutant's module."""
    path = str(path_of(mutant.module))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old, new = (
            compile(text, path, "exec", dont_inherit=True)
            for text in (mutant.original, mutant.source)
        )
    return codes(old, new)


def swap(mutant):
    """Give the functions of an imported module the code that they have with the mutant."""
    change = swapped(mutant)
    gc.unfreeze()
    found = 0
    for value in gc.get_objects():
        if type(value) is FunctionType and (new := change.get(value.__code__)) is not None:
            value.__code__ = new
            found += 1
    if not found:
        raise RuntimeError(f"no function holds the code that {mutant.change} changes")


class Tracing(Selection):
    """The suite without a mutant: how long a test takes, which functions of the library it calls.

    A mutant inside a function that a test never calls cannot be noticed by it. What a shared
    fixture calls, every test of it does.
    """

    def __init__(self, room):
        super().__init__()
        self.files = {str(path_of(module)): module for module in ROOMS[room]}
        self.calls, self.seconds = defaultdict(set), Counter()
        self.running, self.failed, self.fixtures = [""], [], {}

    def trace(self, frame, event, argument):
        module = self.files.get(frame.f_code.co_filename)
        if module is not None:
            self.calls[self.running[-1]].add(f"{module}:{frame.f_code.co_firstlineno}")

    @contextmanager
    def measuring(self, name):
        outer, start = self.running[-1], time.process_time()
        self.running.append(name)
        sys.settrace(self.trace)
        yield
        self.running.pop()
        spent = time.process_time() - start
        self.seconds[name] += spent
        self.seconds[outer] -= spent

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        self.fixtures[item.nodeid] = [name_of(definition) for definition in shared_by(item)]
        with self.measuring(item.nodeid):
            yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if not _shared(fixturedef):
            yield
            return
        with self.measuring(name_of(fixturedef)):
            yield

    def pytest_runtest_logreport(self, report):
        super().pytest_runtest_logreport(report)
        if report.failed:
            self.failed.append(report.nodeid)


def baseline(room):
    """Of a room: tests, {name: {seconds, calls, fixtures}}; fixtures, {name: {seconds, calls}};
    always, the calls at import; failed, tests."""
    plugin = Tracing(room)
    sys.settrace(plugin.trace)
    code = pytest.main([*OPTIONS, "-m", "not slow", *SUITES[room]], plugins=[plugin])
    sys.settrace(None)
    if plugin.failed or plugin.killer or code != pytest.ExitCode.OK:
        return {"failed": plugin.failed or [plugin.killer or f"exit code {int(code)}"]}

    def facts(name):
        return {"seconds": round(plugin.seconds[name], 4), "calls": sorted(plugin.calls[name])}

    tests = {
        name: facts(name) | {"fixtures": plugin.fixtures[name]}
        for name in plugin.seen
        if plugin.seconds[name] <= SECONDS
    }
    used = {fixture for test in tests.values() for fixture in test["fixtures"]}
    fixtures = {name: facts(name) for name in sorted(used & plugin.seconds.keys())}
    return {"tests": tests, "fixtures": fixtures, "always": facts("")["calls"], "failed": []}
