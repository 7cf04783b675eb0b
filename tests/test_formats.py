"""Where rows come from and go to: every format, packed or not, shards, splits, frames, layouts."""

import gzip
import io
import itertools
import json
import sys

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from madpo_theory import MarginSchedule, cli, weight
from madpo_theory.diagnose import Reading, write_weights
from madpo_theory.diagnose.layouts import LAYOUTS
from madpo_theory.diagnose.reading import Pairs
from madpo_theory.diagnose.resampling import Systematic, sum_in_order
from madpo_theory.formats import FORMATS, Table, opened
from madpo_theory.formats.base import steps
from madpo_theory.formats.jsonl import Jsonl
from madpo_theory.formats.places import standard_input

H = [1.5, -2.0, 0.25, 4.0, -0.5]
ROWS = [
    {"id": k, "prompt": f'P{k}, "é"\n', "margin": h, "ok": k % 2 == 0, "none": None}
    for k, h in enumerate(H)
]
WEIGHTS = weight(np.array(H), MarginSchedule.released()).tolist()
ENDS = (".parquet", ".arrow", ".jsonl", ".json", ".csv", ".tsv", ".jsonl.gz", ".json.gz", ".csv.gz")


def margins(source, **reading):
    return np.concatenate(list(Pairs(source, Reading(**reading)).margins())).tolist()


def write(path, rows=ROWS):
    """Rows in the format of a path, by other writers than the library's."""
    body = {
        "jsonl": lambda: "".join(json.dumps(row) + "\n" for row in rows),
        "json": lambda: json.dumps(rows, indent=1),
        "csv": lambda: pandas.DataFrame(rows).to_csv(index=False),
        "tsv": lambda: pandas.DataFrame(rows).to_csv(index=False, sep="\t"),
    }
    kind, *packed = path.name.split(".")[1:]
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "arrow":
        with pa.ipc.new_stream(str(path), pa.Table.from_pylist(rows).schema) as stream:
            stream.write_table(pa.Table.from_pylist(rows))
    else:
        data = body[kind]().encode()
        path.write_bytes(gzip.compress(data) if packed else data)
    return path


def read(path):
    """Rows of a path by other readers than the library's; pandas decides what a cell of CSV is."""
    kind, *packed = path.name.split(".")[1:]
    if kind == "parquet":
        return parquet.read_table(path).to_pylist()
    if kind == "arrow":
        return pa.ipc.open_file(str(path)).read_all().to_pylist()
    data = path.read_bytes()
    text = (gzip.decompress(data) if packed else data).decode()
    if kind == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    if kind == "json":
        return json.loads(text)
    frame = pandas.read_csv(io.StringIO(text), sep="\t" if kind == "tsv" else ",")
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


@pytest.mark.parametrize(("source", "out"), [*itertools.product(ENDS, ENDS)])
def test_every_format_becomes_every_other(tmp_path, source, out):
    source = write(tmp_path / f"in{source}")
    made = write_weights(source, tmp_path / f"out{out}")
    assert made.pairs == len(H)
    found = read(made.path)
    assert [row.pop("weight") for row in found] == WEIGHTS
    assert found == ROWS
    assert (made.sidecar is None) == out.startswith((".parquet", ".arrow"))


@pytest.mark.parametrize("end", ENDS)
def test_what_was_written_is_read_again(tmp_path, end):
    made = write_weights(ROWS, tmp_path / f"a{end}")
    assert margins(made.path) == H
    again = write_weights(made.path, tmp_path / f"b{end}", column="w")
    assert [row["w"] for row in read(again.path)] == WEIGHTS


def test_the_packed_bytes_are_those_of_any_time(tmp_path, monkeypatch):
    first = write_weights(ROWS, tmp_path / "a.jsonl.gz").path.read_bytes()
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert write_weights(ROWS, tmp_path / "b.jsonl.gz").path.read_bytes() == first


PRETTY = (
    '\ufeff [\n  {\n    "margin": 1.50, "n": 12345678901234567890\n  } ,\n{"margin":-2e0} ]  \n'
)


def test_an_array_keeps_every_character(tmp_path):
    source, out = tmp_path / "p.json", tmp_path / "o.json"
    source.write_text(PRETTY, encoding="utf-8")
    write_weights(source, out)
    a, b = map(repr, weight(np.array([1.5, -2.0]), MarginSchedule.released()).tolist())
    assert out.read_text(encoding="utf-8") == PRETTY.lstrip("\ufeff").replace(
        "67890\n", f'67890, "weight": {a}\n'
    ).replace("-2e0}", f'-2e0, "weight": {b}}}')
    write_weights(source, tmp_path / "o.jsonl")
    assert '"n": 12345678901234567890' in (tmp_path / "o.jsonl").read_text(encoding="utf-8")


