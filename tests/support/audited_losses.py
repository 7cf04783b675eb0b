"""Losses of a user's own, as plain functions of z and h over the primitives of a world."""


def squared(xp, z, h):
    """Convex, with the target tanh(h/2), at most 1."""
    return (z - 1) ** 2


def dented(xp, z, h):
    """Logistic with a dent at z = 2: not convex."""
    return xp.softplus(-z) - 0.2 * xp.exp(-2 * (z - 2) ** 2)


def tempered(xp, z, h):
    """Convex, of a temperature that the model sets: the target of h* = 10 and ĥ = -4 is 333.45."""
    return xp.softplus(-z * xp.sigmoid(h))


def distant(xp, z, h):
    """Convex, of a target of 1e4 h."""
    return xp.softplus(-1e-4 * z)


def bounded(xp, z, h):
    """The sigmoid loss: of a pair of unequal odds the risk falls without end."""
    return xp.sigmoid(-z)


def bounded_twice(xp, z, h):
    """Falls endlessly too, but by pushes of different sizes that both fade."""
    return xp.sigmoid(-z) * (1 + xp.sigmoid(-z))


def steep(xp, z, h):
    """The sigmoid loss, of a slope that underflows before 80 nats: it fades, and is not level."""
    return 0.04 * xp.sigmoid(-10 * z)


def far_hinge(xp, z, h):
    """Level beyond 3e4 nats, where every target lies."""
    return -xp.minimum(z - 3e4, 0 * z)


def far_square(xp, z, h):
    """Its targets, up to 300 nats, are below the margins of 300 nats and more only."""
    return (z - 300) ** 2


def joined(xp, z, h):
    """Huber's loss about 1: its branches meet with the same slope, so that it has no kink."""
    away = xp.where_greater(z, 1.0, z - 1, 1 - z)
    return xp.where_greater(away, 1.0, away - 0.5, away * away / 2)


def kinked(xp, z, h):
    """Logistic with a kink at z = 1, and a curvature on both sides of it."""
    return xp.softplus(-z) - xp.minimum(z - 1, 0 * z)


def bottomless(xp, z, h):
    """Linear: a pair of unequal odds is pushed without end."""
    return -z
