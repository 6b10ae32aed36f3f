"""A task of ours in place of a log's own verdicts: which of its items each sample asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from taskpace.errors import LogError
from taskpace.experiment.plan import PlannedItem, content_id
from taskpace.importing.logs import Log
from taskpace.tasks import Item, Task, load_items, load_task, render

_MOST_COMPARED = 4_000_000
"""Samples times items that are looked through for an item's text within a prompt."""


def match_items(logs: Sequence[Log], reference: str) -> tuple[Task, list[list[PlannedItem]]]:
    """The task, and the item of each sample of each log.

    A sample asks the item whose prompt it has; else the one item whose longest text of its own (the question) is
    in its prompt. Space counts for nothing.

    Raises:
        LogError: a log without prompts or texts, or a sample that asks none of the items.
        TaskError: the task cannot be read.
    """
    matcher = _Matcher(load_task(reference, Path()), reference)
    return matcher.task, [matcher.match(log) for log in logs]


class _Matcher:
    """The items of a task, by what is in prompts."""

    def __init__(self, task: Task, reference: str) -> None:
        self.task = task
        self._reference = reference
        items = load_items(task, Path(), None, 0)
        self._by_prompt = {_plain("\n".join(render(task, item))): item for item in items}
        self._own = [(_plain(_longest(item)), item) for item in items]

    def match(self, log: Log) -> list[PlannedItem]:
        """The item of each sample. Raises ``LogError``."""
        if any(sample.text is None for sample in log.samples if sample.error is None):
            raise LogError(f"{log.file}: has no texts of its answers, so --task cannot grade them: leave it out")
        if len(log.samples) * len(self._own) > _MOST_COMPARED:
            raise LogError(f"{log.file}: has too many samples for --task: import a part of it")
        found = []
        for number, sample in enumerate(log.samples, 1):
            if sample.prompt is None and sample.error is not None:
                # Nothing to grade: it counts as an error, of an item of its own.
                nameless = Item(id=content_id("unasked", log.sha256, number), fields={})
                found.append(PlannedItem(spec=nameless, prompts=()))
                continue
            if sample.prompt is None:
                raise LogError(
                    f"{log.file}: sample {number} has no prompt, so --task cannot see what was asked: leave it out"
                )
            items = self._asked(_plain(sample.prompt))
            if len(items) != 1:
                what = "asks none of" if not items else "could ask several of"
                raise LogError(
                    f'{log.file}: sample {number} {what} the items of the task "{self._reference}": name the task that '
                    "has its questions, or leave --task out"
                )
            found.append(PlannedItem(spec=items[0], prompts=(sample.prompt,)))
        return found

    def _asked(self, prompt: str) -> list[Item]:
        """The items that a prompt may ask; of those whose text is in it the ones with the longest."""
        if (item := self._by_prompt.get(prompt)) is not None:
            return [item]
        within = [(len(text), item) for text, item in self._own if text and text in prompt]
        longest = max((size for size, _ in within), default=0)
        return [item for size, item in within if size == longest]


def _longest(item: Item) -> str:
    return max((value for value in item.fields.values() if isinstance(value, str)), key=len, default="")


def _plain(text: str) -> str:
    return " ".join(text.split())
