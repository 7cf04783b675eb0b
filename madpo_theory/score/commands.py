"""``madpo score``: parse, call, print."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..command import goes_on, grouped, parsed
from ..files import check_output
from . import SCORED

__all__ = ["score"]


@grouped("pairs", 1)
@goes_on
@parsed
def score(
    pairs: Annotated[Path, tyro.conf.arg(metavar="PAIRS")],
    /,
    reward_model: Annotated[str, tyro.conf.arg(metavar="FOLDER|NAME")],
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    prompt: str = "prompt",
    chosen: str = "chosen",
    rejected: str = "rejected",
    columns: tuple[str, str, str] = SCORED,
    device: str = "auto",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    max_tokens: int | None = None,
    batch_tokens: int = 8192,
    chat: bool = True,
    force: bool = False,
) -> int:
    """Score preference pairs with a reward model: its margin and both rewards, in new columns.

    PAIRS as in `madpo diagnose`, with texts or lists of messages. Stop it at any moment; the same
    command goes on, to the same file.

    Args:
        pairs: the file, pattern, folder or name.
        reward_model: folder or hub name of a sequence-classification model with one output.
        out: the file, its format by the end of its name.
        prompt: column of the prompts; a file without it holds them in its responses.
        chosen: column of the chosen responses, or whole dialogues.
        rejected: column of the rejected ones.
        columns: names of the new columns: margin, chosen reward, rejected reward.
        device: of torch: cpu, cuda, cuda:1; by default cuda where there is one.
        dtype: number format of all but the head; by default bfloat16 on CUDA, else float32.
        max_tokens: longest text; what is longer is cut, and counted. By default what model and
            tokenizer have room for.
        batch_tokens: most tokens of a batch, padding included.
        chat: use the tokenizer's chat template, if it has one.
        force: overwrite what is there.
    """
    from .scoring import score_pairs

    check_output(out)
    made = score_pairs(
        pairs, out, reward_model, prompt=prompt, chosen=chosen, rejected=rejected, columns=columns,
        device=device, dtype=dtype, max_tokens=max_tokens, batch_tokens=batch_tokens, chat=chat,
        force=force,
    )  # fmt: skip
    record = made.record
    template = "its chat template" if record["chat_template"] else "texts as they stand"
    print(f"{made.path}: {made.pairs:,} pairs, {', '.join(columns)} by {reward_model}")
    print(f"{record['dtype']}, at most {record['max_tokens']:,} tokens, {template}")
    print(
        f"margin {made.mean:.3f} on average, standard deviation {made.std:.3f} nats; it agrees "
        f"with {made.agreement:.1%} of the labels; {made.ties:,} ties"
    )
    if any(made.truncated):
        print("cut to fit: {:,} chosen, {:,} rejected responses".format(*made.truncated))
    if made.sidecar is not None:
        print(made.sidecar)
    named = "" if tuple(columns) == SCORED else f" --margin {shlex.quote(columns[0])}"
    print(f"next: madpo diagnose {shlex.quote(str(made.path))}{named}")
    return 0
