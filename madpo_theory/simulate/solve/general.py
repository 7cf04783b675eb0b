"""Tables for any loss: Newton's method by automatic differentiation, within a trust region.

:mod:`~madpo_theory.simulate.solve.newton` minimizes logistic losses of fixed masses and offsets.
Everything else comes here: margin losses of another shape (a square, an exponential, a hinge) and
losses of the two log-ratios apart. The table of a prompt is the softmax policy pi ~ pi_ref e^s, so
its log-ratios are ``rho = s - log sum pi_ref e^s`` and the loss is
``F(s) = sum_ij labels[i, j] loss(rho_i, rho_j, h_ij)``.

How. The loss is taken of all pairs at once and differentiated twice by torch; the chain through rho
is exact. The Hessian on scores of mean 0 is diagonalized, so that a step descends whatever the
signs of its eigenvalues; it is kept to a length that the loss's real decrease earns, and from a
stationary point that is no minimum it leaves along the most negative eigenvector.
"""

import math

import torch
from scipy.linalg import helmert

from ...theory.realizability import reachable
from .fits import Reason, check_masses, check_options, check_tables, empty_fits
from .layout import chunks

__all__ = ["minimize_general"]

EPS = torch.finfo(torch.float64).eps
PATIENCE = 20  # steps after the gradient is within tolerance for the rest of the certificate
FAR = 1e8  # nats of a score beyond which it runs away


def minimize_general(
    loss,
    labels,
    given=None,
    log_reference=None,
    *,
    tolerance=1e-10,
    accuracy=1e-6,
    steps=500,
    chunk=None,
):
    """A local minimum of any pairwise loss on each of B tables, or why there is none.

    Parameters
    ----------
    loss : ``loss(chosen, rejected, *given)`` of float64 tensors (n,), one entry a labelled pair:
        log-ratios of the response that won and of the one that lost, nats, and what it is told of
        the pair, as a rule the reward model's margin of the first (None without `given`). Returns
        (n,), entry by entry; twice differentiable by torch where it is smooth. Nothing in it may
        depend on the policy behind a stop-gradient. With a uniform reference log-probabilities are
        the log-ratios less log K.
    labels : (B, K, K) torch tensor, >= 0, zero diagonal; the unit of mass does not matter.
    given : what the loss is told of each pair, such as margins, nats: (B, K, K), or a tuple of
        such.
    log_reference : (B, K) log-probabilities of the reference policy, up to a constant; default
        uniform. It matters only for losses that are not functions of ``chosen - rejected``.
    tolerance : largest gradient norm, for masses scaled to a largest pair mass of 1.
    accuracy : largest error bound to accept, nats of s.
    steps : most steps for a table.
    chunk : tables solved together; bounds the memory, about ``20 K^2`` float64 numbers each.

    Returns a :class:`TableFits`; `scores` are s, nats of log-ratio, from s = 0. Converged means
    that the gradient is within tolerance and the Hessian positive definite on scores of mean 0:
    `curvature` is its smallest eigenvalue there, less its rounding, and `error_bound` is twice
    gradient over curvature, which holds as long as the curvature does not halve within it. That is
    local: unlike that of `minimize_tables` it proves no minimizer elsewhere wrong where the loss
    is not convex. Rounding is reckoned for derivatives that round to a few ulp of their terms.
    Reason.NO_MINIMIZER is here that the loss still falls along scores that run away. Raises
    ValueError or TypeError naming the entry at fault. Derived here.
    """
    labels = check_tables("labels", labels)
    count, size = labels.shape[:2]
    given = given if isinstance(given, tuple) else () if given is None else (given,)
    given = tuple(check_masses("given", x, tuple(labels.shape), signed=True) for x in given)
    if log_reference is None:
        log_reference = labels.new_zeros((count, size))
    log_reference = check_masses("log_reference", log_reference, (count, size), signed=True)
    check_options(tolerance, accuracy, steps, chunk)
    scale = (labels + labels.mT).amax((1, 2), keepdim=True)
    labels = labels / torch.where(scale > 0, scale, 1)
    fits = empty_fits(count, size, labels.device)
    for at in chunks(count, size, chunk):
        table = _Tables(loss, labels[at], tuple(x[at] for x in given), log_reference[at])
        _descend(fits, at.start, table, tolerance, accuracy, steps)
    return fits


