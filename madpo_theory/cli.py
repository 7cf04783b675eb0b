"""The command ``madpo``: parse, call, print."""

import os
import sys
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import tyro

from . import __version__, extensions
from .command import GROUPS, Flat, Released, Schedule, goes_on, grouped, parsed
from .files import RunError, check_output, must_be_writable, system_error, written
from .leash import stoppable
from .listing import KINDS, listed
from .ops.checks import check_choice, nearest
from .registry import in_user_file

# Idle OpenMP threads sleep instead of spinning: on busy cores the difference is large.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is first imported

__all__ = ["main"]

RUNS, FIGURES, REPORT = Path("runs"), Path("figures"), Path("report")
RESULTS = {"results": Path("results/sentiment"), "second": Path("results/sentiment-2")}


def verify(
    json: Path | None = None,
    claim: tuple[str, ...] = (),
    method: str | None = None,
    show: bool = False,
    certificates: Path = RUNS / "certificates",
    page: Path | None = None,
    graph: Path | None = None,
) -> int:
    """Gather the evidence for every claim and print the ledger; 1 if any evidence disagrees.

    Also 1 if nothing could be checked of a claim that was asked for; 2 if evidence ended in an
    error, which counts neither way.

    Args:
        json: also write the ledger here, as JSON.
        claim: ids of the claims to verify; all by default.
        method: put the theorems that hold of every method in slots to the test on this one instead:
            a method or weight by name, or path/to/file.py:Name.
        show: print each piece of evidence with its derivation.
        certificates: folder that interval certificates are written to.
        page: Markdown page whose table of claims to renew, if all evidence is here and agrees.
        graph: SVG file to draw what the claims rest on in, down to theorems and certificates.
    """
    from .claims import CLAIMS, FILES, select
    from .claims import verify as gather
    from .claims.graph import write_svg
    from .claims.markdown import table
    from .files import insert_between

    check_output(json, graph, page)
    if method is not None:
        return _verify_method(method, claim, certificates, show=show, json=json)
    ledger = gather(
        select(claim) if claim else CLAIMS, certificates=certificates, progress=sys.stderr.isatty()
    )
    status = _shown(ledger, certificates, show=show, json=json)
    if page is not None and not status and not ledger.unchecked:
        insert_between(page, "claims", table(CLAIMS))
    if graph is not None:
        wrong = {name for name, _ in ledger.disagreements}
        write_svg(graph, CLAIMS, roots=claim, wrong=wrong, files=FILES)
    return status


def _verify_method(spec, ids, certificates, *, show, json):
    """`verify` of the theorems of one method or weight."""
    from .claims import verify as gather
    from .claims.generic import theorems
    from .methods import method_from

    claims, left_out = theorems(method_from(spec), spec.rpartition(":")[2])
    known = [claim.id for claim in claims]
    for wanted in ids:
        check_choice(f"claim of {spec}", wanted, known)
    claims = [claim for claim in claims if not ids or claim.id in ids]
    ledger = gather(claims, certificates=certificates, progress=sys.stderr.isatty())
    status = _shown(ledger, certificates, show=show, json=json)
    if left_out:
        print(f"does not apply: {'; '.join(left_out)}")
    return status


def _shown(ledger, certificates, *, show, json):
    """Print a ledger, and write it if asked; returns the exit status."""
    from .verdicts import VERDICTS

    for row, evidence in ledger.rows:
        kinds = ", ".join(dict.fromkeys(e.kind for e in evidence))
        checked = [e for e in evidence if e.checked]
        agreeing = f"{sum(e.agrees for e in checked)}/{len(checked)}"
        told = [row.title, row.reading] if row.title else [row.reading]
        print(f"{row.id:<5}{VERDICTS[row.verdict].text:<9}{agreeing:>6} agree  {told[0]}")
        for line in (*told[1:], kinds):
            print(f"{'':20}       {line}")
        if row.counterexample:
            print(f"{'':20}       counterexample: {row.counterexample}")
        for e in evidence:
            if e.kind == "proof" and (e.agrees or not e.checked):
                print(f"{'':20}       {'proved' if e.agrees else e.outcome}: {e.name}")
        if show:
            for name in ("statement", "condition", "assumptions", "source", "figure"):
                if getattr(row, name):
                    print(f"{'':20}       {name}: {getattr(row, name)}")
            if row.uses:
                print(f"{'':20}       uses: {', '.join(row.uses)}")
        for e in evidence if show else [e for e in evidence if e.error or e.checked > e.agrees]:
            print(f"    {e.kind}, {e.name}: {e.outcome}")
            print(f"        computed {e.computed}\n        theory   {e.theory}")
            if e.certificate:
                print(f"        certificate {certificates / e.certificate}")
            for number, step in enumerate(e.steps, 1):
                print(f"        {number}. {step}")
            for false in e.foils if show else ():
                print(f"        foil     {false}: the tests see it disagree")
    if json is not None:
        ledger.write(json)
    wrong, errors, unverified = ledger.disagreements, ledger.errors, ledger.unverified
    told = [f"{_pieces(len(wrong))} DISAGREE{'S' * (len(wrong) == 1)}"] * bool(wrong)
    told += [f"{_pieces(len(errors))} ended in an ERROR, which counts neither way"] * bool(errors)
    told += [f"nothing was checked of {', '.join(unverified)}"] * bool(unverified)
    told = "; ".join(told) or "all evidence agrees"
    print(f"{len(ledger.rows)} claims in {ledger.seconds:.0f} s; {told}")
    for why, of in Counter(e.computed for _, e in ledger.unchecked if e.kind != "roll-up").items():
        print(f"{_pieces(of)} {why}")
    return 1 if wrong else 2 if errors else 1 if unverified else 0


