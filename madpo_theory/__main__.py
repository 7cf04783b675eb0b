"""``python -m madpo_theory``: the command ``madpo``, for launchers that start a module."""

import sys

from .start import main

if __name__ == "__main__":
    sys.exit(main())
