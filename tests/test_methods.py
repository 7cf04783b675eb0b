"""Every method's table: the gradient of its actual loss vanishes there, and its formula holds."""

import dataclasses
import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from descent import descended
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ours import METHODS, WEIGHTS
from scipy.optimize import brentq
from strategies import floats

from madpo_theory import (
    BoundedRatioWeight,
    EfficientWeight,
    MarginSchedule,
    Method,
    PowerTarget,
    TargetShapedWeight,
    effective_target,
    ipo_target,
    losses,
)
from madpo_theory.methods import (
    AmpOnly,
    BetaDpo,
    BetaDpoMadpo,
    BoundedRatio,
    Cdpo,
    Distillation,
    Dpo,
    DpoMatched,
    Efficient,
    Ipo,
    IpoPerToken,
    Madpo,
    Odpo,
    Rdpo,
    RegOnly,
    Simpo,
    Slots,
    TargetShaped,
    method_of,
)
from madpo_theory.methods.slots import slot_loss, slot_slope
from madpo_theory.ops import numpy_world, torch_world
from madpo_theory.simulate import PairProblem, first_step, fit_table, pair_targets, solve
from madpo_theory.simulate.problem import slot_tables
from madpo_theory.simulate.solve.fits import Reason

SCHEDULE = MarginSchedule(4.0, 0.25, 1.0, 3.0)
TARGET = PowerTarget.with_slope(3.0, 0.5, 2.0)


@dataclass(frozen=True)
class Everything(Method):
    """All slots, the offset even and the label soft: no table of masses and offsets."""

    needs = frozenset({"reference", "margin"})

    def slots(self, xp, h):
        label = 0.9 + 0 * h, 0.1 + 0 * h
        return Slots(log_weight=-0.1 * h * h, label=label, offset=0.2 * h * h, temperature=0.5)


@dataclass(frozen=True)
class Quartic(Method):
    """No slots: a smooth loss of the margin."""

    needs = frozenset({"reference", "margin"})

    def margin_loss(self, xp, z, h):
        return xp.softplus(-z) + 0.01 * (z - 0.1 * h) ** 4


@dataclass(frozen=True)
class WithLikelihood(Method):
    """DPO + NLL: no function of the margin."""

    def pair_loss(self, xp, chosen, rejected, h):
        return xp.softplus(-self.beta * (chosen - rejected)) - 0.2 * self.beta * chosen


SETTINGS = [
    Dpo(),
    DpoMatched(),
    Ipo(),
    IpoPerToken(),
    BetaDpo("authors"),
    BetaDpo("madpo", 0.6, 0.2),
    BetaDpoMadpo(),
    Madpo(SCHEDULE),
    AmpOnly(SCHEDULE),
    RegOnly(SCHEDULE),
    BoundedRatio(SCHEDULE),
    TargetShaped(SCHEDULE),
    Madpo(TargetShapedWeight(TARGET)),
    Efficient(SCHEDULE),
    Distillation(SCHEDULE),
    Cdpo(0.2),
    Rdpo(0.02),
    Simpo(gamma=0.7),
    Odpo(0.5),
    Everything(),
    Quartic(),
    WithLikelihood(),
]
GENERAL = (Everything, Quartic, WithLikelihood)
NAMES = [f"{type(m).__name__}{i}" for i, m in enumerate(SETTINGS)]


def gaps_of(scores):
    return scores[..., :, None] - scores[..., None, :]


def random_problem(count, size, seed, *, labels=12, noise=0.8, beta=0.3):
    """Drawn labels with at least one each way, and a reward model that errs pair by pair."""
    rng = np.random.default_rng(seed)
    margins = gaps_of(rng.normal(size=(count, size)))
    won = np.triu(rng.binomial(labels, 1 / (1 + np.exp(-margins))), 1) + np.triu(np.ones(size), 1)
    lost = np.triu(labels + 2 - won, 1)
    error = rng.normal(0, noise, size=(count, size, size))
    model = margins + error - error.transpose(0, 2, 1)
    wins = torch.tensor(won + lost.transpose(0, 2, 1))
    return PairProblem(wins, torch.tensor((model - model.transpose(0, 2, 1)) / 2), beta)


