"""Files of every format, changed in every way: a correct result, or one line and nothing written.

`make fuzz` runs 10,000 of the inputs; here are the first of them, and each input that once came out
wrong, by the reader's fault.
"""

import csv
import gzip
import os
import re

import numpy as np
import pyarrow as pa
import pytest
from fuzz import files

from madpo_theory import MarginSchedule, cli, weight
from madpo_theory.diagnose import Reading, diagnose, write_weights

RELEASED = MarginSchedule.released()


@pytest.mark.parametrize("first", range(0, 210, 70))
def test_every_outcome_is_right_or_one_line(first):
    outcomes = list(files.attempts(range(first, first + 70)))
    assert [o for o in outcomes if o[-1].startswith("WRONG")] == []
    assert {o[-1] for o in outcomes} >= {"read", "refused"}


def test_the_judge_sees_what_is_wrong(tmp_path, monkeypatch):
    """A reader that swaps two columns, or one that fails, is told from a right one."""
    (tmp_path / "pairs.csv").write_text("chosen,rejected,margin\nC,R,1.5\nc,r,-1.0\n")
    assert (
        files.weighted(tmp_path / "pairs.csv", "csv", files.random.Random(0), sound=True) == "read"
    )
    (tmp_path / "out.csv").unlink()
    (tmp_path / "out.csv.schedule.json").unlink()
    plain = files.plain_rows

    def swapped(path, kind, columns=None):
        rows = plain(path, kind, columns)
        if path.name == "out.csv":
            rows = [row | {"chosen": row["rejected"]} for row in rows]
        return rows

    monkeypatch.setattr(files, "plain_rows", swapped)
    with pytest.raises(files.Wrong, match="row 1 is another"):
        files.weighted(tmp_path / "pairs.csv", "csv", files.random.Random(0), sound=True)


# --- faults that were found once ------------------------------------------------------------------


