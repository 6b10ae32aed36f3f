"""CSV as RFC 4180 has it, safe to open in a spreadsheet; and the summary as such a table, one row for each cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from types import UnionType
from typing import get_args

import msgspec

from taskpace.analysis.schema.summary import Summary, SystemRow, TaskTable
from taskpace.analysis.stats.estimates import Estimate
from taskpace.records import OUTCOMES
from taskpace.report.words.commands import RunFile, summary_with_files
from taskpace.report.words.figures import reason_line
from taskpace.text.safe_text import printable

Value = str | int | float | bool | None

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula; the wide forms count as such in East Asian editions."""


def csv_lines(rows: Iterable[Sequence[Value]]) -> str:
    """Rows as lines of CSV that end with CR LF. Numbers are written in full, unknown is empty.

    Text is made ``printable``, and what a spreadsheet would run as a formula gets a ``'`` in front.
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([[_cell(value) for value in row] for row in rows])
    return out.getvalue()


def _cell(value: Value) -> Value:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    # The sign is looked for before the rest is escaped: a leading CR would no longer be one.
    return ("'" if value.startswith(_FORMULA) else "") + printable(value)


def summary_csv(summary: Summary, file: RunFile = None) -> str:
    """One row for each cell of a run, in the experiment's order.

    Parts of a field ``x`` are ``x_PART``, and a number ``x`` has its 95 % interval in ``x_low`` and ``x_high``, and
    ``at least`` or ``at most`` in ``x_bound`` where it is no more than that; each outcome's count is ``n_OUTCOME``;
    ``reasons`` and ``findings`` are their codes, and ``explanation`` says the reasons in words, with the remedies.
    Solve curves and pairs of systems are left out: they are in the JSON. ``file``: of the run, for commands.
    """
    return csv_lines(
        [
            _columns(),
            *(_values(summary, table, row) for table in summary_with_files(summary, file).tables for row in table.rows),
        ]
    )


_FIRST = ("run", "task", "scenario", "system", "valid", "reasons")
_LAST = ("par2_limit_s", "findings", "explanation")
_NO_NUMBER = frozenset({"system", "valid", "reasons", "outcomes", "solve_curve", "findings"})


_ENDS = ("", "_low", "_high", "_bound")


def _estimate(number: Estimate) -> list[Value]:
    """A bound as a word: what begins with ``=``, ``<`` or ``>`` is not text for a spreadsheet."""
    word = None if number.bound is None else "at least" if number.bound == ">=" else "at most"
    return [number.value, number.low, number.high, word]


def _columns() -> list[str]:
    columns = list(_FIRST)
    for field in msgspec.structs.fields(SystemRow):
        if field.name == "outcomes":
            columns.extend(f"n_{outcome}" for outcome in OUTCOMES)
        elif field.type is Estimate:
            columns.extend(f"{field.name}{end}" for end in _ENDS)
        elif parts := _parts(field.type):
            for part, is_number in parts.items():
                ends = _ENDS if is_number else ("",)
                columns.extend(f"{field.name}_{part}{end}" for end in ends)
        elif field.name not in _NO_NUMBER:
            columns.append(field.name)
    return [*columns, *_LAST]


def _parts(kind: object) -> dict[str, bool]:
    """The fields of a struct, also of one that may be null, and which are a ``Estimate``; none for anything else."""
    alternatives = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    struct = next((each for each in alternatives if hasattr(each, "__struct_fields__")), None)
    return {} if struct is None else {part.name: part.type is Estimate for part in msgspec.structs.fields(struct)}


def _part(value: Value | tuple[str, ...] | dict[str, int] | Estimate, is_number: bool) -> list[Value]:
    """A field of a struct as cells; several texts are one, and so are several counts."""
    if is_number or isinstance(value, Estimate):
        return _estimate(value) if isinstance(value, Estimate) else [None] * len(_ENDS)
    if isinstance(value, dict):
        return ["; ".join(f"{count} {name}" for name, count in value.items())]
    return ["; ".join(map(str, value)) if isinstance(value, tuple) else value]


def _values(summary: Summary, table: TaskTable, row: SystemRow) -> list[Value]:
    codes = " ".join(reason.code for reason in row.reasons)
    values: list[Value] = [summary.name, table.task, table.scenario, row.system, row.valid, codes]
    for field in msgspec.structs.fields(SystemRow):
        value = getattr(row, field.name)
        if field.name == "outcomes":
            values.extend(row.outcomes.get(outcome, 0) for outcome in OUTCOMES)
        elif isinstance(value, Estimate):
            values.extend(_estimate(value))
        elif parts := _parts(field.type):
            for part, is_number in parts.items():
                values.extend(_part(getattr(value, part, None), is_number))
        elif field.name not in _NO_NUMBER:
            values.append(value)
    findings = " ".join(finding.code for finding in row.findings)
    return [*values, table.par2_limit_s, findings, "; ".join(map(reason_line, row.reasons))]
