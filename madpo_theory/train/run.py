"""A run: a policy trained with TRL, by weights or by a method, and judged on held-out pairs.

OUTPUT_DIR then holds the model with its tokenizer and model card, `madpo.json` (which loss trained
it), `evaluation.json` and `samples.jsonl`.
"""

import copy
import json
import shutil
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..files import must_be_writable, system_error, write_text
from ..methods import METHODS, Method, method_from
from ..methods.base import check_beta
from ..schedule import MarginSchedule
from ..targets import effective_target
from ..theory.temperature import match_targets
from ..weights import weighting_named
from . import EVALUATION
from .config import read
from .data import held_out, load, prompt_of
from .measure import mean_and_error, sample

__all__ = ["train"]

SAMPLES = "samples.jsonl"


@dataclass(frozen=True)
class Loss:
    """What trains: `method` or, if that is None, DPO with the weights of the column.

    Attributes
    ----------
    column : of the file, that it asks for; None for none. beta : its temperature.
    """

    method: Method | None
    column: str | None
    beta: float

    @property
    def title(self):
        return "weighted DPO" if self.method is None else self.method.title

    @property
    def name(self):
        return "weighted_dpo" if self.method is None else self.method.own_name

    def trainer(self, *args, **kwargs):
        """TRL's trainer with this loss."""
        from ..integrations.trl import PreferenceTrainer, WeightedDPOTrainer

        if self.column is not None:
            kwargs["column"] = self.column
        if self.method is None:
            return WeightedDPOTrainer(*args, **kwargs)
        return PreferenceTrainer(*args, method=self.method, **kwargs)


def train(config, overrides=()):
    """Train and judge what a YAML file asks for; returns {folder: evaluation} of its runs.

    overrides : options after the file, "--name=value". A finished run is read back, and one that
    was stopped goes on from its last checkpoint; with another loss or other pairs both are refused.
    ValueError, RunError or ModuleNotFoundError in one line.
    """
    training, args, model, given = read(config, overrides)
    if model.model_name_or_path is None:
        raise ValueError(f"{config}: names no model_name_or_path; add the policy to start from")
    if model.use_peft and find_spec("peft") is None:
        raise ModuleNotFoundError(
            "use_peft trains adapters with the package 'peft': pip install 'madpo-theory[trl]', "
            "or set use_peft to false"
        )
    folder = Path(args.output_dir)
    beside = folder.with_name(f"{folder.name}-dpo")
    for each in (folder, beside)[: 1 + training.baseline]:
        must_be_writable(each)
    loss = _loss(training, args, given)
    rule = {"least": 0.0} if loss.method is None else {}
    pairs = load(training.pairs, loss.column, **rule)
    if training.eval_pairs is None:
        parts = held_out(pairs, training.held_out, training.pairs)
    else:
        parts = pairs, load(training.eval_pairs, loss.column, **rule)
    runs = {folder: loss}
    if training.baseline:
        runs[beside] = _baseline(loss, training, pairs)
    _check_model(model, args)
    judge = _judge(training, parts[1])
    return {
        folder: _run(folder, each, parts, training, args, model, judge)
        for folder, each in runs.items()
    }


def _loss(training, args, given):
    """The :class:`Loss` that is asked for."""
    if training.method is None:
        if training.settings:
            raise ValueError(
                f"settings = {' '.join(training.settings)} are of no method; name one with method"
            )
        return Loss(None, training.column or "weight", check_beta(args.beta))
    settings = list(training.settings or ())
    if "beta" in given:  # else it is the method's own
        settings.append(f"beta={args.beta!r}")
    method = method_from(training.method, settings)
    asks = "margin" in method.needs
    return Loss(method, (training.column or "margin") if asks else None, method.beta)


