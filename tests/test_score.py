"""`madpo score`: the rewards of plain transformers, kept through any stop, in new columns."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

pytest.importorskip("transformers", reason="needs madpo-theory[trl]")

from pair_files import FORMATS, write_pairs
from pyarrow import parquet
from reward_folders import TEMPLATE, reward_folder, tokenizer_for
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from madpo_theory import cli
from madpo_theory.align.extras import optional
from madpo_theory.align.policy import realign, tiny_gemma
from madpo_theory.score import SCORED, scoring
from madpo_theory.score.dialogue import dialogues
from madpo_theory.score.model import load
from madpo_theory.score.scoring import score_pairs

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # transformers of its own names
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

PROMPTS = [f"A {kind} film about a {thing}:" for kind in ("slow", "loud") for thing in "abcdef"]
CHOSEN = [" It is wonderful" + " indeed" * (k % 4) + "." for k in range(len(PROMPTS))]
REJECTED = [" Dull, gloomy and far too long" + "!" * (k % 5) for k in range(len(PROMPTS))]
TEXTS = [*PROMPTS, *CHOSEN, *REJECTED, "[user] [assistant] [system]"]
COLUMNS = {"id": list(range(len(PROMPTS))), "prompt": PROMPTS, "chosen": CHOSEN,
           "rejected": REJECTED}  # fmt: skip


def said(role, content):
    return {"role": role, "content": content}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Makes a folder of a reward model, once for all tests that ask for the same."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def folder(**options):
        key = json.dumps(options)
        if key not in made:
            made[key] = reward_folder(root / str(len(made)), TEXTS, **options)
        return made[key]

    return folder


def plain(folder, dialogues, **options):
    """The rewards of transformers itself, one text after another."""
    # in memory that torch allocated: products round by alignment, and a mapped file aligns less
    model = realign(AutoModelForSequenceClassification.from_pretrained(folder).eval())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for dialogue in dialogues:
        special = isinstance(dialogue, str)
        if not special:
            dialogue = tokenizer.apply_chat_template(dialogue, tokenize=False)
        ids = tokenizer(dialogue, add_special_tokens=special, return_tensors="pt", **options)
        with torch.no_grad():
            found.append(
                model(**{k: ids[k] for k in ("input_ids", "attention_mask")}).logits.item()
            )
    return np.array(found)


def scored(tmp_path, columns, folder, **options):
    """(rewards (n, 2), ScoredPairs) of pairs in a Parquet file."""
    source, out = write_pairs(tmp_path, "parquet", columns), tmp_path / "scored.parquet"
    made = score_pairs(source, out, folder, force=True, **options)
    table = parquet.read_table(out)
    margin, *rewards = (table[name].to_numpy() for name in SCORED)
    assert (margin == rewards[0] - rewards[1]).all()
    return np.stack(rewards, axis=1), made


USER = [[said("user", text)] for text in PROMPTS]
ANSWERS = [[[said("assistant", text)] for text in texts] for texts in (CHOSEN, REJECTED)]
SHAPES = {
    "texts": (PROMPTS, CHOSEN, REJECTED),
    "whole texts": (None, *[[p + r for p, r in zip(PROMPTS, t, strict=True)]
                            for t in (CHOSEN, REJECTED)]),
    "messages": (USER, *ANSWERS),
    "whole messages": (None, *[[p + r for p, r in zip(USER, a, strict=True)] for a in ANSWERS]),
    "a text before whole messages": (
        PROMPTS, *[[p + r for p, r in zip(USER, a, strict=True)] for a in ANSWERS]
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ("gemma", "bert"))
@pytest.mark.parametrize("template", (None, TEMPLATE), ids=("plain", "chat"))
@pytest.mark.parametrize("shape", SHAPES)
def test_rewards_are_those_of_transformers_alone(tmp_path, folders, kind, template, shape):
    folder, values = folders(kind=kind, template=template), SHAPES[shape]
    columns = dict(zip(("prompt", "chosen", "rejected"), values, strict=True))
    columns = {name: column for name, column in columns.items() if column is not None}
    if template is None and "messages" in shape:
        with pytest.raises(ValueError, match=r"row 1, column chosen: is a list .* no chat"):
            scored(tmp_path, columns, folder)
        assert [path.name for path in tmp_path.iterdir()] == ["pairs.parquet"]
        return
    if shape == "whole texts" or template is None:
        whole = [p + r for texts in (CHOSEN, REJECTED) for p, r in zip(PROMPTS, texts, strict=True)]
    else:
        whole = [p + r for answers in ANSWERS for p, r in zip(USER, answers, strict=True)]
    expected = plain(folder, whole).reshape(2, -1).T
    alone, _ = scored(tmp_path, columns, folder, batch_tokens=1)
    assert (alone == expected).all()
    batched, made = scored(tmp_path, columns, folder, batch_tokens=200)
    # float32 sums of 32 numbers of about 1, in an order that depends on the shape of the batch
    np.testing.assert_allclose(batched, expected, rtol=0, atol=1e-5)
    assert np.ptp(expected) > 0.1 and made.pairs == len(PROMPTS) and made.truncated == (0, 0)


def test_no_chat_leaves_texts_as_they_stand(tmp_path, folders):
    folder = folders(template=TEMPLATE)
    found, made = scored(tmp_path, COLUMNS, folder, chat=False, batch_tokens=1)
    assert found[:, 0].tolist() == plain(folder, map(str.__add__, PROMPTS, CHOSEN)).tolist()
    assert made.record["chat_template"] is False


def test_without_a_pad_token_texts_go_one_at_a_time(tmp_path, folders):
    folder = folders(pad=False)
    found, _ = scored(tmp_path, COLUMNS, folder)
    assert found[:, 1].tolist() == plain(folder, map(str.__add__, PROMPTS, REJECTED)).tolist()


def test_what_is_too_long_is_cut_as_the_tokenizer_cuts_and_counted(tmp_path, folders, capsys):
    folder, whole = folders(), [p + r for p, r in zip(PROMPTS, CHOSEN, strict=True)]
    lengths = [len(ids) for ids in tokenizer_for(TEXTS)(whole)["input_ids"]]
    limit = sorted(lengths)[6]
    found, made = scored(tmp_path, COLUMNS, folder, max_tokens=limit, batch_tokens=1)
    expected = plain(folder, whole, truncation=True, max_length=limit)
    assert found[:, 0].tolist() == expected.tolist()
    assert made.truncated[0] == sum(n > limit for n in lengths) > 0
    arguments = ["score", str(tmp_path / "pairs.parquet"), "--reward-model", folder]
    assert cli.main([*arguments, "-o", str(tmp_path / "o.parquet"), "--max-tokens", "9"]) == 0
    assert f"cut to fit: {len(PROMPTS)} chosen" in capsys.readouterr().out
    # and without being asked, to what the model has room for
    _, made = scored(tmp_path, COLUMNS | {"chosen": ["a b " * 90] * len(PROMPTS)},
                     folders(kind="bert", limit=40))  # fmt: skip
    assert made.record["max_tokens"] == 40 and made.truncated[0] == len(PROMPTS)


def test_in_bfloat16_rewards_are_rounded_inside_and_not_at_the_end(tmp_path, folders):
    exact, _ = scored(tmp_path, COLUMNS, folders())
    rounded, made = scored(tmp_path, COLUMNS, folders(), dtype="bfloat16")
    assert made.record["dtype"] == "bfloat16"
    # hidden states of 2^-8 relative rounding in two layers: far from exact, far from unrelated
    assert 0 < np.abs(rounded - exact).max() < 0.15 * np.ptp(exact)
    as_bfloat16 = torch.tensor(rounded).bfloat16().double().numpy()
    assert (as_bfloat16 != rounded).mean() > 0.5  # 16 more bits than bfloat16 could hold


@pytest.mark.parametrize("kind", FORMATS)
def test_it_feeds_weights_and_diagnose_without_more_words(tmp_path, folders, kind, capsys):
    columns = COLUMNS | {"score_chosen": [8.0] * len(PROMPTS), "score_rejected": [2.0, 3.0] * 6}
    source = write_pairs(tmp_path, kind, columns)
    suffix = "parquet" if kind == "folder" else kind
    out, weighted = tmp_path / f"o.{suffix}", tmp_path / f"w.{suffix}"
    assert cli.main(["score", str(source), "--reward-model", folders(), "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == f"next: madpo diagnose {out}"
    assert not list(tmp_path.glob("*.partial"))
    assert cli.main(["diagnose", str(out)]) in (0, 1)
    assert "margin (guessed" in capsys.readouterr().out
    assert cli.main(["weights", str(out), "-o", str(weighted)]) == 0
    if suffix == "parquet":
        table = parquet.read_table(weighted)
        found, names = table["margin"].to_pylist(), table.column_names
        record = json.loads(table.schema.metadata[scoring.METADATA])
        before = table.select(list(columns)).to_pydict()
    else:
        lines = weighted.read_text().splitlines()
        record = json.loads((tmp_path / f"{out.name}.score.json").read_text())
        if kind == "csv":
            names = lines[0].split(",")
            found = [float(line.split(",")[-4]) for line in lines[1:]]
            before = columns
            assert lines[1].startswith(f"0,{PROMPTS[0]},{CHOSEN[0]},")
        else:
            rows = list(map(json.loads, lines))
            names, found = list(rows[0]), [row["margin"] for row in rows]
            before = {name: [row[name] for row in rows] for name in columns}
    assert names == [*columns, *SCORED, "weight"] and before == columns
    assert record["columns"] == list(SCORED) and record["dtype"] == "float32"
    expected = plain(folders(), map(str.__add__, PROMPTS, CHOSEN))
    expected -= plain(folders(), map(str.__add__, PROMPTS, REJECTED))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)  # twice the rounding above


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(scoring, "WINDOW", 3)


@pytest.mark.parametrize("kind", ("parquet", "jsonl"))
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(
    tmp_path, folders, kind, small_windows, monkeypatch
):
    source = write_pairs(tmp_path, kind, COLUMNS)
    whole, out = tmp_path / f"whole.{kind}", tmp_path / f"o.{kind}"
    score_pairs(source, whole, folders())
    save, done = np.save, []

    def stopping(after):
        def stop(*args, **kwargs):
            if len(done) == after:
                done.clear()
                raise KeyboardInterrupt
            done.append(save(*args, **kwargs))

        return stop

    for after in (0, 1, 2, 0):  # stopped before the first, within others, and at once again
        monkeypatch.setattr(scoring.np, "save", stopping(after))
        with pytest.raises(KeyboardInterrupt):
            score_pairs(source, out, folders())
        assert not out.exists()
    assert len(list((tmp_path / f"o.{kind}.partial").glob("*.npy"))) == 3
    monkeypatch.setattr(scoring.np, "save", save)
    score_pairs(source, out, folders())
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / f"o.{kind}.partial").exists()


def test_what_a_kill_left_beside_a_whole_file_is_cleared(tmp_path, folders, monkeypatch):
    """It came when the file had its place; what a later run has begun is not of that file."""
    source, out = write_pairs(tmp_path, "jsonl", COLUMNS), tmp_path / "o.jsonl"

    def stop(*_):
        raise KeyboardInterrupt

    def stopped(module, name, **options):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, name, stop)
            score_pairs(source, out, folders(), **options)

    stopped(scoring.shutil, "rmtree")
    whole, folder = out.read_bytes(), tmp_path / "o.jsonl.partial"
    assert list(folder.glob("*.npy"))
    with scoring.held(folder / "lock"), pytest.raises(ValueError, match="is there already"):
        score_pairs(source, out, folders())
    assert folder.exists()  # whoever holds it will
    with pytest.raises(ValueError, match="is there already"):
        score_pairs(source, out, folders())
    assert out.read_bytes() == whole and not folder.exists()
    stopped(scoring.Extended, "writing", force=True)
    with pytest.raises(ValueError, match="is there already"):
        score_pairs(source, out, folders())
    assert list(folder.glob("*.npy")) and out.read_bytes() == whole


def test_what_is_done_is_not_gone_on_with_by_other_means(
    tmp_path, folders, small_windows, monkeypatch
):
    source, out = write_pairs(tmp_path, "jsonl", COLUMNS), tmp_path / "o.jsonl"
    score_pairs(source, tmp_path / "whole.jsonl", folders())

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(scoring.Extended, "writing", stop)
        score_pairs(source, out, folders())
    for other, words in (
        ({"reward_model": folders(kind="bert")}, "another digest, max_tokens, reward_model"),
        ({"max_tokens": 30}, "another max_tokens"),
        ({"dtype": "bfloat16"}, "another dtype"),
    ):
        options = {"reward_model": folders()} | other
        with pytest.raises(scoring.RunError, match=words):
            score_pairs(source, out, **options)
    source.write_text(source.read_text().replace("wonderful", "woeful"))
    with pytest.raises(scoring.RunError, match="another rows"):
        score_pairs(source, out, folders())
    write_pairs(tmp_path, "jsonl", COLUMNS)
    with scoring.held(tmp_path / "o.jsonl.partial" / "lock"):
        with pytest.raises(scoring.RunError, match="another process is writing"):
            score_pairs(source, out, folders())
    (tmp_path / "o.jsonl.partial" / "settings.json").write_text("{")  # then nothing is trusted
    score_pairs(source, out, folders())
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def broken(folder, made, name, value):
    """A copy of a model's folder with one parameter changed by `value(tensor)`."""
    made.mkdir()
    for path in Path(folder).iterdir():
        (made / path.name).write_bytes(path.read_bytes())
    tensors = load_file(made / "model.safetensors")
    value(tensors[name])
    save_file(tensors, made / "model.safetensors", {"format": "pt"})
    return str(made)


