"""The command line: usage, exit codes, refusals before anything runs."""

import pytest

from madpo_theory import cli


def test_no_command_prints_usage(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in cli.COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prove"], "no command 'prove'"),
        (["verify", "--claim", "Z9"], "no claim"),
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


def test_interrupted_work_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "figures", interrupted)
    assert cli.main(["figures"]) == 130
    assert "goes on" in capsys.readouterr().err


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
