"""The report: every claim in it, nothing from outside in it, bad inputs refused."""

import copy
import json
import re
from html.parser import HTMLParser

import made_second
import pytest
from made_study import made, write
from test_figures import fabricate

from madpo_theory.show.figures import figures, table_bytes
from madpo_theory.show.mathematics import mathematics
from madpo_theory.show.report import write_report
from madpo_theory.simulate.predictions import (
    Estimate,
    Prediction,
    Rival,
    exact,
    judge,
    write_judgements,
)

PIXEL = '<svg id="only-dark" viewBox="0 0 518.4 300">\n</svg>\n'  # stands for a figure

# Made up for these tests: nothing here was computed.
FABRICATED = {
    "claims": [
        {
            "id": "F1",
            "statement": r"The weight is positive, $w(h) > 0$, <script>alert(1)</script>.",
            "reading": "A & B",
            "source": "fabricated",
            "assumptions": "none",
            "verdict": "holds",
            "evidence": [
                {
                    "kind": "symbolic", "agrees": True, "computed": 0, "theory": 0.1,
                    "steps": ["a < b", "b < c"], "name": "step by step",
                },
                {
                    "kind": "certified", "agrees": True, "computed": [1, 2], "theory": "<= 2",
                    "certificate": "cert.json", "detail": "fabricated detail",
                },
            ],
        },
        {
            "id": "F2",
            "statement": r"$T$ increases.",
            "source": "fabricated",
            "assumptions": "none",
            "verdict": "conditional",
            "condition": r"$\lambda \leq 1$",
            "evidence": [
                {"kind": "property", "agrees": True, "computed": "x", "theory": "y"}
            ],
        },
        {
            "id": "F3",
            "statement": "Dampened.",
            "source": "fabricated",
            "assumptions": "none",
            "verdict": "fails",
            "counterexample": "h = 8",
            "evidence": [{"kind": "simulation", "agrees": True, "computed": 1.5, "theory": None}],
        },
    ],
    "seconds": 12.5,
    "environment": {"numpy": "0.0"},
}  # fmt: skip


