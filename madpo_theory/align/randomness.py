"""Named random streams: one root seed, one independent child for every use."""

import zlib
from contextlib import contextmanager

import numpy as np

__all__ = ["numpy_generator", "seeded_globally", "torch_generator"]


def sequence(seed, *path):
    """The SeedSequence of the use that `path` (names and counters) names."""
    spawn_key = tuple(p if isinstance(p, int) else zlib.crc32(p.encode()) for p in path)
    return np.random.SeedSequence(seed, spawn_key=spawn_key)


def numpy_generator(seed, *path):
    return np.random.default_rng(sequence(seed, *path))


def torch_generator(seed, *path):
    """A torch generator on the CPU, so that every device draws the same numbers."""
    import torch

    state = int(sequence(seed, *path).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state)


@contextmanager
def seeded_globally(seed, *path):
    """Seed torch's global generator inside the block, and give it back as it was.

    Only for code of others that draws from the global generator, such as layer initialization.
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(torch_generator(seed, *path).initial_seed())
        yield
