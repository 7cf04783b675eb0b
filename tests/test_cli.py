"""The command line: usage, exit codes, refusals before anything runs."""

import re
import subprocess

import pytest

import madpo_theory
from madpo_theory import cli, clone, extensions
from madpo_theory.claims import CLAIMS
from madpo_theory.files import write_text
from madpo_theory.methods import METHODS
from madpo_theory.show.figures import figures
from madpo_theory.weights import WEIGHTS


def test_no_command_prints_usage(capsys):
    assert cli.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in (*cli.COMMANDS, *extensions.COMMANDS):  # each with what it does
        assert any(re.match(rf"  {name} +[A-Z].*\.$", line) for line in lines), name


@pytest.mark.parametrize("asked", [["help"], ["--help"], ["-h"]])
def test_every_command_stands_in_one_group(asked, capsys):
    assert cli.main(asked) == 0
    groups = capsys.readouterr().out.split("\n\n")[1:]
    assert [group.splitlines()[0] for group in groups] == [
        f"{words}:" for group, words in cli.GROUPS.items() if group
    ]
    names = [line.split()[0] for group in groups for line in group.splitlines()[1:]]
    assert sorted(names) == sorted((*cli.COMMANDS, *extensions.COMMANDS))


def test_help_of_a_command_is_its_own(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["help", "ls"])
    assert left.value.code == 0 and capsys.readouterr().out.startswith("usage: madpo ls")


@pytest.mark.parametrize(
    ("kind", "known"),  # looked at when asked: other tests register methods of their own
    [
        ("claims", lambda: [claim.id for claim in CLAIMS]),
        ("methods", lambda: METHODS),
        ("weights", lambda: WEIGHTS),
        ("studies", lambda: extensions.STUDIES),
        ("figures", figures),
    ],
)
def test_what_there_is_of_a_kind(kind, known, capsys):
    assert cli.main(["ls", kind]) == 0
    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in rows] == list(known())


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_completion_knows_every_command(shell, capsys):
    assert cli.main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in (*cli.COMMANDS, *extensions.COMMANDS))
    assert all(option in script for option in ("--worlds", "--align.beta", "--kl-prompts"))
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_the_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{madpo_theory.__version__}\n"


def test_make_help_has_a_line_for_every_target():
    makefile = clone.ROOT / "Makefile"
    targets = re.search(r"^\.PHONY: (.*)$", makefile.read_text(), re.M)[1].split()
    command = ["make", "--no-print-directory", "-f", makefile, "help"]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert sorted(name for _, name, words in lines if words) == sorted(targets)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prove"], "no command 'prove'"),
        (["diagnos"], "no command 'diagnos'; did you mean 'diagnose'?"),
        (["verify", "--claim", "Z9"], "claim must be one of"),
        (["verify", "--claim", "t5"], "did you mean 'T5'?"),
        (["simulate", "nois"], "did you mean 'noise'?"),
        (["ls", "weight"], "'weight'"),
        (["--print-completion", "fish"], "bash, zsh, tcsh"),
        (["reproduce", "--preset", "huge"], "preset must be one of"),
        (["figures", "--names", "nonesuch"], "nonesuch"),
        (["report", "--ledger", "nowhere.json"], "nowhere.json"),
        (["sentiment", "--align.beta", "-1"], "beta"),
        (["sentiment", "--preset", "smoke", "--align.methods", "ppo"], "methods"),
    ],
)
def test_wrong_input_is_refused_with_its_name(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        status = cli.main(arguments)
    except SystemExit as stopped:  # tyro and argparse leave this way
        status = stopped.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.*")), "nothing was written"


def test_stopped_work_says_what_is_left_of_it(monkeypatch, capsys, tmp_path):
    def stopped(_):
        raise KeyboardInterrupt

    def stopped_late(_):
        write_text(tmp_path / "a.txt", "all of it")
        raise KeyboardInterrupt

    said = {}
    for name, command in (
        ("figures", stopped),
        ("weights", stopped_late),
        ("simulate", cli.goes_on(lambda _: stopped_late(_))),
    ):
        monkeypatch.setitem(cli.COMMANDS, name, command)
        assert cli.main([name]) == 130
        said[name] = capsys.readouterr().err
    assert said == {
        "figures": "madpo: stopped; nothing was written\n",
        "weights": f"madpo: stopped; the last file written is {tmp_path / 'a.txt'}\n",
        "simulate": "madpo: stopped; the same command goes on from here\n",
    }


def test_the_commands_that_go_on_are_those_that_keep_what_is_done():
    every = cli.COMMANDS | dict(extensions.COMMANDS)
    assert {name for name, command in every.items() if getattr(command, "goes_on", False)} == {
        "simulate", "score", "train", "sentiment", "study", "reproduce",
    }  # fmt: skip


def test_the_newest_finished_experiment_is_found(tmp_path, monkeypatch):
    import os

    monkeypatch.chdir(tmp_path)
    assert cli._newest_experiment() is None
    for age, name in enumerate(["experiment-new", "experiment-old", "experiment-unfinished"]):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        if name != "experiment-unfinished":
            (folder / "manifest.json").write_text("{}")
            os.utime(folder / "manifest.json", (1000 - age, 1000 - age))
    assert cli._newest_experiment().name == "experiment-new"
