"""The verdict sheet: what it says of every method, against numbers found another way."""

import functools
import importlib.util
import json
import math
import re
from pathlib import Path

import audited_losses
import numpy as np
import own_weight
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import agree

import madpo_theory
from madpo_theory import METHODS, MarginSchedule, Method, Weighting, audit, cli
from madpo_theory.audit import Row, Sheet, method_of_function
from madpo_theory.audit.page import fragment, tables, write_html
from madpo_theory.audit.questions import QUESTIONS
from madpo_theory.claims.generic import theorems
from madpo_theory.files import SUFFIX
from madpo_theory.methods import Cdpo, Dpo, Ipo, Madpo, Simpo
from madpo_theory.ops import torch_world

HERE = Path(__file__).parent
SPEC = importlib.util.spec_from_file_location("golden_sheets", HERE / "golden" / "sheets.py")
golden = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(golden)
GOLDEN = json.loads(golden.FILE.read_text(encoding="utf-8"))
IDS = (
    "margin_form", "bounded_below", "convex", "slope", "curvature", "target_unique", "calibrated",
    "order", "amplifies", "dampens", "saturates", "influence", "sensitivity", "first_step",
    "information", "additive", "displacement",
)  # fmt: skip
QUICKLY = {"beta_dpo", "cdpo", "dpo", "dpo_matched", "hinge", "ipo", "madpo", "rdpo"}
LIBRARYS = [n for n, cls in METHODS.items() if cls.__module__.startswith("madpo_theory.")]
EVERY = [pytest.param(n, marks=[] if n in QUICKLY else pytest.mark.slow) for n in LIBRARYS]
LOSSES = HERE / "support" / "audited_losses.py"

sheet_of = functools.cache(functools.partial(audit, seconds=60.0))  # as in golden/sheets.py
"""A method's sheet, made once in a run of this file."""


# ------------------------------------------------------------------------------ every method


@pytest.mark.parametrize("name", EVERY)
def test_the_sheet_is_the_golden_one(name):
    """A number is one of both enclosures, the sixth digit of the golden one aside."""
    sheet, old = sheet_of(name), GOLDEN[name]
    assert [row.id for row in sheet.rows] == list(old) == list(IDS) == list(QUESTIONS)
    assert {row.id: row.verdict for row in sheet.rows} == {n: v[0] for n, v in old.items()}
    for row in sheet.rows:
        _, kind, *numbers = old[row.id]
        assert row.kind == kind, row
        assert (row.value is None) == (numbers[0] is None), row
        if row.value is not None:
            value, lower, upper = map(float, numbers)
            assert row.lower <= row.value <= row.upper, row
            assert _at_most(row.lower, value) and _at_most(value, row.upper), row
            assert _at_most(lower, row.value) and _at_most(row.value, upper), row


def _at_most(a, b):
    """a <= b, but for half a unit of the sixth digit of either."""
    return a <= b or a - b <= 5e-6 * max(abs(a), abs(b))


@pytest.mark.parametrize("name", EVERY)
def test_every_counterexample_runs_and_shows_its_no(name):
    shown = [row for row in sheet_of(name).rows if row.counterexample]
    assert all(row.verdict == "no" for row in shown)
    for row in shown:
        assert "assert " in row.counterexample
        exec(compile(row.counterexample, f"{name}: {row.id}", "exec"), {})


# --------------------------------------------------- the numbers, by brute force on dense grids

STEP = 0.01
MARGINS = np.round(np.arange(-6000, 6001) * STEP, 2)


def derivatives(method, z, h):
    """First and second derivative in z, by torch's differentiation."""
    z = torch.as_tensor(z, dtype=torch.float64).requires_grad_()
    h = torch.as_tensor(h, dtype=torch.float64)
    loss = method.margin_loss(torch_world, z, h).sum()
    (first,) = torch.autograd.grad(loss, z, create_graph=True)
    if not first.requires_grad:
        return first.detach().numpy(), torch.zeros_like(first).numpy()
    (second,) = torch.autograd.grad(first.sum(), z)
    return first.detach().numpy(), second.numpy()


