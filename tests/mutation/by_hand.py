"""Changes of meaning that a review made by hand, and that no test noticed then: each made again.

They are no small slips of a formula, which mutants are, but what someone would change who wants a
false statement to pass: a rule dropped, a bound halved, evidence put to a weaker statement.
"""

from functools import partial

import child
from mutants import Mutant, path_of

FORGERIES = "tests/test_forgeries.py"
FOIL = "tests/test_claims.py::test_its_foil_disagrees"
AGREES = "tests/test_claims.py::test_evidence_agrees"
JUDGE = "tests/test_claims.py::"

# [(module, text, its replacement)], what the change is, and the tests shown to it
CHANGES = (
    (
        [("certify.checker", "if not bound <= upper:", "if False:")],
        "checker: no tail of a single schedule is checked",
        [FORGERIES],
    ),
    (
        [("certify.checker", '("beyond", right < tau),', '("beyond", True),')],
        "checker: nothing beyond tau is checked",
        [FORGERIES],
    ),
    (
        [
            (
                "certify.checker",
                "cost = abs(slope) * arb(high - at)",
                "cost = abs(slope) * arb(high - at) / 2",
            )
        ],
        "checker: the cost of the mean-value form is halved",
        [FORGERIES],
    ),
    (
        [("certify.checker", "return value + slope * (ball - centre)", "return value")],
        "checker: the slope's term of the mean-value form is lost",
        [FORGERIES],
    ),
    (
        [
            (
                "certify.checker",
                "    return stretch * decay / schedule.kappa",
                "    return 0 * stretch * decay",
            )
        ],
        "checker: the slope's bound on the tail without its stretch term",
        ["tests/test_certify.py"],
    ),
    (
        [
            (
                "certify.checker",
                "    return stretch * decay / schedule.kappa",
                "    return 0 * stretch * decay",
            ),
            ("schedule", "return lam * far * (c_max", "return 0 * lam * far * (c_max"),
        ],
        "checker and search: both without that stretch term",
        ["tests/test_tails.py"],
    ),
    (
        [
            (
                "certify.checker",
                "    return level / (1 + (schedule.c_min * far).exp()) + 1 / (1 + far.exp())",
                "    return level / (1 + (schedule.c_min * far).exp()) / 2",
            )
        ],
        "checker: the slope's bound on the tail is halved",
        ["tests/test_certify.py"],
    ),
    (
        [
            (
                "certify.checker",
                "        if not all(\n            signed(_mean_value",
                "        if not any(\n            signed(_mean_value",
            )
        ],
        "checker: one region's word is taken for all that a box touches",
        [FORGERIES],
    ),
    (
        [
            (
                "certify.checker",
                "    if depth == MAX_DEPTH:\n",
                "    if depth == MAX_DEPTH:\n        return []\n    if False:\n",
            )
        ],
        "checker: a box is believed at the limit of depth",
        [FORGERIES + "::test_one_rule_refuses_the_forgery -k _narrower"],
    ),
    (
        [("certify.grid", "        check(found)\n", "")],
        "the map's cells: their certificates are not checked",
        [FORGERIES],
    ),
    (
        [
            (
                "claims.evidence",
                "(below is None or upper <= below) and (above is None or lower >= above)",
                "(below is None or lower <= below) and (above is None or upper >= above)",
            )
        ],
        "ledger: `certified` compares the wrong ends",
        [JUDGE + "test_which_ends_of_a_certificate_are_compared"],
    ),
    (
        [
            (
                "claims.evidence",
                "worst = float(np.abs(scores).max())",
                "worst = float(np.abs(scores).mean())",
            )
        ],
        "ledger: `simulated` judges the mean instead of the largest deviation",
        ["tests/test_ledger.py"],
    ),
    (
        [
            (
                "claims.r1_sensitivity",
                "released_sensitivity() * abs(step)",
                "2 * released_sensitivity() * abs(step)",
            )
        ],
        "R1's property with a bound twice as weak",
        [FOIL + " -k R1-"],
    ),
    (
        [
            (
                "claims.r1_sensitivity",
                "released_sensitivity() * (1 + 1e-6)",
                "2 * released_sensitivity()",
            )
        ],
        "R1's fits with a bound twice as weak",
        [FOIL + " -k R1-"],
    ),
    (
        [
            (
                "claims.r4_parameters",
                "bound = BETA * widest * steepest_weight()",
                "bound = 2 * BETA * widest * steepest_weight()",
            )
        ],
        "R4's change of the gradients with a bound twice as weak",
        [FOIL + " -k R4-"],
    ),
    (
        [
            (
                "claims.r4_parameters",
                "- SHARE) < 5e-4",
                "- SHARE) < 1",
            )
        ],
        "R4's fits may move by their whole bound, not by the share that the sentence names",
        [FOIL + " -k R4-"],
    ),
    (
        [
            (
                "claims.l5_temperature",
                "scores = fit_table(rewards, FRONTIER).scores",
                "scores = fit_table(rewards, MarginSchedule(8, 0, 5, 1)).scores",
            )
        ],
        "L5's frontier at the wild schedule (8, 0, 5, 1)",
        [AGREES + " -k L5-"],
    ),
    (
        [
            (
                "claims.b3_negative_beta",
                "import BetaDPOState, beta_dpo,",
                "import BetaDPOState, dpo,",
            ),
            (
                "claims.b3_negative_beta",
                "beta_dpo(m, zero, zero, zero, running_mean=0.0, variant=variant)",
                "dpo(m, zero, zero, zero, beta=0.1)",
            ),
        ],
        "B3's batch descends plain DPO's loss",
        [AGREES + " -k B3-"],
    ),
    (
        [
            (
                "claims.b4_batch",
                "beta_dpo(entries, zero, zero, zero, **RULE)",
                "dpo(entries, zero, zero, zero, beta=0.1)",
            )
        ],
        "B4's batch descends plain DPO's loss",
        [AGREES + " -k B4-"],
    ),
    (
        [("claims.n3_tradeoff", "clipped(w, most)\n", "clipped(Opposite(w), most)\n")],
        "N3's influence of a nonsense weight, that of -delta",
        [AGREES + " -k N3-"],
    ),
    (
        [
            (
                "claims.r4_parameters",
                "wrong = truth + rng.normal(0, 0.05, 150)",
                "wrong = truth + np.random.default_rng(child).normal(0, 0.05, 150)",
            )
        ],
        "R4's fits: one seed for the labels and the reward model's noise",
        [AGREES + " -k R4-"],
    ),
    (
        [("claims.s3_bound", "LEAST_4 = 9e-5", "LEAST_4 = 7e-5")],
        "A1's reading: a disputed label can weigh as little as 0.00007",
        [AGREES + " -k S3-"],
    ),
    (
        [("claims.r4_parameters", "SHARE = 0.034", "SHARE = 0.035")],
        "R4's reading: fits to sampled labels moved by 3.5 % of the bound",
        [AGREES + " -k R4-"],
    ),
    (
        [("claims.t5_order", "SAFE = 3 ", "SAFE = 5 ")],
        "T5's reading: a tau of at most 5 keeps the order",
        [AGREES + " -k T5-"],
    ),
)

