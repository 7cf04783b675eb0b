"""Fuzz the readers: good files of every format, changed in every way that files get changed.

`make fuzz` runs 10,000 inputs and writes the section Files of docs/robustness.md. An input is a
seed: its file, what was done to it and the command follow from that alone, and
``PYTHONPATH=tests/support python tests/fuzz/files.py --first SEED --inputs 1`` tries one again.
Most go through ``madpo weights``, some through ``madpo diagnose`` or the reader of rewards. What
comes out must be what a plain reading of the same bytes says (pandas for CSV, json line by line,
pyarrow), or one line and exit status 2 with nothing written.
"""

import argparse
import contextlib
import gzip
import io
import itertools
import json
import math
import random
import re
import signal
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pandas
import pyarrow as pa
from pyarrow import parquet
from robustness import write_section

from madpo_theory import MarginSchedule, cli, weight
from madpo_theory.formats import blocks
from madpo_theory.formats import text as text_format
from madpo_theory.formats.base import MISSING
from madpo_theory.simulate.reward_file import read_rewards

SECONDS = {signal.ITIMER_PROF: 20, signal.ITIMER_REAL: 600}
"""Longer than this an input hangs: of processor time, or, where it waits, of time on the wall."""
FORMATS = (
    "csv", "tsv", "jsonl", "parquet", "arrow", "feather", "folder", "json", "jsonl.gz", "csv.gz",
)  # fmt: skip
TEXTS = ("csv", "tsv", "jsonl", "json", "jsonl.gz", "csv.gz")
CELLS = ("csv", "tsv", "csv.gz")
"""Formats whose cells are texts."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|infinity|nan)", re.I)

TAKEN = re.compile(r"^margin: (.*?)(?: - (.*?))?(?:, turned to the label (.*?))? \(guessed", re.M)


class Wrong(Exception):
    """What must not come out of any input."""


# --- good files -----------------------------------------------------------------------------------


def good_rows(rng):
    """Columns of pairs whose texts say which row and which side they are of."""
    n = rng.randint(1, 12)
    margins = [rng.choice((-1, 1)) * (rng.randint(1, 40) / 8) for _ in range(n)]
    columns = {"prompt": [f"P{k} {text(rng)}" for k in range(n)]}
    columns |= {side: [f"{side} {k}" for k in range(n)] for side in ("chosen", "rejected")}
    shape = rng.choice(("margin", "scores", "label"))
    if shape == "margin":
        columns["margin"] = margins
    elif shape == "scores":
        low = [rng.randint(-16, 16) / 8 for _ in range(n)]
        columns["score_rejected"] = low
        columns["score_chosen"] = [a + b for a, b in zip(low, margins, strict=True)]
    else:
        columns["reward_first"] = margins
        columns["reward_second"] = [0.0] * n
        columns["first_chosen"] = [rng.random() < 0.5 for _ in range(n)]
    names = list(columns)
    rng.shuffle(names)
    return {name: columns[name] for name in names}


def text(rng):
    """A text with what texts hold: commas, quotes, line ends, other scripts."""
    parts = (
        "word",
        ", ",
        '"',
        "\n",
        "é",
        "日本",
        "\t",
        "'",
        "{}",
        "\\",
        "\u2028",
        " ",
        "\U0001f600",
    )
    return "".join(rng.choice(parts) for _ in range(rng.randint(0, 6)))


def rows_of(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def write(kind, columns, folder, rng):
    """Write the columns in a format; returns the path that the command is given."""
    path = folder / {"folder": "pairs", "feather": "pairs.arrow"}.get(kind, f"pairs.{kind}")
    if kind.endswith(".gz"):
        inner = write(kind.removesuffix(".gz"), columns, folder, rng)
        path.write_bytes(gzip.compress(inner.read_bytes(), mtime=0))
        inner.unlink()
    elif kind == "json":
        indent, ascii_only = rng.choice((None, 0, 2)), rng.random() < 0.5
        body = json.dumps(rows_of(columns), indent=indent, ensure_ascii=ascii_only)
        path.write_text(body + rng.choice(("", "\n")), encoding="utf-8", newline="")
    elif kind in ("csv", "tsv"):
        frame = pandas.DataFrame(columns)
        end = rng.choice(("\n", "\r\n"))
        body = frame.to_csv(index=False, sep="," if kind == "csv" else "\t", lineterminator=end)
        path.write_bytes(body.encode())
    elif kind == "jsonl":
        ascii_only = rng.random() < 0.5
        lines = (json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows_of(columns))
        path.write_text("".join(lines), encoding="utf-8", newline="")
    else:
        table = pa.table(columns)
        if kind == "parquet":
            parquet.write_table(table, path, row_group_size=rng.randint(1, 5))
        elif kind == "folder":
            write_folder(path, table, rng)
        else:
            write_arrow(path, table, rng, footer=kind == "feather")
    return path


def write_arrow(path, table, rng, *, footer=False):
    make = pa.ipc.new_file if footer else pa.ipc.new_stream
    with make(str(path), table.schema) as stream:
        stream.write_table(table, max_chunksize=rng.randint(1, 7))


def write_folder(path, table, rng):
    """Shards as `datasets` saves them, their columns in orders of their own."""
    path.mkdir()
    cut = rng.randint(0, len(table))
    names = [f"data-0000{k}-of-00002.arrow" for k in range(2)]
    for name, part in zip(names, (table[:cut], table[cut:]), strict=True):
        order = part.column_names
        if rng.random() < 0.5:
            rng.shuffle(order)
        write_arrow(path / name, part.select(order), rng)
    if rng.random() < 0.7:
        state = {"_data_files": [{"filename": name} for name in names]}
        (path / "state.json").write_text(json.dumps(state))


# --- what is done to them -------------------------------------------------------------------------


def permuted(columns, rng):
    names = list(columns)
    rng.shuffle(names)
    return {name: columns[name] for name in names}


def reordered(columns, rng):
    order = list(range(len(next(iter(columns.values())))))
    rng.shuffle(order)
    return {name: [values[k] for k in order] for name, values in columns.items()}


def lengthened(columns, rng):
    """A cell longer than any limit of a reader."""
    name = "prompt" if "prompt" in columns else "chosen"
    long = "x" * rng.choice((70_000, 140_000, 1_100_000))
    return columns | {name: [*columns[name][:-1], long]}


def widened(columns, rng):
    """Columns that say nothing of the margin, with the names that people give them."""
    n = len(next(iter(columns.values())))
    names = ('quo"ted', "com,ma", "two\nlines", "", "id", "Unnamed: 0", "é", "x" * 300)
    return columns | {name: list(range(n)) for name in rng.sample(names, 2)}


def renamed(columns, rng):
    """A column gets another's kind of name, or none that says anything."""
    names = (
        "margin",
        "model_margin",
        "first_chosen",
        "Margin",
        "score_first",
        "x",
        "reward_chosen",
    )
    old, new = rng.choice(list(columns)), rng.choice(names)
    return {new if name == old else name: values for name, values in columns.items()}


