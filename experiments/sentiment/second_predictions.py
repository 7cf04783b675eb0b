"""What the theory and its rivals say of the second study, written down before its runs.

Each prediction gives the interval of measurements that the theory allows and, for every rival, the
one that it allows; the two do not meet, so no measurement fits both. The rivals:

no effect : what is varied changes nothing.
paper : the claims of arXiv 2510.05342 on sentiment generation (A7, A8), at equal KL at half of the
    smallest published gain over DPO, 0.47, or more.
beyond temperature : weights act beyond temperature, a part of a gain that no beta has: at equal KL
    0.2 or more. Of another method: its own paper's claim of a better policy, by as much.
first study : a gap that the first study's line showed, taken for real rather than for its chord's.
temperature : they do not, even where the reward model knows which labels are wrong.
converged : the policy sits where the loss is least (T1, L5), beta m = z*, as theory has it on
    tables; against that the prediction has a policy that one epoch has moved part of the way.

Equal KL, intervals and probabilities are those of :mod:`.second_measures`.
"""

import functools
import hashlib
import json
import math
from pathlib import Path

from madpo_theory.simulate.predictions import Prediction, Rival, judge, write_judgements

from .published import SMALLEST_PUBLISHED
from .second import TEMPERATURES
from .second_measures import (
    Recorded,
    changed,
    difference,
    equivalent,
    gap,
    gap_between,
    ratio_of_displacement,
)
from .study import load_tables

__all__ = ["PREDICTIONS", "REPLICATIONS", "decided", "judged", "judged_rows"]

INF = math.inf
HIGH = ("high",)
HALF = SMALLEST_PUBLISHED / 2
"""Half of 0.47, the smallest published gain of MADPO over DPO (tier low)."""


def rivals(**told):
    """name=(predicted, because) as Rivals."""
    return {name: Rival(*value) for name, value in told.items()}


def even(id, arm, label, because, low=-0.1, high=0.1, **options):
    """At equal KL an arm earns what DPO earns."""
    where = "" if "tiers" not in options else ", high"
    return Prediction(
        id, f"reward of {label} at equal KL{where}", (low, high), because, gap(arm, **options),
        rivals(beyond_temperature=((0.2, INF), "a gain of its own")),
    )  # fmt: skip


def halved(text):
    return f"{text}: one epoch goes part of the way (recorded before: 0.1 to 0.5 of it in log KL)"


