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
from mutants import MODULES, REQUIRED, ROOMS, ROOT, mutants_of, room_of
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
    """Which tests can notice a mutant, the likeliest first."""

    def __init__(self, baseline, past):
        self.tests, self.always = baseline["tests"], set(baseline["always"])
        self.past = past  # {mutant's key: the test that noticed it in an earlier run}
        self.function, self.module = defaultdict(Counter), defaultdict(Counter)

    def learn(self, mutant, killer):
        self.function[mutant.module, mutant.function][killer] += 1
        self.module[mutant.module][killer] += 1

    def stages(self, mutant):
        """[tests of the file that noticed the likes of it before, all others], each in order."""
        able = self._able(mutant)
        past = self.past.get(mutant.key)
        function = self.function[mutant.module, mutant.function]
        module = self.module[mutant.module]

        def rank(test):
            return test != past, -function[test], -module[test], self.tests[test]["seconds"]

        able.sort(key=rank)
        own = f"tests/test_{mutant.module.split('.')[0]}.py"
        best = [past, *(t for t, _ in function.most_common(1))]
        first = next((t.split("::")[0] for t in best if t in self.tests), own)
        here = [t for t in able if t.startswith(first)]
        return here, [t for t in able if not t.startswith(first)]

    def _able(self, mutant):
        calls = {f"{mutant.module}:{line}" for line in mutant.code}
        if not calls or calls & self.always:  # it acts when the module is imported
            return list(self.tests)
        return [t for t, facts in self.tests.items() if calls.intersection(facts["calls"])]

    def limit(self, stages):
        """Processor seconds for all: three times the traced baseline's, and the imports."""
        return 60 + 3 * sum(self.tests[t]["seconds"] for stage in stages for t in stage)

    def run(self, mutant, stages):
        """In the child: [the test that noticed]; each test may take five times its own time."""
        return [
            child.run(mutant, stages, {t: 10 + 5 * f["seconds"] for t, f in self.tests.items()})
        ]


def read_results():
    """{mutant's hash: its last outcome}."""
    if not RESULTS.exists():
        return {}
    return {r["hash"]: r for r in map(json.loads, RESULTS.read_text().splitlines())}


def measure_baseline(suite, room):
    """A room's suite without a mutant, traced once for each state of tests and library."""
    library = sorted((ROOT / "madpo_theory").rglob("*.py"))
    state = digest(suite.whole, *(f.read_text() for f in library))
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
    parser.add_argument("--modules", nargs="+", default=MODULES, choices=MODULES)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sample", type=int, help="draw at most so many mutants of a module")
    parser.add_argument("--page", action="store_true", help="write the page after a part, too")
    parser.add_argument("--survivors", action="store_true", help="only those that survived last")
    parser.add_argument("--list", action="store_true", help="print the survivors' changes")
    options = parser.parse_args()
    start = time.monotonic()
    suite, results = Suite(), read_results()
    latest = {(r["module"], r["function"], r["change"]): r for r in results.values()}
    mutants, broken, places = [], 0, {}
    for module in sorted(set(options.modules), key=MODULES.index):
        some, bad, places[module] = mutants_of(module, options.sample)
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
    by_name = {hashes[m]: m for m in mutants}

    def tasks():
        for mutant in todo:
            if mutant.module.startswith("claims."):
                for name in BEFORE_CLAIMS:
                    import_module(name)
            order = orders[room_of(mutant.module)]
            stages = order.stages(mutant)
            yield hashes[mutant], partial(order.run, mutant, stages), order.limit(stages)

    RESULTS.parent.mkdir(exist_ok=True)
    survived = sum(results[h]["killer"] is None for h in hashes.values() if h in results)
    with (
        RESULTS.open("a") as file,
        tqdm(total=len(mutants), initial=len(mutants) - len(todo), unit="mutant") as bar,
    ):
        for name, answer in answers(tasks(), options.jobs):
            mutant, timeout = by_name[name], answer is None
            killer = "time limit" if timeout else answer[0]
            result = {
                "hash": name,
                "module": mutant.module,
                "function": mutant.function,
                "line": mutant.line,
                "operator": mutant.operator,
                "change": mutant.change,
                "killer": killer,
                "timeout": timeout,
                "state": suite.state(killer),
            }
            results[name] = result
            file.write(json.dumps(result) + "\n")
            file.flush()
            survived += killer is None
            if killer is not None:
                orders[room_of(mutant.module)].learn(mutant, killer)
            bar.set_postfix(survived=survived)
            bar.update()
    print(f"{len(todo)} mutants run in {(time.monotonic() - start) / 60:.0f} minutes")
    outcomes = {m: results[hashes[m]] for m in mutants}
    tests = {room: len(order.tests) for room, order in orders.items()}
    finish(mutants, outcomes, options, broken, places, tests)


def finish(mutants, outcomes, options, broken, places, tests):
    """Print the score; write the page after a whole run; fail if the suite does not."""
    survivors = [m for m in mutants if outcomes[m]["killer"] is None]
    counts = page.tally(mutants, outcomes, places)
    print(page.score_tables(counts))
    known = page.explanations()
    unexplained = [m for m in survivors if m.key not in known]
    for mutant in survivors if options.list else unexplained:
        print(f"{mutant.module}.{mutant.function}:{mutant.line}  {mutant.change}")
    whole = not options.survivors and set(options.modules) == set(MODULES)
    if not (whole or options.page):
        return
    noticed = dict(answers(by_hand.tasks(), options.jobs))
    page.write(
        counts,
        survivors,
        noticed,
        tests=", ".join(f"{number} of {room}" for room, number in tests.items()),
        broken=broken,
        examples=child.EXAMPLES,
        seconds=child.SECONDS,
    )
    wrong = [
        f"{room}: {page.score(count)[0]:.1%} of the mutants are noticed, below {REQUIRED[room]:.0%}"
        for room, count in page.of_rooms(counts).items()
        if page.score(count)[0] < REQUIRED[room]
    ]
    wrong += [f"no test noticed by hand: {what}" for what, killer in noticed.items() if not killer]
    if unexplained:
        wrong.append(f"{len(unexplained)} survivors are not explained in {page.SURVIVORS.name}")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    torch.set_num_threads(1)
    scipy.optimize.brentq(lambda x: x, -1, 1)
    main()
