"""Claims, where a page asks for them, as `make readme` last found them (docs/ledger.json)."""

import functools
import html
import json
import posixpath
import re
from pathlib import Path

from madpo_theory.markdown import markdown_table, prose
from madpo_theory.show.figures import figures
from madpo_theory.verdicts import VERDICTS

LEDGER = Path(__file__).parents[1] / "ledger.json"
CLAIMS = re.compile(r"<!-- claims: ([A-Z0-9 ]+) -->")
LISTED = re.compile(r"^\| \*\*([A-Z]+\d+)\*\*", re.M)
SYSTEMS = re.compile(r"<!-- systems: (.+?) -->", re.S)
VERDICT = {
    "holds": "holds",
    "conditional": "holds under a condition",
    "open": "is open",
    "fails": "fails",
}
TOLD = {  # kind of evidence: what its pieces are called, one and several
    "symbolic": ("derivation", "derivations"),
    "certified": ("certificate", "certificates"),
    "proof": ("file of theorems", "files of theorems"),
    "property": ("property", "properties"),
    "simulation": ("simulation", "simulations"),
    "experiment": ("measurement", "measurements"),
    "roll-up": ("part", "parts"),
}


@functools.cache
def claims():
    """{id: claim} of the ledger as recorded."""
    return {c["id"]: c for c in json.loads(LEDGER.read_text(encoding="utf-8"))["claims"]}


def on_page_markdown(markdown, page, **_):
    top = "../" * page.file.src_uri.count("/")
    shown = set(re.findall(r"figures/(\w+)\.svg", markdown))
    markdown = SYSTEMS.sub(systems, LISTED.sub(r"| **[\1][\1]**", markdown))
    return CLAIMS.sub(
        lambda match: "\n\n".join(row(claims()[name], top, shown) for name in match[1].split()),
        markdown,
    )


def systems(match):
    """The table of systems, "NAME = CLAIM": verdict, and what the row says of its use."""
    rows = []
    for item in match[1].split(","):
        name, _, number = (part.strip() for part in item.partition("="))
        claim = claims()[number]
        use = re.search(r"Use it instead of MADPO when ([^.]+)", " ".join(claim["reading"].split()))
        page = "" if number.startswith("RM") else "baselines.md"
        reading = use[1] if use else claim["reading"]
        rows.append((name, f"[{number}]({page}#{number})", VERDICT[claim["verdict"]], reading))
    head = ("system", "row", "its claim", "use it instead of MADPO when")
    return "\n".join(markdown_table(head, rows))


def row(claim, top, shown):
    """A claim: title, statement, verdict, what it means, its figure, and its evidence, folded."""
    name, verdict = claim["id"], claim["verdict"]
    badge = f'<span class="verdict {verdict}">{VERDICTS[verdict].mark} {VERDICT[verdict]}</span>'
    lines = [
        f"### {name}: {prose(claim['title'])} {{#{name}}}",
        badge,
        prose(claim["statement"]),
        f"*In practice.* {prose(claim['reading'])}",
    ]
    about = []
    for part, title, text in (
        (lines, "Condition", claim["condition"]),
        (lines, "Counterexample", claim["counterexample"]),
        (about, "Assumes", claim["assumptions"]),
        (about, "Source", claim["source"]),
        (about, "Rests on", ", ".join(f"[{i}][{i}]" for i in claim["uses"] if i in claims())),
    ):
        if text:
            part.append(
                f"*{title}.* {prose(text)}"
            )  # links are the site's own: autorefs finds them
    lines.append(f"{'. '.join(about)}.")
    if claim["figure"] and claim["figure"] not in shown:
        shown.add(claim["figure"])
        lines += picture(figures()[claim["figure"]], top)
    return "\n\n".join([*lines, evidence(claim)])


def picture(figure, top):
    """A figure with its title and caption, as paragraphs."""
    caption = " ".join(figure.caption.split())
    yield f"![{figure.alt}]({posixpath.join(top, 'figures', figure.name)}.svg)"
    yield f"**{figure.title}.** {caption}"


def evidence(claim):
    """What bears the verdict out: steps, certificates, theorems; folded."""
    pieces = claim["evidence"]
    kinds = {kind: [p for p in pieces if p["kind"] == kind] for kind in TOLD}
    counted = ", ".join(
        f"{len(found)} {TOLD[kind][len(found) > 1]}" for kind, found in kinds.items() if found
    )
    lines = [f"<details><summary>Evidence: {counted}</summary>"]
    for kind, found in kinds.items():
        for piece in found:
            lines.append(f"<p><b>{kind}</b>: {code(piece['name'])}</p>")
            told = [("computed", piece["computed"]), ("theory", piece["theory"])]
            if kind in ("proof", "symbolic") and piece["steps"]:
                told = []
            told += [("how", piece["detail"]), ("certificate", piece["certificate"])]
            facts = "".join(f"<li>{what}: {code(str(text))}</li>" for what, text in told if text)
            lines.append(f"<ul>{facts}</ul>" if facts else "")
            if kind == "proof":
                lines.append(f"<pre><code>{html.escape(chr(10).join(piece['steps']))}</code></pre>")
            elif piece["steps"]:
                steps = "".join(f"<li><code>{html.escape(s)}</code></li>" for s in piece["steps"])
                lines.append(f"<ol>{steps}</ol>")
    again = f"<p>Gather it again: <code>madpo verify --claim {claim['id']} --show</code></p>"
    return "".join([*lines, again, "</details>"]).replace("\n\n", "\n")


def code(text):
    return html.escape(text).replace("$", "&#36;").replace("*", "&#42;").replace("_", "&#95;")