def _baseline(loss, training, pairs):
    """DPO at the beta whose targets are nearest to those of the loss on these pairs (L5)."""
    if loss.method is None:
        weighting, margins = _weighted(pairs.record, training.pairs)
        targets = effective_target(margins, margins, weighting)
    elif "length" in loss.method.needs:
        raise ValueError(
            f"baseline: {loss.title} is of lengths, and has no matched beta of DPO's; leave the "
            "baseline out"
        )
    else:
        column = loss.column or training.column or "margin"
        margins = load(training.pairs, column).numbers(column)
        targets = loss.method.target(margins)
    beta = loss.beta / match_targets(margins, targets).rho
    return Loss(METHODS["dpo"](beta=beta), None, beta)


def _weighted(record, path):
    """The weighting that `madpo weights` recorded, and the margins that it was made of."""
    fix = "name the method instead, with its settings, or leave the baseline out"
    if record is None or record["c_max"] is None:
        raise ValueError(f"baseline: {path} does not say which schedule made its weights; {fix}")
    schedule = MarginSchedule(*(record[name] for name in ("c_max", "c_min", "lam", "tau")))
    weighting = weighting_named(record["kind"], schedule)
    columns = record["margin"].split(" - ")
    if repr(weighting) != record["weighting"] or "turned to the label" in columns[-1]:
        raise ValueError(
            f"baseline: {path} has weights {record['weighting']} of {record['margin']}; {fix}"
        )
    first, *second = (load(path, name).numbers(name) for name in columns)
    return weighting, record["scale"] * (first - sum(second))


def _check_model(model, args):
    """ValueError where there is no policy of that name to start from, or none with a tokenizer."""
    from transformers import AutoConfig, AutoTokenizer

    from ..score.model import UNLOADED, cannot_load

    name = model.model_name_or_path
    trusts = getattr(args, "trust_remote_code", getattr(model, "trust_remote_code", False))
    options = {"revision": model.model_revision, "trust_remote_code": trusts}
    try:
        AutoConfig.from_pretrained(name, **options)
        AutoTokenizer.from_pretrained(name, **options)
    except UNLOADED as error:
        raise cannot_load("model_name_or_path", name, error, "a causal language model") from None


def _judge(training, pairs):
    """The reward model, which can read what it will be given; None if none is named."""
    if training.reward_model is None:
        return None
    from ..score.dialogue import dialogues
    from ..score.model import load

    judge, row = load(training.reward_model), pairs.rows[0]
    try:
        judge.encode(dialogues(prompt_of(row), ["an answer"], chat=judge.chat))
    except ValueError as error:
        why = f"a prompt with its answer {error.args[1]}"
        raise ValueError(f"reward_model = {training.reward_model}: {why}") from None
    return judge


def _run(folder, loss, parts, training, args, model, judge):
    """Train, judge and write one run, or read it back; returns its evaluation."""
    from trl import get_peft_config, get_quantization_config

    from ..integrations.trl import last_checkpoint

    args = copy.copy(args)
    args.output_dir, args.beta = str(folder), loss.beta
    args.model_init_kwargs = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
    } | (args.model_init_kwargs or {})
    pairs, held = parts
    about = {"pairs": pairs.digest, "weights": pairs.record if loss.method is None else None}
    with _weights_of(model.model_name_or_path):
        trainer = loss.trainer(
            model.model_name_or_path, args=args, train_dataset=pairs.dataset(),
            eval_dataset=held.dataset(), peft_config=get_peft_config(model),
            quantization_config=get_quantization_config(model), about=about,
        )  # fmt: skip
    done = folder / EVALUATION
    if done.is_file():
        trainer.check_record(folder)
        return json.loads(done.read_text(encoding="utf-8"))
    with _disk_of(folder):
        begun = last_checkpoint(folder)
        trainer.train(resume_from_checkpoint=args.resume_from_checkpoint or begun)
        if trainer.is_world_process_zero():
            _clear(folder, args.save_total_limit, trainer.state.best_model_checkpoint)
        trainer.save_model()
        trainer.create_model_card(model_name=folder.name)
    found = trainer.evaluate()
    plain = "eval_dpo_loss" if "eval_dpo_loss" in found else "eval_weights/unweighted_loss"
    evaluation = {
        "method": loss.name,
        "label": loss.title,
        "beta": loss.beta,
        "pairs": len(pairs.rows),
        "held_out_pairs": len(held.rows),
        "loss": found["eval_loss"],
        "unweighted_loss": found[plain],
        "accuracy": found["eval_rewards/accuracies"],
        **_judged(folder, trainer, held, training, judge),
    }
    if trainer.is_world_process_zero():
        write_text(done, json.dumps(evaluation, indent=1) + "\n")
    return evaluation