class _Tables:
    """Value, gradient and Hessian of n tables' losses."""

    def __init__(self, loss, labels, given, log_reference):
        self.loss, self.labels, self.given = loss, labels, given
        self.log_reference = log_reference.log_softmax(1)

    def __len__(self):
        return len(self.labels)

    def keep(self, kept):
        """The tables `kept` alone."""
        given = tuple(x[kept] for x in self.given)
        return _Tables(self.loss, self.labels[kept], given, self.log_reference[kept])

    def __call__(self, scores):
        """Loss (n,), gradient (n, K), Hessian (n, K, K), rounding of the loss and the gradient."""
        tilted = self.log_reference + scores
        policy, rho = tilted.softmax(1), scores - tilted.logsumexp(1, keepdim=True)
        place = self.labels.nonzero(as_tuple=True)
        mass = self.labels[place]
        chosen, rejected = rho[place[0], place[1]], rho[place[0], place[2]]
        given = [x[place] for x in self.given] or [None]
        value, *rates = _twice_differentiated(self.loss, chosen, rejected, *given)

        def table(rate):
            full = torch.zeros_like(self.labels)
            full[place] = mass * rate
            return full

        value = table(value)
        won, lost, won_won, won_lost, lost_lost = map(table, rates)
        slope = won.sum(2) + lost.mT.contiguous().sum(2)
        common = slope.sum(1)  # the derivative along a shift of all log-ratios
        gradient = slope - policy * common[:, None]
        bend = won_lost + won_lost.mT
        own = won_won.sum(2) + lost_lost.mT.contiguous().sum(2)
        bend.diagonal(dim1=1, dim2=2).copy_(own)
        # rho = s - log sum pi_ref e^s: d rho_i/d s_k = [i = k] - pi_k, the same again of pi
        crossed = policy[:, :, None] * bend.sum(1)[:, None, :]
        outer = policy[:, :, None] * policy[:, None, :]
        hessian = bend - crossed - crossed.mT + outer * bend.sum((1, 2))[:, None, None]
        hessian += common[:, None, None] * (outer - torch.diag_embed(policy))
        terms = won.abs().sum(2) + lost.abs().mT.contiguous().sum(2)
        terms = terms + policy * terms.sum(1, keepdim=True)
        spread = rho.amax(1) - rho.amin(1)
        ulps = EPS * (self.labels.shape[1] + 8 + 2 * spread)
        noise = 8 * EPS * value.abs().sum((1, 2))
        return value.sum((1, 2)), gradient, hessian, noise, ulps[:, None] * terms


def _twice_differentiated(loss, chosen, rejected, *given):
    """The loss (n,) of pairs and its derivatives: w, l, ww, wl, ll for the winner's and loser's."""
    with torch.enable_grad():
        both = tuple(x.detach().requires_grad_() for x in (chosen, rejected))
        value = loss(*both, *given)
        if not isinstance(value, torch.Tensor) or value.shape != chosen.shape:
            found = getattr(value, "shape", type(value).__qualname__)
            raise TypeError(
                f"loss must return one number a pair, {tuple(chosen.shape)}, got {found}"
            )
        first = _derivatives(value, both, create_graph=True)
        won, lost = (_derivatives(slope, both, retain_graph=True) for slope in first)
    return tuple(x.detach() for x in (value, *first, *won, lost[1]))


def _derivatives(values, inputs, **options):
    """Derivatives of entries by the inputs' same entries; 0 where they do not depend on them."""
    if not values.requires_grad:
        return tuple(torch.zeros_like(x) for x in inputs)
    return torch.autograd.grad(values.sum(), inputs, materialize_grads=True, **options)


