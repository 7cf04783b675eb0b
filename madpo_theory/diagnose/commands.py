"""``madpo diagnose`` and ``madpo weights``: parse, call, print."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..command import Flat, Released, Schedule, grouped, parsed
from ..files import check_output
from ..methods import method_from
from ..schedule import MarginSchedule
from .asked import ESS
from .reading import Reading

__all__ = ["diagnose", "weights"]


Guessed = Reading()


@grouped("pairs", 2)
@parsed
def diagnose(
    pairs: Annotated[Path, tyro.conf.arg(metavar="PAIRS")],
    /,
    reading: Annotated[Reading, Flat] = Guessed,
    schedule: Annotated[Schedule, Flat] = Released,
    beta: float | None = None,
    ess: float = ESS,
    bound: float | None = None,
    weight: str | None = None,
    gamma: float | None = None,
    method: str | None = None,
    assignments: Annotated[
        tuple[str, ...], tyro.conf.arg(name="set", metavar="NAME=VALUE"), tyro.conf.UseAppendAction
    ] = (),
    json: Path | None = None,
    html: Path | None = None,
    rows: Path | None = None,
    responses: tuple[str, str] | None = None,
    max_tokens: int | None = None,
    tokenizer: str | None = None,
) -> int:
    """Say what MADPO, or any method, would do to preference pairs, before anything is trained.

    PAIRS has one row for each pair: a file (.parquet, .arrow, .jsonl, .json, .csv, .tsv, a text
    also in .gz), a pattern of files in quotes, a folder that datasets' save_to_disk wrote, a name
    that datasets loads, or - for standard input. Without --method, the schedule's weights are
    compared. Exit status: 0 if there is nothing to mend; 1 with warnings (1 % of the pairs where
    the target falls, an infinite target, an ESS below --ess, a D above --bound, margins that labels
    contradict or would scale by more than 1.25), or where nothing can be recommended yet; 2 for
    wrong use. A caution or a note alone leaves it at 0.

    Args:
        pairs: the file, pattern, folder or name.
        beta: DPO temperature that the matched one is relative to; by default 0.1.
        ess: effective share of the pairs that the weights should keep.
        bound: most nats that a wrong reward model may move a target.
        weight: the weight that warnings are about: a name, such as bounded-ratio, or
            path/to/file.py:Class for one of your own; made with the schedule. By default the
            published one.
        gamma: exponent of the target-shaped weight's target, between 0 and 1; by default its own.
        method: look at this method instead: a name, such as simpo or cdpo, or
            path/to/file.py:Class for a method or weight of your own.
        assignments: a setting of the method, as in --set gamma=1.6; may be repeated.
        json: also write everything here, as JSON.
        html: also write one self-contained page with plots here.
        rows: also write a flag and a score of each pair and kind of trouble here: .parquet, .jsonl,
            .csv or .tsv.
        responses: for --rows, the columns of the two responses, if not guessed by their names.
        max_tokens: for --rows, to how many tokens a trainer cuts prompt and response: which pairs
            are equal then. Words are counted, unless there is a tokenizer.
        tokenizer: for --max-tokens, a tokenizer's folder or name, as transformers takes them.
    """
    from .advice import next_command
    from .diagnosis import diagnose
    from .page import write_page
    from .rows import check_rows, write_rows
    from .text import rows_text, text

    if method is None and assignments:
        raise ValueError(
            f"--set {assignments[0]} is a setting of no method; name one with --method, or set the "
            "schedule with --c-max, --c-min, --lam and --tau"
        )
    if rows is None and (responses is not None or max_tokens is not None):
        raise ValueError("--responses and --max-tokens are of --rows; name its file (--rows OUT)")
    if tokenizer is not None and max_tokens is None:
        raise ValueError("--tokenizer is of --max-tokens; say how many (--max-tokens N)")
    check_output(json, html, rows)
    if rows is not None:
        check_rows(pairs, rows)
    found = diagnose(
        pairs, None if schedule == Released else schedule.made(), weight=weight, reading=reading,
        beta=beta, ess=ess, bound=bound, gamma=gamma,
        method=None if method is None else method_from(method, assignments),
    )  # fmt: skip
    print(text(found))
    if rows is not None:
        written = write_rows(
            pairs, rows, found, responses=responses, max_tokens=max_tokens, tokenizer=tokenizer
        )
        print(f"\n{rows_text(written)}")
    if json is not None:
        found.write(json)
    if html is not None:
        print(f"\n{write_page(found, html)}")
    for line in next_command(found, json):
        print(f"next: {line}")
    return 0 if found.in_order else 1


@grouped("pairs", 3)
@parsed
def weights(
    pairs: Annotated[Path, tyro.conf.arg(metavar="PAIRS")],
    /,
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    weight: Annotated[str | None, tyro.conf.arg(aliases=["--kind"])] = None,
    reading: Annotated[Reading, Flat] = Guessed,
    schedule: Annotated[Schedule, Flat] = Released,
    named: Annotated[
        Literal["released", "class-defaults", "recommended"], tyro.conf.arg(name="schedule")
    ] = "released",
    advised: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    gamma: float | None = None,
    mean_one: bool = False,
    column: str = "weight",
    offset: str | None = None,
    clip: float | None = None,
    resample: int | None = None,
    seed: int = 0,
    layout: str | None = None,
    force: bool = False,
) -> int:
    """Write preference pairs with the weight of each: every other column, in the same order.

    With --offset also with the offset that has the same targets with weights of 1, and wastes no
    label: train log(1 + exp(offset - beta m)) of it, unweighted.

    PAIRS as in `madpo diagnose`, OUT in any of the formats: rows of one format stay byte for byte.
    The schedule is recorded in the metadata of Parquet and Arrow, under the key madpo_theory, or
    beside other files in OUT.schedule.json. For a trainer that reads no weights, --resample.

    Args:
        pairs: the file, pattern, folder or name.
        out: the file, its format by the end of its name, such as .jsonl.gz; where it is a symbolic
            link, the file that it points to.
        weight: a name, such as bounded-ratio, target-shaped or efficient, or path/to/file.py:Class
            for one of your own; made with the schedule. By default the published one.
        named: the schedule that the four numbers change, or what `madpo diagnose` recommends for
            these pairs and that schedule.
        advised: take the recommended weights, scale and columns from what `madpo diagnose --json`
            wrote.
        gamma: exponent of the target-shaped weight's target, between 0 and 1; by default its own.
        mean_one: scale the weights to the mean 1 over the file, which is read twice.
        column: name of the new column.
        offset: name of a second one, log w(h) - log w(-h), nats; by default there is none.
        clip: nats within which the offset is held, so that no reward model moves a target further.
        resample: draw so many rows, in proportion to their weights, and write them without; each is
            drawn as often as its share says, rounded down or up.
        seed: of the draw.
        layout: rows as a trainer reads them, in JSON: messages (TRL, with weights) or, with
            --resample, openai, axolotl or llama-factory.
        force: overwrite what is there.
    """
    from .advice import advice_of, read_advice, train_command
    from .diagnosis import diagnose
    from .text import weights_text
    from .weights import write_weights

    check_output(out)
    advice, made_with = (
        None,
        schedule.made(MarginSchedule.class_defaults() if named == "class-defaults" else None),
    )
    settings = {"schedule": made_with, "weight": weight or "published", "gamma": gamma}
    if advised is not None or named == "recommended":
        own = {
            "--kind": weight is not None, "--gamma": gamma is not None,
            "--c-max, --c-min, --lam, --tau": advised is not None and schedule != Released,
            "--schedule": advised is not None and named != "released",
            "--margin and how else the pairs are read": advised is not None and reading != Guessed,
        }  # fmt: skip
        if given := [option for option, is_given in own.items() if is_given]:
            raise ValueError(f"{given[0]} is what the recommendation says; leave it out")
        advice = (
            advice_of(diagnose(pairs, made_with, reading=reading))
            if advised is None
            else read_advice(advised)
        )
        settings, reading = (
            {"schedule": advice.schedule, "weight": advice.weighting},
            advice.reading,
        )
    made = write_weights(
        pairs, out, **settings, reading=reading, mean_one=mean_one, column=column, offset=offset,
        clip=clip, resample=resample, seed=seed, layout=layout, force=force,
    )  # fmt: skip
    print(weights_text(made))
    if layout in (None, "messages"):
        plain = {"column": column} if resample is None else {"method": "dpo"}
        print(f"next: {train_command(made.path, advice and advice.beta, **plain)}")
    return 0