def population(h_true, h_model, beta=0.1):
    """Two responses, expected labels: margins (B,) of the first over the second."""
    h_true, h_model = (torch.as_tensor(h, dtype=torch.float64) for h in (h_true, h_model))
    labels, margins = torch.zeros((2, len(h_true), 2, 2), dtype=torch.float64)
    labels[:, 0, 1], labels[:, 1, 0] = torch.sigmoid(h_true), torch.sigmoid(-h_true)
    margins[:, 0, 1], margins[:, 1, 0] = h_model, -h_model
    return PairProblem(labels, margins, beta)


def gap(solution):
    return solution.scores[:, 0] - solution.scores[:, 1]


def training_loss(method, logps, mass, problem, b, winner, loser):
    """The method's own loss of the labels of one prompt, in the field's signature."""
    method = replace(method, beta=problem.beta)
    given = {"margin": problem.margins[b][winner, loser]}
    given |= {name: torch.ones_like(mass) for name in ("chosen_lengths", "rejected_lengths")}
    asked = {name: value for name, value in given.items() if name in method.arguments()}
    if "batch" in method.needs:
        return method(*(side.repeat_interleave(mass.long()) for side in logps))[0].sum()
    return (mass * method(*logps, **asked)[0]).sum()


# ------------------------------------------------------------------------------- the actual losses


@pytest.mark.parametrize("method", SETTINGS, ids=NAMES)
def test_the_gradient_of_the_loss_that_trains_vanishes(method):
    """A softmax policy over the responses, the library's loss, torch's gradient."""
    reference = torch.log_softmax(torch.tensor([0.3, -1.0, 0.2, 0.7], dtype=torch.float64), 0)
    problem = replace(random_problem(4, 4, 5), reference=reference.exp().expand(4, 4))
    solution = solve(method, problem)
    assert solution.converged.all() and (solution.error_bound < 1e-6).all()
    for b in range(4):
        winner, loser = (problem.labels[b] > 0).nonzero(as_tuple=True)
        shift = solution.m[b].clone().requires_grad_()
        policy = torch.log_softmax(reference + shift, 0)
        logps = [side[index] for side in (policy, reference) for index in (winner, loser)]
        mass = problem.labels[b][winner, loser]
        loss = training_loss(method, logps, mass, problem, b, winner, loser)
        (slope,) = torch.autograd.grad(loss, shift)
        # The solver's tolerance in its own unit is 1e-10 of the largest pair's 14 labels; a slope
        # in m is beta (IPO: 1/beta) times one in z. beta-DPO's z may be off by its tolerance.
        unit = 14 * max(abs(float(solution.temperature[b])), 1 / problem.beta)
        assert slope.abs().max() < 1e-9 * unit


@pytest.mark.parametrize("method", SETTINGS, ids=NAMES)
def test_scores_are_beta_m_and_have_mean_0(method):
    problem = random_problem(5, 3, 6, beta=0.7)
    solution = solve(method, problem)
    assert solution.m.shape == solution.scores.shape == (5, 3)
    torch.testing.assert_close(solution.scores, 0.7 * solution.m, rtol=1e-15, atol=0)
    assert solution.scores.mean(1).abs().max() < 1e-14
    if not isinstance(method, BetaDpo):
        assert (solution.temperature == 0.7).all()


@pytest.mark.parametrize("method", SETTINGS, ids=NAMES)
def test_the_names_of_responses_and_the_unit_of_mass_do_not_matter(method):
    problem = random_problem(6, 4, 7)
    order = torch.tensor([2, 0, 3, 1])
    renamed = PairProblem(
        8 * problem.labels[:, order][:, :, order],
        problem.margins[:, order][:, :, order],
        problem.beta,
    )
    one, other = solve(method, problem), solve(method, renamed)
    error = one.error_bound + other.error_bound
    apart = torch.linalg.vector_norm(one.scores[:, order] - other.scores, dim=1)
    assert (apart <= error + 1e-14 * torch.linalg.vector_norm(one.scores, dim=1)).all()


