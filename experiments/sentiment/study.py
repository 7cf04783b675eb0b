"""The recorded study: tiers, seeds, methods and their variations, one run after another.

A run is one method in one cell (tier and seed) of the experiment, a SentimentConfig with a single
method. :func:`record` runs what a results folder lacks and adds each run to its tables when it is
finished, so it may be stopped at any moment; a run that the folder holds is not run again.
"""

import functools
import hashlib
import io
import json
import math
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from madpo_theory.align.config import TIERS, MarginConfig
from madpo_theory.align.extras import optional
from madpo_theory.align.store import SCHEMA, Busy, canonical, environment, say
from madpo_theory.align.summary import MEASURED
from madpo_theory.files import held, must_be_writable, replacing

from . import PRESETS, SentimentConfig, run

__all__ = ["STUDY", "Tables", "compare", "lacking", "load_tables", "record", "run_id"]

SEEDS = (0, 1, 2)
CPU = PRESETS["cpu"]


def variation(
    tier, seed, method, *, disturbance="none", level=0.0, label_noise=0.0, preset=CPU, **settings
):
    """The SentimentConfig of one run; `settings` are fields of AlignConfig."""
    margins = MarginConfig(disturbance, level)
    align = replace(preset.align, methods=(method,), margins=margins, **settings)
    return replace(preset, tier=tier, seed=seed, align=align, label_noise=label_noise)


def headline(tier, seed, preset=CPU):
    """The comparison of the paper and its matched-temperature control."""
    names = ("dpo", "madpo", "dpo_matched", "ipo", "beta_dpo")
    return [variation(tier, seed, name, preset=preset) for name in names]


def study(preset=CPU):
    """Every run, the most telling first."""

    def at(method, tier="high", **settings):
        return variation(tier, 0, method, preset=preset, **settings)

    rivals = ("dpo_filtered", "dpo_relabelled", "bounded_ratio", "target_shaped", "distillation")
    return (
        *[run for tier in ("high", "low", "medium") for run in headline(tier, 0, preset)],
        *[at("dpo", tier, beta=beta) for tier in TIERS for beta in (0.05, 0.0125)],
        *[at(method) for method in rivals],
        at("madpo", disturbance="noisy", level=1.0),
        at("madpo", disturbance="noisy", level=4.0),
        at("madpo", disturbance="flipped", level=0.25),
        at("madpo", disturbance="flipped", level=1.0),
        at("madpo", disturbance="scaled", level=4.0),
        at("madpo", disturbance="exact"),
        *[at("madpo", c_max=c_max) for c_max in (2.0, 3.0)],
        *[at("madpo", c_max=2.0, tau=tau) for tau in (0.5, 2.0, 4.0, 10.0)],
        at("amp_only"),
        at("reg_only"),
        *[at(method, c_max=2.0, tau=0.5) for method in ("amp_only", "reg_only")],
        *[
            at(method, "low", c_max=2.0, tau=0.5)
            for method in ("madpo", "bounded_ratio", "target_shaped")
        ],
        at("ipo_per_token"),
        at("beta_dpo_madpo"),
        *[run for seed in SEEDS[1:] for tier in TIERS for run in headline(tier, seed, preset)],
    )


STUDY = study()


def run_id(config):
    """Short name of a run: a hash of all its settings."""
    text = canonical({"schema": SCHEMA, "run": config})
    return hashlib.sha256(text.encode()).hexdigest()[:10]


NAMES = ("summary", "prompts", "pairs", "steps")


@dataclass(frozen=True)
class Tables:
    """What a results folder holds, as pandas.DataFrames.

    Attributes
    ----------
    summary : one row a run, `run` its id; the columns of SentimentResult.summary, what the method
        was told about margins (`disturbance`, `level`) and `lam`.
    prompts : reward and KL of every run's sample for every evaluation prompt; runs named
        sft-TIER-SEED are the fine-tuned model's.
    pairs : label, true margin and the reward model's margin of every pair, by `tier` and `seed`.
    steps : what every update logged, by run.
    texts : of every run and evaluation prompt, at each decoding temperature, the text's reward,
        length and whether it is degenerate; None where nothing was measured but at temperature 1.
    responses : of every run and some pairs, log-probabilities of both responses under policy and
        reference; None the same.

    Summary and pairs have a column `label_noise`.
    """

    summary: object
    prompts: object
    pairs: object
    steps: object
    texts: object = None
    responses: object = None


