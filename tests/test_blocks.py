"""Texts that Arrow parses in blocks: the values and rows of the reader of rows, bit for bit."""

import random

import numpy as np
import pytest
from fuzz import files
from hypothesis import example, given
from hypothesis import strategies as st

from madpo_theory.diagnose import Reading, write_weights
from madpo_theory.formats import blocks, opened, text
from madpo_theory.formats.blocks import written

CHANGES = (files.permuted, files.reordered, files.widened, files.values_changed)
NUMBERS = ("margin", "score_chosen", "score_rejected", "reward_first", "reward_second", "id")


@pytest.fixture
def at_once(monkeypatch):
    """Read everything in blocks of so many bytes; says how many were parsed so."""
    parsed = []
    before = text.Text._at_once

    def counted(self, names, label):
        for part in before(self, names, label):
            parsed.append(part is not None)
            yield part

    monkeypatch.setattr(text, "SMALL", 0)
    monkeypatch.setattr(text.Text, "_at_once", counted)

    def sized(size):
        monkeypatch.setattr(blocks, "SIZE", size)
        return parsed

    return sized


def read(path, rows):
    """(values, texts, late columns) of a file, or what it is refused with."""
    try:
        table = opened(path, "pairs")
        names = [name for name in table.names if name in NUMBERS]
        label = "first_chosen" if "first_chosen" in table.names else None
        wanted = [*names, *filter(None, (label,))]
        found, texts = {name: [] for name in wanted}, []
        for values, payload in table.parts(wanted, label, whole=True, rows=rows):
            texts += [one.rstrip("\n") for one in payload]  # the last may lack its line end
            for name in wanted:
                found[name] += values[name].tolist()
        return repr(found), texts, dict(table.late)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("kind", ("csv", "tsv", "jsonl", "jsonl.gz", "csv.gz"))
def test_blocks_say_what_rows_say(tmp_path, kind, at_once):
    """Good files and files changed in every way, in blocks that hold all or hardly a row."""
    for seed in range(36):
        rng = random.Random(f"{kind} {seed}")
        parsed = at_once(rng.choice((40, 200, 1 << 23)))
        folder = tmp_path / str(seed)
        folder.mkdir()
        columns = files.good_rows(rng)
        for _ in range(rng.randint(0, 2)):
            columns = rng.choice(CHANGES)(columns, rng)
        path = files.write(kind, columns, folder, rng)
        for _ in range(rng.choice((0, 0, 1, 2))):
            path.write_bytes(rng.choice(files.OF_BYTES)(path.read_bytes(), rng))
        assert read(path, None) == read(path, 1000), seed
    assert sum(parsed) > 10


ODD = {
    "csv": (
        "margin,t\n1.5,a\n 2 ,b\nNA,c\n,d\n1e-320,e\n+3,f\n", "margin,t\n1,a\n2,b\n\n3,c\n",
        "margin\n1\n \n2\n", 'margin,t\n"1.5","a\n,""b"""\n-inf,c\n', 'margin,t\n1,a"b\n2,"c"d\n',
        "margin,t\r\n1,a\r\n2,b", "margin,t\n1,a\rb\n", "margin,t\n1,2,3\n", "margin,t\nx,2\n",
        "margin,t\n1e400,a\n", "margin,t\n0.1000000000000000055511151231257827,\0\n",
        "margin,margin_,margin\n1,2,3\n", "margin,t\nTrue,a\n", '"margin"\n"1"\n"NA"\n',
    ),
    "jsonl": (
        '{"margin": 1}\n\n{"margin": -0}\r\n{"margin": null}\n{"t": "x"}', '{"margin": NaN}\n',
        '{"margin": 1, "t": Inf}\n', '{"margin": 1, "t": Infinity}\n', '{"margin": "NA"}\n',
        '{"margin": 1}{"margin": 2}\n', '{"margin":\n1}\n', '{"margin": 1, "margin": 2}\n',
        '{"margin": true}\n',
        '{"margin": 1, "t": "\\ud800"}\n', '{"margin": 1, "t": "a\tb"}\n', '{"margin": 01}\n',
        '{"margin": 1, "t": ' + "[" * 900 + "]" * 900 + "}\n", '{"margin": 1e400}\n', "[1]\n",
        '{"margin": 12345678901234567890123}\n{"margin": 0.1000000000000000055511151231257827}\n',
        ' {"margin": 1}\n{"margin": 2} \n', '{"margin": 1,}\n',
        '{"margin": 1, "t": [{"u": Inf}]}\n',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "body"), [(kind, body) for kind in ODD for body in ODD[kind]])
