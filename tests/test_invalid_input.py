"""Every refusal names the argument, the value and the rule; bad input never becomes NaN."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from flint import arb, arb_series
from formulas import FORMULAS, LIBRARY

from madpo_theory import MarginSchedule, coefficient, ipo_target, log_weight, pair_risk
from madpo_theory.losses import (
    BetaDPOState,
    beta_dpo,
    beta_dpo_beta,
    beta_dpo_keep,
    beta_dpo_margins,
    beta_dpo_update,
    dpo,
    ipo,
    madpo,
)

S = MarginSchedule()
ONE = torch.ones(3)
GENERATOR = torch.Generator().manual_seed(0)

BROKEN_RULES = (
    ("c_max", 1.0, "1 < c_max"),
    ("c_max", 0.5, "1 < c_max"),
    ("c_max", 1e9, "<= 1e"),
    ("c_max", Fraction(1), "1 < c_max"),
    ("c_max", sp.Rational(1, 2), "1 < c_max"),
    ("c_max", arb(1, 0.1), "1 < c_max"),
    ("c_min", 1.0, "0 <= c_min < 1"),
    ("c_min", 1.5, "0 <= c_min < 1"),
    ("c_min", -0.1, "0 <= c_min < 1"),
    ("lam", 0.0, "0 < lam"),
    ("lam", -1, "0 < lam"),
    ("lam", 1e9, "<= 1e"),
    ("tau", 0.0, "0 < tau"),
    ("tau", -2.0, "0 < tau"),
    ("tau", 1e300, "<= 1e"),
)
NOT_FINITE = (math.nan, math.inf, -math.inf, np.float32("nan"), sp.nan, sp.oo, sp.I, arb("nan"))
PARAMETERS = ("c_max", "c_min", "lam", "tau")


@pytest.mark.parametrize(("name", "value", "rule"), BROKEN_RULES)
def test_schedule_rules(name, value, rule):
    with pytest.raises(ValueError) as error:
        MarginSchedule(**{name: value})
    assert name in str(error.value) and str(value) in str(error.value) and rule in str(error.value)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("value", NOT_FINITE, ids=str)
def test_schedule_parameters_are_finite_and_real(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be finite and real, got .*the rule is"):
        MarginSchedule(**{name: value})


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("value", ("2", None, True, 1j, [2.0], {}))
def test_schedule_parameters_are_numbers(name, value):
    with pytest.raises(TypeError, match=rf"{name}: unsupported type .*pass a float"):
        MarginSchedule(**{name: value})


def test_a_schedule_is_one_schedule():
    with pytest.raises(ValueError, match=r"c_max must be one number, got shape \(2,\)"):
        MarginSchedule(c_max=np.array([2.0, 3.0]))


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("bad", (math.nan, math.inf, -math.inf))
def test_a_margin_that_is_not_finite_is_refused_in_every_world(name, bad):
    worlds = (
        (bad, 0.5),
        (np.array(bad), np.array(0.5)),
        (torch.tensor(bad), torch.tensor(0.5)),
        (arb(bad), arb(0.5)),
        (sp.sympify(bad), sp.Rational(1, 2)),
    )
    takes_h, takes_t = "target" not in name or "effective" in name, "target" in name
    for x, good in worlds:
        h, t, z = (x, good, good) if takes_h and not takes_t else (good, x, good)
        if name.startswith(("dpo", "ipo")):
            h, t, z = good, x, good
        with pytest.raises(ValueError, match=r"must be .*finite.*, got"):
            FORMULAS[name](LIBRARY, h, t, z, S)


def test_the_index_of_the_bad_entry_is_named():
    for h in (np.array([[0.0, 1.0], [2.0, math.nan]]), torch.tensor([[0.0, 1.0], [2.0, math.nan]])):
        with pytest.raises(ValueError, match=r"h must be finite, got nan at index \(1, 1\); drop"):
            log_weight(h, S)
    with pytest.raises(ValueError, match=r"h must be finite, got .* at index 1"):
        log_weight(arb_series([1, arb("nan")], prec=2), S)


def test_the_bad_argument_is_named():
    with pytest.raises(ValueError, match=r"h_model must be finite, got inf"):
        pair_risk(1.0, 2.0, math.inf, S)
    with pytest.raises(ValueError, match=r"margin must be finite, got nan at index \(2,\)"):
        madpo(ONE, ONE, ONE, ONE, margin=torch.tensor([1, 1, math.nan]), weighting=S)
    with pytest.raises(ValueError, match=r"reference_chosen_logps must be finite, got -inf"):
        dpo(ONE, ONE, torch.tensor([0.0, 1.0, -math.inf]), ONE)


@pytest.mark.parametrize(
    "h",
    (
        torch.tensor([1, 2]),
        torch.tensor([True]),
        torch.tensor([1j]),
        np.array([True]),
        np.array([1j]),
        np.array(["1"]),
        np.array([None]),
    ),
)
def test_what_is_not_floating_is_refused_with_its_dtype(h):
    with pytest.raises(TypeError, match=r"h must (be a floating tensor|hold real numbers), got"):
        coefficient(h, S)


@pytest.mark.parametrize("h", ("1", None, [1.0], True, 1j, {}, Fraction(1, 2)))
def test_unsupported_kinds_are_refused(h):
    with pytest.raises(TypeError, match=r"h: unsupported type .*; pass a float"):
        coefficient(h, S)


def test_mixed_worlds_are_refused():
    with pytest.raises(TypeError, match=r"h_true lives in numpy and h_model in torch; convert one"):
        pair_risk(1.0, np.ones(3), ONE, S)
    with pytest.raises(TypeError, match=r"margin in numpy"):
        madpo(ONE, ONE, ONE, ONE, margin=np.ones(3), weighting=S)


@pytest.mark.parametrize(
    ("a", "b"),
    ((torch.ones(2), torch.ones(2).double()), (np.ones(2), np.ones(2, np.float32))),
)
def test_mixed_precisions_are_refused(a, b):
    with pytest.raises(TypeError, match=r"mixed floating types .*z: .*h_true: .*cast"):
        pair_risk(a, b, 0.0, S)


@pytest.mark.parametrize("loss", (dpo, ipo, beta_dpo))
def test_losses_refuse_shapes_that_would_broadcast(loss):
    with pytest.raises(ValueError, match=r"one shape.*policy_chosen_logps: \(3, 1\)"):
        loss(ONE[:, None], ONE, ONE, ONE)
    with pytest.raises(ValueError, match=r"one shape.*reference_rejected_logps: \(\)"):
        loss(ONE, ONE, ONE, 1.0)


def test_madpo_refuses_a_margin_of_another_shape_and_a_missing_one():
    with pytest.raises(ValueError, match=r"one shape.*margin: \(2,\)"):
        madpo(ONE, ONE, ONE, ONE, margin=ONE[:2], weighting=S)
    with pytest.raises(TypeError, match=r"margin: unsupported type builtins.NoneType"):
        madpo(ONE, ONE, ONE, ONE, margin=None, weighting=S)
    with pytest.raises(TypeError, match=r"margin"):
        madpo(ONE, ONE, ONE, ONE, weighting=S)


@pytest.mark.parametrize("beta", (0.0, -0.1, math.nan, math.inf, torch.tensor(-1.0)))
def test_beta_is_positive_and_finite(beta):
    calls = (
        lambda: dpo(ONE, ONE, ONE, ONE, beta=beta),
        lambda: ipo(ONE, ONE, ONE, ONE, beta=beta),
        lambda: beta_dpo(ONE, ONE, ONE, ONE, beta=beta),
        lambda: madpo(ONE, ONE, ONE, ONE, margin=ONE, weighting=S, beta=beta),
        lambda: ipo_target(1.0, beta),
        lambda: beta_dpo_beta(1.0, beta=beta),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r"beta .*beta > 0"):
            call()


def test_beta_is_one_number():
    with pytest.raises(TypeError, match=r"beta: unsupported type builtins.str"):
        dpo(ONE, ONE, ONE, ONE, beta="0.1")
    with pytest.raises(ValueError, match=r"beta must be one number, got shape \(3,\)"):
        dpo(ONE, ONE, ONE, ONE, beta=ONE)


@pytest.mark.parametrize("bad", (math.nan, math.inf))
@pytest.mark.parametrize("name", ("alpha", "running_mean"))
def test_beta_dpo_parameters_are_finite(name, bad):
    with pytest.raises(ValueError, match=rf"{name} must be finite"):
        beta_dpo(ONE, ONE, ONE, ONE, **{name: bad})
    with pytest.raises(ValueError, match=rf"{name} must be finite"):
        beta_dpo_beta(1.0, **{name: bad})


def test_the_mean_margin_is_finite():
    with pytest.raises(ValueError, match=r"margin_mean must be finite, got nan"):
        beta_dpo_beta(math.nan)


def test_unknown_variants_are_refused():
    for call in (
        lambda: beta_dpo(ONE, ONE, ONE, ONE, variant="paper"),
        lambda: beta_dpo_beta(1.0, variant="paper"),
        lambda: beta_dpo_margins(ONE, variant="paper"),
    ):
        with pytest.raises(ValueError, match=r"variant must be one of .*authors.*got 'paper'"):
            call()


def test_masks_must_be_boolean_of_one_shape_and_keep_something():
    def masked(kept):
        return beta_dpo(ONE, ONE, ONE, ONE, kept=kept)

    with pytest.raises(TypeError, match=r"kept must be a boolean mask .*got torch.float32"):
        masked(ONE)
    with pytest.raises(TypeError, match=r"kept must be a boolean mask .*got torch.int64"):
        masked(torch.tensor([0, 1, 2]))
    with pytest.raises(TypeError, match=r"kept must be a boolean mask .*got bool"):
        masked(np.ones(3, bool))
    with pytest.raises(TypeError, match=r"kept must be a boolean mask .*got list"):
        masked([True, False, True])
    with pytest.raises(ValueError, match=r"one shape, got kept: \(2,\), margins: \(3,\)"):
        masked(torch.tensor([True, False]))
    with pytest.raises(ValueError, match=r"kept drops every pair"):
        masked(torch.zeros(3, dtype=torch.bool))


def test_an_empty_batch_has_no_mean():
    empty = torch.ones(0)
    with pytest.raises(ValueError, match=r"at least one pair"):
        beta_dpo(empty, empty, empty, empty)
    assert dpo(empty, empty, empty, empty)[0].shape == (0,)


@pytest.mark.parametrize("fraction", (0.0, -0.5, 1.1, math.nan))
def test_the_filter_refuses_a_fraction_outside_its_range(fraction):
    with pytest.raises(ValueError, match=r"fraction .*0 < fraction <= 1"):
        beta_dpo_keep(ONE, BetaDPOState(), fraction=fraction, generator=GENERATOR)


def test_the_filter_and_the_running_statistics_refuse_bad_margins():
    state = BetaDPOState()
    for call in (
        lambda m: beta_dpo_keep(m, state, generator=GENERATOR),
        lambda m: beta_dpo_update(state, m),
    ):
        with pytest.raises(ValueError, match=r"margins must be finite, got nan at index \(1,\)"):
            call(torch.tensor([0.0, math.nan]))
        with pytest.raises(ValueError, match=r"margins must be 1-D .*got shape \(3, 1\)"):
            call(ONE[:, None])
        with pytest.raises(ValueError, match=r"margins must be 1-D .*got shape \(0,\)"):
            call(torch.ones(0))
        with pytest.raises(TypeError, match=r"margins must be a floating tensor, got torch.int64"):
            call(torch.tensor([1, 2]))
        with pytest.raises(TypeError, match=r"margins must be a torch tensor, got ndarray"):
            call(np.ones(3))


def test_the_running_state_is_valid():
    with pytest.raises(ValueError, match=r"std = 0.0 breaks the rule std > 0"):
        BetaDPOState(std=0.0)
    with pytest.raises(ValueError, match=r"mean must be finite"):
        BetaDPOState(mean=math.nan)
    with pytest.raises(ValueError, match=r"decay = 1.5 breaks the rule 0 <= decay <= 1"):
        beta_dpo_update(BetaDPOState(), ONE, decay=1.5)


def test_an_expression_beyond_intervals_is_refused():
    with pytest.raises(TypeError, match=r"cannot enclose sin"):
        coefficient(arb(1), MarginSchedule(tau=sp.sin(1)))
