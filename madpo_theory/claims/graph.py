"""The ledger as a graph: claims, down to the claims, theorems and certificates they rest on.

It is drawn in rows, as Sugiyama et al. (1981) draw a hierarchy: a line that passes a row holds a
place in it, so that it runs between the boxes; lines to one box share that place.
"""

import html
from graphlib import CycleError, TopologicalSorter
from itertools import combinations, pairwise
from statistics import fmean

from ..certify import QUANTITIES
from ..files import write_text

__all__ = ["edges", "svg", "write_svg"]

# In the picture's unit: its width, from row to row, height of a box, between boxes, a line's place.
PAGE, ROW, BOX, GAP, LANE = 880, 82, 34, 9, 7
SWEEPS = 40  # over all rows; the order and the places have settled long before
STYLES = {  # of a box: outline, filling, mark before its name, words of the legend
    "holds": ("#00694d", "#e0f3ea", "✓ ", "holds"),
    "conditional": ("#8a5a00", "#fdeec8", "◐ ", "holds under a condition"),
    "open": ("#5b6472", "#eef0f3", "○ ", "open: not measured yet"),
    "fails": ("#a93f00", "#fbdccd", "✗ ", "fails, with a counterexample"),
    "disagrees": ("#000000", "#ff6b6b", "! ", "its evidence disagrees"),
    "theorem": ("#3d5a80", "#ffffff", "", "Coq file, how many of its theorems"),
    "certificate": ("#7b5ea7", "#ffffff", "", "certified quantity"),
}
LEAVES = {"theorem": "#8ba6c9", "certificate": "#b9a6d8"}  # what rests on nothing; lines to it
GREY = "#8d939c"  # lines to claims


def edges(claims):
    """{id: names that the claim rests on}: claims, theorems as "File.theorem", quantities.

    ValueError if a claim uses what is none of these, or if claims rest on each other in a circle.
    Whether a theorem exists is for the sources of the proofs to say, which not every user has.
    """
    found = {claim.id: claim.rests_on for claim in claims}
    for name, used in found.items():
        for other in used:
            if other not in found and other not in QUANTITIES and "." not in other:
                raise ValueError(
                    f"{name} uses {other!r}, which is no claim, no theorem FILE.name of proofs/ "
                    "and no certified quantity; correct the name"
                )
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        circle = " uses ".join(reversed(error.args[1]))
        raise ValueError(f"a claim may not rest on itself, but {circle}; drop one") from None
    return found


def write_svg(path, claims, **options):
    """Write :func:`svg` to a file, atomically."""
    write_text(path, svg(claims, **options))


def svg(claims, *, roots=(), wrong=(), files=None):
    """The graph as one self-contained SVG picture, always the same for the same ledger.

    Parameters
    ----------
    claims : the whole ledger.
    roots : ids of claims, to draw only these and what they rest on; default all.
    wrong : ids of claims whose evidence disagrees.
    files : {id: name of its file}, ``t5_order``; the box shows the words after the id.

    A box is coloured by the claim's verdict. Theorems share a box by file, and the line to a
    claim is left out where a longer way leads there.
    """
    found = edges(claims)
    boxes = _boxes(claims, found, _reached(roots or found, found), wrong, files or {})
    below = {
        name: {_box_of(other, found) for other in _direct(name, found)}
        for name in boxes
        if name in found
    }
    rows, links = _rows(boxes, below, {claim.id for claim in claims if claim.parts})
    rows = _ordered(rows, links)
    return _picture(boxes, rows, links, _places(boxes, rows, links))


def _reached(names, found):
    """The names, and all that the claims among them rest on, near or far."""
    reached, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += found.get(name, ())
    return reached


def _direct(name, found):
    """What a claim rests on, without the claims that it also rests on by way of another one."""
    implied = _reached([far for near in found[name] for far in found.get(near, ())], found)
    return [used for used in found[name] if used not in found or used not in implied]


def _box_of(name, found):
    """The box that a name is drawn in: theorems in that of their file."""
    return f"{name.split('.')[0]}.v" if name not in found and "." in name else name


