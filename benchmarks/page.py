"""docs/benchmarks.md: what benchmarks/out holds, as tables.

python -m benchmarks.page
"""

import argparse
import json
from pathlib import Path

from madpo_theory.files import replacing

from .record import OUT

TITLES = {
    "solvers": "Solving synthetic worlds (`make bench`)",
    "training": "Training and generation (`make bench-train`)",
    "diagnose": "Diagnosing a file of pairs (`make bench-diagnose`)",
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
HEAD = "| comparison | size | ours | peer | unit | ours / peer | median |\n" + 7 * "|---" + "|"
TOP = """# Benchmarks

Written by `python -m benchmarks.page` from the last run of each benchmark. Times are the shortest
of a few, ours and the peer's taken in turns in one run; a shared machine moves the ratios, another
processor moves them more. The median, where there is one, is over turns of the ratio of two calls
that followed each other. For seconds and MiB a ratio below 1 is in our favour, for anything a
second one above 1.
"""


def table(rows):
    """Markdown of the rows that compare; the others, which are notes, below them."""
    lines, notes = [HEAD], []
    for row in rows:
        size = ", ".join(text.format(row[key]) for key, text in SIZES.items() if key in row)
        if "ratio" not in row:
            values = {k: v for k, v in row.items() if k not in (*SIZES, "name", "versions")}
            told = ", ".join(f"{k} {v}" for k, v in values.items())
            notes.append(f"- {row['name']} ({size}): {told}")
            continue
        numbers = (f"{row[key]:.4g}" for key in ("ours", "peer"))
        ratios = (f"{row[key]:.3g}" if key in row else "" for key in ("ratio", "median_ratio"))
        cells = (row["name"], size, *numbers, row["unit"], *ratios)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, *([""] if notes else []), *notes])


def page(folder):
    """The whole page, of the benchmarks that a folder has results of."""
    parts = [TOP]
    for name, title in TITLES.items():
        path = Path(folder) / f"{name}.jsonl"
        if not path.is_file():
            continue
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        versions = {k: v for row in rows for k, v in row.get("versions", {}).items()}
        told = ", ".join(f"{k} {v}" for k, v in versions.items())
        parts += [f"## {title}\n", table(rows), f"\nWith {told}.\n" if told else ""]
    if len(parts) == 1:
        raise FileNotFoundError(f"{folder} holds no results; run `make bench` first")
    return "\n".join(parts).rstrip() + "\n"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks.md"))
    chosen = parser.parse_args(arguments)
    with replacing(chosen.page) as path:
        path.write_text(page(chosen.out), encoding="utf-8")


if __name__ == "__main__":
    main()
