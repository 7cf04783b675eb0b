"""Optional packages, imported where they are used and named when they are missing."""

from importlib import import_module

__all__ = ["optional"]


def optional(name):
    """Import a package of the sentiment extra; a missing one is an error that names the fix."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the sentiment experiment needs the package {name!r}: "
            "pip install 'madpo-theory[sentiment]'"
        ) from error
