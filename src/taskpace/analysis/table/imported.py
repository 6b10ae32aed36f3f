"""What holds of cells that another tool measured: where they come from, and what to do, which is to measure again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.columns import Columns
from taskpace.analysis.schema.summary import Finding, Reason
from taskpace.analysis.table.comparison import NOT_COMPARED
from taskpace.analysis.table.pairs import Pair

_BY_CODE = {
    "truncated": "measure again with a higher token limit",
    "timeouts": "measure again with a longer time limit",
    "missing": "import a complete log, or count them as failures",
}
_ITS_COMMANDS = ("`taskpace run", "`taskpace brevity", "`max_tokens`", "`timeout`")

Told = TypeVar("Told", Reason, Finding)


def as_imported(told: Sequence[Told], cell: CellPlan) -> tuple[Told, ...]:
    """Give remedies that apply to an import: taskpace cannot continue what another tool measured."""
    if cell.imported is None:
        return tuple(told)
    return tuple(msgspec.structs.replace(each, remedy=_remedy(each, cell)) for each in told)


def _remedy(told: Reason | Finding, cell: CellPlan) -> str:
    if (known := _BY_CODE.get(told.code)) is not None:
        return known
    if any(command in told.remedy for command in _ITS_COMMANDS):
        return f"measure again with {cell.imported_by}, or with taskpace"
    return told.remedy


def without_untimed(pairs: Sequence[Pair], cells: Mapping[str, Columns]) -> list[Pair]:
    """Pairs without a comparison of time per correct answer where one's log does not say how long all samples took.

    A failed sample took 0 s or longer then: a bound, which cannot show that a system needs less.
    """
    untimed = {name for name, cell in cells.items() if any_imported_without(cell, "task_time_s")}
    return [
        msgspec.structs.replace(pair, time_per_correct=NOT_COMPARED) if {pair.a, pair.b} & untimed else pair
        for pair in pairs
    ]


def any_imported_without(trials: Columns, column: str) -> bool:
    """Whether another tool's log does not say this of all its samples."""
    imported, unknown = trials.flagged("imported"), trials.unknown(column)
    return imported is not None and unknown is not None and bool((imported & unknown).any())


def origin_findings(cell: CellPlan) -> Iterator[Finding]:
    """Where a cell comes from; null of taskpace's own."""
    if cell.imported is not None:
        yield Finding(
            code="imported",
            text=f"measured by {cell.imported_by}, not by taskpace: its times are of {cell.imported.times}",
            evidence={"unknown": len(cell.imported.unknown)},
            remedy="compare it only with what was timed alike",
        )


def claims_findings(cells: Sequence[CellPlan], pairs: Sequence[Pair]) -> Iterator[Finding]:
    """That imported systems did not take turns, which limits what a difference in time says."""
    imported = {cell.system: cell for cell in cells if cell.imported is not None}
    timed = [
        pair
        for pair in pairs
        if {pair.a, pair.b} & imported.keys() and not pair.turns and pair.task_time.change.value is not None
    ]
    if not timed:
        return
    kinds = {_timed_by(imported.get(name)) for pair in timed for name in (pair.a, pair.b)}
    unlike = ", and they are timed in different ways" if len(kinds) > 1 else ""
    yield Finding(
        code="imported-apart",
        text=f"the systems did not take turns{unlike}: claims about time hold for these recordings, and a machine or "
        "network that changed between them would look the same",
        evidence={"pairs": len(timed)},
        remedy="to compare the systems themselves, measure them in one run of taskpace",
    )


def _timed_by(cell: CellPlan | None) -> tuple[str, str]:
    """The tool and what its seconds hold."""
    if cell is None or cell.imported is None:
        return "taskpace", ""
    return cell.imported_by or "", cell.imported.times
