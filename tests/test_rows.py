"""Which pair has which trouble: against the definitions, in every format."""

import csv
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from pair_files import FORMATS, drawn_margins, write_pairs
from pyarrow import parquet

from madpo_theory import MarginSchedule, cli, effective_target
from madpo_theory.diagnose import Reading, diagnose, write_rows
from madpo_theory.diagnose.rows import dice

SCHEDULE = MarginSchedule.released(4)
H = np.concatenate([np.round(drawn_margins(400), 3), [0.0, 5.0, -6.5, 40.0, -6.906754]])
H = H[(H != 0) | (np.arange(len(H)) == 400)]
TEXTS = {
    "prompt": "a b",
    "chosen": ["the same text", "one two three four five", "x " * 39 + "y", ""],
    "rejected": ["the  same text", "one two three nine ten", "x " * 40, "word"],
}


def columns(h=H):
    return {
        "margin": h.tolist(),
        **{
            name: [texts if isinstance(texts, str) else texts[k % 4] for k in range(len(h))]
            for name, texts in TEXTS.items()
        },
    }


def read(path):
    """{column: list} of a file of rows, flags as bool."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pydict()
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return {name: [row[name] for row in rows] for name in rows[0]}
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    return {
        name: [float(row[name]) if "_score" in name or name == "margin" else int(row[name])
               for row in rows]
        for name in rows[0]
    }  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("suffix", (".parquet", ".jsonl", ".csv", ".tsv"))
def test_flags_and_scores_are_those_of_the_definitions(tmp_path, kind, suffix):
    source, out = write_pairs(tmp_path, kind, columns()), tmp_path / f"rows{suffix}"
    found = diagnose(source, SCHEDULE)
    written = write_rows(source, out, found, max_tokens=5, rows=37)
    rows = read(out)
    assert rows["row"] == list(range(1, len(H) + 1)) and rows["margin"] == H.tolist()
    assert written.pairs == len(H)
    median = np.quantile(H, 0.5, method="inverted_cdf")
    deviation = np.quantile(np.abs(H - median), 0.5, method="inverted_cdf")
    start, end = found.effects[0].falls[0].start, found.effects[0].falls[0].end
    on = (np.abs(H) > start) & (np.abs(H) < end)
    top = effective_target(start, start, SCHEDULE)
    expected = {
        "disputed": (H < 0, 1 / (1 + np.exp(H))),
        "near_minus_tau": (np.abs(H + SCHEDULE.tau) <= 0.5, np.exp(-np.abs(H + SCHEDULE.tau))),
        "falls": (on, np.where(on, top - effective_target(np.abs(H), np.abs(H), SCHEDULE), 0)),
        "tie": (H == 0, 2 / (1 + np.exp(np.abs(H)))),
        "outlier": (np.abs(H - median) / (1.4826 * deviation) > 5,
                    np.abs(H - median) / (1.4826 * deviation)),
    }  # fmt: skip
    for name, (flags, scores) in expected.items():
        assert [bool(flag) for flag in rows[name]] == flags.tolist(), name
        assert 0 < sum(flags) < len(H) and written.flagged[name] == sum(flags)
        # the median and the deviation are within a cell, 2^-10 nats
        near = {"abs": 1e-3, "rel": 1e-3} if name == "outlier" else {"abs": 1e-12, "rel": 1e-12}
        assert rows[f"{name}_score"] == pytest.approx(scores, **near)
    assert rows["identical"][:4] == [True, False, False, False]
    assert rows["similar_score"][:4] == pytest.approx([1, 0.6, 78 / 80, 0])
    assert rows["similar"][:4] == [True, False, True, False]
    # of 5 words the prompt takes 2: one and two and three are the rest
    assert rows["truncated"][:4] == [False, True, True, False]
    assert rows["truncated_score"][:4] == pytest.approx([0, 1, 1, 0.4])


def test_the_batch_size_and_the_format_change_nothing(tmp_path):
    found = []
    for kind in FORMATS:
        source = write_pairs(tmp_path, kind, columns())
        for size in (None, 41):
            out = tmp_path / f"{kind}{size}.csv"
            d = diagnose(source, SCHEDULE)
            write_rows(source, out, d, rows=size)
            found.append(out.read_bytes())
    assert len(set(found)) == 1


@pytest.mark.slow  # imports transformers
def test_a_tokenizer_counts_tokens(tmp_path):
    tokenizers, transformers = (pytest.importorskip(n) for n in ("tokenizers", "transformers"))
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")  # a token each letter
    made.add_tokens(list("abcdefgh "))
    transformers.PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(tmp_path / "t")
    rows = [{"margin": 1.0, "prompt": "abc", "chosen": "abcd e", "rejected": "abcd f"}] * 100
    source = tmp_path / "p.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = diagnose(source, SCHEDULE)
    for limit, flagged in ((8, 100), (9, 0)):  # 3 letters and 5 are the same, the 9th differs
        written = write_rows(source, tmp_path / "r.csv", found, max_tokens=limit,
                             tokenizer=tmp_path / "t")  # fmt: skip
        assert written.flagged["truncated"] == flagged
    with pytest.raises(ValueError, match=r"tokenizer = '.*nowhere' is none that transformers"):
        write_rows(source, tmp_path / "r.csv", found, max_tokens=8, tokenizer=tmp_path / "nowhere")


def test_message_lists_are_their_contents(tmp_path):
    def talk(answer):
        return [{"role": "user", "content": "hi there"}, {"role": "assistant", "content": answer}]

    table = pa.table(
        {
            "margin": [1.0, 2.0],
            "chosen": [talk("yes of course"), talk("no")],
            "rejected": [talk("yes of course"), talk("maybe")],
        }
    )
    parquet.write_table(table, tmp_path / "p.parquet")
    d = diagnose(tmp_path / "p.parquet", SCHEDULE)
    write_rows(tmp_path / "p.parquet", tmp_path / "r.jsonl", d, max_tokens=2)
    rows = read(tmp_path / "r.jsonl")
    assert rows["identical"] == [True, False]
    assert rows["similar_score"] == pytest.approx([1, 4 / 6])
    assert rows["truncated"] == [False, True]  # the two words of the prompt are all that is left


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [("", "", 1.0), ("a", "", 0.0), ("a a b", "a b b", 4 / 6), ("b a", "a b", 1.0)],
)
def test_dice_counts_words_with_repetition(one, other, score):
    assert dice(one.split(), other.split()) == pytest.approx(score)


def test_rows_left_out_keep_their_numbers(tmp_path):
    source = write_pairs(tmp_path, "csv", {"margin": [1.0, math.nan, -2.0]})
    d = diagnose(source, SCHEDULE, reading=Reading(drop_invalid=True))
    assert write_rows(source, tmp_path / "r.csv", d).pairs == 2
    assert read(tmp_path / "r.csv")["row"] == [1, 3]


def test_margins_and_methods_have_rows_too(tmp_path):
    d = diagnose(H[H != 0], method="simpo")
    write_rows(H[H != 0], tmp_path / "r.csv", d)
    rows = read(tmp_path / "r.csv")
    assert "near_minus_tau" not in rows and "identical" not in rows
    assert sum(rows["disputed"]) == np.count_nonzero(H < 0)


def test_the_command_says_how_many_and_refuses_before_it_writes(tmp_path, capsys):
    h = H[H != 0]
    source, out = write_pairs(tmp_path, "csv", columns(h)), tmp_path / "rows.csv"
    cli.main(["diagnose", str(source), "--rows", str(out), "--max-tokens", "5"])
    said = capsys.readouterr().out
    *_, line = [line for line in said.splitlines() if line.startswith("  disputed  ")]
    assert int(line.split()[1].replace(",", "")) == np.count_nonzero(h < 0)
    assert line.split()[2] == f"{np.mean(h < 0):.1%}"
    out.unlink()
    bare = write_pairs(tmp_path, "csv", {"margin": h.tolist()}, "bare")
    for path, options, words in (
        (source, ["--rows", str(tmp_path / "r.txt")], "must end in one of .parquet, .jsonl"),
        (source, ["--rows", str(source)], "is the file of the pairs"),
        (source, ["--max-tokens", "5"], "--max-tokens are of --rows"),
        (source, ["--rows", str(out), "--max-tokens", "0"], "max_tokens = 0 breaks the rule"),
        (source, ["--rows", str(out), "--responses", "a", "b"], "there is no column 'a'"),
        (bare, ["--rows", str(out), "--max-tokens", "5"], "needs the texts of the responses"),
    ):
        assert cli.main(["diagnose", str(path), *options]) == 2
        assert words in capsys.readouterr().err
        assert not out.exists()


@pytest.mark.parametrize(
    ("margins", "words"),
    [
        (np.linspace(1, 2, 500), "no finite optimum (L3)"),
        (-np.linspace(1, 2, 500), "all margins are negative"),
        (np.resize([1.0, 2.0, 3.0], 500), "the margins have 3 values"),
        (np.resize([0.0, 2 / 3, 1.0], 500), "training margin of a reward model"),
        (drawn_margins(2000), None),
        (np.resize([1.0, -2.0, 3.0], 500), None),
    ],
)
def test_trouble_of_the_whole_set_is_a_caution(margins, words):
    found = diagnose(margins, SCHEDULE)
    assert any(words in caution for caution in found.cautions) if words else not found.cautions