def _descend(fits, start, tables, tolerance, accuracy, steps):
    """Steps until every table is recorded in `fits`, from place `start` on."""
    count, size = tables.labels.shape[:2]
    gauge = torch.as_tensor(helmert(size), device=tables.labels.device)  # rows of sum 0
    index = torch.arange(start, start + count, device=gauge.device)
    connected = reachable((tables.labels + tables.labels.mT) > 0).all(-1).all(-1)
    scores = tables.labels.new_zeros((count, size))
    trust, waited = scores.new_ones(count), torch.zeros_like(index)
    near = scores.clone()  # where the gradient was first within tolerance
    state = tables(scores)
    for step in range(steps + 1):
        value, gradient, hessian, noise, rounding = state
        norm = torch.linalg.vector_norm(gradient, dim=1)
        bends, axes = torch.linalg.eigh(gauge @ hessian.nan_to_num() @ gauge.mT)
        blur = size * EPS * bends.abs().amax(1)
        curvature = bends[:, 0] - blur
        slope = norm + torch.linalg.vector_norm(rounding, dim=1)
        error = torch.where(curvature > 0, 2 * slope / curvature, math.inf)
        small = norm <= tolerance
        done = small & (error <= accuracy)
        near = torch.where((waited == 0)[:, None], scores, near)
        waited = waited + small
        reach = scores.abs().amax(1)
        stuck = (waited > PATIENCE) | (trust <= EPS * (1 + reach)) | (reach > FAR)
        stuck |= ~torch.isfinite(value)
        ended = done | stuck | (step == steps)
        if ended.any():
            away = (reach > FAR) | small & ((scores - near).abs().amax(1) > 1)
            reason = torch.where(connected, int(Reason.PRECISION), int(Reason.UNCONNECTED))
            reason = torch.where(away, int(Reason.NO_MINIMIZER), reason)
            reason = torch.where(stuck, reason, int(Reason.STEPS))
            reason = torch.where(done, int(Reason.CONVERGED), reason)
            at = index[ended]
            fits.reason[at], fits.iterations[at] = reason[ended].to(torch.int8), step
            fits.gradient_norm[at], fits.converged[at] = norm[ended], done[ended]
            at, mean = index[done], scores[done].mean(1, keepdim=True)
            fits.scores[at] = scores[done] - mean
            fits.curvature[at], fits.error_bound[at] = curvature[done], error[done]
            kept = (~ended).nonzero().flatten()
            if not len(kept):
                return
            tables, state = tables.keep(kept), tuple(x[kept] for x in state)
            value, gradient, hessian, noise, rounding = state
            index, connected, scores, trust, waited, near, norm, bends, axes, blur, small = (
                x[kept]
                for x in (
                    index, connected, scores, trust, waited, near, norm, bends, axes, blur, small,
                )
            )  # fmt: skip
        along = (axes.mT @ (gauge @ gradient[:, :, None]))[:, :, 0]
        # No component longer than a thousand radii: what is cut may be flat.
        least = torch.maximum(blur, 1e-3 * norm / trust).clamp_min(1e-300)[:, None]
        move = -along / torch.maximum(bends.abs(), least)
        saddle = small & (bends[:, 0] < -blur)
        axis = torch.zeros_like(move)
        axis[:, 0] = trust
        move = torch.where(saddle[:, None], axis, move)
        length = torch.linalg.vector_norm(move, dim=1)
        move = move * torch.where(length > trust, trust / length, 1)[:, None]
        foreseen = -(along * move + bends * move**2 / 2).sum(1)
        moved = scores + (gauge.mT @ (axes @ move[:, :, None]))[..., 0]
        new = tables(moved)
        gained = value - new[0]
        good = gained >= 0.1 * foreseen - noise
        good &= torch.isfinite(new[1]).all(1) & torch.isfinite(new[0])
        length = length.minimum(trust)
        wider = torch.where(
            (gained >= 0.75 * foreseen) & (length >= 0.99 * trust), 2 * trust, trust
        )
        trust = torch.where(good, wider, length / 4)
        scores = torch.where(good[:, None], moved, scores)
        state = tuple(
            torch.where(good.view(-1, *[1] * (x.ndim - 1)), x, old)
            for x, old in zip(new, state, strict=True)
        )
