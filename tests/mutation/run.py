"""Mutation testing: change formulas and verifier in every small way; some test must notice.

`make mutation` runs it. Every outcome is written at once to runs/mutation.jsonl, so a run that was
stopped goes on where it was. An outcome holds for one source of the module with one change; that a
test noticed it holds as long as that test stays as it is, that none did until any changes. With no
argument all modules run, the changes by_hand.py too, and docs/mutation.md is written. The command
fails if fewer mutants of a room are noticed than mutants.REQUIRED asks, if a change by hand is not,
or if a survivor is not explained in survivors.toml.
"""

import argparse
import ast
import hashlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from functools import partial
from importlib import import_module

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = tempfile.mkdtemp(prefix="hypothesis-")

# Loaded once, inherited by every child; the library itself is not, a child loads it mutated.
import by_hand
import child
import flint  # noqa: F401
import mpmath  # noqa: F401
import page
import scipy.optimize
import scipy.special
import sympy  # noqa: F401
import torch
from mutants import MODULES, REQUIRED, ROOMS, ROOT, drawn, mutants_of, room_of
from tqdm import tqdm

RESULTS = ROOT / "runs" / "mutation.jsonl"
BEFORE_CLAIMS = (
    "madpo_theory.audit.examiner",
    "madpo_theory.certify",
    "madpo_theory.coq.coqc",
    "madpo_theory.simulate",
    "madpo_theory.theory.linear",
)
"""What the modules of claims/ stand on: loaded once for all of them, which come last."""


class Suite:
    """The sources of the tests, and what an outcome depends on in them."""

    def __init__(self):
        helpers = [ROOT / "tests" / "conftest.py", *ROOT.glob("tests/support/*.py")]
        self.helpers = digest(*texts([*helpers, *ROOT.glob("tests/golden/*.*")]))
        self.ledger = digest(*texts(ROOT.glob("madpo_theory/claims/*.py")))
        tests = ROOT.glob("tests/test_*.py")
        limits = str((child.SUITES, child.EXAMPLES, child.SECONDS))
        self.whole = digest(self.helpers, self.ledger, limits, *texts(tests))
        self.parts = {}

    def state(self, killer):
        """Digest of the killing test and all it stands on in its file; of everything if None."""
        file, _, test = (killer or "").removeprefix("import of ").partition("::")
        if not (ROOT / file).is_file():
            return self.whole
        if file not in self.parts:
            self.parts[file] = {"": ""}
            text = (ROOT / file).read_text()
            for node in ast.parse(text).body:
                name = getattr(node, "name", "")
                name = name if name.startswith("test_") else ""
                lines = [node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]
                part = "\n".join(text.splitlines()[min(lines) - 1 : node.end_lineno])
                self.parts[file][name] = self.parts[file].get(name, "") + part
        parts = self.parts[file]
        ledger = self.ledger * (file == child.LEDGER)
        return digest(self.helpers, ledger, parts[""], parts.get(test.split("[")[0], "gone"))


def texts(files):
    """The texts of some files, in the order of their names."""
    return [file.read_text() for file in sorted(files)]


