"""Rows as other trainers read them: messages, and a weight where the trainer knows of one."""

from dataclasses import dataclass
from typing import ClassVar

from ..formats import Table, named, short
from ..score.dialogue import dialogues
from .rows import text_columns

__all__ = ["LAYOUTS", "Laid", "Layout"]

LAYOUTS = {}
"""The layouts by name."""


@dataclass(frozen=True)
class Layout:
    """How a trainer reads a pair: a subclass registers itself by its `name`.

    Attributes
    ----------
    weighted : whether the trainer reads a weight of each row. fields : of a row.
    """

    name: ClassVar[str]
    weighted: ClassVar[bool] = False
    fields: ClassVar[tuple]

    def __init_subclass__(cls):
        LAYOUTS[cls.name] = cls()

    def row(self, context, chosen, rejected):
        """The row of a list of messages and the two messages that may follow it."""
        raise NotImplementedError


class Messages(Layout):
    """TRL's conversational preference rows; a weight is read by WeightedDPOTrainer."""

    name, weighted, fields = "messages", True, ("prompt", "chosen", "rejected")

    def row(self, context, chosen, rejected):
        return {"prompt": context, "chosen": [chosen], "rejected": [rejected]}


class OpenAI(Layout):
    """OpenAI's preference input for DPO (developers.openai.com, guide Direct preference
    optimization)."""

    name, fields = "openai", ("input", "preferred_output", "non_preferred_output")

    def row(self, context, chosen, rejected):
        asked = {"messages": context, "tools": [], "parallel_tool_calls": True}
        return {"input": asked, "preferred_output": [chosen], "non_preferred_output": [rejected]}


class Axolotl(Layout):
    """Axolotl's ``type: chat_template.default`` for DPO."""

    name, fields = "axolotl", ("messages", "chosen", "rejected")

    def row(self, context, chosen, rejected):
        return {"messages": context, "chosen": chosen, "rejected": rejected}


class LlamaFactory(Layout):
    """LLaMA-Factory's ``formatting: sharegpt`` with ``ranking: true``, in its own tags."""

    name, fields = "llama-factory", ("conversations", "chosen", "rejected")
    tags: ClassVar[dict] = {"user": "human", "assistant": "gpt", "tool": "observation"}

    def row(self, context, chosen, rejected):
        *before, chosen, rejected = (
            {"from": self.tags.get(said["role"], said["role"]), "value": said["content"]}
            for said in (*context, chosen, rejected)
        )
        return {"conversations": before, "chosen": chosen, "rejected": rejected}


class Laid(Table):
    """The rows of pairs in a layout: what is written of them.

    Raises ValueError where nothing says which columns the responses are.
    """

    def __init__(self, pairs, layout):
        self.table, self.layout, self.path = pairs.format, layout, pairs.format.path
        self.names, self.label, self.seen = list(layout.fields), pairs.columns.label, 0
        self.columns = text_columns(pairs)
        if not self.columns:
            raise ValueError(
                f"{self.path}: layout {layout.name} needs the responses, in columns such as chosen "
                "and rejected; rename them"
            )
        if self.label is not None and "chosen" in self.columns[0]:
            raise ValueError(
                f"{self.path}: with the label {named(self.label)} it is not said which of "
                f"{self.columns[0]} and {self.columns[1]} was chosen; name them first and second"
            )

    def objects(self, payload):
        found = []
        for row in self.table.objects(payload):
            self.seen += 1
            found.append(self.layout.row(*self._parts(row)))
        return found

    def _parts(self, row):
        """(context, chosen message, rejected message) of a row."""
        one, other, *prompt = (row.get(name) for name in self.columns)
        try:
            whole = dialogues(prompt[0] if prompt else None, (one, other), chat=True)
        except ValueError as error:
            side, why = error.args
            name = (self.columns[2:] or ("prompt",))[0] if side == 0 else self.columns[side - 1]
            raise self._wrong(name, why) from None
        if self.label is not None and not self._chosen(row[self.label]):
            whole.reverse()
        if not all(isinstance(dialogue, list) for dialogue in whole):
            raise self._wrong(
                self.columns[0], "is a text without a prompt, and no list of messages; give the "
                "prompt in a column prompt",
            )  # fmt: skip
        (*context, chosen), (*same, rejected) = (
            [{"role": said["role"], "content": said["content"]} for said in dialogue]
            for dialogue in whole
        )
        if context != same or not context or {chosen["role"], rejected["role"]} != {"assistant"}:
            raise self._wrong(
                self.columns[1], "must differ from the other dialogue in the last message, the "
                "assistant's, alone; drop the row",
            )  # fmt: skip
        return context, chosen, rejected

    def _chosen(self, value):
        """What a label says: 1 or true, where a row that is written has one of them."""
        try:
            return float(value) > 0
        except (TypeError, ValueError):
            return str(value).strip().lower() == "true"

    def _wrong(self, name, why):
        return ValueError(f"{self.path}, row {self.seen}, column {named(name)}: {why}")


def layout_named(name):
    """The :class:`Layout` of a name; ValueError if there is none."""
    if name not in LAYOUTS:
        raise ValueError(
            f"layout = {short(name)} breaks the rule that it is one of {', '.join(LAYOUTS)}; "
            "correct it"
        )
    return LAYOUTS[name]
