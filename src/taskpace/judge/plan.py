"""From the answers of a run to a plan that has a judge grade them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, groupby
from pathlib import Path

import msgspec

from taskpace.errors import StoreError
from taskpace.experiment.experiment import TaskUse
from taskpace.experiment.plan import Plan, PlannedItem, PlannedTask, make_plan
from taskpace.experiment.prepare import Progress, check_engines, plan_systems
from taskpace.judge.answers import RUN, Answer, load_answers
from taskpace.judge.questions import PREFERENCE, VERDICT, preference_item, verdict_item
from taskpace.judge.settings import Judge
from taskpace.store import queries
from taskpace.store.queries import Reader
from taskpace.tasks import DataSource, Item, Task, TurnTemplate, render

_VERSION = 2
"""Of the questions."""


def judge_plan(
    judge: Judge, run: Reader, name: str, base: Path, *, fetch: bool = True, on_progress: Progress | None = None
) -> Plan:
    """The plan of a run that grades another.

    Args:
        judge: who grades.
        run: what is graded; it is only read.
        name: of the judged run's file, for messages.
        base: folder that the judge's relative paths start from.
        fetch: whether a model may be downloaded.
        on_progress: called meanwhile.

    Raises:
        TaskpaceError: there is nothing to grade, or the judge cannot be used.
    """
    check_engines(judge.experiment)
    answers = load_answers(run)
    if not answers:
        raise StoreError(f"{name}: no answer to judge: none of its trials has ended by itself")
    judged = queries.run_row(run)
    tasks = tuple(_tasks(judge, answers, RUN + judged.plan_id))
    experiment = msgspec.structs.replace(
        judge.experiment,
        name=f"{judged.name}, judged",
        tasks=tuple(TaskUse(use=planned.name, data=planned.spec.data.source) for planned in tasks),
    )
    return make_plan(experiment, plan_systems(experiment, base, fetch=fetch, on_progress=on_progress), tasks)


def _tasks(judge: Judge, answers: list[Answer], source: str) -> Iterator[PlannedTask]:
    """For each task of the run whether its answers are correct, and if that is wanted which are better."""
    for name, group in groupby(answers, lambda answer: answer.task):
        given = list(group)
        graded = given[0].verdict is not None
        items = [verdict_item(answer, judge.rubric) for answer in given]
        task = _task(judge, source, f"verdict: {name}", VERDICT)
        task = msgspec.structs.replace(task, extraction="verdict", scorer="agreement" if graded else None)
        yield _planned(task, items)
        if judge.pairs and (pairs := list(_both_orders(given))):
            items = [preference_item(first, second, judge.rubric_pairs) for first, second in pairs]
            task = _task(judge, source, f"preference: {name}", PREFERENCE)
            yield _planned(msgspec.structs.replace(task, extraction="preference"), items)


def _task(judge: Judge, source: str, name: str, turn: TurnTemplate) -> Task:
    return Task(
        name=name,
        version=_VERSION,
        description="What a judge says of answers",
        data=DataSource(source=source),
        turns=(turn,),
        max_tokens=judge.max_tokens,
    )


def _planned(task: Task, items: list[Item]) -> PlannedTask:
    return PlannedTask(spec=task, items=tuple(PlannedItem(spec=item, prompts=render(task, item)) for item in items))


def _both_orders(answers: list[Answer]) -> Iterator[tuple[Answer, Answer]]:
    """Every two answers to one item in one scenario and repeat, and the same two the other way round."""
    together: dict[tuple[str, int, str], list[Answer]] = {}
    for answer in answers:
        together.setdefault((answer.item_id, answer.repeat, answer.scenario), []).append(answer)
    for group in together.values():
        for one, other in combinations(group, 2):
            yield one, other
            yield other, one
