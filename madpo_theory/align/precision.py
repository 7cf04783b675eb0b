"""Device and number format: chosen once by measurement, then kept."""

import time

from .processes import device_of
from .store import stage

__all__ = ["precision", "use"]


def gemm_rate(dtype, *, rows=512, width=640, inner=2048, repeats=4):
    """Matrix-product speed on this processor at the model's shape, GFLOP/s: the best of a few."""
    import torch

    hidden = torch.ones(rows, width, dtype=dtype)
    weight = torch.ones(inner, width, dtype=dtype)
    best = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        torch.nn.functional.linear(hidden, weight)
        best = max(best, 2e-9 * rows * width * inner / (time.perf_counter() - start))
    return best


@stage
def precision(run, config):
    """Stage: the decision, kept in the run so that a resumed experiment does not change it."""
    import torch

    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    rates = {name: gemm_rate(getattr(torch, name)) for name in ("float32", "bfloat16")}
    dtype = config.dtype
    if dtype == "auto":
        dtype = "bfloat16" if device != "cpu" else max(rates, key=rates.get)
    run.write_json(
        "precision.json",
        {"device": device, "dtype": dtype, "threads": torch.get_num_threads(), "gflops_cpu": rates},
    )


def use(run):
    """Apply a finished precision stage to this process; returns (device, dtype)."""
    import torch

    choice = run.read_json("precision.json")
    torch.set_num_threads(choice["threads"])
    return device_of(choice["device"]), getattr(torch, choice["dtype"])
