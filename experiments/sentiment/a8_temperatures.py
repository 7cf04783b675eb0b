"""A8: the paper's second version on decoding temperatures, which only an experiment decides."""

from madpo_theory.claims.evidence import foil
from madpo_theory.claims.ledger import Claim

from .evidence import recorded
from .published import SMALLEST_PUBLISHED

OURS = "madpo"


@foil("MADPO is DPO", OURS=lambda _: "dpo 0.1")
@recorded("reward of MADPO minus DPO's at beta 0.1, by temperature", "above 0 at each", anew=True)
def same_beta(known):
    from .second_measures import difference

    return swept(known, lambda at: difference(OURS, "dpo 0.1", temperature=at), lambda v: v.low > 0)


@foil("a fortieth of the gain is published", SMALLEST_PUBLISHED=lambda true: true / 40)
@recorded("the same at equal KL", "half of 0.47 excluded wherever texts could earn it", anew=True)
def same_kl(known):
    from .second_measures import gap

    half = SMALLEST_PUBLISHED / 2
    return swept(
        known,
        lambda at: gap(OURS, temperature=at),
        lambda found: found.high < half or found.most < half,
        lambda found: "" if found.most >= half else f" (no text earns more than {found.most:+.2f})",
    )


def swept(known, measure, holds, said=lambda _: ""):
    """(a measure at every temperature as text, whether `holds` is true of each)."""
    from .second import DECODED

    found = {at: measure(at)(known) for at in DECODED}
    text = ", ".join(f"{at:g}: {value:+.2f}{said(value)}" for at, value in found.items())
    return text, all(map(holds, found.values()))


CLAIM = Claim(
    id="A8",
    title="at every decoding temperature the gain is a smaller beta's",
    statement="MADPO's advantage holds across a sweep of decoding temperatures.",
    reading="At one beta it earns more at every temperature, least where all texts are near the "
    "best; at equal KL nothing is left at any, and half of what was published is excluded "
    "wherever any text could have earned it; the coldest leaves no room.",
    source="arXiv 2510.05342v2",
    assumptions="as A7, on sentiment (the second version's task is summarization); decoding "
    "temperatures 0.5 to 1.25, KL at temperature 1",
    verdict="conditional",
    condition="the rivals are held at the same beta, whatever their KL",
    uses=("L5",),
    evidence=(same_beta, same_kl),
    figure="second_gaps",
)