def _pieces(count):
    return f"{count} piece{'s' * (count != 1)} of evidence"


_STUDIES = ", ".join(extensions.STUDIES)


def simulate(
    study: Annotated[str, tyro.conf.arg(metavar="STUDY")],
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
    """Run a simulation study: OUT/STUDY.parquet, OUT/STUDY.svg, and its predictions' verdicts.

    Stop it at any moment; the same command goes on to the identical table.

    Args:
        study: {studies}, or all of them.
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
    from .show.studies import draw_study, publish
    from .simulate.studies import executor_of, run

    check_output(page)
    check_choice("study", study, (*extensions.STUDIES, "all"))
    names = tuple(extensions.STUDIES) if study == "all" else (study,)
    made = run(names, worlds=worlds, out=out, seed=seed, device=device, rewards=rewards,
               executor=lambda: executor_of(workers, cluster))  # fmt: skip
    for result in made:
        print(result.table, draw_study(result), sep="\n")
        for line in result.lines():
            print(f"  {line}")
    if page is not None:
        print(publish(out, page))
    return 0


simulate.__doc__ = simulate.__doc__.format(studies=_STUDIES)


def figures(
    out: Path = FIGURES,
    experiment: Path | None = None,
    results: Path | None = None,
    second: Path | None = None,
    names: tuple[str, ...] = (),
    schedule: Annotated[Schedule, Flat] = Released,
    method: str | None = None,
) -> int:
    """Draw the figures as SVG and PDF, each with the table it shows as CSV.

    With a schedule or a method of yours, draw those of the theory that can show it.

    Args:
        out: folder for the figures.
        names: which figures; all by default.
        experiment: folder of a finished experiment; by default the newest one under runs/.
        results: folder of the recorded sentiment study; by default results/sentiment, if there.
        second: folder of the second study; by default results/sentiment-2, if there.
        method: a method with a target, by name, or path/to/file.py:Name.
    """
    from .methods import method_from
    from .show.figures import make_figures

    must_be_writable(out)
    theirs = {
        "schedule": None if schedule == Released else schedule.made(),
        "method": None if method is None else method_from(method),
    }
    sources = {"experiment": experiment or _newest_experiment()}
    sources |= recorded(results=results, second=second)
    for path in make_figures(out, **sources, names=names or None, **theirs):
        print(path)
    return 0


def report(
    out: Path = REPORT / "index.html",
    ledger: Path = REPORT / "ledger.json",
    figures: Path | None = None,
    experiment: Path | None = None,
    studies: Path | None = None,
    results: Path | None = None,
    second: Path | None = None,
) -> int:
    """Write the report, one self-contained page.

    Args:
        out: the page.
        ledger: JSON written by `madpo verify --json`.
        figures: folder written by `madpo figures`; by default figures.
        experiment: folder of a finished experiment; by default the newest one under runs/.
        studies: folder of `madpo simulate`, by default runs/studies; the studies that it holds are
            shown.
        results: folder of the recorded sentiment study; by default results/sentiment, if there.
        second: folder of the second study; by default results/sentiment-2, if there.
    """
    from .show.report import write_report

    check_output(out if out.suffix == ".html" else out / "index.html")
    page = write_report(
        out,
        ledger=ledger,
        figures=_given("figures", figures, FIGURES),
        experiment=experiment or _newest_experiment(),
        studies=_given("studies", studies, RUNS / "studies"),
        **recorded(results=results, second=second),
    )
    print(page)
    return 0


def which(
    page: Path = Path("which-loss.md"),
    sheets: Path = RUNS / "sheets.json",
    studies: Path = RUNS / "studies",
) -> int:
    """Write the page "Which loss?" from the verdict sheets and the studies of the field.

    Args:
        page: the Markdown page to write.
        sheets: JSON of `madpo audit --all --page FILE --json SHEETS`.
        studies: folder of `madpo simulate` with the studies field and displacement.
    """
    from .show.which import write_which

    check_output(page)
    print(write_which(page, sheets=sheets, studies=studies))
    return 0


def ls(kind: Annotated[Literal[tuple(KINDS)], tyro.conf.Positional], /) -> int:
    """List what there is of a kind, each with a line of words.

    Args:
        kind: what to list.
    """
    print(*listed(kind), sep="\n")
    return 0


def _given(option, folder, default):
    """The folder that was named, which must then be there; or the default, there or not."""
    if folder is not None and not folder.is_dir():
        raise ValueError(f"--{option} {folder} is no folder; name one, or leave it at {default}")
    return folder or default


def _newest_experiment():
    finished = sorted(RUNS.glob("experiment-*/manifest.json"), key=lambda p: p.stat().st_mtime)
    return finished[-1].parent if finished else None


def recorded(**given):
    """The folders of recorded runs by option; None stands for its default if that holds some."""
    found = {}
    for option, default in RESULTS.items():
        folder = given.get(option)
        there = ((folder or default) / "summary.parquet").is_file()
        if folder is not None and not there:
            from .show.figures import SOURCES

            raise ValueError(
                f"--{option} {folder} holds no recorded run; `{SOURCES[option][1]} --results "
                f"{folder}` makes one, or name another folder"
            )
        found[option] = (folder or default) if there else None
    return found


COMMANDS = {
    f.__name__: grouped(group)(parsed(f))
    for group, commands in {
        "theory": (verify, goes_on(simulate), ls),
        "page": (figures, report, which),
    }.items()
    for f in commands
}
"""Those that are of no room; the others are registered (:data:`.extensions.COMMANDS`)."""


def main(arguments=None):
    """Run one command; returns the exit status.

    0: done; 1: done, with warnings or disagreement; 2: wrong use, or an environment in which it
    cannot be done; 130: stopped by a signal.
    """
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name == "help" and rest:
        name, *rest = *rest, "--help"
    for stream in (sys.stdout, sys.stderr):  # what its encoding lacks is printed as its number
        with suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")
    before, command = len(written()), None
    try:
        with stoppable():
            command = COMMANDS.get(name) or extensions.COMMANDS.get(name)
            if name == "--version":
                print(__version__)
                status = 0
            elif name == "--print-completion":
                status = _completion(*rest)
            else:
                status = _usage(name) if command is None else command(rest)
            print(end="", flush=True)
        return status
    except (ValueError, RunError, ModuleNotFoundError) as error:
        return _refused(in_user_file(error, causes=False) or error)
    except KeyboardInterrupt:
        fresh = written()[before:]
        done = f"the last file written is {fresh[-1]}" if fresh else "nothing was written"
        resumed = getattr(command, "goes_on", False)
        return _refused(
            "stopped; the same command goes on from here" if resumed else f"stopped; {done}", 130
        )
    except BrokenPipeError:  # whoever reads the output has heard enough
        return 2
    except MemoryError:
        return _refused("the memory does not suffice; give it a machine with more, or less to do")
    except Exception as error:
        theirs, refused = in_user_file(error), system_error(error)
        if theirs is not None:
            return _refused(theirs)
        if refused is None:  # a fault of ours must not look like the status of a warning
            traceback.print_exc()
            return _refused("this is a fault of madpo's; please report it with the lines above")
        muted = _muted()
        where = refused.filename or ("the standard output" if muted else None)
        said = str(refused) if refused.strerror is None else refused.strerror
        return _refused(said if where is None else f"{where}: {said}")
    finally:
        _muted()


def _refused(why, status=2):
    print(f"madpo: {why}", file=sys.stderr)
    return status


def _muted():
    """Whether the standard output takes nothing more; then it is given up, for a quiet end."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _every():
    return COMMANDS | dict(extensions.COMMANDS)


def _completion(shell="", *rest):
    """Print the script that completes all of ``madpo`` in a shell."""
    check_choice("--print-completion", " ".join((shell, *rest)), ("bash", "zsh", "tcsh"))

    def bare():
        """A command that parses its arguments itself."""

    typed = {name: getattr(command, "__wrapped__", bare) for name, command in _every().items()}
    try:
        tyro.extras.subcommand_cli_from_dict(
            typed, prog="madpo", args=["--tyro-print-completion", shell]
        )
    except SystemExit as printed:
        return printed.code or 0


def _usage(name):
    """Print the commands, and that `name` is none of them unless it asks for help."""
    wrong, every = name not in ("-h", "--help", "help"), _every()
    lines = ["usage: madpo COMMAND [--help]", "       madpo --version"]
    lines.append("       madpo --print-completion {bash,zsh,tcsh}")
    for group, words in GROUPS.items():
        of = {n: c for n, c in every.items() if getattr(c, "group", "") == group}
        of = dict(sorted(of.items(), key=lambda item: getattr(item[1], "place", 0)))
        lines += ["", f"{words}:"] * bool(of)
        lines += [f"  {n:<12}{command.__doc__.splitlines()[0]}" for n, command in of.items()]
    if wrong:
        near = nearest(name, every)
        lines.insert(0, f"madpo: no command {name!r}" + (near and f"; did you mean {near!r}?"))
    print("\n".join(lines), file=sys.stderr if wrong else sys.stdout)
    return 2 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
