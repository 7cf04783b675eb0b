"""``madpo sentiment``, ``madpo study`` and ``madpo reproduce``: parse, call, print."""

import argparse
import math
from pathlib import Path
from typing import Annotated, Literal

import tyro

from madpo_theory.cli import FIGURES, REPORT, RESULTS, RUNS, recorded, verify
from madpo_theory.clone import needed
from madpo_theory.command import goes_on, grouped, parsed
from madpo_theory.files import check_output, must_be_writable
from madpo_theory.ops.checks import check_choice

from . import PRESETS, SentimentConfig, run

__all__ = ["reproduce", "sentiment", "study"]


@grouped("experiment")
@goes_on
def sentiment(arguments):
    """Run the sentiment experiment of a preset, with any setting overridden."""
    from madpo_theory.align.processes import is_main

    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    first.add_argument("--root", type=Path, default=RUNS)
    first.add_argument("--estimate", action=argparse.BooleanOptionalAction)
    chosen, rest = first.parse_known_args(arguments)
    config = tyro.cli(
        SentimentConfig,
        default=PRESETS[chosen.preset],
        args=rest,
        prog=f"madpo sentiment --preset {{{','.join(sorted(PRESETS))}}} --root RUNS",
        description=f"The sentiment experiment. Defaults below: preset {chosen.preset}.",
    )
    must_be_writable(chosen.root)
    estimate = chosen.preset == "paper" if chosen.estimate is None else chosen.estimate
    result = run(config, root=chosen.root, estimate=estimate)
    if not is_main():
        return 0
    print(result.summary.to_string(index=False, float_format="%.3f"))
    print(result.path)
    return 0


def _typed(
    preset: Literal[tuple(sorted(PRESETS))] = "cpu",
    root: Path = RUNS,
    estimate: bool = False,
    config: Annotated[SentimentConfig, tyro.conf.arg(name="")] = PRESETS["cpu"],
):
    """Run the sentiment experiment of a preset, with any setting overridden."""


sentiment.__wrapped__ = _typed  # what completion completes


@grouped("experiment")
@goes_on
@parsed
def study(
    results: Path | None = None,
    root: Path = RUNS / "sentiment",
    limit: int | None = None,
    minutes: float = math.inf,
    seeds: tuple[int, ...] = (0, 1, 2),
    second: Literal["", "card", "cpu", "smoke"] = "",
    rounding: bool = False,
    compare: Path | None = None,
    page: Path | None = None,
) -> int:
    """Run what is missing of a recorded sentiment study, and judge its predictions.

    14 hours of computing as recorded; every finished run is added to the tables in RESULTS.
    Stop it at any moment; the same command goes on. The same command in several processes, with one
    RESULTS and one ROOT, shares the runs among them.

    Args:
        results: folder of the tables; name another one to run the study anew. By default
            results/sentiment, of the second study results/sentiment-2.
        root: folder of the runs themselves; what is finished there is not run again.
        limit: run at most so many; 0 only judges what is there.
        minutes: start no run once so many have passed.
        seeds: seeds to run; others are left for another process or day.
        second: the second study, at this size: card is one CUDA GPU of 80 GB, cpu two cores, smoke
            a random model. It is judged once nothing is left, with limit 0, and with a page.
        rounding: compute the KL of one cell of the second study again, in float32, and keep it in
            RESULTS for the page; what it needs of the runs is in ROOT.
        compare: a second results folder; the runs that both hold are printed side by side.
        page: Markdown page to write about the runs, with their figures beside it.
    """
    needed("madpo study")
    from madpo_theory.simulate.predictions import told

    from . import second as second_study
    from . import study as runs_of

    check_output(page)
    if not set(seeds) or not set(seeds) <= set(runs_of.SEEDS):
        raise ValueError(f"--seeds must be among {', '.join(map(str, runs_of.SEEDS))}, got {seeds}")
    listed = second_study.study(second) if second else runs_of.STUDY
    runs = [config for config in listed if config.seed in seeds]
    results = results or RESULTS["second" if second else "results"]
    if second:
        second_study.of_one_size(results, second)
        from .second_page import publish, reading
        from .second_predictions import judged
    else:
        from .page import publish
        from .predictions import judged
        from .tables import reading
    if compare is not None:
        runs_of.load_tables(compare)
    if rounding and not second:
        raise ValueError("--rounding is of the second study: give --second cpu")
    left = runs_of.record(results, root=root, runs=runs, limit=limit, minutes=minutes)
    if rounding:
        from .second_rounding import measure

        print(measure(results, root, second))
    if not second or not left or limit == 0 or page is not None:
        for row in judged(results):
            print(f"{row['id']} {row['verdict']}: {row['quantity']}: {told(row)}")
        print(reading(results))
    if compare is not None:
        print(runs_of.compare(results, compare).to_string(index=False, float_format="%.3f"))
    if page is not None:
        print(publish(results, page))
    print(f"{left} runs left" if left else "all runs are recorded")
    return 0


@grouped("experiment")
@goes_on
@parsed
def reproduce(preset: str = "cpu", root: Path = RUNS) -> int:
    """Verify the claims, run the experiment, draw the figures, write the report.

    Args:
        preset: cpu, card, smoke or paper.
        root: folder of the experiment's runs; what is finished there is not run again.
    """
    needed("madpo reproduce")
    from madpo_theory.show.figures import make_figures
    from madpo_theory.show.report import write_report

    check_choice("preset", preset, sorted(PRESETS))
    for folder in (REPORT, FIGURES, root):
        must_be_writable(folder)
    ledger = REPORT / "ledger.json"
    disagree = verify(json=ledger, certificates=REPORT / "certificates")
    sources = {"experiment": run(PRESETS[preset], root=root).path, **recorded()}
    make_figures(FIGURES, **sources)
    page = write_report(
        REPORT / "index.html",
        ledger=ledger,
        figures=FIGURES,
        studies=RUNS / "studies",
        **sources,
    )
    print(f"report: {page}")
    return disagree
