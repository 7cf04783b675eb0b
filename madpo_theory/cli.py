"""The command ``madpo``: parse, call, print."""

import argparse
import os
import sys
from pathlib import Path

import tyro

from .align.store import RunError
from .diagnose.commands import diagnose, weights

# Idle OpenMP threads sleep instead of spinning: on busy cores the difference is large.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is first imported

__all__ = ["main"]

RUNS, FIGURES, REPORT = Path("runs"), Path("figures"), Path("report")
RESULTS = Path("results/sentiment")
MARK = {True: "agrees", False: "DISAGREES", None: "not checked here"}


def verify(
    json: Path | None = None,
    claim: tuple[str, ...] = (),
    show: bool = False,
    certificates: Path = RUNS / "certificates",
    readme: Path | None = None,
    graph: Path | None = None,
) -> int:
    """Gather the evidence for every claim and print the ledger; 1 if any evidence disagrees.

    Args:
        json: also write the ledger here, as JSON.
        claim: ids of the claims to verify; all by default.
        show: print each piece of evidence with its derivation.
        certificates: folder that interval certificates are written to.
        readme: Markdown file whose table of claims to renew, if all evidence is here and agrees.
        graph: SVG file to draw what the claims rest on in, down to theorems and certificates.
    """
    from .claims import CLAIMS, FILES, VERDICTS, select
    from .claims import verify as gather
    from .claims.graph import write_svg
    from .claims.markdown import insert_table

    ledger = gather(
        select(claim) if claim else CLAIMS, certificates=certificates, progress=sys.stderr.isatty()
    )
    for row, evidence in ledger.rows:
        kinds = ", ".join(dict.fromkeys(e.kind for e in evidence))
        checked = [e for e in evidence if e.checked]
        agreeing = f"{sum(e.agrees for e in checked)}/{len(checked)}"
        print(f"{row.id:<4}{VERDICTS[row.verdict]:<10}{agreeing:>6} agree  {row.reading}")
        print(f"{'':20}       {kinds}")
        if row.counterexample:
            print(f"{'':20}       counterexample: {row.counterexample}")
        for e in evidence:
            if e.kind == "proof" and (e.agrees or not e.checked):
                print(f"{'':20}       {'proved' if e.agrees else MARK[None]}: {e.name}")
        if show:
            for name in ("statement", "condition", "assumptions", "source", "figure"):
                if getattr(row, name):
                    print(f"{'':20}       {name}: {getattr(row, name)}")
            if row.uses:
                print(f"{'':20}       uses: {', '.join(row.uses)}")
        for e in evidence if show else [e for e in checked if not e.agrees]:
            print(f"    {e.kind}, {e.name}: {MARK[e.agrees if e.checked else None]}")
            print(f"        computed {e.computed}\n        theory   {e.theory}")
            if e.certificate:
                print(f"        certificate {certificates / e.certificate}")
            for number, step in enumerate(e.steps, 1):
                print(f"        {number}. {step}")
    if json is not None:
        ledger.write(json)
    wrong, unchecked = ledger.disagreements, ledger.unchecked
    if readme is not None and not wrong and not unchecked:
        insert_table(readme, CLAIMS)
    if graph is not None:
        write_svg(graph, CLAIMS, roots=claim, wrong={name for name, _ in wrong}, files=FILES)
    print(
        f"{len(ledger.rows)} claims in {ledger.seconds:.0f} s; "
        + (f"{len(wrong)} pieces of evidence DISAGREE" if wrong else "all evidence agrees")
    )
    if unchecked:
        print(f"{len(unchecked)} of the proofs {unchecked[0][1].computed}")
    return 1 if wrong else 0