@given(
    st.lists(
        st.dictionaries(st.text(max_size=3), st.text(max_size=9) | st.lists(st.integers())),
        min_size=1, max_size=6,
    ),
    st.sampled_from((None, 0, 3)), st.integers(1, 40),
)  # fmt: skip
def test_an_array_is_read_in_pieces_of_any_size(tmp_path_factory, rows, indent, size):
    path = tmp_path_factory.mktemp("array") / "p.json"
    path.write_text(json.dumps(rows, indent=indent), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("madpo_theory.formats.jsonl.CHUNK", size)
        table = opened(path, "pairs") if any(rows) else None
        if table is not None:
            payloads = [text for _, text in table.parts((), None, whole=True, rows=None)]
            assert [json.loads(text) for text in itertools.chain(*payloads)] == rows
            whole = f"{table.begin}{','.join(itertools.chain(*payloads))}{table.end}"
            assert whole == path.read_text(encoding="utf-8")


# --- several files --------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ENDS)
def test_shards_by_a_pattern(tmp_path, end):
    for k, part in enumerate((ROWS[:2], ROWS[2:])):
        write(tmp_path / f"train-0000{k}-of-00002{end}", part)
    pattern = tmp_path / f"train-*{end}"
    assert margins(pattern) == H
    made = write_weights(pattern, tmp_path / f"o{end}")
    found = read(made.path)
    assert [row.pop("weight") for row in found] == WEIGHTS
    assert found == ROWS
    assert margins(tmp_path, split="train") == H


def test_shards_that_do_not_fit_are_refused(tmp_path):
    write(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("margin,id\n1,2\n")
    with pytest.raises(ValueError, match=r"b\.csv: has another header than .*a\.csv; give"):
        margins(tmp_path / "*.csv")
    write(tmp_path / "c.jsonl")
    with pytest.raises(ValueError, match="are of several formats"):
        margins(tmp_path / "*")
    with pytest.raises(ValueError, match="is a pattern that no file fits"):
        margins(tmp_path / "*.tsv")


def test_a_folder_as_the_hub_has_it(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("about")
    write(tmp_path / "data" / "train-00000-of-00001.parquet")
    assert margins(tmp_path) == H
    write(tmp_path / "data" / "test-00000-of-00001.parquet", ROWS[:1])
    with pytest.raises(ValueError, match=r"holds 2 datasets .* name a split \(--split NAME\)"):
        margins(tmp_path)
    assert margins(tmp_path, split="train") == H
    assert margins(tmp_path, split="test") == H[:1]
    with pytest.raises(ValueError, match="holds no datasets of that split"):
        margins(tmp_path, split="dev")


def test_splits_of_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list(ROWS)
    both = datasets.DatasetDict({"train": data, "test": data.select([3, 1])})
    both.save_to_disk(tmp_path / "saved")
    for source in (tmp_path / "saved", both):
        assert margins(source, split="train") == H
        assert margins(source, split="test") == [4.0, -2.0]
        with pytest.raises(ValueError, match=r"holds several splits; name one of .*--split NAME"):
            margins(source)
        with pytest.raises(ValueError, match="holds no split 'dev'; name one of"):
            margins(source, split="dev")
    assert margins(datasets.DatasetDict({"train": data})) == H
    with pytest.raises(ValueError, match="holds no splits, and split = 'train' names one"):
        margins(write(tmp_path / "p.csv"), split="train")
    with pytest.raises(ValueError, match="load it without streaming"):
        margins(data.to_iterable_dataset())
    made = write_weights(tmp_path / "saved", tmp_path / "o.jsonl", reading=Reading(split="train"))
    assert read(made.path) == [row | {"weight": w} for row, w in zip(ROWS, WEIGHTS, strict=True)]


def test_a_name_is_loaded_by_datasets(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    asked = []

    def load(name, split=None):
        asked.append((name, split))
        if name == "no/where":
            raise ConnectionError("Couldn't reach the hub\nmore")
        data = datasets.Dataset.from_list(ROWS, split=split and datasets.NamedSplit(split))
        return data if split else datasets.DatasetDict({"train": data, "test": data})

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert margins("owner/name", split="train") == H
    with pytest.raises(ValueError, match="owner/name: holds several splits; name one of train"):
        margins("owner/name")
    assert asked == [("owner/name", "train"), ("owner/name", None)]
    with pytest.raises(ValueError, match=r"no/where: .* datasets cannot load it \(Couldn't reach"):
        margins("no/where")
    with pytest.raises(ValueError, match="there is no such file or folder"):
        margins("owner/name.jsonl")
    assert len(asked) == 3


# --- standard input -------------------------------------------------------------------------------


@pytest.fixture
def piped(monkeypatch):
    """Give bytes to standard input."""

    def given(data):
        standard_input.cache_clear()
        stream = io.TextIOWrapper(io.BytesIO(data))
        stream.isatty = lambda: data == b"terminal"
        monkeypatch.setattr(sys, "stdin", stream)

    yield given
    standard_input.cache_clear()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("named", (False, True))
def test_standard_input(tmp_path, end, named, piped):
    """Read twice, as --mean-one must."""
    piped(write(tmp_path / f"in{end}").read_bytes())
    options = ["--format", end[1:]] if named else []
    out = tmp_path / "o.jsonl"
    assert cli.main(["weights", "-", "-o", str(out), "--mean-one", *options]) == 0
    ratios = np.array([row["weight"] for row in read(out)]) / WEIGHTS
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-14)


def test_input_of_no_known_kind_is_refused(tmp_path, piped):
    piped(b"\x00\x01nothing")
    with pytest.raises(ValueError, match="its format cannot be told from how it begins"):
        margins("-")
    piped(b"margin\n1\n")
    assert margins("-") == [1.0]
    with pytest.raises(ValueError, match=r"format = 'xml' is none that pairs may have: .*csv"):
        margins("-", format="xml")
    (tmp_path / "rows.txt").write_text('{"margin": 2}\n')
    assert margins(tmp_path / "rows.txt", format="jsonl") == [2.0]
    piped(b"terminal")
    with pytest.raises(ValueError, match="is a terminal; pipe the rows into it"):
        margins("-")


# --- in memory ------------------------------------------------------------------------------------

FRAMES = {
    "pandas": pandas.DataFrame,
    "pandas with an index": lambda rows: pandas.DataFrame(rows, index=range(9, 9 - len(rows), -1)),
    "polars": polars.DataFrame,
    "arrow": pa.Table.from_pylist,
    "dicts": list,
    "tuple": tuple,
}


@pytest.mark.parametrize("made", FRAMES)
@pytest.mark.parametrize("out", (".parquet", ".jsonl", ".csv"))
def test_frames_are_read(tmp_path, made, out):
    source = FRAMES[made](ROWS)
    assert margins(source) == H
    found = read(write_weights(source, tmp_path / f"o{out}").path)
    assert [row.pop("weight") for row in found] == WEIGHTS
    assert found == ROWS


def test_series_and_lists_of_numbers_are_margins():
    for source in (H, pandas.Series(H), polars.Series(H), np.array(H)):
        assert margins(source) == H


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([{"margin": 1.0}, 2], "pairs, row 2: must be a dict"),
        ([{"margin": 1.0}, {"margin": "x"}], "pairs, row 2, column margin: must be a number"),
        ([{"margin": 1.0}, {"margin": np.True_}], "pairs, row 2, column margin: must be a number"),
        ([{"margin": 1.0}, {"id": 2}], "pairs, row 2, column margin: missing or NaN"),
        (pandas.DataFrame({"margin": ["a", 1]}), "none that Arrow can hold"),
        (pandas.DataFrame({"margin": ["a"]}), "column margin: holds .*string, and must hold numb"),
        (polars.DataFrame({"margin": [1.0], "margins": [2.0]}), "several columns could be"),
    ],
)
def test_frames_that_are_wrong_are_refused_in_a_line(source, words):
    with pytest.raises(ValueError, match=words) as error:
        margins(source)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rows", "end", "words"),
    [
        ([{"margin": 1, "a": 1}, {"margin": 1, "a": "x"}], ".parquet", "column a: holds values of"),
        ([{"margin": 1, "a": 2**70}], ".parquet", "column a: holds values of several types"),
        ([{"margin": 1, "a": [1]}], ".csv", r"column a: holds \[1\], which CSV cannot hold"),
        ([{"margin": 1, "a": b"x"}], ".jsonl", "column a: holds b'x', which JSON cannot hold"),
        ([{"margin": 1, "a": float("inf")}], ".jsonl", "column a: holds inf, which JSON cannot"),
        ([{"margin": 1}] * 1001 + [{"margin": 1, "a": 1}], ".csv", "later rows have a column a"),
    ],
)
def test_what_a_format_cannot_hold_is_named(tmp_path, rows, end, words):
    with pytest.raises(ValueError, match=words):
        write_weights(rows, tmp_path / f"o{end}")
    assert list(tmp_path.iterdir()) == []