def values_changed(columns, rng):
    """A number becomes something that is none, or too large, or missing."""
    numbers = [n for n in columns if n not in ("prompt", "chosen", "rejected")]
    name, others = rng.choice(numbers), ODD_VALUES
    values = list(columns[name])
    for _ in range(rng.randint(1, 2)):
        values[rng.randrange(len(values))] = rng.choice(others)
    return columns | {name: values}


ODD_VALUES = (
    None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-300, 5e-324, 1e300, 3e9, 10**20, True, False,
    "", "NA", "nan", "null", "None", "high", "1_000", "１２", "0x10", "1,5", "1e400", "2", 0.5, -1,
    1, "9" * 5000, [1.0], {"a": 1.0}, "x" * 500,
)  # fmt: skip


def nested(columns, rng):
    """An object or a list in a cell that no one asks for."""
    cells = [{"a": [1, {"b": k}]} for k in range(len(next(iter(columns.values()))))]
    return columns | {"meta": cells}


OF_COLUMNS = (permuted, reordered, lengthened, widened, renamed, values_changed, nested)
HARMLESS = {permuted, reordered, lengthened, widened}
"""After these a file is as good as before, and must be read."""


def cut(data, rng):
    return data[: rng.randint(0, len(data))]


def spliced(data, rng):
    """Two copies, whole or in part, one behind the other."""
    return data[: rng.randint(0, len(data))] + data[rng.randint(0, len(data)) :]


