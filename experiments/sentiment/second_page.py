"""docs/sentiment-2.md: the second study as a page that is read in three minutes."""

import json
import math
from pathlib import Path

import numpy as np

from madpo_theory import METHODS, MarginSchedule
from madpo_theory.align.config import TIERS, MarginConfig
from madpo_theory.align.measure import DISTINCT, GRAM, REPEATED
from madpo_theory.files import write_text
from madpo_theory.markdown import markdown_table
from madpo_theory.simulate.predictions import probability, told, told_probability

from . import second_rounding
from .page import at_full_scale, drawn_beside
from .predictions import step_over_dpo
from .published import COEFFICIENT, GAINS, SMALLEST_PUBLISHED
from .second import (
    ARMS,
    BETAS,
    BEYOND,
    DECODED,
    ERRORS,
    HEADLINE,
    KNOWING,
    LABEL_NOISE,
    NOISY,
    RIVALS,
    headline_lacks,
    study,
)
from .second_measures import (
    Recorded,
    changed,
    could_see,
    difference,
    gap,
    gap_between,
    holm,
    inside,
    judged_in,
    left_out,
    mean,
    p_of_zero,
    share,
)
from .second_predictions import HALF, REFUTED, REPLICATIONS, decided, judged
from .study import lacking, load_tables
from .tables import columns, full_scale

__all__ = ["TABLES", "frontier", "gaps", "publish", "reading", "section"]

TITLE = "The second sentiment study"
DPO = [arm.name for arm in HEADLINE if arm.method == "dpo"]
OTHERS = [
    arm.name for arm in (*HEADLINE, *RIVALS, *NOISY, *KNOWING, *ERRORS) if arm.method != "dpo"
]


def publish(folder, path):
    """Write the page of a results folder; figures go to figures/ beside it. Returns the path.

    What the folder lacks is said, and left out.
    """
    folder, path = Path(folder), Path(path)
    known = Recorded(load_tables(folder))
    rows = judged(folder)
    answer, *numbers = answers(known, rows)
    shown, steps = drawn_beside(path, second=folder), full_scale(folder)
    lines = [
        f"# {TITLE}",
        "",
        *made_of(folder, known, path),
        "## The answer",
        "",
        f"**{answer}**  ",
        *[f"{line}  " for line in numbers],
        "",
        *[
            line
            for name, figure in shown.items()
            for line in (
                f"![{figure.alt}](figures/{name}.svg)",
                "",
                " ".join(figure.caption.split()),
                "",
            )
        ],
        "## What would change one's mind",
        "",
        *[f"- {line}" for line in minds(known, steps)],
        "",
        *predicted(rows, known),
        *compared(known),
        *compared_beyond(known),
        *by_temperature(known),
        *by_errors(known),
        *by_response(known),
        *by_tier(known),
        *at_full_scale(steps),
        *how(folder, known),
    ]
    return write_text(path, "\n".join(lines))


def made_of(folder, known, path):
    """Lines: what the page is made of, and what lacks."""
    env = json.loads((folder / "env.json").read_text(encoding="utf-8"))
    size, about = known.size(), extent(folder, known)
    commits = ", ".join(sorted({row["commit"] or "unknown" for row in env.values()}))
    cards = sorted({row["card"] for row in env.values() if row.get("card")})
    where = f" on {', '.join(cards)}" if cards else ""
    lacks = headline_lacks(folder)
    interim = (
        f" {lacks} of them are of the headline, so what stands here is interim: it may change, and "
        "no claim of the ledger reads it."
    )
    said = f"**{about['left']} of the study's {about['listed']} runs are still to come.**"
    unfinished = [said + interim * bool(lacks), ""]
    return [
        "It repeats the first study with a line of DPO that brackets the methods, three seeds of "
        "every tier, and predictions that could fail.",
        "",
        *(unfinished if about["left"] else []),
        f"Written by `madpo study --second {size} --limit 0 --page {path}` from the "
        f"{about['runs']} runs in `{folder}` (size {size}), {about['hours']:.1f} hours of training "
        f"and evaluation, each run's own{where}, at {commits} (+: with changes on top).",
        "",
    ]


