"""The answers of a run that a judge can grade: those that ended by themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from taskpace.experiment.imported import SCORER as IMPORTED
from taskpace.store import answers, queries
from taskpace.store.decoding import decoded
from taskpace.store.imported import by_cell, load_imported
from taskpace.store.queries import Reader
from taskpace.tasks import Task
from taskpace.tasks.scorers import SCORERS

RUN = "run:"
"""What the data source of a judge's task begins with; the id of the judged run's plan follows."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The last attempt at one trial, as a judge needs it."""

    trial_id: str
    system: str
    system_prompt: str | None
    task: str
    scenario: str
    item_id: str
    repeat: int
    outcome: str
    """``correct``, ``wrong``, ``unparsed`` or ``completed``: what the task's own scorer says."""
    prompts: tuple[str, ...]
    texts: tuple[str, ...]
    """Visible, of each turn."""
    reference: str | None
    """What the scorer goes by: the fields of the item that it uses, a line each. Null: the task has no scorer."""

    @property
    def verdict(self) -> str | None:
        """What the scorer says in a judge's words; null where it says nothing."""
        return {"completed": None, "correct": "correct"}.get(self.outcome, "wrong")


def count_answers(run: Reader) -> int:
    """How many there are."""
    # Of imported logs some answers may be without a text.
    return len(load_answers(run)) if load_imported(run) else answers.answer_count(run)


def load_answers(run: Reader) -> list[Answer]:
    """All of them, item by item in the order of the experiment, the answers to one item together."""
    texts: dict[tuple[str, int], list[str]] = {}
    for trial_id, attempt, text in queries.visible_texts(run):
        texts.setdefault((trial_id, attempt), []).append(text)
    tasks = {task.name: decoded(task.spec, Task, run, "task") for task in queries.tasks(run)}
    prompts_of = {system.name: msgspec.json.decode(system.spec)["system_prompt"] for system in queries.systems(run)}
    logs = by_cell(load_imported(run))
    textless = {cell for cell, (_, log) in logs.items() if "text" in log.unknown}
    return [
        Answer(
            trial_id=row.trial_id,
            system=row.system,
            system_prompt=prompts_of[row.system],
            task=row.task,
            scenario=row.scenario,
            item_id=row.item_id,
            repeat=row.repeat,
            outcome=row.outcome,
            prompts=tuple(msgspec.json.decode(row.prompts)),
            texts=tuple(texts[row.trial_id, row.attempt]),
            reference=_reference(tasks[row.task], msgspec.json.decode(row.fields)),
        )
        for row in answers.answers(run)
        # Of a file that another program has made, an answer may lack its turns.
        if len(texts.get((row.trial_id, row.attempt), ())) == len(msgspec.json.decode(row.prompts))
        # An imported log may have no texts.
        and (row.system, row.task, row.scenario) not in textless
    ]


def _reference(task: Task, fields: dict[str, Any]) -> str | None:
    if task.scorer == IMPORTED and "answer" in fields:
        return f"answer: {_in_words(fields['answer'])}"
    scorer = None if task.scorer is None else SCORERS.get(task.scorer)
    if scorer is None:
        return None
    used = [name for name in (*scorer.needs, *scorer.wants) if name in fields]
    return "\n".join(f"{name}: {_in_words(fields[name])}" for name in used) or None


def _in_words(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
