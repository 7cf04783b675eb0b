"""Processes that end with the one that started them, however that ends.

Each holds the reading end of a pipe, whose other end this process alone holds: when this process
ends, by itself, by a signal or by the system's hand, the pipe breaks, and they end at once.
"""

import _thread
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

from .files import RunError

__all__ = ["follow_launcher", "run", "stoppable", "workers"]


@contextmanager
def stoppable():
    """Within, a signal to terminate is ^C: files are cleared away and workers ended."""
    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]
    known = {}
    if threading.current_thread() is threading.main_thread():
        # one that is ignored, as nohup does, stays so
        known = {n: signal.getsignal(n) for n in numbers if n is not None}
        known = {n: handler for n, handler in known.items() if handler == signal.SIG_DFL}
    for number in known:
        signal.signal(number, signal.default_int_handler)
    lost, sys.unraisablehook = sys.unraisablehook, _raised_again(sys.unraisablehook)
    try:
        yield
    finally:
        sys.unraisablehook = lost
        for number, handler in known.items():
            signal.signal(number, handler)


def _raised_again(told):
    """A hook for what is raised where it cannot go on, as in __del__ or while memory is collected.

    Of ^C the command must hear all the same: it comes again a moment later.
    """

    def hook(unraisable):
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            return told(unraisable)
        for name in ("SIGINT", "SIGTERM"):
            number = getattr(signal, name)
            if signal.getsignal(number) == signal.default_int_handler:
                again = threading.Timer(0.05, _thread.interrupt_main, (number,))
                again.daemon = True
                return again.start()

    return hook


@contextmanager
def workers(count):
    """An executor of `count` processes, started anew ("spawn"); no work outlives an exception.

    RunError if a process is lost, for want of memory say.
    """
    from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
    from multiprocessing import get_context

    context = get_context("spawn")
    leash, hand = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(count, context, initializer=_hold, initargs=(leash,))
    try:
        with leash, pool:
            try:
                yield pool
            except BaseException:
                hand.close()
                pool.shutdown(cancel_futures=True)
                raise
    except BrokenExecutor:
        raise RunError(
            "a worker process was killed or ran out of memory; what is done is kept: the same "
            "command goes on from here, with fewer --workers if memory is short"
        ) from None
    finally:
        hand.close()


def _hold(leash):
    """In a worker: end when the leash breaks, and leave ^C to whoever holds it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        try:
            leash.poll(None)
        finally:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# Starts the command in a group of its own, and kills the group when its own input ends.
_WATCHER = """
import os, signal, subprocess, sys, threading
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: None)  # the leash decides; the command begins without these
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
def watch():
    while os.read(0, 1):
        pass
    os.killpg(child.pid, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
os._exit(child.wait() & 255)
"""


def run(command):
    """Run another program to its end: a CompletedProcess with its output as text."""
    leash, hand = os.pipe()
    watched = [sys.executable, "-I", "-S", "-c", _WATCHER, *map(str, command)]
    streams = {"stdin": leash, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        process = subprocess.Popen(watched, text=True, **streams)
    finally:
        os.close(leash)
    with process:
        try:
            out, err = process.communicate()
        finally:
            os.close(hand)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def follow_launcher():
    """Of one process of several that torchrun or accelerate started: end when the launcher has."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return  # whoever starts ranks by hand may leave them alone
    launcher = os.getppid()

    def watch():
        while os.getppid() == launcher:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