def _boxes(claims, found, wanted, wrong, files):
    """{name: (key of STYLES, first line, second line, what it says when pointed at)}."""
    boxes, cited = {}, {}
    for claim in claims:
        if claim.id in wanted:
            kind = "disagrees" if claim.id in wrong else claim.verdict
            words = " ".join(files.get(claim.id, "").split("_")[1:])
            boxes[claim.id] = (
                kind,
                STYLES[kind][2] + claim.id,
                words,
                claim.title or claim.reading,
            )
            for name in found[claim.id]:
                if name in QUANTITIES:
                    boxes[name] = ("certificate", name, "", f"supremum of {name}")
                elif name not in found:
                    cited.setdefault(_box_of(name, found), set()).add(name.split(".")[1])
    for file, theorems in cited.items():
        boxes[file] = ("theorem", file[:-2], str(len(theorems)), ", ".join(sorted(theorems)))
    return boxes


def _rows(boxes, below, roll_ups):
    """Rows from the top, and the links {(upper, lower): box at the end} between neighbouring ones.

    Roll-ups, then claims by the longest way down to one that uses no claim, then the leaves. A row
    holds names of boxes, and pairs (name, row) where lines to that box pass it.
    """
    depth = {name: -1 - list(LEAVES).index(b[0]) for name, b in boxes.items() if b[0] in LEAVES}
    for name in TopologicalSorter(below).static_order():
        if name in below:
            depth[name] = 1 + max((depth[other] for other in below[name]), default=-1)
            depth[name] = max(depth[name], 0)
    depth |= dict.fromkeys(roll_ups & below.keys(), 1 + max(depth.values()))
    levels = sorted(set(depth.values()), reverse=True)
    rows, links = [[name for name in boxes if depth[name] == level] for level in levels], {}
    row_of = {name: row for row, names in enumerate(rows) for name in names}
    for name in boxes:
        for other in (other for other in boxes if other in below.get(name, ())):
            passed = [(other, row) for row in range(row_of[name] + 1, row_of[other])]
            links |= dict.fromkeys(pairwise((name, *passed, other)), other)
            for place in passed:
                if place not in rows[place[1]]:
                    rows[place[1]].append(place)
    return rows, links


def _linked(links):
    """({place: those it is linked to above}, {place: those below})."""
    above, below = {}, {}
    for upper, lower in links:
        above.setdefault(lower, []).append(upper)
        below.setdefault(upper, []).append(lower)
    return above, below


def _ordered(rows, links):
    """The rows in the order, of all that is tried, in which fewest links cross.

    Row by row, down and up by turns, every place goes to the mean of those it is linked to.
    """
    linked, found = _linked(links), []
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            near, at = linked[not down], _stands(rows)
            row.sort(
                key=lambda place, near=near, at=at: fmean(at[p] for p in near.get(place, [place]))
            )
        found.append((_crossings(rows, links), [list(row) for row in rows]))
    return min(found, key=lambda pair: pair[0])[1]


def _stands(rows):
    """{place: where it stands in its row, from 0 to 1}."""
    return {place: (i + 0.5) / len(row) for row in rows for i, place in enumerate(row)}


def _crossings(rows, links):
    at, row_of = _stands(rows), {place: r for r, row in enumerate(rows) for place in row}
    return sum(
        row_of[a] == row_of[c] and (at[a] - at[c]) * (at[b] - at[d]) < 0
        for (a, b), (c, d) in combinations(links, 2)
    )


def _places(boxes, rows, links):
    """{place: x of its middle}, as straight above what it is linked to as the boxes allow."""
    above, below = _linked(links)
    widths = [[_width(boxes, place) for place in row] for row in rows]
    page = max(PAGE, *map(sum, widths))
    x = {}
    for row, wide in zip(rows, widths, strict=True):
        x |= zip(row, _apart([page / 2] * len(row), wide, page), strict=True)
    for _ in range(SWEEPS):
        for row, wide in zip(rows, widths, strict=True):
            wanted = []
            for place in row:
                near = above.get(place, []) + below.get(place, [])
                wanted.append(fmean(x[p] for p in near or [place]))
            x |= zip(row, _apart(wanted, wide, page), strict=True)
    return x


