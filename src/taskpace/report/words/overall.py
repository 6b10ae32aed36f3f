"""All tasks together: one number for each system, its accuracy beside it, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from taskpace.analysis.schema.across import Overall, OverallRow
from taskpace.analysis.schema.summary import Summary, SystemRow
from taskpace.analysis.stats.estimates import Estimate
from taskpace.report.words.figures import UNKNOWN, seconds
from taskpace.report.words.sentences import interval

LEGEND = (
    "Over the tasks: geometric mean of the ratios of time per correct answer, and mean accuracy, each task counting "
    "the same, with 95 % intervals over items; ~: not significant at 5 % (Holm). No mean where a task is INVALID."
)


class OverallTable(NamedTuple):
    """What is said of all tasks in one scenario."""

    scenario: str
    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    said: list[str]
    parts_title: str
    parts_headings: tuple[str, ...]
    parts: list[tuple[str, ...]]
    """Task by task: seconds per correct answer and accuracy of each system."""


def overall_tables(summary: Summary) -> Iterator[OverallTable]:
    """One for each scenario with two or more tasks that have right answers."""
    for overall in summary.overall:
        systems = [row.system for row in overall.rows]
        yield OverallTable(
            scenario=overall.scenario,
            title=f"Over {len(overall.tasks)} tasks · {overall.scenario}",
            headings=("system", f"s/correct over {overall.reference}'s", "accuracy"),
            rows=[_row(row, overall) for row in overall.rows],
            said=[_sentence(row, overall) for row in overall.rows if row.system != overall.reference or row.missing],
            parts_title=f"Task by task · {overall.scenario} · s/correct and accuracy",
            parts_headings=("task", *systems),
            parts=list(_parts(summary, overall)),
        )


def _row(row: OverallRow, overall: Overall) -> tuple[str, ...]:
    ratio = row.time_per_correct
    if ratio.change.value is None:
        return row.system, UNKNOWN, _share(row.accuracy)
    if row.system == overall.reference:
        return row.system, "1", _share(row.accuracy)
    told = "" if ratio.significant else " ~"
    return row.system, f"x{ratio.change.value:.2f}{interval(ratio.change, '.2f')}{told}", _share(row.accuracy)


def _share(number: Estimate) -> str:
    if number.value is None:
        return UNKNOWN
    ends = Estimate(*(None if end is None else 100 * end for end in (number.value, number.low, number.high)))
    return f"{ends.value:.0f} %{interval(ends, '.0f')}"


def _sentence(row: OverallRow, overall: Overall) -> str:
    if row.missing is not None:
        return f"No mean over the {len(overall.tasks)} tasks for {row.system}: {row.missing}."
    ratio = row.time_per_correct
    first = next(each for each in overall.rows if each.system == overall.reference)
    told = "" if ratio.significant else ", which cannot be told from 1"
    return (
        f"Over {len(overall.tasks)} tasks a correct answer takes {row.system} {ratio.change.value:.2f} times"
        f"{interval(ratio.change, '.2f')} as long as {overall.reference}{told}, at an accuracy of "
        f"{_share(row.accuracy)} against {_share(first.accuracy)}."
    )


def _parts(summary: Summary, overall: Overall) -> Iterator[tuple[str, ...]]:
    for table in summary.tables:
        if table.scenario == overall.scenario and table.task in overall.tasks:
            yield table.task, *(_part(row) for row in table.rows)


def _part(row: SystemRow) -> str:
    share = UNKNOWN if row.accuracy.value is None else f"{100 * row.accuracy.value:.0f} %"
    return f"{seconds(row.time_per_correct_s.value)} {share}" + ("" if row.valid else " INVALID")
