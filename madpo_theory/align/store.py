"""Run directories: cached, checked, and safe to stop at any moment.

A stage is a function ``(run, config, *parents)`` that fills one directory ``runs/<stage>-<hash>``.
The hash covers the stage's own settings and the keys of the stages it reads. Every file is
written to a temporary name and moved into place; the manifest, written last, holds the SHA-256
of each file and marks the run as finished.
"""

import functools
import hashlib
import json
import os
import platform
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

from ..files import RunError, clear_abandoned, held, replacing
from ..progress import progress
from ..registry import Named
from . import processes
from .extras import optional

__all__ = ["Busy", "Run", "RunError", "canonical", "key_of", "slices", "stage"]

MANIFEST = "manifest.json"
CONFIG = "config.json"
CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"
LOCK = ".lock"
UNCHECKED = {MANIFEST, CHECKPOINT, BEST, LOCK, "env.json", "timing.json"}
SCHEMA = 2  # part of every key: raise it when a stage's results change for the same settings


def canonical(value):
    """Canonical JSON of plain values and dataclasses: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value):
    if is_dataclass(value) and not isinstance(value, type):
        settings = {field: getattr(value, field.name) for field in fields(value)}
        kind = {"kind": value.name or type(value).__qualname__} if isinstance(value, Named) else {}
        return kind | {
            field.name: setting
            for field, setting in settings.items()
            if not (field.metadata.get("later") and setting == field.default)
        }
    raise TypeError(f"a setting must be plain data or a dataclass, got {type(value).__name__}")


def key_of(stage, config, parents=()):
    """Name of a run: the stage and a short hash of its settings and of its parents' names."""
    text = canonical({"schema": SCHEMA, "stage": stage, "config": config, "parents": parents})
    return f"{stage}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def environment():
    """What a result depends on besides its settings."""
    from importlib.metadata import PackageNotFoundError, version

    def installed(name):
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    packages = ("torch", "transformers", "peft", "tokenizers", "numpy", "pandas", "scikit-learn")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": {name: installed(name) for name in packages},
        "card": card(),
    }


