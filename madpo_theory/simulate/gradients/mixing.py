"""BVPO: a gradient through a sampled thinking trace, mixed with the gradient without a trace.

arXiv 2510.05095: g = alpha g_t + (1 - alpha) g_e, against the gradient of the loss of the marginal
pi(y) = sum_r pi(r, y). g_t is that of the loss of a sampled (r, y) pair, g_e that of the loss with
the trace empty. Mean squared errors need three numbers,

    T = E|g_t - g|^2,  E = E|g_e - g|^2,  X = E (g_t - g).(g_e - g),

which hold biases and covariances: T = |b_t|^2 + tr S_t, X = b_t.b_e + tr S_te. The optimum is
derived here.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax

from ...ops import check_number, elementwise, numpy_world
from ...ops.checks import check_count, check_elements, check_positive, finite_array
from ...risk import logistic_slope
from .bandit import check_law, check_outcomes, moments

__all__ = ["MixingMoments", "TraceBandit", "best_mixing", "mixed_error"]


@elementwise("alpha", "trace", "empty", "cross")
def mixed_error(xp, alpha, trace, empty, cross):
    """MSE alpha^2 T + (1 - alpha)^2 E + 2 alpha (1 - alpha) X of the mixture."""
    rest = 1 - alpha
    return alpha * alpha * trace + rest * rest * empty + 2 * alpha * rest * cross


@elementwise("trace", "empty", "cross")
def best_mixing(xp, trace, empty, cross):
    """alpha* = clip of (E - X)/(T + E - 2X) to [0, 1]: the least MSE of all mixtures.

    T + E - 2X = E|g_t - g_e|^2 must be above 0; at 0 the two are one estimator.
    """
    spread = check_elements(
        "trace + empty - 2 cross", trace + empty - 2 * cross, "> 0, that the two gradients differ",
        lambda v: v > 0,
    )  # fmt: skip
    return -xp.minimum(-xp.minimum((empty - cross) / spread, 1), 0)


@dataclass(frozen=True, eq=False)
class MixingMoments:
    """What T, E and X of the module are made of.

    trace_bias, empty_bias : (d,).
    trace_variance, empty_variance, cross_variance : tr S_t, tr S_e, tr S_te.
    """

    trace_bias: np.ndarray
    empty_bias: np.ndarray
    trace_variance: float
    empty_variance: float
    cross_variance: float

    @property
    def trace(self):
        """T."""
        return float(self.trace_bias @ self.trace_bias + self.trace_variance)

    @property
    def empty(self):
        """E."""
        return float(self.empty_bias @ self.empty_bias + self.empty_variance)

    @property
    def cross(self):
        """X."""
        return float(self.trace_bias @ self.empty_bias + self.cross_variance)

    @property
    def best(self):
        """alpha*."""
        return best_mixing(self.trace, self.empty, self.cross)

    def of_batch(self, pairs):
        """Those of the mean over a batch of `pairs` independent pairs: biases stay, variances fall.

        So alpha* moves with the batch, to that of the biases alone.
        """
        pairs = check_count("pairs", pairs, 1)
        names = "trace_variance", "empty_variance", "cross_variance"
        return replace(self, **{name: getattr(self, name) / pairs for name in names})

    def error(self, alpha):
        """MSE at alpha in [0, 1]."""
        check_number("alpha", alpha, "0 <= alpha <= 1", lambda v: 0 <= v <= 1)
        return mixed_error(alpha, self.trace, self.empty, self.cross)


@dataclass(frozen=True, eq=False)
class TraceBandit:
    """A prompt answered by way of a latent trace: pi(r, y) = pi(r) pi(y|r), both softmax.

    Trace 0 is the empty one. The parameters are the R trace logits, then the R x K answer logits,
    d = R (1 + K). Losses are DPO's, minus log sigmoid of beta times the log-ratio of winner over
    loser: of the marginals, whose gradient is the target; of joint samples; of the answers given
    the empty trace, whose own probability cancels.

    Parameters
    ----------
    trace_logits : (R,), R >= 2.
    answer_logits : (R, K), K >= 2.
    reference_trace_logits, reference_answer_logits : of the reference, of the same shapes. It made
        the data: the traces of an answer are drawn from its posterior pi_ref(r|y).
    pairs : (K, K) law of (winner, loser), zero diagonal.
    beta : > 0.
    """

    trace_logits: np.ndarray
    answer_logits: np.ndarray
    reference_trace_logits: np.ndarray
    reference_answer_logits: np.ndarray
    pairs: np.ndarray
    beta: float = 1.0

    def __post_init__(self):
        answers = finite_array("answer_logits", self.answer_logits, ndim=2)
        if min(answers.shape) < 2:
            raise ValueError(
                f"answer_logits has shape {answers.shape}, which breaks the rule R >= 2, K >= 2; "
                "an empty trace beside another, and two answers to compare"
            )
        shapes = {
            "trace_logits": answers.shape[:1],
            "answer_logits": answers.shape,
            "reference_trace_logits": answers.shape[:1],
            "reference_answer_logits": answers.shape,
        }
        for name, shape in shapes.items():
            object.__setattr__(self, name, finite_array(name, getattr(self, name), shape=shape))
        pairs = check_law("pairs", self.pairs, shape=(answers.shape[1],) * 2)
        if np.diag(pairs).any():
            raise ValueError(
                "pairs breaks the rule pairs[y, y] = 0: an answer is not compared with itself"
            )
        object.__setattr__(self, "pairs", pairs)
        check_positive("beta", self.beta)

    @property
    def size(self):
        """(R, K)."""
        return self.answer_logits.shape

    def _log_joint(self):
        return _joint(self.trace_logits, self.answer_logits)

    def _log_reference(self):
        return _joint(self.reference_trace_logits, self.reference_answer_logits)

    @property
    def posterior(self):
        """pi_ref(r|y), (R, K): the traces of the data."""
        return softmax(self._log_reference(), axis=0)

    @property
    def scores(self):
        """grad log pi(r, y), (R, K, d)."""
        traces, answers = self.size
        of_trace = np.eye(traces) - softmax(self.trace_logits)
        of_answer = np.zeros((traces, answers, traces, answers))
        for r, law in enumerate(softmax(self.answer_logits, axis=1)):
            of_answer[r, :, r] = np.eye(answers) - law
        spread = np.broadcast_to(of_trace[:, None], (traces, answers, traces))
        return np.concatenate([spread, of_answer.reshape(traces, answers, -1)], axis=2)

    def _gradients(self, ratios, scores):
        """-beta sigma(-z)(s_w - s_l) of every two rows, z = beta (ratio_w - ratio_l).

        ratios (n,), scores (n, d).
        """
        slope = logistic_slope(numpy_world, self.beta * (ratios[:, None] - ratios), 1, 0)
        return self.beta * slope[..., None] * (scores[:, None] - scores)

    @property
    def marginal_gradients(self):
        """Gradient (K, K, d) of the marginal loss of every (winner, loser)."""
        joint, reference = self._log_joint(), self._log_reference()
        ratios = logsumexp(joint, axis=0) - logsumexp(reference, axis=0)
        scores = np.einsum("ry,ryd->yd", softmax(joint, axis=0), self.scores)  # Fisher's identity
        return self._gradients(ratios, scores)

    @property
    def empty_gradients(self):
        """g_e (K, K, d) of every (winner, loser)."""
        ratios = log_softmax(self.answer_logits[0]) - log_softmax(self.reference_answer_logits[0])
        scores = self.scores[0].copy()
        scores[:, : self.size[0]] = 0.0  # the trace is given, not drawn
        return self._gradients(ratios, scores)

    @property
    def trace_gradients(self):
        """g_t of every (r_w, y_w, r_l, y_l): (R, K, R, K, d)."""
        ratios = (self._log_joint() - self._log_reference()).ravel()
        scores = self.scores.reshape(ratios.size, -1)
        return self._gradients(ratios, scores).reshape(*self.size, *self.size, -1)

    @property
    def gradient(self):
        """The target: the gradient (d,) of the expected marginal loss."""
        return np.einsum("wl,wld->d", self.pairs, self.marginal_gradients)

    def mixing(self, *, shared=True):
        """:class:`MixingMoments`, exact, of estimators from one pair each.

        shared : both look at the same pair; else each at its own, and S_te = 0.
        """
        traces, answers = self.size
        check_outcomes("pairs with traces", (traces * answers) ** 2)
        posterior = self.posterior
        law = np.einsum("wl,aw,bl->awbl", self.pairs, posterior, posterior).ravel()
        of_trace = self.trace_gradients.reshape(law.size, -1)
        of_empty = np.broadcast_to(
            self.empty_gradients[None, :, None],
            (traces, answers, traces, answers, of_trace.shape[1]),
        ).reshape(law.size, -1)
        first, second, target = moments(law, of_trace), moments(law, of_empty), self.gradient
        between = law @ ((of_trace - first.mean) * (of_empty - second.mean)).sum(axis=1)
        return MixingMoments(
            first.bias(target),
            second.bias(target),
            first.variance,
            second.variance,
            float(between) if shared else 0.0,
        )

    def draw(self, count, rng, *, shared=True):
        """`count` draws of (g_t, g_e), (count, d) each, with a numpy Generator."""
        count = check_count("count", count, 1)

        def drawn_pairs():
            flat = rng.choice(self.pairs.size, size=count, p=self.pairs.ravel())
            return np.unravel_index(flat, self.pairs.shape)

        winner, loser = drawn_pairs()
        # A trace by its cumulated posterior: the first that passes a uniform number.
        cumulated = self.posterior.cumsum(axis=0)
        cumulated[-1] = 1.0  # against the rounding of the sum
        r_w, r_l = ((rng.random(count) >= cumulated[:, y]).sum(axis=0) for y in (winner, loser))
        of_trace = self.trace_gradients[r_w, winner, r_l, loser]
        return of_trace, self.empty_gradients[(winner, loser) if shared else drawn_pairs()]


def _joint(trace_logits, answer_logits):
    return log_softmax(trace_logits)[:, None] + log_softmax(answer_logits, axis=1)
