"""``madpo train`` and ``madpo frontier``: parse, call, print."""

import argparse
import shlex
import warnings
from dataclasses import fields
from inspect import cleandoc
from pathlib import Path
from typing import Annotated

import tyro

from ..command import goes_on, grouped, parsed
from ..files import check_output
from .config import Training

__all__ = ["frontier", "train"]


@grouped("pairs", 4)
@goes_on
def train(arguments):
    """Train a policy on pairs with TRL, by weights or by any method, and judge it on held-out ones.

    CONFIG.yaml holds TRL's own options (DPOConfig, ModelConfig) and those below; options after it
    override it. OUTPUT_DIR gets the model, madpo.json, evaluation.json and samples.jsonl.
    Stop it at any moment; the same command goes on from the last checkpoint.
    """
    known = "\n".join(f"  {f.name:<14}{f.metadata['help']}" for f in fields(Training))
    parser = argparse.ArgumentParser(
        "madpo train", "madpo train CONFIG.yaml [--NAME VALUE ...]", cleandoc(train.__doc__),
        epilog=f"options besides TRL's:\n{known}", allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("config", type=Path, metavar="CONFIG.yaml")
    given, overrides = parser.parse_known_args(arguments)
    from .run import train as run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of transformers, about its own names
        found = run(given.config, overrides)
    for folder, row in found.items():
        print(f"{folder}: {_told(row)}")
    folders = " ".join(shlex.quote(str(folder)) for folder in found)
    print(f"next: madpo frontier {folders}")
    return 0


def _typed(
    config: Annotated[Path, tyro.conf.Positional],
    options: Annotated[Training, tyro.conf.arg(name="")],
):
    """Train a policy on pairs with TRL, by weights or by any method."""


train.__wrapped__ = _typed  # what completion completes, besides TRL's


def _told(row):
    """One line of an evaluation."""
    told = (
        f"{row['label']}, beta {row['beta']:.4g}: held-out loss {row['loss']:.4f}, without weights "
        f"{row['unweighted_loss']:.4f}, accuracy {row['accuracy']:.1%}, KL {row['kl']:.3f} +- "
        f"{row['kl_error']:.3f} nats"
    )
    if "reward" in row:
        told += (
            f", reward {row['reward']:.3f} +- {row['reward_error']:.3f} from "
            f"{row['reference_reward']:.3f}"
        )
    return told


@grouped("pairs", 5)
@parsed
def frontier(
    runs: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN")],
    /,
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("frontier.png"),
) -> int:
    """Draw runs of `madpo train` on the plane of reward and KL, with 95 % intervals.

    Compare at equal KL: more reward further right is what any smaller beta buys.

    Args:
        runs: their output folders; each must have been given a reward_model, all the same one.
        out: the figure, .png or .pdf; its table is written beside it, as CSV.
    """
    from .frontier import draw

    check_output(out)
    table, paths = draw(runs, out)
    for label, kl, reward in zip(table["label"], table["kl"], table["reward"], strict=True):
        print(f"{label:<40} KL {kl:8.3f} nats   reward {reward:8.3f}")
    print(*paths, sep="\n")
    return 0
