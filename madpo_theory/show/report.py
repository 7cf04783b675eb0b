"""The report: ledger, figures and experiment in one page that needs no network and no script."""

import base64
import functools
import html
import json
import math
import os
import re
import struct
from pathlib import Path

from ..files import replacing
from .figures import (
    COMMAND,
    FIGURES,
    METHODS,
    SENTIMENT,
    label_of,
    read_json,
    read_summary,
    setting_of,
    table_bytes,
)
from .studies import read_results, told

__all__ = ["mathematics", "page_template", "write_report"]

VERDICTS = {  # verdict: mark, badge, how many of them are spoken of
    "holds": ("✓", "holds", ("holds", "hold")),
    "conditional": (
        "◐",
        "conditional",
        ("holds under a stated condition", "hold under a stated condition"),
    ),
    "fails": ("✗", "fails", ("fails", "fail")),
}
KINDS = {
    "symbolic": "derived in computer algebra; proves the step it shows",
    "certified": "enclosed in ball arithmetic over whole intervals; a certificate others can check",
    "proof": "proved for all arguments named, and the proof checked by Coq",
    "property": "searched for a counterexample over the ranges it names; can refute, not prove",
    "simulation": "trained or sampled with the library's own losses; can refute, not prove",
    "experiment": "measured in the sentiment experiment",
    "roll-up": "the verdicts of the statements that the claim needs; it is as good as the weakest",
}
CLAIM = ("id", "statement", "source", "assumptions", "verdict", "evidence")
EVIDENCE = ("kind", "agrees", "computed", "theory")


def write_report(out, *, ledger, figures, experiment, studies=None, results=None):
    """Write the self-contained report; returns the path of the page.

    Parameters
    ----------
    out : the page, or a folder that gets ``index.html``.
    ledger : JSON file of ``madpo verify --json``.
    figures : folder of ``madpo figures``.
    experiment : folder of a finished sentiment run; None: the page says that there is none.
    studies : folder of ``madpo simulate``, or None; the page shows those that it holds.
    results : folder of the recorded sentiment study (``madpo study``), or None.

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
        figures=_figures(figures, experiment, results),
        studies=(shown := _studies(studies)),
        judged=[row for study in shown for row in study["record"]["predictions"]],
        recorded=None if results is None else _recorded(Path(results)),
        run=None if experiment is None else _run(Path(experiment)),
        command=SENTIMENT,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as path:
        path.write_bytes(page.encode())
    return out


def page_template(name):
    """A template of this package's pages, with the filters tex, value and number."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"tex": mathematics, "value": _value, "number": _number}
    return environment.get_template(name)


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
            {"name": "", "detail": "", "checked": True, **item, "steps": item.get("steps") or [],
             "certificate": certificate, "link": link}
        )  # fmt: skip
    optional = {"reading": "", "condition": "", "counterexample": "", "figure": "", "parts": []}
    return {**optional, **claim, "evidence": evidence}


def _counts(claims):
    """(verdict, count, words) of every verdict that occurs."""
    counts = {name: sum(c["verdict"] == name for c in claims) for name in VERDICTS}
    return [(name, n, VERDICTS[name][2][n != 1]) for name, n in counts.items() if n]


def _figures(folder, experiment, results):
    """Each figure with its picture as a data URI."""
    remedy = f"draw it again with `{COMMAND}`"
    shown = []
    for spec in FIGURES.values():
        source = spec.source(experiment, results)
        if spec.needs and source is None:
            continue
        path = folder / f"{spec.name}.png"
        picture = _picture(path, remedy)
        if spec.needs:
            _check_current(folder / f"{spec.name}.csv", spec, source, remedy)
        shown.append({"spec": spec} | picture)
    return shown


