"""Weighted pairs in TRL's DPOTrainer: w_i times the loss of pair i, and nothing else changed.

TRL computes the losses of a batch's pairs and takes their mean inside one method.
:class:`WeightedDPOTrainer` leaves that method alone and makes that one mean a weighted one; every
loss, every option and the reference model's handling stay TRL's.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..weights import Weighting, weight, weighting_of

TESTED = "1.12.0 to 1.16.0"

try:
    import torch
    import trl
    from datasets import Dataset
    from torch.overrides import TorchFunctionMode
    from trl import DPOTrainer
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{__name__} needs the package {error.name!r}: pip install 'madpo-theory[trl]'"
    ) from error

__all__ = ["WeightedDPOTrainer"]

KEY = "pair_weight"
"""Where a batch carries its weights."""
NOT_PER_PAIR = {
    "sft": "a mean over tokens",
    "aot": "computed from sorted scores",
    "aot_unpaired": "computed from sorted scores",
}


def _unsupported(what):
    return RuntimeError(
        f"TRL {trl.__version__} {what}; WeightedDPOTrainer is tested with TRL {TESTED}: install "
        "one of these versions"
    )


def _pair_weights(values, column, weighting):
    """Weights (pairs,), float64, of a column's values; ValueError for what cannot be weighed."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"column {column!r} must hold one number a pair, got {values.shape}")
    bad = ~np.isfinite(values) if weighting else ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        rule = "finite" if weighting else "finite and not negative"
        row = int(bad.argmax())
        raise ValueError(
            f"column {column!r} must be {rule}, got {values[row]} in row {row}; drop or repair "
            "that pair"
        )
    return weight(values, weighting) if weighting else values


@dataclass
class _Collator:
    """Another collator's batch, and with it the weights of its pairs."""

    collate: Any
    column: str
    weighting: Weighting | None

    def __call__(self, examples):
        if any(self.column not in example for example in examples):
            raise _missing(self.column, "a batch's dataset", examples[0])
        rest = [{k: v for k, v in e.items() if k != self.column} for e in examples]
        weights = _pair_weights([e[self.column] for e in examples], self.column, self.weighting)
        return self.collate(rest) | {KEY: torch.as_tensor(weights, dtype=torch.float32)}


def _missing(column, where, columns):
    return ValueError(
        f"{where} has no column {column!r} (it has {', '.join(sorted(columns))}); add it with "
        f"dataset.add_column({column!r}, values), or name another with column=..."
    )


@dataclass
class _WeightedMean(TorchFunctionMode):
    """While active, the first `count` means over all pairs are means of weight times value."""

    weights: Any
    count: int
    means: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if (
            function is torch.Tensor.mean
            and len(self.means) < self.count
            and args[0].shape == self.weights.shape
        ):
            losses, *axis = args
            self.means.append(losses.mul(self.weights.to(losses.dtype)).mean(*axis))
            return self.means[-1]
        return function(*args, **(kwargs or {}))


class WeightedDPOTrainer(DPOTrainer):
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
    the effective sample size (sum w)^2 / sum w^2 as a share of the pairs since the last log.

    Raises ValueError for a missing column, for margins or weights that are not finite, negative
    weights, and for losses that are no mean over pairs (sft, aot, aot_unpaired); RuntimeError if
    TRL computes its loss in another way than the tested versions do. Source of the weight: arXiv
    2510.05342.
    """

    def __init__(self, *args, weighting=None, column=None, **kwargs):
        self._weighting = None if weighting is None else weighting_of(weighting)
        self._column = column or ("weight" if weighting is None else "margin")
        self._weights_seen = defaultdict(list)
        super().__init__(*args, **kwargs)
        for name in sorted(NOT_PER_PAIR.keys() & set(self.loss_types)):
            raise ValueError(
                f"loss_type {name!r} is {NOT_PER_PAIR[name]}, so that a pair's weight has no place "
                "in it; use a loss of single pairs, such as 'sigmoid' or 'ipo'"
            )
        self.data_collator = _Collator(self.data_collator, self._column, self._weighting)

    def _prepare_dataset(self, dataset, processing_class, args, dataset_name):
        """Look at the weights before the long work on the dataset begins."""
        columns = dataset.column_names or next(iter(dataset)).keys()
        if self._column not in columns:
            raise _missing(self._column, f"the {dataset_name} dataset", columns)
        if isinstance(dataset, Dataset):  # a stream's values are checked as they come
            values = dataset.with_format("numpy")[self._column][:]
            _pair_weights(values, self._column, self._weighting)
        return super()._prepare_dataset(dataset, processing_class, args, dataset_name)

    def _set_signature_columns_if_needed(self):
        super()._set_signature_columns_if_needed()
        if self._column not in self._signature_columns:
            self._signature_columns.append(self._column)

    def compute_ref_log_probs(self, *args):
        *model, inputs = args
        return super().compute_ref_log_probs(*model, {k: inputs[k] for k in inputs if k != KEY})

    def compute_loss(self, model, inputs, *args, **kwargs):
        inputs = dict(inputs)
        if KEY not in inputs:
            raise _unsupported("replaced the collator that carries the weights")
        weights = inputs.pop(KEY)
        with _WeightedMean(weights, len(self.loss_types)) as weighted:
            result = super().compute_loss(model, inputs, *args, **kwargs)
        loss = result[0] if isinstance(result, tuple) else result
        self._check(loss, weighted.means)
        mode = "train" if self.model.training else "eval"
        self._weights_seen[mode].append(self.accelerator.gather_for_metrics(weights).cpu())
        return result

    def _check(self, loss, means):
        """The loss must be the sum of our means and nothing else: then the weights are in it."""
        if len(means) != len(self.loss_types):
            raise _unsupported("takes no mean over the pairs of a batch")
        expected = sum(m * w for m, w in zip(means, self.loss_weights, strict=True))
        same = torch.allclose(loss, expected, rtol=0, atol=0, equal_nan=True)
        if not same and not self.aux_loss_enabled:  # a mixture of experts adds a term of its own
            raise _unsupported(f"has a loss {loss.item()} that is not the mean {expected.item()}")

    def log(self, logs, *args, **kwargs):
        mode = "train" if self.model.training else "eval"
        if seen := self._weights_seen.pop(mode, None):
            weights = torch.cat(seen).double()
            squares = weights.square().sum()
            statistics = {
                "mean": weights.mean(),
                "min": weights.min(),
                "max": weights.max(),
                "ess": weights.sum() ** 2 / (len(weights) * squares) if squares else squares,
            }
            self._metrics[mode] |= {f"weights/{k}": [v.item()] for k, v in statistics.items()}
        super().log(logs, *args, **kwargs)