def digest(*texts):
    """Short hash of some texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def fork(work, cpu_seconds):
    """(process id, pipe) of a child that sends `work()` as JSON."""
    read, write = os.pipe()
    process = os.fork()
    if process:
        os.close(write)
        return process, read
    code = 1
    try:
        os.setsid()
        os.close(read)
        nothing, stderr = os.open(os.devnull, os.O_RDWR), os.dup(2)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds), int(cpu_seconds)))
        os.chdir(ROOT)
        answer = json.dumps(work()).encode()
        with os.fdopen(write, "wb") as pipe:
            pipe.write(answer)
        code = 0
    except BaseException:  # the runner's own fault, not the mutant's
        os.write(stderr, traceback.format_exc().encode())
    finally:
        os._exit(code)


def answers(tasks, jobs):
    """Yield (name, answer or None) for (name, work, cpu seconds); None if a signal ended the child.

    The limit is one of processor time, so that a busy machine kills nothing; only a child that
    sleeps is stopped by the clock.
    """
    running, tasks = {}, iter(tasks)
    while True:
        while len(running) < jobs and (task := next(tasks, None)) is not None:
            name, work, limit = task
            process, pipe = fork(work, limit)
            running[pipe] = name, process, time.monotonic() + 20 * limit, []
        if not running:
            return
        ready, _, _ = select.select(list(running), [], [], 1.0)
        for pipe, (name, process, deadline, parts) in list(running.items()):
            part = os.read(pipe, 1 << 20) if pipe in ready else b""
            if part:
                parts.append(part)
                continue
            if pipe not in ready:
                if time.monotonic() > deadline:
                    os.kill(process, signal.SIGKILL)
                continue
            os.close(pipe), running.pop(pipe)
            _, status = os.waitpid(process, 0)
            if not os.WIFSIGNALED(status) and status != 0:
                sys.exit(f"the child that ran {name} failed; its error is above")
            yield name, json.loads(b"".join(parts)) if parts else None


class Order:
    """Which tests can notice a mutant, the likeliest and quickest first."""

    def __init__(self, baseline, past):
        self.tests, self.fixtures = baseline["tests"], baseline["fixtures"]
        self.always = set(baseline["always"])
        self.past = past  # {mutant's key: the test that noticed it in an earlier run}
        self.function, self.module = defaultdict(Counter), defaultdict(Counter)
        self.able = {test: set(self.calls(test)) for test in self.tests}

    def calls(self, test):
        """The functions that a test calls, and those that set up what it shares with others."""
        yield from self.tests[test]["calls"]
        for fixture in self.tests[test]["fixtures"]:
            yield from self.fixtures[fixture]["calls"] if fixture in self.fixtures else ()

    def seconds(self, test):
        """Processor seconds, what it shares included."""
        shared = self.tests[test]["fixtures"]
        setup = (self.fixtures[f]["seconds"] for f in shared if f in self.fixtures)
        return self.tests[test]["seconds"] + sum(setup)

    def learn(self, mutant, killer):
        self.function[mutant.module, mutant.function][killer] += 1
        self.module[mutant.module][killer] += 1

    def at_import(self, mutant):
        """Whether a mutant acts when its module, or a test's, is imported."""
        called = self.always.intersection(f"{mutant.module}:{line}" for line in mutant.code)
        return not mutant.code or bool(called) or not child.swapped(mutant)

    def of(self, mutant):
        """The tests that can notice it, in order, those of a file together."""
        calls = {f"{mutant.module}:{line}" for line in mutant.code}
        able = [t for t in self.tests if calls & self.able[t]]
        if not calls or calls & self.always:
            able = list(self.tests)
        past = self.past.get(mutant.key)
        function = self.function[mutant.module, mutant.function]
        module = self.module[mutant.module]

        def rank(test):
            return test != past, -function[test], -module[test], self.seconds(test)

        best = {}
        for test in sorted(able, key=rank):
            best.setdefault(file_of(test), len(best))
        return sorted(able, key=lambda test: (best[file_of(test)], rank(test)))

    def limits(self):
        """Processor seconds that a test may take: ten, and five times its own."""
        return {test: 10 + 5 * self.seconds(test) for test in self.tests}

    def limit(self, tests):
        """Processor seconds for all: three times the traced baseline's, and the imports."""
        return 60 + 3 * sum(map(self.seconds, tests))

    def warm(self):
        """The quickest tests that ask for each of the fixtures that tests share."""
        found = {}
        for test in sorted(self.tests, key=lambda t: self.tests[t]["seconds"]):
            for fixture in self.tests[test]["fixtures"]:
                found.setdefault(fixture, test)
        return sorted(set(found.values()), key=file_of)


def file_of(test):
    return test.split("::")[0]


def read_results():
    """{mutant's hash: its last outcome}."""
    if not RESULTS.exists():
        return {}
    return {r["hash"]: r for r in map(json.loads, RESULTS.read_text().splitlines())}


