"""The pair simulator: it minimizes what it is given, and says when there is no minimum."""

import numpy as np
import pytest
from scipy.special import logit

from madpo_theory import MarginSchedule, effective_target, log_weight_ratio
from madpo_theory.losses import dpo, ipo, madpo
from madpo_theory.simulate import fit_pairs

H = np.array([-3.0, -0.5, 0.0, 1.0, 4.0])


def test_dpo_fits_the_empirical_logit_exactly():
    fit = fit_pairs(dpo, H, 5_000, 0, beta=0.1)
    np.testing.assert_allclose(0.1 * fit.m, logit(fit.win_rate), rtol=1e-9, atol=1e-9)


def test_madpo_shifts_the_empirical_logit_by_delta():
    s, wrong = MarginSchedule.class_defaults(), np.array([2.0, -1.0, 0.5, -3.0, 4.0])
    fit = fit_pairs(madpo, H, 5_000, 1, beta=0.5, margin=wrong, weighting=s)
    expected = logit(fit.win_rate) + log_weight_ratio(wrong, s)
    np.testing.assert_allclose(0.5 * fit.m, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        expected - effective_target(H, wrong, s), logit(fit.win_rate) - H, atol=1e-12
    )


def test_ipo_is_linear_in_the_win_rate():
    fit = fit_pairs(ipo, H, 5_000, 2, beta=0.1)
    np.testing.assert_allclose(fit.m, (2 * fit.win_rate - 1) / 0.2, rtol=1e-9)


def test_labels_depend_on_the_seed_alone():
    first, again, other = (fit_pairs(dpo, H, 1_000, seed).win_rate for seed in (7, 7, 8))
    assert (first == again).all()
    assert (first != other).any()


def test_labels_all_alike_have_no_minimum():
    with pytest.raises(RuntimeError, match=r"1 of 1 tables have no fit: 0 \(NO_MINIMIZER\)"):
        fit_pairs(dpo, np.array([60.0]), 100, 0)
