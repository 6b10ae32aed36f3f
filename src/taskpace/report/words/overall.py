"""All tasks together: one number for each system, its accuracy beside it, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterator

from taskpace.analysis.schema.across import Overall, OverallRow
from taskpace.analysis.schema.summary import Summary, TaskTable
from taskpace.report.words.block import Block, Cell, Column, Name, Number, Several, Words, change
from taskpace.report.words.claims import at_least
from taskpace.report.words.figures import (
    PERCENT_ALONE,
    PERCENT_OF_ALL,
    RATIO,
    SECONDS_ALONE,
    within,
    written,
)

_LEGEND = (
    "Over the tasks: geometric mean of the ratios of time per correct answer, and mean accuracy, each task counting "
    "the same, with 95 % intervals over items; ~: not significant at 5 % (Holm). >= and <=: a bound, "
    "for a task has no correct answer. No mean where a task is INVALID."
)


def overall_blocks(summary: Summary) -> Iterator[Block]:
    """Two for each scenario with two or more tasks that have right answers: the mean, and what it is made of."""
    for overall in summary.overall:
        yield Block(
            title=f"Over {len(overall.tasks)} tasks · {overall.scenario}",
            columns=(
                Column(heading="system", kind="text", cells=tuple(Name(row.system) for row in overall.rows)),
                Column(
                    heading=f"s/correct over {overall.reference}'s",
                    form=RATIO,
                    cells=tuple(_ratio(row, overall) for row in overall.rows),
                ),
                Column(
                    heading=f"$/correct over {overall.reference}'s",
                    form=RATIO,
                    cells=tuple(_cost_ratio(row, overall) for row in overall.rows),
                    optional=True,
                ),
                Column(
                    heading="accuracy",
                    form=PERCENT_OF_ALL,
                    cells=tuple(Number(row.accuracy) for row in overall.rows),
                ),
            ),
            paragraphs=tuple(
                _sentence(row, overall) for row in overall.rows if row.system != overall.reference or row.missing
            ),
            legend=_LEGEND,
        )
        yield Block(
            title=f"Task by task · {overall.scenario} · s/correct and accuracy",
            columns=_task_by_task(summary, overall),
        )


def _ratio(row: OverallRow, overall: Overall) -> Cell:
    if row.system == overall.reference and row.time_per_correct.change.value is not None:
        return Words("1")
    return change(row.time_per_correct)


def _cost_ratio(row: OverallRow, overall: Overall) -> Cell:
    if row.system == overall.reference and row.cost_per_correct.change.value is not None:
        return Words("1")
    return change(row.cost_per_correct)


def _task_by_task(summary: Summary, overall: Overall) -> tuple[Column, ...]:
    """A row for each task, a column for each system."""
    tables = [table for table in summary.tables if table.scenario == overall.scenario and table.task in overall.tasks]
    return (
        Column(heading="task", kind="text", cells=tuple(Name(table.task) for table in tables)),
        *(
            Column(heading=each.system, cells=tuple(_part(table, each.system) for table in tables))
            for each in overall.rows
        ),
    )


def _part(table: TaskTable, system: str) -> Several:
    """Seconds per correct answer and accuracy."""
    row = next(row for row in table.rows if row.system == system)
    return Several(((row.time_per_correct_s, SECONDS_ALONE), (row.accuracy, PERCENT_ALONE)), row.valid)


def _sentence(row: OverallRow, overall: Overall) -> str:
    if row.missing is not None:
        return f"No mean over the {len(overall.tasks)} tasks for {row.system}: {row.missing}."
    ratio = row.time_per_correct
    first = next(each for each in overall.rows if each.system == overall.reference)
    told = "" if ratio.significant or ratio.change.bound else ", which cannot be distinguished from 1"
    return (
        f"Over {len(overall.tasks)} tasks a correct answer takes {row.system} "
        f"{at_least(ratio.change.bound)}{ratio.change.value:.2f} times"
        f"{within(ratio.change, RATIO.write)} as long as {overall.reference}{told}, at an accuracy of "
        f"{written(row.accuracy, PERCENT_OF_ALL).text} against {written(first.accuracy, PERCENT_OF_ALL).text}."
    )