def measure_baseline(suite, room):
    """A room's suite without a mutant, traced once for each state of tests and library."""
    measured = [*(ROOT / "madpo_theory").rglob("*.py"), ROOT / "tests" / "mutation" / "child.py"]
    state = digest(suite.whole, *texts(measured))
    file = ROOT / "runs" / f"mutation_baseline_{room}_{state}.json"
    if not file.exists():
        print(f"running the suite of {room} once without a mutant", flush=True)
        ((_, found),) = answers([("baseline", partial(child.baseline, room), 1800)], 1)
        if found is None or found["failed"]:
            sys.exit(f"the suite fails without a mutant: {found and found['failed']}")
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(found))
    return json.loads(file.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--modules", nargs="+", default=MODULES, choices=MODULES, metavar="MODULE", help="not all"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--sample", nargs="*", default=[], metavar="ROOM=N", help="draw N of the changes of a room"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what --sample draws")
    parser.add_argument("--page", action="store_true", help="write the page after a part, too")
    parser.add_argument("--survivors", action="store_true", help="only those that survived last")
    parser.add_argument("--list", action="store_true", help="print the survivors' changes")
    options = parser.parse_args()
    start = time.monotonic()
    suite, results = Suite(), read_results()
    latest = {(r["module"], r["function"], r["change"]): r for r in results.values()}
    samples = {room: int(number) for room, _, number in (s.partition("=") for s in options.sample)}
    if unknown := samples.keys() - ROOMS.keys():
        parser.error(f"--sample: {unknown} is no room, expected {', '.join(ROOMS)}")
    mutants, broken = [], 0
    for room, modules in ROOMS.items():
        asked = [module for module in modules if module in options.modules]
        some, bad = mutants_of(drawn(asked, samples.get(room), options.seed))
        mutants, broken = mutants + some, broken + bad
    if options.survivors:
        mutants = [m for m in mutants if latest.get(m.key, {"killer": None})["killer"] is None]
    hashes = {m: digest(m.module, m.original, m.source) for m in mutants}
    results = {h: r for h, r in results.items() if r["state"] == suite.state(r["killer"])}
    todo = [m for m in mutants if hashes[m] not in results]
    past = {k: r["killer"] for k, r in latest.items() if r["killer"]}
    orders = {
        room: Order(measure_baseline(suite, room), past)
        for room in ROOMS
        if any(room_of(module) == room for module in options.modules)
    }
    RESULTS.parent.mkdir(exist_ok=True)
    for room, order in orders.items():
        mine = {hashes[m]: m for m in todo if room_of(m.module) == room}
        early = {name: mutant for name, mutant in mine.items() if order.at_import(mutant)}
        late = {name: mutant for name, mutant in mine.items() if name not in early}
        for some, shown in ((late, to_the_collected), (early, to_the_imported)):
            if some and not os.fork():
                try:
                    shown(some, order, partial(noted, suite, order), options.jobs)
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
            if some and os.wait()[1]:
                sys.exit(f"the run of {room} was stopped; what it found is kept")
    results |= {h: r for h, r in read_results().items() if h in set(hashes.values())}
    print(f"{len(todo)} mutants run in {(time.monotonic() - start) / 60:.0f} minutes")
    outcomes = {m: results[hashes[m]] for m in mutants}
    tests = {room: len(order.tests) for room, order in orders.items()}
    finish(suite, mutants, outcomes, options, samples, broken, tests)


def to_the_imported(mutants, order, note, jobs):
    """Show mutants, by hash, to a suite that every child imports; `note` what noticed each."""
    if any(mutant.module.startswith("claims.") for mutant in mutants.values()):
        for name in BEFORE_CLAIMS:
            import_module(name)
    show(mutants, order, note, jobs, child.run)


def to_the_collected(mutants, order, note, jobs):
    """Show mutants, by hash, to a suite that is imported and set up once; `note` as above."""

    def served(suite):
        given = suite.run, None, order.warm(), order.limits()
        ((_, answer),) = answers([("no mutant", partial(_listed, *given), 600)], 1)
        if answer != [None]:
            raise RuntimeError(f"without a mutant fails {answer}")
        show(mutants, order, note, jobs, suite.run)

    calls = {name: facts["calls"] for name, facts in order.fixtures.items()}
    plugin = child.Collected(calls, order.warm(), served)
    files = dict.fromkeys(map(file_of, order.tests))
    code = child.pytest.main([*child.OPTIONS, "-s", *files], plugins=[plugin])
    if code:
        raise RuntimeError(f"pytest ended with {code!r}")


def show(mutants, order, note, jobs, run):
    """Fork a child for each mutant that runs the tests which can notice it."""

    def tasks():
        for name, mutant in mutants.items():
            tests = order.of(mutant)
            given = run, mutant, tests, order.limits()
            yield name, partial(_listed, *given), order.limit(tests)

    with tqdm(total=len(mutants), unit="mutant", mininterval=10) as bar:
        for name, answer in answers(tasks(), jobs):
            note(name, mutants[name], answer)
            bar.update()


def _listed(run, *given):
    return [run(*given)]


def noted(suite, order, name, mutant, answer):
    """Write down what noticed a mutant: a test, the time limit if there is no answer, or None."""
    killer = "time limit" if answer is None else answer[0]
    if killer is not None:
        order.learn(mutant, killer)
    result = {
        "hash": name,
        "module": mutant.module,
        "function": mutant.function,
        "line": mutant.line,
        "operator": mutant.operator,
        "change": mutant.change,
        "killer": killer,
        "timeout": answer is None,
        "state": suite.state(killer),
    }
    with RESULTS.open("a") as file:
        file.write(json.dumps(result) + "\n")


def noticed_by_hand(suite, jobs):
    """{what was changed by hand: [the test that notices]}; kept while library and test are so."""
    file = RESULTS.with_name("mutation_by_hand.jsonl")
    library = digest(*texts((ROOT / "madpo_theory").rglob("*.py")))
    keys = {
        what: digest(library, str((changes, tests))) for changes, what, tests in by_hand.CHANGES
    }
    lines = file.read_text().splitlines() if file.exists() else ()
    kept = {
        key: answer
        for key, state, answer in map(json.loads, lines)
        if state == suite.state(answer[0])
    }
    tasks = (task for task in by_hand.tasks() if keys[task[0]] not in kept)
    with file.open("a") as lines:
        for what, answer in answers(tasks, jobs):
            kept[keys[what]] = answer = answer or [None]  # by a signal: too long is not noticed
            line = keys[what], suite.state(answer[0]), answer
            lines.write(json.dumps(line) + "\n")
            lines.flush()
    return {what: kept[key] for what, key in keys.items()}


def finish(suite, mutants, outcomes, options, samples, broken, tests):
    """Print the score; write the page after a whole run; fail if the suite does not."""
    survivors = [m for m in mutants if outcomes[m]["killer"] is None]
    counts = page.tally(mutants, outcomes, options.modules)
    print(page.score_tables(counts, samples, options.seed))
    known = page.explanations()
    unexplained = [m for m in survivors if m.key not in known]
    for mutant in survivors if options.list else unexplained:
        print(f"{mutant.module}.{mutant.function}:{mutant.line}  {mutant.change}")
    whole = not options.survivors and set(options.modules) == set(MODULES)
    if not (whole or options.page):
        return
    noticed = noticed_by_hand(suite, options.jobs)
    page.write(
        counts,
        survivors,
        noticed,
        samples,
        options.seed,
        tests=", ".join(f"{number} of {room}" for room, number in tests.items()),
        broken=broken,
        examples=child.EXAMPLES,
        seconds=child.SECONDS,
    )
    wrong = [
        f"{room}: {page.score(count)[1]:.1%} of the mutants are noticed, below {REQUIRED[room]:.0%}"
        for room, count in page.of_rooms(counts).items()
        if page.score(count)[1] < REQUIRED[room]
    ]
    wrong += [
        f"no test noticed by hand: {what}"
        for what, test in noticed.items()
        if test in (None, [None])
    ]
    if unexplained:
        wrong.append(f"{len(unexplained)} survivors are not explained in {page.SURVIVORS.name}")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    torch.set_num_threads(1)
    scipy.optimize.brentq(lambda x: x, -1, 1)
    main()
