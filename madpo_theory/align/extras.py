"""Optional packages, imported where they are used and named when they are missing."""

from importlib import import_module

__all__ = ["optional", "transformers"]


def optional(name, extra="sentiment"):
    """Import a package of an extra; a missing one is an error that names the fix."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"what trains or scores models needs the package {name!r}: "
            f"pip install 'madpo-theory[{extra}]'"
        ) from error


def transformers(extra="sentiment"):
    """The transformers package, its own bars and load reports silenced."""
    package = optional("transformers", extra)
    package.logging.set_verbosity_error()
    package.logging.disable_progress_bar()
    return package
