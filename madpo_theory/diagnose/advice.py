"""A diagnosis's advice as something to act on: the weights to write, and the command that does."""

import glob
import json
import math
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from ..files import near
from ..formats import format_of
from ..schedule import MarginSchedule
from ..weights import WEIGHTS, PublishedWeight, TargetShapedWeight, Weighting
from ..weights.target_shaped import PowerTarget
from .asked import BETA, ESS
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
    if record["weight"] not in (PublishedWeight.name, choice["name"]):
        raise ValueError(
            f"{name}: was asked about the weight {record['weight']}, and advises for the targets "
            "of the published one; name yours with --weight in the place of --from, or diagnose "
            "without --weight"
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
    """The commands to type after the diagnosis of a file, one after another; none of an array, nor
    of a weight that no option makes.

    `json` is where the diagnosis was written, or None.
    """
    advice, source = diagnosis.recommendation, Path(diagnosis.source)
    if advice is None or not (source.exists() or glob.has_magic(str(source))):
        return []
    asked = _asked(diagnosis)
    if asked is None:
        return []
    if advice.scales:
        middle = advice.scales[len(advice.scales) // 2]
        read = _options(replace(diagnosis.reading, scale=float(f"{middle.scale:.3g}")))
        command = ["madpo", "diagnose", str(source), *read, *_schedule(diagnosis.schedule)]
        return [shlex.join([*command, *_wanted(diagnosis, asked), *asked])]
    if advice.choice is None:
        return []
    out, read = _weighted(source), _options(replace(diagnosis.reading, scale=advice.scale))
    command = ["madpo", "weights", str(source), "-o", str(out)]
    if diagnosis.weight not in (PublishedWeight.name, advice.choice.name):
        command += [*read, *_schedule(diagnosis.schedule), *asked]
        return [shlex.join(command), train_command(out, diagnosis.beta)]
    if advice.choice.weighting is None:
        return [train_command(source, advice.choice.beta, method="dpo")]
    if json is not None:
        command += ["--from", str(json)]
    else:
        command += [*read, *_schedule(advice.choice.schedule)]
        if advice.choice.name == "target_shaped":
            command += ["--weight", "target-shaped", "--gamma"]
            command.append(plainly(advice.choice.weighting.target.gamma))
    return [shlex.join(command), train_command(out, advice.choice.beta)]


def _asked(diagnosis):
    """The weight asked for as options; [] of the published one, None where they would not make it.

    A weight of a file goes by that, and one that somebody made in Python with settings of its own
    by nothing.
    """
    weighting = diagnosis.own.method.slot_weighting
    if weighting == PublishedWeight(diagnosis.schedule):
        return []
    kind = type(weighting)
    file, gamma = vars(kind).get("_file"), _gamma(weighting, diagnosis.schedule)
    if file is None and WEIGHTS.get(kind.name) is not kind:
        return None
    try:
        made = kind.of(diagnosis.schedule, **({"gamma": weighting.target.gamma} if gamma else {}))
    except TypeError:  # it asks for more than a schedule
        return None
    spec = kind.name.replace("_", "-") if file is None else near(file)
    return ["--weight", spec, *gamma] if made == weighting else None


def _gamma(weighting, schedule):
    """The exponent of a target-shaped weight as options; [] if it is its own, or of another."""
    shaped = isinstance(weighting, TargetShapedWeight)
    if not shaped or weighting == TargetShapedWeight.of(schedule):
        return []
    return ["--gamma", plainly(getattr(weighting.target, "gamma", math.nan))]


def _wanted(diagnosis, asked):
    """What a diagnosis was asked besides the weight, as options: what is not the default."""
    found = [] if diagnosis.beta == BETA else ["--beta", plainly(diagnosis.beta)]
    found += [] if diagnosis.ess == ESS else ["--ess", plainly(diagnosis.ess)]
    found += [] if diagnosis.bound is None else ["--bound", plainly(diagnosis.bound)]
    shaped = next(e for e in diagnosis.effects if e.kind == TargetShapedWeight.name)
    if "--gamma" not in asked:
        found += _gamma(shaped.method.slot_weighting, diagnosis.schedule)
    return found


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
