"""`madpo weights`: the weight that the library computes, and everything else as it was."""

import csv
import io
import json
import math
import os

import numpy as np
import own_weight
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pair_files import FORMATS, drawn_margins, write_pairs
from pyarrow import parquet

from madpo_theory import MarginSchedule, cli, weight
from madpo_theory.diagnose import Reading, write_weights
from madpo_theory.diagnose import weights as module
from madpo_theory.formats.delimited import Csv
from madpo_theory.formats.jsonl import Jsonl
from madpo_theory.weights import BoundedRatioWeight, ScaledWeight, Weighting, weighting_named

H = np.round(64 * drawn_margins(500)) / 64 + 1 / 128
COLUMNS = {
    "prompt": [f'"{k}", a\ntext, é' for k in range(len(H))],
    "margin": H.tolist(),
    "turns": [k % 7 for k in range(len(H))],
}
SUFFIX = {"parquet": "parquet", "jsonl": "jsonl", "csv": "csv", "folder": "parquet"}


class Believed(Weighting):
    """1 where the reward model agrees with the label, 0 where not."""

    def log_weight(self, xp, h):
        return xp.where_greater(h, 0, 0.0, -xp.infinity)


def read(path):
    """The rows of a file as a dict of columns."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pydict()
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "weighting",
    ("published", "bounded-ratio", "target_shaped", "efficient", "amp-only", "soft_step",
     f"{own_weight.__file__}:SoftStep"),
)  # fmt: skip
def test_weights_are_the_librarys_and_the_rest_is_as_it_was(tmp_path, kind, weighting):
    source = write_pairs(tmp_path, kind, COLUMNS)
    out = tmp_path / f"out.{SUFFIX[kind]}"
    status = cli.main(
        [
            "weights",
            str(source),
            "-o",
            str(out),
            "--weight",
            weighting,
            "--c-max",
            "3",
            "--tau",
            "2",
        ]
    )
    assert status == 0
    found, schedule = read(out), MarginSchedule(3.0, 1 / 3, 1.0, 2.0)
    assert list(found) == [*COLUMNS, "weight"]
    expected = weight(H, weighting_named(weighting, schedule))
    assert [float(w) for w in found.pop("weight")] == expected.tolist()  # the same bits
    assert {name: list(map(str, values)) for name, values in found.items()} == {
        name: list(map(str, values)) for name, values in COLUMNS.items()
    }
    sidecar = tmp_path / f"{out.name}.schedule.json"
    if out.suffix == ".parquet":
        stored = parquet.read_metadata(out).metadata[b"madpo_theory"]
        assert not sidecar.exists()
    else:
        stored = sidecar.read_bytes()
    record = json.loads(stored)
    made = weighting_named(weighting, schedule)
    assert (record["kind"], record["weighting"]) == (made.name, repr(made))
    assert (record["margin"], record["column"]) == ("margin", "weight")
    again = MarginSchedule(*(record[name] for name in ("c_max", "c_min", "lam", "tau")))
    assert again == schedule


@pytest.mark.parametrize("kind", FORMATS)
def test_the_batch_size_changes_nothing(tmp_path, kind):
    source = write_pairs(tmp_path, kind, COLUMNS)
    found = []
    for rows in (None, 1, 89):
        out = tmp_path / f"out{rows}.{SUFFIX[kind]}"
        assert write_weights(source, out, rows=rows).pairs == len(H)
        found.append(read(out))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("end", ("", "\n", "\r\n"))
def test_text_keeps_every_character(tmp_path, end):
    """Numbers, spaces, escapes and line ends stay as they were written."""
    newline = end or "\n"
    lines = ['{"margin": 1.50, "a":"\\u00e9", "big": 12345678901234567890 }', '{ "margin":-2e0}']
    source, out = tmp_path / "p.jsonl", tmp_path / "o.jsonl"
    source.write_bytes((newline.join(lines) + end).encode())
    write_weights(source, out)
    values = [repr(float(w)) for w in weight(np.array([1.5, -2.0]), MarginSchedule.released())]
    kept = ['{"margin": 1.50, "a":"\\u00e9", "big": 12345678901234567890', '{ "margin":-2e0']
    assert out.read_bytes().decode() == newline.join(
        f'{text}, "weight": {value}}}' for text, value in zip(kept, values, strict=True)
    ) + (end or "\n")
    table = ['id,margin,"a ""b"""', '007,1.50,"x\ny"', "8,-2e0,"]
    source, out = tmp_path / "p.csv", tmp_path / "o.csv"
    source.write_bytes((newline.join(table) + end).encode())
    write_weights(source, out)
    assert out.read_bytes().decode() == newline.join(
        f"{text},{value}" for text, value in zip(table, ["weight", *values], strict=True)
    ) + (end or "\n")