def test_population_tables_agree_with_one_by_one():
    rng = np.random.default_rng(8)
    rewards, model = 1.5 * rng.normal(size=(2, 5, 4))
    labels = torch.sigmoid(torch.tensor(gaps_of(rewards))) * (1 - torch.eye(4))
    problem = PairProblem(labels, torch.tensor(gaps_of(model)))
    for method, weighting in (
        (Dpo(), None),
        (Madpo(SCHEDULE), SCHEDULE),
        (BoundedRatio(SCHEDULE), BoundedRatioWeight(SCHEDULE)),
        (TargetShaped(SCHEDULE), TargetShapedWeight.of(SCHEDULE)),
        (Madpo(TargetShapedWeight(TARGET)), TargetShapedWeight(TARGET)),
        (Efficient(SCHEDULE), EfficientWeight(SCHEDULE)),
        (Madpo(BoundedRatioWeight(SCHEDULE)), BoundedRatioWeight(SCHEDULE)),
    ):
        solution = solve(method, problem)
        for b in range(5):
            model_b = None if weighting is None else model[b]
            one = fit_table(rewards[b], weighting, model=model_b)
            apart = np.linalg.norm(one.scores - solution.scores[b].numpy())
            assert apart <= one.radius + float(solution.error_bound[b])


# ----------------------------------------------------------------------------- population formulas


# A target moves by e^|z| times the ulps of the masses, times 2 for p and q; |z| <= 12 below.
ULPS = 4e-16 * math.exp(12)


@given(st.lists(st.tuples(floats(-6, 6), floats(-6, 6)), min_size=1, max_size=8), floats(0.05, 5))
@settings(max_examples=20)
@example([(2.0, -3.0), (0.0, 0.0), (6.0, 6.0)], 0.1)
def test_two_responses_settle_at_the_formulas(pairs, beta):
    h, model = torch.tensor(pairs, dtype=torch.float64).T
    problem = population(h, model, beta)

    def settles(method, z):
        solution = solve(method, problem)
        error = math.sqrt(2) * solution.error_bound + ULPS
        assert ((gap(solution) - z).abs() <= error).all(), method

    settles(Dpo(), h)
    settles(Ipo(), beta * ipo_target(h, beta))
    for method, weighting in (
        (Madpo(SCHEDULE), SCHEDULE),
        (BoundedRatio(SCHEDULE), BoundedRatioWeight(SCHEDULE)),
        (TargetShaped(SCHEDULE), TargetShapedWeight.of(SCHEDULE)),
        (Madpo(TargetShapedWeight(TARGET)), TargetShapedWeight(TARGET)),
        (Efficient(SCHEDULE), SCHEDULE),
    ):
        settles(method, effective_target(h, model, weighting))
    settles(Distillation(SCHEDULE), effective_target(model, model, SCHEDULE))
    p = torch.sigmoid(h)
    settles(Cdpo(0.2), torch.logit(0.8 * p + 0.2 * (1 - p)))


def test_a_clean_label_under_cdpo_is_believed_to_1_minus_eps():
    labels = torch.tensor([[[0, 1.0], [0, 0]]])
    solution = solve(Cdpo(0.1), PairProblem(labels))
    assert torch.sigmoid(gap(solution))[0] == pytest.approx(0.9, abs=1e-12)


@given(floats(-4, 4), floats(0.0, 0.4))
@settings(max_examples=40)
def test_rdpo_undoes_the_flips_it_is_told_of(h, eps):
    problem = population([h], [0.0])
    noisy = (1 - eps) * problem.labels + eps * problem.labels.mT
    solution = solve(Rdpo(eps), PairProblem(noisy))
    # Undoing divides the ulps of the masses by 1 - 2 eps >= 1/5.
    assert abs(float(gap(solution)[0]) - h) <= 2 * float(solution.error_bound[0]) + 5 * ULPS


def test_rdpo_on_cleaner_labels_has_no_minimizer():
    solution = solve(Rdpo(0.3), population([0.5, 2.0, 0.1], [0.0] * 3))
    assert solution.reason.tolist() == [Reason.CONVERGED, Reason.NO_MINIMIZER, Reason.CONVERGED]
    assert solution.m[1].isnan().all() and not solution.m[[0, 2]].isnan().any()


# ---------------------------------------------------------------------------------------- beta-DPO


