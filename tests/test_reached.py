"""Keys of code: what is computed with decides them, and nothing else does."""

import functools
import importlib
import itertools
import os
import shutil
import subprocess
import sys
from dataclasses import make_dataclass
from fractions import Fraction
from pathlib import Path

import numba
import numpy as np
import pytest

import madpo_theory
from madpo_theory.reached import digest_of

# A user's study of several files. `measure` reaches most of it; `unused`, `idle` it does not.
FILES = {
    "__init__.py": "from .tools import halved\n",
    "measure.py": '''"""A measure."""

import math
from dataclasses import dataclass

import mine
from . import tools
from .tools import thirds
from .table import *

SCALE = 2.0  # a comment
SCALE += 1.0
UNUSED = 5.0
CHOICES = {"low": 1.0}
CHOICES["high"] = 2.0
for extra in (3.0, 4.0):
    CHOICES[extra] = extra


class Rule:
    """A base."""

    factor = 7.0

    def offset(self):
        return self.factor * LIMIT


@dataclass(frozen=True)
class Setting(Rule):
    level: float = 0.5

    def sign(self):
        return -1.0


def twice(function):
    def applied(*values):
        """Inner."""
        return 2.0 * function(*values)

    return applied


@twice
def weighed(x, power=2):
    """What it says."""
    unused = x  # no module's: a name of its own
    return math.sqrt(abs(unused)) ** power


def measure(setting, indices, seed, device):
    """Columns."""
    from .late import finish

    value = SCALE * weighed(setting.level) + CHOICES["low"] + setting.offset()
    return finish(mine.halved(value) + thirds(value) + tools.quarter(value), tools)


def unused(x):
    return x + 1.0


if __name__ == "__main__":
    print(measure(Setting(), [0], 0, "cpu"))
''',
    "table.py": "from .values import *\n",
    "values.py": "LIMIT = 11.0\n",
    "tools.py": """from .deep import core
from .other import _inner as inner

FEW = 3.0


def halved(x):
    return core(x) / 2.0


def thirds(x):
    return inner(x) / FEW


def quarter(x):
    return x / 4.0


def idle(x):
    return odd(x - 1.0)


def even(x):
    return x == 0 or odd(x - 1)


def odd(x):
    return x != 0 and even(x - 1)
""",
    "deep.py": "def _inner(x):\n    return x + 0.25\n\n\n"
    "def core(x):\n    return _inner(x) * 1.5\n",
    "other.py": "def _inner(x):\n    return x - 0.25\n",
    "late.py": "FAR = 13.0\n\n\ndef finish(x, kit):\n    return getattr(kit, 'halved')(x) + FAR\n",
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Import a module of a folder of its own, as if nothing of its name had been there."""
    path, counter = list(sys.path), itertools.count()

    def forget():
        for name in [n for n in sys.modules if n.partition(".")[0] in ("mine", "thing")]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def load(files=FILES, name="mine.measure"):
        forget()
        root = tmp_path / str(next(counter))
        for file, text in files.items():
            file = root / ("" if "/" in file else "mine") / file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        monkeypatch.setattr(sys, "path", [str(root), str(root / "site-packages"), *path])
        return importlib.import_module(name)

    yield load
    forget()


def edited(*edits, files=FILES):
    files = dict(files)
    for path, old, new in edits:
        assert files[path].count(old) == 1, (path, old)
        files[path] = files[path].replace(old, new)
    return files


def key(module):
    return digest_of(module.measure, (module.Setting(),))


@pytest.fixture
def before(load):
    return key(load())


@pytest.mark.parametrize(
    "edit",
    [
        ("measure.py", '"""A measure."""', '"""Another word for it."""'),
        ("measure.py", '"""What it says."""', '"""Says more."""\n'),
        ("measure.py", '"""A base."""\n', ""),
        ("measure.py", "  # a comment", ""),
        ("measure.py", "\n\n\nclass Rule", "\n\n# here\n\n\n\nclass Rule"),
        (
            "measure.py",
            "math.sqrt(abs(unused)) ** power",
            "(\n        math.sqrt(abs(unused))**power)",
        ),
        ("measure.py", "return x + 1.0", "return x + 2.0"),
        ("measure.py", "UNUSED = 5.0", "UNUSED = 6.0"),
        ("measure.py", "UNUSED = 5.0\n", ""),
        (
            "measure.py",
            'print(measure(Setting(), [0], 0, "cpu"))',
            "measure(Setting(1.0), [], 1, 2)",
        ),
        ("measure.py", "import math\n", "import math\nimport os\n"),
        ("measure.py", "from .tools import thirds", "from mine.tools import thirds"),
        ("measure.py", "from . import tools\n", "import mine.tools as tools\n"),
        ("measure.py", "from .late import finish", "from mine.late import finish"),
        ("measure.py", "factor = 7.0", 'factor = 7.0\n    name, label = "rule", "a rule"'),
        ("late.py", "FAR = 13.0", '"""Late."""\n\nFAR = 13.0\n"""Nats."""'),
        (
            "__init__.py",
            "from .tools import halved\n",
            "from .tools import halved, thirds\n\nX = 1\n",
        ),
    ],
    ids=lambda edit: f"{edit[0]}: {edit[1][:24]!r}",
)
def test_what_computes_nothing_keeps_the_key(load, before, edit):
    assert key(load(edited(edit))) == before


@pytest.mark.parametrize(
    "edit",
    [
        ("measure.py", "SCALE = 2.0", "SCALE = 2.5"),
        ("measure.py", "SCALE += 1.0", "SCALE += 1.5"),
        ("measure.py", '"low": 1.0', '"low": 1'),
        ("measure.py", 'CHOICES["high"] = 2.0', 'CHOICES["low"] = 2.0'),
        ("measure.py", "(3.0, 4.0)", "(3.0, 5.0)"),
        ("measure.py", "factor = 7.0", "factor = 8.0"),
        ("measure.py", "factor = 7.0", 'factor = 7.0\n    title = "a rule"'),
        ("measure.py", "self.factor * LIMIT", "self.factor + LIMIT"),
        ("measure.py", "return -1.0", "return 1.0"),
        ("measure.py", "level: float = 0.5", "level: float = 0.25"),
        ("measure.py", "class Setting(Rule)", "class Setting"),
        ("measure.py", "2.0 * function", "3.0 * function"),
        ("measure.py", "@twice\n", ""),
        ("measure.py", "power=2", "power=3"),
        ("measure.py", "import math\n", "import numpy as math\n"),
        ("measure.py", "thirds(value) +", "thirds(value) -"),
        ("measure.py", "tools.quarter(value)", "tools.halved(value)"),
        ("measure.py", "mine.halved", "mine.tools.quarter"),
        ("measure.py", "from .tools import thirds", "from .tools import quarter as thirds"),
        ("measure.py", "from .table import *", "LIMIT = 12.0"),
        ("values.py", "LIMIT = 11.0", "LIMIT = 12.0"),
        ("tools.py", "FEW = 3.0", "FEW = 3.5"),
        ("tools.py", "x / 4.0", "x // 4.0"),
        ("tools.py", "even(x - 1)", "even(x - 2)"),  # of a module that is passed about
        ("deep.py", "* 1.5", "* 1.25"),
        ("deep.py", "x + 0.25", "x + 0.5"),
        ("late.py", "FAR = 13.0", "FAR = 14.0"),
        ("late.py", "+ FAR", "- FAR"),
        ("__init__.py", "import halved", "import quarter as halved"),
    ],
    ids=lambda edit: f"{edit[0]}: {edit[1][:24]!r}",
)
def test_what_computes_something_changes_the_key(load, before, edit):
    assert key(load(edited(edit))) != before


def test_what_is_reached_is_taken_by_definitions_not_by_files(load):
    """Nothing passes `tools` about here, so that what it holds besides does not count."""
    lonely = edited(("measure.py", "tools.quarter(value), tools)", "tools.quarter(value), None)"))
    first = key(load(lonely))
    assert key(load(edited(("tools.py", "x - 1.0", "x - 2.0"), files=lonely))) == first
    assert key(load(edited(("tools.py", "even(x - 1)", "even(x - 2)"), files=lonely))) == first
    assert key(load(edited(("tools.py", "x / 4.0", "x / 5.0"), files=lonely))) != first


def test_the_key_does_not_know_where_a_definition_stands(load, before):
    """A file renamed, a function moved into another one, the whole in another folder."""
    renamed = edited(
        ("measure.py", "from . import tools\n", "from . import kit\n"),
        ("measure.py", "from .tools", "from .kit"),
        ("measure.py", "tools.quarter(value), tools", "kit.quarter(value), kit"),
        ("__init__.py", "from .tools", "from .kit"),
    )
    renamed["kit.py"] = renamed.pop("tools.py")
    assert key(load(renamed)) == before
    moved = edited(
        ("measure.py", "SCALE = 2.0  # a comment\nSCALE += 1.0\n", "from .late import SCALE\n"),
        ("late.py", "FAR = 13.0\n", "SCALE = 2.0\nSCALE += 1.0\nFAR = 13.0\n"),
    )
    assert key(load(moved)) == before
    below = {
        f"mine/deeper/{file}": text.replace("mine", "mine.deeper") for file, text in FILES.items()
    }
    assert key(load({"__init__.py": "", **below}, "mine.deeper.measure")) == before


def test_two_helpers_of_one_name_may_not_change_places(load, before):
    swapped = edited(("deep.py", "x + 0.25", "x - 0.25"), ("other.py", "x - 0.25", "x + 0.25"))
    assert key(load(swapped)) != before


def test_two_names_of_one_statement_are_two(load):
    text = (
        "a, b = 1.0, 2.0\n\n\nclass Kept:\n    c, d = 3.0, 4.0\n\n\n"
        "def measure():\n    return a, Kept.c\n"
    )
    other = [text, text.replace("return a", "return b"), text.replace("Kept.c", "Kept.d")]
    assert len({digest_of(load({"measure.py": text}).measure) for text in other}) == 3


def test_which_of_the_known_definitions_is_meant_counts(load):
    files = {
        "a.py": "def one(x):\n    return x + 1.0\n\n\ndef two(x):\n    return x + 2.0\n",
        "b.py": "from .a import one as it\n\n\ndef again(x):\n    return it(x)\n",
        "measure.py": "from .a import one, two\nfrom .b import again\n\n\n"
        "def measure(x):\n    return one(x), two(x), again(x)\n",
    }
    other = edited(("b.py", "import one", "import two"), files=files)
    assert digest_of(load(files).measure) != digest_of(load(other).measure)


def test_imports_within_statements_of_a_function_are_followed(load):
    text = (
        "def measure(x):\n"
        "    try:\n        from .a import one\n"
        "    except ImportError:\n        from .b import two as one\n"
        "    else:\n        from .c import three\n"
        "    finally:\n        from .d import four\n"
        "    match x:\n        case 0:\n            from .e import five\n"
        "    return one(), three(), four(), five()\n"
    )
    names = dict(zip("abcde", ("one", "two", "three", "four", "five"), strict=True))
    files = {f"{file}.py": f"def {name}():\n    return 1.0\n" for file, name in names.items()}
    found = {digest_of(load({**files, "measure.py": text}).measure)}
    for file in files:
        changed = edited((file, "1.0", "2.0"), files=files)
        found.add(digest_of(load({**changed, "measure.py": text}).measure))
    assert len(found) == 6


def test_the_docstring_of_a_closure_does_not_count(load):
    text = (
        "def make(k):\n    def inner(x):\n        'One.'\n        return k * x\n\n"
        "    return inner\n\n\nmeasure = make(2)\n"
    )
    first, same, other = (
        digest_of(load({"measure.py": text.replace(*edit)}).measure)
        for edit in (("", ""), ("One.", "Two."), ("make(2)", "make(3)"))
    )
    assert first == same != other


def test_a_decorator_of_a_table_adds_to_it(load):
    text = (
        "import functools\n@functools.singledispatch\ndef measure(x):\n    return 1.0\n\n"
        "@measure.register\ndef _(x: int):\n    return 2.0\n\n"
        "@functools.cache\ndef idle(x):\n    return 3.0\n"
    )

    def of(text):
        return digest_of(load({"measure.py": text}).measure)

    assert of(text) != of(text.replace("2.0", "2.5"))
    assert of(text) == of(text.replace("3.0", "3.5"))


def test_definitions_that_call_each_other_end(load):
    def of(*edits):
        load(edited(*edits))
        tools = sys.modules["mine.tools"]
        return digest_of(tools.even), digest_of(tools.odd)

    first = of()
    assert len({*first, *of(("tools.py", "odd(x - 1)", "odd(x - 3)"))}) == 4


def test_modules_that_import_a_name_from_each_other_end(load):
    files = {
        "a.py": "def first():\n    from .b import second, lost\n    return second, lost\n",
        "b.py": "def second():\n    from .a import first\n    return first\n\n\n"
        "def inner():\n    from .a import lost\n    return lost\n",
        "c.py": "from .d import lost\n\n\ndef third():\n    return lost\n",
        "d.py": "if len('') > 0:\n    from .c import lost\n",
        "measure.py": "def measure():\n    from .a import first\n    from .c import third\n"
        "    return first, third\n",
    }
    first = digest_of(load(files).measure)
    other = edited(("b.py", "return first\n", "return first()\n"), files=files)
    assert digest_of(load(other).measure) != first


def test_another_package_counts_by_its_name_and_not_by_its_code(load):
    files = {
        "measure.py": "import thing\n\n\ndef measure(x):\n    return thing.made(x)\n",
        "site-packages/thing.py": "def made(x):\n    return x\n\n\nother = made\n",
    }

    def of(*edits):
        return digest_of(load(edited(*edits, files=files)).measure)

    first = of()
    assert of(("site-packages/thing.py", "return x", "return x + 1")) == first
    assert of(("measure.py", "thing.made", "thing.other")) != first
    beside = {"thing.py" if "/" in file else file: text for file, text in files.items()}
    beside = edited(("measure.py", "import thing", "from . import thing"), files=beside)
    changed = edited(("thing.py", "return x", "return x + 1"), files=beside)
    assert digest_of(load(beside).measure) != digest_of(load(changed).measure)


def test_names_of_a_function_are_not_its_modules(load):
    """`total` is a parameter, `each` a comprehension's, `held` a local that an inner one closes."""
    text = (
        "total = 1.0\neach = 2.0\nheld = 3.0\nfree = 4.0\nown = 5.0\n\n\n"
        "class Kept:\n    own = own\n\n\n"
        "def measure(total, held):\n"
        "    def inner():\n        return held\n\n"
        "    return [each + inner() for each in total] + [free, Kept.own]\n"
    )

    def of(name, old, new):
        edit = ("measure.py", f"{name} = {old}", f"{name} = {new}")
        return digest_of(load(edited(edit, files={"measure.py": text})).measure)

    first = of("free", 4.0, 4.0)
    for name, value in (("total", 1.0), ("each", 2.0), ("held", 3.0)):
        assert of(name, value, 9.0) == first
    assert first not in (of("free", 4.0, 9.0), of("own", 5.0, 9.0))


# ---------------------------------------------------------------------------------- objects


def scaled(factor):
    def times(x):
        """Inner."""
        return factor * x

    return times


def wrapped(factor):
    def around(function):
        @functools.wraps(function)
        def inner(x):
            return factor * function(x)

        return inner

    return around


def chosen(fast):
    if fast:

        def step(x):
            return x + 1

    else:

        def step(x):
            return x + 2

    return step


def bound_to(value):
    class Holder:
        kept = value

        def read(self):
            return self.kept

    return Holder


def derived(base):
    class Derived(base):
        pass

    return Derived


class Counted:
    def __init__(self, start):
        self.start = start

    def next(self, x):
        return self.start + x


def plain(x):
    return x


Point = make_dataclass("Point", ["x", "y"], namespace={"size": lambda self: self.x})
DIFFERENT = {
    "plain values": (1, True, 1.0, "1", b"1", None, 1j, -0.0, 0.0, 0, False, ...),
    "containers": ((1, 2), [1, 2], {1, 2}, frozenset((1, 2)), {1: 2}, ((1,), 2), (1, (2,)), (12,)),
    "order": ((1, 2), (2, 1)),
    "cells": (scaled(1), scaled(2), scaled(1.0)),
    "decorators with cells": (plain, wrapped(2)(plain), wrapped(3)(plain), wrapped(3)(scaled(1))),
    "functions of one name": (chosen(True), chosen(False)),
    "lambdas": (lambda x: x, lambda x: -x, lambda x: x + 1, lambda x, y=1: x, lambda x, y=2: x),
    "partial": (functools.partial(plain, 1), functools.partial(plain, 2), plain),
    "methods": (Counted(1).next, Counted(2).next, Counted(1), Counted.next, Counted),
    "caches": (functools.cache(scaled(1)), functools.cache(scaled(2))),
    "compiled": (numba.njit(plain), numba.njit(chosen(True)), numba.njit(chosen(False))),
    "local classes": (bound_to(1), bound_to(2), bound_to((1, 2)), bound_to(2)()),
    "bases": (derived(Counted), derived(Point), derived(bound_to(1)), derived(bound_to(2))),
    "dataclasses": (Point(1, 2), Point(2, 1), Point((1,), 2)),
    "numbers": (Fraction(1, 3), Fraction(2, 3), np.float64(1.0), np.float32(1.0), np.float64(2.0)),
    "arrays": (np.zeros(2), np.zeros(3), np.zeros((1, 2)), np.zeros(2, int), np.ones(2)),
    "long arrays": (np.arange(5000), np.where(np.arange(5000) == 2500, 1, np.arange(5000))),
    "paths": (Path("a"), Path("b"), "a"),
    "generators": (np.random.default_rng(0), np.random.default_rng(1)),
    "library functions": (np.exp, np.log, np.sum, sorted, len, isinstance),
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_different_objects_have_different_keys(kind):
    assert len(set(map(digest_of, DIFFERENT[kind]))) == len(DIFFERENT[kind])


def test_equal_objects_have_equal_keys():
    for make in (
        lambda: scaled(1),
        lambda: wrapped(2)(plain),
        lambda: bound_to((1, 2))(),
        lambda: Point(Counted(1).next, {"a", "b"}),
        lambda: (np.arange(4.0), Fraction(1, 3), {"b": 1, "a": functools.partial(plain, 2)}),
    ):
        assert digest_of(make()) == digest_of(make())
    assert digest_of(1, 2) != digest_of((1, 2))


def test_objects_that_hold_themselves_end():
    def loop(depth):
        held = []
        held.append([held] if depth else held)
        return held

    assert digest_of(loop(0)) == digest_of(loop(0)) != digest_of(loop(1))


@pytest.mark.parametrize("name", ["typed", "mine.measure"])
def test_code_without_a_file_counts_by_what_it_does_and_finds(load, name):
    """Typed anew in a module that has a file, it is not the file's."""
    load()
    text = (
        "FACTOR = 2\n"
        "def helper(x): return FACTOR * x\n"
        "class Kind:\n    size = 3\n    @property\n    def area(self): return self.size\n"
        "def measure(x): return helper(x) + Kind().area\n"
        "def idle(x): return 7\n"
    )

    def of(old="", new=""):
        space = {"__name__": name}
        exec(text.replace(old, new), space)
        return digest_of(space["measure"])

    first = of()
    assert of("return 7", "return 8") == first
    for edit in (("= 2", "= 3"), ("FACTOR *", "FACTOR +"), ("size = 3", "size = 4"),
                 ("+ Kind", "- Kind"), ("return self.size", "return -self.size")):  # fmt: skip
        assert of(*edit) != first


def test_what_cannot_be_told_apart_is_refused(tmp_path):
    with open(tmp_path / "file", "w") as file:
        with pytest.raises(TypeError, match="of type TextIOWrapper cannot be told from others"):
            digest_of(file)


# --------------------------------------------------------------------------- other processes


def printed(code, *paths, seed=0):
    """What a fresh interpreter, with modules from `paths` first, prints."""
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    command = [sys.executable, "-c", code]
    options = dict(capture_output=True, text=True, check=True, cwd=paths[0])
    done = subprocess.run(command, env=environment, **options)
    return done.stdout.split()


def test_every_process_finds_the_same_key(load):
    module = load()
    mine = digest_of(module.measure, (module.Setting(), {"a", "b", "c"}))
    code = (
        "from mine.measure import Setting, measure; from madpo_theory.reached import digest_of\n"
        "print(digest_of(measure, (Setting(), {'a', 'b', 'c'})))"
    )
    here, house = Path(module.__file__).parents[1], Path(madpo_theory.__file__).parents[1]
    assert [printed(code, here, house, seed=seed) for seed in (1, 2)] == [[mine], [mine]]


@pytest.mark.slow
def test_the_library_is_read_wherever_it_is_installed(tmp_path):
    """A schedule stands for the published weight, whose file no import at the top names."""
    place = tmp_path / "site-packages" / "madpo_theory"
    shutil.copytree(
        Path(madpo_theory.__file__).parent, place, ignore=shutil.ignore_patterns("__pycache__")
    )
    code = (
        "import madpo_theory as m; from madpo_theory.reached import digest_of\n"
        "print(m.__file__, digest_of(m.log_weight), digest_of(m.coefficient))"
    )

    def of():
        file, *keys = printed(code, place.parent)
        assert Path(file).parent == place
        return keys

    first = [digest_of(madpo_theory.log_weight), digest_of(madpo_theory.coefficient)]
    assert of() == first
    published = place / "weights" / "published.py"
    text = published.read_text()
    published.write_text(text.replace('"""The published weight."""', '"""Prose."""'))
    assert of() == first
    changed = text.replace("delta = xp.where_greater(u,", "delta = xp.where_greater(-u,")
    published.write_text(changed)
    weighed, coefficient = of()
    assert changed != text and weighed != first[0] and coefficient == first[1]
