"""What mkdocs cannot do alone: claims from the ledger, methods from the registry, MathML."""

import html
import inspect
import posixpath
import re

import latex2mathml.converter

VERDICT = {"holds": "holds", "conditional": "holds under a condition", "fails": "fails"}
CLAIMS = re.compile(r"<!-- claims: ([A-Z0-9 ]+) -->")
TABLE = re.compile(r"<!-- (methods|weights) -->")
SYSTEMS = re.compile(r"<!-- systems: (.+?) -->", re.S)
MODULES = re.compile(r"<!-- method modules -->")
RELATIVE = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)


def on_page_markdown(markdown, page, **_):
    """Put the ledger's rows where a page asks for them; name files outside the site, no link."""
    folder = posixpath.dirname(page.file.src_uri)

    def inside(match):
        target = posixpath.normpath(posixpath.join(folder, match[2]))
        return match[1] if target.startswith("..") else match[0]

    markdown = RELATIVE.sub(inside, markdown)
    markdown = TABLE.sub(table, markdown)
    markdown = SYSTEMS.sub(systems, markdown)
    markdown = MODULES.sub(modules, markdown)
    return CLAIMS.sub(lambda match: "\n\n".join(map(row, match[1].split())), markdown)


def table(match):
    """The table of all methods or weights."""
    from madpo_theory.show import methods

    return getattr(methods, f"{match[1]}_table")()


def systems(match):
    """The table of systems, "NAME = CLAIM": verdict, and what the row says of its use."""
    from madpo_theory.claims import CLAIMS as ledger
    from madpo_theory.markdown import markdown_table

    claims, rows = {claim.id: claim for claim in ledger}, []
    for item in match[1].split(","):
        name, _, number = (part.strip() for part in item.partition("="))
        claim = claims[number]
        use = re.search(r"Use it instead of MADPO when ([^.]+)", " ".join(claim.reading.split()))
        verdict = VERDICT[claim.verdict]
        link = f"[{number}](#{number})" if number.startswith("RM") else number
        rows.append((name, link, verdict, use[1] if use else claim.reading))
    head = ("system", "row", "its claim", "use it instead of MADPO when")
    return "\n".join(markdown_table(head, rows))


def modules(_):
    """The API of every method, a section each: its loss as a function, and its class."""
    from madpo_theory import METHODS, losses

    options = "    options:\n      heading_level: 4"
    return "\n\n".join(
        f"### `{name}`\n\n```python\n{name}{inspect.signature(getattr(losses, name))}\n```\n\n"
        f"::: {cls.__module__}\n{options}"
        for name, cls in METHODS.items()
    )


def row(name):
    """A claim: statement, verdict, what it means, and the kinds of its evidence."""
    from madpo_theory.claims import CLAIMS as ledger
    from madpo_theory.markdown import prose

    (claim,) = (claim for claim in ledger if claim.id == name)
    kinds = list(dict.fromkeys(e.kind for e in claim.evidence)) or list(claim.parts)
    lines = [
        f"### {claim.id}: {VERDICT[claim.verdict]} {{#{claim.id}}}",
        prose(claim.statement),
        f"*In practice.* {prose(claim.reading)}",
    ]
    for title, text in (
        ("Condition", claim.condition),
        ("Counterexample", claim.counterexample),
        ("Assumes", claim.assumptions),
        ("Source", claim.source),
        ("Rests on", ", ".join(claim.uses)),
    ):
        if text:
            lines.append(f"*{title}.* {prose(text)}")
    lines.append(f"*Evidence.* {', '.join(kinds)}: `madpo verify --claim {claim.id} --show`")
    return "\n\n".join(lines)


def on_page_content(html_text, **_):
    """Formulas as MathML, which browsers draw without a script."""
    return FORMULA.sub(mathml, html_text)


def mathml(match):
    """One formula; an unreadable one stops the build."""
    display = "block" if match[1] == "div" else "inline"
    return latex2mathml.converter.convert(html.unescape(match[2].strip()), display=display)
