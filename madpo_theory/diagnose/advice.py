"""A diagnosis's advice as something to act on: the weights to write, and the command that does."""

import glob
import json
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from ..formats import format_of
from ..schedule import MarginSchedule
from ..weights import PublishedWeight, TargetShapedWeight, Weighting
from ..weights.target_shaped import PowerTarget
from .reading import Reading

__all__ = ["Advice", "advice_of", "next_command", "read_advice", "train_command"]


@dataclass(frozen=True)
class Advice:
    """Weights to write, and how to train with them.

    Attributes
    ----------
    weighting, schedule : the weight, and the schedule that it is made with. reading : how its
        margins are read, their scale included. beta : the temperature to train at.
    """

    weighting: Weighting
    schedule: MarginSchedule
    reading: Reading
    beta: float


def advice_of(diagnosis):
    """The :class:`Advice` of a :class:`~.diagnosis.Diagnosis`; ValueError if it has none."""
    return _advice(diagnosis.record(), "this diagnosis")


def read_advice(path):
    """The :class:`Advice` of what `madpo diagnose --json` wrote; ValueError if there is none."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        return _advice(record, path)
    except OSError as error:
        raise ValueError(f"from = {path} cannot be read ({error.strerror}); correct it") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"from = {path} is not what madpo diagnose --json writes; write it anew"
        ) from None


def _advice(record, name):
    found = record["recommendation"]
    if found is None:
        raise ValueError(f"{name}: looks at a method, and advises no weights; diagnose without one")
    choice = found["choice"]
    if choice is None:
        raise ValueError(f"{name}: advises no weights, as {'; '.join(found['reasons'])}")
    if choice["weighting"] is None:
        raise ValueError(
            f"{name}: advises DPO at beta {choice['beta']:.3g}, without weights; train that, or "
            "give a schedule of your own (--c-max, --c-min, --lam, --tau)"
        )
    schedule = MarginSchedule(**choice["schedule"])
    weighting = PublishedWeight(schedule)
    if choice["name"] == "target_shaped":
        weighting = TargetShapedWeight(PowerTarget(**choice["weighting"]["target"]))
    options = dict(record["reading"])
    if options["rewards"] is not None:
        options["rewards"] = tuple(options["rewards"])
    reading = replace(Reading(**options), scale=found["scale"])
    return Advice(weighting, schedule, reading, choice["beta"])


def next_command(diagnosis, json=None):
    """The commands to type after the diagnosis of a file, one after another; none of an array.

    `json` is where the diagnosis was written, or None.
    """
    advice, source = diagnosis.recommendation, Path(diagnosis.source)
    if advice is None or not (source.exists() or glob.has_magic(str(source))):
        return []
    read = _options(diagnosis.reading)
    if advice.scales:
        middle = advice.scales[len(advice.scales) // 2]
        command = ["madpo", "diagnose", str(source), *read, *_schedule(diagnosis.schedule)]
        return [shlex.join([*command, "--scale", f"{middle.scale:.3g}"])]
    if advice.choice is None:
        return []
    if advice.choice.weighting is None:
        return [train_command(source, advice.choice.beta, method="dpo")]
    out = _weighted(source)
    command = ["madpo", "weights", str(source), "-o", str(out)]
    if json is not None:
        command += ["--from", str(json)]
    else:
        command += [*_options(replace(diagnosis.reading, scale=advice.scale))]
        command += _schedule(advice.choice.schedule)
        if advice.choice.name == "target_shaped":
            gamma = advice.choice.weighting.target.gamma
            command += ["--kind", "target-shaped", "--gamma", plainly(gamma)]
    return [shlex.join(command), train_command(out, advice.choice.beta)]


def _weighted(source):
    """The file for the weights of a source: beside it, and in its format."""
    stem, *suffixes = re.sub(r"[*?\[\]]+", "", source.name).split(".")
    known = format_of(source.name)
    kept = suffixes[-1 - known.compresses * (suffixes[-1] == "gz") :] if known else ["parquet"]
    stem = ".".join([stem, *suffixes[: len(suffixes) - len(kept)]]) if known else stem
    return source.with_name(".".join([stem.strip("-_") or "pairs", "weighted", *kept]))


def train_command(pairs, beta=None, *, method=None, column="weight"):
    """The command that trains on a file of pairs."""
    command = ["madpo", "train", "run.yaml", "--pairs", str(pairs)]
    command += ["--method", method] if method else []
    command += ["--column", column] if column != "weight" else []
    return shlex.join(command + ([] if beta is None else ["--beta", f"{beta:.3g}"]))


def _options(reading):
    """How margins are read, as options of a command."""
    found, plain = [], Reading()
    if reading.margin is not None:
        found += ["--margin", reading.margin]
    if reading.rewards is not None:
        found += ["--rewards", *reading.rewards]
    if reading.label is not None:
        found += ["--label", reading.label]
    found += ["--split", reading.split] if reading.split is not None else []
    found += ["--format", reading.format] if reading.format is not None else []
    if reading.scale != plain.scale:
        found += ["--scale", plainly(reading.scale)]
    if reading.drop_invalid:
        found += ["--drop-invalid"]
    if not reading.keep_ties:
        found += ["--no-keep-ties"]
    return found


def _schedule(schedule):
    """A schedule as options of a command: those of its numbers that are not the default's."""
    plain = MarginSchedule.released(schedule.c_max)
    names = [] if schedule.c_max == MarginSchedule.released().c_max else ["c_max"]
    names += [n for n in ("c_min", "lam", "tau") if getattr(schedule, n) != getattr(plain, n)]
    values = [(n.replace("_", "-"), float(getattr(schedule, n))) for n in names]
    return [word for name, value in values for word in (f"--{name}", plainly(value))]


def plainly(value):
    """The shortest text of a number that is that number, without a point where it needs none."""
    return short if float(short := f"{value:g}") == value else repr(value)
