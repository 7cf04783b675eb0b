"""What a process started ends with it, however it ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from madpo_theory import leash
from madpo_theory.files import RunError


@pytest.fixture(autouse=True)
def usual_signals():
    """Those of a command in a terminal: a shell in the background starts one with ^C ignored."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    known = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in known.items():
        signal.signal(number, handler)


PARENT = """
import os, signal, sys, time
from madpo_theory import leash

def work(seconds):
    time.sleep(seconds)
    return os.getpid()

if __name__ == "__main__":
    if sys.argv[1] == "workers":
        with leash.stoppable(), leash.workers(2) as pool:
            pids = {pool.submit(work, 0.2).result() for _ in range(2)}
            busy = [pool.submit(work, 600) for _ in range(4)]
            print(*pids, flush=True)
            busy[0].result()
    else:
        command = ["sh", "-c", "echo $$ > pid; sleep 600 & echo $! >> pid; wait"]
        with leash.stoppable():
            leash.run(command)
"""


def alive(pid):
    """Whether a process runs: neither gone nor waiting to be counted."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(map(alive, pids)):
        time.sleep(0.05)
    return not any(map(alive, pids))


def children(pid):
    """Processes that this one started, and theirs."""
    found = []
    for task in os.listdir("/proc"):
        if task.isdecimal():
            try:
                with open(f"/proc/{task}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                found += [int(task), *children(int(task))]
    return found


@pytest.fixture
def parent(tmp_path):
    """Starts a parent of workers or of another program; returns it and all that it started."""
    (tmp_path / "parent.py").write_text(PARENT)
    started = []

    def start(kind):
        process = subprocess.Popen(
            [sys.executable, "parent.py", kind], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        if kind == "workers":
            assert len(process.stdout.readline().split()) >= 1
        else:
            while (
                not (tmp_path / "pid").exists() or len((tmp_path / "pid").read_text().split()) < 2
            ):
                assert process.poll() is None
                time.sleep(0.05)
        return process, children(process.pid)

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", (signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
@pytest.mark.parametrize("kind", ("workers", "program"))
def test_nothing_outlives_its_parent(parent, kind, number):
    process, pids = parent(kind)
    assert len(pids) >= 3  # workers and their tracker; or the watcher, the shell and its sleep
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0 and gone(pids)
    assert said.count("Traceback") <= (number != signal.SIGKILL)  # the parent's, no worker's


def test_a_killed_worker_is_one_sentence():
    with pytest.raises(RunError, match=r"a worker process was killed.*goes on from here"):
        with leash.workers(1) as pool:
            pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()


def test_workers_work():
    with leash.workers(2) as pool:
        assert sorted(pool.map(abs, (-2, -1))) == [1, 2]


def test_another_program_says_what_it_says():
    done = leash.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


@pytest.mark.parametrize("told", (True, False))
def test_a_rank_ends_with_its_launcher(tmp_path, told):
    """Ranks that were started by hand are left alone."""
    rank = "from madpo_theory.leash import follow_launcher as f; f(); import time; time.sleep(600)"
    launcher = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {rank!r}])
print(child.pid, flush=True)
child.wait()
"""
    environment = {k: v for k, v in os.environ.items() if k != "TORCHELASTIC_RUN_ID"}
    if told:
        environment["TORCHELASTIC_RUN_ID"] = "1"
    process = subprocess.Popen(
        [sys.executable, "-c", launcher], env=environment, stdout=subprocess.PIPE, text=True
    )
    with process:
        pid = int(process.stdout.readline())
        time.sleep(2)  # until it watches
        process.kill()
    try:
        assert gone([pid], seconds=20 if told else 2) is told
    finally:
        if not told:
            os.kill(pid, signal.SIGKILL)


def test_an_ignored_signal_stays_ignored():
    """As nohup wants it of the one that a closed terminal sends."""
    known = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with leash.stoppable():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, known)


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_a_signal_that_comes_where_nothing_can_be_raised_is_not_lost(number, capsys):
    """Python ignores what __del__, or a callback of the collector, raises."""

    class Dying:
        def __del__(self):
            signal.raise_signal(number)

    before, start = sys.unraisablehook, time.monotonic()
    with leash.stoppable(), pytest.raises(KeyboardInterrupt):
        Dying()
        time.sleep(600)
    assert time.monotonic() - start < 300, "a sleep ends"
    assert sys.unraisablehook is before and not capsys.readouterr().err


def test_a_signal_that_comes_while_another_is_told_of_is_not_lost(capsys):
    """What is raised in sys.unraisablehook is lost for good."""

    class Dying:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    def once(frame, event, _):
        if event == "call" and frame.f_code.co_name == "lost":
            sys.setprofile(None)
            signal.raise_signal(signal.SIGTERM)

    with leash.stoppable(), pytest.raises(KeyboardInterrupt):
        sys.setprofile(once)
        Dying()
        time.sleep(30)
    assert sys.getprofile() is None
    assert not capsys.readouterr().err


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_a_signal_of_which_a_library_makes_another_error_is_a_signal(number):
    """As the loader of a compiled module does."""
    with pytest.raises(KeyboardInterrupt), leash.stoppable():
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise ImportError("multiarray failed to import") from None
    with pytest.raises(ImportError), leash.stoppable():
        raise ImportError("without one")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_other_faults_in_such_a_place_are_told_as_before(monkeypatch):
    class Dying:
        def __del__(self):
            raise ZeroDivisionError

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda fault: told.append(fault.exc_type))
    with leash.stoppable():
        Dying()
    assert told == [ZeroDivisionError]