def extent(folder, known):
    """How much of the study a folder holds: runs, hours of them, runs listed and left."""
    env = json.loads((folder / "env.json").read_text(encoding="utf-8"))
    listed = study(known.size(), more=False)
    return {
        "runs": len(env),
        "listed": len(listed),
        "left": len(lacking(folder, listed)),
        "hours": sum(row["seconds"] for row in env.values()) / 3600,
    }


def reading(folder):
    """The answer, as text."""
    return "\n".join(answers(Recorded(load_tables(folder)), judged(folder)))


def answers(known, rows):
    """What the runs say, a sentence each."""

    def told_of(measure):
        return f"{measure(known):+.2f}"

    equal, gained = gap("madpo")(known), difference("madpo", "dpo 0.1")(known)
    own = {share: gap("madpo", less=share)(known) for share in (1, 0.5)}
    yield in_words(equal, gained, own)
    seeds = gap("madpo", by_seed=True)(known)
    yield (
        f"At equal KL MADPO (c_max 4) earns {equal:+.2f} over DPO"
        + (f"; {could_see(equal):.2f} could have been seen" if equal.worlds else "")
        + (f" ({could_see(seeds):.2f} if a seed's tiers count as one)." if seeds.worlds else ".")
    )
    if equal.worlds:
        by_seed = {share: gap("madpo", less=share, by_seed=True)(known) for share in own}
        yield (
            f"At the same β it earns {gained:+.2f}, published {SMALLEST_PUBLISHED:g} to "
            f"{max(GAINS.values()):g}. As MADPO's own: {excluded(own)}; if a seed's "
            f"tiers count as one: {excluded(by_seed)}."
        )
    yield f"DPO at β/4 earns {told_of(difference('dpo 0.025', 'madpo'))} over it."
    found = [f"{at:g}: {told_of(gap('madpo', temperature=at))}" for at in DECODED]
    yield f"Decoded at temperature {'; '.join(found)} at equal KL (claim A8)."
    for done, arm in (("errors of 4 nats in its margins", "madpo noisy 4"),
                      ("a fifth of the labels wrong", "madpo noise")):  # fmt: skip
        found = gap(arm)(known)
        if found.worlds:
            yield f"With {done} it earns {found:+.2f} at equal KL, in the tier high."
    gaps = {arm: found for arm in OTHERS if not math.isnan((found := gap(arm)(known)).value)}
    adjusted = together({arm: p_of_zero(found) for arm, found in gaps.items()})
    sides = []
    for side, sign in (("above", 1), ("below", -1)):
        arms = [f"{ARMS[arm].label} ({gaps[arm].value:+.2f})" for arm, p in adjusted.items()
                if p < 0.05 and sign * gaps[arm].value > 0]  # fmt: skip
        sides.append(f"{len(arms) or 'none'} {side}" + f" ({', '.join(arms)})" * bool(arms))
    yield (
        f"Of {len(gaps)} arms set against DPO's line {' and '.join(sides)} it at temperature 1, at "
        "5 % for all of them together (Holm)."
    )
    yield decisions(rows)


def in_words(equal, gained, own):
    """What MADPO's reward at equal KL comes to, as a sentence.

    equal, gained : its gain at equal KL, and at the same beta; own : share -> the first less that
    share of the second.
    """
    if not equal.worlds:
        return "Nothing is decided: fewer than two cells are measured."
    if equal.low > 0:
        return f"At equal KL {equal.value:+.2f} of MADPO's gain is left, which is its own."
    if equal.high >= HALF or own[1].high >= 0:
        return (
            "Nothing is decided: at equal KL neither 0 nor "
            + ("half of the published gain" if equal.high >= HALF else "all of MADPO's own gain")
            + " is excluded."
        )
    return (
        f"What MADPO gains at one β a smaller β gains: at equal KL {equal.value:+.2f} of "
        f"{gained.value:+.2f} is left that this study could see, and half of what the paper "
        "published is excluded."
    )


