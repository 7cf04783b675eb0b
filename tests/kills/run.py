"""Kill the long commands at random moments: what is left, and what the same command makes of it.

`make kills` does it twenty times to each command in each way. Every outcome is written at once to
tests/kills/record.json, so a run that was stopped goes on where it was; the section Killed of
docs/robustness.md is written from the record. A command is started in an empty folder and, once it
has used a drawn share of the processor time that it takes, terminated (SIGTERM), interrupted
(SIGINT) or killed (SIGKILL); or its disk is full once it holds a drawn share of what it writes (a
tmpfs of that size, mounted on the folder). Then

- no process that it started is alive; no temporary is there, but after SIGKILL;
- it says why it ended in one line, with the exit status of that end;
- the same command, run again, ends in the files of a run that nothing disturbed, or refuses in one
  line to write what is there, and is; no temporary is left, neither there nor in TMPDIR.

``PYTHONPATH=tests/support python tests/kills/run.py weights --again 3 --ways full`` tries the third
moment of one way again, and records nothing.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from robustness import write_section
from tqdm import tqdm

from madpo_theory.files import SUFFIX, held, write_text
from madpo_theory.leash import stoppable

HERE = Path(__file__).parent
RECORD = HERE / "record.json"
LOCK = Path(tempfile.gettempdir()) / "madpo-kills.lock"
WAYS = ("SIGTERM", "SIGINT", "SIGKILL", "full")
TIMES, SEED, PAIRS = 20, 0, 20_000
PAGE = 4096  # bytes that a tmpfs gives out at once
STOPPED = {"SIGTERM": (130, -15), "SIGINT": (130, -2), "SIGKILL": (-9,), "full": (2,)}
"""Exit statuses of a command that was stopped; -15 and so on where it was about to end itself."""


@dataclass(frozen=True)
class Command:
    """A command to kill.

    `prepare` is code that makes it small; `differs` matches the files, and `words` what stands in
    files, that two undisturbed runs do not have in common.
    """

    arguments: str
    prepare: str = ""
    differs: str = "(?!)"
    words: str = "(?!)"


MEASURED = r"timing\.json|precision\.json|precision-\w+/manifest\.json"
"""Of the experiment: seconds, and how fast the machine multiplies matrices."""
OF_TIME = "|".join(
    (
        r'"seconds": [\d.]+',
        r'"gflops_cpu": \{[^}]*\}',
        r'"(details\.json|summary\.parquet)": "\w+"',  # their digests
        r"<td>\d+</td></tr>(?=\n)",  # the last column of the report's table of policies
        r"gflops_cpu\.\w+</td><td>[\d.]+",
        r"Claims verified in [\d.]+ s",
    )
)
STUDIES, EXPERIMENT, LEDGER = (
    f"import small; small.make_{what}_small();" for what in ("studies", "experiment", "ledger")
)
TRAINING = "import small; small.make_training();"
COMMANDS = {
    "weights": Command("weights ../p.jsonl -o w.jsonl --keep-ties"),
    "diagnose": Command("diagnose ../p.jsonl --keep-ties --json d.json --html d.html"),
    "score": Command("score ../texts.jsonl --reward-model ../judge -o s.jsonl", TRAINING),
    "train": Command("train ../run.yaml", TRAINING),
    "frontier": Command("frontier ../one ../two -o f.png", TRAINING),
    "audit": Command("audit dpo --quick --json a.json --html a.html --certificates c"),
    "audit, certified": Command("audit dpo --seconds 600 --json a.json --certificates c"),
    "audit, certificates": Command("audit madpo --seconds 600 --json a.json --certificates c"),
    "figures": Command("figures --names pair_risk"),
    "verify": Command(
        "verify --claim RM1 --json l.json --graph g.svg --certificates c", words=OF_TIME
    ),
    "simulate": Command("simulate small --worlds 2 --workers 1 --out s", STUDIES),
    "sentiment": Command(
        "sentiment --preset smoke --root r", EXPERIMENT, MEASURED, OF_TIME
    ),
    "study": Command("study --results s --root r", EXPERIMENT, MEASURED, OF_TIME),
    "reproduce": Command(
        "reproduce --preset smoke", EXPERIMENT + LEDGER, MEASURED, OF_TIME
    ),
}  # fmt: skip


class Nursery:
    """The process that forks commands (nursery.py)."""

    def __init__(self, scratch):
        self.scratch = scratch
        (scratch / "p.jsonl").write_text(
            "".join(
                f'{{"margin": {k % 71 / 10 - 2.5:.3f}, "text": "{"x" * 200}"}}\n'
                for k in range(PAIRS)
            )
        )
        environment = os.environ | {
            "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": os.pathsep.join(map(str, (HERE, HERE.parent / "support"))),
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        environment.pop("HYPOTHESIS_STORAGE_DIRECTORY", None)
        self.process = subprocess.Popen(
            [sys.executable, HERE / "nursery.py"], env=environment, text=True, cwd=scratch,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def close(self):
        self.process.communicate()

    def run(self, command, folder, *, number=None, after=0.0, **more):
        """What came of a run in `folder`: status, seconds, hung, alive, said."""
        said, temporary = self.scratch / "said", self.scratch / "tmp"
        temporary.mkdir(exist_ok=True)
        job = {
            "arguments": command.arguments.split(), "prepare": command.prepare,
            "folder": str(folder), "temporary": str(temporary), "said": str(said), "signal": number,
            "after": after, "limit": 900,
        }  # fmt: skip
        self.process.stdin.write(json.dumps(job | more) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer | {"said": said.read_text(errors="replace")}

    def temporaries(self, folder):
        """Names of files that were to be moved to another place, and of those in TMPDIR."""
        places = (folder, self.scratch / "tmp")
        found = [path for place in places for path in place.rglob("*")]
        # torch makes the folder when it is imported, and keeps it
        kept = "torchinductor"
        return sorted(
            path.name
            for path in found
            if (places[1] in path.parents or path.name.endswith(SUFFIX) or ".tmp" in path.name)
            and kept not in path.name
        )


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run does: status, processor seconds, bytes on disk, content of files."""

    status: int
    seconds: float
    size: int
    files: dict


