"""Where the command begins: it can be stopped in one line while the rest is still being loaded."""

import sys

from .leash import stoppable

__all__ = ["main"]


def main():
    """Load the command line and run it; returns the exit status."""
    try:
        with stoppable():
            from .cli import main
    except KeyboardInterrupt:
        print("madpo: stopped; nothing was written", file=sys.stderr)
        return 130
    return main()