def excluded(own):
    """Whether the cells exclude that a share of MADPO's gain is its own, in words.

    own : share -> the gain at equal KL less that share of the gain at one beta.
    """
    words = {1: "all of it", 0.5: "half"}
    return ", ".join(
        f"{words[share]}{' not' * (found.high >= 0)} excluded ({found:+.2f})"
        for share, found in own.items()
    )


OUTCOMES = {
    "theory": "the theory alone survived",
    "rival": "the rival alone",
    "both": "both did",
    "neither": "neither did",
    "no room": "no text earns what the rival asks for",
    "not measured": "nothing was measured",
}
SURVIVED = ("theory", "rival", "both", "neither")
"""Those in which the measurement could decide."""


def together(p):
    """Holm's p of many that are read at once, by key."""
    return dict(zip(p, holm(list(p.values())), strict=True))


def decisions(rows):
    """How the predictions came out, as a sentence."""
    outcomes = [decided(row, rival) for row in rows for rival in row["rivals"]]
    counts = [
        f"{word} in {outcomes.count(key)}" for key, word in OUTCOMES.items() if key in outcomes
    ]
    failed = [row["id"] for row in rows if row["verdict"] == "fails"]
    beside = [
        row["id"] for row in rows if row["probability"] is not None and row["probability"] < 1
    ]
    verdicts = [row["verdict"] for row in rows]
    return (
        f"{len(rows)} predictions stood against {len(outcomes)} of rivals: {', '.join(counts)}. "
        f"{verdicts.count('holds')} hold with their whole interval, "
        f"{verdicts.count('undecided')} do not and are not refuted"
        + (f" (measured outside what they allow: {', '.join(beside)})" * bool(beside))
        + (f"; failed: {', '.join(failed)}." if failed else "; none failed.")
    )


def minds(known, steps):
    """What a run could still show that would refute the reading, with where it stands.

    `steps` are the rows of :func:`~.tables.full_scale`.
    """

    def at(measure):
        found = measure(known)
        return "not measured yet" if math.isnan(found.value) else f"now {found:+.2f}"

    def step(model, labels):
        gains = [
            row["gain"]
            for row in steps
            if (row["tier"], row["reward_model"], row["label_noise"]) == ("high", model, labels)
        ]
        return f"{gains[0]:.2f}" if gains else "(not measured yet)"

    return (
        f"A reward of MADPO at equal KL of {HALF:g} or more, half of what was "
        f"published ({at(gap('madpo'))}), at any decoding temperature that leaves room.",
        "A weight that beats the offset with its targets at equal KL: then suppressing labels does "
        f"what no target does (offset minus MADPO: {at(offset_over_madpo)}).",
        f"Wrong labels and a reward model that knows them: an exact one makes the first step earn "
        f"{step('exact', 0)} times DPO's in the tier high, with a fifth of the labels turned "
        f"{step('exact', LABEL_NOISE)} times, and one trained on those labels "
        f"{step('as trained', LABEL_NOISE)} times (MADPO there at equal KL: "
        f"{at(gap('madpo noise'))}; the offset, which suppresses no label, minus MADPO: "
        f"{at(gap_between('offset noise', 'madpo noise'))})." + knowing(known),
        f"A KL of MADPO beyond that of DPO at β/4 ({at(beyond_quarter)} in log KL): then it is "
        "more than the temperature that theory says it is.",
        "A larger model, a better reward model, longer training: these runs are 270 M parameters "
        "and one epoch.",
    )


def knowing(known):
    """What an exact reward model earns on wrong labels, where it may lie beyond DPO's line."""
    last = f"dpo {min(BETAS):g} noise"
    arms = [one.name for one in KNOWING]
    if any(len(known.cells(arm, last)) < 2 for arm in arms):
        return ""
    said = " and ".join(
        f"{ARMS[arm].label} {difference(arm, last)(known):+.2f} in reward and "
        f"{difference(arm, last, what='log KL')(known):+.2f} in log KL"
        for arm in arms
    )
    beyond = [f"{inside(known, arm)[2]} of {len(known.cells(arm))}" for arm in arms]
    return (
        f" Run so, against DPO at its smallest β on the same labels: {said}. Beyond DPO's line, so "
        f"not judged, lie {' and '.join(beyond)} of their cells."
    )