def doubled(data, rng):
    return data + data


def flipped(data, rng):
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def dropped(data, rng):
    at = rng.randint(0, len(data))
    return data[:at] + data[at + rng.randint(1, 3) :]


def inserted(data, rng):
    pieces = (
        b"\0",
        b"\n",
        b"\r",
        b'"',
        b",",
        b"\t",
        b"{",
        b"]",
        b"\xff",
        b"\xc3",
        b"\xef\xbb\xbf",
        b" ",
    )
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(pieces) + data[at:]


def encoded(data, rng):
    """In another encoding, where it is a text at all."""
    try:
        return data.decode().encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "latin-1")))
    except UnicodeError:
        return data[::-1]


def marked(data, rng):
    return b"\xef\xbb\xbf" + data


def blank_lines(data, rng):
    """Blank lines where editors and `cat` leave them."""
    return b"\n" * rng.randint(0, 2) + data + b"\n" * rng.randint(1, 2)


def carriage_returns(data, rng):
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r")


def lines_shuffled(data, rng):
    lines = data.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


def joined(data, rng):
    """A line end less: lines that are no record by themselves."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    return b"\n".join(lines[:at] + [b"".join(lines[at : at + 2])] + lines[at + 2 :])


OF_BYTES = (
    cut, spliced, doubled, flipped, dropped, inserted, encoded, marked, blank_lines,
    carriage_returns, lines_shuffled, joined,
)  # fmt: skip


# --- a plain reading of the same bytes ------------------------------------------------------------


def plain_rows(path, kind, columns=None):
    """The rows of a file as dicts, by the field's own readers; an exception if they refuse it.

    `columns`: those that matter; in Parquet the others are not looked at.
    """
    if kind.endswith(".gz"):
        inner = path.with_name(f"unpacked.{kind.removesuffix('.gz')}")
        inner.write_bytes(gzip.decompress(path.read_bytes()))
        try:
            return plain_rows(inner, kind.removesuffix(".gz"))
        finally:
            inner.unlink()
    if kind == "json":
        return json.loads(path.read_bytes().decode().lstrip("\ufeff"), parse_int=float)
    if kind in ("csv", "tsv"):
        unmarked = io.StringIO(path.read_bytes().decode().lstrip("\ufeff"), newline="")
        frame = pandas.read_csv(
            unmarked, dtype=str, keep_default_na=False, index_col=False,
            sep="," if kind == "csv" else "\t", header=None, engine="python",
        )  # fmt: skip
        head, *rows = frame.values.tolist()
        return [dict(zip(head, row, strict=True)) for row in rows]
    if kind == "jsonl":
        lines = re.split(r"\r\n|\r|\n", path.read_bytes().decode().lstrip("\ufeff"))
        return [json.loads(line, parse_int=float) for line in lines if line.strip(" \t\r\n")]
    if kind == "parquet":
        return parquet.read_table(path, columns=columns).to_pylist()
    if kind == "folder":
        state = path / "state.json"
        listed = json.loads(state.read_text())["_data_files"] if state.is_file() else None
        files = [path / f["filename"] for f in listed] if listed else sorted(path.glob("*.arrow"))
        return [row for file in files for row in plain_rows(file, "arrow")]
    with pa.OSFile(str(path)) as file:
        opened = pa.ipc.open_file if file.read(6) == b"ARROW1" else pa.ipc.open_stream
        file.seek(0)
        return opened(file).read_all().to_pylist()


def plain_number(cell, *, label=False, written):
    """A cell's number, NaN if missing; ValueError if it is none. `written`: the format is text."""
    if cell is None or (isinstance(cell, str) and cell.strip() in MISSING):
        return math.nan
    if label and written and isinstance(cell, str) and cell.strip().lower() in ("true", "false"):
        return float(cell.strip().lower() == "true")
    if isinstance(cell, bool) and label:
        return float(cell)
    if isinstance(cell, bool) or (isinstance(cell, str) and not written):
        raise ValueError
    if isinstance(cell, str) and not NUMBER.fullmatch(cell.strip()):
        raise ValueError
    return float(cell)