def test_a_reward_that_is_no_number_is_refused_with_its_row(tmp_path, folders, small_windows):
    tokenizer = tokenizer_for(TEXTS)
    token = set(tokenizer("!!!!")["input_ids"]) - set(tokenizer("!!!")["input_ids"])
    rows = [k for k, text in enumerate(REJECTED) if token & set(tokenizer(text)["input_ids"])]
    assert rows and rows[0] >= 3  # a window is done before

    def spoil(embedding):
        embedding[list(token)] = math.nan

    folder = broken(folders(), tmp_path / "rm", "model.embed_tokens.weight", spoil)
    source, out = write_pairs(tmp_path, "parquet", COLUMNS), tmp_path / "o.parquet"
    where = f"pairs.parquet, row {rows[0] + 1}, column rejected: the reward is nan"
    with pytest.raises(ValueError, match=where):
        score_pairs(source, out, folder)
    assert not out.exists()


ROW = {"prompt": "a", "chosen": "b", "rejected": "c"}


@pytest.mark.parametrize(
    ("row", "words"),
    (
        ({"chosen": None}, "row 2, column chosen: is missing"),
        ({"prompt": None}, "row 2, column prompt: is missing"),
        ({"rejected": 3}, "row 2, column rejected: must be a text or a list of messages"),
        ({"rejected": []}, "row 2, column rejected: must be a text or a list of messages"),
        ({"chosen": [{"role": "user"}]}, "row 2, column chosen: must be a text or a list"),
        ({"chosen": '[{"role": "user", "content": "a"}]'}, "written as a text; save the pairs"),
        ({"chosen": [said("judge", "a")]}, "does not fit the chat template (no role judge)"),
        ({"margin": 1.0}, "row 2: has a column 'margin'; choose another name with columns"),
    ),
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_row_that_is_no_pair_is_refused_before_anything_is_written(
    tmp_path, folders, capsys, row, words
):
    source = tmp_path / "p.jsonl"
    rows = [ROW] * 1001 if "margin" in row else [ROW]  # the first thousand say which columns
    text = "".join(json.dumps(r) + "\n" for r in (*rows, ROW | row))
    source.write_text(text)
    words = words.replace("row 2", f"row {len(rows) + 1}")
    model = folders(template=TEMPLATE)
    arguments = ["score", str(source), "--reward-model", model, "-o", str(tmp_path / "o.jsonl")]
    assert cli.main(arguments) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]


