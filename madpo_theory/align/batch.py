"""Pairs ready for a policy or a reward model: tokens, stored lower layers, reference, labels."""

from dataclasses import dataclass

import torch

from .logprobs import Layout, stem

__all__ = ["PairData"]


@dataclass(frozen=True)
class PairData:
    """All pairs in the order of the pairs stage; every selection is by index."""

    tokens: torch.Tensor
    """Prompt and both responses, (pairs, P + 2 N)."""
    reference: torch.Tensor
    """Log-probabilities of first and second response under the reference, (pairs, 2), nats."""
    stem: torch.Tensor | None
    """Stored output of the layers without adapters, (pairs, P + 2 N, D)."""
    first_chosen: torch.Tensor
    """Observed labels."""
    layout: Layout
    layers: int
    train: int
    """The first `train` pairs are for training, the others are held out."""

    @classmethod
    def load(cls, pairs, reference, layers):
        stored = reference.read_tensors("reference.safetensors")
        table = pairs.read_table("pairs.parquet")
        return cls(
            tokens=stored["tokens"],
            reference=stored["logps"],
            stem=stored.get("stem"),
            first_chosen=torch.tensor(table["first_chosen"].to_numpy()),
            layout=Layout(**reference.read_json("layout.json"), branches=2),
            layers=layers,
            train=int((table["split"] == "train").sum()),
        )

    def inputs(self, causal_lm, indices):
        """Tokens and lower layers' output of some pairs, on the model's device."""
        batch = self.tokens[indices].to(causal_lm.device)
        if self.stem is None:
            return batch, stem(causal_lm, batch, self.layout, self.layers)
        return batch, self.stem[indices].to(causal_lm.device)

    def chosen_first(self, values, indices):
        """Columns (first, second) of `values` put in the order (chosen, rejected)."""
        first = self.first_chosen[indices].to(values.device)
        return torch.where(first[:, None], values, values.flip(1)).unbind(1)