@pytest.mark.parametrize("variant", ["authors", "madpo"])
@given(h=floats(0.1, 5), alpha=floats(0.05, 2), start=floats(-2, 0.4), beta=floats(0.05, 2))
@settings(max_examples=40)
def test_the_temperature_reproduces_itself(variant, h, alpha, start, beta):
    method = BetaDpo(variant, alpha, start)
    problem = population([h], [0.0], beta)
    solution = solve(method, problem)
    assert solution.converged.all()
    p = 1 / (1 + math.exp(-h))

    def excess(batch_beta):
        mean = (2 * p - 1) * h / batch_beta * (beta if variant == "madpo" else 1)
        return batch_beta - losses.beta_dpo_beta(
            mean, beta=beta, alpha=alpha, running_mean=start, variant=variant
        )

    low = 1e-3 if variant == "authors" else 1e-9
    found = low if excess(low) >= 0 else brentq(excess, low, 1e6, xtol=1e-15, rtol=1e-14)
    assert float(solution.temperature[0]) == pytest.approx(found, rel=1e-9)
    m = float(solution.m[0, 0] - solution.m[0, 1])
    assert m == pytest.approx(h / found, rel=1e-9)


def test_no_temperature_or_more_than_one_is_not_converged():
    """alpha < 0: beta_b = 0.1 - 0.02 S/beta_b, S = 0.1 mean(z), at S of 0.27, 0.046 and 0."""
    problem = population([3.0, 1.0, 0.0], [0.0] * 3)
    solution = solve(BetaDpo("madpo", alpha=-0.2), problem)
    assert solution.reason.tolist() == [Reason.TEMPERATURE, Reason.TEMPERATURE, Reason.CONVERGED]
    assert solution.m[:2].isnan().all() and solution.temperature[:2].isnan().all()
    # nothing to learn: the margins are 0 and the temperature that of the start
    assert float(solution.temperature[2]) == pytest.approx(0.1, rel=1e-15)
    at_zero = solve(BetaDpo("madpo", alpha=0.5, running_mean=2.0), problem)
    assert at_zero.reason.tolist() == [Reason.TEMPERATURE] * 3


def test_the_clamp_can_be_the_temperature():
    """alpha < 0 and large margins: no other solution, and 1e-3 reproduces itself."""
    problem = population([3.0, 1.0], [0.0] * 2)
    solution = solve(BetaDpo("authors", alpha=-0.01), problem)
    assert float(solution.temperature[0]) == 1e-3 and bool(solution.converged[0])
    assert int(solution.reason[1]) == Reason.TEMPERATURE  # two more besides the clamp


def test_a_negative_temperature_reverses_the_policy():
    """B3: with M0 above 1/alpha the reimplementation starts negative and stays there."""
    problem = population([1.0], [0.0])
    solution = solve(BetaDpo("madpo", alpha=0.6, running_mean=3.0), problem)
    assert bool(solution.converged) and float(solution.temperature) < 0
    assert float(gap(solution)) < 0
    assert float(solve(BetaDpo("authors", 0.6, 3.0), problem).temperature) > 0


# --------------------------------------------------------------------- what has no fit, per prompt


@pytest.mark.parametrize("method", SETTINGS, ids=NAMES)
def test_a_prompt_without_a_fit_spoils_no_other(method):
    problem = random_problem(5, 4, 9)
    good = solve(method, problem)
    labels = problem.labels.clone()
    labels[1, :, 2] = 0.0  # response 2 never loses
    labels[3, 0] = labels[3, :, 0] = 0.0  # response 0 is never compared
    solution = solve(method, PairProblem(labels, problem.margins, problem.beta))
    always = isinstance(method, (Ipo, Distillation, Cdpo, *GENERAL))
    assert bool(solution.converged[1]) == always
    if not always:
        assert int(solution.reason[1]) == Reason.NO_MINIMIZER and solution.m[1].isnan().all()
    # one likelihood falls without end for a response that nothing compares
    endless = isinstance(method, WithLikelihood)
    assert int(solution.reason[3]) == (Reason.NO_MINIMIZER if endless else Reason.UNCONNECTED)
    assert solution.scores[3].isnan().all() and solution.error_bound[3] == math.inf
    for b in (0, 2, 4):
        assert torch.equal(solution.scores[b], good.scores[b])


