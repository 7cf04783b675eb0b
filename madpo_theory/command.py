"""What a command of ``madpo`` is: arguments -> exit status; and options that several take.

Its docstring's first line is its help. It imports what it works with when it is called, so that
every command starts as fast as its own work allows.
"""

import functools
from dataclasses import dataclass, replace

import tyro

__all__ = ["GROUPS", "Flat", "Released", "Schedule", "goes_on", "grouped", "parsed"]

GROUPS = {
    "pairs": "for preference pairs",
    "theory": "for theorems and losses",
    "experiment": "for the experiment",
    "page": "for pages and figures",
    "": "others",
}
"""Groups of commands in the order of the usage."""


def parsed(command):
    """A function of typed options as a command: a list of arguments -> exit status."""

    @functools.wraps(command)
    def run(arguments):
        return tyro.cli(command, args=arguments, prog=f"madpo {command.__name__}")

    return run


def grouped(group, place=0):
    """Mark a command as one of a group of :data:`GROUPS`, at a place in it, for the usage."""

    def mark(command):
        command.group, command.place = group, place
        return command

    return mark


def goes_on(command):
    """Mark a command that takes up, when it is called again, what it had done when stopped."""
    command.goes_on = True
    return command


@dataclass(frozen=True)
class Schedule:
    """The schedule; by default the released one."""

    c_max: float | None = None
    """Amplification limit of hard pairs, > 1; by default 2."""
    c_min: float | None = None
    """Dampening limit of easy pairs, 0 <= c_min < 1; by default 1/c_max."""
    lam: float | None = None
    """Steepness per nat, > 0; by default 1."""
    tau: float | None = None
    """Margin at which the coefficient is 1, nats, > 0; by default log 999."""

    def made(self, base=None):
        """The schedule: the numbers given, and the rest of `base`, or of the released one."""
        from .schedule import MarginSchedule

        given = {name: value for name, value in vars(self).items() if value is not None}
        # 1/c_max of a c_max that is no number for it is refused as such, not divided by
        c_max = MarginSchedule(c_max=given.get("c_max", 2.0)).c_max
        return replace(base or MarginSchedule.released(c_max), **given)


Flat = tyro.conf.arg(name="")
Released = Schedule()