@contextmanager
def _weights_of(name):
    """An error of the hub's, which is no system's, names the model."""
    from ..score.model import cannot_load

    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise cannot_load("model_name_or_path", name, error, "a causal language model") from None


@contextmanager
def _disk_of(folder):
    """An error of a disk that takes no more names the folder, if it names no file."""
    try:
        yield
    except Exception as error:
        refused = system_error(error)
        if refused is None or refused.filename is not None:
            raise
        refused.filename = str(folder)
        raise refused from error


def _clear(folder, limit, best):
    """Remove the checkpoints beyond the limit that a trainer left which was stopped meanwhile."""
    from ..integrations.trl import checkpoints

    found = checkpoints(folder)
    kept = {*found[-1:], *(() if best is None else [Path(best)])}
    rest = [path for path in found if path not in kept]
    for path in rest[: max(0, len(found) - max(limit or len(found), len(kept)))]:
        shutil.rmtree(path)


def _judged(folder, trainer, pairs, training, judge):
    """KL and reward of samples for held-out prompts, which are written beside."""
    prompts = {json.dumps(prompt_of(row), default=str): prompt_of(row) for row in pairs.rows}
    prompts = [prompt for prompt in prompts.values() if prompt][: training.kl_prompts]
    if len(prompts) < 2:
        raise ValueError(
            f"KL needs two held-out prompts, and {len(prompts)} are there; raise held_out, or give "
            "pairs with a column prompt"
        )
    policy = trainer.accelerator.unwrap_model(trainer.model)
    reference = None if hasattr(policy, "disable_adapter") else _reference(trainer)
    options = {"new_tokens": training.kl_tokens, "seed": trainer.args.seed}
    drawn = sample(policy, reference, trainer.processing_class, prompts, **options)
    rows = [{"prompt": prompt, "response": response, "kl": kl} for prompt, response, kl in
            zip(drawn.prompts, drawn.responses, drawn.kl.tolist(), strict=True)]  # fmt: skip
    found = {"prompts": len(prompts)}
    found["kl"], found["kl_error"] = mean_and_error(drawn.kl)
    if judge is not None:
        with policy.disable_adapter() if reference is None else nullcontext():
            start = sample(None, reference or policy, trainer.processing_class, prompts, **options)
        rewards = drawn.rewards(judge)
        rows = [row | {"reward": reward} for row, reward in zip(rows, rewards, strict=True)]
        found["reward"], found["reward_error"] = mean_and_error(rewards)
        found["reference_reward"], found["reference_error"] = mean_and_error(start.rewards(judge))
        found["reward_model"] = training.reward_model
    if trainer.is_world_process_zero():
        write_text(folder / SAMPLES, "".join(json.dumps(row) + "\n" for row in rows))
    return found


def _reference(trainer):
    """The trainer's reference or, where it was let go of, the same model again."""
    if trainer.ref_model is not None:
        return trainer.accelerator.unwrap_model(trainer.ref_model)
    from transformers import AutoModelForCausalLM

    name = trainer.model.config._name_or_path
    found = AutoModelForCausalLM.from_pretrained(name, **trainer.args.model_init_kwargs)
    return found.to(trainer.model.device)
