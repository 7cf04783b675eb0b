"""TRL's DPOTrainer with another loss for every pair, or a weight, and nothing else changed.

:class:`PreferenceTrainer` trains any pairwise method of the registry, or of the user's.
:class:`WeightedDPOTrainer` weighs TRL's own losses.

A workaround: TRL computes a batch's losses and their mean inside one method, without a hook for
either (its issue 5613 asks for weights; pull request 5804 was closed). Both trainers leave that
method alone and, while it runs, listen to the tensor operations in which it splits
log-probabilities by response and takes the mean over pairs: to those that stand in that method,
whatever the model computes in its forward. What they hear is checked: a version of TRL that
computes otherwise is refused rather than trained wrongly.
"""

import inspect
import json
import reprlib
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..files import write_text
from ..losses import dpo
from ..methods import Pairs, check_needs, method_of, settings_of
from ..methods.base import check_beta
from ..methods.trial import tried
from ..ops import STABLE
from ..theory.efficiency import effective_sample_size
from ..weights import weight, weighting_of

TESTED = "1.12.0 to 1.16.0"

try:
    import torch
    import trl
    from datasets import Dataset
    from huggingface_hub import ModelCard
    from torch.overrides import TorchFunctionMode
    from transformers.trainer import TRAINER_STATE_NAME
    from trl import DPOConfig, DPOTrainer
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{__name__} needs the package {error.name!r}: pip install 'madpo-theory[trl]'"
    ) from error

__all__ = ["RECORD", "PreferenceTrainer", "WeightedDPOTrainer", "checkpoints", "last_checkpoint"]

RECORD = "madpo.json"
"""File of a saved model or checkpoint that says which loss trained it."""
CITED = {
    "madpo": "Rho, Margin Adaptive DPO: Leveraging Reward Model for Granular Control in Preference "
    "Optimization, arXiv 2510.05342",
    "madpo_theory": f"madpo_theory {__version__}: the theory of margin-adaptive DPO",
}
"""What a model card asks to cite."""

GIVEN = frozenset({"reference", "margin", "length"})
"""What a method can ask of the pairs of TRL's trainer."""
KEY = "pair_value"
"""Where a batch carries its pairs' weights or margins."""
NOT_PER_PAIR = {
    "sft": "a mean over tokens",
    "aot": "computed from sorted scores",
    "aot_unpaired": "computed from sorted scores",
}


def checkpoints(folder):
    """The checkpoints in a folder, Paths, by their step."""
    found = (path for path in Path(folder).glob("checkpoint-*") if path.is_dir())
    steps = {path: path.name.partition("-")[2] for path in found}
    return sorted((p for p in steps if steps[p].isdigit()), key=lambda path: int(steps[path]))


