"""A file of pairs with three more columns: both responses' rewards, and their difference.

Rows are scored in windows, each kept in OUT.partial once it is done; a window's batches depend on
nothing but its rows. So however often the work is stopped, the rewards are the same bits.
"""

import hashlib
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from .. import __version__
from ..files import RunError, held, replacing, write_text
from ..formats import named, opened
from ..formats.writing import Extended
from ..ops import check_number
from . import SCORED
from .dialogue import dialogues

__all__ = ["METADATA", "ScoredPairs", "score_pairs"]

METADATA = b"madpo_theory.score"
"""Key of the record in a Parquet file's metadata; its value is JSON."""
WINDOW = 256
"""Pairs that are batched together, by length, and kept together once they are scored."""
PART = np.dtype([("reward", np.float32, 2), ("truncated", np.bool_, 2)])
"""What is kept of a pair: chosen, rejected."""


@dataclass(frozen=True)
class ScoredPairs:
    """What :func:`score_pairs` has written.

    Attributes
    ----------
    path : the file. sidecar : the file with the record; None where it is in `path` itself.
    pairs : rows written. ties : of them, with equal rewards.
    agreement : share of pairs whose chosen response has the higher reward; ties count half.
    mean, std : of the margins, nats.
    truncated : numbers of chosen and of rejected responses that were cut to `max_tokens`.
    record : the reward model and all that makes the rewards again.
    """

    path: Path
    sidecar: Path | None
    pairs: int
    ties: int
    agreement: float
    mean: float
    std: float
    truncated: tuple
    record: dict


def score_pairs(
    source,
    out,
    reward_model,
    *,
    prompt="prompt",
    chosen="chosen",
    rejected="rejected",
    columns=SCORED,
    device="auto",
    dtype="auto",
    max_tokens=None,
    batch_tokens=8192,
    chat=True,
    force=False,
):
    """Write pairs with their reward margin and both rewards: every other column, the same order.

    margin = reward(prompt, chosen) - reward(prompt, rejected), the log-odds that the chosen one is
    preferred under Bradley-Terry, nats, if the reward model was trained so.

    Parameters
    ----------
    source : what :func:`~madpo_theory.formats.opened` takes.
    out : a file of any of :data:`~madpo_theory.formats.FORMATS`, by the end of its name. How the
        rewards were made is recorded in the metadata of Parquet and Arrow, key
        ``madpo_theory.score``, else in OUT.score.json.
    reward_model : folder or hub name of a sequence-classification model of transformers with one
        output, and its tokenizer.
    prompt, chosen, rejected : columns, each of texts or of lists of messages (role, content); the
        file may lack that of the prompt, and messages may begin with it.
    columns : names of the new columns: margin, chosen reward, rejected reward.
    device, dtype : of torch; "auto" is a CUDA device where there is one, and there bfloat16, else
        float32. The head is float32 in either.
    max_tokens : of a text; what is longer is cut as the tokenizer cuts, and counted. By default
        what model and tokenizer have room for.
    batch_tokens : most tokens of a batch, padding included.
    chat : put dialogues through the tokenizer's chat template, if it has one; False: texts go to
        the model as they stand.
    force : overwrite what is there.

    Stopped at any moment, the same call goes on, to the same bytes: what is done is kept in the
    folder OUT.partial until all is. Returns :class:`ScoredPairs`. ValueError or RunError, in one
    line, with the row where there is one: for a reward that is not finite, too.
    """
    check_number("batch_tokens", batch_tokens, "batch_tokens >= 1", lambda v: v >= 1)
    if len(columns) != 3 or len(set(columns)) != 3:
        raise ValueError(
            f"columns = {columns!r} breaks the rule that margin, chosen and rejected reward have "
            "three names; give them"
        )
    pairs = _Texts(opened(source, "pairs"), prompt, (chosen, rejected))
    _clear_finished(Path(out))
    new = dict.fromkeys(columns, "columns")
    target = Extended(pairs.table, out, new, beside="score", key=METADATA, force=force)
    digest, rows = pairs.looked_through()
    target.check_late()
    from .model import load  # torch and transformers

    model = load(reward_model, device=device, dtype=dtype, max_tokens=max_tokens, chat=chat)
    settings = {
        "reward_model": str(reward_model),
        "digest": model.digest,
        "rows": digest,
        "max_tokens": model.max_tokens,
        "batch_tokens": batch_tokens,
        "chat_template": model.chat,
        "dtype": model.dtype,
    }
    record = {name: settings[name] for name in settings if name != "rows"}
    record |= {"columns": list(columns), "version": __version__}
    target.check_record(record)
    with _partial(target.path, settings | model.environment()) as folder:
        files = list(_windows(pairs, model, batch_tokens, folder, rows))
        tally = _Tally()
        with target.writing(record) as write:
            scores, waiting = map(np.load, files), np.empty(0, PART)
            for _, payload in pairs.table.parts((), None, whole=True, rows=None):
                size = len(payload)
                while len(waiting) < size:
                    waiting = np.concatenate([waiting, next(scores)])
                part, waiting = waiting[:size], waiting[size:]
                reward = part["reward"].astype(np.float64)
                margin = reward[:, 0] - reward[:, 1]
                write(payload, np.ones(size, dtype=bool), [margin, *reward.T])
                tally.add(margin, part["truncated"])
    return ScoredPairs(target.path, target.sidecar, record=record, **tally.told())


