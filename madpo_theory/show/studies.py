"""The finished studies, drawn, and their page."""

from pathlib import Path

from ..files import write_text
from ..markdown import markdown_table
from ..simulate.predictions import FLOOR, REFUTED, survivors, told, told_probability, told_rival
from ..simulate.studies import read_results
from .figures import drawn, save

__all__ = ["decisions", "draw_study", "failures", "judgements", "markdown_judgements", "publish"]


def draw_study(result):
    """Draw a :class:`~madpo_theory.simulate.studies.StudyResult` beside its table, as SVG."""
    return save(_picture(result), result.picture)


def _picture(result):
    return drawn(f"study_{result.name}", result.drawn())


RIVALS = (
    "Rivals: “no effect” is that weights move nothing, errors of the reward model cost nothing and "
    "methods do not differ; “paper” is the abstract of arXiv 2510.05342 (A1 to A7), without "
    "exceptions that it does not make. What they say of each quantity was written on 2026-11-26, "
    "after the recorded runs of 100 worlds and in knowledge of them. p is how probable a "
    "measurement at least as far off was, were the prediction or the rival right: 1 if it lies "
    f"inside, by Student's t over worlds if not, and 0 or 1 where every world must agree. p below "
    f"{REFUTED:g} refutes; p below {FLOOR:g} is told no further."
)


def publish(folder, path):
    """Write a Markdown page about the studies of a folder, with their figures beside it.

    The figures go to figures/study_NAME.svg; each study gets its reading and its predictions.
    """
    results, path = read_results(folder), Path(path)
    for result in results:
        save(_picture(result), path.parent / "figures" / f"study_{result.name}.svg")
    rows = [row for result in results for row in result.record["predictions"]]
    lines = [
        "# Simulation studies",
        "",
        failures(rows),
        "",
        *[f"- {sentence}" for sentence in decisions(rows)],
        "",
        "Written by `make studies`. Every study is a file with its settings and its "
        "predictions, which were committed before the runs. A prediction holds if the measured "
        "95 % interval over worlds lies inside the predicted one, fails if the two do not meet, "
        "and is undecided in between.",
        "",
        RIVALS,
        "",
    ]
    for result in results:
        record = result.record
        lines += [
            f"## {result.title}",
            "",
            f"![{result.title}](figures/study_{result.name}.svg)",
            "",
            *[f"{line}  " for line in record["reading"].splitlines()],
            "",
            f"{record['worlds']} worlds, seed {record['seed']}, {record['rows']:,} rows, "
            f"{record['not_converged']:,} of them without a solution and left out.",
            "",
            *markdown_judgements(record["predictions"]),
            "",
        ]
    return write_text(path, "\n".join(lines))


def failures(rows):
    """How many of the judged predictions failed, and which, as a sentence."""
    failed = [row["id"] for row in rows if row["verdict"] == "fails"]
    return f"Of {len(rows)} predictions {len(failed)} failed" + (
        f": {', '.join(failed)}." if failed else "."
    )


def decisions(rows):
    """What the measurements decided between predictions and rivals, as sentences.

    Against a rival decides what refutes it and not the prediction; nothing, what decides so
    against none.
    """
    nothing = [row["id"] for row in rows if "rivals" in row]
    for rival in _rivals(rows):
        by = {}
        for row in rows:
            by.setdefault(survivors(row, rival), []).append(row["id"])
        against = by.get((True, False), [])
        nothing = [name for name in nothing if name not in against]
        rest = {
            "both stand in": by.get((True, True)),
            "both are refuted in": by.get((False, False)),
            "it stands where the prediction is refuted in": by.get((False, True)),
        }
        speaks = len(rows) - len(by.get(None, []))
        others = "".join(f"; {what} {', '.join(ids)}" for what, ids in rest.items() if ids)
        yield f"“{_words(rival)}” speaks of {speaks}: {len(against)} decided against it{others}."
    if nothing:
        yield f"{len(nothing)} decided nothing: {', '.join(nothing)}."


def judgements(rows):
    """Predictions, verdicts and rivals as the rows of a table, texts, the head first."""
    rivals = _rivals(rows)
    yield "", "quantity", "predicted, measured", "verdict", *map(_words, rivals), "because"
    for row in rows:
        p = row.get("probability", 1)
        told_of = row.get("rivals", {})
        yield (
            row["id"],
            row["quantity"],
            told(row),
            row["verdict"] if p in (1, None) else f"{row['verdict']}, {told_probability(p)}",
            *(told_rival(told_of[name]) if name in told_of else "" for name in rivals),
            row["derivation"],
        )


def _rivals(rows):
    return list(dict.fromkeys(name for row in rows for name in row.get("rivals", {})))


def _words(rival):
    return rival.replace("_", " ")


def markdown_judgements(rows):
    """:func:`judgements` as the lines of a Markdown table; failures stand out."""
    head, *body = judgements(rows)
    return markdown_table(
        head, ([f"**{t}**" if t.startswith("fails") else t for t in cells] for cells in body)
    )
