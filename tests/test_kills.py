"""The judge of killed commands sees what is left behind; and a sample of what `make kills` does.

docs/robustness.md has the counts of the whole.
"""

import os
import subprocess
import sys

import pytest
from kills import run as kills
from robustness import write_section

TOLD = {
    "leaves_a_process": ("SIGKILL", "processes alive: 1"),
    "leaves_a_temporary": ("SIGTERM", "leaves ['.a.madpo-tmp']"),
    "leaves_a_folder_in_tmpdir": ("SIGKILL", "again: leaves ['made"),
    "goes_on_to_other_files": ("SIGKILL", "again: other files: ['b']"),
    "refuses_what_is_half": ("SIGINT", "again: other files: ['b']"),
    "tells_a_traceback": ("SIGTERM", "a traceback: "),
    "says_nothing": ("SIGTERM", "says []"),
    "ends_with_another_status": ("SIGINT", "exit status 3"),
}

IN_CI = ("leaves_a_process", "goes_on_to_other_files", "ends_with_another_status")


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    made = kills.Nursery(tmp_path_factory.mktemp("kills"))
    yield made
    made.close()


@pytest.fixture
def judged(nursery, monkeypatch):
    """What comes of a made command that is disturbed in the middle: (end, again, faults)."""

    def judge(name, way):
        command = kills.Command("figures", f"import faulty; faulty.put({name!r})")
        monkeypatch.setitem(kills.COMMANDS, "made", command)
        monkeypatch.setattr(kills, "moment", lambda *_: 0.2)
        known = kills.reference(nursery, command, patience=1)
        return kills.killed(nursery, "made", way, 0, known, patience=1)

    return judge


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in IN_CI else pytest.mark.long)
        for name in TOLD
    ],
)
def test_the_judge_sees_what_is_wrong(judged, name):
    way, told = TOLD[name]
    end, _, faults = judged(name, way)
    assert end == ("had ended" if name == "ends_with_another_status" else "stopped")
    assert any(told in fault for fault in faults), faults


@pytest.mark.slow
@pytest.mark.parametrize("way", ("SIGTERM", "SIGINT", "SIGKILL"))
def test_the_judge_sees_what_is_right(judged, way):
    assert judged("is_right", way) == ("stopped", "same files", [])


def test_a_command_that_fails_by_itself_is_not_judged(nursery):
    command = kills.Command("figures", "import faulty; faulty.put('ends_badly_by_itself')")
    with pytest.raises(RuntimeError, match="fails by itself"):
        kills.reference(nursery, command)


def mounts():
    """Whether this machine lets a process mount what it alone sees."""
    tried = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(tried, capture_output=True).returncode == 0


@pytest.mark.slow
def test_a_sample_of_the_kills():
    """A disk is full only where one can be mounted; elsewhere tests/test_files.py has to do."""
    ways = [way for way in kills.WAYS if way != "full" or mounts()]
    command = [sys.executable, kills.__file__, "weights", "--again", "1", "--ways", *ways]
    paths = os.pathsep.join(str(kills.HERE.parent / name) for name in ("support", "kills"))
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == len(ways)


def test_moments_follow_from_the_seed_and_fill_the_time():
    found = [kills.moment("weights", way, n) for way in kills.WAYS for n in range(kills.TIMES)]
    assert found == [kills.moment("weights", w, n) for w in kills.WAYS for n in range(kills.TIMES)]
    assert len(set(found)) == len(found) and 0 <= min(found) < 0.1 and 0.9 < max(found) < 1
    drawn = [kills.moment("train", "SIGTERM", n) for n in range(kills.TIMES)]  # 3 and 5 are alike
    assert len(set(drawn)) == kills.TIMES


def test_what_differs_by_nature_is_left_out_and_nothing_else(tmp_path):
    command = kills.COMMANDS["sentiment"]
    for name, seconds, value in (("one", "1.5", "2"), ("two", "2.75", "2"), ("three", "1.5", "3")):
        (tmp_path / name / "r").mkdir(parents=True)
        (tmp_path / name / "r" / "timing.json").write_text(f'{{"seconds": {seconds}}}')
        (tmp_path / name / "r" / "a.json").write_text(f'{{"seconds": {seconds}, "n": {value}}}')
    one, two, three = (kills.content(command, tmp_path / name) for name in ("one", "two", "three"))
    assert kills.differing(one, two) == [] and kills.differing(one, three) == ["r/a.json"]
    (tmp_path / "two" / "r" / "timing.json").unlink()
    assert kills.differing(kills.content(command, tmp_path / "two"), one) == ["r/timing.json"]


def test_the_record_is_kept_as_long_as_the_command_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(kills, "RECORD", tmp_path / "record.json")
    record = kills.read_record()
    assert record["weights"]["full"] == []
    runs = [[0.5, "stopped", "same files", []], [0.25, "stopped", "refused", ["a", "b"]]]
    record["weights"]["full"] = runs
    kills.write_record(record)
    assert kills.read_record() == record
    assert '[0.5, "stopped", "same files", []],\n' in (tmp_path / "record.json").read_text()
    other = kills.moment("weights", "full", 1)
    record["weights"]["full"] = [[kills.moment("weights", "full", 0), "stopped", "refused", []]]
    record["weights"]["full"].append([other, "stopped", "refused", ["a fault"]])
    assert kills.todo(record, "weights", ("full",), 3) == [(1, "full"), (2, "full")]
    monkeypatch.setattr(kills, "LOCK", tmp_path / "lock")
    kills.write_record(record)
    kills.add("weights", "full", [other, "stopped", "same files", []])
    assert kills.read_record()["weights"]["full"][1:] == [[other, "stopped", "same files", []]]
    monkeypatch.setitem(kills.COMMANDS, "weights", kills.Command("weights others"))
    assert kills.read_record()["weights"]["full"] == []


def test_the_page_counts_what_the_record_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(kills, "RECORD", tmp_path / "record.json")
    record = kills.read_record()
    record["weights"]["SIGINT"] = [
        [0.1, "stopped", "same files", []],
        [0.9, "had ended", "refused", []],
        [0.5, "stopped", "same files", ["hangs"]],
    ]
    text = kills.section(record)
    name = record["weights"]["arguments"]
    assert f"| `madpo {name}` | SIGINT | 3 | 1 | 1 | 1 | 1 | 1 |" in text
    assert f"| `madpo {name}` | full | 0 | 0 | 0 | 0 | 0 | 0 |" in text
    assert (
        "3 times (the plan is 20 times each in each of four ways; so far it is 0 to 3)" in text
        and " 1 of them ended otherwise" in text
    )


def test_sections_of_the_page_renew_themselves_alone(tmp_path):
    page = tmp_path / "page.md"
    write_section("## Killed\n\nnone\n", page)
    write_section("## Files\n\n| a |\n", page)
    first = page.read_text()
    assert first.startswith("# Robustness\n") and first.index("## Files") < first.index("## Killed")
    write_section("## Killed\n\nsome\n", page)
    assert page.read_text() == first.replace("none", "some")


def test_the_page_is_that_of_the_record():
    """Files stands before it, by `make fuzz`."""
    text = kills.section(kills.read_record())
    page = (kills.HERE.parents[1] / "docs" / "robustness.md").read_text()
    assert text.strip() in page