def offset_over_madpo(known):
    return gap_between("offset", "madpo")(known)


def beyond_quarter(known):
    return difference("madpo", "dpo 0.025", what="log KL")(known)


def predicted(rows, known):
    """Lines: the predictions, each with its rivals and what survived."""

    def cells():
        for row in rows:
            for place, (name, rival) in enumerate(row["rivals"].items()):
                own = (
                    row["quantity"],
                    measured_of(row),
                    str(row["worlds"] or ""),
                    f"{ends_of(row)}; {row['derivation']}",
                    probability_of(row),
                )
                yield (
                    row["id"],
                    *(own if place == 0 else [""] * len(own)),
                    f"{name.replace('_', ' ')}: {ends_of(rival)} ({rival['because']})",
                    probability_of(rival),
                    decided(row, name),
                )

    return [
        "## Predictions",
        "",
        "Written and committed before any run; X1 to X3 later, after runs with noisy labels and "
        f"before those that they read. {', '.join(REPLICATIONS[:-1])} and {REPLICATIONS[-1]} "
        "repeat what the first study had measured by then ([its page](sentiment.md)). Theory and "
        "rival allow intervals that do not meet; p is how probable a measurement at least so far "
        f"outside an interval was, were the truth inside; below {REFUTED:g} refutes. Where both "
        "survive, the study was too small to decide. No room: the rival asks for more than any "
        f"text of the study earns ({known.ceiling:.2f}), so nothing could have been decided.",
        "",
        *by_rival(rows),
        "",
        *weak(rows, known),
        "",
        *markdown_table(
            ("", "quantity", "measured", "cells", "theory", "p", "rival", "p", "survived"),
            cells(),
        ),
        "",
    ]


def by_rival(rows):
    """Lines: what became of theory and rival, by what the rival says."""
    outcomes = {}
    for row in rows:
        for rival in row["rivals"]:
            outcomes.setdefault(rival, []).append(decided(row, rival))
    shown = [key for key in OUTCOMES if any(key in of_rival for of_rival in outcomes.values())]
    return markdown_table(
        ("against", "predictions", *("survived: " * (key in SURVIVED) + key for key in shown)),
        ((name.replace("_", " "), str(len(of_rival)), *(str(of_rival.count(key)) for key in shown))
         for name, of_rival in outcomes.items()),
    )  # fmt: skip


def weak(rows, known):
    """Lines: which rivals are refuted only one at a time, and one that asks for too much."""
    refuted = {
        (row["id"], rival): row["rivals"][rival]["probability"]
        for row in rows for rival in row["rivals"]
        if decided(row, rival) in SURVIVED
    }  # fmt: skip
    adjusted = together(refuted)
    alone = [
        f"{id} ({rival.replace('_', ' ')})" for (id, rival), p in adjusted.items()
        if p >= 0.05 and refuted[id, rival] < REFUTED
    ]  # fmt: skip
    floor = next(row for row in rows if row["id"] == "F4")["rivals"]["paper"]
    published = min(COEFFICIENT[4.0][tier] - COEFFICIENT[2.0][tier] for tier in TIERS)
    found = gap_between("madpo", "madpo 2")(known)
    p = told_probability(probability(found, (published / 2, math.inf)))
    return [
        f"With all {len(refuted)} rivals' p at once (Holm, 5 %) "
        + (f"these are not refuted: {', '.join(alone)}. " if alone else "the same are refuted. ")
        + f"F4's rival asks for {floor['predicted'][0]:g} or more, above the smallest published "
        f"difference, {published:.2g}, where others ask for half of the smallest: for half of it, "
        f"{p}."
    ]  # fmt: skip


def ends_of(told_by):
    """The interval that theory or a rival allows, as text."""
    whole = told({"predicted": told_by["predicted"], "measured": None})
    return whole.removeprefix("predicted ").removesuffix(", not measured")


def measured_of(row):
    """A prediction's measurement with its interval, as text."""
    if row["measured"] is None:
        return "not measured"
    return "{:+.2f} [{:+.2f}, {:+.2f}]".format(row["measured"], *row["interval"])


