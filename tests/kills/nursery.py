"""A process that has loaded the libraries and forks commands, ends them, and says what was left.

A fork goes the way of `madpo ...` from its first line on, as a process of its own, without the
seconds that loading takes: what a signal meets is the work. A line of JSON on the standard input is
a job, a line on the standard output what came of it. Whatever a command leaves behind becomes this
process's child, so that nothing hides.
"""

import ctypes
import importlib
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()
PATIENCE = 20
"""Seconds that what a command started may go on after its end."""


def children(pid):
    """Processes that a process has and that have not ended."""
    with suppress(OSError):
        lines = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
        return [child for child in map(int, " ".join(lines).split()) if facts(child)[0] != "Z"]
    return []


def facts(pid):
    """What /proc/PID/stat says after the name: state, parent, ...; of none: ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["Z", *["0"] * 40]


def seconds(pid):
    """Processor seconds of a process and of all that it has started."""
    return sum(map(int, facts(pid)[11:15])) / TICKS + sum(map(seconds, children(pid)))


def ended(pid, number, after, limit):
    """(exit status, processor seconds, whether it hung) of a process that is sent a signal.

    `number`: of the signal, None for none; `after`: the processor seconds at which it comes.
    """
    begin, before, hung = time.monotonic(), seconds(pid), False
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            took = usage.ru_utime + usage.ru_stime - before
            return os.waitstatus_to_exitcode(status), took, hung
        left = 0.1
        if number is not None:
            left = after - (seconds(pid) - before)
            if left <= 0:
                os.kill(pid, number)
                number = None
        if not hung and time.monotonic() - begin > limit:
            hung = True
            os.kill(pid, signal.SIGKILL)
        time.sleep(min(max(0.002, left / CORES), 0.05))


def left_alive(patience):
    """How many processes live on after a while, which are ended then."""
    end = time.monotonic() + patience
    while (found := children(os.getpid())) and time.monotonic() < end:
        time.sleep(0.02)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return len(found)


def next_command():
    """Tend commands until the input ends (None); or, in a fork, the job of one."""
    for line in sys.stdin:
        job = json.loads(line)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            return job | {"ready": write}
        os.close(write)
        os.read(read, 1)  # nothing, if it has ended
        os.close(read)
        status, took, hung = ended(pid, job["signal"], job["after"], job["limit"])
        if "modules" in job:
            load(job["modules"])
        answer = {
            "status": status,
            "seconds": took,
            "hung": hung,
            "alive": left_alive(job.get("patience", PATIENCE)),
        }
        print(json.dumps(answer), flush=True)
    return None


def load(names):
    """Load what a command had loaded at its end."""
    for name in json.loads(Path(names).read_text()) if Path(names).exists() else []:
        with suppress(Exception):  # modules that others have made up
            importlib.import_module(name)


def run(job):
    """In a fork: the command's exit status."""
    os.setsid()
    os.chdir(job["folder"])
    os.environ["TMPDIR"], tempfile.tempdir = job["temporary"], None
    for stream, path in ((0, os.devnull), (1, job["said"] + ".out"), (2, job["said"])):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if stream else os.O_RDONLY
        os.dup2(os.open(path, flags), stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from madpo_theory.start import main

    exec(job["prepare"], {})
    sys.argv = ["madpo", *job["arguments"]]
    os.write(job["ready"], b"1")
    os.close(job["ready"])
    try:
        return main()
    finally:
        if "modules" in job:
            Path(job["modules"]).write_text(json.dumps(sorted(sys.modules)))


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if (job := next_command()) is not None:
        sys.exit(run(job))