def test_cells_of_csv_get_the_narrowest_type_that_loses_nothing(tmp_path):
    (tmp_path / "p.csv").write_text(
        "margin,zip,count,share,truth,mixed,empty,big\n"
        "1,007,5,1.50,True,1,,12345678901234567890123\n-2,8,,2,false,x,NA,1\n"
    )
    made = write_weights(tmp_path / "p.csv", tmp_path / "o.jsonl")
    a, b = read(made.path)
    assert a["zip"] == "007" and b["zip"] == "8"
    assert (a["count"], b["count"]) == (5, None)
    assert (a["share"], b["share"], a["truth"], b["truth"]) == (1.5, 2.0, True, False)
    assert (a["mixed"], b["mixed"], a["empty"], b["empty"]) == ("1", "x", None, None)
    assert a["big"] == float("12345678901234567890123")
    again = write_weights(tmp_path / "p.csv", tmp_path / "o.tsv")
    assert [line.split("\t")[:8] for line in again.path.read_text().splitlines()] == [
        line.split(",") for line in (tmp_path / "p.csv").read_text().splitlines()
    ]


# --- scores within columns ------------------------------------------------------------------------

NESTED = [
    {
        "prompt": f"P{k}",
        "chosen": {"text": "a", "score": h + 0.5},
        "rejected": {"text": "b", "score": 0.5},
        "meta": {"margin": 2 * h},
        "completions": [{"text": "a", "reward": h}, {"text": "b", "reward": 0.0}],
        "scores": [3 * h, 0.0],
        "messages": [{"role": "user", "content": "x"}],
    }
    for k, h in enumerate(H)
]


