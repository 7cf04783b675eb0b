"""`madpo train` and `madpo frontier`: from a file of pairs to a judged policy on a plane."""

import csv
import json
import math

import numpy as np
import pytest
import torch

pytest.importorskip("trl", reason="needs madpo-theory[trl]")
pytest.importorskip("peft", reason="needs madpo-theory[trl]")

from reward_folders import TEMPLATE, reward_folder
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.trainer_utils import rotate_checkpoints
from trl_trainers import MARKS, PAIRS, disturb, tiny_policy

from madpo_theory import MarginSchedule, cli
from madpo_theory.integrations.trl import checkpoints, last_checkpoint
from madpo_theory.theory.temperature import matched_temperature
from madpo_theory.train import EVALUATION, config, run
from madpo_theory.train.data import held_out, load, prompt_of
from madpo_theory.train.frontier import frontier
from madpo_theory.train.measure import mean_and_error, sample, sequence_kl

pytestmark = MARKS
ROWS = [
    {key: pair[key] for key in ("chosen", "rejected")}
    | {"prompt": f"{pair['prompt']} {k} ", "margin": pair["margin"] + 0.1 + k / 8}
    for k in range(3)
    for pair in PAIRS
]


MINE = """
from dataclasses import dataclass
from madpo_theory.methods import Method

@dataclass(frozen=True)
class Loose(Method):
    beta: float = 0.1

    def margin_loss(self, xp, z, h):
        return xp.softplus(-z)


@dataclass(frozen=True)
class Typo(Method):
    def margin_loss(self, xp, z, h):

        return xp.softplus(-zz)


@dataclass(frozen=True)
class Nan(Method):
    def margin_loss(self, xp, z, h):
        return xp.softplus(-z) * float("nan")


@dataclass(frozen=True)
class Later(Method):
    def margin_loss(self, xp, z, h):
        inside = xp.minimum(z - 0.31, 3.8 - z)
        return xp.where_greater(inside, 0, xp.log(-1 - z * z), xp.softplus(-z))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of a tiny policy and a tiny judge."""
    root = tmp_path_factory.mktemp("models")
    causal_lm, tokenizer = tiny_policy()
    for part in (causal_lm, tokenizer):
        part.save_pretrained(root / "policy")
    tokenizer.chat_template = TEMPLATE
    causal_lm.save_pretrained(root / "chat")
    tokenizer.save_pretrained(root / "chat")
    reward_folder(root / "judge", [pair["prompt"] + pair["chosen"] for pair in PAIRS])
    return root


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def made(models, tmp_path, monkeypatch):
    """Writes a config; returns the arguments of `madpo train` with it."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "pairs.jsonl", ROWS)

    def arguments(*overrides, **options):
        options = {
            "pairs": "pairs.jsonl", "model_name_or_path": models / "policy", "output_dir": "out",
            "held_out": 0.4, "kl_prompts": 5, "kl_tokens": 6, "learning_rate": 1e-3,
            "max_steps": 4, "save_steps": 2, "per_device_train_batch_size": 4, "report_to": "none",
            "gradient_checkpointing": False,
        } | options  # fmt: skip
        lines = [f"{name}: {json.dumps(value, default=str)}" for name, value in options.items()]
        (tmp_path / "run.yaml").write_text("\n".join(lines) + "\n")
        return ["train", "run.yaml", *overrides]

    return arguments


def evaluation(folder):
    return json.loads((folder / EVALUATION).read_text())


@pytest.mark.slow
def test_weights_to_a_judged_policy_and_its_baseline(made, models, tmp_path, capsys):
    assert cli.main(["weights", "pairs.jsonl", "-o", "weighted.jsonl", "--c-max", "3"]) == 0
    arguments = made(pairs="weighted.jsonl", baseline=True, reward_model=models / "judge")
    assert cli.main(arguments) == 0
    told = capsys.readouterr().out
    assert told.rstrip().endswith("next: madpo frontier out out-dpo")
    out, second = tmp_path / "out", tmp_path / "out-dpo"
    rows = {folder: evaluation(folder) for folder in (out, second)}
    record = json.loads((out / "madpo.json").read_text())
    assert record["trainer"] == "WeightedDPOTrainer" and record["weights"]["c_max"] == 3.0
    assert "- weights: `{'kind': 'published'" in (out / "README.md").read_text()
    rho = matched_temperature([row["margin"] for row in ROWS], MarginSchedule.released(3))
    assert rows[second]["method"] == "dpo"
    assert rows[second]["beta"] == pytest.approx(0.1 / rho, rel=1e-12)
    for folder, row in rows.items():
        assert row["pairs"] + row["held_out_pairs"] == len(ROWS) and row["prompts"] == 5
        assert row["kl"] > 0 and row["kl_error"] > 0 and 0 <= row["accuracy"] <= 1
        samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
        for name in ("kl", "reward"):
            values = [each[name] for each in samples]
            assert (row[name], row[f"{name}_error"]) == mean_and_error(values)
        assert AutoModelForCausalLM.from_pretrained(folder).config.madpo["column"] == (
            "weight" if folder == out else None
        )
    assert rows[out]["loss"] != rows[out]["unweighted_loss"]
    assert rows[second]["loss"] == pytest.approx(rows[second]["unweighted_loss"], rel=1e-6)
    # again: read back, in no time; with anything else: refused
    weights = {folder: (folder / "model.safetensors").read_bytes() for folder in rows}
    assert cli.main(arguments) == 0
    assert all((f / "model.safetensors").read_bytes() == weights[f] for f in weights)
    assert cli.main([*arguments, "--beta", "0.3"]) == 2
    assert "another beta, 0.1 and not 0.3" in capsys.readouterr().err
    write(tmp_path / "weighted.jsonl", [row | {"weight": 1.0} for row in ROWS])
    assert cli.main(made(pairs="weighted.jsonl")) == 2
    assert "another pairs" in capsys.readouterr().err
    # the plane
    assert cli.main(["frontier", "out", "out-dpo", "-o", "plane.png"]) == 0
    assert (tmp_path / "plane.png").read_bytes().startswith(b"\x89PNG")
    with open(tmp_path / "plane.csv", newline="") as file:
        drawn = list(csv.DictReader(file))
    assert drawn[0]["kl"] == "0" and len(drawn) == 3
    assert float(drawn[1]["reward"]) == pytest.approx(rows[out]["reward"], rel=1e-9)
    row = json.loads((second / EVALUATION).read_text())
    (second / EVALUATION).write_text(json.dumps(row | {"reward_model": "another"}))
    assert cli.main(["frontier", "out", "out-dpo"]) == 2
    assert "are not on one plane" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "expected"),
    (
        pytest.param({"method": "simpo", "settings": {"gamma": 1.5}}, {"beta": 2.0, "gamma": 1.5},
                     marks=pytest.mark.slow, id="simpo"),
        pytest.param({"method": "madpo", "settings": {"c_max": 3.0, "tau": 2.0}, "beta": 0.2},
                     {"beta": 0.2, "c_max": 3.0, "c_min": 0.5, "lam": 1.0, "tau": 2.0}, id="madpo"),
        pytest.param({"method": "bounded-ratio", "use_peft": True, "lora_r": 2,
                      "lora_target_modules": ["all-linear"]}, {"beta": 0.1},
                     marks=pytest.mark.slow, id="lora"),
    ),
)  # fmt: skip
def test_any_method_and_adapters(made, tmp_path, options, expected):
    assert cli.main(made(**options)) == 0
    record, row = (
        json.loads((tmp_path / "out/madpo.json").read_text()),
        evaluation(tmp_path / "out"),
    )
    assert expected.items() <= record["settings"].items()
    assert row["beta"] == expected["beta"] and row["kl"] > 0
    assert (tmp_path / "out/adapter_config.json").exists() == ("use_peft" in options)


@pytest.mark.slow
def test_messages_are_trained_and_judged_on(made, models, tmp_path):
    rows = [
        {"chosen": [{"role": "user", "content": row["prompt"]},
                    {"role": "assistant", "content": row["chosen"]}],
         "rejected": [{"role": "assistant", "content": row["rejected"]}],
         "prompt": row["prompt"], "margin": row["margin"]}
        for row in ROWS
    ]  # fmt: skip
    write(tmp_path / "pairs.jsonl", rows)
    row = load(tmp_path / "pairs.jsonl", "margin").rows[0]
    assert prompt_of(row) == row["rejected"][:1] == row["chosen"][:1]
    assert cli.main(made(method="madpo", model_name_or_path=models / "chat")) == 0
    sample = json.loads((tmp_path / "out/samples.jsonl").read_text().splitlines()[0])
    assert sample["prompt"][0]["role"] == "user" and isinstance(sample["response"], str)


@pytest.mark.slow
def test_stopped_it_goes_on_to_the_same_policy(made, tmp_path, monkeypatch):
    assert cli.main(made(method="dpo", output_dir="whole")) == 0

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "sample", stop)  # behind the training
        assert cli.main(made(method="dpo")) == 130
    last = tmp_path / "out/checkpoint-4"
    for cut in (False, True):  # as if stopped behind the last step, and in the middle of saving it
        (tmp_path / "out/model.safetensors").unlink()
        (tmp_path / "out" / EVALUATION).unlink(missing_ok=True)
        if cut:
            (last / "optimizer.pt").write_bytes((last / "optimizer.pt").read_bytes()[:5000])
            (last / "trainer_state.json").write_text("{")
        assert cli.main(made(method="dpo")) == 0
        for path in (tmp_path / "whole").rglob("*.*"):
            name = path.relative_to(tmp_path / "whole")
            same = path.read_bytes() == (tmp_path / "out" / name).read_bytes()
            assert same or name.name in ("README.md", "training_args.bin"), name  # name the folder
        assert sorted((tmp_path / "out").glob("checkpoint-*"))[-1] == last


def checkpoint(folder, step, state="{}"):
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    if state is not None:
        (path / "trainer_state.json").write_text(state)
    return path


def test_the_last_checkpoint_is_the_last_that_is_whole(tmp_path):
    assert last_checkpoint(tmp_path / "none") is None and last_checkpoint(tmp_path) is None
    checkpoint(tmp_path, 4, None)
    assert last_checkpoint(tmp_path) is None
    found = [checkpoint(tmp_path, step) for step in (9, 10)]
    checkpoint(tmp_path, 20, '{"epoch": 1.')
    checkpoint(tmp_path, "best")
    assert last_checkpoint(tmp_path) == found[1]


@pytest.mark.parametrize(
    ("limit", "best", "left"),
    ((None, None, [2, 4, 6, 10]), (1, None, [10]), (2, None, [6, 10]), (2, 4, [4, 10]),
     (1, 4, [4, 10]), (9, None, [2, 4, 6, 10])),
)  # fmt: skip
def test_checkpoints_beyond_the_limit_go_as_in_transformers(tmp_path, limit, best, left):
    options = {"save_total_limit": limit}
    for folder in (tmp_path / "ours", tmp_path / "theirs"):
        folder.mkdir()
        for step in (2, 4, 6, 10):
            checkpoint(folder, step)
    best = best and f"checkpoint-{best}"
    run._clear(tmp_path / "ours", limit, best and str(tmp_path / "ours" / best))
    best = best and str(tmp_path / "theirs" / best)
    rotate_checkpoints(str(tmp_path / "theirs"), **options, best_model_checkpoint=best)
    for folder in (tmp_path / "ours", tmp_path / "theirs"):
        assert [int(path.name.split("-")[1]) for path in checkpoints(folder)] == left


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_names_the_run(made, monkeypatch, capsys):
    def save(*_, **__):
        raise RuntimeError("basic_ios::clear: iostream error")  # as torch says it

    monkeypatch.setattr(torch, "save", save)
    assert cli.main(made(method="dpo")) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if "Traceback" in line or line.startswith("madpo: ")] == [
        "madpo: out: a file could not be written; make room on the disk"
    ]


def test_held_out_prompts_are_on_one_side_alone(tmp_path):
    twice = [row | {"chosen": row["chosen"] + more} for row in ROWS for more in (" a", " b")]
    pairs = load(write(tmp_path / "p.jsonl", twice))
    train, held = held_out(pairs, 0.4, "p")
    sides = [{prompt_of(row) for row in part.rows} for part in (train, held)]
    assert not sides[0] & sides[1] and len(train.rows) + len(held.rows) == len(twice)
    again = held_out(load(write(tmp_path / "p.jsonl", twice[::-1])), 0.4, "p")
    assert {prompt_of(row) for row in again[1].rows} == sides[1]
    with pytest.raises(ValueError, match=r"held_out = 1e-06 leaves 48 pairs to train on and 0"):
        held_out(pairs, 1e-6, "p")


def test_kl_of_samples_is_that_of_plain_forwards(models):
    """One text at a time, without padding; 0 where the policy is the reference."""
    reference = AutoModelForCausalLM.from_pretrained(models / "policy").eval()
    policy = AutoModelForCausalLM.from_pretrained(models / "policy").eval()
    disturb(policy, 0.05)
    tokenizer = AutoTokenizer.from_pretrained(models / "policy")
    prompts = [row["prompt"] * (1 + k % 2) for k, row in enumerate(ROWS[:11])]
    options = {"new_tokens": 5, "seed": 3}
    before = torch.random.get_rng_state()
    found = sample(policy, reference, tokenizer, prompts, **options)
    assert torch.equal(before, torch.random.get_rng_state())
    again = sample(policy, reference, tokenizer, prompts, **options)
    assert found.responses == again.responses and (found.kl == again.kl).all()
    assert (sample(reference, reference, tokenizer, prompts, **options).kl == 0).all()
    assert (sample(None, reference, tokenizer, prompts, **options).kl == 0).all()
    checked = 0
    for prompt, response, kl in zip(prompts, found.responses, found.kl, strict=True):
        first = tokenizer(prompt)["input_ids"]
        new = tokenizer(response, add_special_tokens=False)["input_ids"]
        if len(new) != 5 or tokenizer.decode(new) != response:
            continue  # cut into other tokens than it was sampled in
        checked += 1
        with torch.no_grad():
            own, other = (
                model(input_ids=torch.tensor([first + new])).logits[0, len(first) - 1 : -1]
                .double().log_softmax(-1) for model in (policy, reference)
            )  # fmt: skip
        expected = (own.exp() * (own - other)).sum().item()
        # float32 logits of a padded batch and of one text; 5 terms of about 0.1 nats
        assert kl == pytest.approx(expected, abs=2e-5)
    assert checked >= 3 and found.kl.min() > 0.01


def test_sequence_kl_counts_what_is_not_masked():
    generator = torch.Generator().manual_seed(0)
    own, other = torch.randn(2, 3, 4, 7, generator=generator)
    mask = torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
    p, q = (x.double().softmax(-1).numpy() for x in (own, other))
    each = (p * np.log(p / q)).sum(-1)
    np.testing.assert_allclose(sequence_kl(own, other, mask), (each * mask.numpy()).sum(-1),
                               rtol=1e-5)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    (
        ({}, "there is no column 'weight'; madpo weights writes weights"),
        ({"method": "nonesuch"}, "method = 'nonesuch' breaks the rule"),
        ({"method": "simpo", "settings": {"c_max": 3}}, "SimPO has no setting 'c_max'"),
        ({"settings": {"c_max": 3}}, "settings = c_max=3 are of no method"),
        ({"method": "beta_dpo"}, "beta_dpo"),
        ({"method": "dpo", "learning_rate": "fast"}, "invalid float value: 'fast'"),
        ({"method": "dpo", "learning_rat": 1}, "--learning_rat=1"),
        ({"method": "dpo", "held_out": 1.5}, "held_out = 1.5 breaks the rule 0 < held_out < 1"),
        ({"method": "dpo", "pairs": "none.jsonl"}, "none.jsonl"),
        ({"method": "dpo", "model_name_or_path": None}, "names no model_name_or_path"),
        ({"method": "simpo", "baseline": True}, "has no matched beta of DPO's"),
        ({"method": "dpo", "reward_model": "nowhere"}, "reward_model = nowhere cannot be loaded"),
        ({"method": "dpo", "kl_prompts": 1}, "kl_prompts >= 2"),
        ({"beta": -1}, "beta = -1.0 breaks the rule beta > 0"),
        ({"beta": 0}, "beta = 0.0 breaks the rule beta > 0"),
        ({"beta": math.nan}, "beta must be finite and real, got nan; the rule is beta > 0"),
        ({"beta": math.inf}, "beta must be finite and real, got inf; the rule is beta > 0"),
        ({"method": "dpo", "beta": math.nan}, "beta = nan must be finite, beta > 0"),
        ({"method": "mine.py:Loose", "beta": -1}, "beta = -1.0 breaks the rule beta > 0"),
        ({"method": "mine.py:Typo"}, "mine.py, line 17, in margin_loss: NameError: name 'zz'"),
        ({"method": "mine.py:Nan"}, "method Nan gives a loss of nan to a pair whose log-ratio"),
        ({"method": "broken.py:Mine"}, "broken.py, line 1: SyntaxError"),
        *(
            (
                {"method": "dpo", "model_name_or_path": name},
                f"model_name_or_path = {name} cannot be loaded (",
            )
            for name in ("./gone", "nowhere", "pairs.jsonl")
        ),
    ),
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_trained_is_one_line_before_work(made, tmp_path, capsys, options, words):
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "broken.py").write_text("class Mine(:")
    assert cli.main(made(**options)) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1, told
    assert not (tmp_path / "out").exists()


BAD = {
    "margin": ((math.nan, "missing or NaN"), (None, "missing or NaN"), (math.inf, "inf, and must"),
               (1e39, "1e+39 is infinite in float32")),
    "weight": ((math.nan, "missing or NaN"), (-1.0, "-1 breaks the rule weight >= 0")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [(column, value, words) for column, faults in BAD.items() for value, words in faults],
)
def test_a_number_that_none_can_train_by_is_told_with_file_and_row(
    made, tmp_path, capsys, column, value, words
):
    """As `madpo diagnose` tells it: rows of the file, from 1, and not of the split."""
    for row, name in ((1, "pairs"), (14, "pairs"), (len(ROWS), "eval")):
        rows = [each | {column: each["margin"] ** 2} for each in ROWS]
        rows[row - 1] = rows[row - 1] | {column: value}
        fine = [each | {column: 1.0} for each in ROWS]
        write(tmp_path / "pairs.jsonl", rows if name == "pairs" else fine)
        write(tmp_path / "eval.jsonl", rows)
        options = {"method": "madpo"} if column == "margin" else {}
        options |= {} if name == "pairs" else {"eval_pairs": "eval.jsonl"}
        assert cli.main(made(**options)) == 2
        told = capsys.readouterr().err
        place = f"madpo: {name}.jsonl, row {row}, column {column}: "
        assert told.startswith(f"{place}{words}") and told.count("\n") == 1, told
        if words.startswith("missing"):
            assert cli.main(["diagnose", f"{name}.jsonl", "--margin", column]) == 2
            assert capsys.readouterr().err.startswith(f"{place}{words}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "mine.py:Later"}, "madpo: method Later gives a batch the loss nan after step "),
        ({"method": "dpo", "learning_rate": 1e8}, "madpo: the policy's log-probabilities are not "
         "finite after step 1: the training has diverged; lower learning_rate = 1e+08"),
        ({"pairs": "weighted.jsonl", "learning_rate": 1e8}, "madpo: the loss of a pair is not "
         "finite after step 1: the training has diverged; lower learning_rate = 1e+08"),
    ],
    ids=("method", "policy", "weighted"),
)  # fmt: skip
def test_a_loss_that_is_no_number_names_what_made_it(made, tmp_path, capsys, options, words):
    (tmp_path / "mine.py").write_text(MINE)
    write(tmp_path / "weighted.jsonl", [row | {"weight": 1.0} for row in ROWS])
    assert cli.main(made(**options)) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith(words) and not any("Traceback" in line for line in told)


def test_a_model_without_weights_is_named(made, models, tmp_path, capsys):
    (tmp_path / "part").mkdir()
    for path in (models / "policy").iterdir():
        if path.suffix == ".json":
            (tmp_path / "part" / path.name).write_bytes(path.read_bytes())
    assert cli.main(made(method="dpo", model_name_or_path="part")) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("madpo: model_name_or_path = part cannot be loaded (Error no file named")
    assert not (tmp_path / "out").exists()


def test_adapters_without_peft_say_what_to_install(made, monkeypatch, capsys):
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    assert cli.main(made(method="dpo", use_peft=True)) == 2
    told = capsys.readouterr().err
    assert "package 'peft': pip install 'madpo-theory[trl]'" in told and told.count("\n") == 1


@pytest.mark.parametrize("text", ("- a\n", "a: [1\n", "1: 2\n", ""))
def test_a_config_that_is_none_is_one_line(tmp_path, capsys, text):
    (tmp_path / "c.yaml").write_text(text)
    assert cli.main(["train", str(tmp_path / "c.yaml")]) == 2
    told = capsys.readouterr().err
    assert "c.yaml" in told and told.count("\n") == 1


def test_numbers_of_yaml_are_numbers(tmp_path):
    """1e-5 is a text in YAML 1.1, and a learning rate all the same."""
    path = tmp_path / "c.yaml"
    path.write_text("pairs: p\nlearning_rate: 1e-5\nlogging_steps: 5\nlr_scheduler_kwargs: {a: 1}\n"
                    f"output_dir: {tmp_path}\nmethod: dpo\nsettings: [beta=1, c=2]\n")  # fmt: skip
    training, args, _, given = config.read(path, ["--beta", "0.5", "--save-steps=7"])
    assert (args.learning_rate, args.logging_steps, args.beta, args.save_steps) == (1e-5, 5, 0.5, 7)
    assert args.lr_scheduler_kwargs == {"a": 1} and training.settings == ["beta=1", "c=2"]
    assert {"learning_rate", "beta", "save_steps"} <= given and args.disable_tqdm


def test_a_run_without_a_reward_has_no_place_on_the_plane(tmp_path):
    (tmp_path / EVALUATION).write_text(json.dumps({"kl": 1.0}))
    with pytest.raises(ValueError, match="was judged by no reward model"):
        frontier([tmp_path])
    with pytest.raises(ValueError, match="runs names none"):
        frontier([])


def test_the_error_of_a_mean():
    assert mean_and_error([1.0, 3.0]) == (2.0, pytest.approx(math.sqrt(2) / math.sqrt(2)))