FRONTIER = (
    Prediction(
        "F1", "reward of MADPO (c_max 4) at equal KL", (-0.08, 0.15),
        "L5: 0, a schedule is close to a temperature, and at most 0.1 for the labels it suppresses "
        "(first step's gain over DPO's 1.01 to 1.04)", gap("madpo"),
        rivals(paper=((HALF, INF), "half of 0.47"),
               beyond_temperature=((0.2, INF), "a gain of its own")),
    ),
    Prediction(
        "F2", "reward of MADPO (c_max 4) at equal KL, high", (-0.08, 0.18),
        "L5: 0, and at most 0.15 for suppressed labels, most of which are here", gap("madpo",
        tiers=HIGH),
        rivals(paper=((0.305, INF), "half of 0.61")),
    ),
    even("F3", "madpo 2", "MADPO (c_max 2)", "L5: 0"),
    Prediction(
        "F4", "reward of MADPO, c_max 4 minus c_max 2, both at equal KL", (-0.07, 0.07),
        "L5: 0, both are DPO at some temperature", gap_between("madpo", "madpo 2"),
        rivals(paper=((0.09, INF), "0.08 to 0.20 published at one beta, of its own")),
    ),
    Prediction(
        "F5", "reward of MADPO, safe minus released tau, both at equal KL, high", (-0.1, 0.1),
        "T5: targets fall only beyond tau, where few margins lie", gap_between("madpo safe",
        "madpo", tiers=HIGH),
        rivals(beyond_temperature=((0.15, INF), "keeping the order is worth something")),
    ),
    Prediction(
        "F6", "reward of the bounded ratio at equal KL", (-0.1, 0.13),
        "N1: 0, a temperature on margins below tau", gap("bounded_ratio"),
        rivals(first_study=((0.2, INF), "0.13 high, 0.75 low, under a chord")),
    ),
    Prediction(
        "F7", "reward of the offset minus MADPO, both at equal KL", (-0.1, 0.1),
        "N5: 0, the same targets; the weights' variance costs 10 % of the labels",
        gap_between("offset", "madpo"),
        rivals(beyond_temperature=((-INF, -0.15), "what suppressing labels gains is lost")),
    ),
    even("F8", "efficient", "the efficient weight", "N4: 0, MADPO's targets at less variance",
         tiers=HIGH),
    Prediction(
        "F9", "reward of the target-shaped weight at equal KL, high", (-0.1, 0.12),
        "N2: 0, as F6", gap("target_shaped", tiers=HIGH),
        rivals(first_study=((0.16, INF), "0.16 high, 0.79 low, under a chord")),
    ),
    Prediction(
        "F10", "reward of IPO (beta 0.025) at equal KL, high", (-0.15, 0.15),
        "B2: 0, a margin loss with targets of its own", gap("ipo 0.025", tiers=HIGH),
        rivals(first_study=((0.24, INF), "0.24 to 0.59, under a chord")),
    ),
    Prediction(
        "F11", "reward of beta-DPO at equal KL, high", (-INF, 0.1),
        "B3: at most 0, a temperature that varies by batch, and a fifth of the pairs dropped",
        gap("beta_dpo", tiers=HIGH),
        rivals(beyond_temperature=((0.2, INF), "its paper's gain")),
    ),
    even("F12", "odpo", "ODPO (alpha 1)", "C1: 0, DPO at beta/2 with the model's errors",
         tiers=HIGH),
    even("F13", "sigma", "the weight sigma(h)", "C4: 0, DPO at beta/2 with the model's errors",
         tiers=HIGH),
    Prediction(
        "F14", "reward of SimPO at equal KL, high", (-INF, 0.0),
        "below 0: it spends KL on undoing the reference's preferences, which tell nothing here",
        gap("simpo", tiers=HIGH),
        rivals(beyond_temperature=((0.1, INF), "its paper's gain")),
    ),
    even("F15", "cal_dpo", "Cal-DPO", "0: at most the drift that its squares forbid, which KL pays",
         low=-INF, tiers=HIGH),
)  # fmt: skip

