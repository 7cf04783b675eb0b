"""Odd environments and wrong use: one line, exit status 2, nothing half written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from madpo_theory import cli, extensions
from madpo_theory.align.config import SentimentConfig, TrainConfig
from madpo_theory.simulate.studies import MOST_WORKERS

PAIRS = "margin\n1.5\n-0.5\n0.25\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with a file of pairs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.csv").write_text(PAIRS)
    (tmp_path / "c.yaml").write_text("pairs: p.csv\nmodel_name_or_path: none\n")
    return tmp_path


def madpo(*arguments, stdout=subprocess.PIPE, **environment):
    """The command in a process of its own: its status and what it said on stderr."""
    return subprocess.run(
        [sys.executable, "-m", "madpo_theory", *map(str, arguments)],
        stdout=stdout, stderr=subprocess.PIPE, text=True, errors="replace",
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip


def refused(arguments, capsys):
    """The one line that a command is refused with."""
    try:
        status = cli.main(arguments)
    except SystemExit as stopped:  # tyro and argparse leave this way
        status = stopped.code
    said = capsys.readouterr().err
    assert status == 2 and said.startswith("madpo: ") and said.count("\n") == 1, said
    return said


# Every command with something to write where nothing can be: below a file.
OUTPUTS = (
    ["diagnose", "p.csv", "--json", "p.csv/x.json"],
    ["diagnose", "p.csv", "--html", "p.csv/x.html"],
    ["diagnose", "p.csv", "--rows", "p.csv/x.csv"],
    ["weights", "p.csv", "-o", "p.csv/w.csv"],
    ["train", "c.yaml", "--output_dir", "p.csv/o"],
    ["frontier", "run", "--out", "p.csv/f.png"],
    ["score", "p.csv", "--reward-model", "none", "-o", "p.csv/s.csv"],
    ["verify", "--json", "p.csv/ledger.json"],
    ["verify", "--graph", "p.csv/ledger.svg"],
    ["audit", "dpo", "--json", "p.csv/x.json"],
    ["audit", "dpo", "--html", "p.csv/x.html"],
    ["audit", "dpo", "--certificates", "p.csv/x"],
    ["audit", "--all", "--page", "p.csv/x.md"],
    ["simulate", "pairs", "--out", "p.csv/s"],
    ["simulate", "pairs", "--page", "p.csv/s.md"],
    ["figures", "--out", "p.csv/f"],
    ["report", "--out", "p.csv/r.html"],
    ["which", "--page", "p.csv/w.md"],
    ["sentiment", "--preset", "smoke", "--root", "p.csv/r"],
    ["study", "--root", "p.csv/r"],
    ["study", "--results", "p.csv/r", "--limit", "1"],
    ["study", "--limit", "0", "--page", "p.csv/s.md"],
    ["reproduce", "--preset", "smoke", "--root", "p.csv/r"],
)


@pytest.mark.parametrize("arguments", OUTPUTS, ids=lambda a: f"{a[0]} {a[-2]}")
def test_an_output_that_cannot_be_written_is_refused_before_work(here, capsys, arguments):
    before = sorted(here.rglob("*"))
    assert arguments[-1] in refused(arguments, capsys) or arguments[-2:] == ["--limit", "1"]
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("name", sorted({a[0] for a in OUTPUTS}))
def test_every_command_is_tried_with_an_output(name):
    every = set(cli.COMMANDS) | set(extensions.COMMANDS)
    assert every - {"ls"} == {a[0] for a in OUTPUTS}, "ls only prints"


@pytest.mark.parametrize(
    ("arguments", "words"),
    (
        (["study", "--limit", "-1"], "limit >= 0"),
        (["study", "--limit", "0"], "results/sentiment holds no recorded run"),
        (["study", "--limit", "0", "--compare", "nope"], "nope holds no recorded run"),
        (["study", "--limit", "0", "--seeds", "7"], "--seeds must be among 0, 1, 2"),
        (["figures", "--names", "sentiment_tiers", "--results", "nope"], "--results nope holds no"),
        (["figures", "--names", "sentiment_tiers"], "there is none; make one with `madpo study`"),
        (["figures", "--names", "reward_kl", "--experiment", "nope"], "nope"),
        (["report", "--results", "nope"], "--results nope holds no"),
        (["report", "--studies", "nope"], "--studies nope is no folder"),
        (["report", "--figures", "nope"], "--figures nope is no folder"),
        (["which", "--studies", "nope"], "sheets.json"),
        (["diagnose", "nope.csv"], "nope.csv"),
        (["diagnose", "p.csv", "--json", "."], ". is a folder; give the path of a file"),
        (["diagnose", "p.csv", "--json", "/dev/full"], "/dev/full is a device"),
        (["weights", "nope.csv", "-o", "w.csv"], "nope.csv"),
        (["train", "nope.yaml"], "nope.yaml: there is no such file; write one, with lines"),
        (["frontier", "nope"], "nope holds no evaluation.json"),
        (["score", "nope.csv", "--reward-model", "none", "-o", "s.csv"], "nope.csv"),
        (["simulate", "noise", "--workers", str(MOST_WORKERS + 1)], "0 <= workers"),
        (["simulate", "noise", "--worlds", "10000001"], "1 <= worlds"),
        (["simulate", "noise", "--seed", str(2**63)], "0 <= seed"),
    ),
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_one_line(here, capsys, arguments, words):
    before = sorted(here.rglob("*"))
    assert words in refused(arguments, capsys)
    assert sorted(here.rglob("*")) == before


def whole_numbers(config, at=()):
    """The integer settings of a config and of the configs in it: paths of names."""
    for name, value in vars(config).items():
        if isinstance(value, int) and not isinstance(value, bool):
            yield (*at, name)
        elif hasattr(value, "__dataclass_fields__"):
            yield from whole_numbers(value, (*at, name))


def settings_refused(arguments, capsys):
    """What tyro says, in its box, of settings that their class refuses."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["sentiment", "--preset", "smoke", *arguments])
    assert stopped.value.code == 2
    return " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.parametrize("path", list(whole_numbers(SentimentConfig())), ids=".".join)