@np.errstate(all="ignore")  # targets may be infinite
def brute(method):
    """{row id: the number of its question, from points alone}."""
    h = MARGINS[MARGINS > 0]
    far, model = (x.ravel() for x in np.meshgrid([0.0, 1.0, 3.0, 8.0], MARGINS[::10]))
    a, b = (x.ravel() for x in np.meshgrid(MARGINS[::40], MARGINS[::40]))
    exact, ta, tb, tab = (np.asarray(method.target(x, x)) for x in (h, a, b, a + b))
    moved = np.asarray(method.target(far, model)) - np.asarray(method.target(far, 0 * model))
    z, ĥ = (x.ravel() for x in np.meshgrid(MARGINS[::12], MARGINS[::60]))
    slope, bend = derivatives(method, z, ĥ)
    first, _ = derivatives(method, 0 * MARGINS, MARGINS)
    return {
        "convex": -bend.min(),  # infima with their sign turned: all are suprema
        "slope": np.abs(slope).max(),
        "curvature": bend.max(),
        "calibrated": np.abs(exact - h).max(),
        "order": float((np.maximum.accumulate(exact) - exact)[np.isfinite(exact)].max(initial=0)),
        "amplifies": (exact / h).max(),
        "dampens": (h - exact).max(initial=0),
        "influence": np.nanmax(np.abs(moved)),
        "first_step": 2 * first.max(),
        "additive": np.nanmax(np.abs(ta + tb - tab)),
    }


INFIMA = {"convex", "first_step"}
WIDE = {"slope", "curvature", "convex", "influence", "additive"}
"""Rows looked at on grids of steps above STEP, so that the largest value may lie between."""


def assert_numbers_hold(sheet):
    """Points exceed no upper end, and come as near to the lower end as their grid is dense."""
    for name, seen in brute(sheet.subject.method).items():
        row = sheet[name]
        if row.value is None:
            continue
        lower, upper = (row.lower, row.upper) if name not in INFIMA else (-row.upper, -row.lower)
        # rounding of float64 in targets of 60 nats, and of the search by bisection
        assert seen <= upper + 1e-9 * (1 + abs(seen)), (name, seen, row)
        if math.isinf(lower) or row.verdict == "undecided" or "60" in row.domain:
            continue
        # between two points of the grid a target of slope at most 4 changes by as much
        step = 60 * STEP if name in WIDE else STEP
        assert seen >= lower - 4 * step * max(1.0, abs(lower)), (name, seen, row)
        if row.verdict == "no" and name in ("slope", "influence"):
            assert row.value == math.inf and seen > 10


@pytest.mark.parametrize("name", EVERY)
def test_numbers_agree_with_brute_force(name):
    sheet = sheet_of(name)
    if sheet.is_margin_loss:
        assert_numbers_hold(sheet)


@settings(max_examples=3)
@given(st.floats(0.01, 0.45), st.floats(0.05, 2.0))
def test_numbers_agree_at_other_settings(epsilon, beta):
    assert_numbers_hold(audit(Cdpo(epsilon=epsilon), seconds=3))
    assert_numbers_hold(audit(Ipo(beta=beta), seconds=3))


@pytest.mark.long
@settings(max_examples=6)
@given(
    st.floats(0.05, 3.0), st.floats(1.2, 6.0), st.floats(0.0, 0.9), st.floats(0.3, 2.0),
    st.floats(0.5, 8.0),
)  # fmt: skip
def test_numbers_agree_at_other_settings_of_offsets_and_weights(gamma, c_max, c_min, lam, tau):
    assert_numbers_hold(audit(Simpo(gamma=gamma)))
    assert_numbers_hold(audit(Madpo(MarginSchedule(c_max, c_min, lam, tau))))


# -------------------------------------------------------------------------------- known sheets


def test_dpo_is_what_theory_says_of_it():
    sheet = sheet_of("dpo")
    no = {row.id for row in sheet.rows if row.verdict == "no"}
    assert no == {"amplifies", "dampens", "saturates", "displacement"}
    assert all(row.kind == "proved" for row in sheet.rows if row.id != "displacement")
    assert sheet["curvature"].value == 0.25 and sheet["slope"].value == 1


