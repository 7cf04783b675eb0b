"""The page "Which loss?": from the verdict sheets and two studies to a choice."""

import json
import math
from pathlib import Path

import numpy as np

from ..files import write_text
from ..markdown import markdown_table
from ..methods import method_from
from ..simulate.studies import read_results
from .names import look

__all__ = ["which_page", "write_which"]

HEAD = """# Which loss?

Written by `make which` from the [verdict sheet](sheets.md) of every loss and two
[studies](studies.md): {worlds} worlds in which the true reward is known, every loss at its default
settings, all brought to the same KL. What is counted is the share of the best possible reward that
a loss gives away there. A loss stands among the best of a row if its 95 % interval reaches the
best one's; in these worlds rewards add up over responses and every pair is compared, so that
differences are those of the loss alone. Where labels alone are wrong the reward model is exact, and
rDPO and cDPO, whose default is a tenth of flips, are told the rate. Your own rewards:
`madpo simulate field --rewards FILE`.
"""
SHOWN = 4
ROWS = ("target_unique", "order", "saturates", "influence")


def write_which(path, *, sheets, studies):
    """Write the page; returns its path.

    Parameters
    ----------
    path : the Markdown file to write.
    sheets : JSON of ``madpo audit --all --json``.
    studies : folder of ``madpo simulate`` that holds `field` and `displacement`.

    ValueError that names what is missing, and the command that makes it.
    """
    sheets = Path(sheets)
    if not sheets.is_file():
        raise ValueError(f"sheets: there is no file {sheets}; madpo audit --all --json makes it")
    found = {result.name: result for result in read_results(studies)}
    for name in ("field", "displacement"):
        if name not in found:
            raise ValueError(f"studies: {studies} holds no {name}; madpo simulate {name} makes it")
    rows = {sheet["method"]: sheet for sheet in json.loads(sheets.read_text("utf-8"))}
    page = which_page(
        rows,
        found["field"].drawn(),
        found["displacement"].drawn(),
        worlds=found["field"].record["worlds"],
    )
    return write_text(path, page)


def which_page(sheets, field, displacement, *, worlds):
    """The page's text.

    Parameters
    ----------
    sheets : {method: sheet as a dict}.
    field : columns condition, method, gap, low, high, best (nats) of study (i).
    displacement : columns policy, method, optimum, both, step (shares of labels) of study (h).
    worlds : of the studies.
    """
    lost = _lost(field)
    columns = (displacement[name] for name in ("policy", "method", "optimum"))
    falls = {str(n): float(x) for law, n, x in zip(*columns, strict=True) if law == "uniform"}
    lines = [HEAD.format(worlds=worlds), "## By what is wrong with your data", ""]
    lines += markdown_table(
        ("what is wrong", "least is lost by", "DPO", "MADPO", "most is lost by"),
        [_condition(name, rows) for name, rows in lost.items()],
    )
    lines += ["", "## By what you have", ""]
    lines += [f"- {line}" for line in _advice(sheets, lost, falls)]
    lines += [
        "",
        "## What each loss does",
        "",
        "Largest share of the best reward lost over all rows above; the share of labels whose "
        "chosen response loses probability at the optimum (six responses, a uniform reference); "
        "and from the sheet: does each pair have one target, is the order of pairs kept, do "
        "targets stay finite, is a wrong reward model's influence bounded.",
        "",
    ]
    names = sorted({*sheets, *falls}, key=lambda n: (len(_unsolved(n, lost)), _worst(n, lost), n))
    head = (
        "loss", "asks for", "most lost", "chosen falls", "one target", "order", "finite",
        "influence bounded",
    )  # fmt: skip
    lines += markdown_table(head, [_loss(name, sheets, lost, falls) for name in names])
    lines += [
        "",
        "## The ranking",
        "",
        "Per cent of the best reward lost at equal KL, its 95 % interval over worlds, and the "
        "place among those that have a solution.",
        "",
    ]
    ranked = [name for name in names if len(_unsolved(name, lost)) < len(lost)]
    lines += markdown_table(("loss", *lost), [_places(name, lost) for name in ranked])
    return "\n".join(lines) + "\n"


def _lost(field):
    """{condition: [(method, share lost, low, high)]}, the least first."""
    columns = (field[name] for name in ("condition", "method", "gap", "low", "high", "best"))
    found = {}
    for condition, method, *gap, best in zip(*columns, strict=True):
        found.setdefault(str(condition), []).append((str(method), *(float(x / best) for x in gap)))
    return {name: sorted(rows, key=lambda row: row[1]) for name, rows in found.items()}


def _condition(name, rows):
    told = {row[0]: row[1] for row in rows}
    best = _best(rows)
    more = f"; and {len(best) - SHOWN} more" if len(best) > SHOWN else ""
    shown = "; ".join(look(n).label for n in best[:SHOWN]) + more
    return (
        name,
        f"{shown}: {_percent(rows[0][1])}",
        *(_percent(told.get(n, math.nan)) for n in ("dpo", "madpo")),
        f"{look(rows[-1][0]).label}: {_percent(rows[-1][1])}",
    )


