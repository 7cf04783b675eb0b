"""Evidence from recorded runs, read anew each time."""

import functools

from madpo_theory import clone
from madpo_theory.claims.ledger import Evidence

__all__ = ["ANEW", "recorded", "second_folder"]

ANEW = ("sentiment-2", "sentiment-2-card")
"""Where runs of the second study lie, under results; the first that is there."""


def second_folder(names=ANEW):
    """The results folder of the second study, None if none here holds its headline, whole."""
    there = (clone.folder("results", name) for name in names)
    return next((path for path in there if path and _whole(path)), None)


def _whole(folder):
    if not (folder / "summary.parquet").is_file():
        return False
    from .second import headline_lacks

    return headline_lacks(folder) == 0


def recorded(name, theory, *, anew=False):
    """Evidence from the recorded sentiment runs; `anew`, from those of the second study.

    The function takes their tables, of the second study :class:`~.second_measures.Recorded`, and
    returns what it computed, as text, and whether it agrees.
    """

    def decorate(measure):
        @functools.wraps(measure)
        def evidence():
            shown = functools.partial(Evidence, "experiment", name, theory=theory)
            missing = (
                f"the headline in results/{ANEW[0]}" if anew else "the folder results/sentiment"
            )
            results = second_folder() if anew else clone.folder("results", "sentiment")
            if results is not None and results.is_dir():
                try:
                    from .study import load_tables

                    tables = load_tables(results)
                except ModuleNotFoundError as error:
                    missing = f"the package {error.name}"
                else:
                    from .second_measures import Recorded

                    known = Recorded(tables) if anew else tables
                    computed, agrees = measure(known)
                    runs = f"{known.of_headline()} headline" if anew else len(tables.summary)
                    detail = f"{runs} runs; 95 % over prompts and cells, paired"
                    return shown(computed=computed, agrees=bool(agrees), detail=detail)
            return shown(computed=f"not checked here: needs {missing}", agrees=False, checked=False)

        evidence.kind = "experiment"
        return evidence

    return decorate
