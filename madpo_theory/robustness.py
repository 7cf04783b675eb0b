"""How far a wrong reward model can move a target."""

from .ops import world_of

__all__ = ["influence_bound"]


def influence_bound(schedule):
    """Closed form above D = sup |delta|: max((c_max - 1) tau, log(1 + e^(-c_min tau))), nats.

    No reward model, however wrong, moves a target by more than D (R2). The number is of the
    kind of the schedule's parameters. Derived here.
    """
    parameters = {n: getattr(schedule, n) for n in ("c_max", "c_min", "lam", "tau")}
    xp = world_of(**{n: v for n, v in parameters.items() if type(v).__name__ != "Fraction"})
    c_max, c_min, _, tau, _ = schedule.in_world(xp, 0.0)
    amplified, dampened = (c_max - 1) * tau, xp.softplus(-c_min * tau)
    return -xp.minimum(-amplified, -dampened)
