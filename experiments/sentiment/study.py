"""The recorded study: tiers, seeds, methods and their variations, one run after another.

A run is one method in one cell (tier and seed) of the experiment, a SentimentConfig with a single
method. :func:`record` runs what a results folder lacks and adds each run to its tables when it is
finished, so it may be stopped at any moment; a run that the folder holds is not run again.
"""

import functools
import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from madpo_theory.align.config import TIERS, MarginConfig
from madpo_theory.align.extras import optional
from madpo_theory.align.store import SCHEMA, canonical, environment, say
from madpo_theory.files import held, must_be_writable, replacing

from . import PRESETS, SentimentConfig, run

__all__ = ["STUDY", "Tables", "compare", "load_tables", "record", "run_id"]

SEEDS = (0, 1, 2)
CPU = PRESETS["cpu"]


def variation(tier, seed, method, *, disturbance="none", level=0.0, preset=CPU, **settings):
    """The SentimentConfig of one run; `settings` are fields of AlignConfig."""
    margins = MarginConfig(disturbance, level)
    align = replace(preset.align, methods=(method,), margins=margins, **settings)
    return replace(preset, tier=tier, seed=seed, align=align)


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
    """

    summary: object
    prompts: object
    pairs: object
    steps: object


def load_tables(folder):
    """Read a results folder; FileNotFoundError or ValueError if it holds no finished run."""
    pandas = optional("pandas")
    folder = Path(folder)
    if not (folder / "summary.parquet").is_file():
        raise FileNotFoundError(f"{folder} holds no recorded run; `madpo study` makes one")
    try:
        return Tables(*(pandas.read_parquet(folder / f"{name}.parquet") for name in NAMES))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{folder}: not the tables of a study ({error}); take them from version control again, "
            "or name another folder"
        ) from error


def record(folder, *, root=Path("runs"), runs=STUDY, limit=None):
    """Run what `folder` lacks of `runs`, at most `limit` of them; returns how many are left.

    Several processes may record into one folder if none of their runs have a stage in common that
    is not finished yet: those of different seeds, once the scorer is trained.
    """
    if limit is not None and limit < 0:
        raise ValueError(f"limit = {limit} breaks the rule limit >= 0; 0 only judges what is there")
    left = [config for config in runs if not recorded(folder, config)]
    if left[:limit]:
        must_be_writable(folder)
        must_be_writable(root)
    commit()  # now, while it is the code that runs
    for number, config in enumerate(left[:limit], 1):
        (name,) = config.align.methods
        say(f"run {run_id(config)} ({number} of {len(left)}): {name}, {config.tier}, {config.seed}")
        result = run(config, root)
        Path(folder).mkdir(parents=True, exist_ok=True)
        with held(Path(folder) / ".lock"):
            add(folder, config, result)
    return max(0, len(left) - (len(left) if limit is None else limit))


def recorded(folder, config):
    """Whether a results folder holds a run.

    Its settings must be those that were recorded; settings that did not exist then must be at the
    default that gives the old behaviour. So a new setting does not undo old runs.
    """
    path = Path(folder) / "config.json"
    if not (Path(folder) / "summary.parquet").is_file() or not path.is_file():
        return False
    done = set(load_tables(folder).summary["run"])
    mine, default = flat(config), flat(SentimentConfig())

    def same(known):
        known = flat(known)
        fresh = mine.keys() - known.keys()
        return known.items() <= mine.items() and all(mine[k] == default[k] for k in fresh)

    known = json.loads(path.read_text(encoding="utf-8"))
    return any(name in done and same(settings) for name, settings in known.items())


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
    """Add a finished run to the tables; the summary, which says what is there, comes last."""
    pandas = optional("pandas")
    folder, name = Path(folder), run_id(config)
    cell = {"tier": config.tier, "seed": config.seed}
    rows = result.summary.iloc[1:].assign(run=name, lam=config.align.lam)
    rows = rows.assign(**asdict(config.align.margins))
    prompts = result.prompts.assign(run=name)
    of_sft = prompts["method"] == "sft"
    prompts.loc[of_sft, "run"] = f"sft-{config.tier}-{config.seed}"
    pairs = result.run.read_table("pairs.parquet")
    columns = ["pair", "split", "first_chosen", "review_rejected", "true_margin", "model_margin"]
    fresh = {
        "prompts": prompts.drop(columns="method"),
        "pairs": pairs[columns].assign(**cell),
        "steps": result.steps.assign(run=name).drop(columns="method"),
        "summary": rows,
    }
    keys = {"prompts": ["run", "prompt"], "pairs": ["tier", "seed", "pair"]}
    keys |= {"steps": ["run", "step"], "summary": ["run"]}
    about = {
        "config.json": json.loads(canonical(config)),
        "env.json": environment() | {"commit": commit(), "seconds": float(rows["seconds"].iloc[0])},
    }
    for file, value in about.items():
        known = json.loads((folder / file).read_text("utf-8")) if (folder / file).is_file() else {}
        with replacing(folder / file) as path:
            path.write_text(lines_of(known | {name: value}), "utf-8")
    for table, new in fresh.items():
        path = folder / f"{table}.parquet"
        old = [pandas.read_parquet(path)] if path.is_file() else []
        whole = pandas.concat([*old, new], ignore_index=True)
        whole = whole.drop_duplicates(keys[table], keep="last").reset_index(drop=True)
        with replacing(path) as temporary:
            whole.to_parquet(temporary, index=False)


def lines_of(values):
    """A JSON object with one line for each of its values, so that versions compare well."""
    rows = [f"{json.dumps(key)}: {json.dumps(values[key], sort_keys=True)}" for key in values]
    return "{\n" + ",\n".join(rows) + "\n}\n"


@functools.cache
def commit():
    """The commit of the code when first asked, + for changes on top of it; None without git."""
    folder = Path(__file__).parent

    def git(*arguments):
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "--short=10", "HEAD")
    changed = git("status", "--porcelain", "--", "../../madpo_theory", ".")
    return head and head + "+" * bool(changed)


def compare(folder, other):
    """Runs that two results folders share, with reward and KL of either: a DataFrame."""
    columns = ["run", "tier", "method", "beta", "c_max", "tau", "seed", "reward", "kl"]
    mine, theirs = (load_tables(path).summary[columns] for path in (folder, other))
    return mine.merge(theirs[["run", "reward", "kl"]], on="run", suffixes=("", "_other"))
