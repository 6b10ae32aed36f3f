"""The answers of a run that a judge can grade: those that ended by themselves."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from taskpace.tasks import Task
from taskpace.tasks.scorers import SCORERS

RUN = "run:"
"""What the data source of a judge's task begins with; the id of the judged run's plan follows."""

_COLUMNS = """
SELECT record.trial_id, record.attempt, cell.system, cell.task, cell.scenario, trial.item_id, trial.repeat,
       verdict.outcome, item.prompts, item.fields
"""
_ANSWERS = """
FROM record
JOIN trial ON trial.id = record.trial_id
JOIN cell ON cell.id = trial.cell_id
JOIN task ON task.name = cell.task
JOIN item ON item.task = cell.task AND item.id = trial.item_id
JOIN verdict USING (trial_id, attempt)
WHERE record.phase = 'measured' AND verdict.outcome IN ('correct', 'wrong', 'unparsed', 'completed')
  AND record.attempt = (SELECT max(attempt) FROM record AS other WHERE other.trial_id = record.trial_id)
ORDER BY task.position, item.position, trial.repeat, cell.position
"""


class Source(Protocol):
    """Anything that answers queries on a run file."""

    def query(self, sql: str, *values: Any) -> tuple[list[str], list[tuple[Any, ...]]]: ...


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


def count_answers(run: Source) -> int:
    """How many there are."""
    ((count,),) = run.query(f"SELECT count(*) {_ANSWERS}")[1]
    return int(count)


def load_answers(run: Source) -> list[Answer]:
    """All of them, item by item in the order of the experiment, the answers to one item together."""
    texts: dict[tuple[str, int], list[str]] = {}
    for trial_id, attempt, text in run.query("SELECT trial_id, attempt, text FROM turn ORDER BY turn")[1]:
        texts.setdefault((trial_id, attempt), []).append(text)
    tasks = {name: msgspec.json.decode(spec, type=Task) for name, spec in run.query("SELECT name, spec FROM task")[1]}
    prompts_of = dict(run.query("SELECT name, json_extract(spec, '$.system_prompt') FROM system")[1])
    return [
        Answer(
            trial_id=trial_id,
            system=system,
            system_prompt=prompts_of[system],
            task=task,
            scenario=scenario,
            item_id=item_id,
            repeat=repeat,
            outcome=outcome,
            prompts=tuple(msgspec.json.decode(prompts)),
            texts=tuple(texts[trial_id, attempt]),
            reference=_reference(tasks[task], msgspec.json.decode(fields)),
        )
        for trial_id, attempt, system, task, scenario, item_id, repeat, outcome, prompts, fields in run.query(
            _COLUMNS + _ANSWERS
        )[1]
    ]


def _reference(task: Task, fields: dict[str, Any]) -> str | None:
    scorer = None if task.scorer is None else SCORERS.get(task.scorer)
    if scorer is None:
        return None
    used = [name for name in (*scorer.needs, *scorer.wants) if name in fields]
    return "\n".join(f"{name}: {_in_words(fields[name])}" for name in used) or None


def _in_words(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
