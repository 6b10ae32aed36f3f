"""From a record to a grade. Pure: the same record gives the same grade, now or years later."""

from __future__ import annotations

import re

import msgspec

from taskpace.plugins import fault
from taskpace.records import Grade, Outcome, Record
from taskpace.tasks.committed import committed_ns, rereading
from taskpace.tasks.extractors import EXTRACTIONS
from taskpace.tasks.items import Item
from taskpace.tasks.scorers import SCORERS, FieldProblem
from taskpace.tasks.task import Task

GRADER_FAILED = "the grader failed on this answer"
"""What the detail of a grade begins with where scorer or extraction raised something."""
_NO_SCORER = "none/1"
_OF_THE_TASK = (FieldProblem, ImportError)
"""What no answer can cause: every other one would fail as well."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def score(task: Task, item: Item, record: Record) -> Grade:
    """What the task makes of a record.

    What ended the trial comes first: a failure is ``timeout`` or ``error``; a last turn that hit the token limit is
    ``truncated``, whatever it says, with the answer it gave kept. Then the scorer judges the last turn's visible text;
    without one the trial is ``completed``. Reasoning is never read. An answer that a grader stumbles over is
    ``unparsed``, and the detail shows it.

    Raises:
        FieldProblem: what the task's options name is no longer there.
        ImportError: a library that the scorer needs is no longer there.
    """
    if record.failure is not None:
        outcome: Outcome = "timeout" if record.failure.kind == "timeout" else "error"
        return _grade(task, outcome, detail=record.failure.kind)
    if not record.turns:
        return _grade(task, "error", detail="no turn was recorded")
    try:
        return _graded(task, item, record)
    except _OF_THE_TASK:
        raise
    except Exception as exc:  # noqa: BLE001 - the answer is anyone's: whatever it trips, the run continues
        detail = f"{GRADER_FAILED}: {fault(exc)}"
        return _grade(task, "truncated" if record.turns[-1].finish_reason == "length" else "unparsed", detail=detail)


def _graded(task: Task, item: Item, record: Record) -> Grade:
    last = record.turns[-1]
    answer, committed = _read(task, item, record)
    if last.finish_reason == "length":
        return _grade(task, "truncated", answer=answer, committed=committed)
    if task.scorer is None:
        return _grade(task, "completed", answer=answer, committed=committed)
    scorer = SCORERS[task.scorer]
    scored = scorer.grade(last.text, answer, item.fields, msgspec.convert(task.options, scorer.options))
    return _grade(task, scored.outcome, answer=answer, degree=scored.score, detail=scored.detail, committed=committed)


def script(task: Task, item: Item) -> tuple[str, str]:
    """A right and a wrong text for an item, for engines that play a script; where nothing is scored two that can be
    read, or the same twice.
    """
    if task.scorer is not None:
        return SCORERS[task.scorer].script(item.fields)
    extraction = None if task.extraction is None else EXTRACTIONS[task.extraction]
    return ("Done.", "Done.") if extraction is None or extraction.script is None else extraction.script(item.fields)


def _read(task: Task, item: Item, record: Record) -> tuple[str | None, int | None]:
    """The answer, and when it was committed to."""
    if task.extraction is None:
        return None, None
    extraction = EXTRACTIONS[task.extraction]
    text = record.turns[-1].text
    answer_of = (
        rereading(text, lambda part: extraction.read(part, item.fields))
        if extraction.beginnings is None
        else extraction.beginnings(text, item.fields)
    )
    answer = answer_of(len(text))
    return answer, None if answer is None else committed_ns(record.turns, answer_of)


def _grade(
    task: Task,
    outcome: Outcome,
    *,
    answer: str | None = None,
    degree: float | None = None,
    detail: str | None = None,
    committed: int | None = None,
) -> Grade:
    return Grade(
        outcome=outcome,
        answer=_storable(answer),
        score=degree,
        detail=_storable(detail),
        committed_ns=committed,
        scorer=_NO_SCORER if task.scorer is None else f"{task.scorer}/{SCORERS[task.scorer].version}",
    )


def _storable(text: str | None) -> str | None:
    """Half of an emoji is not text that a file could hold."""
    return None if text is None else _LONE_SURROGATE.sub("\ufffd", text)