def content(command, folder):
    """{name: bytes} of the files in a folder, without what need not be the same; folders: None."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = None
        if path.is_file():
            found[name] = b""
            if not re.search(command.differs, name):
                found[name] = re.sub(command.words.encode(), b"", readable(path))
    return found


def readable(path):
    """A file's bytes; of a table of times, without them."""
    if path.name == "summary.parquet":
        import pandas

        table = pandas.read_parquet(path)
        return table[[c for c in table if "seconds" not in c]].to_csv(index=False).encode()
    return path.read_bytes()


def reference(nursery, command, **options):
    """The second of two undisturbed runs, which must be as the first.

    The first tells the nursery what the command loads.
    """
    contents = []
    for number in range(2):
        with disk(nursery.scratch / "whole") as folder:
            more = {"modules": str(nursery.scratch / "modules.json")} if number == 0 else {}
            done = nursery.run(command, folder, **more, **options)
            if done["status"] not in (0, 1) or done["alive"] or nursery.temporaries(folder):
                raise RuntimeError(f"{command.arguments} fails by itself: {done}")
            size = (
                sum(-(-path.stat().st_size // PAGE) for path in folder.rglob("*") if path.is_file())
                * PAGE
            )
            contents.append(content(command, folder))
    if other := differing(*contents):
        raise RuntimeError(f"{command.arguments}: two undisturbed runs differ in {other}")
    return Reference(done["status"], done["seconds"], size, contents[1])


def differing(found, wanted):
    """Names of files that are not as they should be."""
    names = found.keys() | wanted.keys()
    return sorted(n for n in names if found.get(n, 0) != wanted.get(n, 0))


@contextlib.contextmanager
def disk(folder, size=None):
    """An empty folder, with `size` bytes of space if given."""
    folder.mkdir()
    if size is not None:
        mount(folder, size)
    try:
        yield folder
    finally:
        if size is not None:
            subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.rmtree(folder)


def mount(folder, size, *options):
    """Give a folder a file system of its own with so much space; `options` remount it."""
    said = ",".join((f"size={size}", *options))
    subprocess.run(["mount", "-t", "tmpfs", "-o", said, "tmpfs", folder], check=True)


def moment(name, way, number):
    """The share of the work after which the run is disturbed; none comes twice."""
    drawn = (random.Random(f"{SEED} {name} {way} {k}").random() for k in range(2 * number + 2))
    return list(dict.fromkeys(round(share, 4) for share in drawn))[number]


def killed(nursery, name, way, number, known, **options):
    """(end, again, faults) of one disturbed run and of its repetition."""
    command, share, faults = COMMANDS[name], moment(name, way, number), []
    space = max(1, int(share * known.size / PAGE)) * PAGE if way == "full" else None
    with disk(nursery.scratch / "run", space) as folder:
        signals = {} if way == "full" else {"number": getattr(signal, way)}
        after = share * known.seconds
        done = nursery.run(command, folder, after=after, **signals, **options)
        end = "stopped" if done["status"] in STOPPED[way] else "had ended"
        told = [line for line in done["said"].splitlines() if line.startswith("madpo: ")]
        if end == "had ended" and done["status"] != known.status:
            faults.append(f"exit status {done['status']}: {done['said'][-1500:]}")
        if "Traceback" in done["said"] or "Exception ignored" in done["said"]:
            faults.append(f"a traceback: {done['said'][-1500:]}")
        if len(told) != (done["status"] in (2, 130)):
            faults.append(f"says {told}")
        if way != "SIGKILL" and (left := nursery.temporaries(folder)):
            faults.append(f"leaves {left}")
        if space is not None:
            mount(folder, 1 << 30, "remount")
        again = nursery.run(command, folder, **options)
        refused = [line for line in again["said"].splitlines() if "is there already" in line]
        second = "refused" if again["status"] == 2 and len(refused) == 1 else "same files"
        if second == "same files" and again["status"] != known.status:
            faults.append(f"again: exit status {again['status']}: {again['said'][-1500:]}")
        if other := differing(content(command, folder), known.files):
            faults.append(f"again: other files: {other[:9]}")
        if left := nursery.temporaries(folder):
            faults.append(f"again: leaves {left}")
        for run in (done, again):
            if run["hung"] or run["alive"]:
                faults.append(f"hangs: {run['hung']}, processes alive: {run['alive']}")
    shutil.rmtree(nursery.scratch / "tmp", ignore_errors=True)
    return end, second, faults


# --- the record -----------------------------------------------------------------------------------


def read_record():
    """{command: {"arguments": of the command, way: [[moment, end, again, faults]]}}."""
    record = json.loads(RECORD.read_text("utf-8")) if RECORD.is_file() else {}
    current = {}
    for name, command in COMMANDS.items():
        old = record.get(name, {})
        same = old.get("arguments") == command.arguments
        current[name] = old if same else {"arguments": command.arguments}
        for way in WAYS:
            current[name].setdefault(way, [])
    return current


def write_record(record):
    """The record, a run a line."""
    text = json.dumps(record, indent=1, ensure_ascii=False)
    text = re.sub(r"\[\s+([\d.]+),\s+(\S.*),\s+(\S.*),\s+\[\s*\]\s+\]", r"[\1, \2, \3, []]", text)
    write_text(RECORD, text + "\n")


def todo(record, name, ways, times):
    """(number, way) of the moments that are not recorded, or with a fault: it may be mended."""
    right = {way: {run[0] for run in record[name][way] if not run[3]} for way in ways}
    every = [(number, way) for number in range(times) for way in ways]
    return [(n, way) for n, way in every if moment(name, way, n) not in right[way]]


def add(name, way, run):
    """Put a run, [moment, end, again, faults], into the record."""
    with held(LOCK):  # another process may do another command
        record = read_record()
        record[name][way] = [old for old in record[name][way] if old[0] != run[0]] + [run]
        write_record(record)


def try_all(names, ways, times, scratch):
    """Do what the record lacks; it is written after each run. Returns the number of new faults."""
    record, wrong = read_record(), 0
    left = {name: todo(record, name, ways, times) for name in names}
    with tqdm(total=sum(map(len, left.values())), unit="kill") as bar:
        for name in (name for name in names if left[name]):
            bar.set_description(name)
            with contextlib.closing(Nursery(scratch)) as nursery:
                known = reference(nursery, COMMANDS[name])
                for number, way in left[name]:
                    end, again, faults = killed(nursery, name, way, number, known)
                    share = moment(name, way, number)
                    add(name, way, [share, end, again, faults])
                    wrong += bool(faults)
                    for fault in faults:
                        tqdm.write(f"{name}, {way}, {number} at {share}: {fault}")
                    bar.update()
    return wrong


def section(record):
    """The section of the page."""
    runs = Counter()
    for name in record:
        for way in WAYS:
            for _, end, again, faults in record[name][way]:
                runs["all"] += 1
                for what in {"fault"} if faults else {end, again}:
                    runs[name, way, what] += 1
                    runs[what] += 1
    counts = [len(record[name][way]) for name in record for way in WAYS]
    each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    lines = [
        "## Killed",
        "",
        f"`make kills` disturbed the long commands {runs['all']:,} times (the plan is {TIMES} "
        f"times each in each of four ways; so far it is {each}), and then ran the same again. "
        f"{runs['fault'] or 'None'} of them ended otherwise than in files that are byte for byte "
        "those of an undisturbed run, or in one line that refuses to write over what is there, "
        "whole, already: no process lived on, no temporary was left, no file was there by half.",
        "",
        "A signal (SIGTERM, SIGINT, SIGKILL) comes once the command, with all processes that it "
        "started, has used a share of the processor time that it takes; the disk is full once it "
        "holds a share of what the command writes: a tmpfs of that size, mounted on its folder. "
        f"Shares are uniform between 0 and 1 and follow from the seed {SEED}. The commands are "
        "forks of a process that has loaded the libraries, so what is met is the work and not the "
        "loading; they are small: a study of twelve parts with one worker process, the ledger of "
        "one claim, an experiment of one method on a tiny model (two in `madpo study`), two "
        "figures in `madpo reproduce`, 1,600 pairs for a tiny reward model, a run and its baseline "
        "of four steps and two checkpoints each in `madpo train`. Compared is every file, but for "
        "seconds, and for how fast the machine multiplied matrices (timing.json, precision.json).",
        "",
        "Found by it, and mended: a signal that came while memory was collected was lost, and one "
        "of which a library made another error ended as that error; a full disk of which a library "
        "made another error (a PDF that is closed, safetensors, tokenizers) ended in a traceback; "
        "`madpo verify` left caches of Hypothesis in the folder it was called in, and temporaries "
        "among them when it was killed; `madpo train` took a checkpoint that was cut short for its "
        "last one, went a step too far from the one of its last step, as transformers does, and "
        "ended in a traceback where torch could not write one. What met one of the first three, or "
        "of those of `madpo train`, was done again once mended and stands in the table as it then "
        "ended, all runs of `madpo verify` likewise; others were right before, and were not "
        "repeated.",
        "",
        "After SIGKILL a temporary may be there until the command's next run, which clears it; "
        "after the others none was. *had ended*: the signal came when all was done.",
        "",
        "| command | way | runs | stopped | had ended | same files again | refused again | wrong |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in record:
        for way in WAYS:
            counted = [
                runs[name, way, what]
                for what in ("stopped", "had ended", "same files", "refused", "fault")
            ]
            cells = " | ".join(map(str, (len(record[name][way]), *counted)))
            lines.append(f"| `madpo {record[name]['arguments']}` | {way} | {cells} |")
    return "\n".join([*lines, ""])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("--times", type=int, default=TIMES, help="moments of each way")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--again", type=int, metavar="NUMBER", help="one moment, not recorded")
    parser.add_argument("--anew", action="store_true", help="forget the record of these commands")
    chosen = parser.parse_args(arguments)
    names = chosen.commands or list(COMMANDS)
    scratch = Path(tempfile.mkdtemp(prefix="madpo-kills-"))
    try:
        with stoppable():
            if chosen.again is not None:
                return one_again(names, chosen.ways, chosen.again, scratch)
            if chosen.anew:
                with held(LOCK):
                    write_record({n: old for n, old in read_record().items() if n not in names})
            wrong = try_all(names, chosen.ways, chosen.times, scratch)
            write_section(section(read_record()))
            return int(wrong > 0)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def one_again(names, ways, number, scratch):
    """Print what comes of one moment of each way; 1 if something is wrong."""
    wrong = False
    for name in names:
        with contextlib.closing(Nursery(scratch)) as nursery:
            known = reference(nursery, COMMANDS[name])
            for way in ways:
                end, again, faults = killed(nursery, name, way, number, known)
                print(f"{name}, {way} at {moment(name, way, number)}: {end}, {again}", *faults)
                wrong |= bool(faults)
    return int(wrong)


if __name__ == "__main__":
    if "MADPO_KILLS" not in os.environ:  # in a name space of its own: what is mounted ends with it
        os.environ["MADPO_KILLS"] = "1"
        os.execvp("unshare", ["unshare", "--map-root-user", "--mount", sys.executable, *sys.argv])
    sys.exit(main())
