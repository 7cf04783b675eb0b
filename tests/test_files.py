"""A file is there whole or not at all, and what a killed writer left goes with the next."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from madpo_theory import cli
from madpo_theory.files import (
    SUFFIX,
    check_output,
    clear_abandoned,
    held,
    must_be_writable,
    replacing,
    system_error,
    write_text,
    written,
)

WRITER = """
import sys, time
from madpo_theory.files import replacing
with replacing(sys.argv[1]) as path:
    path.write_text("half of it")
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of a file."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file.txt")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.communicate()


def temporaries(folder):
    return [path for path in folder.iterdir() if path.name.endswith(SUFFIX)]


def test_a_file_is_replaced_whole_or_left_alone(tmp_path):
    path = tmp_path / "new" / "a.txt"
    assert write_text(path, "β") == path and path.read_bytes() == "β".encode()
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text("utf-8") == "β" and os.listdir(path.parent) == ["a.txt"]
    assert written()[-1] == path


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_name_as_long_as_names_may_be(tmp_path):
    path = tmp_path / ("ä" * 127)  # 254 bytes
    assert write_text(path, "1").read_text() == "1"


def test_a_link_stays_and_what_it_names_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    write_text(tmp_path / "there" / "a.txt", "old")
    link = tmp_path / "link.txt"
    link.symlink_to("there/a.txt")
    write_text(link, "new")
    assert link.is_symlink() and (tmp_path / "there" / "a.txt").read_text() == "new"


@pytest.mark.parametrize("make", (os.mkfifo, os.mkdir))
def test_what_is_no_file_is_no_output(tmp_path, make):
    make(tmp_path / "a")
    for refuse in (check_output, lambda path: write_text(path, "1")):
        with pytest.raises(ValueError, match=r"a is a .*; give the path of a file"):
            refuse(tmp_path / "a")
    with pytest.raises(ValueError, match="/dev/null is a device or a pipe"):
        write_text("/dev/null", "1")


def test_a_killed_writers_temporary_is_cleared_and_a_live_ones_is_not(writer, tmp_path):
    (old,) = temporaries(tmp_path)
    write_text(tmp_path / "other.txt", "1")
    clear_abandoned(tmp_path)
    assert temporaries(tmp_path) == [old]
    writer.kill()
    writer.wait()
    assert temporaries(tmp_path) == [old]  # nobody could
    script = "import sys; from madpo_theory.files import write_text; write_text(sys.argv[1], '2')"
    subprocess.run([sys.executable, "-c", script, tmp_path / "third.txt"], check=True)
    assert sorted(os.listdir(tmp_path)) == ["other.txt", "third.txt"]


def test_files_of_others_are_left_alone(tmp_path):
    for name in (".a.txt.123.tmp", f"a{SUFFIX}", ".hidden"):
        (tmp_path / name).touch()
    before = sorted(os.listdir(tmp_path))
    clear_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == before


def test_many_writers_of_one_file_and_one_who_clears(tmp_path):
    """Whatever the order of locks, links and removals, every writer gets its file through."""
    script = f"""
import json, sys
from pathlib import Path
from madpo_theory.files import clear_abandoned, write_text
path = Path({str(tmp_path / "a.json")!r})
for number in range(150):
    write_text(path, json.dumps([sys.argv[1]] * 1000))
    clear_abandoned(path.parent)
    assert len(set(json.loads(path.read_text()))) == 1
"""
    many = [subprocess.Popen([sys.executable, "-c", script, str(n)]) for n in range(3)]
    assert [process.wait() for process in many] == [0, 0, 0]
    assert os.listdir(tmp_path) == ["a.json"]
    assert len(json.loads((tmp_path / "a.json").read_text())) == 1000


def test_a_lock_is_held_by_one_and_dies_with_it(tmp_path):
    path = tmp_path / ".lock"
    script = """
import sys, time
from madpo_theory.files import held
with held(sys.argv[1]) as mine:
    print(mine, flush=True)
    time.sleep(600)
"""
    command = [sys.executable, "-c", script, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    with held(path, wait=False) as mine:
        assert not mine
    process.kill()
    process.communicate()
    with held(path, wait=False) as mine:
        assert mine


def test_without_locks_files_are_written_and_nothing_is_cleared(tmp_path, monkeypatch, writer):
    """On Windows there is no fcntl, and an open file cannot be moved."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    old = temporaries(tmp_path)
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("1")
        opened = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
        assert str(temporary) not in opened
    clear_abandoned(tmp_path)
    assert (tmp_path / "a.txt").read_text() == "1" and temporaries(tmp_path) == old
    with held(tmp_path / ".lock", wait=False) as mine:
        assert mine


def test_an_output_is_checked_where_it_would_be_made(tmp_path):
    (tmp_path / "file").touch()
    check_output(None, tmp_path / "file", tmp_path / "new" / "deep" / "a.txt")
    must_be_writable(tmp_path / "new")
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(OSError, match=r"nothing can be written there.*file/a.txt"):
        check_output(tmp_path / "file" / "a.txt")
    with pytest.raises(OSError, match=r"nothing can be written there.*proc/a.txt"):
        check_output("/proc/a.txt")


def test_a_full_disk_is_told_of_the_file(tmp_path):
    def full(temporary):
        with open("/dev/full", "w") as file:
            file.write("1")

    with pytest.raises(OSError) as told, replacing(tmp_path / "a.txt") as temporary:
        full(temporary)
    assert told.value.filename == str(tmp_path / "a.txt")
    assert not os.listdir(tmp_path)


def _closed_badly():
    try:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        raise ArithmeticError("while flushing: inconsistent stream state")


def _told_by_rust():
    raise KeyError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("fails", (_closed_badly, _told_by_rust))
def test_a_full_disk_is_told_whatever_a_library_makes_of_it(tmp_path, monkeypatch, capsys, fails):
    """As matplotlib does of a PDF, and safetensors."""
    with pytest.raises(OSError) as told, replacing(tmp_path / "a.pdf"):
        fails()
    assert (told.value.errno, told.value.filename) == (errno.ENOSPC, str(tmp_path / "a.pdf"))
    monkeypatch.setitem(cli.COMMANDS, "figures", lambda _: fails())
    assert cli.main(["figures"]) == 2
    assert capsys.readouterr().err == "madpo: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full")
def test_torch_knows_not_why_it_could_not_write(tmp_path):
    with pytest.raises(OSError, match="could not be written; make room") as told:
        with replacing(tmp_path / "a.pt"):
            torch.save({"a": torch.zeros(10_000)}, "/dev/full")
    assert (told.value.errno, told.value.filename) == (errno.EIO, str(tmp_path / "a.pt"))


@pytest.mark.parametrize("words", ("lost", "No such file or directory (os error 2)"))
def test_other_errors_are_no_systems(tmp_path, words):
    """A file that was not found, and led to another error, is not the reason to give."""
    with pytest.raises(KeyError), replacing(tmp_path / "a.txt"):
        try:
            open(tmp_path / "nope")
        except FileNotFoundError:
            raise KeyError(words) from None
    assert system_error(KeyError(words)) is None


def test_what_a_library_puts_in_the_place_of_a_temporary_is_not_cleared(tmp_path):
    """As safetensors may: the new file is none that the writer has locked."""
    with replacing(tmp_path / "a.bin") as temporary:
        temporary.unlink()
        temporary.write_bytes(b"whole")
        clear_abandoned(tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"whole" and len(list(tmp_path.iterdir())) == 1
