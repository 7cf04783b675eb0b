"""The mathematics of a page as inline SVG, drawn by mathtext: no script and no network."""

import functools
import html
import re

__all__ = ["formula", "mathematics"]

_SEGMENT = re.compile(r"(?<!\\)\$\$?([^$]+?)(?<!\\)\$\$?")


def mathematics(text):
    """HTML of prose with $...$ segments: the segments as inline SVG, the rest escaped.

    A segment that mathtext cannot parse is shown as readable characters instead.
    """
    from markupsafe import Markup

    parts, end = [], 0
    for match in _SEGMENT.finditer(text := str(text)):
        parts += [_escaped(text[end : match.start()]), formula(match[1].strip())]
        end = match.end()
    return Markup("".join([*parts, _escaped(text[end:])]))


def _escaped(text):
    return html.escape(text.replace(r"\$", "$"))


_REWRITES = [  # what mathtext lacks, in what it has
    (r"\\[td]frac(?![a-zA-Z])", r"\\frac"),
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


def formula(tex, *, display=False, strict=False):
    """HTML of one formula; a long one in pieces, between which a line may break.

    One that stands alone (`display`) has fractions of full size. One that mathtext cannot parse is
    shown as characters, or, if `strict`, is a ValueError.
    """
    source = tex = " ".join(tex.split())
    for pattern, replacement in _REWRITES:
        tex = re.sub(pattern, replacement, tex)
    if display:
        tex = tex.replace(r"\frac", r"\dfrac")
    whole = _drawn(tex, source)
    if whole is None and strict:
        raise ValueError(f"the formula {source} cannot be drawn; write it as mathtext reads it")
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
