"""The paper preset at a share of its size, end to end, on local folders: `make paper-trial`.

Lays out the published model, from its package, and the reviews as the hub does, in --root; then
runs every stage of the preset on them: full vocabulary, 196 tokens, the published schedules, early
stopping and all five methods. The scorer is the one that is trained here: the published one is on
the hub alone. Beside the seconds that each kind of stage took stand those that were said before the
run. The same command goes on with a run that was stopped.

python -m benchmarks.paper [--share 0.01] [--root runs/paper]
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from .record import OUT, Recorder, versions

STAGES = {
    "sft": "fine-tuning",
    "samples": "samples",
    "reference": "reference and reward model",
    "reward_model": "reference and reward model",
    "align": "alignment",
    "evaluate": "evaluation",
}
"""What a stage is called here; the estimate does not tell all of them apart."""


def lay_out(root):
    """model/ and data/ in a folder, each as the hub's files of its kind; what is there stays."""
    from transformers import PreTrainedTokenizerFast

    from madpo_theory.align.config import DataConfig, ModelConfig
    from madpo_theory.align.policy import SPECIAL, base_model
    from madpo_theory.align.tasks import task_of
    from madpo_theory.files import replacing

    model, data = root / "model", root / "data" / "train-00000-of-00001.parquet"
    if not (model / "tokenizer.json").is_file():
        root.mkdir(parents=True, exist_ok=True)
        causal_lm, tokenizer = base_model(root / "assembly", ModelConfig().source, ())
        causal_lm.save_pretrained(model)
        names = {f"{name}_token": token for name, token in SPECIAL.items()}
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(model)
    if not data.is_file():
        data.parent.mkdir(exist_ok=True)
        with replacing(data) as path:
            task_of("sentiment").read(DataConfig()).to_parquet(path, index=False)
    return model, data.parent


def trial(share, model, data):
    """The paper preset's SentimentConfig at a share of its size."""
    from madpo_theory.experiments.sentiment import PRESETS

    paper, ours = PRESETS["paper"], PRESETS["cpu"]

    def part(settings, *names):
        return replace(settings, **{n: max(1, round(share * getattr(settings, n))) for n in names})

    return replace(
        part(paper, "sft_examples"),
        # The scorer learns from reviews that nothing else reads.
        data=replace(
            paper.data, source=str(data), prompts=ours.data.prompts,
            scorer_negative=(6_000, 10_000), scorer_positive=ours.data.scorer_positive,
        ),
        scorer=ours.scorer,
        model=replace(paper.model, source=str(model)),
        generate=part(paper.generate, "pairs", "held_out_pairs"),
        evaluate=part(paper.evaluate, "prompts"),
    )  # fmt: skip


def said(root):
    """{what a stage is called here: seconds that were said before the run}, and the hours."""
    (cost,) = root.glob("cost-*/cost.json")
    found = json.loads(cost.read_text("utf-8"))
    seconds = {}
    for row in found["steps"]:
        stage = row["stage"].split(",")[0].split(" of ")[0].replace(" ", "_")
        seconds[STAGES[stage]] = seconds.get(STAGES[stage], 0.0) + row["total"]
    return seconds, found["hours"]


def taken(root):
    """{what a stage is called here: seconds that it took}."""
    seconds = {}
    for path in sorted(root.glob("*/timing.json")):
        stage = json.loads(path.with_name("config.json").read_text("utf-8"))["stage"]
        if stage in STAGES:
            known = seconds.get(STAGES[stage], 0.0)
            seconds[STAGES[stage]] = known + json.loads(path.read_text("utf-8"))["seconds"]
    return seconds


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=0.01, help="of pairs, reviews and prompts")
    parser.add_argument("--root", type=Path, default=Path("runs/paper"), help="folder of the run")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    chosen = parser.parse_args(arguments)
    if not 0 < chosen.share <= 1:
        raise ValueError(f"--share {chosen.share} breaks the rule 0 < share <= 1; take 0.01")
    import torch

    from madpo_theory.align.train import updates
    from madpo_theory.experiments.sentiment import run

    model, data = lay_out(chosen.root / "local")
    config = trial(chosen.share, model, data)
    stages = chosen.root / f"{chosen.share:g}"
    result = run(config, stages, estimate=True)
    print(result.summary.to_string(index=False, float_format="%.3f"))
    recorder = Recorder("paper", chosen.out)
    before, hours = said(stages)
    about = {
        "pairs": config.generate.pairs, "new": config.generate.new_tokens,
        "dtype": result.details["precision"]["dtype"], "threads": torch.get_num_threads(),
        "versions": versions("torch", "transformers", "peft"),
    }  # fmt: skip
    measured = taken(stages)
    for name, seconds in measured.items():
        recorder.add(name=name, ours=seconds, peer=before[name], unit="s", **about)
    for row in result.summary.itertuples():
        recorder.note(name=row.method, reward=round(row.reward, 3), kl=round(row.kl, 3))
    (log,) = stages.glob("reward_model-*/metrics.jsonl")
    recorder.note(
        name="reward model, stopped early", updates=len(log.read_text("utf-8").splitlines()),
        most=updates(config.generate.pairs, config.reward),
    )  # fmt: skip
    recorder.note(name="the whole preset on this machine", hours=round(hours / chosen.share))
    recorder.save()


if __name__ == "__main__":
    main()