def test_extreme_margins_are_flagged_where_a_weight_underflows():
    extreme = torch.tensor([1.0, 40.0, -40.0, 300.0])
    problem = population([0.5] * 4, extreme)
    steep = MarginSchedule(20.0, 0.5, 20.0, 50.0)
    solution = solve(Madpo(steep), problem)
    assert solution.reason.tolist()[:3] == [0, Reason.UNDERFLOW, Reason.UNDERFLOW]
    assert solution.scores[1:3].isnan().all()
    target = effective_target(torch.tensor(0.5).double(), extreme.double(), steep)
    assert abs(float(gap(solution)[0] - target[0])) <= 2 * float(solution.error_bound[0]) + ULPS
    # |h| > tau: the published weight forgives the most disputed label
    assert abs(float(gap(solution)[3] - target[3])) <= 2 * float(solution.error_bound[3]) + ULPS
    soft = solve(Distillation(MarginSchedule()), population([0.5], [2000.0]))
    assert soft.reason.tolist() == [Reason.UNDERFLOW]


# --------------------------------------------------------------------------------------- interface


def two_responses_have_a_best_policy(method, h=0.7):
    """Whether the risk of two responses, alike to the reference, is lowest between the ends."""
    gaps = torch.linspace(-200, 200, 4001, dtype=torch.float64)
    policy = torch.nn.functional.logsigmoid(torch.stack([gaps, -gaps]))
    reference, one = torch.full_like(policy, -math.log(2)), torch.ones_like(gaps)
    given = {"chosen_lengths": one, "rejected_lengths": one}
    risk = 0
    for sign, logps in ((1, policy), (-1, policy.flip(0))):
        known = given | {"margin": sign * h * one}
        asked = {name: value for name, value in known.items() if name in method.arguments()}
        mass = 1 / (1 + math.exp(-sign * h))
        risk = risk + mass * method(*logps, *reference, **asked)[0]
    return 0 < int(risk.argmin()) < len(gaps) - 1


def bends_at_its_target(method, h=0.7):
    """Whether a pair's target is finite and its risk curved there; of a loss that is no function
    of the margin, whether a pair has a best policy."""
    if not method.is_margin_loss:
        return two_responses_have_a_best_policy(method)
    margin = torch.tensor(h, dtype=torch.float64)
    z = method.target(margin).requires_grad_()
    risk = margin.sigmoid() * method.margin_loss(torch_world, z, margin)
    risk = risk + (-margin).sigmoid() * method.margin_loss(torch_world, -z, -margin)
    options = {"create_graph": True, "materialize_grads": True}
    (slope,) = torch.autograd.grad(risk, z, **options)
    (bend,) = torch.autograd.grad(slope, z, **options) if slope.requires_grad else (0 * z,)
    return bool(torch.isfinite(z)) and bool(bend > 0)


def test_every_name_is_a_method_with_defaults():
    problem = random_problem(3, 3, 10)
    for name, kind in METHODS.items():
        assert kind.__doc__ and kind.label and kind.source and kind.name == name
        if not (kind().is_pairwise or issubclass(kind, BetaDpo)):
            with pytest.raises(TypeError, match=f"{kind.__name__} has no table"):
                solve(name, problem)
            continue
        # Newton is there after some ten steps, or never
        options = {} if issubclass(kind, (Ipo, BetaDpo)) else {"steps": 60}
        assert method_of(name) == kind()
        found = solve(name, problem, **options)
        expected = issubclass(kind, BetaDpo) or bends_at_its_target(kind())
        assert found.converged.all() == expected


def test_masses_train_to_the_solution():
    problem = random_problem(2, 3, 11)
    masses, offsets, temperature, lost = slot_tables(Madpo(SCHEDULE), problem)
    assert offsets is None and temperature == 1 and not lost.any()
    scores = descended(masses / masses.sum((1, 2), keepdim=True), rate=3.0, steps=3000)
    # gradient descent contracts by a constant a step; 3000 leave rounding alone
    solution = solve(Madpo(SCHEDULE), problem)
    torch.testing.assert_close(scores, solution.scores, rtol=0, atol=1e-9)
    assert (slot_tables("rdpo", problem)[0] < slot_tables("dpo", problem)[0]).any()
    assert slot_tables("ipo", problem) is None and slot_tables(Everything(), problem) is None


