"""What a method is: a preference loss with its settings, from which everything else follows."""

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..ops import check_number, elementwise, numpy_world, world_of
from ..ops.checks import check_signature
from ..registry import Named, Registry, class_of_file, in_user_file, setting
from ..schedule import MarginSchedule
from ..weights import WEIGHTS, Weighting
from .slots import slot_loss, slot_target

__all__ = [
    "METHODS",
    "Method",
    "Pairs",
    "SlotWeight",
    "check_needs",
    "method_from",
    "method_named",
    "method_of",
    "settings_of",
]

METHODS = Registry("method", __package__)
"""Methods by name: those of this folder, and every other class that gives itself a name."""


@dataclass(frozen=True)
class Pairs:
    """What a loss may see of a batch of pairs: values of one world, one entry a pair.

    Attributes
    ----------
    policy_chosen, policy_rejected, reference_chosen, reference_rejected : log-probabilities of
        whole responses, nats.
    margin : the reward model's margin toward the observed label, nats.
    chosen_length, rejected_length : tokens of the responses.
    chosen_changed, rejected_changed : (pairs, tokens), 1 at the tokens that differ from the other
        response, else 0. Of a method that needs "token" the four log-probabilities are (pairs,
        tokens) too, 0 where a response has ended.
    """

    policy_chosen: Any
    policy_rejected: Any
    reference_chosen: Any = None
    reference_rejected: Any = None
    margin: Any = None
    chosen_length: Any = None
    rejected_length: Any = None
    chosen_changed: Any = None
    rejected_changed: Any = None


NEEDS = {
    "reference": "log-probabilities of the reference",
    "margin": "the reward model's margins",
    "length": "lengths of responses",
    "batch": "statistics of whole batches",
    "token": "log-probabilities of single tokens",
}
"""What a method can ask of pairs besides the policy, in words."""


def check_beta(beta):
    """The temperature; ValueError unless it is one finite number > 0."""
    return check_number("beta", beta, "beta > 0", lambda v: v > 0)