def expected_margins(rows, columns, label, written):
    """For each row its margin toward the label, NaN where it has no usable one."""
    found = []
    for row in rows:
        numbers = [plain_number(row.get(name), written=written) for name in columns]
        margin = numbers[0] - (numbers[1] if len(numbers) > 1 else 0.0)
        if label is not None:
            choice = plain_number(row.get(label), label=True, written=written)
            margin = {1.0: margin, 0.0: -margin}.get(choice, math.nan)
        usable = math.isfinite(margin) and abs(margin) <= 1e8
        found.append(margin if usable else math.nan)
    return found


# --- one input ------------------------------------------------------------------------------------


def hangs(signum, frame):
    raise Wrong("hangs")


@contextlib.contextmanager
def captured():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out, err


def command(*arguments):
    """(status, standard output, standard error) of the command, in this process."""
    with captured() as (out, err):
        try:
            status = cli.main([str(a) for a in arguments])
        except SystemExit as stopped:
            status = stopped.code
    return status, out.getvalue(), err.getvalue()


def refused(line, path):
    """That a refusal is one line, of a length that people read, which names the file."""
    lines = line.splitlines()
    if len(lines) != 1 or not lines[0].startswith("madpo: ") or len(lines[0]) > 900:
        raise Wrong(f"refused in {len(lines)} lines of {len(line)} characters: {line[:300]!r}")
    if path.name not in line:
        raise Wrong(f"refused without the name of the file: {line[:300]!r}")


def same_cells(row, plain):
    """That a row that was written is the row of the plain reading."""
    return set(row) == set(plain) and all(same(row[name], plain[name]) for name in row)


def same(a, b):
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def weighted(path, kind, rng, *, sound):
    """`madpo weights` of a file: "read", or "refused"; Wrong for anything else."""
    suffix = kind if kind in TEXTS else "parquet"
    if kind in ("jsonl", "json", "jsonl.gz"):
        suffix = rng.choice((kind, "jsonl", "json"))
    out, options = path.parent / f"out.{suffix}", []
    drop = rng.random() < 0.5
    if drop:
        options.append("--drop-invalid")
    before = sorted(path.parent.rglob("*"))
    status, said, complaint = command("weights", path, "-o", out, *options)
    after = sorted(p for p in path.parent.rglob("*") if not p.name.startswith("out."))
    if after != before:
        raise Wrong(f"leaves {sorted(set(after) ^ set(before))}")
    if status == 2:
        refused(complaint, path)
        if list(path.parent.glob("out.*")):
            raise Wrong("half written")
        if sound:
            raise Wrong(f"refuses a good file: {complaint.strip()}")
        return "refused"
    if status != 0:
        raise Wrong(f"exit status {status}: {complaint[:300]}")
    taken = TAKEN.search(said)
    *columns, label = taken.groups()
    try:
        rows = plain_rows(path, kind)
    except Exception as error:
        raise Wrong(f"read, where a plain reading says {type(error).__name__}: {error}") from None
    written = kind in CELLS
    try:
        margins = expected_margins(rows, [c for c in columns if c], label, written)
    except (ValueError, TypeError):
        raise Wrong("read, where a cell is no number") from None
    kept = [k for k, h in enumerate(margins) if not math.isnan(h)]
    if len(kept) < len(rows) and not drop:
        raise Wrong(f"takes {len(rows) - len(kept)} rows without a usable margin")
    found = plain_rows(out, suffix)
    if len(found) != len(kept):
        raise Wrong(f"writes {len(found)} rows of {len(kept)}")
    weights = weight(np.array([margins[k] for k in kept]), MarginSchedule.released())
    for row, k, w in zip(found, kept, weights.tolist(), strict=True):
        if float(row.pop("weight")) != w:
            raise Wrong(f"row {k + 1} has another weight than its margin {margins[k]}")
        if not same_cells(row, rows[k]):
            raise Wrong(f"row {k + 1} is another than a plain reading's")
    return "read"