@pytest.mark.parametrize("method", SETTINGS, ids=NAMES)
def test_two_responses_settle_at_the_methods_own_target(method):
    """T, C1 to C3: the closed form, or the searched root, beside the exact table."""
    h, model = torch.tensor([0.7, -2.0, 3.5, 0.0]), torch.tensor([1.5, 1.0, -2.5, 0.3])
    problem = population(h, model, 0.4)
    if not method.is_margin_loss:
        assert pair_targets(method, problem).isnan().all()
        return
    solution = solve(method, problem)
    assert solution.converged.all()
    own = pair_targets(method, problem)[:, 0, 1]
    error = math.sqrt(2) * solution.error_bound + 2 * ULPS
    assert ((gap(solution) - own).abs() <= error).all()
    target = replace(method, beta=0.4).target(h.double(), model.double())
    torch.testing.assert_close(own, target, rtol=1e-12, atol=1e-12)


def test_the_first_step_is_one_of_gradient_descent():
    problem = random_problem(3, 4, 12)
    masses, *_ = slot_tables(Madpo(SCHEDULE), problem)
    scores = descended(masses, rate=1.0, steps=1)
    torch.testing.assert_close(first_step(Madpo(SCHEDULE), problem), scores, rtol=1e-13, atol=1e-13)
    # of (m - 1/(2 beta))^2 in z = beta m: 1/beta^2 for a label won, as much less for one lost
    pushed = (problem.labels - problem.labels.mT).sum(2) / problem.beta**2
    torch.testing.assert_close(first_step("ipo", problem), pushed, rtol=1e-13, atol=1e-11)
    assert first_step("beta_dpo", problem).isnan().all()


def test_a_method_without_reference_ignores_it():
    plain = random_problem(3, 4, 13)
    reference = torch.rand(3, 4, dtype=torch.float64) + 0.1
    given = replace(plain, reference=reference)
    free, held = solve(Simpo(), plain), solve(Simpo(), given)
    torch.testing.assert_close(free.scores, held.scores)
    policies = [(m + log).softmax(1) for m, log in ((free.m, 0.0), (held.m, reference.log()))]
    torch.testing.assert_close(*policies)
    assert not torch.equal(solve(WithLikelihood(), plain).m, solve(WithLikelihood(), given).m)
    assert torch.equal(solve("dpo", plain).m, solve("dpo", given).m)


PAIR = torch.tensor([[[0, 1.0], [1.0, 0]]])
MARGIN = torch.tensor([[[0, 1.0], [-1.0, 0]]])


@dataclass(frozen=True)
class Linear(Method):
    """-z: whichever response is likelier is pushed without end."""

    def margin_loss(self, xp, z, h):
        return -z


def test_a_target_that_is_searched_for_may_be_infinite():
    h = np.array([-3.0, -1e-3, 1e-3, 40.0])
    assert Linear().target(h).tolist() == [-math.inf, -math.inf, math.inf, math.inf]
    assert Linear().target(torch.from_numpy(h)).tolist() == Linear().target(h).tolist()


SLOTS = [cls for cls in METHODS.values() if cls.slots is not Method.slots and not cls.watches]


@pytest.mark.parametrize("cls", SLOTS, ids=lambda cls: cls.name)
@given(floats(-8.0, 8.0), floats(-12.0, 12.0))
@example(0.5, 0.0)
def test_the_slope_of_slots_is_the_derivative_of_their_loss(cls, h, at):
    method, z = cls(), torch.tensor(at, dtype=torch.float64, requires_grad=True)
    slots = method.slots(torch_world, torch.tensor(h, dtype=torch.float64))
    slot_loss(torch_world, z, slots).backward()
    found = slot_slope(numpy_world, at, method.slots(numpy_world, h))
    assert found == pytest.approx(float(z.grad), rel=1e-9, abs=1e-12)


