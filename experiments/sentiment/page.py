"""docs/sentiment.md: the recorded study as a page, with its figures beside it."""

import json
import math
from pathlib import Path

from madpo_theory.files import write_text
from madpo_theory.markdown import markdown_table
from madpo_theory.show.figures import figures, make_figures
from madpo_theory.show.names import look
from madpo_theory.show.studies import failures, markdown_judgements

from .predictions import judged
from .study import STUDY, lacking
from .tables import between_seeds, everything, full_scale, overview, reading

__all__ = ["at_full_scale", "drawn_beside", "publish", "section"]

TITLE = "The recorded sentiment study"


def publish(folder, path):
    """Write the page of a results folder; figures go to figures/ beside it. Returns the path."""
    folder, path = Path(folder), Path(path)
    shown = drawn_beside(path, results=folder)
    about = section(folder)
    left = len(lacking(folder, STUDY))
    lines = [
        f"# {TITLE}",
        "",
        "[The second study](sentiment-2.md) repeats it with a line of DPO that brackets the "
        "methods and three seeds of every cell; where the two differ, that one stands.",
        "",
        *([f"**{left} of the study's {len(STUDY)} runs are still to come.**", ""] if left else []),
        f"Written by `madpo study --page {path}` from the {about['runs']} runs in `{folder}`, "
        f"{about['hours']:.1f} hours of training and evaluation at {', '.join(about['commits'])} "
        "(+: with changes on top). `madpo study --results ANOTHER --compare results/sentiment` "
        "runs them anew.",
        "",
        *[f"{line}  " for line in about["reading"]],
        "",
        *markdown_table(
            ("tier", "method", "seeds", "reward", "KL to SFT (nats)", "published reward"),
            (
                (
                    row["tier"],
                    row["label"],
                    str(row["seeds"]),
                    f"{row['reward']:.2f}",
                    f"{row['kl']:.2f}",
                    "" if row["published"] is None else f"{row['published']:.2f}",
                )
                for row in about["rows"]
            ),
        ),
    ]
    lines += ["", "Brackets: 95 % intervals of a bootstrap over prompts and seeds.", ""]
    lines += every_setting(folder)
    lines += [*at_full_scale(full_scale(folder)), *spread_between_seeds(folder)]
    for name, figure in shown.items():
        caption = " ".join(figure.caption.split())
        lines += [f"## {figure.title}", "", f"![{figure.alt}](figures/{name}.svg)", "", caption, ""]
    lines += [
        failures(about["predictions"]),
        "",
        *markdown_judgements(about["predictions"]),
        "",
    ]
    return write_text(path, "\n".join(lines))


def drawn_beside(page, **source):
    """Draw all figures of a source, given as its name and folder, as SVG in figures/ beside a page.

    Returns {name: figure}.
    """
    (name,) = source
    shown = {key: figure for key, figure in figures().items() if figure.source == name}
    for file in make_figures(page.parent / "figures", experiment=None, names=shown, **source):
        if file.suffix != ".svg":
            file.unlink()
    return shown


def section(folder):
    """What the report says of recorded runs: rows, reading, judged predictions, where they ran."""
    folder = Path(folder)
    env = json.loads((folder / "env.json").read_text(encoding="utf-8"))
    return {
        "rows": [row | {"label": look(row["method"]).label} for row in overview(folder)],
        "reading": reading(folder).splitlines(),
        "predictions": judged(folder),
        "runs": len(env),
        "hours": sum(row["seconds"] for row in env.values()) / 3600,
        "commits": sorted({row["commit"] or "unknown" for row in env.values()}),
    }


def every_setting(folder):
    """Lines: a table of all runs, with what each setting earns over DPO at its own KL."""
    return [
        "## Every setting",
        "",
        "At equal KL: reward minus that of DPO at the same KL, on the line through DPO's runs of "
        "the tier and seed and the fine-tuned model. Below the KL of DPO at its largest β that "
        "line is a chord of a curve that bends, so what lies there is favoured, the more so "
        "the farther it is from either end. No number: the KL lies beyond the line. "
        "One seed's interval is over prompts alone: other seeds differ by more.",
        "",
        *markdown_table(
            ("tier", "method", "setting", "seeds", "reward", "KL to SFT (nats)", "at equal KL"),
            map(_setting_cells, everything(folder)),
        ),
        "",
    ]


def _setting_cells(row):
    gap = row["at_equal_kl"]
    return (
        row["tier"],
        look(row["method"]).label,
        setting_of(row),
        str(row["seeds"]),
        f"{row['reward']:.2f}",
        f"{row['kl']:.2f}",
        "" if gap is None or math.isnan(gap.value) else f"{gap:+.2f}",
    )


def setting_of(row):
    """The hyper-parameters of a run and what was done to its margins, in words."""
    parts = [f"β {row['beta']:g}"]
    if not math.isnan(row["c_max"]):
        parts += [f"c_max {row['c_max']:g}", f"τ {row['tau']:.3g}"]
    level = f" {row['level']:g}" if row["level"] else ""
    return ", ".join(parts) + (
        "" if row["disturbance"] == "none" else f", margins {row['disturbance']}{level}"
    )


def at_full_scale(rows):
    """Lines: what would differ with the paper's sizes; `rows` are :func:`~.tables.full_scale`'s."""
    return [
        "## What full scale would change",
        "",
        f"The paper trains its reward model on 10,000 pairs, these runs on {rows[0]['pairs']}. A "
        "better one gives larger margins, and then a schedule is less and less a temperature. The "
        "recorded pairs, with the reward model as trained and with an exact one:",
        "",
        *full_scale_table(rows),
        "",
        "An exact reward model suggests how much full scale could add: the last column is the "
        "first step's gain of true reward for its length, relative to DPO's, before any difference "
        "of temperature. Longer training moves the other way: amplification grows from "
        "tanh(c h/2)/tanh(h/2) of the first step to c at convergence (T6), so more of the "
        "difference at one β is temperature.",
        "",
    ]


def spread_between_seeds(folder):
    """Lines: how far rewards spread between seeds; none without two seeds of a tier."""
    alone, paired, groups = between_seeds(folder)
    if not groups:
        return []
    return [
        f"Seeds: a method's mean reward spreads by {alone:.2f} between seeds, its difference "
        f"from DPO's at the same seed by {paired:.2f} (standard deviations; {groups} pairs of "
        "a tier and a method). Published are differences of 0.47 to 0.61 at one seed.",
        "",
    ]


def full_scale_table(rows):
    """Lines: what weights do with the reward model as trained, and would with an exact one."""
    return markdown_table(
        (
            "tier",
            "reward model",
            "sd of margins",
            "disputed",
            "where the target falls",
            "ESS",
            "nearest DPO β",
            "off by",
            "gain of a step over DPO's",
        ),
        (
            (
                row["tier"]
                + f", {row['label_noise']:.0%} of labels turned" * bool(row["label_noise"]),
                row["reward_model"],
                f"{row['spread']:.2f}",
                f"{row['disputed']:.0%}",
                f"{row['falls']:.1%}",
                f"{row['ess']:.0%}",
                f"{row['dpo_beta']:.4f}",
                f"{row['off_by']:.1%}",
                f"{row['gain']:.2f}",
            )
            for row in rows
        ),
    )
