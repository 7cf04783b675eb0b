"""A method from what a command line says: a name or a file, and settings as texts."""

import math
from dataclasses import dataclass
from pathlib import Path

import own_weight
import pytest

from madpo_theory import MarginSchedule
from madpo_theory.methods import METHODS, Madpo, Method, Simpo, Slots, method_from, settings_of
from madpo_theory.registry import setting
from madpo_theory.weights import WEIGHTS, BoundedRatioWeight, PublishedWeight, Weighting

OWN = Path(own_weight.__file__)


@dataclass(frozen=True)
class Kinds(Method):
    """A setting of every kind."""

    number: float = setting(1.0, "number > 0", lambda v: v > 0, "here")
    count: int = 2
    flag: bool = False
    word: str = "a"

    def slots(self, xp, h):
        return Slots()


@dataclass(frozen=True)
class Tempered(Weighting):
    """A weight whose setting bears the name of the method's."""

    beta: float = 1.0

    def log_weight(self, xp, h):
        return self.beta * h


@dataclass(frozen=True)
class Demanding(Method):
    more: float

    def slots(self, xp, h):
        return Slots(offset=self.more)


@pytest.mark.parametrize("name", sorted({*METHODS, *WEIGHTS}))
def test_every_name_makes_a_method_whose_settings_read_back(name):
    made = method_from(name)
    assert type(made) is METHODS.get(name, Madpo)
    written = [f"{n}={v}" for n, v in settings_of(made).items()]
    assert method_from(name.replace("_", "-"), written) == made


def test_settings_are_read_in_the_kind_of_their_default():
    made = method_from(Kinds(), ["number=2e-1", "count=3", "flag=True", "word= b ", "beta = 0.5"])
    assert made == Kinds(number=0.2, count=3, flag=True, word="b", beta=0.5)
    assert type(made.count) is int


def test_a_schedule_is_set_wherever_it_is_held():
    changes, schedule = ["c_max=4", "lam=2"], MarginSchedule(4.0, 0.5, 2.0, math.log(999))
    assert method_from("madpo", changes) == Madpo(schedule)
    assert method_from("published", changes) == Madpo(PublishedWeight(schedule))
    assert method_from("efficient", changes).base == schedule
    assert method_from("bounded-ratio", changes).schedule == schedule
    assert method_from("distillation", changes).weighting == schedule
    assert method_from(MarginSchedule(), changes) == Madpo(schedule)
    assert method_from(BoundedRatioWeight(MarginSchedule()), ["tau=1"]) == Madpo(
        BoundedRatioWeight(MarginSchedule(tau=1.0))
    )


def test_a_file_gives_methods_and_weights_by_class_or_instance(tmp_path):
    made = method_from(f"{OWN}:SoftStep", ["size=0.25", "beta=0.2"])
    assert made.beta == 0.2 and made.slot_weighting.size == 0.25
    assert (made.title, Madpo().title, method_from("simpo").title) == (
        "soft step",
        "MADPO",
        "SimPO",
    )
    file = tmp_path / "mine.py"
    file.write_text(
        "from madpo_theory import MarginSchedule\n"
        "from madpo_theory.methods import Simpo\n"
        "steep, gentle, other = Simpo(gamma=3.0), MarginSchedule(1.5), 4\n"
        "def plain(xp, z, h):\n    return z\n"
    )
    assert method_from(f"{file}:steep", ["beta=1"]) == Simpo(gamma=3.0, beta=1.0)
    assert method_from(f"{file}:gentle") == Madpo(MarginSchedule(1.5))
    for name in ("other", "plain"):
        with pytest.raises(ValueError, match="is no Method, Weighting or MarginSchedule"):
            method_from(f"{file}:{name}")


@pytest.mark.parametrize(
    ("spec", "assignments", "words"),
    [
        ("fame", [], "method = 'fame' breaks the rule that it is a method or a weight, one of "),
        ("nowhere.py:Fame", [], "there is no file"),
        (f"{OWN}:Fame", [], "defines no Fame"),
        ("simpo", ["gama=1"], r"SimPO has no setting 'gama', but beta \(beta > 0\), gamma "),
        ("dpo", ["c_max=2"], "DPO has no setting 'c_max'"),
        ("madpo", ["c_mx=2"], r"c_max \(1 < c_max <= 1e\+08\)"),
        ("simpo", ["gamma"], "'gamma' must read name=value; the names are beta"),
        ("simpo", ["gamma=1", "gamma=2"], "'gamma=2': gamma is set to 1 already; drop one"),
        ("simpo", ["gamma=much"], "gamma = 'much' must be a number, gamma >= 0; correct it"),
        ("simpo", ["gamma="], "gamma = '' must be a number"),
        ("simpo", ["gamma=nan"], "gamma = nan must be finite"),
        ("simpo", ["gamma=-1"], r"gamma = -1\.0 breaks the rule gamma >= 0"),
        ("madpo", ["c_max=1"], r"c_max = 1\.0 breaks the rule 1 < c_max"),
        (Kinds(), ["flag=1"], "flag = '1' must be true or false"),
        (Kinds(), ["count=-inf"], "count = -inf must be finite"),
        (Tempered(), ["beta=2"], "Tempered has two settings beta; rename one"),
        (Demanding, [], "cannot be made of its defaults"),
        (4, [], "method = 4 is no Method, Weighting or MarginSchedule"),
    ],
)
def test_what_cannot_be_made_is_an_error_that_says_the_fix(spec, assignments, words):
    with pytest.raises(ValueError, match=words):
        method_from(spec, assignments)