def test_known_numbers_lie_in_their_enclosures():
    """The ceilings of cDPO, log((1 - epsilon)/epsilon), and of IPO; T5."""
    madpo, cdpo, ipo = (sheet_of(name) for name in ("madpo", "cdpo", "ipo"))
    for row, value in ((cdpo["saturates"], math.log(9)), (ipo["saturates"], 0.5)):
        assert row.lower - 1e-12 <= value <= row.upper + 1e-12, (row, value)  # rounding
    assert madpo["order"].verdict == "no" and cdpo["order"].verdict == "yes"


def test_three_losses_of_a_users_file():
    squared, dented, bottomless = (
        audit(f"{LOSSES}:{name}") for name in ("squared", "dented", "bottomless")
    )
    assert squared["convex"].verdict == "yes" and squared["convex"].value == 2
    assert squared["slope"].verdict == "no" and squared["curvature"].value == 2
    assert squared["saturates"].upper == pytest.approx(1, abs=1e-5)
    assert squared["order"].verdict == squared["target_unique"].verdict == "yes"
    assert dented["convex"].verdict == "no"
    z = np.linspace(0, 5, 5001)
    _, bend = derivatives(method_of_function(audited_losses.dented), z, 0 * z)
    row = dented["convex"]
    assert row.lower <= bend.min() <= row.upper + 1e-5  # a step of 1e-3 beside the minimum
    assert dented["bounded_below"].verdict == "yes" and dented["slope"].verdict != "no"
    assert bottomless["bounded_below"].verdict == bottomless["target_unique"].verdict == "no"
    assert bottomless["convex"].verdict == bottomless["slope"].verdict == "yes"
    for sheet in (squared, dented, bottomless):
        for row in sheet.rows:
            if row.counterexample:
                exec(row.counterexample, {})


def of_file(name, **options):
    """The sheet of a loss of the user's file, each "no" shown by its Python."""
    sheet = audit(f"{LOSSES}:{name}", **options)
    for row in sheet.rows:
        if row.counterexample:
            exec(compile(row.counterexample, f"{name}: {row.id}", "exec"), {})
    return sheet


def test_a_target_far_out_is_no_endless_fall():
    """Nothing within 240 nats tells the minimum at 333 from none; the sheet follows the target."""
    sheet = of_file("tempered")
    method = method_of_function(audited_losses.tempered)
    assert method.target(10.0, -4.0) == pytest.approx(333.4509, abs=1e-3)
    assert (sheet["target_unique"].verdict, sheet["saturates"].verdict) == ("yes", "no")
    assert (sheet["order"].verdict, sheet["amplifies"].verdict) == ("yes", "yes")
    assert sheet["calibrated"].verdict == "no" and sheet["dampens"].verdict == "no"
    # T(h, h) = (1 + e^-h) log(..) is largest where the temperature is near 1: 4 h at h = 0
    assert sheet["amplifies"].value == pytest.approx(4, rel=1e-6)
    assert sheet["influence"].verdict != "yes"  # it has no bound: 1/sigma(ĥ) times a margin


def test_the_shown_endless_fall_is_looked_at_far_out():
    """The Python beside an endless fall refuses a loss whose risk turns at 333 nats."""
    shown = of_file("bounded")["target_unique"].counterexample
    method = method_of_function(audited_losses.tempered)
    assert "1e6" in shown and "falling" in shown
    turned = shown.partition("from madpo_theory.ops")[2]
    turned = re.sub(r"h_true, h = .*", "h_true, h = 10.0, -4.0", turned)
    with pytest.raises(AssertionError):
        exec("from madpo_theory.ops" + turned, {"method": method})


@pytest.mark.parametrize(
    ("name", "h_true", "how_far"),
    (("bounded", 1, "without end"), ("bottomless", 1, "without end"),
     ("bounded_twice", 3, "as far as 4"), ("steep", 1, "without end")),
)  # fmt: skip
def test_an_endless_fall_keeps_its_no(name, h_true, how_far):
    row = of_file(name)["target_unique"]
    assert (row.verdict, row.kind) == ("no", "searched")
    assert f"h* = {h_true} nats the risk falls {how_far}" in row.reading


