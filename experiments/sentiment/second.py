"""The second study: DPO at six temperatures in every cell, every rival, errors and label noise.

A run is an arm (a method with its settings, what is done to its margins, label noise) in a cell
(tier and seed). :func:`study` lists them, the most telling first, the headline before all else. On
two cores the first 225 runs take eight to twelve hours, of several days and perhaps machines, and
another kind of processor draws other pairs, while a cell's runs are compared pair by pair: the
headline comes cell after cell there, then arm after arm, each in all three seeds, for nothing is
measured in fewer than two cells. A card does block after block, each with all three seeds, so that
what is there when time runs out is balanced.
"""

import functools
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from madpo_theory.order import safe_tau

from . import PRESETS
from .study import SEEDS, run_id, variation

__all__ = [
    "ARMS",
    "BETAS",
    "BEYOND",
    "DECODED",
    "KNOWING",
    "LABEL_NOISE",
    "SIZES",
    "TEMPERATURES",
    "Arm",
    "Spot",
    "headline_lacks",
    "listed",
    "of_one_size",
    "spots",
    "study",
]

SIZES = ("card", "cpu", "smoke")
"""Presets that the study is made for."""
TEMPERATURES = (0.5, 0.75, 1.25)
"""Decoding temperatures besides 1."""
DECODED = tuple(sorted((*TEMPERATURES, 1.0)))
BETAS = (0.4, 0.2, 0.1, 0.05, 0.025, 0.0125)
TIERS = ("high", "low", "medium")
LABEL_NOISE = 0.2
CLIP = 1.0
"""Nats within which the clipped offset is held."""


@dataclass(frozen=True)
class Arm:
    """A method with its settings, as :func:`~.study.variation` takes them."""

    name: str
    label: str
    method: str
    settings: dict = field(default_factory=dict)


def arm(name, label, method=None, **settings):
    return Arm(name, label, method or name, settings)


def with_own(method, name=None, label=None, beta=0.1, **own):
    """A method with settings of its own; beta 0.1 where its paper's is on the same scale."""
    label = label or " ".join([method, *(f"{key} {value:g}" for key, value in own.items())])
    return arm(name or method, label, method, beta=beta, settings=tuple(own.items()))


def dpo_at(*betas):
    return tuple(arm(f"dpo {beta:g}", f"DPO β {beta:g}", "dpo", beta=beta) for beta in betas)


DPO = dpo_at(*BETAS)
BEYOND = dpo_at(1.6, 0.8, 0.00625)
"""Added on 2026-11-27, when the headline and the rivals had been seen, for the arms that lie
outside DPO's line; no prediction reads them."""

HEADLINE = (
    *DPO,
    arm("madpo", "MADPO, c_max 4"),
    arm("madpo 2", "MADPO, c_max 2", "madpo", c_max=2.0),
    arm("offset", "offset MADPO, c_max 4", "offset_madpo"),
    arm("bounded_ratio", "bounded ratio, c_max 4"),
)

RIVALS = (
    arm("madpo safe", "MADPO, c_max 4, safe τ", "madpo", tau=safe_tau(4, 1 / 4, 1)),
    with_own("offset_madpo", "offset clip", f"offset MADPO within {CLIP:g} nat", clip=CLIP),
    arm("target_shaped", "target shaped, c_max 4"),
    arm("efficient", "efficient, c_max 4"),
    arm("beta_dpo", "β-DPO"),
    arm("ipo", "IPO, β 0.1"),
    arm("ipo 0.025", "IPO, β 0.025", "ipo", beta=0.025),
    arm("sigma", "weight σ(h)", "madpo", weight="reward_probability"),
    with_own("odpo", label="ODPO, α 1", alpha=1.0),
    with_own("simpo", label="SimPO, β 2, γ 0.5", beta=2.0, gamma=0.5),
    with_own("rpo", "dpo nll", "DPO + NLL, α 1", eta=10.0),  # eta beta = 1, arXiv 2404.19733
    with_own("cdpo", label="cDPO, ε 0.1", epsilon=0.1),
    with_own("rdpo", label="rDPO, ε 0.1", epsilon=0.1),
    with_own("cal_dpo", label="Cal-DPO, β 0.1"),
    with_own("amapo", label="AMaPO, β 2", beta=2.0),
    with_own("alpha_dpo", label="α-DPO, β 2.5", beta=2.5, alpha=0.5, gamma=1.5),
    arm("madpo 2 safe", "MADPO, c_max 2, safe τ", "madpo", c_max=2.0, tau=safe_tau(2, 1 / 2, 1)),
)

