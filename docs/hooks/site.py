"""What every page of the site gets: links that hold, drawn formulas, figures of two looks, tables
that a phone can read."""

import html
import posixpath
import re
from pathlib import Path

from madpo_theory.show.mathematics import formula
from madpo_theory.show.pages import shown_size
from madpo_theory.show.svg import DARK, LIGHT

DOCS = Path(__file__).parents[1]
IN_A_CLONE = re.compile(r"<!-- in a clone -->.*?<!-- on the site -->\n*", re.S)
LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")
FORMULA = re.compile(
    r'(\(?)<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\2>([,.;:)]*)', re.S
)
FIGURE = re.compile(r'<img alt="([^"]*)" src="([^"]*figures/)(\w+)\.svg" ?/?>')
TABLE = re.compile(r"<table>\n?<thead>.*?</table>", re.S)
WORDS = 60  # a cell of more is prose: on a phone its row is a card


def on_page_markdown(markdown, page, **_):
    """Drop what is said to readers of the file itself; name files outside the site, without a
    link to them."""
    folder = posixpath.dirname(page.file.src_uri)

    def inside(match):
        target = posixpath.normpath(posixpath.join(folder, match[2]))
        return match[1] if target.startswith("..") else match[0]

    return LINK.sub(inside, IN_A_CLONE.sub("", markdown))


def on_page_content(text, **_):
    text = TABLE.sub(cards, text)
    text = FIGURE.sub(figure, text)
    return FORMULA.sub(drawn, text)


def drawn(match):
    """One formula as SVG; one that cannot be drawn stops the build."""
    before, tag, tex, after = match.groups()
    shown = formula(html.unescape(tex.strip()), display=tag == "div", strict=True)
    if tag == "div":
        return f'{before}<div class="formula">{shown}</div>{after}'
    whole = f"{before}{shown}{after}"  # a line does not begin with the comma behind a formula
    return whole if "<wbr>" in shown else f'<span class="whole">{whole}</span>'


def figure(match):
    """A figure in both its looks, of which the page's palette hides one; a wide one scrolls."""
    alt, folder, name = match.groups()
    svg = (DOCS / "figures" / f"{name}.svg").read_text(encoding="utf-8")
    size = shown_size(*map(float, re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', svg).groups()))
    if f'id="{DARK}"' not in svg:
        image = f'<img class="plain" alt="{alt}" src="{folder}{name}.svg">'
        return f'<span class="figure"><a href="{folder}{name}.svg">{image}</a></span>'
    looks = "".join(
        f'<img alt="{alt}" src="{folder}{name}.svg#{look}" style="{size}" loading="lazy">'
        for look in (LIGHT, DARK)
    )
    return f'<span class="figure">{looks}</span>'


def cards(match):
    """A table with prose in it, whose cells say what column they are of."""
    table = match[0]
    if max(len(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall("<td.*?</td>", table)) <= WORDS:
        return table
    heads = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall("<th.*?</th>", table)]

    def labelled(row):
        names = iter(heads)
        return re.sub("<td", lambda _: f'<td data-label="{next(names)}"', row[0])

    return re.sub("<tr>.*?</tr>", labelled, table, flags=re.S).replace(
        "<table>", '<table class="cards">'
    )