@dataclass(frozen=True)
class Method(Named):
    """A preference-optimization method with its settings; subclasses are frozen dataclasses.

    A subclass says one of these, the first that can express it:

    :meth:`slots` : weight, soft label, offset, temperature by the reward model's margin; then
        the target has a closed form and tables the compiled solver.
    :meth:`margin_loss` : any function of z = beta m and the margin.
    :meth:`pair_loss` : any function of the two log-ratios and the margin.
    :meth:`losses` : any function of a batch of pairs.

    A subclass with a `name` of its own is registered. An instance is itself the loss, in the
    field's signature: ``Dpo(beta=0.1)(policy_chosen_logps, ...)``.

    Attributes
    ----------
    beta : temperature, per nat: z = beta m.
    needs : what it asks of a pair besides the policy: of "reference" (log-probabilities),
        "margin" (the reward model's), "length" (tokens), "batch" (statistics of whole batches) and
        "token" (log-probabilities of single tokens, and which tokens of a pair differ).
    per_token : log-probabilities are divided by the length of their response.
    watches : the loss holds in its gradient what moves with the policy: it minimizes no risk.
    """

    registry = METHODS
    needs: ClassVar[frozenset] = frozenset({"reference"})
    per_token: ClassVar[bool] = False
    watches: ClassVar[bool] = False

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "paper", kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        check_beta(self.beta)  # also where a subclass has a beta without the rule

    @classmethod
    def of(cls, **known):
        """The method with those of the `known` settings that it has; the others are ignored.

        A MarginSchedule is taken as a whole, `schedule`, or from c_max, c_min, lam and tau.
        """
        known |= {"schedule": schedule_of(known)}
        names = (field.name for field in fields(cls))
        return cls(**{name: known[name] for name in names if known.get(name) is not None})

    # ------------------------------------------------------------------ one of these is the loss

    def slots(self, xp, h):
        """The :class:`~.slots.Slots` at margins h of the world `xp`; None for a loss without."""
        return None

    def margin_loss(self, xp, z, h):
        """Loss of each pair, nats, as a function of z = beta m and the reward model's margin h."""
        return slot_loss(xp, z, self.slots(xp, h))

    def pair_loss(self, xp, chosen, rejected, h):
        """Loss of each pair, nats, by its :meth:`log_ratios` and the reward model's margin h."""
        m = chosen - rejected
        if self.has_slots:
            return slot_loss(xp, self.beta * m, self.slots(xp, h), -self.beta * m)
        return self.margin_loss(xp, self.beta * m, h)

    def losses(self, xp, pairs):
        """Loss of each pair, nats."""
        return self.pair_loss(xp, *self.log_ratios(xp, pairs), pairs.margin)

    # ------------------------------------------------------------------------- what follows

    def log_ratios(self, xp, pairs):
        """Of the chosen and of the rejected response: log pi - log pi_ref, or log pi alone where
        the method asks no reference, per token where it is `per_token`; nats."""
        chosen, rejected = pairs.policy_chosen, pairs.policy_rejected
        if "reference" in self.needs:
            chosen, rejected = chosen - pairs.reference_chosen, rejected - pairs.reference_rejected
        if self.per_token:
            chosen, rejected = chosen / pairs.chosen_length, rejected / pairs.rejected_length
        return chosen, rejected

    def evaluate(self, xp, pairs):
        """(losses, chosen rewards, rejected rewards); the rewards beta rho carry no gradient."""
        pairs = held(xp, pairs)
        chosen, rejected = (xp.stop_gradient(rho) for rho in self.log_ratios(xp, pairs))
        return self.losses(xp, pairs), self.beta * chosen, self.beta * rejected

    def __call__(
        self,
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps=None,
        reference_rejected_logps=None,
        *,
        margin=None,
        chosen_lengths=None,
        rejected_lengths=None,
        chosen_changed=None,
        rejected_changed=None,
    ):
        """Losses and implicit rewards of a batch in the field's signature, as in
        :mod:`madpo_theory.losses`; what the method does not need may be left out."""
        given = {
            "policy_chosen_logps": policy_chosen_logps,
            "policy_rejected_logps": policy_rejected_logps,
            "reference_chosen_logps": reference_chosen_logps,
            "reference_rejected_logps": reference_rejected_logps,
            "margin": margin,
            "chosen_lengths": chosen_lengths,
            "rejected_lengths": rejected_lengths,
            "chosen_changed": chosen_changed,
            "rejected_changed": rejected_changed,
        }
        wanted = {name: given[name] for name in self.arguments()}
        missing = [name for name, value in wanted.items() if value is None]
        if missing:
            raise ValueError(
                f"{', '.join(missing)} must be given: {type(self).__name__} needs "
                f"{', '.join(sorted(self.needs))}; pass one entry a pair"
            )
        xp = world_of(**wanted)
        lifted, lower = xp.lift(wanted, same_shape=True)
        return tuple(map(lower, self.evaluate(xp, pairs_of(lifted))))

    @classmethod
    def arguments(cls):
        """Names of the per-pair arguments that the loss takes."""
        return tuple(name for name, need in _ARGUMENTS.items() if need is None or need in cls.needs)

    @property
    def is_pairwise(self):
        """Whether a pair's loss depends on that pair alone, and its mean is a risk to minimize."""
        return not (self.watches or self.needs & {"batch", "token"})

    @property
    def is_pair_loss(self):
        """Whether the loss sees the log-probabilities through the two log-ratios alone."""
        return type(self).losses is Method.losses

    @property
    def is_margin_loss(self):
        """Whether the loss sees the log-probabilities through z and the margin h alone."""
        own = type(self)
        return self.is_pair_loss and (
            own.pair_loss is Method.pair_loss or own.margin_loss is not Method.margin_loss
        )

    @property
    def slot_weighting(self):
        """The Weighting in its slots; None if every weight is 1, or it has no slots."""
        with np.errstate(all="ignore"):  # which are filled is asked, not with what
            slots = self.slots(numpy_world, np.zeros(1)) if self.has_slots else None
        return None if slots is None or slots.log_weight is None else SlotWeight(self)

    @property
    def is_weighting(self):
        """Whether it is DPO with weights: slots of which at most the weight is filled."""
        if not self.has_slots:
            return False
        slots = self.slots(numpy_world, np.zeros(1))
        return slots.label is None and slots.offset is None and slots.temperature is None

    @property
    def has_slots(self):
        """Whether the loss is one of slots."""
        own = type(self)
        return own.slots is not Method.slots and own.margin_loss is Method.margin_loss

    def target(self, h_true, h_model=None):
        """The target of a pair, nats of z = beta m: the minimizer of its expected loss.

        Parameters
        ----------
        h_true : true Bradley-Terry margin, nats.
        h_model : the reward model's margin toward the same response, nats; broadcast with h_true.
            Default: the true one.

        Returns z* of the margins' kind and dtype; infinite where the risk falls without end. In
        closed form for slots, else by bisection of the risk's slope, of numbers, arrays and tensors
        (a stationary point, the one minimum if the loss is convex in z). TypeError for a loss that
        is no function of the margin.
        """
        return _target(h_true, h_true if h_model is None else h_model, self)

    def target_formula(self, xp, h_true, h_model):
        """:meth:`target` over the primitives of a world."""
        if self.has_slots:
            sides = self.slots(xp, h_model), self.slots(xp, -h_model)
            unweighted = sides[0].log_weight is None
            delta = 0 if unweighted else self.slot_weighting.log_ratio(xp, h_model)
            return slot_target(xp, h_true, delta, *sides) + 0 * h_model
        from .search import searched_target

        return searched_target(xp, h_true, h_model, self)

    # ------------------------------------------------------------------------------ training

    def start(self):
        """What the method remembers from batch to batch, before the first: a dict of floats."""
        return {}

    def train_loss(self, pairs, *, state, generator):
        """(mean loss of a batch of torch pairs, the new state, numbers to log).

        `generator` is a CPU torch.Generator for whatever the method draws.
        """
        from ..ops import torch_world

        return self.losses(torch_world, held(torch_world, pairs)).mean(), state, {}