class _Texts:
    """The dialogues of a table's rows."""

    def __init__(self, table, prompt, responses):
        self.table, self.source = table, table.path
        self.columns = [prompt if prompt in table.names else None, *responses]
        for name in filter(None, self.columns):
            table.require(name)

    def wrong(self, row, number, why):
        """The ValueError that says where: row from 0, number as in :func:`dialogues`."""
        return ValueError(
            f"{self.source}, row {row + 1}, column {named(self.columns[number])}: {why}"
        )

    def rows(self):
        """(prompt, chosen, rejected) of every row, as they are stored."""
        for cells in self.table.cells([name for name in self.columns if name is not None]):
            yield cells if self.columns[0] is not None else (None, *cells)

    def dialogues(self, row, cells, *, chat):
        prompt, *responses = cells
        if prompt is None and self.columns[0] is not None:
            raise self.wrong(row, 0, "is missing; fill it in, or drop the row")
        try:
            return dialogues(prompt, responses, chat=chat)
        except ValueError as error:
            raise self.wrong(row, *error.args) from None

    def looked_through(self):
        """(digest, number) of the rows; ValueError at the first that is no pair of dialogues."""
        found, number = hashlib.sha256(), 0
        for number, cells in enumerate(self.rows(), 1):
            self.dialogues(number - 1, cells, chat=False)
            found.update(json.dumps(cells, default=str).encode() + b"\n")
        if not number:
            raise ValueError(f"{self.source}: holds no rows; give one row for each pair")
        return found.hexdigest()[:16], number


def _beside(out):
    """The folder of what is done."""
    return out.with_name(f"{out.name}.partial")


def _clear_finished(out):
    """Remove what a file is made of, where a run was killed when that had its place already."""
    folder = _beside(out)
    if not (out.is_file() and folder.is_dir()):
        return
    parts = (*folder.glob("*.npy"), *folder.glob("settings.json"))
    if all(part.stat().st_mtime_ns <= out.stat().st_mtime_ns for part in parts):
        with held(folder / "lock", wait=False) as mine:
            if mine:
                shutil.rmtree(folder)


@contextmanager
def _partial(out, settings):
    """The folder with what is done, made by these settings; gone once the block has ended well.

    A matrix product may round by its number of threads: it is that of whoever began.
    """
    import torch

    folder = _beside(out)
    about = folder / "settings.json"
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder / "lock", wait=False) as mine:
        if not mine:
            raise RunError(f"another process is writing {out}; wait for it, or choose another file")
        try:
            known = json.loads(about.read_text(encoding="utf-8"))
            threads = int(known.pop("threads"))
        except (FileNotFoundError, ValueError, KeyError):
            for part in folder.glob("*.npy"):  # of what nobody knows
                part.unlink()
            known, threads = settings, torch.get_num_threads()
            write_text(about, json.dumps(settings | {"threads": threads}, indent=1) + "\n")
        other = sorted(name for name in settings if known.get(name) != settings[name])
        if other:
            raise RunError(
                f"{folder} holds rewards that were made with another {', '.join(other)}; run "
                "with the former, or delete the folder"
            )
        torch.set_num_threads(threads)
        try:
            yield folder
            about.unlink()
        finally:
            if not (about.exists() and any(folder.glob("*.npy"))):
                shutil.rmtree(folder)


def _windows(pairs, model, batch_tokens, folder, rows):
    """The file of every window's rewards, computed if it is not there."""
    from tqdm import tqdm

    source, first = pairs.rows(), 0
    with tqdm(total=rows, desc="score", unit=" pairs", disable=None) as bar:
        while window := list(islice(source, WINDOW)):
            path = folder / f"{first:012}.npy"
            if not path.is_file():
                found = _scored(pairs, model, batch_tokens, window, first)
                with replacing(path) as temporary, open(temporary, "wb") as file:
                    np.save(file, found, allow_pickle=False)
            yield path
            first += len(window)
            bar.update(len(window))


def _scored(pairs, model, batch_tokens, window, first):
    """A PART for every row of a window that begins with row `first`."""
    whole, found = [], np.empty(len(window), PART)
    for row, cells in enumerate(window, first):
        whole += pairs.dialogues(row, cells, chat=model.chat)
    try:
        texts = model.encode(whole)
    except ValueError as error:
        index, why = error.args
        raise pairs.wrong(first + index // 2, 1 + index % 2, why) from None
    found["reward"] = model.rewards(texts, batch_tokens).reshape(-1, 2)
    found["truncated"] = np.reshape([text.truncated for text in texts], (-1, 2))
    bad = np.argwhere(~np.isfinite(found["reward"]))
    for row, side in bad[:1]:
        raise pairs.wrong(
            first + row, side + 1, f"the reward is {found['reward'][row, side]}, and must be "
            "finite; drop the row, or take dtype float32 (--dtype float32)",
        )  # fmt: skip
    return found


class _Tally:
    """Sums over the pairs that were written."""

    def __init__(self):
        self.pairs = self.ties = self.agreed = 0
        self.sums, self.truncated = np.zeros(2), np.zeros(2, dtype=int)

    def add(self, margin, truncated):
        self.pairs += len(margin)
        self.ties += int((margin == 0).sum())
        self.agreed += int((margin > 0).sum())
        self.sums += margin.sum(), (margin**2).sum()
        self.truncated += truncated.sum(axis=0)

    def told(self):
        mean, square = self.sums / self.pairs
        return {
            "pairs": self.pairs,
            "ties": self.ties,
            "agreement": (self.agreed + self.ties / 2) / self.pairs,
            "mean": float(mean),
            "std": float(np.sqrt(max(0.0, square - mean**2))),
            "truncated": tuple(map(int, self.truncated)),
        }