def test_what_the_two_could_read_otherwise(tmp_path, kind, body, at_once):
    at_once(1 << 23)
    path = tmp_path / f"p.{kind}"
    path.write_bytes(body.encode())
    assert read(path, None) == read(path, 1000)


def test_a_late_column_is_seen(tmp_path, at_once):
    """It makes the margin doubtful, or is in the way of the new one."""
    parsed = at_once(1 << 12)
    path = tmp_path / "p.jsonl"
    path.write_text('{"margin": 1}\n' * 2000 + '{"margin": 2, "weight": 3}\n')
    with pytest.raises(ValueError, match="row 2001: has a column 'weight'"):
        write_weights(path, tmp_path / "o.jsonl")
    assert sum(parsed) > 3 and not parsed[-1]


@pytest.mark.parametrize("kind", ("csv", "tsv", "jsonl"))
@pytest.mark.parametrize("end", ("\n", "\r\n"))
@pytest.mark.parametrize("columns", ({}, {"offset": "delta"}))
def test_rows_are_written_as_those_that_are_read_one_by_one(tmp_path, kind, end, columns, at_once):
    """To the byte, whatever stands before the line ends; rows left out, too."""
    parsed = at_once(100)
    rng = random.Random(1)
    rows = [(k, rng.gauss(0, 2), files.text(rng).replace('"', '""')) for k in range(60)]
    lines = {
        "csv": ["id,margin,t", *(f'{k},{h!r},"{t}"' for k, h, t in rows)],
        "tsv": ["id\tmargin", *(f"{k}\t{h!r}" for k, h, _ in rows)],
        "jsonl": [f'{{"id": {k}, "margin": {h!r}{" " * (k % 9 == 8)}}}' for k, h, _ in rows],
    }[kind]  # fmt: skip
    missing = "null" if kind == "jsonl" else ""
    lines = [line.replace(repr(rows[6][1]), missing) for line in lines]
    path = tmp_path / f"p.{kind}"
    path.write_bytes(end.join(lines).encode())
    options = {"reading": Reading(margin="margin", drop_invalid=True), **columns}
    blocked = write_weights(path, tmp_path / f"a.{kind}", **options)
    assert sum(parsed) > 5 and all(parsed)
    single = write_weights(path, tmp_path / f"b.{kind}", rows=1000, **options)
    assert blocked.path.read_bytes() == single.path.read_bytes()
    assert blocked.dropped == single.dropped == (("missing or NaN", 1),)


def test_labels_and_places_within_columns(tmp_path, at_once):
    parsed = at_once(64)
    path = tmp_path / "p.csv"
    body = "true,1\nFalse,2\n1,3\n0,4\n0.5,5\n,6\nNA,7\n"
    path.write_text(f"first_chosen,margin\n{body * 9}")
    assert read(path, None) == read(path, 1000)
    path = tmp_path / "p.jsonl"
    path.write_text('{"a": {"r": 1}, "c": [{"r": 2.5}, {"r": 1}], "first_chosen": true}\n' * 30)
    table = opened(path, "pairs")
    names = ["a.r", "c[1 of 2].r", "first_chosen"]
    for rows in (None, 7):
        parts = [values for values, _ in table.parts(names, "first_chosen", whole=False, rows=rows)]
        found = {name: np.concatenate([part[name] for part in parts]) for name in names}
        assert {name: set(values.tolist()) for name, values in found.items()} == {
            "a.r": {1.0}, "c[1 of 2].r": {1.0}, "first_chosen": {1.0},
        }  # fmt: skip
        assert len(found["a.r"]) == 30
    assert all(parsed)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=50))
@example([1e-320, -0.0, 9999999999.5, 1e10, 10000000000.5, 0.0001, 9.999e-5, 1e22, 1 / 3, 5e-324])
def test_numbers_are_written_as_python_writes_them(values):
    found = written([", x: ", ","], [np.array(values), np.array(values[::-1])]).to_pylist()
    assert found == [
        f", x: {a!r},{b!r}".encode() for a, b in zip(values, values[::-1], strict=True)
    ]