TEMPERATURE = (
    Prediction(
        "B1", "log of the beta at which DPO has MADPO's KL over beta, c_max 4", (-1.15, -0.1),
        halved("-0.4; T6, at most log 1/4 = -1.39"), equivalent("madpo"),
        rivals(converged=((-1.6, -1.25), "log 1/4 = -1.39"),
               no_effect=((-0.05, 0.05), "0, DPO's KL")),
    ),
    Prediction(
        "B2", "the same, c_max 2", (-0.55, -0.05), halved("-0.2; T6, at most log 1/2 = -0.69"),
        equivalent("madpo 2"),
        rivals(converged=((-0.9, -0.6), "log 1/2 = -0.69"),
               no_effect=((-0.02, 0.02), "0, DPO's KL")),
    ),
    Prediction(
        "B3", "the same, weight sigma(h), high", (-0.58, -0.04),
        halved("-0.2; C4, at most log 1/2 = -0.69"), equivalent("sigma", tiers=HIGH),
        rivals(converged=((-0.9, -0.62), "log 1/2 = -0.69"),
               no_effect=((-0.02, 0.02), "an even part alone")),
    ),
    Prediction(
        "B4", "log KL of the offset minus MADPO's", (0.08, 1.5),
        "0.4: N5, the same targets and first steps in proportion, but agreeing pairs, whose offset "
        "is positive, fade later than a weight's", difference("offset", "madpo", what="log KL"),
        rivals(converged=((-0.05, 0.05), "0: the same targets"),
               beyond_temperature=((-INF, -0.1), "without weights it is DPO, -0.3 or so")),
    ),
    Prediction(
        "B5", "log2 of DPO's KL at beta 0.0125 over that at 0.025", (0.15, 0.85),
        "0.5: after one epoch beta m is far from its target, and halving beta no longer doubles m",
        lambda recorded: _halving(recorded, "dpo 0.0125", "dpo 0.025"),
        rivals(converged=((1.0, 2.2), "m = z*/beta: KL goes as m to m squared"),
               no_effect=((-0.05, 0.05), "0")),
    ),
    Prediction(
        "B6", "log2 of DPO's KL at beta 0.2 over that at 0.4", (0.5, 1.6),
        "1.1: beta m nears its targets at large beta, and the exponent grows towards 2",
        lambda recorded: _halving(recorded, "dpo 0.2", "dpo 0.4"),
        rivals(converged=((1.75, 2.2), "2: small m, KL as its square"),
               no_effect=((-0.05, 0.4), "as at small beta, 0.5 or less")),
    ),
    Prediction(
        "B7", "log KL of rDPO minus cDPO's, epsilon 0.1, high", (0.1, 0.9),
        "0.3: AdamW sees no scale, so a loss acts by curvature over slope at 0, which is that of "
        "DPO at beta (1 - 2 epsilon) and beta/(1 - 2 epsilon)",
        difference("rdpo", "cdpo", what="log KL", tiers=HIGH),
        rivals(no_effect=((-0.05, 0.05), "0: their gradients differ by a factor")),
    ),
    Prediction(
        "B8", "reward of MADPO (c_max 4) minus DPO, both at beta 0.1", (0.02, 0.35),
        "L5: 0.15, what the larger KL buys", difference("madpo", "dpo 0.1"),
        rivals(paper=((0.42, INF), "0.47 to 0.61"), no_effect=((-0.005, 0.005), "0")),
    ),
    Prediction(
        "B9", "reward of DPO at beta/4 minus MADPO (c_max 4) at beta, high", (0.03, INF),
        "T6: above 0, its KL is larger and over-optimization is beyond it",
        difference("dpo 0.025", "madpo", tiers=HIGH),
        rivals(beyond_temperature=((-INF, 0.0), "no beta does what the weights do")),
    ),
)  # fmt: skip


def _halving(recorded, smaller, larger):
    return difference(smaller, larger, what="log KL")(recorded).times(1 / math.log(2))


DISPLACEMENT = (
    Prediction(
        "D1", "what held-out responses lose in log-probability, of both the mean, over KL, DPO "
        "beta 0.4, high", (0.75, 1.5),
        "1: both are the reference's samples, so the loss is KL(reference, policy), to second "
        "order KL(policy, reference)", ratio_of_displacement("dpo 0.4"),
        rivals(no_effect=((-0.3, 0.3), "0: one rises as the other falls")),
    ),
    Prediction(
        "D2", "the same, DPO beta 0.0125", (1.2, 6.0),
        "2: far from the reference the policy leaves out what it once said",
        ratio_of_displacement("dpo 0.0125"),
        rivals(converged=((0.85, 1.1), "1: a Gaussian tilt of the reference"),
               no_effect=((-0.3, 0.3), "0")),
    ),
    Prediction(
        "D3", "log-ratio of chosen responses, DPO beta 0.1, training pairs, nats", (-INF, -0.3),
        "below 0, by KL less half the margin: chosen responses lose probability, all tiers",
        changed("dpo 0.1"),
        rivals(no_effect=((0.0, INF), "training on a response raises it")),
    ),
    Prediction(
        "D4", "log-ratio of chosen responses, MADPO minus DPO at beta 0.1, nats", (-INF, -0.1),
        "below 0: a smaller temperature displaces more", changed("madpo", "dpo 0.1"),
        rivals(paper=((0.0, INF), "amplifying hard pairs without side effect")),
    ),
    Prediction(
        "D5", "log-ratio of chosen responses, DPO + NLL minus DPO, nats, high", (0.5, INF),
        "above 0: the likelihood's gradient does not fade",
        changed("dpo nll", "dpo 0.1", tiers=HIGH),
        rivals(no_effect=((-0.25, 0.25), "0: a 64th of DPO's in sum")),
    ),
    Prediction(
        "D6", "log-ratio of chosen responses, Cal-DPO minus DPO, nats, high", (0.5, INF),
        "above 0: its squares ask for +5 nats", changed("cal_dpo", "dpo 0.1", tiers=HIGH),
        rivals(no_effect=((-0.25, 0.25), "0")),
    ),
)  # fmt: skip

