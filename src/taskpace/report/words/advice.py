"""What to know and to do about a run as a whole: its cautions, grouped over systems and tasks, most severe first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from taskpace.analysis.schema.summary import Summary, SystemRow, TaskTable
from taskpace.analysis.stats.per_correct import FEW_CORRECT
from taskpace.report.words.block import Advice
from taskpace.report.words.commands import RunFile, files_having, split_remedy, with_files
from taskpace.text.safe_text import both_ends, one_line

NAME_WIDTH = 24
"""Columns of a name in a sentence of the short form; the tables of the long form have it whole."""
_MOST_NAMES = 2
_LONGEST = 240
"""Columns of an observation: why a server was not reached ends with what to do."""
_CHANGES = {
    "result": 0,
    "claims between systems": 1,
    "full task time": 5,
    "token counts": 4,
    "decode speed": 4,
    "absolute seconds": 6,
    "certainty": 6,
    "makespan": 9,
}
"""What a reason invalidates, by how much it changes of the answer: the less, the earlier it is told."""
_OPEN = 2
_SILENT = 3
_UNDECIDED = 4
_FINDINGS = dict.fromkeys(("few-items", "few-correct", "few-batches"), 6)
_FINDINGS |= {"grader-failed": 1, "no-answer": _SILENT, "heavy-tail": 6, "outliers": 6, "order": 6, "verbose": 7}
_REST = 8
_TOGETHER = {
    "few-items": "too-few",
    "few-correct": "too-few",
    "few-batches": "too-few",
    "never-answered": "truncated",
}
"""Codes that have one remedy are one caution."""


class _Told(NamedTuple):
    """One reason or finding where it stands."""

    rank: int
    code: str
    text: str
    remedy: str
    table: TaskTable
    row: SystemRow | None


def advice(summary: Summary, file: RunFile) -> tuple[Advice, ...]:
    """List the cautions, what changes most of the answer first; ``file``: of the run, for commands."""
    groups: dict[str, list[_Told]] = {}
    for table in summary.tables:
        for told in _told(table):
            groups.setdefault(_TOGETHER.get(told.code, told.code), []).append(told)
    ordered = sorted(groups.values(), key=lambda group: (min(each.rank for each in group), -len(group)))
    return tuple(_advice(group, summary, file) for group in ordered)


def _told(table: TaskTable) -> Iterator[_Told]:
    decisive = {name for pair in table.pairs if pair.task_time.open for name in (pair.a, pair.b)}
    undecided = {
        name
        for pair in table.pairs
        if pair.task_time.p_holm is not None and pair.task_time.lower is None
        for name in (pair.a, pair.b)
    }
    for row in table.rows:
        for reason in row.reasons:
            rank = _CHANGES[reason.invalidates]
            if reason.invalidates == "full task time" and row.system in decisive:
                rank = _OPEN
            elif reason.invalidates == "certainty" and row.system in undecided:
                rank = _UNDECIDED
            yield _Told(rank, reason.code, reason.text, reason.remedy, table, row)
        known = {reason.code for reason in row.reasons}
        for finding in row.findings:
            if finding.code not in known:
                rank = _FINDINGS.get(finding.code, _REST)
                if finding.code == "few-items" and row.system in undecided:
                    rank = _UNDECIDED
                yield _Told(rank, finding.code, finding.text, finding.remedy, table, row)
    for finding in table.findings:
        yield _Told(_FINDINGS.get(finding.code, _REST), finding.code, finding.text, finding.remedy, table, None)


def _advice(group: list[_Told], summary: Summary, file: RunFile) -> Advice:
    first = min(group, key=lambda told: told.rank)
    # Of several the one that asks for most: more items or tokens than a system needs do no harm.
    most = max((told for told in group if told.rank == first.rank or told.row), key=lambda told: _numbers(told.remedy))
    cells = [
        (row.system, told.table.task, told.table.scenario)
        for told in group
        for row in (told.table.rows if told.row is None else (told.row,))
    ]
    do, command = split_remedy(with_files(most.remedy, *files_having(file, cells)))
    return Advice(
        code=_TOGETHER.get(first.code, first.code),
        who=_who(group, summary),
        what=_what(group, first, summary),
        do=do,
        command=command,
    )


def _numbers(remedy: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", split_remedy(remedy)[1]))


def _what(group: list[_Told], first: _Told, summary: Summary) -> str:
    """The text of one; of several what they have in common, counted."""
    rows = {(told.table.task, told.table.scenario, told.row.system): told.row for told in group if told.row is not None}
    if (counted := _COUNTED.get(_TOGETHER.get(first.code, first.code))) and rows:
        return counted([*rows.values()], sum(row.n for table in summary.tables for row in table.rows))
    texts = list(dict.fromkeys(told.text for told in group))
    invalid = "INVALID, " if first.rank == 0 else ""
    return invalid + one_line(texts[0], _LONGEST) + (f" (and {len(texts) - 1} similar)" if len(texts) > 1 else "")


Counted = Callable[[Sequence[SystemRow], int], str]
"""From the rows that something concerns, and the number of trials in the whole run, to words."""


def _outcome(outcome: str, what: str) -> Counted:
    def told(rows: Sequence[SystemRow], trials: int) -> str:
        count = sum(number for row in rows for name, number in row.outcomes.items() if name == outcome)
        return f"{count} of {trials} {what}"

    return told


def _few(rows: Sequence[SystemRow], _trials: int) -> str:
    items = [row.items for row in rows]
    correct = [row.outcomes.get("correct", 0) for row in rows if row.accuracy.value is not None]
    right = f", {_span(correct)} correct" if correct and min(correct) < FEW_CORRECT else ""
    return f"{'one item' if max(items) == 1 else f'only {_span(items)} items'}{right}"


def _lacking(what: str) -> Counted:
    def told(rows: Sequence[SystemRow], _trials: int) -> str:
        count = sum(row.planned - row.n for row in rows)
        return f"one trial is {what}" if count == 1 else f"{count} trials are {what}"

    return told


def _span(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{least}" if least == most else f"{least} to {most}"


_COUNTED: dict[str, Counted] = {
    "truncated": _outcome("truncated", "answers hit the token limit"),
    "timeouts": _outcome("timeout", "answers hit the time limit"),
    "errors": _outcome("error", "trials failed"),
    "not-run": _lacking("not run yet"),
    "missing": _lacking("missing from the log"),
    "too-few": _few,
}


def _who(group: list[_Told], summary: Summary) -> str:
    tables = list(dict.fromkeys((told.table.task, told.table.scenario) for told in group))
    everyone = list(dict.fromkeys(row.system for table in summary.tables for row in table.rows))
    named = list(dict.fromkeys(told.row.system for told in group if told.row is not None))
    if not named:
        return on_tasks(tables, summary).strip().replace("on", "On", 1)
    if len(named) == len(everyone) and len(tables) == len(summary.tables):
        return ""
    who = "all systems" if len(named) == len(everyone) > 1 else joined(named)
    return f"{who}{on_tasks(tables, summary)}"


def on_tasks(tables: Sequence[tuple[str, str]], summary: Summary) -> str:
    """`` on qa-context``, `` on 2 tasks``, `` on all 3 tasks``; nothing where the run has one task."""
    if len(summary.tables) == 1:
        return ""
    if len(tables) == len(summary.tables):
        return f" on all {len(tables)} tasks"
    if len(tables) <= _MOST_NAMES:
        return f" on {' and '.join(task_name(table, summary) for table in tables)}"
    return f" on {len(tables)} tasks"


def task_name(table: tuple[str, str], summary: Summary) -> str:
    """The task, with its scenario where the run has several."""
    several = len({each.scenario for each in summary.tables}) > 1
    return f"{short(table[0])} {short(table[1])}" if several else short(table[0])


def short(name: str) -> str:
    """A name for a sentence of bounded length."""
    return both_ends(name, NAME_WIDTH)


def joined(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and 3 more``."""
    few = [short(name) for name in names[:_MOST_NAMES]]
    if len(names) > _MOST_NAMES:
        return f"{', '.join(few)} and {len(names) - _MOST_NAMES} more"
    return " and ".join(few)