def refused(arguments, capsys):
    """The one line that a command refuses with."""
    assert cli.main([str(a) for a in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("madpo: ") and len(line) < 900
    return line


def write_stream(path, columns, schema=None):
    table = pa.table(columns, schema=schema)
    with pa.ipc.new_stream(str(path), table.schema) as stream:
        stream.write_table(table)


def test_a_folder_of_several_datasets_is_refused(tmp_path, capsys):
    """As the cache of `datasets` holds them: train, test and the result of a map."""
    for name, margin in (("parquet-train", 1.0), ("parquet-test", -1.0), ("cache-0a1b", 1000.0)):
        write_stream(tmp_path / f"{name}.arrow", {"margin": [margin] * 4})
    line = refused(["diagnose", tmp_path], capsys)
    assert "holds 3 datasets" in line and "parquet-train.arrow" in line
    assert diagnose(tmp_path / "parquet-train.arrow").margins.highest == 1.0


@pytest.mark.parametrize("listed", (True, False))
def test_shards_go_by_the_names_of_columns(tmp_path, listed):
    names = [f"data-0000{k}-of-00002.arrow" for k in range(2)]
    write_stream(tmp_path / names[0], {"chosen": ["C1"], "rejected": ["R1"], "margin": [1.0]})
    write_stream(tmp_path / names[1], {"margin": [-1.0], "rejected": ["R2"], "chosen": ["C2"]})
    if listed:
        state = {"_data_files": [{"filename": name} for name in names]}
        (tmp_path / "state.json").write_text(files.json.dumps(state))
    made = write_weights(tmp_path, tmp_path / "out.parquet")
    rows = files.parquet.read_table(made.path).to_pylist()
    assert [(r["chosen"], r["rejected"], r["margin"]) for r in rows] == [
        ("C1", "R1", 1.0), ("C2", "R2", -1.0),
    ]  # fmt: skip
    assert [r["weight"] for r in rows] == weight(np.array([1.0, -1.0]), RELEASED).tolist()


def test_shards_that_are_missing_or_have_other_columns_are_refused(tmp_path, capsys):
    write_stream(tmp_path / "data-00000-of-00002.arrow", {"margin": [1.0]})
    assert "other shards than" in refused(["diagnose", tmp_path], capsys)
    write_stream(tmp_path / "data-00001-of-00002.arrow", {"score": [1.0]})
    assert "has other columns than" in refused(["diagnose", tmp_path], capsys)
    write_stream(tmp_path / "data-00001-of-00002.arrow", {"margin": ["1"]})
    assert "write the file again" in refused(["diagnose", tmp_path], capsys)


def test_a_stream_that_was_cut_or_goes_on_is_refused(tmp_path, capsys):
    path = tmp_path / "p.arrow"
    write_stream(path, {"margin": [1.0, -1.0]})
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    assert "is cut before its end" in refused(["diagnose", path], capsys)
    path.write_bytes(whole + whole)
    assert "goes on after the end" in refused(["diagnose", path], capsys)


def test_a_label_is_honoured_by_both_commands_or_refused(tmp_path, capsys):
    path, out = tmp_path / "p.jsonl", tmp_path / "w.jsonl"
    path.write_text('{"margin": 2, "first_chosen": false}\n{"margin": -2, "first_chosen": false}\n')
    lines = [refused(["diagnose", path], capsys), refused(["weights", path, "-o", out], capsys)]
    assert lines[0] == lines[1] and "--label first_chosen" in lines[0]
    for options, h in (
        (["--margin", "margin"], [2.0, -2.0]),
        (["--label", "first_chosen"], [-2.0, 2.0]),
    ):
        assert cli.main(["weights", str(path), "-o", str(out), "--force", *options]) == 0
        taken = re.search("^margin: (.*)$", capsys.readouterr().out, re.M)[1]
        found = [files.json.loads(line)["weight"] for line in out.read_text().splitlines()]
        assert found == weight(np.array(h), RELEASED).tolist()
        cli.main(["diagnose", str(path), *options])
        assert re.search("^margin +(.*)$", capsys.readouterr().out, re.M)[1] == taken


def test_a_label_that_only_later_rows_have_is_not_overlooked(tmp_path, capsys):
    path = tmp_path / "p.jsonl"
    path.write_text('{"margin": 1.5}\n' * 1500 + '{"margin": 1.5, "first_chosen": false}\n')
    line = refused(["weights", path, "-o", tmp_path / "o.jsonl"], capsys)
    assert "row 1501: has a column first_chosen" in line.replace("'", "")
    assert [p.name for p in tmp_path.iterdir()] == ["p.jsonl"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"margin": 1.5}\n{"margin": -1}\n\n'),
        ("b.jsonl", '\n{"margin": 1.5}\n  \n{"margin": -1}'),
        ("a.csv", "margin,t\n1.5,a\n-1,b\n\n"),
        ("b.csv", "\r\nmargin,t\r\n1.5,a\r\n\r\n-1,b\r\n"),
        ("c.csv", "margin\n\n1.5\n-1\n \n"),
        ("a.tsv", "margin\tt\n1.5\ta,b\n-1\tb\n"),
        ("d.csv", f"margin,t\n1.5,{'x' * 200_000}\n-1,b\n"),
        ("c.jsonl", '\ufeff{"margin": 1.5}\n{"margin": -1}\n'),
        ("d.jsonl", '{"margin": 1.5, "id": ' + "7" * 5000 + '}\n{"margin": -1}\n'),
        ("e.jsonl", '{"margin": 1.5}\n{"margin": "NA"}\n{"margin": -1}\n{"margin": null}\n'),
        ("e.csv", "margin,t\n1.5,a\nNA,b\n,c\n-1,d\nnull,e\n"),
        ("f.csv", "margin,t\n1.5,a\n-1,b\n" + "9" * 5000 + ",c\n"),
    ],
)  # fmt: skip
def test_what_the_fields_readers_read_is_read(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode())
    made = write_weights(
        tmp_path / name, tmp_path / f"o.{name}", reading=Reading(drop_invalid=True)
    )
    assert made.pairs == 2
    rows = files.plain_rows(made.path, made.path.suffix[1:])
    assert [float(r["weight"]) for r in rows] == weight(np.array([1.5, -1.0]), RELEASED).tolist()