def test_what_a_search_did_not_reach_is_not_infinite():
    """Targets beyond the search's 1e4 nats are not known, which is not that they are infinite."""
    sheet = of_file("distant")
    assert sheet["target_unique"].verdict == sheet["amplifies"].verdict == "yes"
    assert 1e4 * (1 - 1e-6) <= sheet["amplifies"].value <= sheet["amplifies"].upper <= 1.001e4
    assert (sheet["saturates"].verdict, sheet["additive"].verdict) == ("no", "undecided")
    hinge = of_file("far_hinge")
    assert hinge["saturates"].verdict == "yes" or hinge["saturates"].value < math.inf
    assert hinge["additive"].verdict != "no" and hinge["amplifies"].value != math.inf


def test_a_loss_held_short_only_far_out_says_where():
    row = of_file("far_square")["dampens"]
    assert row.verdict == "yes" and row.reading == (
        "Pairs of margins beyond 60 nats are held short of them."
    )


def test_a_kink_is_where_the_slope_jumps():
    assert of_file("joined")["curvature"].verdict != "no"
    sheet = of_file("kinked")
    assert sheet["curvature"].verdict == "no"
    assert sheet["information"].verdict == "undecided"  # beside its kink it has a curvature


def test_what_a_first_push_means():
    for name, said in (
        ("dpo_relabelled", "Some pairs are first pushed against their label, at 1 of DPO's push."),
        ("discopop", "Some pairs are first pushed against their label, at 1.57 of DPO's push."),
        ("reward_aware_squared", "Some pairs are first pushed against their label, without bound."),
        ("dpo_filtered", "Some pairs are not pushed at all at first."),
        ("cdpo", "Some pairs start at 0.8 of DPO's push: they need more steps."),
        ("dpo", "No pair starts slower than under DPO at the same β."),
    ):
        row = audit(name, seconds=3)["first_step"]
        assert row.reading == said, (name, row)
        assert row.verdict == "yes" or "push <" in row.counterexample
        exec(row.counterexample or "", {})


def test_a_point_settles_whether_there_is_one(monkeypatch):
    """What a checker refuses to confirm takes back bounds, not the pair that was found."""
    from madpo_theory.audit import checker

    def refuse(certificate):
        raise ValueError("not today")

    monkeypatch.setattr(checker, "check", refuse)
    sheet = audit("madpo")
    for name in ("amplifies", "dampens"):
        row = sheet[name]
        assert (row.verdict, row.kind, row.upper) == ("yes", "searched", math.inf), row
    assert sheet["slope"].verdict == "undecided"


def test_a_row_that_is_not_there_is_named():
    sheet = audit("dpo", quick=True)
    with pytest.raises(KeyError) as caught:
        sheet["convx"]
    assert str(caught.value) == (
        "there is no row 'convx'; did you mean 'convex'? [row.id for row in sheet.rows] names all "
        "17"
    )


class Nowhere(Weighting):
    def log_weight(self, xp, h):
        return 0 * h + math.nan


class Backward(Weighting):
    def log_weight(self, h):
        return 0 * h


class Rooted(Weighting):
    def log_weight(self, xp, h):
        return xp.sqrt(h)


def twice(z, h):
    return z


OWN = (
    (Nowhere, "log_weight of Nowhere is nan at h = -60 nats; it must be"),
    (Backward, "Backward.log_weight takes (h) but must take (xp, h): .*"
     "write it as def log_weight(self, xp, h)"),
    (Rooted, "log_weight of Rooted cannot be evaluated in the numpy world: .*sqrt.*softplus"),
    (twice, "twice takes (z, h) but must take (xp, z, h): .*write it as def twice(xp, z, h)"),
)  # fmt: skip


@pytest.mark.parametrize(("own", "said"), OWN)
def test_an_error_names_what_the_user_wrote(own, said):
    said = ".*".join(map(re.escape, said.split(".*")))
    given = own() if isinstance(own, type) else own
    with pytest.raises(ValueError, match=said):
        audit(given, quick=True)
    if isinstance(own, type):
        with pytest.raises(ValueError, match=said):
            theorems(Madpo(given))