def last_checkpoint(folder):
    """The last checkpoint in a folder that is whole, a Path; None if there is none.

    The trainer's state is written last: one that was stopped, or whose disk was full, in the middle
    has none, or half of one.
    """
    for path in reversed(checkpoints(folder)):
        try:
            json.loads((path / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            continue
        return path
    return None


def _unsupported(trainer, what):
    return RuntimeError(
        f"TRL {trl.__version__} {what}; {type(trainer).__name__} is tested with TRL {TESTED}: "
        "install one of these versions"
    )


def _missing(column, of, columns):
    return ValueError(
        f"{of} has no column {column!r} (it has {', '.join(sorted(columns))}); add it with "
        f"dataset.add_column({column!r}, values), or name another with column=..."
    )


def _absent(column, where, found):
    return ValueError(
        f"column {column!r} is missing from {where}, which has {', '.join(sorted(found))}; drop or "
        "repair that pair"
    )


def _refused(column, rule, value, row, of):
    shown = reprlib.repr(value.item() if isinstance(value, np.generic) else value)
    return ValueError(
        f"column {column!r} must {rule}, got {shown} in row {row} of {of}; drop or repair that pair"
    )


def _no_number(value):
    try:
        float(value)
    except (TypeError, ValueError):
        return True
    return np.ndim(value) > 0


def _numbers(values, column, of, first=0, *, least=-np.inf):
    """A column's values (pairs,) as float64; ValueError for what is no number of a pair.

    They are the rows of the dataset `of` that begin with row `first`.
    """
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        row = next(i for i, value in enumerate(values) if _no_number(value))
        raise _refused(column, "hold one number a pair", values[row], first + row, of) from None
    if numbers.ndim != 1:
        raise ValueError(
            f"column {column!r} of {of} must hold one number a pair, got {numbers.shape}"
        )
    bad = ~(np.isfinite(numbers) & (numbers >= least))
    if bad.any():
        rule = "be finite" if least < 0 else "be finite and not negative"
        row = int(bad.argmax())
        raise _refused(column, rule, numbers[row], first + row, of)
    return numbers


@dataclass
class _Collator:
    """Another collator's batch, and with it what a column says of its pairs."""

    collate: Any
    column: str
    read: Any

    def __call__(self, examples):
        for example in examples:
            if self.column not in example:
                raise _absent(self.column, "a pair of a batch", example)
        rest = [{k: v for k, v in e.items() if k != self.column} for e in examples]
        return self.collate(rest) | {KEY: self.read([e[self.column] for e in examples], "a batch")}


@dataclass
class _Row:
    """What looks at each row of a stream as it comes."""

    column: str
    read: Any
    of: str

    def __call__(self, example, index):
        of, worker = self.of, torch.utils.data.get_worker_info()
        if worker is not None and worker.num_workers > 1:  # each counts the rows that it reads
            of = f"what data worker {worker.id} reads of {of}"
        if self.column not in example:
            raise _absent(self.column, f"row {index} of {of}", example)
        self.read([example[self.column]], of, index)
        return example


def _config_in(args, kwargs):
    """The DPOConfig among the arguments of a trainer, or None."""
    return kwargs.get("args") or next((a for a in args if isinstance(a, DPOConfig)), None)


class _ColumnTrainer(DPOTrainer):
    """DPOTrainer that carries a column's numbers, one a pair, to where the loss is taken.

    Subclasses set `_column` (None: there is none) and say in :meth:`_read` what its values mean,
    and in `_loss` what is trained, in plain values. That stands in the model's config, in the
    model card, and in RECORD beside every saved model and checkpoint; from a checkpoint of another
    loss they do not go on.
    """

    _column = None

    def __init__(self, *args, about=None, **kwargs):
        super().__init__(*args, **kwargs)
        loss = {"trainer": type(self).__name__, **self._loss(), "column": self._column}
        self.record = json.loads(json.dumps(loss | (about or {}) | {"version": __version__}))
        self.model.config.madpo = self.record
        self._sizes = []
        if self._column is not None:
            self.data_collator = _Collator(self.data_collator, self._column, self._carried)
        if self._is_vision_dataset:  # TRL prepares none of these
            self.train_dataset = self._looked_through(self.train_dataset, "train")
            self.eval_dataset = self._each_looked_through(self.eval_dataset)

    def train(self, resume_from_checkpoint=None, *args, **kwargs):
        if resume_from_checkpoint is True:
            resume_from_checkpoint = last_checkpoint(self.args.output_dir)
            if resume_from_checkpoint is None:
                raise ValueError(
                    f"resume_from_checkpoint: {self.args.output_dir} holds no checkpoint that is "
                    "whole; leave it out, to begin anew"
                )
        if resume_from_checkpoint:
            self.check_record(Path(resume_from_checkpoint))
            resume_from_checkpoint = str(resume_from_checkpoint)
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def get_batch_samples(self, *args, **kwargs):
        """None beyond the last step: from a checkpoint of that transformers takes one more."""
        if self.state.global_step >= self.state.max_steps:
            return [], None
        return super().get_batch_samples(*args, **kwargs)

    def check_record(self, checkpoint):
        """ValueError unless a folder, a Path, holds a run of this loss; of any version."""
        try:
            known = json.loads((checkpoint / RECORD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(
                f"resume_from_checkpoint = {checkpoint} holds no {RECORD}, so nothing says that it "
                "was trained with this loss; begin anew"
            ) from None
        mine = self.record | {"version": known.get("version")}
        other = [k for k in sorted(mine | known) if mine.get(k) != known.get(k)]
        if other:
            raise ValueError(
                f"resume_from_checkpoint = {checkpoint} was trained with another {other[0]}, "
                f"{known.get(other[0])!r} and not {mine.get(other[0])!r}; go on with that, or "
                "begin anew"
            )

    def _save(self, output_dir=None, *args, **kwargs):
        super()._save(output_dir, *args, **kwargs)
        text = json.dumps(self.record, indent=1) + "\n"
        write_text(Path(output_dir or self.args.output_dir) / RECORD, text)

    def create_model_card(self, *args, **kwargs):
        super().create_model_card(*args, **kwargs)
        if self.is_world_process_zero():
            path = Path(self.args.output_dir) / "README.md"
            card = ModelCard.load(path)
            card.data.tags = sorted(card.data.tags or ())  # TRL's are in another order each time
            write_text(path, f"{str(card).rstrip()}\n{self._card()}")

    def _card(self):
        """What the model card says besides: the loss, and what to cite."""
        rows = "\n".join(f"- {key}: `{value}`" for key, value in self.record.items())
        cited = "\n".join(f"@misc{{{key}, note = {{{of}}}}}" for key, of in self._cited().items())
        return f"\n## The preference loss\n\n{rows}\n\n```bibtex\n{cited}\n```\n"

    def _read(self, values, of, first=0):
        return _numbers(values, self._column, of, first)

    def _carried(self, values, of, first=0):
        """What a batch carries of these values: a float32 tensor, all of it finite."""
        read = self._read(values, of, first)
        carried = torch.tensor(read, dtype=torch.float32)
        if not carried.isfinite().all():
            row = int(carried.isfinite().logical_not().int().argmax())
            raise _refused(self._column, "give a float32", values[row], first + row, of)
        return carried

    def _looked_through(self, dataset, name):
        """The dataset, its column checked: now, or each row of a stream as it comes."""
        if self._column is None:
            return dataset
        of = f"the {name} dataset"
        columns = dataset.column_names
        if columns is not None and self._column not in columns:
            raise _missing(self._column, of, columns)
        if isinstance(dataset, Dataset):
            column = dataset.select_columns([self._column]).with_format("arrow")[:].column(0)
            self._carried(column.to_numpy(), of)
            return dataset
        dataset = dataset.map(_Row(self._column, self._carried, of), with_indices=True)
        next(iter(dataset), None)  # the first row tells what is amiss with all
        return dataset

    def _each_looked_through(self, datasets):
        """Whatever an evaluation takes: nothing, a name, a dataset, or several by name."""
        if datasets is None or isinstance(datasets, str):
            return datasets
        if isinstance(datasets, dict):
            return {name: self._looked_through(each, name) for name, each in datasets.items()}
        return self._looked_through(datasets, "eval")

    def _prepare_dataset(self, dataset, processing_class, args, dataset_name):
        """Look at the column before the long work on the dataset begins."""
        dataset = self._looked_through(dataset, dataset_name)
        return super()._prepare_dataset(dataset, processing_class, args, dataset_name)

    def evaluate(self, eval_dataset=None, *args, **kwargs):
        if self._is_vision_dataset:
            eval_dataset = self._each_looked_through(eval_dataset)
        return super().evaluate(eval_dataset, *args, **kwargs)

    def _set_signature_columns_if_needed(self):
        super()._set_signature_columns_if_needed()
        if self._column is not None and self._column not in self._signature_columns:
            self._signature_columns.append(self._column)

    def compute_ref_log_probs(self, *args):
        *model, inputs = args
        return super().compute_ref_log_probs(*model, {k: inputs[k] for k in inputs if k != KEY})

    def _taken(self, inputs):
        """(inputs without the column, its values or None)."""
        inputs = dict(inputs)
        if self._column is not None and KEY not in inputs:
            raise _unsupported(self, "replaced the collator that carries the pairs' column")
        return inputs, inputs.pop(KEY, None)

    def _diverged(self, what, besides=""):
        return ValueError(
            f"{what} after step {self.state.global_step}: the training has diverged; lower "
            f"learning_rate = {self.args.learning_rate:g}{besides}"
        )

    def log(self, logs, *args, **kwargs):
        if not self.model.training:  # of a last batch that is not full, pairs count, not batches
            for values in self._metrics["eval"].values():
                if len(values) == len(self._sizes):
                    values[:] = [float(np.average(values, weights=self._sizes))]
            self._sizes.clear()
        super().log(logs, *args, **kwargs)

    def _listened(self, means, model, inputs, *args, **kwargs):
        """TRL's result while `means` listens; its loss must be ours and nothing else."""
        auxiliary = []
        if self.aux_loss_enabled:  # a mixture of experts has a term of its own
            hook = model.register_forward_hook(lambda *call: auxiliary.append(call[-1].aux_loss))
        try:
            with means:
                result = super().compute_loss(model, inputs, *args, **kwargs)
        finally:
            if self.aux_loss_enabled:
                hook.remove()
        if not self.model.training:
            size = torch.tensor([means.pairs], device=self.accelerator.device)
            self._sizes.append(int(self.accelerator.gather(size).sum()))
        if len(means.means) != len(self.loss_types):
            raise _unsupported(self, "takes no mean over the pairs of a batch")
        expected = sum(m * w for m, w in zip(means.means, self.loss_weights, strict=True))
        if auxiliary:  # the first is the policy's, then comes the reference's
            expected = expected + self.router_aux_loss_coef * auxiliary[0]
        loss = result[0] if isinstance(result, tuple) else result
        if not torch.allclose(loss, expected, rtol=0, atol=0, equal_nan=True):
            raise _unsupported(
                self, f"has a loss {loss.item()} that is not the mean {expected.item()}"
            )
        return result


@dataclass
class _Means(TorchFunctionMode):
    """While active, the first `count` means over pairs that TRL takes are what `mean_of` makes.

    Only operations that stand in the methods of TRL's that compute the loss are heard. Those of the
    model and its hooks, of any shape, are not.
    """

    pairs: int
    count: int
    mean_of: Any
    means: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__()
        methods = (vars(DPOTrainer).get(name) for name in ("compute_loss", "_compute_loss"))
        self.codes = {inspect.unwrap(method).__code__ for method in methods if method}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        ours = sys._getframe(1).f_code in self.codes
        if (
            ours
            and function is torch.Tensor.mean
            and len(self.means) < self.count
            and args[0].shape == (self.pairs,)
        ):
            self.means.append(self.mean_of(*args))
            return self.means[-1]
        result = function(*args, **(kwargs or {}))
        if ours:
            self.heard(function, args, result)
        return result

    def heard(self, function, args, result):
        """Another operation, and what came of it."""


@dataclass
class _Splits(_Means):
    """:class:`_Means` that keeps the log-probabilities which TRL splits by response.

    They are the floating vectors of two a pair that it cuts in two halves, chosen and rejected:
    the policy's and then, unless they come with the batch, the reference's.
    """

    halves: list = field(default_factory=list)

    def heard(self, function, args, result):
        whole = function is torch.Tensor.chunk and args[0].shape == (2 * self.pairs,)
        if whole and args[0].is_floating_point():
            self.halves.append(result)


class PreferenceTrainer(_ColumnTrainer):
    """TRL's DPOTrainer with the loss of any pairwise method.

    It takes what DPOTrainer takes, and

    >>> PreferenceTrainer(model, train_dataset=pairs, method="simpo")
    >>> PreferenceTrainer(model, train_dataset=pairs, method=Madpo(MarginSchedule.released(4)))

    Parameters
    ----------
    method : a Method of :mod:`madpo_theory.methods` or of the user's, whose beta then counts and
        not that of `args`; or the name of one, at the beta of `args`.
    column : name of the column of the reward model's margins (score of the chosen response minus
        that of the rejected one, nats), for methods that ask for them; default "margin".

    The loss is the mean over a batch's pairs. Where the method is TRL's own it is TRL's to the
    last bit: dpo is its ``sigmoid``, ipo_per_token its ``ipo``, rdpo its ``robust``; hinge,
    nca_pair, bco_pair, sppo_hard, apo_zero, apo_down and sigmoid_norm have its names; f_dpo_js,
    f_dpo_forward_kl and f_dpo_alpha_trl are its f-divergences. exo_pair and discopop are its to
    rounding. TRL runs the reference model for every method, and logs rewards against it at the
    method's beta.

    Raises ValueError for a missing column, for margins that are not finite, for a method whose
    loss is of a whole batch (beta_dpo) or of single tokens (bmc), is not one number a pair or no
    longer finite, and for options of `args` that belong to a loss of TRL's; RuntimeError if TRL
    computes its loss in another way than the tested versions do.
    """

    def __init__(self, *args, method, column="margin", **kwargs):
        config = _config_in(args, kwargs)
        if isinstance(method, str):
            method = method_of(method)
            method = method if config is None else replace(method, beta=config.beta)
        self.method = method_of(method)
        check_needs(self.method, GIVEN, "which a trainer splits or does not keep")
        check_beta(self.method.beta)
        tried(self.method)
        self._column = column if "margin" in self.method.needs else None
        super().__init__(*args, **kwargs)
        self._refuse("loss_type", list(self.loss_types) == ["sigmoid"], "sigmoid, the default")
        self._refuse("use_weighting", not self.args.use_weighting, "False")
        self._refuse("label_smoothing", self.args.label_smoothing == 0, "0")
        divergence = str(getattr(self.args, "f_divergence_type", "reverse_kl"))
        self._refuse("f_divergence_type", divergence.endswith("reverse_kl"), "reverse_kl")
        self.beta = self.method.beta

    def _loss(self):
        method = self.method
        names = {"method": method.own_name, "definition": repr(method), "source": method.source}
        return names | {"settings": settings_of(method)}

    def _cited(self):
        return {self.method.own_name: f"{self.method.title}, {self.method.source}"} | CITED

    def _refuse(self, name, good, default):
        if not good:
            raise ValueError(
                f"{name} = {getattr(self.args, name)!r} is an option of TRL's losses, but the loss "
                f"is the method's; leave it at {default}"
            )

    def compute_loss(self, model, inputs, *args, **kwargs):
        inputs, margin = self._taken(inputs)
        mask = inputs["completion_mask"]
        pairs = len(mask) // 2

        def mean_of(*_):
            if len(splits.halves) != (1 if self.precompute_ref_logps else 2):
                raise _unsupported(self, "splits log-probabilities in another way")
            policy, *reference = splits.halves
            if not reference:
                reference = [(inputs["ref_chosen_logps"], inputs["ref_rejected_logps"])]
            lengths = mask.sum(1).clamp(min=1.0).chunk(2)
            held = None if margin is None else margin.to(policy[0])
            batch = Pairs(*policy, *reference[0], held, *lengths)
            if not all(x.isfinite().all() for x in policy):
                raise self._diverged(
                    "the policy's log-probabilities are not finite",
                    f", or mend the slope of the loss of {self.method.title}, if it was not",
                )
            plain.append(dpo(*policy, *reference[0], beta=self.beta)[0].detach())
            loss = self.method.train_loss(batch, state={}, generator=None)[0]
            if not loss.isfinite():
                raise ValueError(
                    f"method {self.method.title} gives a batch the loss {loss.item()} after step "
                    f"{self.state.global_step}, of log-probabilities that are finite; a loss must "
                    f"be so at every pair: {STABLE}"
                )
            return loss

        plain, splits = [], _Splits(pairs, 1, mean_of)
        result = self._listened(splits, model, inputs, *args, **kwargs)
        mode = "train" if self.model.training else "eval"
        found = self.accelerator.gather_for_metrics(plain[0]).mean().item()
        self._metrics[mode]["dpo_loss"].append(found)
        return result


class WeightedDPOTrainer(_ColumnTrainer):
    """TRL's DPOTrainer with a weight for every pair: the mean of w_i times the loss of pair i.

    It takes what DPOTrainer takes, and reads the weights from a column of the training and
    evaluation datasets:

    >>> WeightedDPOTrainer(model, train_dataset=pairs)  # column "weight"
    >>> WeightedDPOTrainer(model, train_dataset=pairs, weighting=MarginSchedule.released(2))

    Parameters
    ----------
    weighting : None, or a MarginSchedule (MADPO's published weight) or any Weighting, such as
        BoundedRatioWeight or ScaledWeight.mean_one. The column then holds the reward model's
        margins (score of the chosen response minus that of the rejected one, nats).
    column : name of the column; by default ``"weight"``, or ``"margin"`` with a weighting.

    The mean is over pairs: it is not divided by the weights' sum, so that their scale acts as a
    learning rate, as in :func:`madpo_theory.losses.madpo`. With all weights 1 it is DPOTrainer to
    the last digit. Logs ``weights/mean``, ``weights/min``, ``weights/max`` and ``weights/ess``,
    the effective sample size (sum w)^2 / sum w^2 as a share of the pairs since the last log, and
    ``weights/unweighted_loss``, by which schedules can be compared: that of the weighted loss
    compares the scales of weights.

    Raises ValueError for a missing column, for a beta that is not > 0, for margins or weights that
    are not finite, negative weights, a loss that is no longer finite, and for losses that are no
    mean over pairs (sft, aot, aot_unpaired); RuntimeError if TRL computes its loss in another way
    than the tested versions do. Source of the weight: arXiv 2510.05342.
    """

    def __init__(self, *args, weighting=None, column=None, **kwargs):
        self._weighting = None if weighting is None else weighting_of(weighting)
        self._column = column or ("weight" if weighting is None else "margin")
        self._weights_seen = defaultdict(list)
        if (config := _config_in(args, kwargs)) is not None:
            check_beta(config.beta)
        super().__init__(*args, **kwargs)
        for name in sorted(NOT_PER_PAIR.keys() & set(self.loss_types)):
            raise ValueError(
                f"loss_type {name!r} is {NOT_PER_PAIR[name]}, so that a pair's weight has no place "
                "in it; use a loss of single pairs, such as 'sigmoid' or 'ipo'"
            )

    def _read(self, values, of, first=0):
        if self._weighting is None:
            return _numbers(values, self._column, of, first, least=0.0)
        return weight(super()._read(values, of, first), self._weighting)

    def _loss(self):
        weighting = None if self._weighting is None else repr(self._weighting)
        return {"weighting": weighting, "loss_type": self.loss_types,
                "loss_weights": self.loss_weights, "beta": self.beta}  # fmt: skip

    def _cited(self):
        return CITED

    def compute_loss(self, model, inputs, *args, **kwargs):
        inputs, weights = self._taken(inputs)
        plain = []

        def mean_of(losses, *axis):
            if not losses.isfinite().all():
                raise self._diverged("the loss of a pair is not finite")
            plain.append(losses.detach())
            return losses.mul(weights.to(losses.dtype)).mean(*axis)

        means = _Means(len(weights), len(self.loss_types), mean_of)
        result = self._listened(means, model, inputs, *args, **kwargs)
        plain = sum(loss * w for loss, w in zip(plain, self.loss_weights, strict=True))
        seen = torch.stack([weights, plain.to(weights)])
        mode = "train" if self.model.training else "eval"
        self._weights_seen[mode].append(self.accelerator.gather_for_metrics(seen.T).cpu())
        return result

    def log(self, logs, *args, **kwargs):
        mode = "train" if self.model.training else "eval"
        if seen := self._weights_seen.pop(mode, None):
            weights, plain = torch.cat(seen).double().numpy().T
            share = effective_sample_size(weights) / len(weights) if weights.any() else 0.0
            statistics = {
                "mean": weights.mean(),
                "min": weights.min(),
                "max": weights.max(),
                "ess": share,
                "unweighted_loss": plain.mean(),
            }
            self._metrics[mode] |= {f"weights/{k}": [float(v)] for k, v in statistics.items()}
        super().log(logs, *args, **kwargs)