def sentiment(arguments):
    """Run the sentiment experiment of a preset, with any setting overridden."""
    from experiments.sentiment import PRESETS, SentimentConfig, run
    from madpo_theory.align.processes import is_main

    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    first.add_argument("--root", type=Path, default=RUNS)
    chosen, rest = first.parse_known_args(arguments)
    config = tyro.cli(
        SentimentConfig,
        default=PRESETS[chosen.preset],
        args=rest,
        prog="madpo sentiment --preset {cpu,smoke,paper} --root RUNS",
        description=f"The sentiment experiment. Defaults below: preset {chosen.preset}.",
    )
    result = run(config, root=chosen.root)
    if not is_main():
        return 0
    print(result.summary.to_string(index=False, float_format="%.3f"))
    print(result.path)
    return 0


def study(
    results: Path = RESULTS,
    root: Path = RUNS / "sentiment",
    limit: int | None = None,
    seeds: tuple[int, ...] = (0, 1, 2),
    compare: Path | None = None,
    page: Path | None = None,
) -> int:
    """Run what is missing of the recorded sentiment study, and judge its predictions.

    14 hours of computing as recorded; every finished run is added to the tables in RESULTS.
    Stop it at any moment; the same command goes on.

    Args:
        results: folder of the tables; name another one to run the study anew.
        root: folder of the runs themselves; what is finished there is not run again.
        limit: run at most so many; 0 only judges what is there.
        seeds: seeds to run; others are left for another process or day.
        compare: a second results folder; the runs that both hold are printed side by side.
        page: Markdown page to write about the runs, with their figures beside it.
    """
    from experiments.sentiment import study as recorded
    from experiments.sentiment.page import publish
    from experiments.sentiment.predictions import judged
    from experiments.sentiment.tables import reading

    from .show.studies import told

    runs = [config for config in recorded.STUDY if config.seed in seeds]
    left = recorded.record(results, root=root, runs=runs, limit=limit)
    for row in judged(results):
        print(f"{row['id']} {row['verdict']}: {row['quantity']}: {told(row)}")
    print(reading(results))
    if compare is not None:
        print(recorded.compare(results, compare).to_string(index=False, float_format="%.3f"))
    if page is not None:
        print(publish(results, page))
    print(f"{left} runs left" if left else "all runs are recorded")
    return 0


def simulate(
    study: str,
    /,
    worlds: int = 100,
    out: Path = RUNS / "studies",
    seed: int = 0,
    device: str = "cpu",
    workers: int = 2,
    cluster: str | None = None,
    rewards: Path | None = None,
    page: Path | None = None,
) -> int:
    """Run a simulation study: OUT/STUDY.parquet, OUT/STUDY.png, and its predictions' verdicts.

    STUDY is noise, schedule, frontier, samples, pairs, sampling, phase, or all of them. Stop it at
    any moment; the same command goes on to the identical table.

    Args:
        study: noise, schedule, frontier, samples, pairs, sampling, phase, or all.
        worlds: number of worlds; world w is the same for every number of them.
        out: folder of the tables, the figures, the verdicts and the finished parts.
        seed: of everything drawn.
        device: torch device of the solvers.
        workers: processes; 0 works in this one.
        cluster: address of a Dask scheduler, tcp://HOST:PORT, whose workers do it instead.
        rewards: CSV, JSONL or Parquet with prompt, response, reward (and, if it is to be the
            reference policy, reference_probability); worlds are drawn from it.
        page: also write this Markdown page about the studies that OUT holds, and copy their
            figures into the folder figures/ beside it.
    """
    from .show.studies import STUDIES, executor_of, publish, run

    names = STUDIES if study == "all" else (study,)
    if study not in (*STUDIES, "all"):
        raise ValueError(f"study must be one of {', '.join(STUDIES)} or all, got {study!r}")
    made = run(names, worlds=worlds, out=out, seed=seed, device=device, rewards=rewards,
               executor=lambda: executor_of(workers, cluster))  # fmt: skip
    for result in made:
        print(result.table, result.picture, sep="\n")
        for line in result.lines():
            print(f"  {line}")
    if page is not None:
        print(publish(out, page))
    return 0


