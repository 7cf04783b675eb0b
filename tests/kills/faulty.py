"""Commands with one fault each, which the judge of killed commands must see."""

import os
import subprocess
import tempfile
import time
import traceback
from pathlib import Path

from madpo_theory import cli
from madpo_theory.files import SUFFIX, write_text


def work():
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass


def leaves_a_process():
    process = subprocess.Popen(["sleep", "60"])
    work()
    process.kill()
    process.wait()


def leaves_a_temporary():
    path = Path(f".a{SUFFIX}")
    path.touch()
    work()
    path.unlink()


def leaves_a_folder_in_tmpdir():
    folder = tempfile.mkdtemp(prefix="made")
    work()
    os.rmdir(folder)


def goes_on_to_other_files():
    first = not Path("a").exists()
    Path("a").touch()
    work()
    Path("b").write_text(str(first))


def refuses_what_is_half():
    if Path("a").exists():
        raise ValueError("a is there already")
    Path("a").touch()
    work()
    Path("b").touch()


def tells_a_traceback():
    try:
        work()
    except KeyboardInterrupt:
        traceback.print_exc()
        raise


def ends_badly_by_itself():
    raise ValueError("always")


def says_nothing():
    try:
        work()
    except KeyboardInterrupt:
        os._exit(130)


def ends_with_another_status():
    try:
        work()
    except KeyboardInterrupt:
        os._exit(3)


def is_right():
    work()
    write_text("a", "whole")


def put(name):
    """`madpo figures` does what the function of that name does."""

    def figures(_):
        globals()[name]()
        return 0

    cli.COMMANDS["figures"] = figures