ERRORS = tuple(
    arm(f"{name} {kind} {level:g}", f"{label}, margins {kind} {level:g}", method,
        disturbance=kind, level=level)
    for kind, levels in (("noisy", (4.0, 1.0, 2.0)), ("flipped", (0.5, 0.25, 0.1)),
                         ("scaled", (4.0, 2.0, 0.5)))
    for level in levels
    for name, label, method in (("madpo", "MADPO", "madpo"),
                                ("offset", "offset MADPO", "offset_madpo"))
)  # fmt: skip
"""DPO sees no margins: its runs without errors are the control."""


def mislabelled(one):
    settings = one.settings | {"label_noise": LABEL_NOISE}
    return replace(one, name=f"{one.name} noise", label=f"{one.label}, labels noisy",
                   settings=settings)  # fmt: skip


NOISY = tuple(map(mislabelled, (
    *DPO, HEADLINE[6], HEADLINE[8],
    with_own("rdpo", "rdpo 0.2", "rDPO, ε 0.2", epsilon=0.2),
    with_own("cdpo", "cdpo 0.2", "cDPO, ε 0.2", epsilon=0.2),
)))  # fmt: skip

KNOWING = tuple(map(mislabelled, (
    arm("madpo exact", "MADPO, exact margins", "madpo", disturbance="exact"),
    arm("offset exact", "offset MADPO, exact margins", "offset_madpo", disturbance="exact"),
)))  # fmt: skip
"""Added on 2026-11-27, after runs with noisy labels: a reward model that knows which are wrong."""

ARMS = {one.name: one for one in (*HEADLINE, *KNOWING, *BEYOND, *RIVALS, *NOISY, *ERRORS)}

MAIN = (
    *((tier, HEADLINE) for tier in TIERS),
    ("high", RIVALS),
    ("high", NOISY),
    ("high", ERRORS),
)
MORE = (
    ("high", KNOWING),
    ("high", BEYOND),
    *((tier, BEYOND[-1:]) for tier in TIERS[1:]),
    *((tier, RIVALS) for tier in TIERS[1:]),
)
"""What a study is whole without."""


@dataclass(frozen=True)
class Spot:
    """Where a run stands in the study."""

    arm: str
    tier: str
    seed: int
    size: str

    @property
    def cell(self):
        return self.tier, self.seed


def _place(run):
    """Where an (arm, tier, seed) comes on two cores."""
    one, tier, seed = run
    arm, cell = list(ARMS).index(one.name), (seed, TIERS.index(tier))
    return (0, *cell, arm) if one in HEADLINE else (1, arm, *cell)


@functools.cache
def listed(size):
    """{:class:`Spot`: SentimentConfig} of a size, in the order in which they are run."""
    preset = replace(
        PRESETS[size], evaluate=replace(PRESETS[size].evaluate, temperatures=TEMPERATURES)
    )
    spots = [
        [(one, tier, seed) for tier, arms in blocks for seed in SEEDS for one in arms]
        for blocks in (MAIN, MORE)
    ]
    if size == "cpu":
        for block in spots:
            block.sort(key=_place)
    return {
        Spot(one.name, tier, seed, size): variation(
            tier, seed, one.method, preset=preset, **one.settings
        )
        for block in spots
        for one, tier, seed in block
    }


def study(size="cpu", *, more=True):
    """Every run of a size, in the order in which they are run: SentimentConfigs.

    Without `more`, those of :data:`MAIN` alone, which come first.
    """
    main = sum(len(arms) for _, arms in MAIN) * len(SEEDS)
    return tuple(listed(size).values())[: None if more else main]


@functools.cache
def spots():
    """Run id -> :class:`Spot`, of all sizes."""
    return {run_id(config): spot for size in SIZES for spot, config in listed(size).items()}


def headline_lacks(folder):
    """How many of the headline's runs a results folder lacks: all tiers, seeds and ten arms.

    Claims read no study whose headline is not whole: what is looked at while runs still come is
    looked at until it pleases.
    """
    path = Path(folder) / "config.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else ()
    names = {one.name for one in HEADLINE}
    return min(
        sum(spot.arm in names and run_id(config) not in known
            for spot, config in listed(size).items())
        for size in ("cpu", "card")
    )  # fmt: skip


def of_one_size(folder, size):
    """ValueError if a results folder holds runs of the study at another size, or of another."""
    path = Path(folder) / "config.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else ()
    found = {spots()[run].size if run in spots() else "another study" for run in known}
    if found - {size}:
        raise ValueError(
            f"{folder} holds runs of {', '.join(sorted(found))} and can take none of {size}: pairs "
            "are kept by tier and seed; name another folder"
        )