def test_every_whole_number_of_the_experiment_has_a_range(here, capsys, path):
    option = "--" + ".".join(path).replace("_", "-")
    for value in (-1, 10**30):
        said = settings_refused([option, str(value)], capsys)
        assert f"{path[-1]} = {value} breaks the rule" in said
    assert not (here / "runs").exists()


@pytest.mark.parametrize("rows", (("-1", "5"), ("5", "4"), ("0", str(10**30))))
def test_rows_are_a_range(here, capsys, rows):
    said = settings_refused(["--data.held-out", *rows], capsys)
    assert "held_out = " in said and "FIRST <= LAST" in said


def test_a_whole_number_is_tried_however_deep():
    found = set(whole_numbers(SentimentConfig()))
    assert ("seed",) in found and ("align", "train", "epochs") in found
    assert {path[-1] for path in whole_numbers(TrainConfig())} == {
        "epochs", "batch_size", "accumulation", "checkpoint_every", "bucket", "patience",
        "validate_every",
    }  # fmt: skip


def test_a_full_standard_output_is_told(here):
    with open("/dev/full", "w") as full:
        done = madpo("diagnose", "p.csv", stdout=full)
    assert done.returncode == 2
    assert done.stderr == "madpo: the standard output: No space left on device\n"


def test_a_reader_who_has_heard_enough_ends_it_quietly(here):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as broken:
        done = madpo("diagnose", "p.csv", stdout=broken)
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.parametrize(
    ("environment", "told"),
    (
        ({"PYTHONIOENCODING": "ascii"}, "\\u03b2.csv: 3 pairs"),
        # where even names of files are bytes
        ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "\\udcce\\udcb2.csv: 3"),
    ),
    ids=("ascii streams", "C"),
)
def test_what_an_output_of_ascii_lacks_is_told_by_number(here, environment, told):
    (here / "β.csv").write_text(PAIRS)
    usual, narrow = madpo("diagnose", "β.csv"), madpo("diagnose", "β.csv", **environment)
    assert narrow.returncode == usual.returncode < 2 and not narrow.stderr
    assert narrow.stdout.isascii() and narrow.stdout.startswith(told)
    one, other = (
        [line for line in done.stdout.splitlines()[1:] if not line.startswith("next: ")]
        for done in (narrow, usual)  # the commands to type next name the file, as the first does
    )
    assert one == other
    done = madpo("weights", "β.csv", "-o", "γ.csv", **environment)
    assert done.returncode == 0 and (here / "γ.csv").is_file(), done.stderr


def test_help_in_ascii(here):
    assert madpo("diagnose", "--help", PYTHONIOENCODING="ascii").returncode == 0


def test_without_file_locks_commands_run(here, monkeypatch, capsys):
    """Windows has no fcntl."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert cli.main(["weights", "p.csv", "-o", "w.csv"]) == 0
    assert (here / "w.csv").read_text().startswith("margin,weight\n")
    assert cli.main(["diagnose", "p.csv", "--json", "d.json"]) in (0, 1)
    for name in [name for name in sys.modules if name.startswith("madpo_theory")]:
        monkeypatch.delitem(sys.modules, name)
    import madpo_theory.align.store  # imported anew
    import madpo_theory.experiments.sentiment.study

    assert madpo_theory.experiments.sentiment.study.STUDY and madpo_theory.align.store.SCHEMA


def test_where_no_cache_can_be_written_kernels_are_compiled_without(monkeypatch):
    """A container: neither beside the installed files nor in the home."""
    from numba.core import caching

    from madpo_theory.simulate.solve.kernel import compiled

    def nowhere(*_):
        raise RuntimeError("cannot cache function: no locator available for file")

    monkeypatch.setattr(caching.CacheImpl, "__init__", nowhere)
    assert compiled(lambda x: x + 1)(1) == 2


def test_a_fault_of_ours_is_no_warning(monkeypatch, capsys):
    monkeypatch.setitem(cli.COMMANDS, "figures", lambda _: {}["lost"])
    assert cli.main(["figures"]) == 2
    said = capsys.readouterr().err
    assert "KeyError: 'lost'" in said and said.endswith("with the lines above\n")


@pytest.mark.parametrize(
    ("error", "said"),
    (
        (MemoryError(), "the memory does not suffice; "),
        (OSError(28, "No space left on device", "a/b.json"), "a/b.json: No space left on device\n"),
        (FileNotFoundError("a holds nothing"), "a holds nothing\n"),
    ),
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_the_system_refuses_is_one_line(monkeypatch, capsys, error, said):
    def fails(_):
        raise error

    monkeypatch.setitem(cli.COMMANDS, "figures", fails)
    assert refused(["figures"], capsys).startswith(f"madpo: {said}")


@pytest.mark.parametrize("module", ("numpy", "statistics"))
def test_the_command_is_stopped_in_one_line_while_it_loads(tmp_path, module):
    """NumPy alone takes its time on a busy machine; a room of the command's own comes later."""
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt\n")
    paths = f"{tmp_path}{os.pathsep}{Path(cli.__file__).parents[1]}"
    done = madpo("diagnose", "p.csv", PYTHONPATH=paths)
    assert (done.returncode, done.stderr) == (130, "madpo: stopped; nothing was written\n")
