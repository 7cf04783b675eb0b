"""docs/benchmarks.md: what benchmarks/out holds, as tables; what it lacks stays as it was.

python -m benchmarks.page [NAME ...]
"""

import argparse
import json
from pathlib import Path

from madpo_theory.files import replacing
from madpo_theory.markdown import markdown_table
from madpo_theory.ops.checks import check_choice

from .record import OUT

CARD = Path(__file__).parents[1] / "results" / "card"
TITLES = {
    "solvers": "Solving synthetic worlds (`make bench`)",
    "training": "Training and generation (`make bench-train`)",
    "diagnose": "Diagnosing a file of pairs (`make bench-diagnose`)",
    "paper": "The paper preset at 1 % of its size: seconds, beside what was said before the run "
    "(`make paper-trial`)",
}
OF_CARD = {
    "solvers": "Solving synthetic worlds on a card (`make gpu`)",
    "training": "Training and generation on a card (`make gpu`)",
}
SIZES = {
    "K": "K = {}",
    "batch": "batch {:,}",
    "tolerance": "gradient {:g}",
    "rows": "{:,} rows",
    "pairs": "{} pairs",
    "prompts": "{} prompts",
    "prompt": "{} prompt tokens",
    "new": "{} new tokens",
    "samples": "{} samples each",
    "first_adapted_layer": "adapters from layer {}",
    "model": "{}",
    "dtype": "{}",
    "device": "{}",
    "threads": "{} threads",
}
HEAD = ("comparison", "ours", "peer", "unit", "ours / peer", "median")
TOP = """# Benchmarks

Written by `python -m benchmarks.page` from the last run of each benchmark. Times are the shortest
of a few, ours and the peer's taken in turns in one run; a shared machine moves the ratios, another
processor moves them more. The median, where there is one, is over turns of the ratio of two calls
that followed each other. For seconds and MiB a ratio below 1 is in our favour, for anything a
second one above 1.
"""


def size_of(row, but=()):
    """The sizes of a row in words, but those that were said before."""
    return ", ".join(text.format(row[k]) for k, text in SIZES.items() if k in row and k not in but)


def table(rows):
    """Markdown: what all rows have in common, said once; a table for each size, or a column if no
    two rows share one; and what compares nothing, as notes."""
    compared = [row for row in rows if "ratio" in row]
    common = [k for k in SIZES if len({row.get(k) for row in compared}) == 1]
    groups = {}
    for row in compared:
        groups.setdefault(size_of(row, common), []).append(cells(row))
    said = size_of(compared[0], set(SIZES) - set(common)) if compared else ""
    lines = [f"All of it: {said}.", ""] if said else []
    if len(groups) == len(compared) > 1:
        head = (HEAD[0], "size", *HEAD[1:])
        body = [(name, size, *rest) for size, ((name, *rest),) in groups.items()]
        lines += [*markdown_table(head, body), ""]
    else:
        for size, body in groups.items():
            lines += [f"**{size[0].upper()}{size[1:]}**", ""] if size else []
            lines += [*markdown_table(HEAD, body), ""]
    for row in (row for row in rows if "ratio" not in row):
        values = {k: v for k, v in row.items() if k not in (*SIZES, "name", "versions")}
        told = ", ".join(f"{k} {v}" for k, v in values.items())
        size = size_of(row, common)
        lines.append(f"- {row['name']}{f' ({size})' if size else ''}: {told}")
    return "\n".join(lines).rstrip()


def cells(row):
    """A row that compares, as texts."""
    numbers = (f"{row[key]:.4g}" for key in ("ours", "peer"))
    ratios = (f"{row[key]:.3g}" if key in row else "" for key in ("ratio", "median_ratio"))
    return (row["name"], *numbers, row["unit"], *ratios)


def sections(folder, titles, names):
    """{title: its text} of the benchmarks, of those named, that a folder has results of."""
    found = {}
    for name in names:
        path = Path(folder) / f"{name}.jsonl"
        if name not in titles or not path.is_file():
            continue
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        versions = {k: v for row in rows for k, v in row.get("versions", {}).items()}
        told = ", ".join(f"{k} {v}" for k, v in versions.items())
        found[titles[name]] = f"\n{table(rows)}\n" + (f"\nWith {told}.\n" if told else "")
    return found


def page(folder, card=None, *, known="", names=tuple(TITLES)):
    """The whole page: the named benchmarks that a folder, and that of a card, has results of.

    The sections of the others are taken from `known`, the page as it was.
    """
    found = dict(part.split("\n", 1) for part in known.split("\n## ")[1:])
    fresh = sections(folder, TITLES, names) | (sections(card, OF_CARD, names) if card else {})
    if not fresh:
        raise FileNotFoundError(f"{folder} holds no results; run `make bench` first")
    found |= fresh
    order = [title for title in (*TITLES.values(), *OF_CARD.values()) if title in found]
    parts = [TOP, *(f"## {title}\n{found[title].rstrip()}\n" for title in order)]
    return "\n".join(parts).rstrip() + "\n"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", default=list(TITLES), metavar="NAME",
        help=f"the benchmarks to renew, of {', '.join(TITLES)}; all that there are results of",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    parser.add_argument("--card", type=Path, default=CARD, help="folder of a card's results")
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks.md"))
    chosen = parser.parse_args(arguments)
    for name in chosen.names:
        check_choice("benchmark", name, TITLES)
    known = chosen.page.read_text(encoding="utf-8") if chosen.page.is_file() else ""
    with replacing(chosen.page) as path:
        made = page(chosen.out, chosen.card, known=known, names=chosen.names)
        path.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