def load_tables(folder):
    """Read a results folder; FileNotFoundError or ValueError if it holds no finished run."""
    pandas = optional("pandas")
    folder = Path(folder)
    if not (folder / "summary.parquet").is_file():
        raise FileNotFoundError(f"{folder} holds no recorded run; `madpo study` makes one")
    more = [name for name in MEASURED if (folder / f"{name}.parquet").is_file()]
    try:
        found = {n: pandas.read_parquet(folder / f"{n}.parquet") for n in (*NAMES, *more)}
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{folder}: not the tables of a study ({error}); take them from version control again, "
            "or name another folder"
        ) from error
    for name in ("summary", "pairs"):
        if "label_noise" not in found[name]:  # recorded before there was any
            found[name] = found[name].assign(label_noise=0.0)
    return Tables(**found)


def record(folder, *, root=Path("runs"), runs=STUDY, limit=None, minutes=math.inf):
    """Run what `folder` lacks of `runs`; returns how many are left.

    It starts at most `limit` of them, and none once so many `minutes` have passed. Several
    processes may record into one folder with one root, given the same runs: whoever is free takes
    the first that is, and waits where all begin with a stage that another process is computing.
    A cell that was begun from other pairs than are computed here, as another kind of processor
    rounds otherwise, is left as it is, and said.
    """
    if limit is not None and limit < 0:
        raise ValueError(f"limit = {limit} breaks the rule limit >= 0; 0 only judges what is there")
    if not minutes > 0:
        raise ValueError(f"minutes = {minutes} breaks the rule minutes > 0; limit 0 starts none")
    left = lacking(folder, runs)
    if left and limit != 0:
        must_be_writable(folder)
        must_be_writable(root)
    commit()  # now, while it is the code that runs
    end, done, others = time.monotonic() + 60 * minutes, 0, []
    while left and done != limit and time.monotonic() < end:
        try:
            finished, busy = next_run(folder, root, left)
        except OtherCell as other:
            say(str(other))
            others += [config for config in left if cell_of(config) == other.cell]
            left = [config for config in left if cell_of(config) != other.cell]
            continue
        done += finished
        left = lacking(folder, left)
        if not finished and not busy:
            break  # other processes have the rest
        while busy and not any(stage.over() for stage in busy) and time.monotonic() < end:
            time.sleep(PAUSE)
    return len(left) + len(lacking(folder, others))


PAUSE = 0.5
"""Seconds until stages that other processes are computing are looked at again."""


class OtherCell(ValueError):
    """Runs of a cell are recorded that come from other pairs, or another reference, than here."""

    def __init__(self, text, cell):
        super().__init__(text)
        self.cell = cell


def cell_of(config):
    """(tier, seed, label noise): runs of a cell are compared pair by pair."""
    return config.tier, config.seed, config.label_noise


def next_run(folder, root, left):
    """Record the first of some runs that no other process has taken, and whose cell none works on.

    Returns (whether there was one, else :class:`Busy` of each stage that a free run waits for).
    """
    busy = {}
    for config in left:
        name, cell = run_id(config), cell_of(config)
        if cell in busy:
            continue
        claim = Path(root) / "claims" / name
        claim.parent.mkdir(parents=True, exist_ok=True)
        with held(claim, wait=False) as mine:
            if not mine or recorded(folder, config):
                continue
            say(f"run {name} ({len(left)} left): {config.align.methods[0]}, {cell}")
            try:
                result = run(config, root)
            except Busy as stage:
                busy[cell] = stage
                continue
            Path(folder).mkdir(parents=True, exist_ok=True)
            with held(Path(folder) / ".lock"):
                add(folder, config, result)
            return True, ()
    return False, tuple(busy.values())


def lacking(folder, runs):
    """Those of some runs that a results folder does not hold, in their order.

    The settings of a run that it holds must be those that were recorded; settings that did not
    exist then must be at the default that gives the old behaviour. So a new setting does not undo
    old runs.
    """
    path, summary = (Path(folder) / name for name in ("config.json", "summary.parquet"))
    if not summary.is_file() or not path.is_file():
        return list(runs)
    # Read at once: another process may put a new file in its place at any moment.
    table = optional("pandas").read_parquet(io.BytesIO(summary.read_bytes()), columns=["run"])
    done, default = set(table["run"]), flat(SentimentConfig())
    known = [flat(c) for name, c in json.loads(path.read_text("utf-8")).items() if name in done]

    def held_there(config):
        mine = flat(config)
        return any(
            old.items() <= mine.items()
            and all(mine[k] == default.get(k) for k in mine.keys() - old.keys())
            for old in known
        )

    return [config for config in runs if not held_there(config)]


def recorded(folder, config):
    """Whether a results folder holds a run, see :func:`lacking`."""
    return not lacking(folder, [config])


def flat(config):
    """Settings by dotted name, each as JSON."""
    rows, left = {}, [("", json.loads(canonical(config)))]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{name}.{key}", inner) for key, inner in value.items()]
        else:
            rows[name] = json.dumps(value)
    return rows


