"""Progress in a log: whole lines, few of them, and all that they say is true."""

import re
import time

from madpo_theory import progress as module
from madpo_theory.progress import progress

LINE = r"train madpo: (\d+) of 10, 00:0\d gone(, about 00:0\d left)?"


def test_a_log_gets_lines(capfd, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.03)
    seen = []
    for k in progress(range(10), name="train madpo"):
        seen.append(k)
        time.sleep(0.01)
    out, err = capfd.readouterr()
    assert seen == list(range(10)) and not out and "\r" not in err
    told = [int(re.fullmatch(LINE, line)[1]) for line in err.splitlines()]
    assert told[0] == 0 and told[-1] == 10 and told == sorted(set(told)) and len(told) < 10


def test_what_was_done_before_counts(capfd):
    with progress(name="train madpo", total=10, initial=4) as bar:
        bar.set_postfix(loss=0.5)
        bar.update(6)
    first, last = capfd.readouterr().err.splitlines()
    assert first.startswith("train madpo: 4 of 10,")
    assert last.startswith("train madpo: 10 of 10, loss=0.5,")


def test_the_other_processes_are_quiet(capfd):
    assert len(list(progress(range(3), name="x", quiet=True))) == 3
    assert capfd.readouterr().err == ""
