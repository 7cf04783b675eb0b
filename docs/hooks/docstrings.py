"""The house's docstrings as Markdown, and signatures as decorators leave them."""

import importlib
import inspect
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

    def on_function_instance(self, *, func, **_):
        """Give a decorated function of a module the signature that callers see."""
        if not func.decorators or not func.parent.is_module:
            return
        value = getattr(importlib.import_module(func.parent.path), func.name)
        kinds = {kind.name.lower(): kind for kind in griffe.ParameterKind}
        rows = inspect.signature(value).parameters.items()
        func.parameters = griffe.Parameters(
            *(
                griffe.Parameter(name, kind=kinds[row.kind.name.lower()], default=default(row))
                for name, row in rows
            )
        )


def default(parameter):
    return None if parameter.default is parameter.empty else repr(parameter.default)