def _picture(path, remedy):
    """A PNG file as a data URI, with its size."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[-8:-4] != b"IEND":
        raise ValueError(f"{path}: not a whole PNG file; {remedy}")
    width, height = struct.unpack(">II", data[16:24])
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    return {"uri": uri, "width": width, "height": height}


def _studies(folder):
    """Each finished study with its record and its picture."""
    found = [] if folder is None else read_results(folder)
    return [
        {"name": result.name, "record": result.record, "title": result.title}
        | _picture(result.picture, f"draw it again with `madpo simulate {result.name}`")
        for result in found
    ]


def _check_current(path, spec, experiment, remedy):
    """Refuse a figure that was drawn from another experiment than the one reported."""
    if not path.is_file() or path.read_bytes() != table_bytes(spec.build(experiment)):
        raise ValueError(f"{path}: does not show the experiment {experiment}; {remedy}")


def _recorded(folder):
    """The recorded sentiment study: its rows, reading, judged predictions and where it ran."""
    import importlib

    tables = importlib.import_module("experiments.sentiment.tables")
    predictions = importlib.import_module("experiments.sentiment.predictions")
    env = read_json(folder / "env.json", remedy="take it from version control again")
    rows = tables.overview(folder)
    return {
        "rows": [row | {"label": METHODS[row["method"]]} for row in rows],
        "reading": tables.reading(folder).splitlines(),
        "predictions": [row | {"text": told(row)} for row in predictions.judged(folder)],
        "runs": len(env),
        "hours": sum(row["seconds"] for row in env.values()) / 3600,
        "commits": sorted({row["commit"] or "unknown" for row in env.values()}),
    }


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
    text = _value(value)
    long = isinstance(value, list) and len(text) > 200
    return [(prefix, f"{len(value)} values" if long else text)]


# --- text -----------------------------------------------------------------------------------------


def _value(value):
    """What was computed, as text: numbers at ten digits, structures as JSON."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.10g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value, digits=2):
    """A table cell: fixed decimals, a dash where there is nothing to show."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}".replace("-", "−")


_SEGMENT = re.compile(r"(?<!\\)\$\$?([^$]+?)(?<!\\)\$\$?")


def mathematics(text):
    """HTML of prose with $...$ segments: the segments as inline SVG, the rest escaped.

    A segment that mathtext cannot parse is shown as readable characters instead.
    """
    from markupsafe import Markup

    parts, end = [], 0
    for match in _SEGMENT.finditer(text := str(text)):
        parts += [_escaped(text[end : match.start()]), _segment(match[1].strip())]
        end = match.end()
    return Markup("".join([*parts, _escaped(text[end:])]))


def _escaped(text):
    return html.escape(text.replace(r"\$", "$"))


_REWRITES = [  # what mathtext lacks, in what it has
    (r"\\[td]frac\b", r"\\frac"),
    (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
    (r"\\le(?![a-zA-Z])", r"\\leq"),
    (r"\\ge(?![a-zA-Z])", r"\\geq"),
    (r"\\[lr]vert\b", "|"),
    (r"\\[lr]Vert\b", r"\\|"),
    (r"\\[bB]igg?[lrm]?(?![a-zA-Z])", ""),
    (r"\\iff\b", r"\\Longleftrightarrow"),
    (r"\\implies\b", r"\\Longrightarrow"),
    (r"\\(display|text)style\b", ""),
    (r"([_^])\{\\(max|min)\}", r"\1{\\mathrm{\2}}"),
    (r"([_^])\{([a-zA-Z]{3,})\}", r"\1{\\mathrm{\2}}"),
    (r"([_^])\*", r"\1{*}"),
]
_RELATION = re.compile(
    r"\\(?:leq|geq|iff|implies|Longleftrightarrow|Longrightarrow|approx|equiv|in|to|neq|ll|gg)"
    r"(?![a-zA-Z])|[=<>]"
)
LONG = 16.0  # em: a longer segment may break before its relations


def _segment(tex):
    """One formula; a long one in pieces, between which a line may break."""
    source = tex
    for pattern, replacement in _REWRITES:
        tex = re.sub(pattern, replacement, tex)
    whole = _drawn(tex, source)
    if whole is None:
        return f'<span class="tex">{html.escape(_readable(source))}</span>'
    if whole[0] > LONG:
        pieces = [_drawn(piece, None) for piece in _pieces(tex)]
        if len(pieces) > 1 and None not in pieces:
            joined = "<wbr>".join(svg for _, svg in pieces)
            return f'<span role="math" aria-label="{html.escape(source)}">{joined}</span>'
    return whole[1]


def _pieces(tex):
    """Split before every relation, and after every comma, that stands outside all brackets."""
    cuts, depth, index = [0], 0, 0
    while index < len(tex):
        if tex.startswith((r"\left", r"\right"), index) and not tex.startswith(
            (r"\leftarrow", r"\rightarrow"), index
        ):
            depth += 1 if tex.startswith(r"\left", index) else -1
            index += 6 if tex.startswith(r"\left", index) else 7  # with its delimiter
            continue
        character = tex[index]
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and index > 0 and (match := _RELATION.match(tex, index)):
            cuts.append(index)
            index = match.end()
            continue
        if depth == 0 and character == ",":
            cuts.append(index + 1)
        index += 2 if character == "\\" and not tex[index + 1 : index + 2].isalpha() else 1
    pieces = [tex[a:b].strip() for a, b in zip(cuts, [*cuts[1:], len(tex)], strict=True)]
    return [piece for piece in pieces if piece]


@functools.cache
def _drawn(tex, title):
    """(width in em, inline SVG in the colour of the text) of a formula; None if unparseable."""
    import matplotlib
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser
    from matplotlib.textpath import TextPath

    em = 100
    with matplotlib.rc_context({"mathtext.fontset": "cm", "text.parse_math": True}):
        prop = FontProperties(size=em, math_fontfamily="cm")
        try:
            width, height, depth, *_ = MathTextParser("path").parse(f"${tex}$", 72, prop)
            path = TextPath((0, 0), f"${tex}$", prop=prop)
        except (ValueError, RuntimeError):
            return None
    d, letters = [], {1: "M", 2: "L", 3: "Q", 4: "C"}
    for points, code in path.iter_segments(simplify=False):
        if code == path.CLOSEPOLY:
            d.append("Z")
            continue
        signs = (1, -1) * (len(points) // 2)
        numbers = (f"{s * p:.1f}".removesuffix(".0") for s, p in zip(signs, points, strict=True))
        d.append(letters[int(code)] + " ".join(numbers))
    about = 'aria-hidden="true"' if title is None else 'role="img"'
    label = "" if title is None else f"<title>{html.escape(title)}</title>"
    return width / em, (
        f'<svg class="m" {about} viewBox="0 {depth - height:g} {width:g} {height:g}" '
        f'style="width:{width / em:g}em;height:{height / em:g}em;'
        f'vertical-align:{-depth / em:g}em">{label}<path d="{"".join(d)}"/></svg>'
    )


_SIGNS = {
    "alpha": "α", "beta": "β", "delta": "δ", "kappa": "κ", "lambda": "λ", "sigma": "σ", "tau": "τ",
    "pi": "π", "theta": "θ", "mu": "μ", "varepsilon": "ε", "epsilon": "ε", "ell": "ℓ", "infty": "∞",
    "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "in": "∈", "to": "→",
    "iff": "⇔", "implies": "⇒", "cdot": "·", "times": "×", "pm": "±", "approx": "≈", "sum": "Σ",
    "sqrt": "√", "partial": "∂", "succ": "≻", "quad": " ", "qquad": " ", "lVert": "‖", "rVert": "‖",
    "lvert": "|", "rvert": "|", "equiv": "≡", "mid": "|", "forall": "∀", "exists": "∃", "left": "",
    "right": "", "begin": "", "end": "",
}  # fmt: skip


def _readable(tex):
    """LaTeX as plain characters, for a formula that cannot be drawn."""
    text = re.sub(r"\\(begin|end)\s*\{\w+\}", "", tex)
    text = re.sub(r"\\(?:text|mathrm|operatorname|mathbf|mathcal)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\[td]?frac\{([^{}]*)\}\{([^{}]*)\}", r"(\1)/(\2)", text)
    text = text.replace(r"\\", "; ").replace("&", " ")
    text = re.sub(r"\\([a-zA-Z]+)", lambda m: _SIGNS.get(m[1], m[1] + " "), text)
    text = re.sub(r"\\[,;:! ]", " ", text).replace("\\", "")
    text = re.sub(r"\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\s+", " ", text).strip()
