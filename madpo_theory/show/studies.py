"""The finished studies, drawn, and their page."""

from pathlib import Path

from ..files import replacing, write_text
from ..markdown import markdown_table
from ..simulate.predictions import told
from ..simulate.studies import read_results
from .figures import drawn, save

__all__ = ["draw_study", "failures", "markdown_judgements", "publish"]


def draw_study(result):
    """Draw a :class:`~madpo_theory.simulate.studies.StudyResult` beside its table, as PNG."""
    return save(drawn(f"study_{result.name}", result.drawn()), result.picture)


def publish(folder, path):
    """Write a Markdown page about the studies of a folder, with their figures beside it.

    The figures go to figures/study_NAME.png; each study gets its reading and its predictions.
    """
    results, path = read_results(folder), Path(path)
    for result in results:
        with replacing(path.parent / "figures" / f"study_{result.name}.png") as temporary:
            temporary.write_bytes(result.picture.read_bytes())
    rows = [row for result in results for row in result.record["predictions"]]
    lines = [
        "# Simulation studies",
        "",
        "Written by `make studies`. Every study is a file with its settings and its "
        "predictions, which were committed before the runs. A prediction holds if the measured "
        "95 % interval over worlds lies inside the predicted one, fails if the two do not meet, "
        "and is undecided in between.",
        "",
        failures(rows),
        "",
    ]
    for result in results:
        record = result.record
        lines += [
            f"## {result.title}",
            "",
            f"![{result.title}](figures/study_{result.name}.png)",
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


def markdown_judgements(rows):
    """Predictions and their verdicts as the lines of a Markdown table."""
    return markdown_table(
        ("", "quantity", "predicted, measured", "verdict", "because"),
        (
            (
                row["id"],
                row["quantity"],
                told(row),
                f"**{row['verdict']}**" if row["verdict"] == "fails" else row["verdict"],
                row["derivation"],
            )
            for row in rows
        ),
    )