@given(
    st.dictionaries(st.text(max_size=5).filter(lambda k: k != "weight"), st.integers() | st.text()),
    st.floats(0, 10),
)
def test_a_spliced_object_has_one_more_entry(entries, value):
    text = json.dumps(entries) + "\n"
    assert json.loads(Jsonl.with_column(text, "weight", value)) == {
        **entries, "weight": value,
    }  # fmt: skip


@given(st.lists(st.text(st.characters(exclude_characters="\x00\r\n"), min_size=1), min_size=1))
def test_a_spliced_record_has_one_more_cell(cells):
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    text = Csv.with_column(buffer.getvalue(), "weight", 0.5)
    assert next(csv.reader(io.StringIO(text, newline=""))) == [*cells, "0.5"]


def test_types_and_metadata_of_parquet_stay(tmp_path):
    table = pa.table(
        {
            "messages": [[{"role": "user", "content": "a"}], [], None],
            "margin": pa.array([1.0, -1.0, 2.0], pa.float32()),
            "source": pa.array(["a", "b", "a"]).dictionary_encode(),
            "when": pa.array([1, 2, None], pa.timestamp("ms")),
        },
    ).replace_schema_metadata({"huggingface": "{}"})
    parquet.write_table(table, tmp_path / "p.parquet")
    made = write_weights(tmp_path / "p.parquet", tmp_path / "o.parquet")
    found = parquet.read_table(made.path)
    assert found.drop_columns("weight").cast(table.schema).equals(table)
    assert found.schema.metadata[b"huggingface"] == b"{}"
    assert [found.schema.field(name).type for name in table.column_names] == table.schema.types
    assert found.schema.field("weight").type == pa.float64()


def test_mean_one_and_another_name(tmp_path):
    source = write_pairs(tmp_path, "csv", COLUMNS)
    out = tmp_path / "o.csv"
    assert cli.main(["weights", str(source), "-o", str(out), "--kind", "bounded-ratio",
                     "--mean-one", "--column", "w, 1"]) == 0  # fmt: skip
    found = np.array([float(w) for w in read(out)["w, 1"]])
    assert found.mean() == pytest.approx(1, abs=1e-6)  # as promised
    plain = weight(H, BoundedRatioWeight(MarginSchedule.released()))
    scale = json.loads((tmp_path / "o.csv.schedule.json").read_text())["log_scale"]
    assert found == pytest.approx(plain * math.exp(scale), rel=1e-12)  # exp of a sum of logs


@pytest.mark.parametrize("kind", FORMATS)
def test_dropped_rows_are_left_out_and_counted(tmp_path, kind, capsys):
    columns = {"id": [1, 2, 3, 4], "margin": [1.0, math.nan, -0.5, 0.0]}
    source, out = write_pairs(tmp_path, kind, columns), tmp_path / f"o.{SUFFIX[kind]}"
    assert cli.main(["weights", str(source), "-o", str(out)]) == 2
    assert "row 2, column margin" in capsys.readouterr().err
    assert not out.exists() and not list(tmp_path.glob(".*"))
    assert cli.main(["weights", str(source), "-o", str(out), "--drop-invalid"]) == 0
    assert "left out: 1 missing or NaN" in capsys.readouterr().out
    found = read(out)
    assert [int(k) for k in found["id"]] == [1, 3, 4]
    expected = weight(np.array([1.0, -0.5, 0.0]), MarginSchedule.released())
    assert [float(w) for w in found["weight"]] == expected.tolist()


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_overwritten_unless_forced(tmp_path, kind, capsys):
    source, out = write_pairs(tmp_path, kind, COLUMNS), tmp_path / f"o.{SUFFIX[kind]}"
    out.write_text("precious")
    assert cli.main(["weights", str(source), "-o", str(out)]) == 2
    assert f"{out} is there already; force (--force)" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert cli.main(["weights", str(source), "-o", str(out), "--force"]) == 0
    assert len(read(out)["weight"]) == len(H)


