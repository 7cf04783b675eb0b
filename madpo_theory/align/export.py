"""The experiment's reward model as a folder of transformers, for `madpo score`."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ..files import replacing
from .config import ModelConfig
from .extras import optional, transformers
from .policy import SPECIAL, Vocabulary, adapter_parameters, add_adapter, load_model
from .store import Run

__all__ = ["export_reward_model"]


def export_reward_model(experiment, out):
    """Write the reward model of a finished experiment, and its tokenizer, into the folder `out`.

    Backbone, fine-tuning and adapters become one sequence-classification model of float32, the
    head its score. Its vocabulary is the whole one again: what the experiment pruned has the
    embedding of <unk>, as which it was read. Texts begin with <bos>; the <eos> behind a response
    that ended before its limit, which the experiment's own margins have seen, no text shows.

    experiment : folder of a run, runs/experiment-HASH, with its stages beside it. Returns `out`.
    RunError if a stage is missing or damaged.
    """
    experiment, out = Path(experiment), Path(out)
    stages = {}
    for key in Run(experiment).read_json("config.json")["parents"]:
        stages.setdefault(key.rpartition("-")[0], Run(experiment.parent / key))
    model, trained = stages["model"], stages["reward_model"]
    settings = trained.read_json("config.json")["config"]
    causal_lm = load_model(model, stages["precision"], stages["sft"]).cpu().float()
    adapted = add_adapter(causal_lm, ModelConfig(**settings["model"]), settings["seed"], "reward")
    values, adapters = trained.read_tensors("reward_model.safetensors"), adapter_parameters(adapted)
    head = values.pop("head")
    with torch.no_grad():
        for name, parameter in adapters.items():
            parameter.copy_(values[name])
    backbone = adapted.merge_and_unload().model

    vocabulary = Vocabulary.load(model)
    whole = vocabulary.tokenizer.get_vocab_size()
    read_as = torch.full((whole,), vocabulary.special("unk"))
    read_as[torch.from_numpy(vocabulary.kept)] = torch.arange(len(vocabulary.kept))
    config = backbone.config
    config.vocab_size, config.num_labels = whole, 1
    for name, token in SPECIAL.items():
        if name != "unk":
            setattr(config, f"{name}_token_id", vocabulary.tokenizer.token_to_id(token))
    judge = transformers().AutoModelForSequenceClassification.from_config(config)
    state = backbone.state_dict()
    state["embed_tokens.weight"] = state["embed_tokens.weight"][read_as]
    judge.model.load_state_dict(state)
    judge.score.weight.data.copy_(head.T)

    tokenizer, processors = vocabulary.tokenizer, optional("tokenizers").processors
    bos = SPECIAL["bos"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    names = {f"{name}_token": token for name, token in SPECIAL.items()}
    made = transformers().PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    with TemporaryDirectory() as folder:
        judge.float().save_pretrained(folder)
        made.save_pretrained(folder)
        # Without its config.json, the last, nobody takes the folder for a model.
        for file in sorted(Path(folder).iterdir(), key=lambda file: file.name == "config.json"):
            with replacing(out / file.name) as path:
                shutil.copyfile(file, path)
    return out