def test_a_sheet_is_called_by_the_users_class():
    class Even(Weighting):
        def log_weight(self, xp, h):
            return -xp.softplus(h) - xp.softplus(-h)

    assert audit(Even(), quick=True).label == "Even" and "Even" in audit(Even(), quick=True).title


def test_what_may_be_audited():
    def logistic(xp, z, h):
        return xp.softplus(-z)

    for subject in (Dpo(beta=0.5), Dpo, "dpo", logistic, method_of_function(logistic)):
        assert audit(subject, quick=True)["calibrated"].verdict == "yes"
    own = audit(f"{own_weight.__file__}:SoftStep", quick=True)
    assert own["calibrated"].verdict == "no" and own["influence"].verdict == "yes"
    assert audit("cdpo", ("epsilon=0.25",), quick=True).settings["epsilon"] == 0.25

    class Even(Weighting):
        def log_weight(self, xp, h):
            return xp.softplus(h) + xp.softplus(-h) - h * xp.tanh(h)

    assert audit(MarginSchedule(), quick=True)["order"].verdict == "no"
    assert audit(Even(), quick=True)["calibrated"].verdict == "yes"


# ------------------------------------------------------------------------------------- shapes


def test_the_package_is_the_function():
    assert isinstance(madpo_theory.audit("dpo", quick=True), Sheet)
    assert audit is madpo_theory.audit and callable(audit)


def test_quick_is_said_and_certifies_nothing():
    sheet = audit("madpo", quick=True)
    assert {row.kind for row in sheet.rows} <= {"proved", "searched"}
    assert not sheet.certificates and "quick" in str(sheet)


def test_json_comes_back(tmp_path):
    sheet = sheet_of("ipo")
    sheet.write_json(tmp_path / "ipo.json")
    found = json.loads((tmp_path / "ipo.json").read_text(encoding="utf-8"))
    assert list(found) == ["method", "label", "settings", "rows"]
    assert tuple(Row(**row) for row in found["rows"]) == sheet.rows
    assert found["settings"] == {"beta": 0.1} and (found["method"], found["label"]) == (
        "ipo",
        "IPO",
    )


@pytest.mark.slow
def test_the_how_to_shows_a_sheet():
    text = (HERE.parent / "docs" / "how-to" / "audit.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```text\n(SimPO .*?)```", text, re.S)
    assert agree(str(sheet_of("simpo")), shown)


def test_text_fits_a_terminal():
    text = str(sheet_of("madpo"))
    assert max(map(len, text.splitlines())) <= 100
    for row in sheet_of("madpo").rows:
        assert re.search(rf"^  {row.id} ", text, re.M) and row.reading.split()[-1] in text


# ------------------------------------------------------------------------------------ commands


def madpo(*arguments):
    return cli.main(["audit", *map(str, arguments)])


def test_the_command_prints_and_writes(tmp_path, capsys):
    places = [tmp_path / name for name in ("a.json", "a.html", "certificates")]
    assert madpo("ipo", "--set", "beta=0.2", "--json", places[0], "--html", places[1],
                 "--certificates", places[2], "--show") == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert "IPO (beta 0.2)" in printed and "assert " in printed and str(places[1]) in printed
    assert json.loads(places[0].read_text(encoding="utf-8"))["settings"]["beta"] == 0.2
    written = list(places[2].iterdir())
    assert written and all(json.loads(path.read_text())["method"] for path in written)
    assert not [path for path in tmp_path.rglob(f"*{SUFFIX}")]


