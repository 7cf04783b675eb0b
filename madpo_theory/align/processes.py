"""Several processes of one experiment, as `accelerate launch` starts them: one for each GPU.

Without a launcher there is one process and nothing here does anything. With one, the main process
writes every file and the others wait for it; what can be divided is divided (the examples of a
batch, the parts of a table), so the settings mean the same experiment on any number of processes.
"""

import functools
import os
from contextlib import contextmanager
from datetime import timedelta

from ..leash import follow_launcher
from .extras import optional

__all__ = ["device_of", "is_main", "mine", "solo", "summed", "wait"]

PATIENCE = timedelta(days=7)  # the others wait while the main process trains the scorer
_solo = False


@functools.cache
def group():
    """accelerate's state of the group, or None where this process is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    import torch

    follow_launcher()
    cpu = not torch.cuda.is_available()
    return optional("accelerate").PartialState(cpu=cpu, timeout=PATIENCE)


def together():
    """The group, unless the main process works alone for a while."""
    return None if _solo else group()


def is_main():
    """Whether this process writes the files and speaks."""
    return group() is None or group().is_main_process


def wait():
    """Until every process has come here."""
    if together() is not None:
        together().wait_for_everyone()


@contextmanager
def solo():
    """In the block the main process is alone: it waits for nobody and computes everything."""
    global _solo
    _solo = True
    try:
        yield
    finally:
        _solo = False


def mine(items):
    """This process's share of a sequence: every n-th item, of n processes."""
    state = together()
    return items if state is None else items[state.process_index :: state.num_processes]


def summed(tensors, numbers):
    """Sums over the processes of tensors, in place, and of a dict's numbers, returned.

    The numbers need not have the same names everywhere.
    """
    if together() is None:
        return numbers
    utils = optional("accelerate.utils")
    for tensor in tensors:
        tensor.copy_(utils.reduce(tensor, "sum"))
    total = {}
    for part in utils.gather_object([numbers]):
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total


def device_of(kind):
    """Device of this process: with several, each has its own GPU."""
    import torch

    own = group() is not None and kind == "cuda"
    return torch.device(kind, group().local_process_index) if own else torch.device(kind)
