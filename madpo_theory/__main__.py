"""``python -m madpo_theory``: the command ``madpo``, for launchers that start a module."""

import sys

from .cli import main

sys.exit(main())