def diagnosed(path, kind, rng, *, sound):
    """`madpo diagnose`: takes the columns that `madpo weights` takes, or refuses as it does."""
    status, said, complaint = command("diagnose", path)
    other = command("weights", path, "-o", path.parent / f"d.{OUT.get(kind, kind)}")
    if status == 2:
        refused(complaint, path)
        if sound:
            raise Wrong(f"refuses a good file: {complaint.strip()}")
        if other[0] == 0:
            raise Wrong(f"refuses what madpo weights reads: {complaint.strip()}")
        return "refused"
    if status not in (0, 1):
        raise Wrong(f"exit status {status}: {complaint[:300]}")
    if other[0] == 0:
        took = [re.search(r"^margin:? +(.*)$", s, re.M)[1] for s in (said, other[1])]
        if took[0] != took[1]:
            raise Wrong(f"takes {took[0]}, and madpo weights {took[1]}")
    elif not re.search("Parquet cannot hold|cannot be read|line .* is not UTF-8", other[2]):
        raise Wrong(f"reads what madpo weights refuses: {other[2].strip()}")
    if re.search(r"\bnan\b", said):
        raise Wrong("says nan")
    return "read"


OUT = dict.fromkeys(("arrow", "feather", "folder"), "parquet")


def rewarded(path, kind, rng, *, sound):
    """The reader of rewards: the rewards of a plain reading, or one line."""
    try:
        found = read_rewards(path)
    except ValueError as error:
        refused(f"madpo: {error}", path)
        if sound:
            raise Wrong(f"refuses a good file: {error}") from None
        return "refused"
    try:
        rows = plain_rows(path, kind, ["prompt", "response", "reward"])
    except Exception as error:
        raise Wrong(f"read, where a plain reading says {type(error).__name__}: {error}") from None
    plain = {}
    for row in rows:
        number = plain_number(row["reward"], written=kind in CELLS)
        plain.setdefault(row["prompt"], {})[row["response"]] = number
    said = {
        prompt: dict(zip(responses, rewards.tolist(), strict=True))
        for prompt, responses, rewards in zip(
            found.prompts, found.responses, found.rewards, strict=True
        )
    }
    if said != plain:
        raise Wrong("other rewards than a plain reading's")
    return "read"


def good_rewards(rng):
    """Columns of a reward file."""
    keys = [(f"P{p} {text(rng)}", f"R{r} {text(rng)}") for p in range(2) for r in range(2)]
    columns = {"prompt": [p for p, _ in keys], "response": [r for _, r in keys]}
    columns["prompt"] = [columns["prompt"][k - k % 2] for k in range(len(keys))]
    return columns | {"reward": [rng.randint(-40, 40) / 8 for _ in keys]}