@pytest.mark.parametrize("kind", ("jsonl", "csv"))
def test_a_sidecar_is_not_overwritten_either(tmp_path, kind):
    source, out = write_pairs(tmp_path, kind, COLUMNS), tmp_path / f"o.{kind}"
    sidecar = tmp_path / f"o.{kind}.schedule.json"
    sidecar.write_text("precious")
    with pytest.raises(ValueError, match=r"schedule\.json is there already"):
        write_weights(source, out)
    assert sidecar.read_text() == "precious" and not out.exists()


@pytest.mark.parametrize("kind", ("jsonl", "csv"))
def test_stopped_between_its_two_files_it_goes_on_to_both(tmp_path, kind, monkeypatch):
    """The record is there first: rows without it nobody could tell from others."""
    source, out = write_pairs(tmp_path, kind, COLUMNS), tmp_path / f"o.{kind}"
    replace, sidecar = os.replace, tmp_path / f"o.{kind}.schedule.json"

    def stop(temporary, place):
        if sidecar.exists():
            raise KeyboardInterrupt
        replace(temporary, place)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", stop)
        write_weights(source, out)
    assert sorted(tmp_path.iterdir()) == sorted((source, sidecar))
    with pytest.raises(ValueError, match=r"schedule\.json is there already"):  # of others
        write_weights(source, out, MarginSchedule.released(5))
    record = sidecar.read_bytes()
    write_weights(source, out)
    assert sidecar.read_bytes() == record and len(read(out)["weight"]) == len(H)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_stopped_half_way_leaves_everything_as_it_was(tmp_path, kind, monkeypatch):
    source, out = write_pairs(tmp_path, kind, COLUMNS), tmp_path / f"o.{SUFFIX[kind]}"
    out.write_text("before")
    there, calls = sorted(tmp_path.rglob("*")), []

    def failing(margins, weighting):
        calls.append(len(margins))
        if sum(calls) > len(H) / 2:
            raise KeyboardInterrupt
        return weight(margins, weighting)

    monkeypatch.setattr(module, "weight_of", failing)
    with pytest.raises(KeyboardInterrupt):
        write_weights(source, out, force=True, rows=50)
    assert len(calls) > 1, "some of it had been written"
    assert out.read_text() == "before" and sorted(tmp_path.rglob("*")) == there


def test_a_file_can_replace_itself(tmp_path):
    source = write_pairs(tmp_path, "parquet", COLUMNS)
    write_weights(source, source, force=True)
    assert read(source)["weight"] == weight(H, MarginSchedule.released()).tolist()


