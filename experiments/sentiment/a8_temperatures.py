"""A8: the paper's second version on decoding temperatures, which only an experiment decides."""

from madpo_theory import clone
from madpo_theory.claims.evidence import foil
from madpo_theory.claims.ledger import Claim, Evidence

from .evidence import ANEW, second_folder

TEMPERATURES = (0.5, 0.75, 1.0, 1.25)


@foil("runs are recorded", ANEW=lambda _: ("sentiment",))
def nothing_recorded():
    """Open until runs of the second study are here; then it says what they show."""
    shown = ("experiment", "reward of MADPO minus DPO's by decoding temperature")
    theory = "not measured: no run of the second study is recorded"
    if clone.folder("results") is None:
        needs = "not checked here: needs a clone of the repository"
        return Evidence(*shown, needs, theory, False, checked=False)
    folder = second_folder(ANEW)
    if folder is None:
        return Evidence(*shown, "results/sentiment-2 holds no run", theory, True)
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