_ARGUMENTS = {
    "policy_chosen_logps": None,
    "policy_rejected_logps": None,
    "reference_chosen_logps": "reference",
    "reference_rejected_logps": "reference",
    "margin": "margin",
    "chosen_lengths": "length",
    "rejected_lengths": "length",
    "chosen_changed": "token",
    "rejected_changed": "token",
}


def check_needs(method, given, why):
    """ValueError if a method, or its class, asks pairs for more than what is `given`; `why` says
    what becomes of the rest, as in "which a trainer splits"."""
    missing = [NEEDS.get(need, need) for need in sorted(method.needs - set(given))]
    if missing:
        name = method.name or getattr(method, "__name__", type(method).__name__)
        raise ValueError(
            f"method {name} takes {' and '.join(missing)}, {why}; use a method that asks for "
            f"{', '.join(sorted(given))} at most"
        )


_FORMULAS = {
    "slots": ("xp", "h"),
    "margin_loss": ("xp", "z", "h"),
    "pair_loss": ("xp", "chosen", "rejected", "h"),
    "losses": ("xp", "pairs"),
    "target_formula": ("xp", "h_true", "h_model"),
    "log_weight": ("xp", "h"),
    "log_ratio": ("xp", "h"),
}
"""What the formulas of a method or a weight take."""


def check_formulas(method):
    """ValueError that names the class and the fix, unless the formulas of a method, and of what it
    holds, take the arguments that they are called with."""
    inner = [getattr(method, field.name) for field in fields(method)]
    for value in (method, *(x for x in inner if isinstance(x, (Method, Weighting)))):
        for name, names in _FORMULAS.items():
            if hasattr(value, name):
                check_signature(f"{type(value).__name__}.{name}", getattr(value, name), *names)


def pairs_of(values):
    """:class:`Pairs` from per-pair arguments by name."""
    return Pairs(**{name.removesuffix("s").removesuffix("_logp"): v for name, v in values.items()})


def held(xp, pairs):
    """Pairs whose margins carry no gradient."""
    if pairs.margin is None:
        return pairs
    return replace(pairs, margin=xp.stop_gradient(pairs.margin))


@elementwise("h_true", "h_model")
def _target(xp, h_true, h_model, method):
    return method.target_formula(xp, h_true, h_model)


@dataclass(frozen=True)
class SlotWeight(Weighting):
    """The weight in a method's slots."""

    method: Method

    def log_weight(self, xp, h):
        return self.method.slots(xp, h).log_weight


def schedule_of(known):
    """The MarginSchedule among settings: `schedule`, or made of c_max, c_min, lam and tau."""
    parts = {n: known[n] for n in ("c_max", "c_min", "lam", "tau") if n in known}
    return known.get("schedule") or (MarginSchedule(**parts) if parts else None)


def method_named(name, **known):
    """The method called `name` in :data:`METHODS`, or of a file, with those of the known settings
    that it has."""
    return METHODS.find(name).of(**known)


def method_of(method):
    """The Method that an argument stands for: itself, or the defaults of a name; or an error."""
    if isinstance(method, Method):
        return method
    if isinstance(method, str):
        return METHODS.find(method)()
    raise TypeError(
        f"method must be a Method or the name of one, got {type(method).__qualname__}; settings go "
        'to its class, as in METHODS["rdpo"](epsilon=0.2)'
    )


