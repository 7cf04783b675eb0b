"""A7: the paper on sentiment generation, which only an experiment decides."""

import functools

from madpo_theory import clone
from madpo_theory.claims.evidence import foil
from madpo_theory.claims.ledger import Claim, Evidence

SMALLEST_PUBLISHED = 0.47  # MADPO minus DPO, tier low; 0.52 medium, 0.61 high
OURS, MATCHED = "madpo", "dpo_matched"


def recorded(name, theory):
    """Evidence from the recorded sentiment runs, read anew.

    The function takes their tables and returns what it computed, as text, and whether it agrees.
    """

    def decorate(measure):
        @functools.wraps(measure)
        def evidence():
            shown = functools.partial(Evidence, "experiment", name, theory=theory)
            missing = "the folder results/sentiment"
            results = clone.folder("results", "sentiment")
            if results is not None and results.is_dir():
                try:
                    from .study import load_tables

                    tables = load_tables(results)
                except ModuleNotFoundError as error:
                    missing = f"the package {error.name}"
                else:
                    computed, agrees = measure(tables)
                    detail = f"{len(tables.summary)} runs; 95 % over prompts and cells, paired"
                    return shown(computed=computed, agrees=bool(agrees), detail=detail)
            return shown(computed=f"not checked here: needs {missing}", agrees=False, checked=False)

        evidence.kind = "experiment"
        return evidence

    return decorate


@foil("MADPO is DPO", OURS=lambda _: "dpo")
@recorded("reward of MADPO minus each rival's, all at beta 0.1", "all above 0")
def same_beta(tables):
    from .predictions import difference

    rivals = {"DPO": "dpo", "IPO": "ipo", "beta-DPO": "beta_dpo"}
    found = {name: difference((OURS, {}), (method, {}))(tables) for name, method in rivals.items()}
    text = ", ".join(f"{name} {value:+.2f}" for name, value in found.items())
    return text, all(value.low > 0 for value in found.values())


@foil("DPO at beta / c_max is DPO at beta", MATCHED=lambda _: "dpo")
@recorded("reward of DPO at beta / c_max minus MADPO's at beta 0.1", "above 0")
def smaller_beta(tables):
    from .predictions import difference

    found = difference((MATCHED, {}), (OURS, {}))(tables)
    return f"{found:+.2f}", found.low > 0


@foil("a tenth of the gain is published", SMALLEST_PUBLISHED=lambda true: true / 10)
@recorded("reward of MADPO minus DPO's at equal KL", "0 not excluded, the published 0.47 is")
def same_kl(tables):
    from .predictions import equal_kl

    found = equal_kl(OURS)(tables)
    return f"{found:+.2f}", found.low <= 0 <= found.high < SMALLEST_PUBLISHED


CLAIM = Claim(
    id="A7",
    title="the gains on sentiment are those of a smaller beta",
    statement="MADPO beats DPO, IPO and beta-DPO on sentiment generation, by large margins.",
    reading="At the published beta it does, because it trains at a smaller one in effect: DPO "
    "at beta / 4 earns more still, and at equal KL nothing is left that the runs could see.",
    source="arXiv 2510.05342, abstract",
    assumptions="270 M parameters, 768 pairs, one epoch, LoRA; beta 0.1, c_max 4, tau log 999",
    verdict="conditional",
    condition="the rivals are held at the same beta, whatever their KL",
    uses=("L5",),
    evidence=(same_beta, smaller_beta, same_kl),
    figure="sentiment_frontier",
)