def probability_of(told_by):
    """A measurement's probability under theory or a rival, in a column p."""
    p = told_by["probability"]
    return "" if p is None else told_probability(p).removeprefix("p ").removeprefix("= ")


def number(found, form="+.2f"):
    return "" if math.isnan(found.value) else f"{found:{form}}"


def at_equal_kl(known, arm, tiers=TIERS, *, beyond=False):
    """An arm's reward at equal KL, or why there is none, as text."""
    return number(gap(arm, tiers=tiers, beyond=beyond)(known)) or (
        "one cell measures nothing" if inside(known, arm, tiers, beyond=beyond)[0] else "outside"
    )


def cells_of(there, below, above):
    """In how many cells DPO's line judges an arm, and in how many not, as text."""
    return ", ".join(
        [f"{there}", *[f"{below} below"] * bool(below), *[f"{above} above"] * bool(above)]
    )


def compared(known):
    """Lines: every arm at equal KL."""
    gaps = {arm: gap(arm)(known) for arm in OTHERS}
    adjusted = together({arm: p_of_zero(found) for arm, found in gaps.items()})

    def cells():
        for arm, found in gaps.items():
            where = inside(known, arm)
            if any(where):
                measured = not math.isnan(found.value)
                yield (
                    ARMS[arm].label,
                    cells_of(*where),
                    ", ".join(judged_in(known, arm)),
                    at_equal_kl(known, arm),
                    f"{adjusted[arm]:.2g}" if measured else "",
                    f"{could_see(found):.2f}" if measured else "",
                )

    return [
        "## Every arm at equal KL",
        "",
        "Reward minus that of DPO at the same KL and with the same labels, mean over cells (tier "
        "and seed) in which the arm's KL lies within that of DPO's six runs; in how many others it "
        "lies below or above that is said, and nothing extrapolated. p: two-sided, of no "
        "difference, by Holm for all of the table together. Last: the smallest true difference "
        "that an uncorrected 5 % test sees in four of five such studies.",
        "",
        *markdown_table(
            ("arm", "cells", "tiers", "at equal KL", "p (Holm)", "could have seen"), cells()
        ),
        "",
    ]


def compared_beyond(known):
    """Lines: the arms that lie outside DPO's line, on a longer one; none before it is run."""
    further = [one for one in BEYOND if known.cells(one.name)]
    clean = [arm for arm in OTHERS if "label_noise" not in ARMS[arm].settings]
    outside = [arm for arm in clean if any(inside(known, arm)[1:])]
    if not further or not outside:
        return []
    return [
        "### On a longer line",
        "",
        f"{', '.join(one.label for one in further)} were added when the headline and the rivals "
        "had been seen, the small β in every tier and the large ones in the tier high. With them "
        "the line reaches further; arms that lie outside the line above, on this one. No "
        "prediction is judged by it.",
        "",
        *markdown_table(
            ("arm", "cells", "at equal KL"),
            (
                (
                    ARMS[arm].label,
                    cells_of(*inside(known, arm, beyond=True)),
                    at_equal_kl(known, arm, beyond=True),
                )
                for arm in outside
            ),
        ),
        "",
    ]


def by_temperature(known):
    """Lines: rewards at equal KL by decoding temperature."""

    def cells():
        for arm in OTHERS:
            found = [gap(arm, temperature=at)(known) for at in DECODED]
            if any(not math.isnan(one.value) for one in found):
                yield ARMS[arm].label, *map(number, found)

    measured = {
        (arm, at): found for arm in OTHERS for at in DECODED
        if not math.isnan((found := gap(arm, temperature=at)(known)).value)
    }  # fmt: skip
    adjusted = together({key: p_of_zero(found) for key, found in measured.items()})
    differ = [f"{ARMS[arm].label} at {at:g}" for (arm, at), p in adjusted.items() if p < 0.05]
    room = ("room above MADPO's DPO", *(
        f"{measured['madpo', at].most:+.2f}" if ("madpo", at) in measured else "" for at in DECODED
    ))  # fmt: skip
    return [
        "## Decoding temperature",
        "",
        "At equal KL, the KL being that of temperature 1; every column on its own line of DPO. The "
        "colder, the nearer all texts are to the best, and the less room is left: the last row has "
        f"what MADPO would earn if all its texts were the best of the study ({known.ceiling:.2f}). "
        f"Of these {len(measured)} numbers differ from 0 at 5 % for all of them together (Holm): "
        f"{', '.join(differ) or 'none'}.",
        "",
        *markdown_table(("arm", *(f"at {at:g}" for at in DECODED)), (*cells(), room)),
        "",
    ]


