"""The report: ledger, figures and experiment in one page that needs no network and no script."""

import base64
import os
import re
from pathlib import Path

from ..extensions import SECTIONS
from ..files import write_text
from ..simulate.studies import read_results
from ..verdicts import KINDS, VERDICTS
from .experiment import SENTIMENT, label_of, read_json, read_summary, setting_of
from .figures import COMMAND, table_bytes
from .figures import figures as registered
from .pages import page_template, shown_size, value_text
from .studies import RIVALS, decisions, failures, judgements

__all__ = ["write_report"]

CLAIM = ("id", "statement", "source", "assumptions", "verdict", "evidence")
EVIDENCE = ("kind", "agrees", "computed", "theory")


def write_report(out, *, ledger, figures, experiment, studies=None, results=None, second=None):
    """Write the self-contained report; returns the path of the page.

    Parameters
    ----------
    out : the page, or a folder that gets ``index.html``.
    ledger : JSON file of ``madpo verify --json``.
    figures : folder of ``madpo figures``.
    experiment : folder of a finished sentiment run; None: the page says that there is none.
    studies : folder of ``madpo simulate``, or None; the page shows those that it holds.
    results, second : folders of the recorded sentiment studies (``madpo study``), or None.

    The same inputs give the same bytes. Raises ValueError, naming the file, what is wrong with
    it and the command that makes it again.
    """
    out, ledger, figures = Path(out), Path(ledger), Path(figures)
    if out.suffix != ".html":
        out = out / "index.html"
    record = _ledger(ledger)
    pieces = [item for claim in record["claims"] for item in claim["evidence"]]
    found = [item for item in pieces if item.get("checked", True)]
    page = page_template("report.html.j2").render(
        claims=[_claim(claim, ledger.parent, out.parent) for claim in record["claims"]],
        counts=_counts(record["claims"]),
        evidence=found,
        unchecked=len(pieces) - len(found),
        checked=_pairs(record.get("environment")),
        seconds=record.get("seconds"),
        verdicts=VERDICTS,
        kinds=KINDS,
        figures=_figures(figures, experiment=experiment, results=results, second=second),
        studies=(shown := _studies(studies)),
        judged=[row for study in shown for row in study["record"]["predictions"]],
        failures=failures,
        decisions=decisions,
        judgements=judgements,
        rivals=RIVALS,
        recorded=None if results is None else SECTIONS["sentiment"](results),
        second=None if second is None else SECTIONS["second"](second),
        run=None if experiment is None else _run(Path(experiment)),
        command=SENTIMENT,
    )
    return write_text(out, page)


# --- inputs ---------------------------------------------------------------------------------------


def _ledger(path):
    """The ledger, its schema checked."""
    remedy = f"write it again with `madpo verify --json {path}`"
    record = read_json(path, remedy=remedy)

    def refuse(what):
        raise ValueError(f"{path}: {what}; {remedy}")

    if not isinstance(record, dict) or not isinstance(record.get("claims"), list):
        refuse("there is no list 'claims'")
    if not record["claims"]:
        refuse("the list 'claims' is empty")
    seen = set()
    for number, claim in enumerate(record["claims"], 1):
        if not isinstance(claim, dict):
            refuse(f"claim number {number} is not an object")
        name = f"claim {claim.get('id', f'number {number}')}"
        if missing := [key for key in CLAIM if key not in claim]:
            refuse(f"{name} lacks {', '.join(missing)}")
        if claim["id"] in seen:
            refuse(f"{name} stands there twice")
        seen.add(claim["id"])
        if claim["verdict"] not in VERDICTS:
            refuse(f"{name} has the verdict {claim['verdict']!r}, not one of {', '.join(VERDICTS)}")
        if not isinstance(claim["evidence"], list) or not claim["evidence"]:
            refuse(f"{name} has no evidence")
        for item in claim["evidence"]:
            if not isinstance(item, dict) or (lacking := [k for k in EVIDENCE if k not in item]):
                lacking = ", ".join(EVIDENCE) if not isinstance(item, dict) else ", ".join(lacking)
                refuse(f"evidence of {name} lacks {lacking}")
            if item["kind"] not in KINDS:
                refuse(f"evidence of {name} is of the unknown kind {item['kind']!r}")
            if not isinstance(item["agrees"], bool):
                refuse(f"evidence of {name} has agrees = {item['agrees']!r}, not true or false")
    return record