def add(folder, config, result):
    """Add a finished run to the tables; the summary, which says what is there, comes last.

    :class:`OtherCell`, and nothing is written, if its cell's pairs or reference are not those
    recorded.
    """
    folder, name = Path(folder), run_id(config)
    cell = dict(zip(("tier", "seed", "label_noise"), cell_of(config), strict=True))
    rows = result.summary.iloc[1:].assign(run=name, lam=config.align.lam)
    rows = rows.assign(**asdict(config.align.margins), label_noise=config.label_noise)

    def by_run(table):
        of_sft = table["method"] == "sft"
        names = np.where(of_sft, f"sft-{config.tier}-{config.seed}", name)
        return table.drop(columns="method").assign(run=names)

    pairs = result.run.read_table("pairs.parquet")
    columns = ["pair", "split", "first_chosen", "review_rejected", "true_margin", "model_margin"]
    fresh = {
        "prompts": by_run(result.prompts),
        "pairs": pairs[columns].assign(**cell),
        "steps": by_run(result.steps),
        **{table: by_run(found) for table in MEASURED
           if (found := getattr(result, table)) is not None},
        "summary": rows,
    }  # fmt: skip
    keys = {"prompts": ["run", "prompt"], "pairs": [*cell, "pair"]}
    keys |= {"texts": ["run", "temperature", "prompt"], "responses": ["run", "pair"]}
    keys |= {"steps": ["run", "step"], "summary": ["run"]}
    whole = {
        table: joined(folder, table, rows, keys[table], cell_of(config))
        for table, rows in fresh.items()
    }
    about = {
        "config.json": json.loads(canonical(config)),
        "env.json": environment()
        | {"card": card(), "commit": commit(), "seconds": float(rows["seconds"].iloc[0])}
        | {key: result.details["precision"][key] for key in ("dtype", "threads")},
    }
    for file, value in about.items():
        known = json.loads((folder / file).read_text("utf-8")) if (folder / file).is_file() else {}
        with replacing(folder / file) as path:
            path.write_text(lines_of(known | {name: value}), "utf-8")
    for table, rows in whole.items():
        with replacing(folder / f"{table}.parquet") as temporary:
            rows.to_parquet(temporary, index=False)


def joined(folder, table, fresh, keys, cell):
    """A results folder's table with fresh rows; those that it has must be the same in both."""
    pandas = optional("pandas")
    path = folder / f"{table}.parquet"
    if not path.is_file():
        return fresh
    known = pandas.read_parquet(path)
    both = known.merge(fresh, on=keys, suffixes=("", "_fresh"))
    for name in known.columns.intersection(fresh.columns).difference(keys):
        old, new = both[name], both[f"{name}_fresh"]
        wrong = (old != new) & (old.notna() | new.notna())
        if wrong.any():
            place = both.loc[wrong, keys].iloc[0].to_dict()
            raise OtherCell(
                f"{path} holds another {name} of {place}: runs of a cell are compared pair by "
                "pair, and these were computed from other pairs, by another machine perhaps; go on "
                "with the root folder that the recorded ones come from, or name another results "
                "folder",
                cell,
            )
    rows = pandas.concat([known, fresh], ignore_index=True)
    return rows.drop_duplicates(keys, keep="last").reset_index(drop=True)


def lines_of(values):
    """A JSON object with one line for each of its values, so that versions compare well."""
    rows = [f"{json.dumps(key)}: {json.dumps(values[key], sort_keys=True)}" for key in values]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def card():
    """Name of the card that computes here, or None."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


@functools.cache
def commit():
    """The commit of the code when first asked, + for changes on top of it.

    Without git what `make gpu-pack` noted for a copy of the tree; else None.
    """
    folder = Path(__file__).parent
    noted = folder.parents[1] / "build" / "card" / "commit"

    def git(*arguments):
        with suppress(FileNotFoundError):
            done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
            if done.returncode == 0:
                return done.stdout.strip()
        return None

    if git("rev-parse") is None and noted.is_file():
        return noted.read_text("utf-8").strip()

    head = git("rev-parse", "--short=10", "HEAD")
    changed = git("status", "--porcelain", "--", "../../madpo_theory", ".")
    return head and head + "+" * bool(changed)


def compare(folder, other):
    """Runs that two results folders share, with reward and KL of either: a DataFrame."""
    columns = ["run", "tier", "method", "beta", "c_max", "tau", "seed", "reward", "kl"]
    mine, theirs = (load_tables(path).summary[columns] for path in (folder, other))
    return mine.merge(theirs[["run", "reward", "kl"]], on="run", suffixes=("", "_other"))