ERRONEOUS = {
    "noisy": "errors added, sd in nats {:g}",
    "flipped": "{:.0%} of signs turned",
    "scaled": "times {:g}",
}


def by_errors(known):
    """Lines: what errors of the reward model change."""
    high = ("high",)
    rows = {"as trained": ["madpo", "offset"]}
    for kind, said in ERRONEOUS.items():
        of_kind = [arm for arm in ERRORS if arm.settings["disturbance"] == kind]
        for arm in sorted(of_kind, key=lambda arm: arm.settings["level"]):
            rows.setdefault(said.format(arm.settings["level"]), []).append(arm.name)

    def cells():
        for done, arms in rows.items():
            kl = [difference(arm, "dpo 0.1", what="log KL", tiers=high)(known) for arm in arms]
            if not all(math.isnan(one.value) for one in kl):
                yield (
                    done,
                    *(
                        cell
                        for arm, one in zip(arms, kl, strict=True)
                        for cell in (
                            number(one),
                            number(one) and at_equal_kl(known, arm, high),
                            f"{first_step(known, arm):.2f}",
                        )
                    ),
                )

    return [
        "## Errors of the reward model",
        "",
        "In the tier high; done to the margins before they become weights or offsets. Log KL is "
        "that over DPO's at β 0.1, which sees no margins: what amplification is left. A method is "
        "hurt if it earns less at equal KL; less KL alone is a larger β. First step: what the "
        "recorded pairs say that it earns for its length, DPO's being 1. Below 1 weights that know "
        "too little waste labels; E1's theory had only that there is no gain to lose.",
        "",
        *markdown_table(
            ("margins", *(f"{of} {what}" for of in ("MADPO,", "offset,")
                          for what in ("log KL", "at equal KL", "first step"))),
            cells(),
        ),
        "",
    ]  # fmt: skip


def first_step(known, arm, tier="high"):
    """What an arm's first step earns for its length over DPO's: mean over seeds, recorded pairs."""
    method = METHODS[ARMS[arm].method](MarginSchedule.released(4))
    done = {key: ARMS[arm].settings[key] for key in ("disturbance", "level")
            if key in ARMS[arm].settings}  # fmt: skip
    pairs = known.tables.pairs
    cells = pairs[(pairs["tier"] == tier) & (pairs["label_noise"] == 0)].groupby("seed")
    return float(np.mean([
        step_over_dpo(of_seed, MarginConfig(**done), seed, method) for seed, of_seed in cells
    ]))  # fmt: skip


def by_response(known):
    """Lines: what training did to responses, and to texts."""
    high = {"tiers": ("high",)}

    def cells():
        for arm in ARMS:
            if len(known.cells(arm, **high)) > 1:
                yield (
                    ARMS[arm].label,
                    f"{mean(known, arm, 'high', 1):.2f}",
                    *(
                        number(changed(arm, which=which, split=split, **high)(known), "+.1f")
                        for split in ("train", "held_out")
                        for which in ("chosen", "rejected")
                    ),
                    number(share(arm, what="length", **high)(known), ".1f"),
                    number(share(arm, **high)(known), ".3f"),
                )

    return [
        "## Displacement, length, degenerate texts",
        "",
        "In the tier high, in which every arm ran: log-probability under the policy minus that "
        "under the reference, nats, mean over pairs and seeds; length in tokens; degenerate is a "
        f"text of whose {GRAM}-grams of tokens more than {REPEATED:g} stand earlier in it "
        f"(seq-rep-{GRAM}), or one of fewer than {DISTINCT} distinct tokens.",
        "",
        *markdown_table(
            (
                "arm", "KL (nats)", "chosen, train", "rejected, train", "chosen, held out",
                "rejected, held out", "length", "degenerate",
            ),
            cells(),
        ),
        "",
    ]  # fmt: skip


