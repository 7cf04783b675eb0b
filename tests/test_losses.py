"""Losses: invariances, limits, gradients, extremes, and beta-DPO's moving temperature."""

import dataclasses
import math
from itertools import permutations

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from madpo_theory import MarginSchedule, weight
from madpo_theory.losses import (
    BetaDPOState,
    beta_dpo,
    beta_dpo_beta,
    beta_dpo_keep,
    beta_dpo_margins,
    beta_dpo_update,
    distillation,
    dpo,
    ipo,
    madpo,
)

SCHEDULE = MarginSchedule.class_defaults()
VARIANTS = ("authors", "madpo")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(pairs=12, dtype=torch.float64, scale=5.0, seed=0):
    """Four vectors of log-probabilities, and margins away from the kink at -tau."""
    *logps, margin = scale * torch.randn(5, pairs, dtype=torch.float64, generator=generator(seed))
    return [x.to(dtype) for x in logps], margin.to(dtype)


def all_losses(margin, beta=0.1):
    return {
        "dpo": lambda *logps: dpo(*logps, beta=beta),
        "ipo": lambda *logps: ipo(*logps, beta=beta),
        "madpo": lambda *logps: madpo(*logps, margin=margin, weighting=SCHEDULE, beta=beta),
        "distillation": lambda *logps: distillation(
            *logps, margin=margin, weighting=SCHEDULE, beta=beta
        ),
        "beta_dpo authors": lambda *logps: beta_dpo(*logps, beta=beta),
        "beta_dpo madpo": lambda *logps: beta_dpo(*logps, beta=beta, variant="madpo"),
    }


named = pytest.mark.parametrize("name", all_losses(None))


def test_dpo_ipo_madpo_agree_with_the_naive_formulas():
    logps, margin = batch()
    pc, pr, rc, rr = logps
    m = (pc - rc) - (pr - rr)
    naive = -logsigmoid(0.1 * m)
    torch.testing.assert_close(dpo(*logps)[0], naive)
    torch.testing.assert_close(ipo(*logps)[0], (m - 5.0) ** 2)
    w = weight(margin, SCHEDULE)
    got = madpo(*logps, margin=margin, weighting=SCHEDULE)[0]
    torch.testing.assert_close(got, w * naive)


@pytest.mark.parametrize("variant", VARIANTS)
def test_beta_dpo_agrees_with_the_naive_formula(variant):
    logps, _ = batch()
    pc, pr, rc, rr = logps
    m = (pc - rc) - (pr - rr)
    mean = m.mean() if variant == "authors" else 0.1 * m.mean()
    temperature = 0.1 * (1 + 0.6 * (mean - 0.3))
    if variant == "authors":
        temperature = temperature.clamp(min=1e-3)
    losses, chosen, rejected = beta_dpo(*logps, running_mean=0.3, variant=variant)
    torch.testing.assert_close(losses, -logsigmoid(temperature * m))
    torch.testing.assert_close(chosen, temperature * (pc - rc))
    torch.testing.assert_close(rejected, temperature * (pr - rr))


@named
def test_rewards_are_beta_times_the_log_ratio_and_carry_no_gradient(name):
    logps, margin = batch()
    logps = [x.requires_grad_() for x in logps]
    losses, chosen, rejected = all_losses(margin)[name](*logps)
    assert losses.requires_grad and not chosen.requires_grad and not rejected.requires_grad
    if not name.startswith("beta"):
        torch.testing.assert_close(chosen, 0.1 * (logps[0] - logps[2]).detach())
        torch.testing.assert_close(rejected, 0.1 * (logps[1] - logps[3]).detach())


def test_loss_at_the_reference_is_the_weight_times_log_2():
    (pc, pr, _, _), margin = batch()
    log_2 = torch.full_like(pc, math.log(2))
    torch.testing.assert_close(dpo(pc, pr, pc, pr)[0], log_2)
    got = madpo(pc, pr, pc, pr, margin=margin, weighting=SCHEDULE)[0]
    torch.testing.assert_close(got, weight(margin, SCHEDULE) * log_2)
    torch.testing.assert_close(beta_dpo(pc, pr, pc, pr)[0], log_2)
    torch.testing.assert_close(ipo(pc, pr, pc, pr)[0], torch.full_like(pc, 25.0))


