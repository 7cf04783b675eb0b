"""What rounding adds to the second study's KL: the policies of one cell again, in float32.

On two cores policies are trained, sampled and measured in the number format of the model. The KL is
a sum over positions of differences of log-probabilities, to which rounding adds. :func:`measure`
computes it again from the same weights and samples; nothing that is recorded changes.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from madpo_theory.align.extras import optional
from madpo_theory.files import replacing

from . import run
from .second import ARMS, listed
from .second_measures import DPO, above
from .study import lacking, run_id

__all__ = ["CELL", "TABLE", "measure", "reading"]

CELL = "high", 0
CHECKED = (*DPO, "madpo", "offset", "cal_dpo", "dpo nll")
"""The line, what is held against it, and the two that moved least."""
TABLE = "rounding.parquet"


def measure(folder, root, size):
    """Write :data:`TABLE` in a results folder: run, arm, prompt, kl (nats, float32). Its path.

    The runs' stages are taken from `root`; what is not there is computed. ValueError if the size
    has its KL in float32 already, or the folder lacks a run.
    """
    folder = Path(folder)
    configs = {spot.arm: config for spot, config in listed(size).items()
               if spot.arm in CHECKED and spot.cell == CELL}  # fmt: skip
    rows = []
    for arm, config in configs.items():
        if config.evaluate.kl_dtype != "model":
            kept = config.evaluate.kl_dtype
            raise ValueError(f"size = {size} has its KL in {kept} already; choose cpu")
        if lacking(folder, [config]):
            raise ValueError(
                f"{folder} lacks the run of {ARMS[arm].label} in tier {CELL[0]}, seed {CELL[1]}: "
                "record it first"
            )
        exact = replace(config.evaluate, kl_dtype="float32", temperatures=())
        found = run(replace(config, evaluate=exact), root).prompts
        own = found[found["method"] != "sft"]
        rows.append(own[["prompt", "kl"]].assign(run=run_id(config), arm=arm))
    with replacing(folder / TABLE) as path:
        optional("pandas").concat(rows, ignore_index=True).to_parquet(path, index=False)
    return folder / TABLE


def reading(folder, known):
    """In which number format the KL is, and what its rounding adds where that was measured."""
    folder = Path(folder)
    env = json.loads((folder / "env.json").read_text(encoding="utf-8"))
    formats = sorted({row["dtype"] for row in env.values() if row.get("dtype")}) or ["model"]
    kept = next(iter(listed(known.size()).values())).evaluate.kl_dtype
    said = f"KL is computed in {' or '.join(formats) if kept == 'model' else kept}"
    if not (folder / TABLE).is_file():
        return f"{said}."
    table = optional("pandas").read_parquet(folder / TABLE)
    exact = {arm: float(rows["kl"].mean()) for arm, rows in table.groupby("arm")}
    means = {arm: known.of(arm, CELL).mean(axis=0) for arm in exact}
    more = {arm: float(means[arm][1]) - exact[arm] for arm in exact}
    least, most = min(more, key=more.get), max(more, key=more.get)
    gaps = [
        float(above(np.array([of(arm) for arm in ("madpo", *DPO)]).ravel()))
        for of in (lambda arm: means[arm], lambda arm: (means[arm][0], exact[arm]))
    ]
    return (
        f"{said}, as policies are trained and sampled. To that of {len(exact)} policies of tier "
        f"{CELL[0]}, seed {CELL[1]}, rounding adds between {more[least]:+.3f} nats "
        f"({ARMS[least].label}, {means[least][1]:.2f}) and {more[most]:+.3f} "
        f"({ARMS[most].label}, {means[most][1]:.2f}), set against float32; MADPO (c_max 4) there "
        f"earns {gaps[0]:+.3f} at equal KL so, {gaps[1]:+.3f} in float32."
    )