DECODING = (
    *(
        Prediction(
            f"A{i}", f"reward of MADPO at equal KL, decoded at temperature {at:g}", (-0.1, 0.15),
            "0, as F1: the policies are alike, so they are at every temperature",
            gap("madpo", temperature=at),
            rivals(paper=((HALF, INF), "A8: an advantage across temperatures, half of 0.47")),
        )
        for i, at in enumerate(TEMPERATURES, 1)
    ),
    Prediction(
        "A4", "reward of MADPO minus DPO, both at beta 0.1, decoded at temperature 0.5",
        (-0.1, 0.35), "B8, less where rewards are at their ceiling",
        difference("madpo", "dpo 0.1", temperature=0.5),
        rivals(paper=((0.42, INF), "A8: 0.47 to 0.61 at any temperature")),
    ),
)  # fmt: skip

ERRORS = (
    Prediction(
        "E1", "reward of MADPO with errors of 4 nats minus without, both at equal KL, high",
        (-0.15, 0.1), "L5: 0, there was no gain to lose", gap_between("madpo noisy 4", "madpo",
        tiers=HIGH),
        rivals(beyond_temperature=((-INF, -0.2), "the gain is the reward model's")),
    ),
    Prediction(
        "E2", "log KL of MADPO with errors of 4 nats minus DPO's, beta 0.1, high", (-1.0, -0.08),
        "-0.3: weights that know nothing drop pairs at random and temper nothing",
        difference("madpo noisy 4", "dpo 0.1", what="log KL", tiers=HIGH),
        rivals(paper=((0.1, INF), "+0.4 as without errors: robust"),
               no_effect=((-0.03, 0.03), "0: DPO")),
    ),
    Prediction(
        "E3", "log KL of MADPO with half of the signs wrong minus DPO's, high", (-0.7, 0.1),
        "-0.2: delta averages to 0", difference("madpo flipped 0.5", "dpo 0.1", what="log KL",
        tiers=HIGH),
        rivals(paper=((0.2, INF), "+0.4 as without errors: robust")),
    ),
    Prediction(
        "E4", "log KL of the offset with errors of 4 nats minus MADPO's with them, high",
        (0.04, INF), "above 0: an offset of nats pushes until it is met, a weight fades by DPO's "
        "curve", difference("offset noisy 4", "madpo noisy 4", what="log KL", tiers=HIGH),
        rivals(converged=((-0.03, 0.03), "N5: 0, the same targets")),
    ),
    Prediction(
        "L1", "log KL of DPO, beta 0.1, a fifth of the labels wrong minus none, high",
        (-1.2, -0.12), "-0.4: 1 - 2 0.2 of the signal is left",
        lambda recorded: difference("dpo 0.1 noise", "dpo 0.1", what="log KL", tiers=HIGH)(
            recorded),
        rivals(no_effect=((-0.05, 0.05), "0")),
    ),
    Prediction(
        "L2", "reward of MADPO at equal KL, a fifth of the labels wrong, high", (-0.1, 0.15),
        "L5: 0; the reward model learns from the same labels", gap("madpo noise", tiers=HIGH),
        rivals(beyond_temperature=((HALF, INF), "wrong labels are suppressed")),
    ),
    even("L3", "rdpo 0.2 noise", "rDPO (epsilon 0.2), a fifth of the labels wrong",
         "C2: 0, unbiased, which is a temperature", tiers=HIGH),
    Prediction(
        "L4", "reward of the offset minus MADPO, both at equal KL, a fifth of the labels wrong, "
        "high", (-0.1, 0.1), "N5: 0, as F7", gap_between("offset noise", "madpo noise", tiers=HIGH),
        rivals(beyond_temperature=((-INF, -0.15), "what suppressing labels gains is lost")),
    ),
)  # fmt: skip