@pytest.mark.parametrize(
    "schedule",
    (
        MarginSchedule(1 + 1e-13, 1 - 1e-13, 1.0, 2.0),
        MarginSchedule(1 + 1e-13, 1 - 1e-13, 1e-3, 50.0),
        MarginSchedule(4.0, 0.25, 1e-14, 6.9),
    ),
    ids=("c -> 1", "c -> 1, slowly", "lam -> 0"),
)
def test_madpo_with_constant_c_one_is_dpo(schedule):
    """L5; lam -> 0 flattens c to c(tau) = 1."""
    logps, margin = batch()
    torch.testing.assert_close(
        madpo(*logps, margin=margin, weighting=schedule)[0], dpo(*logps)[0], rtol=1e-11, atol=0
    )


def test_tau_to_infinity_leaves_the_weight_of_constant_c_max():
    """L5: w(h) = sigma(c_max h)/sigma(h) for every h."""
    logps, margin = batch()
    expected = torch.exp(logsigmoid(3 * margin) - logsigmoid(margin)) * dpo(*logps)[0]
    got = madpo(*logps, margin=margin, weighting=MarginSchedule(3.0, 0.5, 1.0, 1e3))[0]
    torch.testing.assert_close(got, expected)


def test_swapping_the_labels_mirrors_the_margins():
    """A pair relabelled: m and the margin change sign, so the loss is l(-beta m) w(-h)."""
    (pc, pr, rc, rr), margin = batch()
    m = (pc - rc) - (pr - rr)
    swapped = madpo(pr, pc, rr, rc, margin=-margin, weighting=SCHEDULE)[0]
    torch.testing.assert_close(swapped, weight(-margin, SCHEDULE) * -logsigmoid(-0.1 * m))


@pytest.mark.parametrize("name", ("dpo", "ipo", "madpo", "distillation"))
def test_per_pair_losses_do_not_see_the_rest_of_the_batch(name):
    logps, margin = batch()
    together = all_losses(margin)[name](*logps)[0]
    alone = torch.cat(
        [all_losses(margin[i : i + 1])[name](*(x[i : i + 1] for x in logps))[0] for i in range(12)]
    )
    torch.testing.assert_close(together, alone, rtol=1e-15, atol=0)


@named
def test_a_constant_added_to_policy_and_reference_changes_nothing(name):
    """Only the log-ratio matters (64 is exact to add)."""
    (pc, pr, rc, rr), margin = batch()
    loss = all_losses(margin)[name]
    torch.testing.assert_close(loss(pc + 64, pr, rc + 64, rr)[0], loss(pc, pr, rc, rr)[0])


@named
def test_gradcheck_in_all_four_logps(name):
    logps, margin = batch(5, scale=2.0)
    logps = [x.requires_grad_() for x in logps]
    if name.startswith("beta"):  # beta is held constant, so compare at the held value
        losses = all_losses(margin)[name](*logps)[0]
        pc, pr, rc, rr = (x.detach() for x in logps)
        held = beta_dpo_beta(
            beta_dpo_margins((pc - rc - pr + rr), variant=name.split()[1]).mean(),
            variant=name.split()[1],
        ).item()
        same = dpo(*logps, beta=held)[0]
        for got, expected in zip(
            torch.autograd.grad(losses.sum(), logps),
            torch.autograd.grad(same.sum(), logps),
            strict=True,
        ):
            torch.testing.assert_close(got, expected)
    else:
        assert torch.autograd.gradcheck(lambda *x: all_losses(margin)[name](*x)[0], logps)


def test_no_gradient_flows_through_the_margin():
    logps, margin = batch()
    logps[0].requires_grad_(), margin.requires_grad_()
    loss = madpo(*logps, margin=margin, weighting=SCHEDULE)[0].sum()
    in_logps, in_margin = torch.autograd.grad(loss, (logps[0], margin), allow_unused=True)
    assert in_margin is None and in_logps.abs().max() > 0


