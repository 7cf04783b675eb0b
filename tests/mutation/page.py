"""docs/mutation.md: the score, and every survivor with its explanation."""

import tomllib
from collections import Counter, defaultdict
from pathlib import Path

from mutants import MODULES, ROOT, path_of

SURVIVORS = Path(__file__).with_name("survivors.toml")
PAGE = ROOT / "docs" / "mutation.md"


def explanations():
    """{mutant's key: (why, whether it is equivalent)} from survivors.toml."""
    table = {}
    for entry in tomllib.loads(SURVIVORS.read_text())["survivor"]:
        for change in entry["changes"]:
            key = entry["module"], entry["function"], change
            if key in table:
                raise ValueError(f"survivors.toml explains {key} twice; drop one")
            table[key] = entry["why"], entry["equivalent"]
    return table


def tally(mutants, outcomes):
    """{module: Counter of killed, timeouts, survived, equivalent}."""
    known, counts = explanations(), defaultdict(Counter)
    for mutant in mutants:
        count, outcome = counts[mutant.module], outcomes[mutant]
        count["mutants"] += 1
        count["timeouts"] += outcome.get("timeout", False)
        if outcome["killer"] is not None:
            count["killed"] += 1
        else:
            count["equivalent"] += known.get(mutant.key, ("", False))[1]
    return counts


def score(count):
    """Share of killed mutants: of all, and of those that are not listed as equivalent."""
    killed, total = count["killed"], count["mutants"]
    return killed / total, killed / (total - count["equivalent"])


def score_table(counts):
    """The score per module as a Markdown table."""
    rows = ["| module | mutants | killed | score | equivalent | score without them |"]
    rows.append("|---|---:|---:|---:|---:|---:|")
    total = sum(counts.values(), Counter())
    for name, count in [*((m, counts[m]) for m in MODULES if counts[m]), ("**all**", total)]:
        plain, fair = score(count)
        rows.append(
            f"| {name} | {count['mutants']} | {count['killed']} | {plain:.1%} | "
            f"{count['equivalent']} | {fair:.1%} |"
        )
    return "\n".join(rows)


def survivor_table(survivors):
    """Every survivor: where, what, why."""
    known = explanations()
    rows = ["| where | change | why it survives |", "|---|---|---|"]
    for mutant in survivors:
        why, equivalent = known.get(mutant.key, ("**not explained**", False))
        where = f"{path_of(mutant.module).relative_to(ROOT / 'madpo_theory')}:{mutant.line}"
        change = _cell(mutant)
        rows.append(f"| {where} | {change} | {'Equivalent: ' * equivalent}{why} |")
    return "\n".join(rows)


def _cell(mutant):
    before, after = mutant.change.split(" -> ", 1)
    return " → ".join(f"`{text}`".replace("|", "\\|") for text in (before, after or " "))


def write(counts, survivors, **facts):
    """Write the page from page.md; `facts` are the numbers that it names besides."""
    template = Path(__file__).with_name("page.md").read_text()
    PAGE.write_text(
        template.format(
            score_table=score_table(counts),
            survivor_table=survivor_table(survivors),
            survivors=len(survivors),
            timeouts=sum(c["timeouts"] for c in counts.values()),
            **facts,
        )
    )
