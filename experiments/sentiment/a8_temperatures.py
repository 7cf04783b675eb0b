"""A8: the paper's second version on decoding temperatures, which only an experiment decides."""

from madpo_theory import clone
from madpo_theory.claims.evidence import foil
from madpo_theory.claims.ledger import Claim, Evidence

from .evidence import second_folder

TEMPERATURES = (0.5, 0.75, 1.0, 1.25)


@foil(
    "its runs are recorded",
    second_folder=lambda _: lambda: clone.folder("results", "sentiment"),
)
def nothing_recorded():
    """Open until the second study's headline is here; then it says what that shows."""
    shown = ("experiment", "reward of MADPO minus DPO's by decoding temperature")
    theory = "not measured: the second study's headline is not recorded"
    if clone.folder("results") is None:
        needs = "not checked here: needs a clone of the repository"
        return Evidence(*shown, needs, theory, False, checked=False)
    folder = second_folder()
    if folder is None:
        return Evidence(*shown, "no folder holds all of its 90 runs", theory, True)
    return Evidence(*shown, swept(folder), theory, False)


nothing_recorded.kind = "experiment"


def swept(folder):
    """What runs show at every temperature, at the same beta and at equal KL, as text."""
    from .second_measures import Recorded, difference, gap
    from .study import load_tables

    known = Recorded(load_tables(folder))
    return ", ".join(
        f"{at:g}: {difference('madpo', 'dpo 0.1', temperature=at)(known):+.2f} at beta 0.1 and "
        f"{gap('madpo', temperature=at)(known):+.2f} at equal KL"
        for at in TEMPERATURES
    )


CLAIM = Claim(
    id="A8",
    title="whether decoding temperatures matter is not measured yet",
    statement="MADPO's advantage holds across a sweep of decoding temperatures.",
    reading="Not measured yet: the second study will tell, at the same beta and at equal KL.",
    source="arXiv 2510.05342v2",
    assumptions="as A7; decoding temperatures 0.5 to 1.25, KL at temperature 1",
    verdict="open",
    evidence=(nothing_recorded,),
)