@named
@pytest.mark.parametrize("dtype", (torch.float64, torch.float32, torch.bfloat16))
@pytest.mark.parametrize("size", (1e4, -1e4))
def test_extreme_log_probabilities_stay_finite(name, dtype, size):
    chosen = torch.tensor([size, 0.0, -abs(size), 3.0], dtype=dtype, requires_grad=True)
    zero = torch.zeros(4, dtype=dtype)
    margin = torch.tensor([1e4, -1e4, 0.0, -2.0], dtype=dtype)
    losses, _, _ = all_losses(margin)[name](chosen, zero, zero, zero)
    (slope,) = torch.autograd.grad(losses.sum(), chosen)
    assert losses.dtype == dtype
    assert torch.isfinite(losses).all() and torch.isfinite(slope).all()


def test_extreme_dpo_loss_is_the_margin_itself():
    loss = dpo(-1e4, 0.0, 0.0, 0.0, beta=1.0)[0]
    assert loss == 1e4
    assert 0 < dpo(700.0, 0.0, 0.0, 0.0, beta=1.0)[0] < 1e-300


def test_numpy_and_torch_give_the_same_losses():
    logps, margin = batch()
    arrays = [x.numpy() for x in logps]
    for name in all_losses(None):
        got = all_losses(margin.numpy())[name](*arrays)
        expected = all_losses(margin)[name](*logps)
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-14)


def test_the_defaults_are_those_of_the_papers():
    """beta = 0.1 throughout; beta-DPO: alpha = 0.6, keep 80 %, decay 0.9, statistics (0, 1)."""
    logps, margin = batch()
    weighted = {"margin": margin, "weighting": SCHEDULE}
    for loss, rest in ((dpo, {}), (ipo, {}), (madpo, weighted), (distillation, weighted)):
        torch.testing.assert_close(
            loss(*logps, **rest)[0], loss(*logps, **rest, beta=0.1)[0], rtol=0, atol=0
        )
    stated = {"beta": 0.1, "alpha": 0.6, "running_mean": 0.0, "variant": "authors"}
    torch.testing.assert_close(
        beta_dpo(*logps)[0], beta_dpo(*logps, **stated, kept=None)[0], rtol=0, atol=0
    )
    assert beta_dpo_beta(0.7) == beta_dpo_beta(0.7, **stated)
    assert beta_dpo_margins(margin, variant="madpo").equal(0.1 * margin)
    assert BetaDPOState() == BetaDPOState(mean=0.0, std=1.0)
    kept = beta_dpo_keep(margin, BetaDPOState(), generator=generator())
    assert kept.equal(beta_dpo_keep(margin, BetaDPOState(), fraction=0.8, generator=generator()))
    updated = beta_dpo_update(BetaDPOState(), margin)
    assert updated == beta_dpo_update(BetaDPOState(), margin, decay=0.9)


def test_settings_are_given_by_name():
    """Fifth and later positions would be read as a margin by one loss and a beta by another."""
    logps, margin = batch()
    for loss in (dpo, ipo, beta_dpo):
        with pytest.raises(TypeError, match="positional"):
            loss(*logps, 0.1)
    for loss in (madpo, distillation):
        with pytest.raises(TypeError, match="positional"):
            loss(*logps, margin, weighting=SCHEDULE)
    for call in (
        lambda: beta_dpo_beta(0.7, 0.1),
        lambda: beta_dpo_margins(margin, 0.1),
        lambda: beta_dpo_keep(margin, BetaDPOState(), 0.8, generator=generator()),
        lambda: beta_dpo_update(BetaDPOState(), margin, 0.9),
    ):
        with pytest.raises(TypeError, match="positional"):
            call()


# beta-DPO


def test_the_authors_variant_never_goes_below_its_clamp():
    means = torch.linspace(-50, 50, 101)
    for mean in means:
        assert beta_dpo_beta(mean) >= torch.tensor(1e-3)
    assert beta_dpo_beta(torch.tensor(-50.0)) == torch.tensor(1e-3)
    assert type(beta_dpo_beta(-50.0)) is float and beta_dpo_beta(-50.0) == 1e-3