COQ = "`tests/test_proofs.py::test_a_changed_statement_is_refused"
ELSEWHERE = {
    "Coq: a quoted statement is weakened": COQ + "[weakened]`, which makes the change",
    "Coq: it is put under a false hypothesis": COQ + "[premise]`",
    "Coq: it is replaced by True": COQ + "[true]`",
    "a certificate whose witness lies outside the range": f"`{FORGERIES}`, rule 12",
}
"""What is changed elsewhere than in a module that a child can serve: the test that changes it."""

NO_FAULT = {
    "R4's fits with a bound twice as weak": "the shift is a named share of the bound, which is "
    "asserted beside it and is stronger",
    "L3's weight taken toward the loser": "whether a minimizer exists does not depend on the "
    "weights, if they are positive: that is the claim",
    "L3's labels and the reward model's noise of one seed": "for the same reason",
    "`>=` for `>` where two branches of a formula meet": "the pieces are equal there",
}
"""Changes that make no statement false: equal by construction, or weaker than what is beside."""


def tasks():
    """(what, work of a child, its processor seconds) of every change."""
    for changes, what, tests in CHANGES:
        sources = {module: path_of(module).read_text() for module, *_ in changes}
        mutated = dict(sources)
        for module, old, new in changes:
            if mutated[module].count(old) != 1:
                raise ValueError(
                    f"by_hand.py: {old!r} stands {mutated[module].count(old)} times in {module}"
                )
            mutated[module] = mutated[module].replace(old, new)
        mutants = [
            Mutant(module, "by hand", 0, "", (), sources[module], mutated[module])
            for module in sources
        ]
        yield what, partial(_noticed, mutants, tests), 300


def _noticed(mutants, tests):
    """[the first of the tests that fails, or None]."""
    return [child.run_by_hand(mutants, [word for test in tests for word in test.split()])]