PUBLISHED_BETA = {
    "alpha_dpo": 2.5, "amapo": 2.0, "amapo_released": 2.0, "bmc": 0.05, "bmc_released": 0.05,
    "cal_dpo": 0.002, "cal_dpo_released": 0.002, "discopop": 0.05, "hinge_norm": 0.05, "rpo": 0.5,
    "rpo_summed": 0.5, "rso_hinge": 0.05, "rso_sigmoid_norm": 0.05, "sigmoid_norm": 5.0,
    "simpo": 2.0,
}  # fmt: skip


def test_beta_is_a_tenth_unless_published_otherwise():
    """Or what it is matched to: a quarter, at c_max 4."""
    published = PUBLISHED_BETA | {"dpo_matched": 0.1 / 4}
    for name, cls in METHODS.items():
        assert cls().beta == published.get(name, 0.1), name


@pytest.mark.parametrize("cls", [*METHODS.values(), *WEIGHTS.values()], ids=lambda cls: cls.name)
def test_a_setting_takes_what_its_rule_says(cls):
    for field in dataclasses.fields(cls):
        if "rule" not in field.metadata:
            continue
        assert field.kw_only or field.name != "beta", "a method's own settings come first"
        rule = re.split(r", or none| \(", field.metadata["rule"])[0]
        rule = re.sub(r"\|(.*)\|", r"abs(\1)", rule).replace(" finite", " == " + field.name)
        bounds = [float(Fraction(n)) for n in re.findall(r"(?<![\w.])[\d./]+(?:e-\d+)?", rule)]
        edges = [b + d for b in (*bounds, 1.0) for d in (-1e-3, -1e-7, 0, 1e-7, 1e-3)]
        for value in (-2.0, 0.3, 0.7, 3.0, 100.0, *edges):
            right = eval(rule, {field.name: value})
            assert bool(field.metadata["holds"](value)) == right, (field.name, value)


@pytest.mark.parametrize(
    ("call", "error", "rule"),
    [
        (lambda: PairProblem(-PAIR), ValueError, r"labels\[0, 0, 1\] = -1 breaks"),
        (lambda: PairProblem(PAIR * math.nan), ValueError, "labels must be finite, got nan"),
        (lambda: PairProblem(PAIR + 1), ValueError, "labels.*zero diagonal"),
        (lambda: PairProblem(PAIR.numpy()), TypeError, "labels must be a torch tensor"),
        (lambda: PairProblem(PAIR[0]), ValueError, "labels must have shape"),
        (lambda: PairProblem(PAIR, MARGIN[:, :1]), ValueError, "margins must have shape"),
        (lambda: PairProblem(PAIR, MARGIN.abs()), ValueError, "margins must be antisymmetric"),
        (lambda: PairProblem(PAIR, MARGIN * math.nan), ValueError, "margins must be finite"),
        (lambda: PairProblem(PAIR, MARGIN, 0.0), ValueError, "beta = 0.0 breaks"),
        (lambda: solve("madpo", PairProblem(PAIR)), ValueError, "margins is None, but Madpo"),
        (
            lambda: solve("sft", PairProblem(PAIR)),
            ValueError,
            "method = 'sft' breaks the rule that it is a method",
        ),
        (lambda: solve("dpo", PAIR), TypeError, "problem must be a PairProblem, got Tensor"),
        (lambda: Madpo(0.1), TypeError, "weighting must be a MarginSchedule"),
        (lambda: BoundedRatio(BoundedRatioWeight(SCHEDULE)), TypeError, "schedule must be"),
        (lambda: TargetShaped(TARGET), TypeError, "schedule must be"),
        (lambda: Efficient(1.0), TypeError, "weighting must be a MarginSchedule"),
        (lambda: Distillation(None), TypeError, "weighting must be a MarginSchedule"),
        (lambda: Cdpo(0.6), ValueError, "epsilon = 0.6 breaks the rule 0 <= epsilon <= 1/2"),
        (lambda: Rdpo(0.5), ValueError, "epsilon = 0.5 breaks the rule 0 <= epsilon < 1/2"),
        (lambda: BetaDpo("paper"), ValueError, "variant must be one of"),
        (lambda: BetaDpo(alpha=math.inf), ValueError, "alpha must be finite"),
    ],
)
def test_invalid_input_is_named(call, error, rule):
    with pytest.raises(error, match=rule):
        call()