def test_the_label_turns_the_margin_but_not_the_columns(tmp_path):
    first = [k % 3 > 0 for k in range(len(H))]
    columns = {"margin": H.tolist(), "first": first}
    source = write_pairs(tmp_path, "csv", columns)
    reading = Reading(margin="margin", label="first", scale=0.5)
    write_weights(source, tmp_path / "o.csv", reading=reading)
    turned = np.where(first, H, -H) / 2
    found = read(tmp_path / "o.csv")
    expected = weight(turned, MarginSchedule.released()).tolist()
    assert [float(w) for w in found["weight"]] == expected
    assert found["margin"] == list(map(str, H.tolist()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "o.txt"], ["out = o.txt must end in one of .arrow, .csv, .json"]),
        (["-o", "o.parquet", "--kind", "best"], ["weight = 'best' breaks", "bounded_ratio"]),
        (["-o", "o.parquet", "--column", "turns"], ["has a column 'turns'", "--column NAME"]),
        (["-o", "o.parquet", "--weight", "target-shaped", "--gamma", "2"],
         ["gamma = 2.0 breaks the rule 0 < gamma < 1"]),
        (["-o", "o.parquet", "--gamma", "0.3"],
         ["weight = 'published' cannot be made", "gamma = 0.3", "leave out"]),
        (["-o", "o.parquet", "--offset", "turns"], ["has a column 'turns'", "--offset NAME"]),
        (["-o", "o.parquet", "--offset", "weight"], ["offset = 'weight' is the column of the w"]),
        (["-o", "o.parquet", "--clip", "1"], ["clip = 1 is of an offset", "--offset NAME"]),
        (["-o", "o.parquet", "--offset", "d", "--clip", "0"], ["clip = 0.0 breaks the rule"]),
        (["-o", "o.parquet", "--lam", "-1"], ["lam = -1.0 breaks the rule 0 < lam"]),
        (["-o", "o.parquet", "--c-max", "1"], ["c_max = 1.0 breaks the rule 1 < c_max"]),
        ([], ["-o"]),
    ],
)  # fmt: skip
def test_wrong_use_is_refused_and_writes_nothing(tmp_path, arguments, words, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = write_pairs(tmp_path, "parquet", COLUMNS)
    try:
        status = cli.main(["weights", str(source), *arguments])
    except SystemExit as stopped:  # tyro leaves this way
        status = stopped.code
    assert status == 2
    complaint = capsys.readouterr().err
    assert all(word in complaint for word in words), complaint
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_tie_keeps_the_weight_1(tmp_path, kind, capsys):
    source = write_pairs(tmp_path, kind, {"margin": [1.0, 0.0, -2.0]})
    out = tmp_path / f"o.{SUFFIX[kind]}"
    assert cli.main(["weights", str(source), "-o", str(out)]) == 0
    assert float(read(out)["weight"][1]) == 1.0
    command = ["weights", str(source), "-o", str(out), "--force", "--no-keep-ties"]
    assert cli.main(command) == 0
    assert "left out: 1 tie" in capsys.readouterr().out and len(read(out)["weight"]) == 2


def test_a_weighting_is_taken_as_it_is(tmp_path):
    source = write_pairs(tmp_path, "jsonl", COLUMNS)
    mine = ScaledWeight(own_weight.SoftStep(2.0), 0.5)
    made = write_weights(source, tmp_path / "o.jsonl", weight=mine)
    assert read(made.path)["weight"] == weight(H, mine).tolist()
    assert made.record["c_max"] is None and made.record["weighting"] == repr(mine)
    schedule = MarginSchedule.class_defaults()
    made = write_weights(source, tmp_path / "s.jsonl", weight=schedule)
    assert read(made.path)["weight"] == weight(H, schedule).tolist()
    assert made.record["tau"] == schedule.tau


def test_an_entry_of_that_name_further_down_is_refused(tmp_path):
    source = tmp_path / "p.jsonl"
    source.write_text('{"margin": 1}\n{"margin": 2, "weight": 3}\n')
    with pytest.raises(ValueError, match="has a column 'weight'; choose another name"):
        write_weights(source, tmp_path / "o.jsonl")
    assert list(tmp_path.iterdir()) == [source]


def test_an_array_is_no_file(tmp_path):
    with pytest.raises(TypeError, match="source must be a path or rows with columns, got ndarray"):
        write_weights(H, tmp_path / "o.parquet")


@pytest.mark.parametrize("kind", FORMATS)
def test_the_offset_beside_the_weight(tmp_path, kind):
    """The same target as the weight's, held within a nat; each other column as it was."""
    source, out = write_pairs(tmp_path, kind, COLUMNS), tmp_path / f"o.{SUFFIX[kind]}"
    command = ["weights", str(source), "-o", str(out), "--offset", 'o, "1"', "--clip", "1"]
    assert cli.main([*command, "--weight", "bounded-ratio", "--mean-one"]) == 0
    found = read(out)
    assert list(found) == [*COLUMNS, "weight", 'o, "1"']
    weighting = BoundedRatioWeight(MarginSchedule.released())
    delta = np.log(weight(H, weighting) / weight(-H, weighting))  # whatever the weights' scale
    wanted = np.clip(delta, -1, 1)
    offsets = np.array([float(value) for value in found.pop('o, "1"')])
    np.testing.assert_allclose(offsets, wanted, rtol=1e-12, atol=1e-14)
    assert (np.abs(offsets) == 1).any() and (np.abs(offsets) < 1).any()
    assert [str(x) for x in found["margin"]] == list(map(str, H.tolist()))


def test_an_offset_of_a_weight_of_zero_must_be_held(tmp_path):
    source = write_pairs(tmp_path, "csv", {"margin": [1.0, -2.0, 3.0]})
    with pytest.raises(ValueError, match="column margin: the offset of a margin of 1 is inf"):
        write_weights(source, tmp_path / "o.csv", weight=Believed(), offset="offset")
    assert list(tmp_path.iterdir()) == [source]
    made = write_weights(source, tmp_path / "o.csv", weight=Believed(), offset="offset", clip=2.5)
    assert read(made.path)["offset"] == ["2.5", "-2.5", "2.5"]
    assert (made.record["offset"], made.record["clip"]) == ("offset", 2.5)
