"""One training loop for the scorer, the fine-tuning, the reward model and the policies."""

import math

import numpy as np
import torch

from ..progress import progress
from . import processes
from .randomness import numpy_generator
from .store import BEST, CHECKPOINT

__all__ = ["NonFiniteLoss", "learning_rate", "train", "updates"]


class NonFiniteLoss(ArithmeticError):
    """A loss or gradient is NaN or infinite."""


def updates(examples, config):
    """Number of updates: whole batches only."""
    per_epoch = examples // (config.batch_size * config.accumulation)
    if per_epoch == 0:
        raise ValueError(
            f"{examples} examples do not fill one batch of batch_size {config.batch_size} x "
            f"accumulation {config.accumulation}; lower these or add examples"
        )
    return config.epochs * per_epoch


def learning_rate(step, total, config):
    """Learning rate of an update counted from 0: linear warm-up, then decay to zero."""
    warm = max(1, round(config.warmup * total))
    if step < warm:
        return config.lr * (step + 1) / warm
    left = (total - step) / (total - warm + 1)
    if config.decay == "linear":
        return config.lr * left
    return config.lr * 0.5 * (1 - math.cos(math.pi * left))


def batches(step, examples, config, seed, path, lengths=None):
    """Microbatches (index tensors) of an update: a fresh permutation in every epoch.

    With `lengths` (examples,) and ``config.bucket`` above 1, the examples of that many updates are
    sorted by length before they are cut, and the updates then shuffled.
    """
    size = config.batch_size * config.accumulation
    epoch, at = divmod(step, examples // size)
    generator = numpy_generator(seed, *path, "order", epoch)
    order = generator.permutation(examples)
    if config.bucket > 1 and lengths is not None:
        order = order[: examples // size * size]
        window = config.bucket * size
        for start in range(0, len(order), window):
            part = order[start : start + window]
            part = part[np.argsort(np.asarray(lengths)[part], kind="stable")].reshape(-1, size)
            order[start : start + window] = generator.permutation(part).ravel()
    return torch.from_numpy(order[at * size : (at + 1) * size]).split(config.batch_size)


def accumulate(parameters, microbatches, loss_of, step, state, *, divided=True):
    """Gradients of the mean loss over all microbatches; returns (loss, metrics, state).

    `loss_of(indices, step, state)` returns the microbatch's mean loss, numbers to log, and the
    new state. Where it may be `divided`, several processes each take a part of every microbatch.
    """
    for parameter in parameters.values():
        parameter.grad = None
    examples = sum(len(indices) for indices in microbatches)
    total, logged = 0.0, {}
    for indices in microbatches:
        if divided:
            indices = processes.mine(indices)
        if len(indices) == 0:
            continue
        loss, numbers, state = loss_of(indices, step, state)
        if not torch.isfinite(loss):
            raise NonFiniteLoss(
                f"the loss is {loss.item()} at update {step}, examples {indices.tolist()}; "
                "look at these examples, or lower lr"
            )
        share = len(indices) / examples
        (loss * share).backward()
        total += loss.item() * share
        for name, value in numbers.items():
            logged[name] = logged.get(name, 0.0) + value * share
    if divided:
        for parameter in parameters.values():
            if parameter.grad is None:  # no example came here
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters.values()]
        logged = processes.summed(gradients, {"loss": total} | logged)
        total = logged.pop("loss")
    return total, logged, state


def train(
    run,
    parameters,
    examples,
    config,
    loss_of,
    *,
    seed,
    path,
    state=None,
    lengths=None,
    divided=True,
    validation=None,
):
    """Train `parameters` (name -> tensor) in place, from the last checkpoint if there is one.

    Everything random is a function of (seed, path, update), so a checkpoint holds only the
    parameters, AdamW's moments, `state` (plain data that `loss_of` passes on) and the log, in one
    file that is replaced at once. ``metrics.jsonl`` gets a line per
    update. Where the settings have a patience, `validation()` is the loss, a number, that says when
    to stop and which parameters are left. Returns the final state.
    """
    if config.patience and validation is None:
        raise ValueError(
            f"patience = {config.patience} breaks the rule that only fine-tuning and reward model "
            f"are validated; leave it at 0 for {run.title or run.key}"
        )
    total = updates(examples, config)
    optimizer = torch.optim.AdamW(
        parameters.values(),
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        weight_decay=config.weight_decay,
    )
    between = config.validate_every or total // config.epochs
    start, state, log = 0, state or {}, []
    if run.has(CHECKPOINT):
        start, state, log = restore(run, parameters, optimizer)
    quiet = not processes.is_main()
    name = run.title or run.key
    bar = progress(range(start, total), name=name, initial=start, total=total, quiet=quiet)
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, total, config)
        microbatches = batches(step, examples, config, seed, path, lengths)
        loss, numbers, state = accumulate(
            parameters, microbatches, loss_of, step, state, divided=divided
        )
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), config.clip).item()
        if not math.isfinite(norm):
            raise NonFiniteLoss(
                f"the gradient norm is {norm} at update {step}, examples "
                f"{torch.cat(list(microbatches)).tolist()}; look at these examples, or lower lr"
            )
        optimizer.step()
        log.append({"step": step, "loss": loss, "gradient_norm": norm, **numbers})
        bar.set_postfix(loss=f"{loss:.3f}")
        if config.patience and ((step + 1) % between == 0 or step + 1 == total):
            # One process's, so that all stop at once.
            told = {"validation": float(validation())} if processes.is_main() else {}
            log[-1] |= processes.summed([], told)
            if not math.isfinite(log[-1]["validation"]):
                raise NonFiniteLoss(
                    f"the validation loss is {log[-1]['validation']} after update {step}; look at "
                    "the held-out examples, or lower lr"
                )
            if since_best(log) == 0:
                run.write_tensors(BEST, parameters)
        if (step + 1) % config.checkpoint_every == 0 and step + 1 < total:
            save(run, parameters, optimizer, step + 1, state, log)
        if config.patience and since_best(log) >= config.patience:
            break
    if config.patience:
        processes.wait()
        best = run.read_tensors(BEST)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(best[name])
    run.write_lines("metrics.jsonl", log)
    return state


def since_best(log):
    """Validations since the first of the least loss; -1 if there was none."""
    losses = [row["validation"] for row in log if "validation" in row]
    return len(losses) - 1 - losses.index(min(losses)) if losses else -1


def save(run, parameters, optimizer, step, state, log):
    run.write_lines("metrics.jsonl", log)
    tensors = {}
    for name, parameter in parameters.items():
        moments = optimizer.state[parameter]
        tensors[f"{name}/value"] = parameter
        tensors[f"{name}/exp_avg"] = moments["exp_avg"]
        tensors[f"{name}/exp_avg_sq"] = moments["exp_avg_sq"]
    run.write_tensors(CHECKPOINT, tensors, {"step": step, "state": state, "log": log})


def restore(run, parameters, optimizer):
    tensors = run.read_tensors(CHECKPOINT)
    about = run.read_metadata(CHECKPOINT)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"{name}/value"])
            optimizer.state[parameter] = {
                "step": torch.tensor(float(about["step"])),
                "exp_avg": tensors[f"{name}/exp_avg"].to(parameter.device),
                "exp_avg_sq": tensors[f"{name}/exp_avg_sq"].to(parameter.device),
            }
    return about["step"], about["state"], about["log"]