def card():
    """Name of the CUDA device, None without one or where torch was not needed."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None


class Busy(RunError):
    """Another process is computing a stage: the folder `path`."""

    def __init__(self, path):
        super().__init__(
            f"another process is computing {path}; wait for it, or give this one another root"
        )
        self.path = path

    def over(self):
        """Whether it no longer does."""
        with held(self.path / LOCK, wait=False) as mine:
            return mine


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Run:
    """One run directory and the typed files in it."""

    path: Path
    title: str = ""
    """What it does, in words, where a stage made it."""

    @property
    def key(self):
        return self.path.name

    def damaged(self, name, expected, found):
        return RunError(
            f"{self.path / name}: expected {expected}, found {found}; "
            f"delete the folder {self.path} and run again"
        )

    def manifest(self):
        """SHA-256 by file name of a finished run, or None."""
        try:
            text = (self.path / MANIFEST).read_text("utf-8")
        except FileNotFoundError:
            return None
        try:
            return dict(json.loads(text)["files"])
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise self.damaged(MANIFEST, "a manifest in JSON", f"{error}") from error

    def check(self):
        """Compare every file with the manifest; True if the run is finished and intact."""
        manifest = self.manifest()
        if manifest is None:
            return False
        if not manifest.keys() - {CONFIG}:
            raise self.damaged(MANIFEST, "the files of a finished run", "none")
        for name, expected in manifest.items():
            path = self.path / name
            if not path.is_file():
                raise self.damaged(name, "a file of the manifest", "none")
            if (found := digest(path)) != expected:
                raise self.damaged(name, f"SHA-256 {expected}", found)
        return True

    def finish(self):
        """Write the manifest: from here on the run is complete and read-only."""
        if processes.is_main():
            clear_abandoned(self.path)
            files = {
                str(path.relative_to(self.path)): digest(path)
                for path in sorted(self.path.rglob("*"))
                if path.is_file() and path.name not in UNCHECKED
            }
            with processes.solo():
                self.write_json(MANIFEST, {"files": files})
            for file in (CHECKPOINT, BEST):
                (self.path / file).unlink(missing_ok=True)
        processes.wait()

    def has(self, name):
        return (self.path / name).is_file()

    def _write(self, name, write):
        """The main process replaces a file by what `write(path)` writes; the others wait for it."""
        if processes.is_main():
            with replacing(self.path / name) as path:
                write(path)
        processes.wait()

    def once(self, name, compute):
        """Write `compute()` to a JSON file that is not there yet."""
        missing = not self.has(name)
        processes.wait()  # all have looked
        if missing:
            self.write_json(name, compute())

    def write_json(self, name, value):
        text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
        self._write(name, lambda path: path.write_text(text, "utf-8"))

    def read_json(self, name):
        with self._reading(name) as path:
            return json.loads(path.read_text("utf-8"))

    def write_lines(self, name, rows):
        """JSON Lines, written whole."""
        text = "".join(canonical(row) + "\n" for row in rows)
        self._write(name, lambda path: path.write_text(text, "utf-8"))

    def write_tensors(self, name, tensors, metadata=None):
        save_file = optional("safetensors.torch").save_file
        metadata = {key: canonical(value) for key, value in (metadata or {}).items()}
        tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        self._write(name, lambda path: save_file(tensors, path, metadata))

    def read_tensors(self, name):
        load_file = optional("safetensors.torch").load_file
        with self._reading(name) as path:
            # A mapped file aligns tensors to 8 bytes only, and matrix kernels round by alignment.
            return {key: value.clone() for key, value in load_file(path).items()}

    def read_metadata(self, name):
        safe_open = optional("safetensors").safe_open
        with self._reading(name) as path, safe_open(path, "pt") as file:
            return {key: json.loads(text) for key, text in (file.metadata() or {}).items()}

    def write_table(self, name, frame):
        self._write(name, lambda path: frame.to_parquet(path, index=False))

    def read_table(self, name):
        pandas = optional("pandas")
        with self._reading(name) as path:
            return pandas.read_parquet(path)

    def parts(self, name, items, compute):
        """Tensors computed item by item, each item saved as it is done, joined at the end.

        Several processes share the items.

        `compute(item)` returns a dict of tensors; the joined file ``<name>.safetensors`` holds
        each of them concatenated along its first axis.
        """
        import torch

        joined = f"{name}.safetensors"
        if not self.has(joined):
            items = list(items)
            files = [f"{name}.part{i:05d}.safetensors" for i in range(len(items))]
            todo = processes.mine(list(zip(files, items, strict=True)))
            quiet = not processes.is_main()
            named = f"{self.title or self.key}, {name}"
            for file, item in progress(todo, name=named, quiet=quiet):
                if not self.has(file):
                    tensors = {key: value.contiguous() for key, value in compute(item).items()}
                    with replacing(self.path / file) as path:  # each process its own files
                        optional("safetensors.torch").save_file(tensors, path)
            processes.wait()
            parts = [self.read_tensors(file) for file in files]
            self.write_tensors(joined, {k: torch.cat([p[k] for p in parts]) for k in parts[0]})
        if processes.is_main():
            for file in self.path.glob(f"{name}.part*.safetensors"):
                file.unlink(missing_ok=True)
        return self.read_tensors(joined)

    @contextmanager
    def _reading(self, name):
        path = self.path / name
        try:
            yield path
        except FileNotFoundError as error:
            raise self.damaged(name, "a file", "none") from error
        except Exception as error:
            raise self.damaged(
                name, "a readable file", f"{type(error).__name__}: {error}"
            ) from error


def slices(count, size):
    """So many rows in batches of a size, as items of :meth:`Run.parts`."""
    return [slice(i, i + size) for i in range(0, count, size)]


def stage(function=None, *, together=False, of=lambda config: ""):
    """Turn ``function(run, config, *parents)`` into a cached ``(root, config, *parents)``.

    Where a launcher started several processes, the main one runs it, or all of them `together`.
    `of(config)` says in words of what it is the stage; else it is of what a parent is of.
    """
    if function is None:
        return functools.partial(stage, together=together, of=of)

    @functools.wraps(function)
    def cached(root, config, *parents):
        name = function.__name__
        of_parents = (parent.title.partition(" of ")[2] for parent in parents)
        subject = of(config) or next(filter(None, of_parents), "")
        run = Run(
            Path(root) / key_of(name, config, [parent.key for parent in parents]),
            name.replace("_", " ") + (subject and f" of {subject}"),
        )
        cached_here = f"{run.title}: cached ({run.key})"
        if processes.summed([], {"finished": run.check()})["finished"]:  # whoever saw it, it is
            say(cached_here)
            return run
        run.path.mkdir(parents=True, exist_ok=True)
        with alone(run):
            processes.wait()  # what all see from here on, nobody else changes
            finished, resumed = run.check(), run.has(CONFIG)
            processes.wait()  # all have looked, nobody has written
            if finished:  # by another experiment, meanwhile
                say(cached_here)
                return run
            say(f"{run.title}: {'resumed' if resumed else 'running'} ({run.key})")
            if not resumed:
                run.write_json("env.json", environment())
                settings = json.loads(canonical(config))
                run.write_json(
                    CONFIG,
                    {"stage": name, "config": settings, "parents": [p.key for p in parents]},
                )
            with timed(run):
                if together:
                    function(run, config, *parents)
                elif processes.is_main():
                    with processes.solo():
                        function(run, config, *parents)
            run.finish()
        say(f"{run.title}: done in {seconds(run):.0f} s")
        return run

    return cached


@contextmanager
def alone(run):
    """Hold a run against other experiments; the lock dies with its process: a kill leaves none."""
    if not processes.is_main():
        yield
        return
    with held(run.path / LOCK, wait=False) as mine:
        if not mine:
            raise Busy(run.path)
        yield


@contextmanager
def timed(run):
    """Add the block's wall time, interrupted ends excepted, to the run's timing."""
    start = time.monotonic()
    before = seconds(run)
    try:
        yield
    finally:
        if processes.is_main():
            with processes.solo():  # the others may have failed
                run.write_json("timing.json", {"seconds": before + time.monotonic() - start})


def seconds(run):
    """Wall seconds that a run has taken so far."""
    return run.read_json("timing.json")["seconds"] if run.has("timing.json") else 0.0


def say(line):
    """One line of progress, beside the bars."""
    if processes.is_main():
        print(f"[sentiment] {line}", file=sys.stderr, flush=True)
