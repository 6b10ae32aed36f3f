"""Prompts: an item's fields put into its task's templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskpace.errors import TaskError
from taskpace.tasks.templates import TemplateProblem, run_template

if TYPE_CHECKING:
    from taskpace.tasks.items import Item
    from taskpace.tasks.task import Task


def render(task: Task, item: Item) -> tuple[str, ...]:
    """The user's messages, one for each turn.

    Raises:
        TaskError: a template uses a name that the item lacks, reaches for what it may not, or gives no text.
    """
    texts = []
    for number, turn in enumerate(task.turns, 1):
        try:
            text = run_template(turn.prompt, item.fields).strip()
        except TemplateProblem as exc:
            raise TaskError(f"{_location(task, number)}: {exc}") from None
        if not text:
            raise TaskError(f"{_location(task, number)}: renders to no text at all: write a prompt")
        texts.append(text)
    return tuple(texts)


def _location(task: Task, turn: int) -> str:
    return f'task "{task.name}", turn {turn}, key "prompt"'