SECRET = "a prompt of a user, which no error shows as a whole " * 20


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.jsonl", '{"margin": 1},{"margin": 2}\n{"t": [1\n2]}\n', "row 1: is not JSON"),
        ("b.jsonl", '{"margin": ' + "[" * 100_000 + "]" * 100_000 + "}\n", "nested too deeply"),
        ("c.jsonl", '{"margin": 1}\n{"margin": "' + SECRET + '"}\n', "row 2, column margin"),
        ("d.jsonl", f'{{"margin": 1}}\n"{SECRET}"\n', "row 2: must be an object"),
        ("a.csv", 'margin,t\n1,"a\n2,b\n', "(a quote that opens is never closed)"),
        ("b.csv", f"margin,t\n1,a\n{SECRET.replace(',', ' ')},b\n", "row 2, column margin"),
        ("c.csv", f"{SECRET.replace(',', ' ')},t\n1,a\n", "no column looks like a margin"),
        ("d.csv", "margin,t\n1_000,a\n", "row 1, column margin: must be a number, got '1_000'"),
        ("e.csv", "margin,é\n1,a\n".encode("utf-16"), "is UTF-16; convert it to UTF-8"),
        ("f.csv", "margin,t\n1,a\n2,é\n".encode("latin-1"), "line 3: is not UTF-8"),
        ("a.txt", '[{"margin": 1}]', "must end in one of .arrow, .csv, .json, .jsonl, .parquet"),
        ("a.json", '{"margin": 1}', "row 1: the file begins with '{'; write an array"),
        ("b.json", '[{"margin": 1} {"margin": 2}]', "row 1: '{' follows where a comma must"),
        ("c.json", '[{"margin": 1}, 2]', "row 2: must be an object, got 2.0"),
        ("d.json", '[{"margin": 1},\n{"margin": 2', "row 2: is not JSON"),
        ("e.json", '[{"margin": 1}] []', "row 1: more follows the end of the array"),
        ("f.json", "[" + '{"margin": ' + "[" * 100_000 + "]", "nested too deeply"),
        ("a.jsonl.gz", gzip.compress(b'{"margin": 1}\n' * 9, mtime=0)[:-9], "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_refused_in_one_line(tmp_path, capsys, name, data, words):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    for command in (["diagnose", path], ["weights", path, "-o", tmp_path / f"o{path.suffix}"]):
        line = refused(command, capsys)
        assert words in line and name in line and SECRET[:100] not in line
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_refused_and_nothing_waits_for_it(tmp_path, capsys):
    os.mkfifo(tmp_path / "p.jsonl")
    assert "is a pipe or a device" in refused(["diagnose", tmp_path / "p.jsonl"], capsys)
    with pytest.raises(ValueError, match="pipe or a device"):
        files.read_rewards(tmp_path / "p.jsonl")
    (tmp_path / "q.jsonl").write_text('{"margin": 1}\n')
    command = ["weights", tmp_path / "q.jsonl", "-o", tmp_path / "p.jsonl", "--force"]
    assert "is a device or a pipe" in refused(command, capsys)
    assert (tmp_path / "p.jsonl").is_fifo()


def test_a_link_is_written_through(tmp_path):
    source, target, link = (tmp_path / name for name in ("p.csv", "t.csv", "l.csv"))
    source.write_text("margin\n1\n-1\n")
    target.write_text("before")
    link.symlink_to(target)
    write_weights(source, link, force=True)
    assert link.is_symlink() and target.read_text().startswith("margin,weight")
    link.unlink()
    target.unlink()
    link.symlink_to(target)  # dangling
    write_weights(source, link, force=True)
    assert link.is_symlink() and target.read_text().startswith("margin,weight")


def test_what_parquet_cannot_hold_is_named(tmp_path, capsys):
    empty = pa.array([{}, {}], pa.struct([]))
    write_stream(tmp_path / "p.arrow", {"margin": [1.0, -1.0], "meta": empty})
    line = refused(["weights", tmp_path / "p.arrow", "-o", tmp_path / "o.parquet"], capsys)
    assert "column meta: holds struct<>, which Parquet cannot hold; drop the column" in line
    assert diagnose(tmp_path / "p.arrow").pairs == 2


def header(path, kind):
    if kind not in ("csv", "tsv"):
        return list(files.plain_rows(path, kind)[0])
    with open(path, newline="", encoding="utf-8") as file:
        return next(csv.reader(file, delimiter="," if kind == "csv" else "\t"))


@pytest.mark.parametrize("kind", ("csv", "tsv", "jsonl", "parquet"))
def test_a_column_of_any_name_is_read_back(tmp_path, kind):
    path = files.write(kind, {"margin": [1.0, -1.0]}, tmp_path, files.random.Random(0))
    for k, name in enumerate(('w"x', "a,b", "tab\tin", "line\nend", "é", "'", "\\")):
        made = write_weights(path, tmp_path / f"o{k}.{kind}", column=name)
        assert header(made.path, kind) == ["margin", name]
    with pytest.raises(ValueError, match="a column has a name"):
        write_weights(path, tmp_path / f"o.{kind}", column=" ")