def test_a_negative_temperature_pushes_the_margin_the_wrong_way():
    """B3: descent lowers the chosen log-probability of a batch with M < M0 - 1/alpha."""
    chosen = torch.tensor([-40.0, -60.0], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(2, dtype=torch.float64)
    losses, _, _ = beta_dpo(chosen, zero, zero, zero, alpha=0.6, variant="madpo")
    assert beta_dpo_beta(-5.0, alpha=0.6, variant="madpo") < 0
    (slope,) = torch.autograd.grad(losses.sum(), chosen)
    assert (slope > 0).all()
    (slope,) = torch.autograd.grad(dpo(chosen, zero, zero, zero)[0].sum(), chosen)
    assert (slope < 0).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_dropped_pairs_cost_exactly_nothing(variant):
    logps, _ = batch()
    logps[0].requires_grad_()
    kept = torch.arange(12) % 3 > 0
    losses, _, _ = beta_dpo(*logps, kept=kept, variant=variant)
    (slope,) = torch.autograd.grad(losses.sum(), logps[0])
    assert (losses[~kept] == 0).all() and (losses[kept] > 0).all()
    assert (slope[~kept] == 0).all() and (slope[kept] != 0).all()


def test_only_the_authors_variant_averages_over_the_kept_pairs():
    logps, _ = batch()
    kept = torch.arange(12) < 5
    few = [x[:5] for x in logps]
    got = beta_dpo(*logps, kept=kept)[0][:5]
    torch.testing.assert_close(got, beta_dpo(*few)[0])
    everyone = beta_dpo(*logps, variant="madpo")[0][:5]
    got = beta_dpo(*logps, kept=kept, variant="madpo")[0][:5]
    torch.testing.assert_close(got, everyone)


def test_a_numpy_mask_works_on_numpy_logps():
    logps, _ = batch()
    kept = torch.arange(12) < 5
    got = beta_dpo(*(x.numpy() for x in logps), kept=kept.numpy())[0]
    np.testing.assert_allclose(got, beta_dpo(*logps, kept=kept)[0].numpy(), rtol=1e-14)


def test_margins_in_the_units_of_the_variant():
    m = torch.tensor([2.0, -4.0])
    assert beta_dpo_margins(m, beta=0.5).tolist() == [2.0, -4.0]
    assert beta_dpo_margins(m, beta=0.5, variant="madpo").tolist() == [1.0, -2.0]


@pytest.mark.parametrize(
    ("pairs", "fraction", "size"), ((10, 0.8, 8), (7, 0.5, 3), (3, 0.1, 1), (5, 1, 5), (1, 0.5, 1))
)
def test_the_filter_keeps_int_of_fraction_times_n_and_at_least_one(pairs, fraction, size):
    margins = torch.randn(pairs, generator=generator())
    mask = beta_dpo_keep(margins, BetaDPOState(), fraction=fraction, generator=generator())
    assert mask.dtype == torch.bool and mask.shape == (pairs,) and mask.sum() == size


def test_the_filter_is_a_function_of_the_generator_alone():
    margins, state = torch.randn(32, generator=generator()), BetaDPOState()

    def keep(seed):
        return beta_dpo_keep(margins, state, fraction=0.5, generator=generator(seed))

    torch.manual_seed(1)
    first = keep(3)
    torch.manual_seed(2)
    assert torch.equal(first, keep(3)) and not torch.equal(first, keep(4))


def test_the_filter_draws_as_exact_sampling_without_replacement_does():
    """Frequencies of 2 of 4 against the exact inclusion probabilities, within 4.5 sigma."""
    margins, state, draws = torch.tensor([0.0, 0.5, -1.5, 2.5]), BetaDPOState(0.2, 1.3), 4000
    p = torch.softmax(-(((margins - 0.2) / 1.3) ** 2) / 2, 0).tolist()
    inclusion = [0.0] * 4
    for i, j in permutations(range(4), 2):
        both = p[i] * p[j] / (1 - p[i])
        inclusion[i] += both
        inclusion[j] += both
    g = generator(5)
    counts = sum(
        beta_dpo_keep(margins, state, fraction=0.5, generator=g).int() for _ in range(draws)
    )
    for count, expected in zip(counts.tolist(), inclusion, strict=True):
        assert abs(count / draws - expected) < 4.5 * math.sqrt(expected * (1 - expected) / draws)


def test_the_first_draw_of_the_filter_has_the_stated_probabilities():
    """One pair of ten kept: exp(-(M - mean)^2 / 2) of it, normalized, within 4.5 sigma.

    One pair has half of the probability, which tells this draw from others that agree on pairs.
    """
    logits = torch.tensor([0.0] + [-math.log(9.0)] * 9, dtype=torch.float64)
    margins, state, draws = torch.sqrt(-2 * logits), BetaDPOState(), 2000
    g = generator(6)
    counts = sum(
        beta_dpo_keep(margins, state, fraction=0.1, generator=g).int() for _ in range(draws)
    )
    for count, p in zip(counts.tolist(), [0.5] + [1 / 18] * 9, strict=True):
        assert abs(count / draws - p) < 4.5 * math.sqrt(p * (1 - p) / draws)


def test_the_filter_orders_margins_whose_probabilities_underflow():
    margins = torch.tensor([100.0, 200.0, 0.0])
    mask = beta_dpo_keep(margins, BetaDPOState(), fraction=0.7, generator=generator())
    assert mask.tolist() == [True, False, True]


def test_running_statistics_are_exponential_averages():
    margins = torch.tensor([1.0, 3.0, 8.0], dtype=torch.float64)
    state = beta_dpo_update(BetaDPOState(2.0, 1.5), margins, decay=0.75)
    assert math.isclose(state.mean, 0.75 * 2 + 0.25 * 4)
    assert math.isclose(state.std, 0.75 * 1.5 + 0.25 * math.sqrt(13))
    assert beta_dpo_update(state, margins[:1]).std == state.std
    pair = beta_dpo_update(BetaDPOState(2.0, 1.5), margins[:2], decay=0.25)
    assert math.isclose(pair.mean, 0.25 * 2 + 0.75 * 2)
    assert math.isclose(pair.std, 0.25 * 1.5 + 0.75 * math.sqrt(2))


def test_a_decay_of_one_keeps_the_state_and_of_zero_forgets_it():
    margins, state = torch.tensor([1.0, 3.0, 8.0], dtype=torch.float64), BetaDPOState(2.0, 1.5)
    assert beta_dpo_update(state, margins, decay=1) == state
    assert beta_dpo_update(state, margins, decay=0) == BetaDPOState(4.0, margins.std().item())
    for bad in (-1.0, -0.1, 1.1):
        with pytest.raises(ValueError, match=r"breaks the rule 0 <= decay <= 1"):
            beta_dpo_update(state, margins, decay=bad)


def test_the_running_state_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BetaDPOState().mean = 1.0


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_read_from_a_file_is_as_good_as_one_written_here(variant):
    logps, margin = batch()
    read, kept = "".join(list(variant)), torch.arange(12) < 5
    assert read is not variant
    for got, expected in zip(
        beta_dpo(*logps, kept=kept, variant=read),
        beta_dpo(*logps, kept=kept, variant=variant),
        strict=True,
    ):
        assert got.equal(expected)
    assert beta_dpo_margins(margin, variant=read).equal(beta_dpo_margins(margin, variant=variant))
    assert beta_dpo_beta(-9.0, variant=read) == beta_dpo_beta(-9.0, variant=variant)


def test_masks_of_other_floating_types_or_more_pairs_are_refused():
    logps, _ = batch(3)
    with pytest.raises(TypeError, match=r"kept must be a boolean mask .*got torch.bfloat16"):
        beta_dpo(*logps, kept=torch.ones(3, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match=r"one shape, got kept: \(4,\), margins: \(3,\)"):
        beta_dpo(*logps, kept=torch.ones(4, dtype=torch.bool))


def test_a_single_number_is_no_batch():
    for call in (
        lambda m: beta_dpo_keep(m, BetaDPOState(), generator=generator()),
        lambda m: beta_dpo_update(BetaDPOState(), m),
    ):
        with pytest.raises(ValueError, match=r"margins must be 1-D .*got shape \(\)"):
            call(torch.tensor(1.0))


@named
def test_losses_run_on_a_card(name, card):
    logps, margin = batch()
    got = all_losses(margin.to(card))[name](*(x.to(card) for x in logps))[0]
    assert got.device.type == card.type
    torch.testing.assert_close(got.cpu(), all_losses(margin)[name](*logps)[0])
