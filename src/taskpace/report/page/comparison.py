"""Two runs side by side, as the page shows them."""

from __future__ import annotations

import msgspec

from taskpace.analysis.compare import ComparedCell, ComparedRuns
from taskpace.report.terminal.compare import change_in_words
from taskpace.report.words.figures import reason_line
from taskpace.report.words.sentences import why
from taskpace.text.safe_text import printable

_MEASURES = (
    ("task time", "task_time"),
    ("tokens per second", "tokens_per_s"),
    ("output bytes", "output_bytes"),
    ("accuracy", "accuracy"),
    ("time per correct", "time_per_correct"),
)


class Comparisons(msgspec.Struct, frozen=True, kw_only=True):
    """A baseline and what is held against it."""

    base: str
    new: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]


def make_comparisons(compared: ComparedRuns) -> Comparisons:
    return Comparisons(
        base=printable(compared.base),
        new=printable(compared.new),
        headings=("task", "system", *(name for name, _ in _MEASURES)),
        rows=tuple(_row(cell) for cell in compared.cells),
        sentences=tuple(
            printable(f"{cell.task} · {cell.scenario}: {_why(compared, cell)}")
            for cell in compared.cells
            if cell.pair.split is not None and cell.pair.task_time.significant
        ),
        notes=tuple(printable(note) for note in (*compared.notes, *_reasons(compared))),
    )


def _row(cell: ComparedCell) -> tuple[str, ...]:
    changes = (
        change_in_words(getattr(cell.pair, measure), points=measure == "accuracy", with_p=False)[0]
        for _, measure in _MEASURES
    )
    return (printable(f"{cell.task} · {cell.scenario}"), printable(cell.new_system), *changes)


def _why(compared: ComparedRuns, cell: ComparedCell) -> str:
    names = (f"{compared.base}:{cell.base_system}", f"{compared.new}:{cell.new_system}")
    return why(*names, cell.pair.split, cell.pair.output_bytes) if cell.pair.split else ""


def _reasons(compared: ComparedRuns) -> list[str]:
    return [
        f"{label}, {cell.task} · {cell.scenario} · {system}: {reason_line(reason)}"
        for cell in compared.cells
        for label, system, row in (
            (compared.base, cell.base_system, cell.base),
            (compared.new, cell.new_system, cell.new),
        )
        for reason in row.reasons
    ]
