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
)

CHECK_COQ = "not made again for this page; what Coq states is compared in `tests/test_proofs.py::"
ELSEWHERE = {
    "a certificate whose witness lies outside the range": f"`{FORGERIES}`, rule 12",
    "R4's fits with a bound twice as weak": "no fault: the shift is a named share of the bound, "
    "which is asserted beside it and is stronger",
    "L3's weight taken toward the loser": "no fault: whether a minimizer exists does "
    "not depend on the weights, if they are positive",
    "B3's and B4's evidence computed with plain DPO": "not made again for this page",
    "N3's influence of a nonsense weight": "not made again for this page",
    "one seed for labels and noise": "not made again for this page",
    "three Coq statements: weakened, under a false hypothesis, replaced by True": CHECK_COQ
    + "test_docs_quote_the_proofs` and `test_what_was_read_is_what_coq_said`",
    "three readings with another digit": "`tests/test_numbers.py::test_a_changed_digit_is_noticed` "
    "(slow), for every number that a sentence prints from its module",
}
"""What is changed elsewhere than in a module that a child can serve, and what notices it today."""


def tasks():
    """(what, work of a child, its processor seconds) of every change."""
    for changes, what, tests in CHANGES:
        ((module, old, new),) = changes
        original = path_of(module).read_text()
        if original.count(old) != 1:
            raise ValueError(f"by_hand.py: {old!r} stands {original.count(old)} times in {module}")
        mutant = Mutant(module, "by hand", 0, "", (), original, original.replace(old, new))
        yield what, partial(_noticed, mutant, tests), 300


def _noticed(mutant, tests):
    """[the first of the tests that fails, or None]."""
    return [child.run_by_hand(mutant, [word for test in tests for word in test.split()])]
