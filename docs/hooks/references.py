"""The bibliography: docs/references.bib as a page, cited by key, and by numbers of arXiv."""

import functools
import html
import posixpath
import re
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.utils import get_relative_url

FILE = Path(__file__).parents[1] / "references.bib"
ENTRY = re.compile(r"^@\w+\{(\w+),\n(.*?)^\}", re.M | re.S)
FIELD = re.compile(r"^  (\w+) = \{(.*)\},$", re.M)
CITATION = re.compile(r"\[@(\w+)\]")
PLAIN = re.compile(r"(<(?:a|code|pre|svg|h[1-6])\b.*?</(?:a|code|pre|svg|h[1-6])>|<[^>]+>)", re.S)
ARXIV = re.compile(r"(?<=arXiv )\d{4}\.\d{5}|(?<=, )\d{4}\.\d{5}")


@functools.cache
def works():
    """{key: its fields}, in the order of the file."""
    text = FILE.read_text(encoding="utf-8")
    return {key: dict(FIELD.findall(fields)) for key, fields in ENTRY.findall(text)}


def called(work):
    """As a sentence calls it: Meng et al. 2024."""
    first, *others = (name.split(",")[0] for name in work["author"].split(" and "))
    more = f" and {others[0]}" if len(others) == 1 and others[0] != "others" else " et al."
    return f"{first}{more if others else ''} {work['year']}"


def found(key):
    if key not in works():
        raise PluginError(f"docs/references.bib holds no {key}; add the work, or correct the key")
    return works()[key]


def on_page_markdown(markdown, page, **_):
    folder = posixpath.dirname(page.file.src_uri)
    target = posixpath.relpath("references.md", folder or ".")
    lines = (line(key, work) for key, work in sorted(works().items(), key=alphabetically))
    markdown = markdown.replace("<!-- bibliography -->", "\n".join(lines))
    return CITATION.sub(lambda m: f"\\[[{called(found(m[1]))}]({target}#{m[1]})\\]", markdown)


def alphabetically(item):
    return item[1]["author"].casefold(), item[1]["year"]


def line(key, work):
    """An entry of the list."""
    names = work["author"].replace(" and others", " et al.")
    where = work.get("journal", "")
    if number := work.get("eprint"):
        where = f"[arXiv:{number}](https://arxiv.org/abs/{number})"
    return f'- <span id="{key}"></span>{names} ({work["year"]}). *{work["title"]}.* {where}.'


def on_page_content(text, page, **_):
    """Numbers of arXiv become links, but in links, code, drawings and headings."""
    if page.file.src_uri == "references.md":
        return text
    target = get_relative_url("references.html", page.url)
    keys = {work["eprint"]: key for key, work in works().items() if "eprint" in work}

    def linked(match):
        number = match[0]
        if number not in keys:
            raise PluginError(f"{page.file.src_uri}: docs/references.bib holds no arXiv {number}")
        title = html.escape(works()[keys[number]]["title"])
        return f'<a href="{target}#{keys[number]}" title="{title}">{number}</a>'

    pieces = PLAIN.split(text)
    pieces[::2] = (ARXIV.sub(linked, piece) for piece in pieces[::2])
    return "".join(pieces)
