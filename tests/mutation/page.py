"""docs/mutation.md: the score, and every survivor with its explanation."""

import tomllib
from collections import Counter
from math import sqrt
from pathlib import Path

import by_hand
from mutants import REQUIRED, ROOMS, ROOT, path_of, places_of

SURVIVORS = Path(__file__).with_name("survivors.toml")
PAGE = ROOT / "docs" / "mutation.md"
FEW = 10
"""So many modules of a room that were not run are named."""


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


def tally(mutants, outcomes, modules):
    """{module: Counter of mutants, killed, timeouts, equivalent, and places of changes in all}."""
    known = explanations()
    counts = {module: Counter(places=len(places_of(module))) for module in modules}
    for mutant in mutants:
        count, outcome = counts[mutant.module], outcomes[mutant]
        count["mutants"] += 1
        count["timeouts"] += outcome.get("timeout", False)
        if outcome["killer"] is not None:
            count["killed"] += 1
        else:
            count["equivalent"] += known.get(mutant.key, ("", False))[1]
    return counts


def of_rooms(counts):
    """{room: Counter} of the rooms of which a module was run."""
    rooms = {
        room: sum((counts[m] for m in modules if m in counts), Counter())
        for room, modules in ROOMS.items()
    }
    return {room: count for room, count in rooms.items() if count["mutants"]}


def score(count):
    """Share of killed mutants: of all, and of those that are not listed as equivalent, if any."""
    killed, total = count["killed"], count["mutants"]
    fair = total - count["equivalent"]
    return killed / total, killed / fair if fair else 1.0


def interval(hits, total):
    """The 95 % interval of a share, as Wilson has it (JASA 22, 1927, p. 209)."""
    z, share = 1.96, hits / total
    spread = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    middle, scale = share + z * z / (2 * total), 1 + z * z / total
    return (middle - spread) / scale, (middle + spread) / scale


def score_tables(counts, samples, known=""):
    """The score per module as a Markdown table for each room, and how it was drawn.

    Rooms that were not run keep the table of `known`, a page.
    """
    fresh = {
        room: _of_room(room, counts, total) + _drawn(total, *samples.get(room, (None, 0)))
        for room, total in of_rooms(counts).items()
    }
    found = kept_tables(known) | fresh
    return "\n\n".join(found[room] for room in ROOMS if room in found)


def kept_tables(known):
    """{room: its table and how it was drawn} of a page."""
    paragraphs = known.split("\n\n")
    starts = {room: i for i, p in enumerate(paragraphs) for room in ROOMS
              if p.startswith(f"**{room}** (")}  # fmt: skip
    return {
        room: "\n\n".join([*paragraphs[i : i + 2],
                           *(p for p in paragraphs[i + 2 : i + 3] if p.startswith("Drawn at"))])
        for room, i in starts.items()
    }  # fmt: skip


def _of_room(room, counts, total):
    rows = [f"**{room}** (required: {REQUIRED[room]:.0%})", ""]
    rows.append("| module | changes | run | noticed | score | equivalent | score without them |")
    rows.append("|---|---:|---:|---:|---:|---:|---:|")
    modules = [m for m in ROOMS[room] if m in counts and counts[m]["mutants"]]
    for name, count in [*((m, counts[m]) for m in modules), ("**all**", total)]:
        plain, fair = score(count)
        rows.append(
            f"| {name} | {count['places']} | {count['mutants']} | {count['killed']} | "
            f"{plain:.1%} | {count['equivalent']} | {fair:.1%} |"
        )
    return "\n".join(rows)


def _drawn(total, number, seed):
    if number is None or number >= total["places"]:
        return ""
    low, high = interval(total["killed"], total["mutants"] - total["equivalent"])
    return (
        f"\n\nDrawn at random: {number} of {total['places']:,} changes, seed {seed}. With 95 % "
        f"confidence the tests notice between {low:.1%} and {high:.1%} of those that are not "
        "equivalent (Wilson's interval)."
    )


def not_run(tables):
    """A sentence on the modules that tables of scores lack; "" if there is none."""
    named = {line.split(" | ")[0].removeprefix("| ") for line in tables.splitlines()}
    missing = []
    for room, modules in ROOMS.items():
        none = [m for m in modules if m not in named]
        whole = f"all of {room}" if len(none) == len(modules) else f"{len(none)} of {room}"
        missing += none if len(none) <= FEW else [whole]
    return f"**No change of these was run for this page:** {', '.join(missing)}." * bool(missing)


HEAD = ["| where | change | why it survives |", "|---|---|---|"]


def survivor_rows(survivors, rooms=(), known=""):
    """Every survivor: where, what, why; rooms that are not among `rooms` keep those of `known`."""
    explained = explanations()
    rows = kept_rows(known, set(ROOMS) - set(rooms))
    for mutant in survivors:
        why, equivalent = explained.get(mutant.key, ("**not explained**", False))
        where, change = f"{_file(mutant.module)}:{mutant.line}", _cell(mutant)
        rows.append(f"| {where} | {change} | {'Equivalent: ' * equivalent}{why} |")
    return rows


def kept_rows(known, rooms):
    """The survivors' rows of some rooms on a page."""
    files = {_file(module) for room in rooms for module in ROOMS[room]}
    _, _, table = known.partition("\n".join(HEAD))
    return [line for line in table.splitlines() if line[2:].partition(":")[0] in files]


def _file(module):
    return str(path_of(module).relative_to(ROOT / "madpo_theory"))


def _cell(mutant):
    before, after = mutant.change.split(" -> ", 1)
    return " → ".join(f"`{text}`".replace("|", "\\|") for text in (before, after or " "))


def by_hand_table(noticed):
    """Every change of meaning made by hand, and the test that noticed."""
    rows = ["| what was changed | noticed by |", "|---|---|"]
    rows += [f"| {what} | {_test(noticed[what])} |" for what in noticed]
    rows += [f"| {what} | {test} |" for what, test in by_hand.ELSEWHERE.items()]
    rows += [f"| {what} | no fault: {why} |" for what, why in by_hand.NO_FAULT.items()]
    return "\n".join(rows)


def _test(killer):
    return "**no test**" if killer == [None] else f"`{killer[0]}`"


def write(counts, survivors, noticed, samples, **facts):
    """Write the page from page.md; `facts` are the numbers that it names besides.

    Of rooms that were not run it keeps what it says.
    """
    template = Path(__file__).with_name("page.md").read_text()
    known = PAGE.read_text() if PAGE.is_file() else ""
    tables = score_tables(counts, samples, known)
    rooms = of_rooms(counts)
    rows = survivor_rows(survivors, rooms, known)
    PAGE.write_text(
        template.format(
            score_tables=tables,
            not_run=not_run(tables),
            by_hand_table=by_hand_table(noticed),
            survivor_table="\n".join([*HEAD, *rows]),
            survivors=len(rows),
            timeouts=sum(c["timeouts"] for c in counts.values()),
            rooms=" and ".join(rooms),
            **facts,
        )
    )