def attempt(seed, folder):
    """(format, what was done, outcome) of one input, made in an empty folder."""
    rng = random.Random(seed)
    kind = FORMATS[seed % len(FORMATS)]
    check = rng.choices((weighted, diagnosed, rewarded), (8, 1, 2))[0]
    if check is rewarded and kind == "folder":
        check = weighted
    columns = good_rewards(rng) if check is rewarded else good_rows(rng)
    done, sound = [], True
    for _ in range(rng.randint(0, 2)):
        change = rng.choice(OF_COLUMNS)
        if check is rewarded and change in (renamed, values_changed, lengthened):
            continue
        columns = change(columns, rng)
        done.append(change.__name__)
        sound &= change in HARMLESS and kind in (*TEXTS, "parquet", "feather")
    try:
        path = write(kind, columns, folder, rng)
    except (pa.ArrowException, UnicodeError, OverflowError, TypeError):
        return kind, "unwritten", "unwritten"  # a type that the format does not have
    sound &= kind != "folder" or (path / "state.json").is_file()
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        target = path
        if kind == "folder":
            target = rng.choice(sorted(path.iterdir()))
        change = rng.choice(OF_BYTES)
        target.write_bytes(change(target.read_bytes(), rng))
        done.append(change.__name__)
        sound = False
    for timer, seconds in SECONDS.items():
        signal.setitimer(timer, seconds)
    sizes = rng.choice((text_format.SMALL, 0)), rng.choice((blocks.SIZE, 40))
    try:
        with (
            mock.patch.object(text_format, "SMALL", sizes[0]),
            mock.patch.object(blocks, "SIZE", sizes[1]),
        ):
            outcome = check(path, kind, rng, sound=sound)
    except Wrong as error:
        outcome = f"WRONG: {error}"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        outcome = f"WRONG: {type(error).__name__}: {error} ({where.filename}:{where.lineno})"
    finally:
        for timer in SECONDS:
            signal.setitimer(timer, 0)
    return kind, " ".join(done) or "nothing", outcome


def attempts(seeds):
    """(seed, format, what was done, outcome) of each seed."""
    previous = {s: signal.signal(s, hangs) for s in (signal.SIGALRM, signal.SIGPROF)}
    try:
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                yield seed, *attempt(seed, Path(folder))
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


# --- the page -------------------------------------------------------------------------------------


def section(outcomes):
    """The section of the page: what came of all inputs, by format and by what was done."""
    total = sum(outcomes.values())
    by_kind, by_change = Counter(), Counter()
    for (kind, done, outcome), count in outcomes.items():
        by_kind[kind, outcome] += count
        for change in set(done.split()):
            by_change[change, outcome] += count
    wrong = sum(count for (_, _, outcome), count in outcomes.items() if outcome == "wrong")
    lines = [
        "## Files",
        "",
        f"`make fuzz` changed {total:,} good files of pairs and rewards, up to four times each, "
        "and gave them to `madpo weights`, `madpo diagnose` and the reader of `madpo simulate "
        f"--rewards`. {wrong or 'None'} ended otherwise than in what a plain reading of the same "
        "bytes says (pandas, json line by line, pyarrow), every row and its weight, or in one line "
        "and exit status 2 with nothing written: no traceback, no hang, no half-written file, no "
        "swapped pair.",
        "",
    ]
    for head, table in (("format", by_kind), ("change", by_change)):
        lines += [f"| {head} | inputs | read | refused | wrong |", "|---|---:|---:|---:|---:|"]
        for name in sorted({name for name, _ in table}):
            counts = [table[name, outcome] for outcome in ("read", "refused", "wrong")]
            cells = " | ".join(f"{count:,}" for count in (sum(counts), *counts))
            lines.append(f"| {name.replace('_', ' ')} | {cells} |")
        lines.append("")
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0, help="seed of the first input")
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--page", action="store_true", help="write docs/robustness.md")
    chosen = parser.parse_args(arguments)
    outcomes, failed = Counter(), 0
    for seed, kind, done, outcome in attempts(itertools.count(chosen.first)):
        if outcome.startswith("WRONG"):
            failed += 1
            print(f"{seed} {kind} ({done}): {outcome}", flush=True)
        if outcome != "unwritten":  # a format that cannot hold what was drawn
            outcomes[kind, done, "wrong" if outcome.startswith("WRONG") else outcome] += 1
        if sum(outcomes.values()) == chosen.inputs:
            break
    print(section(outcomes))
    if chosen.page:
        write_section(section(outcomes))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