@pytest.mark.parametrize("end", (".parquet", ".arrow", ".jsonl", ".json", "frame", "dicts"))
def test_scores_within_columns(tmp_path, end):
    source = {"frame": polars.DataFrame(NESTED), "dicts": NESTED}.get(end)
    source = write(tmp_path / f"p{end}", NESTED) if source is None else source
    assert margins(source) == H  # guessed: chosen.score - rejected.score
    assert str(Pairs(source, Reading()).columns) == "chosen.score - rejected.score"
    assert margins(source, margin="meta.margin") == [2 * h for h in H]
    two = tuple(f"completions[{k}].reward" for k in range(2))
    assert margins(source, rewards=two) == H
    assert margins(source, rewards=two[::-1]) == [-h for h in H]
    assert margins(source, margin="completions[].reward") == H
    assert margins(source, margin="scores[]") == [3 * h for h in H]
    made = write_weights(source, tmp_path / "o.jsonl")
    assert read(made.path) == [r | {"weight": w} for r, w in zip(NESTED, WEIGHTS, strict=True)]


@pytest.mark.parametrize("end", (".parquet", ".jsonl"))
def test_places_that_are_not_there(tmp_path, end):
    rows = [
        {"c": [{"r": 1.0}, {"r": 0.0}], "s": {"r": 1.0}},
        {"c": [{"r": 2.0}, {"r": 0.0}, {"r": 5.0}], "s": None},
        {"c": None, "s": {"r": None}},
        {"c": [{"r": 3.0}], "s": {"r": 2.0}},
    ]
    source = write(tmp_path / f"p{end}", rows)
    both = Pairs(source, Reading(margin="c[].r", drop_invalid=True))
    assert np.concatenate(list(both.margins())).tolist() == [1.0]
    assert both.dropped == {"missing or NaN": 3}
    assert margins(source, margin="c[0].r", drop_invalid=True) == [1.0, 2.0, 3.0]
    assert margins(source, margin="s.r", drop_invalid=True) == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"row 2, column c\[0 of 2\]\.r: missing or NaN"):
        margins(source, margin="c[].r")
    with pytest.raises(ValueError, match=r"no column 'x\.r'; the columns are c, s, c\[\]\.r, s\.r"):
        margins(source, margin="x.r")


def test_a_type_within_a_column_is_checked(tmp_path):
    source = write(tmp_path / "p.parquet", NESTED)
    with pytest.raises(ValueError, match=r"column chosen\.text: holds string, and must hold numbe"):
        margins(source, margin="chosen.text")
    with pytest.raises(ValueError, match=r"column chosen\.x: holds no such entries"):
        margins(source, margin="chosen.x")


