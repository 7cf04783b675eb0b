"""Every public formula under one signature, so that one test can run it in every world.

``FORMULAS[name](face, h, t, z, s)`` evaluates a formula through `face`, which is the library or
the oracle, each with its own `beta` = 1/2: h is the reward model's margin, t the true one, z
the policy's, s the schedule.
"""

from types import SimpleNamespace

import madpo_theory as mt
from madpo_theory import losses
from madpo_theory.schedule import excess

LIBRARY = SimpleNamespace(
    **{name: getattr(mt, name) for name in mt.__all__},
    excess=excess,
    dpo=losses.dpo,
    ipo=losses.ipo,
    madpo=losses.madpo,
    distillation=losses.distillation,
    beta=0.5,
)

SCHEDULES = {
    "released 2": mt.MarginSchedule.released(2),
    "released 3": mt.MarginSchedule.released(3),
    "released 4": mt.MarginSchedule.released(4),
    "class defaults": mt.MarginSchedule.class_defaults(),
}

OF_H = {
    name: lambda f, h, t, z, s, name=name: getattr(f, name)(h, s)
    for name in ("coefficient", "excess", "weight", "log_weight", "log_weight_ratio")
}

OF_MARGINS = OF_H | {
    "effective_target": lambda f, h, t, z, s: f.effective_target(t, h, s),
    "dpo_target": lambda f, h, t, z, s: f.dpo_target(t),
    "ipo_target": lambda f, h, t, z, s: f.ipo_target(t, f.beta),
    "pair_risk": lambda f, h, t, z, s: f.pair_risk(z, t, h, s),
    "risk_slope": lambda f, h, t, z, s: f.risk_slope(z, t, h, s),
    "risk_curvature": lambda f, h, t, z, s: f.risk_curvature(z, t, h, s),
}

LOSSES = {
    "dpo": lambda f, h, t, z, s: f.dpo(z, t, h, z, beta=f.beta),
    "ipo": lambda f, h, t, z, s: f.ipo(z, t, h, z, beta=f.beta),
    "madpo": lambda f, h, t, z, s: f.madpo(z, t, h, z, margin=h, weighting=s, beta=f.beta),
    "distillation": lambda f, h, t, z, s: f.distillation(
        z, t, h, z, margin=h, weighting=s, beta=f.beta
    ),
}


def _part(loss, index):
    return lambda *args: loss(*args)[index]


FORMULAS = OF_MARGINS | {
    f"{name} {part}": _part(loss, index)
    for name, loss in LOSSES.items()
    for index, part in enumerate(("losses", "chosen rewards", "rejected rewards"))
}
