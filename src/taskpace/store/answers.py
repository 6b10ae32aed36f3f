"""The answers of a run file that a judge can grade. SQL as in ``queries``."""

from __future__ import annotations

from typing import NamedTuple

from taskpace.store.queries import Reader


class AnswerRow(NamedTuple):
    """The last attempt at a trial that ended by itself."""

    trial_id: str
    attempt: int
    system: str
    task: str
    scenario: str
    item_id: str
    repeat: int
    outcome: str
    prompts: str
    """JSON."""
    fields: str
    """JSON."""


_ANSWERS = """
FROM record
JOIN trial ON trial.id = record.trial_id
JOIN cell ON cell.id = trial.cell_id
JOIN task ON task.name = cell.task
JOIN item ON item.task = cell.task AND item.id = trial.item_id
JOIN grade USING (trial_id, attempt)
WHERE record.phase = 'measured' AND grade.outcome IN ('correct', 'wrong', 'unparsed', 'completed')
  AND record.attempt = (SELECT max(attempt) FROM record AS other WHERE other.trial_id = record.trial_id)
"""


def answers(reader: Reader) -> list[AnswerRow]:
    """The answers that a judge can grade, item by item in the experiment's order, those to one item together."""
    rows = reader.query(
        "SELECT record.trial_id, record.attempt, cell.system, cell.task, cell.scenario, trial.item_id, trial.repeat,"
        f" grade.outcome, item.prompts, item.fields {_ANSWERS}"
        " ORDER BY task.position, item.position, trial.repeat, cell.position"
    )[1]
    return [AnswerRow(*row) for row in rows]


def answer_count(reader: Reader) -> int:
    """How many ``answers`` there are."""
    return int(reader.query(f"SELECT count(*) {_ANSWERS}")[1][0][0])