def test_names_with_points_go_before_places():
    assert steps("a.b", ["a", "a.b"]) == ("a.b", ())
    assert steps("a.b.c", ["a", "a.b"]) == ("a", ("b", "c"))
    assert steps("a.b[3].c[0 of 2]", ["a.b"]) == ("a.b", ((3, None), "c", (0, 2)))
    assert steps("b.a", ["a"]) == (None, ())


# --- for trainers that read no weights ------------------------------------------------------------


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=30).filter(lambda w: sum(w) > 1e-3),
    st.integers(1, 200), st.integers(0, 99), st.integers(1, 7),
)  # fmt: skip
def test_a_row_is_drawn_as_often_as_its_share_rounded_down_or_up(weights, number, seed, size):
    weights = np.array(weights)
    batches = [weights[k : k + size] for k in range(0, len(weights), size)]
    total = sum_in_order(batches)
    draw = Systematic(total, number, seed)
    copies = np.concatenate([draw.copies(batch) for batch in batches])
    assert copies.sum() == number == draw.drawn
    shares = number * weights / total
    # 30 sums of 53 digits round a share by less than 1e-12 of the whole
    assert (copies >= np.floor(shares - 1e-12 * number)).all()
    assert (copies <= np.ceil(shares + 1e-12 * number)).all()
    assert Systematic(total, number, seed).copies(weights).tolist() == copies.tolist()


def test_over_seeds_a_row_is_drawn_in_proportion_to_its_weight():
    weights = np.array([0.3, 1.7, 0.05, 2.2, 0.75])
    found = [Systematic(weights.sum(), 2, seed).copies(weights) for seed in range(4000)]
    shares = 2 * weights / weights.sum()
    # each count is one of two neighbours, so that its standard error is at most 1/2 / sqrt(4000)
    assert (np.abs(np.mean(found, axis=0) - shares) < 4 * 0.5 / 4000**0.5).all()


@pytest.mark.parametrize("end", ENDS)
def test_resampled_rows_are_whole_rows(tmp_path, end):
    source = write(tmp_path / f"in{end}")
    made = write_weights(source, tmp_path / f"o{end}", resample=12, seed=3, rows=2)
    copies = Systematic(sum_in_order([np.array(WEIGHTS)]), 12, 3).copies(np.array(WEIGHTS))
    assert read(made.path) == [row for row, n in zip(ROWS, copies, strict=True) for _ in range(n)]
    assert (made.drawn, made.pairs) == (12, 5)
    assert (made.record["resample"], made.record["seed"]) == (12, 3)