def test_wrong_use_is_one_line_and_writes_nothing(tmp_path, folders, capsys):
    source = write_pairs(tmp_path, "jsonl", COLUMNS)
    tiny_gemma(TEXTS, seed=0)[0].save_pretrained(tmp_path / "headless")
    tokenizer_for(TEXTS).save_pretrained(tmp_path / "headless")
    many = [f"{a}{b}" for a in "abcdefgh" for b in "ijklmnop"] * 2
    wide = broken(folders(), tmp_path / "wide", "score.weight", lambda _: None)
    tokenizer_for([*TEXTS, *many, "another tokenizer with more words"]).save_pretrained(wide)
    before = sorted(tmp_path.rglob("*"))
    for options, words in (
        (["--reward-model", str(tmp_path / "none")], f"{tmp_path / 'none'} cannot be loaded ("),
        (["--reward-model", str(tmp_path / "headless")], "holds no score.weight, which would be"),
        (["--reward-model", folders(outputs=2)], "has 2 outputs, and must have one"),
        (["--reward-model", wide], "of the tokenizer, but the model knows"),
        (["--chosen", "better"], "there is no column 'better'"),
        (["--columns", "margin", "id", "b"], "has a column 'id'; choose another name"),
        (["--columns", "a", "a", "b"], "breaks the rule that margin, chosen and rejected"),
        (["--max-tokens", "0"], "breaks the rule 1 <= max_tokens <= "),
        (["--batch-tokens", "0"], "batch_tokens >= 1"),
        (["--device", "cuda:99"], "device = 'cuda:99' is none that torch finds here"),
        (["-o", str(tmp_path / "o.txt")], "must end in one of .arrow, .csv, .json, .jsonl"),
        (["-o", str(source)], "is there already; force (--force)"),
    ):
        arguments = ["score", str(source), "--reward-model", folders(), "-o",
                     str(tmp_path / "o.jsonl"), *options]  # fmt: skip
        assert cli.main(arguments) == 2, options
        told = capsys.readouterr().err
        assert words in told and told.count("\n") == 1, told
        assert sorted(tmp_path.rglob("*")) == before, options