def by_tier(known):
    """Lines: rewards and KL by tier."""

    def cells():
        for tier in TIERS:
            for arm in ARMS:
                cells = known.cells(arm, tiers=(tier,))
                if cells:
                    own = "" if ARMS[arm].method == "dpo" else at_equal_kl(known, arm, (tier,))
                    yield (
                        tier,
                        ARMS[arm].label,
                        str(len(cells)),
                        *(f"{mean(known, arm, tier, column):.2f}" for column in (0, 1)),
                        own,
                    )

    return [
        "## Every tier",
        "",
        *markdown_table(("tier", "arm", "seeds", "reward", "KL (nats)", "at equal KL"), cells()),
        "",
    ]


def how(folder, known):
    """Lines: the line, its bias, and the statistics."""
    bias = left_out(known)
    of_each = [
        found.value for tier in TIERS for beta in BETAS[1:-1]
        if not math.isnan((found := left_out(known, (tier,), (beta,))).value)
    ]  # fmt: skip
    spread = f" (of a tier and β {min(of_each):+.2f} to {max(of_each):+.2f})" if of_each else ""
    return [
        "## How it is measured",
        "",
        "DPO's reward in a cell is a monotone cubic (Fritsch–Carlson) of log KL through its runs "
        f"at β {', '.join(f'{beta:g}' for beta in BETAS)}. Left out in turn, DPO's inner runs lie "
        f"{number(bias, '+.3f') or '(not measured)'} above the line through the others on "
        f"average{spread}; those are then four times in β apart rather than twice, so the line's "
        "own bias is less.",
        "",
        "Arms are compared on the same prompts and random numbers. An interval is the wider of "
        "two: Student's t over the cells alone; and that of the variance between cells over their "
        "number plus that of the mean over resamples of the prompts, which all cells share, with "
        "Satterthwaite's degrees of freedom. p is the larger of both. (Until 27 November 2026 the "
        "second alone, too narrow where few cells agree by chance.) Tiers of a seed share the "
        "fine-tuned model and are counted as cells of their own; with the tiers of a seed averaged "
        "first, so that three seeds alone count, MADPO (c_max 4) earns "
        f"{number(gap('madpo', by_seed=True)(known)) or '(not measured)'} at equal KL.",
        "",
        second_rounding.reading(folder, known),
        "",
    ]


def frontier(folder):
    """Reward and KL of every run of the headline and of rivals: the table of a figure."""
    known = Recorded(load_tables(folder))
    return columns([
        {"tier": cell[0], "seed": cell[1], "arm": arm, "method": ARMS[arm].method,
         "reward": values[0], "kl": values[1], "is_dpo": arm in DPO}
        for arm in (one.name for one in (*HEADLINE, *RIVALS))
        for cell in known.cells(arm)
        for values in [known.of(arm, cell).mean(axis=0)]
    ])  # fmt: skip


def gaps(folder):
    """Every arm's reward at equal KL, but those with errors: the table of a figure."""
    known = Recorded(load_tables(folder))
    rows = []
    for arm in OTHERS:
        found = gap(arm)(known)
        if not math.isnan(found.value) and ARMS[arm] not in ERRORS:
            rows.append({"arm": arm, "label": ARMS[arm].label, "method": ARMS[arm].method,
                         "gap": found.value, "lo": found.low, "hi": found.high,
                         "published": SMALLEST_PUBLISHED})  # fmt: skip
    names = ("arm", "label", "method", "gap", "lo", "hi", "published")
    return columns(rows) if rows else dict.fromkeys(names, np.array([]))


TABLES = {table.__name__: table for table in (frontier, gaps)}
"""Of the figures, which name them "second.NAME"."""


def section(folder):
    """What the report says of the second study: reading, judged predictions, what lacks."""
    folder = Path(folder)
    known = Recorded(load_tables(folder))
    rows = judged(folder)
    return extent(folder, known) | {"reading": list(answers(known, rows)), "predictions": rows}