def test_resampling_leaves_out_what_is_left_out(tmp_path, capsys):
    rows = [{"margin": h} for h in (1.0, None, -1.0, None, 2.0)]
    source, out = write(tmp_path / "p.jsonl", rows), tmp_path / "o.jsonl"
    command = ["weights", source, "-o", out, "--resample", "30", "--drop-invalid", "--seed", "1"]
    assert cli.main([str(c) for c in command]) == 0
    said = capsys.readouterr().out
    assert "30 rows drawn from 3 pairs" in said and "--method dpo" in said
    assert {row["margin"] for row in read(out)} == {1.0, -1.0, 2.0} and len(read(out)) == 30


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resample": 0}, "resample = 0 breaks the rule resample >= 1"),
        ({"resample": 3, "seed": -1}, "seed = -1 breaks the rule"),
        ({"resample": 3, "mean_one": True}, "leave out offset .* and mean_one"),
        ({"resample": 3, "offset": "o"}, "leave out offset"),
        ({"layout": "openai"}, "its trainer reads no weights; .*--resample N"),
        ({"layout": "alpaca"}, "is one of messages, openai, axolotl, llama-factory"),
    ],
)
def test_wrong_draws_are_refused(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        write_weights(TALKS, tmp_path / "o.jsonl", **options)
    assert list(tmp_path.iterdir()) == []


def said(role, content):
    return {"role": role, "content": content}


TALKS = [
    {
        "prompt": [said("system", "S"), said("user", f"U{k}")],
        "chosen": [said("assistant", f"C{k}")],
        "rejected": [said("assistant", f"R{k}")],
        "margin": h,
    }
    for k, h in enumerate(H)
]
WHOLE = [
    {
        "chosen": row["prompt"] + row["chosen"],
        "rejected": row["prompt"] + row["rejected"],
        "margin": row["margin"],
    }
    for row in TALKS
]


@pytest.mark.parametrize("rows", (TALKS, WHOLE))
def test_layouts_are_those_that_trainers_read(tmp_path, rows):
    """As axolotl's prompt_strategies/dpo/chat_template.py, LLaMA-Factory's data/converter.py and
    OpenAI's guide have them."""
    found = {}
    for name, layout in LAYOUTS.items():
        drawn = {} if layout.weighted else {"resample": 5}
        made = write_weights(rows, tmp_path / f"{name}.jsonl", layout=name, **drawn)
        found[name] = read(made.path)
    first = found["messages"][0]
    assert list(first) == ["prompt", "chosen", "rejected", "weight"]
    assert [row.pop("weight") for row in found["messages"]] == WEIGHTS
    assert found["messages"] == [{k: v for k, v in r.items() if k != "margin"} for r in TALKS]
    k = int(found["axolotl"][0]["messages"][1]["content"][1:])
    talk = TALKS[k]
    assert found["axolotl"][0] == {
        "messages": talk["prompt"], "chosen": talk["chosen"][0], "rejected": talk["rejected"][0],
    }  # fmt: skip
    assert found["openai"][0]["input"]["messages"] == talk["prompt"]
    assert found["openai"][0]["preferred_output"] == talk["chosen"]
    assert found["openai"][0]["non_preferred_output"] == talk["rejected"]
    assert found["llama-factory"][0] == {
        "conversations": [{"from": "system", "value": "S"}, {"from": "human", "value": f"U{k}"}],
        "chosen": {"from": "gpt", "value": f"C{k}"},
        "rejected": {"from": "gpt", "value": f"R{k}"},
    }


def test_a_label_says_which_response_a_layout_calls_chosen(tmp_path):
    rows = [
        {"prompt": "P", "first": "A", "second": "B", "reward_first": 1.0, "reward_second": 0.0,
         "first_chosen": first} for first in (True, False)
    ]  # fmt: skip
    for end in (".jsonl", ".csv", ".parquet"):
        made = write_weights(
            write(tmp_path / f"p{end}", rows), tmp_path / "o.jsonl", layout="messages", force=True
        )
        assert [row["chosen"][0]["content"] for row in read(made.path)] == ["A", "B"]
    rows = [row | {"chosen": "A", "rejected": "B"} for row in rows]
    with pytest.raises(ValueError, match="with the label first_chosen it is not said which of"):
        write_weights(rows, tmp_path / "x.jsonl", layout="messages")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"chosen": "A", "rejected": "B"}, "row 1, column chosen: is a text without a prompt"),
        ({"prompt": "P", "chosen": None, "rejected": "B"}, "row 1, column chosen: is missing"),
        (
            {"chosen": [said("user", "U"), said("assistant", "A")],
             "rejected": [said("user", "V"), said("assistant", "B")]},
            "row 1, column rejected: must differ from the other dialogue in the last message",
        ),
        ({"answer": "A"}, "layout messages needs the responses"),
    ],
)  # fmt: skip
def test_rows_without_a_layout_are_refused(tmp_path, row, words):
    with pytest.raises(ValueError, match=words):
        write_weights([row | {"margin": 1.0}], tmp_path / "o.jsonl", layout="messages")
    assert list(tmp_path.iterdir()) == []


# --- the seam -------------------------------------------------------------------------------------


def test_a_format_is_a_class_that_nothing_else_lists(tmp_path):
    class Slashed(Jsonl):
        """Lines of JSON that begin with //."""

        suffixes = (".slashed",)

        def _text(self, file, size=None):
            return (line.removeprefix("//") for line in super()._text(file, size))

    try:
        (tmp_path / "p.slashed").write_text('//{"margin": 1}\n//{"margin": 2}\n')
        assert margins(tmp_path / "p.slashed") == [1.0, 2.0]
        assert read(write_weights(tmp_path / "p.slashed", tmp_path / "o.jsonl").path)[1] == {
            "margin": 2, "weight": weight(2.0, MarginSchedule.released()),
        }  # fmt: skip
    finally:
        for suffix in (".slashed", ".slashed.gz"):
            FORMATS.pop(suffix)


def test_every_format_says_how_its_files_begin_and_no_other_does(tmp_path):
    for end in (end for end in ENDS if not end.endswith(".gz")):
        head = write(tmp_path / f"p{end}").read_bytes()[:4096]
        claim = {kind for kind in FORMATS.values() if kind.begins(head)}
        assert claim == {FORMATS[end]}
    assert not Table.begins(b"x")
