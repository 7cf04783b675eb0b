"""What an experiment will take: a step of every kind measured at its own shape, times their number.

The steps are those of the stages, on random token ids; the scorer's time is not among them.
"""

import math
import time
from dataclasses import dataclass

import torch

from .evaluate import divergence, with_adapter_in
from .generate import generate
from .logprobs import Layout, continuation_logps, hidden_states, last_hidden, pairs_at_once, stem
from .policy import add_adapter, load_model, recompute, special_token
from .reward_model import bradley_terry
from .sft import masked_mean, mean_nll
from .store import say, stage
from .train import updates

__all__ = ["Cost", "cost", "costs"]


@dataclass(frozen=True)
class Cost:
    """Steps of one kind: how many a run has, and the seconds of each, measured."""

    stage: str
    steps: int
    seconds: float

    @property
    def total(self):
        """Seconds of all."""
        return self.steps * self.seconds


def measured(call, device):
    """Seconds of a call: the faster of two, after one that pays for what is set up once."""
    found = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - start)
    return min(found[1:])


def costs(config, model, precision):
    """Yields the :class:`Cost` of each kind of step of a SentimentConfig, as they are measured."""
    c, g, layers = config, config.generate, config.model.first_adapted_layer
    eos = special_token(model, "eos")
    causal_lm = load_model(model, precision)
    device, at_once = causal_lm.device, pairs_at_once(causal_lm.device)
    measured_in = with_adapter_in(
        c.evaluate.kl_dtype, causal_lm, lambda lm: add_adapter(lm, c.model, c.seed, "cost"),
        lambda dtype: load_model(model, precision, dtype=dtype),
    )  # fmt: skip
    vocabulary, numbers = causal_lm.config.vocab_size, torch.Generator().manual_seed(c.seed)
    one, two = (Layout(g.prompt_tokens, g.new_tokens, branches) for branches in (1, 2))

    def ids(rows, length):
        drawn = torch.randint(vocabulary, (rows, length), generator=numbers)
        return torch.where(drawn == eos, 0, drawn).to(device)  # nothing ends early

    def pairs(rows):
        return ids(rows, two.prompt + 2 * two.new)

    def logps(tokens):
        return continuation_logps(
            causal_lm, stem(causal_lm, tokens, two, layers), tokens, two, layers, eos
        )

    def fine_tuned(rows):
        masked_mean(mean_nll(causal_lm, rows, layers), rows, -1, eos).backward()

    def rewarded(tokens):
        hidden = hidden_states(causal_lm, stem(causal_lm, tokens, two, layers), two, layers)
        last = last_hidden(hidden, tokens, two, eos).float().mean(-1)
        bradley_terry(*last.unbind(1)).mean().backward()

    def aligned(tokens):
        bradley_terry(*logps(tokens).unbind(1)).mean().backward()

    def drawn(rows, samples):
        seeded = torch.Generator().manual_seed(c.seed)
        return generate(
            causal_lm, ids(rows, g.prompt_tokens), new_tokens=g.new_tokens, eos=-1,
            generator=seeded, samples=samples,
        )  # fmt: skip

    def judged(rows):
        tokens = torch.cat([ids(rows, g.prompt_tokens), drawn(rows, 1)[:, 0]], 1)
        for part in tokens.split(2 * at_once):
            divergence(*measured_in, part, one, layers, eos)

    def training(name, step, settings, examples, make):
        """An update's microbatches, one after another."""
        if settings.recompute:
            recompute(causal_lm)
        batch = make(settings.batch_size)
        return Cost(
            name, updates(examples, settings) * settings.accumulation,
            measured(lambda: step(batch), device),
        )  # fmt: skip

    def batches(count, size):
        return math.ceil(count / size), min(count, size)

    def sft_rows(rows):
        return ids(rows, g.prompt_tokens + g.new_tokens)

    yield training("sft", fine_tuned, c.sft, c.sft_examples, sft_rows)
    everything = g.pairs + g.held_out_pairs
    number, size = batches(everything, g.batch_size)
    yield Cost("samples", number, measured(lambda: drawn(size, 2), device))
    number, size = batches(everything, at_once)
    batch = pairs(size)
    with torch.no_grad():
        # of the reference, and again of the reward model's margins
        yield Cost("reference, margins", 2 * number, measured(lambda: logps(batch), device))
    yield training("reward model", rewarded, c.reward, g.pairs, pairs)
    step = training("", aligned, c.align.train, g.pairs, pairs)
    number, size = batches(c.evaluate.prompts, 2 * g.batch_size)
    evaluation = measured(lambda: judged(size), device)
    yield Cost("evaluate", number, evaluation)
    for name in c.align.methods:
        yield Cost(f"align of {name}", step.steps, step.seconds)
        yield Cost(f"evaluate of {name}", number, evaluation)


@stage
def cost(run, config, model, precision):
    """Stage: the costs, measured once, and said."""
    c = config["whole"]
    found = list(costs(c, model, precision))
    width = max(len(row.stage) for row in found)
    for row in found:
        minutes = row.total / 60
        say(f"{row.stage:<{width}} {row.steps:>7,} x {row.seconds:8.3f} s = {minutes:7.1f} min")
    hours = sum(row.total for row in found) / 3600
    device = precision.read_json("precision.json")["device"]
    most = "at most " * any(settings.patience for settings in (c.sft, c.reward))
    say(f"the whole of it, but the scoring: {most}{hours:.2f} hours on this {device}")
    rows = [vars(row) | {"total": row.total} for row in found]
    run.write_json("cost.json", {"hours": hours, "device": device, "steps": rows})
