"""Pairs ready for a policy or a reward model: tokens, stored lower layers, reference, labels."""

from dataclasses import dataclass

import torch

from .logprobs import Layout, response_mask, stem

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
    eos: int
    train: int
    """The first `train` pairs are for training, the others are held out."""

    @classmethod
    def load(cls, pairs, reference, layers, eos):
        stored = reference.read_tensors("reference.safetensors")
        table = pairs.read_table("pairs.parquet")
        return cls(
            tokens=stored["tokens"],
            reference=stored["logps"],
            stem=stored.get("stem"),
            first_chosen=torch.tensor(table["first_chosen"].to_numpy()),
            layout=Layout(**reference.read_json("layout.json"), branches=2),
            layers=layers,
            eos=eos,
            train=int((table["split"] == "train").sum()),
        )

    def inputs(self, causal_lm, indices):
        """Tokens and lower layers' output of some pairs, on the model's device, and their layout.

        The layout is cut to the longest response: no layer sees what is padding for all of them.
        """
        tokens = self.tokens[indices]
        layout = self.layout.trimmed(tokens, self.eos)
        columns = slice(None) if layout == self.layout else self.layout.columns(layout)
        batch = tokens[:, columns].to(causal_lm.device)
        if self.stem is None:
            return batch, stem(causal_lm, batch, layout, self.layers), layout
        return batch, self.stem[indices][:, columns].to(causal_lm.device), layout

    def lengths(self):
        """Tokens of the longer response of every pair, (pairs,)."""
        responses = self.tokens[:, self.layout.prompt :].view(len(self.tokens), 2, -1)
        return response_mask(responses, self.eos).sum(-1).amax(-1)

    def chosen_first(self, values, indices):
        """Columns (first, second) of `values` put in the order (chosen, rejected)."""
        first = self.first_chosen[indices].to(values.device)
        return torch.where(first[:, None], values, values.flip(1)).unbind(1)
