"""docs/sentiment.md: the recorded study as a page, with its figures beside it."""

import json
from pathlib import Path

from madpo_theory.figures import FIGURES, make_figures
from madpo_theory.files import replacing
from madpo_theory.studies import markdown_judgements

from .predictions import judged
from .tables import LABELS, overview, reading

__all__ = ["publish"]

TITLE = "The recorded sentiment study"
NAMES = [name for name, spec in FIGURES.items() if spec.needs_results]


def publish(folder, path):
    """Write the page of a results folder; figures go to figures/ beside it. Returns the path."""
    folder, path = Path(folder), Path(path)
    for file in make_figures(path.parent / "figures", experiment=None, results=folder, names=NAMES):
        if file.suffix != ".png":
            file.unlink()
    env = json.loads((folder / "env.json").read_text(encoding="utf-8"))
    rows = judged(folder)
    failed = [row["id"] for row in rows if row["verdict"] == "fails"]
    commits = sorted({row["commit"] or "unknown" for row in env.values()})
    hours = sum(row["seconds"] for row in env.values()) / 3600
    lines = [
        f"# {TITLE}",
        "",
        f"Written by `madpo study --page {path}` from the {len(env)} runs in `{folder}`, "
        f"{hours:.1f} hours of training and evaluation at {', '.join(commits)} (+: with changes on "
        "top). `madpo study --results ANOTHER --compare results/sentiment` runs them anew.",
        "",
        *[f"{line}  " for line in reading(folder).splitlines()],
        "",
        "| tier | method | seeds | reward | KL to SFT (nats) | published reward |",
        "|---|---|---|---|---|---|",
    ]
    for row in overview(folder):
        known = "" if row["published"] is None else f"{row['published']:.2f}"
        cells = (
            row["tier"],
            LABELS[row["method"]],
            str(row["seeds"]),
            told(row["reward"]),
            told(row["kl"]),
            known,
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Brackets: 95 % intervals of a bootstrap over prompts and seeds.", ""]
    for name in NAMES:
        spec = FIGURES[name]
        caption = " ".join(spec.caption.split())
        lines += [f"## {spec.title}", "", f"![{spec.alt}](figures/{name}.png)", "", caption, ""]
    lines += [
        f"Of {len(rows)} predictions {len(failed)} failed{': ' * bool(failed)}{', '.join(failed)}.",
        "",
        *markdown_judgements(rows),
        "",
    ]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    return path


def told(found):
    """A measurement with its interval."""
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