def _apart(wanted, widths, page):
    """Middles in the given order, nearest to the wanted ones, that leave room for the widths.

    Least squares under an order: with the widths taken off, neighbours out of order share their
    mean (pool adjacent violators).
    """
    middles = [sum(widths[:i]) + width / 2 for i, width in enumerate(widths)]
    pools = []
    for want, middle in zip(wanted, middles, strict=True):
        pools.append([want - middle])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    room = page - sum(widths)
    shifts = [min(max(fmean(pool), 0), room) for pool in pools for _ in pool]
    return [shift + middle for shift, middle in zip(shifts, middles, strict=True)]


def _width(boxes, place):
    """Room that a box, or a passing line, takes in its row."""
    if place not in boxes:
        return LANE
    _, label, words, _ = boxes[place]
    return max(6.5 * len(label), 6.0 * len(words)) + 8 + GAP


def _picture(boxes, rows, links, x):
    y = {place: ROW * r + BOX / 2 + 1 for r, row in enumerate(rows) for place in row}
    lines = [
        _line((x[upper], y[upper]), (x[lower], y[lower]), boxes[end][0], lower in boxes)
        for (upper, lower), end in links.items()
    ]
    drawn = [_box(box, x[name], y[name], _width(boxes, name) - GAP) for name, box in boxes.items()]
    shown, left, foot = {box[0] for box in boxes.values()}, 1.0, ROW * len(rows)
    for kind, (_, _, mark, words) in STYLES.items():
        if kind in shown:
            wide = 6.1 * len(mark + words) + 14
            drawn.append(
                _box((kind, mark + words, "", words), left + wide / 2, foot - 13, wide, 22)
            )
            left += wide + GAP
    page = max(PAGE, left, *(x[name] + _width(boxes, name) / 2 for name in boxes))
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -2 {page + 8:.0f} {foot + 4}" '
            'font-family="DejaVu Sans, Verdana, sans-serif" text-anchor="middle">',
            "<title>What every claim of the ledger rests on</title>",
            '<rect x="-4" y="-2" width="100%" height="100%" fill="#ffffff"/>',
            '<g fill="none" stroke-width="1.1">',
            *lines,
            "</g>",
            *drawn,
            "</svg>\n",
        )
    )


def _line(start, end, kind, arrives):
    """From under one row to the top of the next, and on through that where it only passes."""
    (x, y), (x_end, y_end) = start, end
    y, y_end = y + BOX / 2, y_end - BOX / 2
    half = (y + y_end) / 2
    through = "" if arrives else f" V{y_end + BOX:.1f}"
    return (
        f'<path d="M{x:.1f},{y:.1f} C{x:.1f},{half:.1f} {x_end:.1f},{half:.1f} '
        f'{x_end:.1f},{y_end:.1f}{through}" stroke="{LEAVES.get(kind, GREY)}"/>'
    )


def _box(box, x, y, width, height=BOX):
    kind, label, words, told = box
    outline, filling, *_ = STYLES[kind]
    bold = ' font-weight="bold"' if words and kind not in LEAVES else ""
    texts = [(10.5, bold, label)] + [(10, "", words)] * bool(words)
    written = "".join(
        f'<text x="{x:.1f}" y="{y + 4 + 13 * (i - (len(texts) - 1) / 2):.1f}" '
        f'font-size="{size}"{weight}>{html.escape(line)}</text>'
        for i, (size, weight, line) in enumerate(texts)
    )
    return (
        f'<g><title>{html.escape(told)}</title><rect x="{x - width / 2:.1f}" '
        f'y="{y - height / 2:.1f}" width="{width:.1f}" height="{height}" rx="5" '
        f'fill="{filling}" stroke="{outline}"/>{written}</g>'
    )
