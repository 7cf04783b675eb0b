"""Tables and the API of every method, from the registries."""

import contextlib
import inspect
import io
import re

TABLE = re.compile(r"<!-- (methods|weights) -->")
MODULES = re.compile(r"<!-- method modules -->")


def on_page_markdown(markdown, **_):
    return MODULES.sub(modules, TABLE.sub(table, markdown))


def table(match):
    """The table of all methods or weights."""
    from madpo_theory.show import methods

    return getattr(methods, f"{match[1]}_table")()


def modules(_):
    """The API of every method, a section each: its loss as a function, an example, its class."""
    from madpo_theory import METHODS, losses

    options = "    options:\n      heading_level: 4"
    return "\n\n".join(
        f"### `{name}`\n\n```python\n{name}{inspect.signature(getattr(losses, name))}\n```\n\n"
        f"{example(name)}\n\n::: {cls.__module__}\n{options}"
        for name, cls in METHODS.items()
    )


def example(name):
    """The example of a loss, and what it prints here and now."""
    from madpo_theory.show.methods import loss_example

    code, printed = loss_example(name), io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    return f"```python\n{code}```\n\n```text\n{printed.getvalue()}```"
