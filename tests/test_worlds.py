"""Worlds: the same world in any chunk, laws of rewards, pairs and labels, files, refusals."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from strategies import floats

from madpo_theory.simulate.reward_file import read_rewards
from madpo_theory.simulate.worlds import (
    AllPairs,
    ClusteredRewards,
    DavidsonTies,
    DirichletReference,
    DominantReference,
    ExactLabels,
    FileRewards,
    GapSampled,
    GaussianRewards,
    LinearRewards,
    OnPolicySampled,
    RaoKupperTies,
    ReferenceSampled,
    SampledLabels,
    SoftmaxReference,
    StudentRewards,
    UniformReference,
    Worlds,
    WorldsConfig,
    draw_labels,
    draw_worlds,
    from_problems,
    pair_sampling,
    to_problems,
)

ULP = 2.0**-52
REWARD_LAWS = (GaussianRewards(), StudentRewards(), ClusteredRewards(), LinearRewards())
REFERENCE_LAWS = (
    UniformReference(),
    SoftmaxReference(),
    DirichletReference(0.05),
    DominantReference(),
)
SAMPLING_LAWS = (AllPairs(), ReferenceSampled(), GapSampled(-2.0), GapSampled(1.0))
TIES = (None, DavidsonTies(), RaoKupperTies(0.7), RaoKupperTies(0.0))
GOLDEN = [0.7859067677198036, -0.9199529560235964, 1.4715789384981375]
SMALL = WorldsConfig(3, 4, ClusteredRewards(), SoftmaxReference())


def two_responses(h):
    return Worlds(np.array([[[h, 0.0]]]))


@pytest.mark.parametrize("reference", REFERENCE_LAWS, ids=lambda law: law.kind)
@pytest.mark.parametrize("rewards", REWARD_LAWS, ids=lambda law: law.kind)
def test_a_world_is_the_same_in_any_chunk_and_order(rewards, reference):
    config = WorldsConfig(3, 4, rewards, reference)
    law = SampledLabels(5, "prompt", 0.1, RaoKupperTies())

    def everything(indices):
        worlds = draw_worlds(config, 7, indices)
        sampling = pair_sampling(ReferenceSampled(), worlds)
        labels = draw_labels(law, worlds, sampling)
        arrays = worlds.rewards, worlds.log_reference, sampling, labels.masses, labels.counts
        return arrays if worlds.features is None else (*arrays, worlds.features)

    together, shuffled, alone = everything(6), everything([4, 1, 5]), everything([5])
    for whole, mixed, single in zip(together, shuffled, alone, strict=True):
        assert (whole[[4, 1, 5]] == mixed).all() and (whole[5] == single[0]).all()
    assert len(np.unique(together[0].sum((1, 2)))) == 6


def test_a_component_leaves_the_others_alone():
    plain = draw_worlds(SMALL, 3, 4)
    peaked = draw_worlds(WorldsConfig(3, 4, ClusteredRewards(), DirichletReference()), 3, 4)
    assert (plain.rewards == peaked.rewards).all()
    sampling = pair_sampling(AllPairs(), plain)
    law = SampledLabels(9)
    draws = [draw_labels(law, plain, sampling, replicate=r).counts for r in (0, 1)]
    other = draw_labels(law, plain, sampling, component="model labels").counts
    assert (draws[0] != draws[1]).any() and (draws[0] != other).any()
    assert (draws[0] == draw_labels(law, plain, sampling).counts).all()


def test_the_first_world_of_seed_0_is_on_record():
    """A change of it changes every simulation; other libraries may round logarithms elsewise."""
    world = draw_worlds(WorldsConfig(1, 3), 0, 1)
    rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(0, 0)))
    assert (world.rewards[0] == rng.standard_normal((1, 3))).all()
    np.testing.assert_allclose(world.rewards[0, 0], GOLDEN, rtol=1e-12)


@pytest.mark.parametrize(
    ("law", "variance"),
    [
        (GaussianRewards(2.0), 4.0),
        (StudentRewards(20.0, 3.0), 9.0 * 20 / 18),
        (ClusteredRewards(8, 3.0, 0.5), 9.25),
    ],
)
def test_rewards_have_the_stated_variance(law, variance):
    """4,000 prompts: five standard errors of a variance whose kurtosis is below 4, groups of 8."""
    rewards = draw_worlds(WorldsConfig(4000, 8, law), 0, 1).rewards[0]
    effective = 4000 if isinstance(law, ClusteredRewards) else 32000
    assert abs((rewards**2).mean() / variance - 1) < 5 * math.sqrt(3 / effective)


def test_linear_rewards_are_linear_in_the_features_that_are_kept():
    worlds = draw_worlds(WorldsConfig(5, 4, LinearRewards(3, 2.0)), 0, 2)
    for features, rewards in zip(worlds.features, worlds.rewards, strict=True):
        fitted, rest, *_ = np.linalg.lstsq(features.reshape(-1, 3), rewards.ravel())
        assert np.linalg.norm(fitted) == pytest.approx(2, abs=1e-12) and rest[0] < 1e-24


@given(st.sampled_from(REFERENCE_LAWS), st.integers(0, 1000))
def test_reference_policies_are_finite_distributions(law, seed):
    worlds = draw_worlds(WorldsConfig(2, 5, reference=law), seed, 2)
    assert np.isfinite(worlds.log_reference).all()
    # Five exponentials and their logarithm round to some ulp.
    np.testing.assert_allclose(np.exp(worlds.log_reference).sum(-1), 1, rtol=20 * ULP)


def test_reference_scores_have_the_stated_correlation():
    for rho in (-1.0, 0.0, 0.6, 1.0):
        config = WorldsConfig(1, 20000, reference=SoftmaxReference(rho, 0.5))
        worlds = draw_worlds(config, 1, 1)
        found = np.corrcoef(worlds.rewards[0, 0], worlds.log_reference[0, 0])[0, 1]
        # Five standard errors of a correlation; at +-1 rounding alone.
        assert abs(found - rho) <= 5 * (1 - rho**2) / math.sqrt(20000) + 1e-12


def test_a_dominant_response_has_its_mass():
    config = WorldsConfig(40, 5, reference=DominantReference(0.8))
    reference = np.exp(draw_worlds(config, 0, 1).log_reference)
    # Exponentials of logarithms round to some ulp.
    np.testing.assert_allclose(np.sort(reference)[0], [[0.05] * 4 + [0.8]] * 40, rtol=20 * ULP)
    assert len(np.unique(reference.argmax(-1))) == 5


def test_the_dirichlet_law_has_its_second_moment():
    a, size = 0.3, 4
    config = WorldsConfig(20000, size, reference=DirichletReference(a))
    p = np.exp(draw_worlds(config, 2, 1).log_reference)
    # E p^2 = (a + 1)/(K (K a + 1)); p^2 lies in [0, 1], so its deviation is below 1/2.
    expected = (a + 1) / (size * (size * a + 1))
    assert abs((p**2).sum(-1).mean() / size - expected) < 5 * 0.5 / math.sqrt(20000)


@given(st.sampled_from(SAMPLING_LAWS), st.integers(0, 1000))
def test_shares_of_pairs_are_symmetric_and_sum_to_one(law, seed):
    shares = pair_sampling(law, draw_worlds(SMALL, seed, 2))
    assert (shares == np.swapaxes(shares, -1, -2)).all() and (shares >= 0).all()
    assert not np.diagonal(shares, axis1=-2, axis2=-1).any()
    np.testing.assert_allclose(shares.sum((-1, -2)), 1, rtol=40 * ULP)


def test_sampling_laws_weigh_pairs_as_they_say():
    worlds = Worlds(np.array([[[0.0, 1.0, 3.0]]]), np.log([[[0.5, 0.3, 0.2]]]))
    pairs = [(0, 1), (1, 2), (0, 2)]

    def ratios(law, **kw):
        shares = pair_sampling(law, worlds, **kw)[0, 0]
        mass = np.array([shares[pair] for pair in pairs])
        return mass / mass.sum()

    def normal(*mass):
        return np.array(mass) / np.sum(mass)

    np.testing.assert_allclose(ratios(AllPairs()), normal(1, 1, 1))
    np.testing.assert_allclose(ratios(ReferenceSampled()), normal(0.15, 0.06, 0.10))
    np.testing.assert_allclose(ratios(GapSampled(-1.0)), normal(*np.exp([-1.0, -2.0, -3.0])))
    np.testing.assert_allclose(ratios(GapSampled(0.5)), normal(*np.exp([0.5, 1.0, 1.5])))
    policy = np.log([[[0.1, 0.1, 0.8]]])
    np.testing.assert_allclose(
        ratios(OnPolicySampled(), log_policy=policy), normal(0.01, 0.08, 0.08)
    )


@given(
    st.sampled_from(SAMPLING_LAWS),
    st.sampled_from(TIES),
    floats(0, 1),
    st.sampled_from((None, "pair", "prompt")),
    st.integers(0, 1000),
)
def test_masses_of_labels_sum_to_one(law, ties, flip, per, seed):
    worlds = draw_worlds(SMALL, seed, 2)
    shares = pair_sampling(law, worlds)
    config = ExactLabels(flip, ties) if per is None else SampledLabels(40, per, flip, ties)
    labels = draw_labels(config, worlds, shares)
    np.testing.assert_allclose(labels.masses.sum((-1, -2)), 1, rtol=60 * ULP)
    assert (labels.masses >= 0).all() and (labels.decided <= 1 + 40 * ULP).all()
    if ties is None:
        both = labels.masses + np.swapaxes(labels.masses, -1, -2)
        if per != "prompt":
            np.testing.assert_allclose(both, 2 * shares, rtol=80 * ULP)
        np.testing.assert_allclose(labels.decided, 1, rtol=60 * ULP)
    if per == "prompt":
        total = labels.counts.sum((-1, -2))
        assert (total <= 40).all() and (ties is not None or (total == 40).all())
        np.testing.assert_allclose(labels.masses, labels.counts / total[..., None, None])


@given(floats(-30, 30), floats(0, 1))
def test_a_flip_mixes_the_probabilities(h, flip):
    worlds = two_responses(h)
    masses = draw_labels(ExactLabels(flip), worlds, pair_sampling(AllPairs(), worlds)).masses
    expected = (1 - flip) * expit(h) + flip * expit(-h)
    # A few products and sums of positive numbers.
    assert masses[0, 0, 0, 1] == pytest.approx(expected, rel=10 * ULP)


@given(floats(-20, 20), floats(0, 5), floats(1e-3, 100))
def test_dropped_ties_leave_the_odds_that_are_stated(h, threshold, nu):
    worlds = two_responses(h)
    shares = pair_sampling(AllPairs(), worlds)

    def drawn(ties):
        labels = draw_labels(ExactLabels(ties=ties), worlds, shares)
        up, down = labels.masses[0, 0, 0, 1], labels.masses[0, 0, 1, 0]
        return math.log(up) - math.log(down), labels.decided[0, 0]

    # Logarithms of probabilities as small as e^-20 round to 20 ulp or so.
    odds, decided = drawn(DavidsonTies(nu))
    assert odds == pytest.approx(h, abs=1e-13)
    assert decided == pytest.approx(1 - nu / (nu + 2 * math.cosh(h / 2)), rel=1e-11)
    odds, decided = drawn(RaoKupperTies(threshold))
    steeper = np.logaddexp(0, h + threshold) - np.logaddexp(0, threshold - h)
    assert odds == pytest.approx(steeper, abs=1e-13)
    assert min(h, 2 * h) - 1e-12 <= steeper <= max(h, 2 * h) + 1e-12


@given(floats(-20, 20), st.sampled_from(TIES[1:]))
def test_the_three_outcomes_exhaust_the_comparisons(h, ties):
    # Three probabilities, each with a few ulp of rounding.
    assert sum(ties.outcomes(np.float64(h))) == pytest.approx(1, rel=40 * ULP)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("per", ["pair", "prompt"])
def test_sampled_labels_tend_to_the_exact_ones(per, ties):
    worlds = draw_worlds(SMALL, 5, 2)
    shares = pair_sampling(ReferenceSampled(), worlds)
    n = 400_000
    found = draw_labels(SampledLabels(n, per, 0.2, ties), worlds, shares).masses
    exact = draw_labels(ExactLabels(0.2, ties), worlds, shares).masses
    # A share of n labels deviates by at most 1/(2 sqrt(n)); half of them at least are decided.
    assert np.abs(found - exact).max() < 5 * 2 * 0.5 / math.sqrt(n)


def test_batches_go_to_the_solvers_and_back():
    worlds = draw_worlds(SMALL, 0, 5)
    batch = to_problems(worlds.margins)
    assert batch.shape == (15, 4, 4) and str(batch.dtype) == "torch.float64"
    assert (from_problems(batch, worlds) == worlds.margins).all()
    assert from_problems(worlds.rewards, worlds) is worlds.rewards
    with pytest.raises(ValueError, match="starts with 15 problems"):
        from_problems(batch[:3], worlds)


ROWS = [
    ("p", "a", 1.0, 0.5),
    ("p", "b", 0.0, 0.25),
    ("q", "a", 2.0, 0.1),
    ("q", "b", 3.0, 0.2),
    ("q", "c", -1.5, 0.7),
]
COLUMNS = ("prompt", "response", "reward", "reference_probability")


def write(folder, suffix, rows=ROWS, columns=COLUMNS):
    path = folder / f"rewards{suffix}"
    if suffix == ".csv":
        lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
        path.write_text("\n".join(lines))
    elif suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(dict(zip(columns, r, strict=False))) for r in rows))
    else:
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        table = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
        parquet.write_table(arrow.table(table), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_rewards_come_from_files(tmp_path, suffix):
    path = write(tmp_path, suffix)
    table = read_rewards(path)
    assert table.prompts == ("p", "q") and table.responses[1] == ("a", "b", "c")
    config = WorldsConfig(None, None, FileRewards(str(path)))
    worlds = draw_worlds(config, 0, 8)
    assert worlds.shape == (8, 2, 2) and (worlds.rewards[:, 0] == [1.0, 0.0]).all()
    seen = {tuple(row) for row in worlds.rewards[:, 1].tolist()}
    assert seen <= {(2.0, 3.0), (2.0, -1.5), (3.0, -1.5)} and len(seen) > 1
    np.testing.assert_allclose(np.exp(worlds.log_reference[:, 0]), [[2 / 3, 1 / 3]] * 8)
    uniform = WorldsConfig(1, 2, FileRewards(str(path)), UniformReference())
    assert (draw_worlds(uniform, 0, 3).log_reference == -math.log(2)).all()


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((0, ("", "a", 1.0, 0.5)), "row 1, column prompt: must be a text"),
        ((1, ("p", "b", "high", 0.5)), "row 2, column reward: must be a finite number, got 'high'"),
        ((1, ("p", "b", "nan", 0.5)), "row 2, column reward: must be a finite number, got 'nan'"),
        ((3, ("q", "b", 1.0, 0)), "row 4, column reference_probability: 0 breaks the rule > 0"),
        ((3, ("q", "b", 1.0, "")), "row 4, column reference_probability: every row has one"),
        ((1, ("p", "a", 1.0, 0.5)), "row 2, column response: prompt 'p' has 'a' twice"),
        ((1, ("r", "a", 1.0, 0.5)), "row 1, column prompt: 'p' has one response"),
        ((2, ("q", "a", 1.0)), "row 3: has 3 cells, the header 4"),
    ],
)
def test_a_file_says_where_it_is_wrong(tmp_path, row, rule):
    rows = list(ROWS)
    rows[row[0]] = row[1]
    with pytest.raises(ValueError, match=rule):
        read_rewards(write(tmp_path, ".csv", rows))


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"prompt": "p"\n')
    (tmp_path / "y.jsonl").write_text("[1]\n")
    (tmp_path / "z.jsonl").write_text('{"prompt": "p", "response": "a"}\n')
    (tmp_path / "empty.csv").write_text("prompt,response,reward\n")
    for name, rule in (
        ("x.jsonl", "row 1: is not JSON"),
        ("y.jsonl", "row 1: must be an object"),
        ("z.jsonl", "no column 'reward'; the columns are prompt, response"),
        ("empty.csv", "holds no rows"),
        ("rewards.txt", "must end in one of .arrow, .csv, .json, .jsonl, .parquet, .tsv"),
    ):
        with pytest.raises(ValueError, match=rule):
            read_rewards(tmp_path / name)
    path = str(write(tmp_path, ".csv"))
    with pytest.raises(ValueError, match="prompts = 3 breaks the rule prompts <= 2"):
        draw_worlds(WorldsConfig(3, 2, FileRewards(path)), 0, 1)
    with pytest.raises(ValueError, match="responses = 3 is more than the 2 of prompt 'p'"):
        draw_worlds(WorldsConfig(2, 3, FileRewards(path)), 0, 1)


WORLD = two_responses(1.0)
SHARES = pair_sampling(AllPairs(), WORLD)


@pytest.mark.parametrize(
    ("call", "error", "rule"),
    [
        (lambda: GaussianRewards(-1.0), ValueError, "scale = -1.0 breaks the rule scale >= 0"),
        (lambda: StudentRewards(0.0), ValueError, "df > 0"),
        (lambda: ClusteredRewards(0), ValueError, "groups = 0 breaks the rule groups >= 1"),
        (lambda: LinearRewards(1.5), TypeError, "dimension must be an integer, got 1.5"),
        (lambda: SoftmaxReference(1.5), ValueError, "rho <= 1"),
        (lambda: DirichletReference(0.0), ValueError, "concentration >= 1e-3"),
        (lambda: DominantReference(1.0), ValueError, "mass < 1"),
        (lambda: WorldsConfig(responses=1), ValueError, "responses = 1 breaks the rule"),
        (lambda: WorldsConfig(prompts=None), TypeError, "prompts must be an integer, got None"),
        (lambda: WorldsConfig(rewards="gaussian"), TypeError, "rewards must be one of Gaussian"),
        (lambda: WorldsConfig(reference=AllPairs()), TypeError, "reference must be one of"),
        (lambda: draw_worlds(SMALL, -1, 1), ValueError, "seed = -1"),
        (lambda: draw_worlds(SMALL, 0, []), ValueError, "at least one world"),
        (lambda: draw_worlds(SMALL, 0, [2**32]), ValueError, r"index < 2\^32"),
        (lambda: Worlds(np.zeros((1, 2))), ValueError, "rewards must have 3 axes"),
        (lambda: Worlds(np.zeros((1, 2, 1))), ValueError, "two responses or more"),
        (lambda: Worlds(np.zeros((1, 1, 2)), np.zeros((1, 1, 2))), ValueError, "sums to 1"),
        (lambda: Worlds(np.full((1, 1, 2), np.nan)), ValueError, "rewards must be finite"),
        (lambda: Worlds(np.zeros((1, 1, 2)), indices=(0, 1)), ValueError, "one entry a world"),
        (
            lambda: Worlds(np.zeros((1, 1, 2)), features=np.zeros((1, 1, 3, 2))),
            ValueError,
            "features must be",
        ),
        (lambda: pair_sampling("all", WORLD), TypeError, "config must be one of AllPairs"),
        (lambda: pair_sampling(OnPolicySampled(), WORLD), ValueError, "log_policy is missing"),
        (
            lambda: pair_sampling(AllPairs(), WORLD, np.zeros((1, 1, 2))),
            ValueError,
            "AllPairs asks for none",
        ),
        (lambda: SampledLabels(0), ValueError, "labels = 0"),
        (lambda: SampledLabels(per="world"), ValueError, "per must be one of"),
        (lambda: ExactLabels(1.5), ValueError, "flip <= 1"),
        (lambda: ExactLabels(ties="davidson"), TypeError, "ties must be one of DavidsonTies"),
        (lambda: DavidsonTies(0.0), ValueError, "nu > 0"),
        (lambda: RaoKupperTies(-1.0), ValueError, "threshold >= 0"),
        (lambda: draw_labels(ExactLabels(), WORLD, 2 * SHARES), ValueError, "sum to 1 a prompt"),
        (lambda: draw_labels(ExactLabels(), WORLD, -SHARES), ValueError, "sampling must be >= 0"),
        (
            lambda: draw_labels(ExactLabels(), two_responses(800.0), SHARES),
            ValueError,
            "underflows for responses 0 and 1 of prompt 0 of world 0",
        ),
        (
            lambda: draw_labels(SampledLabels(1, ties=RaoKupperTies(40.0)), WORLD, SHARES),
            ValueError,
            "prompt 0 of world 0 has no decided label",
        ),
    ],
)
def test_invalid_input_is_named(call, error, rule):
    with pytest.raises(error, match=rule):
        call()