@pytest.mark.parametrize("chat", (True, False))
def test_a_prompt_is_put_before_what_lacks_it(chat):
    user, answer, system = said("user", "q"), said("assistant", "a"), said("system", "s")
    for prompt, response, whole in (
        (None, "a", "a"),
        (None, [user, answer], [user, answer]),
        ("q", "a", [user, answer] if chat else "qa"),
        ("q", [answer], [user, answer]),
        ("q", [system, user, answer], [system, user, answer]),
        ([system, user], "a", [system, user, answer]),
        ([user], [answer], [user, answer]),
        ([user], [user, answer], [user, answer]),
        ([user], [answer | {"tool_calls": None}], [user, answer]),  # as Arrow fills them in
    ):
        assert dialogues(prompt, [response], chat=chat) == [whole]


def test_columns_of_other_names(tmp_path, folders, capsys):
    table = {"q": PROMPTS, "good": CHOSEN, "bad": REJECTED}
    source, out = tmp_path / "p.parquet", tmp_path / "o.parquet"
    parquet.write_table(pa.table(table), source)
    arguments = ["--prompt", "q", "--chosen", "good", "--rejected", "bad", "--columns", "m", "a",
                 "b"]  # fmt: skip
    arguments = ["score", str(source), "--reward-model", folders(), "-o", str(out), *arguments]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.endswith(f"next: madpo diagnose {out} --margin m\n")
    assert parquet.read_table(out).column_names == [*table, "m", "a", "b"]


def test_without_transformers_the_extra_that_score_needs_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("madpo_theory.align.extras.import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'madpo-theory\[trl\]'"):
        load("a/model")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'madpo-theory\[sentiment\]'"):
        optional("gguf")