def test_two_side_by_side(tmp_path, capsys):
    assert madpo("cdpo", "--against", "dpo", "--quick", "--json", tmp_path / "two.json") == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    first, second = json.loads((tmp_path / "two.json").read_text(encoding="utf-8"))
    for a, b in zip(first["rows"], second["rows"], strict=True):
        (line,) = (line for line in printed.splitlines() if f" {a['id']} " in line[:17])
        assert line.startswith("≠") == (a["verdict"] != b["verdict"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    (
        ([], "METHOD must be given"),
        (["no_such"], "no_such"),
        (["dpo", "--set", "beta=-1"], "beta"),
        (["dpo", "--set", "gamma=1"], "gamma"),
        (["dpo", "--seconds", "0"], "--seconds"),
        (["dpo", "--page", "x.md"], "--all"),
        (["--all"], "--page"),
        (["dpo", "--all", "--page", "x.md"], "--all"),
        (["dpo", "--against", "no_such"], "no_such"),
        (["dpo", "--json", "."], "folder"),
        (["nowhere.py:loss"], "nowhere.py"),
        ([f"{LOSSES}:no_such"], "no_such"),
    ),
)
def test_wrong_use_is_one_line(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert madpo(*arguments) == 2
    printed = capsys.readouterr()
    assert not printed.out and len(printed.err.splitlines()) == 1 and said in printed.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "code",
    ("def f(xp, z, h) return z", "1/0", "import nothing_of_this_name", "def f(xp, z, h):\n    z[0]",
     "def f(xp, z):\n    return z", "f = 3", "def f(xp, z, h):\n    return {}['a']"),
)  # fmt: skip
def test_a_broken_file_is_one_line(code, capsys, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text(code)
    assert madpo(f"{file}:f") == 2
    printed = capsys.readouterr()
    assert not printed.out and len(printed.err.splitlines()) == 1


def test_the_page_of_all(tmp_path, capsys, monkeypatch):
    from madpo_theory import methods

    few = {name: METHODS[name] for name in ("dpo", "ipo", "beta_dpo")}
    monkeypatch.setattr(methods, "METHODS", few)
    assert madpo("--all", "--quick", "--page", tmp_path / "sheets.md") == 0
    text = (tmp_path / "sheets.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if re.match(r"\| \[", line)]
    assert len(table) == 3 and {line.count(" | ") for line in table} == {17}
    assert all(f"{{#{name}}}" in text for name in few)


# ---------------------------------------------------------------------------------------- pages


def test_the_page_stands_alone(tmp_path):
    sheets = audit("cdpo", quick=True), audit(audited_losses.dented, quick=True)
    path = write_html(*sheets, out=tmp_path / "two.html")
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page and not re.search(r'(src|href)="https?:', page)
    assert page.count('<svg class="plot"') == 2 and page.count("<details>") == sum(
        bool(row.counterexample) for sheet in sheets for row in sheet.rows
    )
    assert write_html(*sheets, out=tmp_path / "again.html").read_bytes() == path.read_bytes()
    alone = write_html(audit("beta_dpo"), out=tmp_path / "batch.html").read_text(encoding="utf-8")
    assert '<svg class="plot"' not in alone


def test_figures_show_targets_and_losses():
    sheet = audit("cdpo", quick=True)
    found = tables(sheet)
    np.testing.assert_allclose(
        found["targets"]["target"], Cdpo(epsilon=0.1).target(found["targets"]["h"]), rtol=1e-12
    )
    assert set(found["landscape"]["h"]) == {0.0}
    assert set(tables(audit("madpo", quick=True))["landscape"]["h"]) == {-5.0, -2.0, 0.0, 2.0, 5.0}


def test_a_notebook_shows_the_rows():
    shown = fragment(audit("dpo", quick=True))
    assert shown.count("<tr>") == 18 and "<script" not in shown
    sheet = audit("dpo", quick=True)
    assert sheet._repr_html_() == shown


def test_losses_of_batches_are_told_apart():
    sheet = audit("beta_dpo")
    assert sheet["margin_form"].verdict == "no" and sheet["convex"].verdict == "undecided"
    assert not sheet.is_margin_loss and not tables(sheet)
    assert issubclass(METHODS["beta_dpo"], Method)


def test_an_odd_offset_alone_is_a_straight_line():
    """asinh(sinh(x)) is x: nothing is left to search for, and every row is answered."""
    clipped = METHODS["offset_madpo"](clip=1.0)
    assert audit(clipped, quick=True)["information"].kind == "proved"  # whatever the odd offset is
    rows = {row.id: row for row in sheet_of("odpo").rows}
    assert "undecided" not in {row.verdict for row in rows.values()}
    assert (rows["additive"].verdict, rows["additive"].kind) == ("yes", "proved")
    assert rows["sensitivity"].value == 1.0