class Page(HTMLParser):
    """Every tag's attributes, and all the text outside style."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self._style = [], "", False
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._style = tag == "style"

    def handle_endtag(self, tag):
        self._style = False

    def handle_data(self, data):
        self.text += "" if self._style else data


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    experiment = fabricate(root / "runs" / "sentiment-fabricated")
    (root / "figures").mkdir()
    for name in figures():
        (root / "figures" / f"{name}.svg").write_text(PIXEL)
    folders = {
        "experiment": experiment,
        "results": write(root / "results", made()),
        "second": made_second.write(root / "second", made_second.theory(until=30)),
    }
    for name, spec in figures().items():
        if spec.source:
            shown = table_bytes(spec.build(folders[spec.source]))
            (root / "figures" / f"{name}.csv").write_bytes(shown)
    (root / "ledger.json").write_text(json.dumps(FABRICATED))
    (root / "cert.json").write_text("{}")
    (root / "studies").mkdir()
    (root / "studies" / "noise.svg").write_text(PIXEL)
    rivals = dict(no_effect=Rival(0, "flat"), paper=Rival(None, "names no rate"))
    predictions = [
        Prediction("f1", "<q>", (1, 2), "R & R", lambda t: Estimate(1.5, 1, 2, 99, 0.1), rivals),
        Prediction("f2", "without rivals", (1, 2), "R", lambda table: exact(3.0, 99)),
    ]
    about = dict(worlds=99, seed=0, rows=1, not_converged=0, reading="a reading")
    write_judgements(root / "studies" / "noise.json", judge(predictions, None), **about)
    sources = dict(ledger=root / "ledger.json", figures=root / "figures", studies=root / "studies")
    return sources | folders, root


@pytest.fixture(scope="module")
def page(inputs):
    path = write_report(inputs[1] / "report", **inputs[0])
    assert path == inputs[1] / "report" / "index.html"
    return path.read_text(encoding="utf-8")


def with_ledger(inputs, tmp_path, change):
    record = copy.deepcopy(FABRICATED)
    change(record)
    (tmp_path / "ledger.json").write_text(json.dumps(record))
    return {**inputs[0], "ledger": tmp_path / "ledger.json"}


def test_every_claim_with_its_verdict_and_evidence(page):
    text = re.sub(r"\s+", " ", Page(page).text)
    for claim in FABRICATED["claims"]:
        assert f'id="claim-{claim["id"]}"' in page
        assert re.search(rf"{claim['id']}\s*[✓◐✗] {claim['verdict']}", text)
    for words in (
        "1 holds", "1 holds under a stated condition", "1 fails", "4 pieces of evidence",
        "fabricated detail", "Counterexample: h = 8", "step by step", "a < b", "[1, 2]", "12.5 s",
        "preset fabricated, 1 seed", "one seed", "Gemma Terms of Use", "DPO, β = 0.1",
        "Of 2 predictions 1 failed: f2.", "“no effect” speaks of 1: 1 decided against it.",
        "“paper” speaks of 0", "0 — p < 1e-12 (flat)", "(names no rate)",
    ):  # fmt: skip
        assert words in text, words


def test_stands_alone(page):
    parsed = Page(page)
    tags = [tag for tag, _ in parsed.tags]
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(tags)
    images = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert len(images) == len(figures()) + 1
    assert all(a["src"].startswith("data:image/svg+xml;base64,") and a["alt"] for a in images)
    assert "http:" not in page and "https:" not in page
    assert "@import" not in page and "url(" not in page
    hrefs = [a["href"] for tag, a in parsed.tags if tag == "a"]
    ids = {a["id"] for _, a in parsed.tags if "id" in a}
    assert all(href == "../cert.json" or href[1:] in ids for href in hrefs)
    assert "../cert.json" in hrefs


def test_tags_are_balanced(page):
    void = {"meta", "img", "br", "wbr", "path", "link"}
    opened = [tag for tag, _ in Page(page).tags if tag not in void]
    for tag in set(opened) - {"html"}:
        assert opened.count(tag) == page.count(f"</{tag}>"), tag


def test_escapes_what_comes_in(page):
    assert "<script>" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "A &amp; B" in page and "a&lt;b$, β = 0.1" in page


@pytest.mark.slow
def test_same_inputs_same_bytes(inputs, page, tmp_path):
    mathematics.__globals__["_drawn"].cache_clear()
    again = write_report(inputs[1] / "report" / "again.html", **inputs[0])
    assert again.read_text(encoding="utf-8") == page


@pytest.mark.slow
def test_without_an_experiment(inputs, tmp_path):
    path = write_report(tmp_path / "r.html", **{**inputs[0], "experiment": None})
    text = Page(path.read_text(encoding="utf-8")).text
    assert "No finished experiment run was found" in text and "madpo sentiment" in text
    assert 'id="figure-reward_kl"' not in path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_evidence_against_a_verdict_is_announced(inputs, tmp_path):
    def change(record):
        record["claims"][0]["evidence"][0]["agrees"] = False

    path = write_report(tmp_path / "r.html", **with_ledger(inputs, tmp_path, change))
    text = Page(path.read_text(encoding="utf-8")).text
    assert "1 of 4 pieces of evidence contradict" in text and "contradicts the verdict" in text


@pytest.mark.slow
def test_a_proof_that_was_not_checked_is_shown_as_such(inputs, tmp_path):
    def change(record):
        record["claims"][0]["evidence"][0] |= {"kind": "proof", "agrees": False, "checked": False}

    path = write_report(tmp_path / "r.html", **with_ledger(inputs, tmp_path, change))
    text = Page(path.read_text(encoding="utf-8")).text
    assert "1 pieces of evidence were not checked" in text and "proof, not checked here" in text
    assert "3 pieces of evidence; every one agrees" in text and "contradict" not in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.pop("claims"), "no list 'claims'"),
        (lambda r: r["claims"].clear(), "'claims' is empty"),
        (lambda r: r["claims"].append(3), "claim number 4 is not an object"),
        (lambda r: r["claims"][1].pop("source"), "claim F2 lacks source"),
        (lambda r: r["claims"][1].update(id="F1"), "claim F1 stands there twice"),
        (lambda r: r["claims"][1].update(verdict="true"), "the verdict 'true'"),
        (lambda r: r["claims"][1].update(evidence=[]), "claim F2 has no evidence"),
        (
            lambda r: r["claims"][1]["evidence"][0].pop("theory"),
            "evidence of claim F2 lacks theory",
        ),
        (lambda r: r["claims"][1]["evidence"].append("x"), "evidence of claim F2 lacks kind"),
        (lambda r: r["claims"][1]["evidence"][0].update(kind="hunch"), "unknown kind 'hunch'"),
        (lambda r: r["claims"][1]["evidence"][0].update(agrees="yes"), "agrees = 'yes'"),
    ],
)
def test_refuses_bad_ledgers(inputs, tmp_path, change, words):
    arguments = with_ledger(inputs, tmp_path, change)
    with pytest.raises(ValueError) as error:
        write_report(tmp_path / "r.html", **arguments)
    for part in (words, str(arguments["ledger"]), "madpo verify --json"):
        assert part in str(error.value)
    assert not (tmp_path / "r.html").exists()


def test_refuses_missing_and_truncated_files(inputs, tmp_path):
    arguments, out = inputs[0], tmp_path / "r.html"
    with pytest.raises(ValueError, match=r"none\.json: cannot be read .*madpo verify"):
        write_report(out, **{**arguments, "ledger": tmp_path / "none.json"})
    (tmp_path / "half.json").write_text(json.dumps(FABRICATED)[:50])
    with pytest.raises(ValueError, match=r"half\.json: not valid JSON .*madpo verify"):
        write_report(out, **{**arguments, "ledger": tmp_path / "half.json"})
    with pytest.raises(ValueError, match=r"\.svg: cannot be read .*madpo figures"):
        write_report(out, **{**arguments, "figures": tmp_path})
    for name in figures():
        whole = (arguments["figures"] / f"{name}.svg").read_text()
        (tmp_path / f"{name}.svg").write_text(whole[:-7])
    with pytest.raises(ValueError, match=r"\.svg: not a whole SVG file; .*madpo figures"):
        write_report(out, **{**arguments, "figures": tmp_path})


def test_refuses_a_figure_of_another_experiment(inputs, tmp_path):
    other = fabricate(tmp_path / "other", preset="another")
    with pytest.raises(ValueError, match=r"reward_kl\.csv: does not show .*madpo figures"):
        write_report(tmp_path / "r.html", **{**inputs[0], "experiment": other})


@pytest.mark.parametrize(
    "tex",
    [
        r"c_{max} \le \frac12", r"\lvert h^*\rvert < \tau", r"\text{if } h > -\tau",
        r"\sup_{h \in \mathbb{R}} |\delta'(h)|", r"\tfrac{a}{b} \ge \left(\frac{1}{2}\right)",
    ],
)  # fmt: skip
def test_mathematics_is_drawn(tex):
    drawn = str(mathematics(f"a <b> ${tex}$ c"))
    assert drawn.startswith("a &lt;b&gt; <svg") and drawn.endswith("</svg> c")
    assert "$" not in drawn.replace("<title>", "")


def test_long_mathematics_may_break_but_not_inside_brackets():
    tex = r"|z^* - h^*| \leq D = \sup |\delta| \leq \max((c_{max} - 1) \tau, \log(1 + e^{-c \tau}))"
    drawn = str(mathematics(f"${tex}$"))
    assert drawn.count("<wbr>") == 3 and drawn.count("<svg") == 4


def test_mathematics_falls_back_to_readable_text():
    drawn = str(mathematics(r"$\begin{cases} \sigma(x) & x \le 1 \\ <b> & \foo{y} \end{cases}$"))
    assert drawn == '<span class="tex">σ(x) x ≤ 1 ; &lt;b&gt; foo y</span>'
    assert str(mathematics(r"costs \$5, or $6 <")) == "costs $5, or $6 &lt;"
