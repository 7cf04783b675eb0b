"""Every loss of TRL's DPOTrainer beside the method that is the same: TRL's code is the oracle."""

import ast
import math

import pytest
import torch

pytest.importorskip("trl", reason="needs madpo-theory[trl]")
pytest.importorskip("peft", reason="needs madpo-theory[trl]")

from trl import DPOTrainer
from trl_trainers import MARKS, disturb, made_trainer, tiny_policy

from madpo_theory.integrations.trl import _Splits
from madpo_theory.methods import METHODS

pytestmark = MARKS

SMOOTH = {"epsilon": 0.1}, {"label_smoothing": 0.1}
LOSSES = {  # TRL's loss type: the method, its settings and TRL's
    "sigmoid": ("dpo", {}, {}),
    "hinge": ("hinge", {}, {}),
    "ipo": ("ipo_per_token", {}, {}),
    "robust": ("rdpo", *SMOOTH),
    "exo_pair": ("exo_pair", {"epsilon": 1e-3}, {"label_smoothing": 1e-3}),
    "nca_pair": ("nca_pair", {}, {}),
    "bco_pair": ("bco_pair", {}, {}),
    "sppo_hard": ("sppo_hard", {}, {}),
    "apo_zero": ("apo_zero", {}, {}),
    "apo_down": ("apo_down", {}, {}),
    "discopop": ("discopop", {"tau": 0.2}, {"discopop_tau": 0.2}),
    "sigmoid_norm": ("sigmoid_norm", {}, {}),
    "aot": ("aot", *SMOOTH),
    "aot_unpaired": ("aot_unpaired", *SMOOTH),
}
DIVERGENCES = {  # TRL's f-divergence types, of its sigmoid loss
    "reverse_kl": ("dpo", {}, {}),
    "forward_kl": ("f_dpo_forward_kl", {}, {}),
    "js_divergence": ("f_dpo_js", {}, {}),
    "alpha_divergence": ("f_dpo_alpha_trl", {"alpha": 0.3}, {"f_alpha_divergence_coef": 0.3}),
}
CASES = {name: (*case, {"loss_types": [name]}) for name, case in LOSSES.items()}
CASES |= {name: (*case, {"f_divergence_type": name}) for name, case in DIVERGENCES.items()}
CASES |= {
    "exo_pair, smoother": ("exo_pair", *SMOOTH, {"loss_types": ["exo_pair"]}),
    # TRL's sigmoid is no cDPO: it smooths no labels.
    "sigmoid, smoother": ("dpo", {}, {"label_smoothing": 0.1}, {"loss_types": ["sigmoid"]}),
    "aot, sharp": ("aot", {}, {}, {"loss_types": ["aot"]}),
    "alpha_divergence, as the paper counts": (
        "f_dpo_alpha", {"alpha": 0.3}, {"f_alpha_divergence_coef": 0.7},
        {"f_divergence_type": "alpha_divergence"},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """TRL's trainer, whose policy has left the reference."""
    out = tmp_path_factory.mktemp("trl")
    made = made_trainer(tiny_policy(), out, DPOTrainer, per_device_train_batch_size=8)
    disturb(made.model, 0.1)
    return made


@pytest.fixture(scope="module")
def batch(stock):
    """All pairs, every other one with its responses exchanged: margins of either sign."""
    halves = {k: v.chunk(2) for k, v in next(iter(stock.get_train_dataloader())).items()}
    turned = (torch.arange(len(halves["input_ids"][0])) % 2 == 1)[:, None]
    return {
        k: torch.cat([torch.where(turned, lost, won), torch.where(turned, won, lost)])
        for k, (won, lost) in halves.items()
    }


@pytest.fixture
def heard(stock, batch, monkeypatch):
    """Gives (policy's log-probabilities, reference's, losses of pairs) of TRL's own loss."""

    def run(**options):
        found = []
        for name, value in options.items():
            for owner in (stock, stock.args):  # TRL reads some from here and some from there
                monkeypatch.setattr(owner, name, value, raising=False)

        def mean_of(losses, *axis):
            found.append(losses)
            return losses.mean(*axis)

        with _Splits(len(batch["input_ids"]) // 2, 1, mean_of) as splits:
            stock.compute_loss(stock.model, batch)
        return *splits.halves, *found

    return run


def method_losses(method, batch, policy, reference):
    lengths = batch["completion_mask"].sum(1).float().chunk(2)
    given = dict(zip(("chosen_lengths", "rejected_lengths"), lengths, strict=True))
    asked = {name: value for name, value in given.items() if name in method.arguments()}
    return method(*policy, *reference, **asked)[0]


def assert_same(ours, trls, policy, tolerance):
    """Losses, and the gradient of their mean with respect to the policy's log-probabilities."""
    # AOT's losses stand here in the places of their pairs, in TRL's code in order.
    torch.testing.assert_close(ours.sort()[0], trls.sort()[0], rtol=tolerance, atol=tolerance)
    slopes = (torch.autograd.grad(losses.mean(), policy) for losses in (ours, trls))
    for found, expected in zip(*slopes, strict=True):
        steepest = expected.abs().max().item()
        assert steepest > 1e-3
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * steepest)


@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_are_trls(heard, batch, case):
    name, settings, theirs, kind = CASES[case]
    policy, reference, losses = heard(beta=0.3, **theirs, **kind)
    found = method_losses(METHODS[name](beta=0.3, **settings), batch, policy, reference)
    assert_same(found, losses, policy, 1e-6)  # float32: a few ulp


def test_no_loss_type_of_trls_is_missing(heard):
    """But sft, a mean over tokens, of which a pair has no part."""
    with pytest.raises(ValueError, match="Unknown loss type: none") as error:
        heard(loss_types=["none"])
    known = ast.literal_eval(str(error.value).partition("one of ")[2])
    assert set(known) == LOSSES.keys() | {"sft"}


@pytest.fixture
def far(stock):
    """Takes the policy hundreds of nats from its reference."""
    head = stock.model.lm_head.weight
    before = head.detach().clone()

    @torch.no_grad()
    def scaled(factor):
        head.mul_(factor)

    yield scaled
    with torch.no_grad():
        head.copy_(before)


@pytest.mark.parametrize(("factor", "beyond"), ((3, 1), (6, 2)))
def test_the_clamp_of_the_alpha_divergence_is_trls(heard, batch, far, factor, beyond):
    """Where both responses are beyond it the loss is log 2, of no gradient, whatever they are."""
    far(factor)
    options = {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.3}
    policy, reference, losses = heard(beta=0.3, **options)
    method = METHODS["f_dpo_alpha_trl"](beta=0.3, alpha=0.3)
    found = method_losses(method, batch, policy, reference)
    # An exponent of 80 in float32 is 64 half ulp, 4e-6, of its exponential off.
    torch.testing.assert_close(found, losses, rtol=1e-5, atol=0)
    lost = [ours - fixed < -80 / 0.7 for ours, fixed in zip(policy, reference, strict=True)]
    assert ((lost[0].int() + lost[1].int()) == beyond).all()
    if beyond == 2:
        torch.testing.assert_close(losses, torch.full_like(losses, math.log(2)))
    slopes = torch.autograd.grad(found.mean(), policy)
    assert all((slope[clamped] == 0).all() for slope, clamped in zip(slopes, lost, strict=True))
    # ... unlike the paper's formula, which float32 cannot hold
    exact = METHODS["f_dpo_alpha"](beta=0.3, alpha=0.7)
    logps = [x.detach().double() for x in (*policy, *reference)]
    assert (method_losses(exact, batch, logps[:2], logps[2:]) - found).abs().max() > 1e37


def test_trls_discopop_is_nan_where_ours_is_the_logistic_loss(heard, batch, far):
    far(40)
    policy, reference, losses = heard(beta=0.3, loss_types=["discopop"])
    ours, dpo = (
        method_losses(METHODS[name](beta=0.3), batch, policy, reference)
        for name in ("discopop", "dpo")
    )
    lost = dpo > 88.8  # log of float32's largest number
    assert lost.any() and torch.equal(losses.isnan(), lost)
    torch.testing.assert_close(ours[lost], dpo[lost], rtol=1e-6, atol=0)
    torch.testing.assert_close(ours[~lost], losses[~lost], rtol=1e-6, atol=1e-6)
