"""A training step of every method on a card, pretended or real."""

import numpy as np
import pytest
import torch

from madpo_theory import METHODS
from madpo_theory.align.config import GIVEN, AlignConfig
from madpo_theory.align.methods import methods_of
from madpo_theory.methods import Pairs


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].needs <= GIVEN])
def test_every_method_trains_there(name, card):
    """Loss and gradients of a step are those of the CPU."""
    align = AlignConfig(methods=(name,))
    (trained,) = methods_of(align)
    numbers = np.random.default_rng(5)
    logps = [torch.tensor(numbers.normal(-40, 3, 8), dtype=torch.float32) for _ in range(4)]
    margin = torch.tensor(numbers.normal(0, 3, 8), dtype=torch.float32)
    lengths = [torch.tensor(numbers.integers(5, 30, 8), dtype=torch.float32) for _ in range(2)]

    def step(device):
        policy = [x.to(device).requires_grad_() for x in logps[:2]]
        rest = [x.to(device) for x in (*logps[2:], margin, *lengths)]
        method = trained.method
        generator = torch.Generator().manual_seed(3)
        loss, _, _ = method.train_loss(
            Pairs(*policy, *rest), generator=generator, state=method.start()
        )
        loss.backward()
        return loss.item(), *(x.grad.cpu() for x in policy)

    there, here = step(card), step("cpu")
    np.testing.assert_allclose(there[0], here[0], rtol=1e-5)
    for mine, theirs in zip(there[1:], here[1:], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-7)