def _places(name, lost):
    """A row of the ranking: lost ± half the interval, place; shares equal to 1e-6 share one."""
    cells = [look(name).label]
    for rows in lost.values():
        cells.append("")
        for share, low, high in (row[1:] for row in rows if row[0] == name):
            place = 1 + sum(row[1] < share - 1e-6 for row in rows)
            shown = f"{100 * share:.3f} ± {50 * (high - low):.3f}" if share >= 1e-6 else "0"
            cells[-1] = f"{shown} ({place})"
    return cells


def _best(rows):
    """Names of the methods whose interval reaches that of the one that loses least; of those that
    lose alike DPO and what asks for less comes first."""
    reach = max(rows[0][3], 1e-6)  # the solver's tolerance, where nothing is lost
    found = [row for row in rows if row[2] <= reach]
    found.sort(key=lambda row: (round(row[1], 6), row[0] != "dpo", len(method_from(row[0]).needs)))
    return [row[0] for row in found]


def _advice(sheets, lost, falls):
    """Sentences, each from the numbers."""
    labels = [name for name in lost if name.startswith("labels")]
    both = [name for name in lost if name.endswith(", additive error")]
    free = [n for n in _everywhere(lost) if "margin" not in method_from(n).needs]
    told = [n for n in _everywhere(lost) if "margin" in method_from(n).needs]
    own = _mean("dpo", lost, labels)
    told = [n for n in told if _mean(n, lost, labels) < 0.9 * own]
    first = min(free, key=lambda n: (_mean(n, lost, labels), n != "dpo"))
    others = "" if first == "dpo" else f"; DPO {_percent(own)}"
    yield (
        f"**No reward model.** Over noisy and flipped labels {look(first).label} loses least of "
        f"those that ask for none, {_percent(_mean(first, lost, labels))} on average{others}."
    )
    trusted = min(told, key=lambda n: _mean(n, lost, labels))
    wrong = min(told, key=lambda n: _mean(n, lost, both))
    exact, off = (
        {n: _percent(_mean(n, lost, rows)) for n in {trusted, wrong, "madpo", "dpo"}}
        for rows in (labels, both)
    )
    yield (
        f"**A reward model that you trust.** If it is exact, {look(trusted).label} makes the most "
        f"of it: {exact[trusted]} lost on the same labels, MADPO {exact['madpo']}. If it is off by "
        f"1 nat, they give away {off[trusted]} and {off['madpo']}, DPO {off['dpo']}."
    )
    yield (
        f"**A reward model that may be off by a nat.** Of the losses that gain by an exact one "
        f"{look(wrong).label} gives away least, {off[wrong]}; DPO, which does not ask it, "
        f"{off['dpo']}."
    )
    few = sorted((n for n in falls if n in sheets), key=lambda n: falls[n])[:3]
    yield (
        "**The chosen response must not lose probability.** At the optimum it does so for "
        f"{_percent(falls['dpo'])} of DPO's labels; least for "
        + ", ".join(f"{look(n).label} ({_percent(falls[n])})" for n in few)
        + ", which give away "
        + ", ".join(_percent(_worst(n, lost)) for n in few)
        + " of the reward in the worst row."
    )
    finite = [look(n).label for n in sheets if _verdict(sheets, n, "saturates") == "yes"]
    yield f"**Labels that are never contradicted.** Targets stay finite for {', '.join(finite)}."


def _everywhere(lost):
    """Methods that every condition solves."""
    sets = [{row[0] for row in rows} for rows in lost.values()]
    return sorted(set.intersection(*sets))


def _mean(name, lost, conditions):
    return float(np.mean([row[1] for c in conditions for row in lost[c] if row[0] == name]))


def _worst(name, lost):
    return max(
        (row[1] for rows in lost.values() for row in rows if row[0] == name), default=math.inf
    )


def _unsolved(name, lost):
    """Conditions without a solution."""
    return [c for c, rows in lost.items() if name not in {row[0] for row in rows}]


def _verdict(sheets, name, row):
    found = [r["verdict"] for r in sheets.get(name, {"rows": ()})["rows"] if r["id"] == row]
    return {"yes": "yes", "no": "**no**"}.get(found[0], "?") if found else ""


def _loss(name, sheets, lost, falls):
    needs = sorted(method_from(name).needs - {"reference"})
    missing = "" if "reference" in method_from(name).needs else "no reference"
    unsolved = _unsolved(name, lost)
    worst = _percent(_worst(name, lost))
    if unsolved and worst:
        worst += f", none in {len(unsolved)} of {len(lost)} rows"
    return (
        look(name).label,
        ", ".join(filter(None, (*needs, missing))),
        worst or "not solved",
        _percent(falls.get(name, math.nan)),
        *(
            _verdict(sheets, name, row)
            for row in ("target_unique", "order", "saturates", "influence")
        ),
    )


def _percent(share):
    """A share as text; "" for what is not known."""
    if not math.isfinite(share):
        return ""
    percent = 100 * share if share >= 1e-6 else 0.0
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
