"""Study (a): what each kind of reward-model error costs each method, level by level."""

from madpo_theory import MarginSchedule
from madpo_theory.certify import QUANTITIES, supremum
from madpo_theory.simulate.cell import Cell, measure_cell
from madpo_theory.simulate.methods import BoundedRatio, Distillation, Efficient, Madpo, TargetShaped
from madpo_theory.simulate.reward_models import reward_model
from madpo_theory.simulate.study import Study
from madpo_theory.simulate.worlds import WorldsConfig

WORLDS = WorldsConfig(prompts=16, responses=6)
BETA = 0.5
LEVELS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0)  # nats, root mean square
KINDS = {
    "gaussian": LEVELS,
    "student": LEVELS,
    "heteroscedastic": LEVELS,
    "potential": LEVELS,
    "length": LEVELS,
    "scaled": LEVELS,
    "flipped": (0.0, 0.025, 0.05, 0.1, 0.2, 0.4),  # probability of a wrong sign
    "bradley_terry_table": LEVELS,
}
METHODS = (
    "dpo",
    ("madpo", Madpo(MarginSchedule.released())),
    ("madpo_class", Madpo(MarginSchedule.class_defaults())),
    ("bounded_ratio", BoundedRatio(MarginSchedule.released())),
    ("target_shaped", TargetShaped()),
    ("efficient", Efficient(MarginSchedule.released())),
    ("distillation", Distillation(MarginSchedule.released())),
    "ipo",
    "beta_dpo",
    "cdpo",
)


def constants():
    """(method, L, D) of the weights whose suprema are certified."""
    schedules = {
        "madpo": MarginSchedule.released(exact=True),
        "madpo_class": MarginSchedule.class_defaults(exact=True),
    }
    return tuple(
        (name, *(supremum(QUANTITIES[q], s).upper for q in ("sensitivity", "influence")))
        for name, s in schedules.items()
    )


def study():
    """The study; its suprema are computed when it is made."""
    limits = constants()
    return Study(
        "noise",
        tuple(
            Cell(
                methods=METHODS,
                worlds=WORLDS,
                model=reward_model(kind, level),
                beta=BETA,
                keys=(("study", "noise"), ("error", kind)),
                constants=limits,
            )
            for kind, levels in KINDS.items()
            for level in levels
        ),
        measure_cell,
    )
