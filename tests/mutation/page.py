"""docs/mutation.md: the score, and every survivor with its explanation."""

import tomllib
from collections import Counter, defaultdict
from pathlib import Path

import by_hand
from mutants import REQUIRED, ROOMS, ROOT, path_of

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


def tally(mutants, outcomes, places):
    """{module: Counter of mutants, killed, timeouts, equivalent, and places of changes in all}."""
    known, counts = explanations(), defaultdict(Counter)
    for mutant in mutants:
        count, outcome = counts[mutant.module], outcomes[mutant]
        count["mutants"] += 1
        count["timeouts"] += outcome.get("timeout", False)
        if outcome["killer"] is not None:
            count["killed"] += 1
        else:
            count["equivalent"] += known.get(mutant.key, ("", False))[1]
    for module in counts:
        counts[module]["places"] = places[module]
    return counts


def of_rooms(counts):
    """{room: Counter} of the rooms of which a module was run."""
    rooms = {
        room: sum((counts[m] for m in modules if m in counts), Counter())
        for room, modules in ROOMS.items()
    }
    return {room: count for room, count in rooms.items() if count}


def score(count):
    """Share of killed mutants: of all, and of those that are not listed as equivalent."""
    killed, total = count["killed"], count["mutants"]
    return killed / total, killed / (total - count["equivalent"])


def score_tables(counts):
    """The score per module as a Markdown table for each room, and what was not run."""
    return "\n\n".join(_of_room(room, counts, total) for room, total in of_rooms(counts).items())


def _of_room(room, counts, total):
    rows = [f"**{room}** (required: {REQUIRED[room]:.0%})", ""]
    rows.append("| module | changes | run | noticed | score | equivalent | score without them |")
    rows.append("|---|---:|---:|---:|---:|---:|---:|")
    modules = [m for m in ROOMS[room] if m in counts]
    for name, count in [*((m, counts[m]) for m in modules), ("**all**", total)]:
        plain, fair = score(count)
        rows.append(
            f"| {name} | {count['places']} | {count['mutants']} | {count['killed']} | "
            f"{plain:.1%} | {count['equivalent']} | {fair:.1%} |"
        )
    return "\n".join(rows)


def not_run(counts):
    """A sentence on the modules of which no mutant was run; "" if there is none."""
    missing = []
    for room, modules in ROOMS.items():
        none = [module for module in modules if module not in counts]
        missing += [f"all of {room}"] if len(none) == len(modules) else none
    return f"**Not run for this page:** {', '.join(missing)}." if missing else ""


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


def by_hand_table(noticed):
    """Every change of meaning made by hand, and the test that noticed."""
    rows = ["| what was changed | noticed by |", "|---|---|"]
    rows += [f"| {what} | {_test(noticed[what])} |" for what in noticed]
    rows += [f"| {what} | {why} |" for what, why in by_hand.ELSEWHERE.items()]
    return "\n".join(rows)


def _test(killer):
    return "**no test**" if killer is None else f"`{killer[0]}`" if killer[0] else "**no test**"


def write(counts, survivors, noticed, **facts):
    """Write the page from page.md; `facts` are the numbers that it names besides."""
    template = Path(__file__).with_name("page.md").read_text()
    PAGE.write_text(
        template.format(
            score_tables=score_tables(counts),
            not_run=not_run(counts),
            by_hand_table=by_hand_table(noticed),
            survivor_table=survivor_table(survivors),
            survivors=len(survivors),
            timeouts=sum(c["timeouts"] for c in counts.values()),
            **facts,
        )
    )