def method_from(spec, assignments=()):
    """The Method that a user asks for, with the settings that they change.

    Parameters
    ----------
    spec : a name in METHODS or WEIGHTS, a hyphen standing for an underscore; path/to/file.py:Name
        of a Method, a Weighting or a MarginSchedule, the class or an instance; or an instance. A
        weight, and a schedule for its published one, become :class:`~.madpo.Madpo` with it.
    assignments : texts "name=value", each of one setting: of the method or of what it holds, such
        as gamma, or c_max, c_min, lam and tau of a schedule. What is not named stays at its
        default (c_min too, whatever c_max is).

    ValueError that names the text, the rule and the fix.
    """
    made = _made_from(spec)
    method = METHODS["madpo"](made) if isinstance(made, (Weighting, MarginSchedule)) else made
    check_formulas(method)
    ranges, texts = list(_ranges(method)), {}
    known = dict(ranges)
    for assignment in assignments:
        name, equals, text = (part.strip() for part in assignment.partition("="))
        listing = ", ".join(f"{n} ({rule})" if rule else n for n, rule in known.items()) or "none"
        if not equals:
            raise ValueError(f"{assignment!r} must read name=value; the names are {listing}")
        if name not in known:
            raise ValueError(
                f"{assignment!r}: {method.title} has no setting {name!r}, but {listing}; correct it"
            )
        if [n for n, _ in ranges].count(name) > 1:
            raise ValueError(f"{assignment!r}: {method.title} has two settings {name}; rename one")
        if name in texts:
            raise ValueError(f"{assignment!r}: {name} is set to {texts[name]} already; drop one")
        texts[name] = text
    return _assigned(method, texts)


def _made_from(spec):
    """The Method, Weighting or MarginSchedule that a spec stands for, at its defaults."""
    found = spec
    if isinstance(spec, str):
        name = spec.replace("-", "_")
        found = class_of_file(spec) if ".py:" in spec else METHODS.get(name) or WEIGHTS.get(name)
        if found is None:
            raise ValueError(
                f"method = {spec!r} breaks the rule that it is a method or a weight, one of "
                f"{', '.join(sorted({*METHODS, *WEIGHTS}))}; correct it, or give a class in a "
                "file, path/to/file.py:Name"
            )
    if isinstance(found, type) and issubclass(found, (Method, Weighting, MarginSchedule)):
        try:
            found = found.of(MarginSchedule()) if issubclass(found, Weighting) else found()
        except TypeError as error:
            if in_user_file(error):
                raise
            raise ValueError(
                f"method = {spec!r} cannot be made of its defaults ({error}); give every setting "
                "one, or pass an instance"
            ) from error
    if not isinstance(found, (Method, Weighting, MarginSchedule)):
        raise ValueError(
            f"method = {spec!r} is no Method, Weighting or MarginSchedule: {found!r}; name one"
        )
    return found


_KINDS = (bool, int, float, str, type(None))
"""Of settings that a text can stand for; None is that of a number left out."""


def _ranges(value):
    """(name, range) of each setting that can be assigned, those of what it holds included."""
    for field in fields(value):
        inner = getattr(value, field.name)
        if is_dataclass(inner):
            yield from _ranges(inner)
        elif field.init and isinstance(inner, _KINDS):
            yield field.name, field.metadata.get("rule", "")


def _assigned(value, texts):
    """The method, or what it holds, with settings read from texts by name."""
    changed = {}
    for field in fields(value):
        inner = getattr(value, field.name)
        if is_dataclass(inner):
            changed[field.name] = _assigned(inner, texts)
        elif field.name in texts and isinstance(inner, _KINDS):
            rule = field.metadata.get("rule", "")
            optional = field.default is None
            changed[field.name] = _read(field.name, inner, texts[field.name], rule, optional)
    return replace(value, **changed) if changed else value


def _read(name, default, text, rule, optional=False):
    """A text as a value of the default's kind, None if it is `optional`, or a ValueError."""
    if isinstance(default, str):
        return text
    if optional and text.lower() == "none":
        return None
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        number = float(text)
    except (KeyError, ValueError):
        kind = "true or false" if isinstance(default, bool) else "a number"
        raise ValueError(
            f"{name} = {text!r} must be {kind}{f', {rule}' if rule else ''}; correct it"
        ) from None
    if not math.isfinite(number):
        raise ValueError(f"{name} = {text} must be finite{f', {rule}' if rule else ''}; correct it")
    return int(number) if isinstance(default, int) and number.is_integer() else number


def settings_of(value):
    """Settings of a method or weight by name, those of what it holds included: plain numbers."""
    found = {}
    for field in fields(value):
        inner = getattr(value, field.name)
        found |= settings_of(inner) if is_dataclass(inner) else {field.name: inner}
    return found
