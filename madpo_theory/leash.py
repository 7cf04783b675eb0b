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
    """Within, a signal to terminate is ^C: files are cleared away and workers ended.

    It ends the block whatever a library makes of it: another exception, or none where nothing can
    be raised, as in __del__ or while memory is collected; there it comes again a moment later.
    """
    known, came, raised, told = {}, [], [], sys.unraisablehook
    over = threading.Event()

    def stop(number, frame):
        came.append(number)
        if not _within(lost, frame):  # there it would be lost for good
            raised.append(number)
            raise KeyboardInterrupt

    def lost(unraisable):
        if came and issubclass(unraisable.exc_type, KeyboardInterrupt):
            # not of threading, whose locks may be held wherever this is called
            _thread.start_new_thread(again, (came[-1], len(raised)))
        else:
            told(unraisable)

    def again(number, before):
        while True:
            ended = over.wait(0.05)
            if len(raised) > before:
                return
            _send_main(number)
            if ended:
                return

    if threading.current_thread() is threading.main_thread():
        # one that is ignored, as nohup does, stays so
        usual = {"SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
        usual |= {"SIGINT": signal.default_int_handler}
        numbers = {getattr(signal, name, None): handler for name, handler in usual.items()}
        known = {n: h for n, h in numbers.items() if n is not None and signal.getsignal(n) == h}
        sys.unraisablehook = lost
    for number in known:
        signal.signal(number, stop)
    try:
        yield
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in known.items():
            signal.signal(number, handler)
        sys.unraisablehook = told
        over.set()


def _within(function, frame):
    """Whether a frame is of a function or of what that has called."""
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame is not None


def _send_main(number):
    """Send the main thread a signal, which ends its sleep where the system can do that."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, number)
    else:
        _thread.interrupt_main(number)


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
