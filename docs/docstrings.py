"""The house's docstrings as Markdown: lists of parameters, roles and literal blocks."""

import re

import griffe

ROLE = re.compile(r":(?:func|class|mod|meth|data|attr):`~?([\w.]+)`")
SECTION = re.compile(r"^(\w+)\n-{3,}$", re.M)
ENTRY = re.compile(r"^([\w*][\w*, .\[\]/]*) : (?=\S)", re.M)


def markdown(text):
    """A docstring in Markdown."""
    text = ROLE.sub(lambda match: f"`{match[1].rsplit('.', 1)[-1]}`", text)
    text = SECTION.sub(r"**\1**\n", text)
    text = ENTRY.sub(r"- `\1`: ", text)
    return text.replace("::\n", ":\n")


class HouseStyle(griffe.Extension):
    """Rewrite every docstring once, where griffe has read it."""

    def on_instance(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)