TURNED = "a fifth of the labels wrong, high"
KNOWING = (
    Prediction(
        "X1", f"reward of MADPO with exact margins at equal KL, {TURNED}", (0.25, 0.95),
        "0.5: the first step earns 1.75 times DPO's for its length (recorded pairs), all but a "
        "tenth or so of DPO's KL there buys no reward, and DPO is some 1.0 above the fine-tuned "
        "model", gap("madpo exact noise", tiers=HIGH),
        rivals(temperature=((-0.1, 0.15), "L5: 0, weights are a temperature, whatever they know")),
    ),
    Prediction(
        "X2", f"reward of MADPO, exact minus trained margins, both at equal KL, {TURNED}",
        (0.15, INF), "0.3: 1.75 times DPO's first step against 1.08",
        gap_between("madpo exact noise", "madpo noise", tiers=HIGH),
        rivals(temperature=((-INF, 0.05), "0: weights are a temperature, whatever they know")),
    ),
    Prediction(
        "X3", f"reward of the offset minus MADPO's, both with exact margins at equal KL, {TURNED}",
        (-0.15, 0.6), "N5: its first step is MADPO's with weights sigma(delta), 2.12 times DPO's, "
        "and suppresses as much; later agreeing pairs fade later",
        gap_between("offset exact noise", "madpo exact noise", tiers=HIGH),
        rivals(beyond_temperature=((-INF, -0.2), "what suppressing labels gains is lost")),
    ),
)  # fmt: skip
"""Added on 2026-11-27, after runs with noisy labels and before those that these read."""

REPLICATIONS = ("F1", "F2", "B8", "B9", "F11")
"""What the first study had measured before, in some of the same tiers and seeds."""

PREDICTIONS = (*FRONTIER, *TEMPERATURE, *DISPLACEMENT, *DECODING, *ERRORS, *KNOWING)


def judged_rows(folder):
    """A Judgement of every prediction by a results folder of the second study."""
    folder = Path(folder)
    tables = sorted(folder.glob("*.parquet"))
    return _judged_rows(folder, *(hashlib.sha256(path.read_bytes()).digest() for path in tables))


@functools.lru_cache(maxsize=4)
def _judged_rows(folder, *contents):
    return tuple(judge(PREDICTIONS, Recorded(load_tables(folder))))


def judged(folder):
    """Judge the predictions by a results folder, and write predictions.json there; its rows."""
    path = write_judgements(Path(folder) / "predictions.json", judged_rows(folder))
    return json.loads(path.read_text(encoding="utf-8"))


REFUTED = 0.01
"""Less probable is refuted. Of a hundred that are right one is so refuted."""


def decided(row, rival):
    """Which survived the measurement: "theory", "rival", "both", "neither" or "not measured".

    "no room": the rival asks for more than any text earns; nothing could have been decided.
    """
    if row["measured"] is None:
        return "not measured"
    if row["rivals"][rival].get("impossible"):
        return "no room"
    stands = (p >= REFUTED for p in (row["probability"], row["rivals"][rival]["probability"]))
    return {
        (True, False): "theory", (False, True): "rival", (True, True): "both",
        (False, False): "neither",
    }[tuple(stands)]  # fmt: skip
