"""Every figure of docs/figures, with what it shows and the command that draws it."""

from pathlib import Path

from madpo_theory.extensions import STUDIES
from madpo_theory.show.figures import SOURCES, figures

FOLDER = Path(__file__).parents[1] / "figures"


def on_page_markdown(markdown, **_):
    if "<!-- gallery -->" not in markdown:
        return markdown
    there = {path.stem for path in FOLDER.glob("*.svg")}
    groups = {source: [] for source in (None, *SOURCES, "simulation")}
    for name, figure in figures().items():
        if name in there:
            command = (
                SOURCES[figure.source][1] if figure.source else f"madpo figures --names {name}"
            )
            groups[figure.source].append((name, figure.title, figure.alt, command))
    for name, study in STUDIES.items():
        title = study.__doc__.splitlines()[0]
        command = f"madpo simulate {name}"
        groups["simulation"].append((f"study_{name}", title, title, command))
    titles = {
        None: "Theory", "simulation": "Simulation studies", "results": "The first sentiment study",
        "second": "The second sentiment study",
    }  # fmt: skip
    lines = []
    for source, group in groups.items():
        if group:
            lines += [f"## {titles[source]}", '<div class="gallery" markdown>']
            lines += [shown(*row) for row in group] + ["</div>"]
    ledger = ("ledger", "What every claim rests on", "The ledger as a graph", "make readme")
    return markdown.replace(
        "<!-- gallery -->", "\n\n".join([*lines, "## The ledger", shown(*ledger)])
    )


def shown(name, title, alt, command):
    """A figure, its title and command."""
    return f"""<div markdown>

![{alt}](figures/{name}.svg)

**{title.rstrip(".")}.** `{command}`

</div>"""