def _claim(claim, folder, page):
    """A claim as the template wants it: every optional entry present, certificates linked."""
    evidence = []
    for item in claim["evidence"]:
        certificate = item.get("certificate") or ""
        link = None
        if isinstance(certificate, str) and certificate:
            places = (folder / certificate, folder / "certificates" / certificate)
            found = next((place for place in places if place.is_file()), None)
            link = found and Path(os.path.relpath(found, page)).as_posix()
        evidence.append(
            {"name": "", "detail": "", "checked": True, "error": False, **item,
             "steps": item.get("steps") or [], "certificate": certificate, "link": link}
        )  # fmt: skip
    optional = {
        "title": "",
        "reading": "",
        "condition": "",
        "counterexample": "",
        "figure": "",
        "parts": [],
    }
    return {**optional, **claim, "evidence": evidence}


def _counts(claims):
    """(verdict, count, words) of every verdict that occurs."""
    counts = {name: sum(c["verdict"] == name for c in claims) for name in VERDICTS}
    return [(name, n, VERDICTS[name].counted[n != 1]) for name, n in counts.items() if n]


def _figures(folder, **sources):
    """Each figure with its picture as a data URI."""
    remedy = f"draw it again with `{COMMAND}`"
    shown = []
    for figure in registered().values():
        source = sources.get(figure.source)
        if figure.source and source is None:
            continue
        picture = _picture(folder / f"{figure.name}.svg", remedy)
        if figure.source:
            _check_current(folder / f"{figure.name}.csv", figure, source, remedy)
        shown.append({"spec": figure} | picture)
    return shown


def _picture(path, remedy):
    """An SVG file as a data URI, with its size in points."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    size = re.match(r'<svg [^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    if size is None or not text.endswith("</svg>\n"):
        raise ValueError(f"{path}: not a whole SVG file; {remedy}")
    uri = "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()
    return {"uri": uri, "style": shown_size(*map(float, size.groups()))}


def _studies(folder):
    """Each finished study with its record and its picture."""
    found = [] if folder is None else read_results(folder)
    return [
        {"name": result.name, "record": result.record, "title": result.title}
        | _picture(result.picture, f"draw it again with `madpo simulate {result.name}`")
        for result in found
    ]


def _check_current(path, figure, source, remedy):
    """Refuse a figure that was drawn from another experiment than the one reported."""
    if not path.is_file() or path.read_bytes() != table_bytes(figure.build(source)):
        raise ValueError(f"{path}: does not show the experiment {source}; {remedy}")


def _run(folder):
    """The experiment's table, settings, environment and details."""
    remedy = f"run the experiment again with `{SENTIMENT}`"
    summary = read_summary(folder)
    rows = [dict(zip(summary, row, strict=True)) for row in zip(*summary.values(), strict=True)]
    for row in rows:
        row["label"] = label_of(row["method"], row["beta"])
    config, env, details = (
        read_json(folder / f"{name}.json", remedy=remedy) for name in ("config", "env", "details")
    )
    # Stages upstream that lie beside this one hold the rest of the settings.
    stages = [config]
    for parent in config.get("parents", []) if isinstance(config, dict) else []:
        path = folder.parent / str(parent) / "config.json"
        if Path(str(parent)).name == str(parent) and path.is_file():
            stages.append(read_json(path, remedy=remedy))
    settings = {}
    for stage in stages:
        nested = isinstance(stage, dict) and isinstance(stage.get("config"), dict)
        pairs = _pairs(stage["config"] if nested else stage)
        pairs = [(name, text) for name, text in pairs if not name.startswith("method.")]
        settings.setdefault(str(stage.get("stage", folder.name)) if nested else folder.name, pairs)
    return {
        "name": folder.name,
        "setting": setting_of(folder),
        "random_model": any(("model.source", "tiny") in pairs for pairs in settings.values()),
        "rows": rows,
        "seeds": len(set(summary["seed"])),
        "settings": settings,
        "environment": _pairs(env),
        "details": _pairs(details),
    }


def _pairs(value, prefix=""):
    """Nested plain data as (dotted name, text) pairs; absent values left out, long lists counted.

    A list of objects is told apart by their names, or by their places.
    """
    if value is None:
        return []
    if isinstance(value, list) and value and all(isinstance(inner, dict) for inner in value):
        value = {str(inner.get("name", place)): inner for place, inner in enumerate(value)}
    if isinstance(value, dict):
        return [
            pair
            for key, inner in value.items()
            for pair in _pairs(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    text = value_text(value)
    long = isinstance(value, list) and len(text) > 200
    return [(prefix, f"{len(value)} values" if long else text)]