def figures(
    out: Path = FIGURES,
    experiment: Path | None = None,
    results: Path = RESULTS,
    names: tuple[str, ...] = (),
) -> int:
    """Draw the figures as PNG and PDF, each with the table it shows as CSV.

    Args:
        out: folder for the figures.
        names: which figures; all by default.
        experiment: folder of a finished experiment; by default the newest one under runs/.
        results: folder of the recorded sentiment study.
    """
    from .show.figures import make_figures

    sources = {"experiment": experiment or _newest_experiment(), "results": _recorded(results)}
    for path in make_figures(out, **sources, names=names or None):
        print(path)
    return 0


def report(
    out: Path = REPORT / "index.html",
    ledger: Path = REPORT / "ledger.json",
    figures: Path = FIGURES,
    experiment: Path | None = None,
    studies: Path = RUNS / "studies",
    results: Path = RESULTS,
) -> int:
    """Write the report, one self-contained page.

    Args:
        out: the page.
        ledger: JSON written by `madpo verify --json`.
        figures: folder written by `madpo figures`.
        experiment: folder of a finished experiment; by default the newest one under runs/.
        studies: folder of `madpo simulate`; the studies that it holds are shown.
        results: folder of the recorded sentiment study.
    """
    from .show.report import write_report

    page = write_report(
        out,
        ledger=ledger,
        figures=figures,
        experiment=experiment or _newest_experiment(),
        studies=studies,
        results=_recorded(results),
    )
    print(page)
    return 0


def reproduce(preset: str = "cpu", root: Path = RUNS) -> int:
    """Verify the claims, run the experiment, draw the figures, write the report.

    Args:
        preset: cpu, smoke or paper.
        root: folder of the experiment's runs; what is finished there is not run again.
    """
    from experiments.sentiment import PRESETS, run

    from .show.figures import make_figures
    from .show.report import write_report

    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {sorted(PRESETS)}, got {preset!r}")
    ledger = REPORT / "ledger.json"
    disagree = verify(json=ledger, certificates=REPORT / "certificates")
    experiment = run(PRESETS[preset], root=root).path
    results = _recorded(RESULTS)
    make_figures(FIGURES, experiment=experiment, results=results)
    page = write_report(
        REPORT / "index.html",
        ledger=ledger,
        figures=FIGURES,
        experiment=experiment,
        studies=RUNS / "studies",
        results=results,
    )
    print(f"report: {page}")
    return disagree


def _newest_experiment():
    finished = sorted(RUNS.glob("experiment-*/manifest.json"), key=lambda p: p.stat().st_mtime)
    return finished[-1].parent if finished else None


def _recorded(results):
    """The folder, if it holds recorded runs."""
    return results if (results / "summary.parquet").is_file() else None


COMMANDS = {
    "verify": verify,
    "sentiment": sentiment,
    "simulate": simulate,
    "study": study,
    "figures": figures,
    "report": report,
    "reproduce": reproduce,
    "diagnose": diagnose,
    "weights": weights,
}


def main(arguments=None):
    """Run one command; returns the exit status (2 for an error the user can mend)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        wrong = bool(arguments) and arguments[0] not in ("-h", "--help")
        lines = [f"  {name:<12}{f.__doc__.splitlines()[0]}" for name, f in COMMANDS.items()]
        usage = "usage: madpo COMMAND [--help]\n\n" + "\n".join(lines)
        if wrong:
            usage = f"madpo: no command {arguments[0]!r}\n{usage}"
        print(usage, file=sys.stderr if wrong else sys.stdout)
        return 2 if wrong else 0
    name, *rest = arguments
    try:
        if name == "sentiment":
            return sentiment(rest)
        return tyro.cli(COMMANDS[name], args=rest, prog=f"madpo {name}")
    except (ValueError, RunError, ModuleNotFoundError) as error:
        print(f"madpo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("madpo: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
