"""Two runs, or two systems, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from taskpace.analysis.compare import ComparedCell, ComparedRuns
from taskpace.analysis.table.comparison import Comparison
from taskpace.prices.price import Price
from taskpace.report.words.block import Block, Column, Document, Name, Words
from taskpace.report.words.causes import why
from taskpace.report.words.commands import NO_FILES, Files, with_files
from taskpace.report.words.cost import price_sentence
from taskpace.report.words.figures import UNKNOWN, Form, reason_line, sign_of, within
from taskpace.report.words.gate import JUDGED_LEGEND, judged_line

_MANY_TIMES = 4.0
"""From here on a ratio reads better as "4 times" than in per cent."""


def compared_document(compared: ComparedRuns, files: Files = NO_FILES) -> Document:
    """All changes in one table, a row for each cell."""
    cells = compared.cells
    block = Block(
        title=f"{compared.new} against {compared.base}",
        columns=(
            Column(heading="task", kind="text", cells=tuple(Name(f"{cell.task} · {cell.scenario}") for cell in cells)),
            Column(heading="system", kind="text", cells=tuple(Name(cell.new_system) for cell in cells)),
            _changes("task time", [cell.pair.task_time for cell in cells]),
            _changes("tokens per second", [cell.pair.tokens_per_s for cell in cells]),
            _changes("output bytes", [cell.pair.output_bytes for cell in cells]),
            _changes("accuracy", [cell.pair.accuracy for cell in cells], points=True),
            _changes("time per correct", [cell.pair.time_per_correct for cell in cells]),
            *(
                [_changes("cost per correct", [cell.pair.cost_per_correct for cell in cells])]
                if any(cell.pair.cost_per_correct.change.value is not None for cell in cells)
                else []
            ),
        ),
        paragraphs=(
            *map(judged_line, compared.judged),
            *(sentence for cell in cells if (sentence := _sentence(compared, cell))),
        ),
        legend=(
            "Change: ratio of geometric means over paired items (accuracy: points), with its 95 % interval. "
            f"~: not significant at 5 %.{f' {JUDGED_LEGEND}' if compared.judged else ''}"
        ),
    )
    closing = tuple(filter(None, (price_sentence(prices_compared(compared)),)))
    return Document(
        title=block.title, warnings=(*compared.notes, *_reasons(compared, files)), blocks=(block,), closing=closing
    )


def prices_compared(compared: ComparedRuns) -> Iterator[tuple[str, Price | None]]:
    """The price of every system on both sides, by a name that shows which it is."""
    for cell in compared.cells:
        same = cell.base_system == cell.new_system
        sides = (compared.base, cell.base_system, cell.base), (compared.new, cell.new_system, cell.new)
        yield from ((f"{label}:{system}" if same else system, row.price) for label, system, row in sides)


def _changes(heading: str, found: list[Comparison], *, points: bool = False) -> Column:
    return Column(heading=heading, kind="text", cells=tuple(Words(change_of(one, points=points).text) for one in found))


def _sentence(compared: ComparedRuns, cell: ComparedCell) -> str:
    pair = cell.pair
    if pair.split is None or not pair.task_time.significant:
        return ""
    names = (f"{compared.base}:{cell.base_system}", f"{compared.new}:{cell.new_system}")
    cut = pair.task_time.cut_a + pair.task_time.cut_b > 0
    return f"{cell.task} · {cell.scenario}: {why(*names, pair.split, pair.output_bytes, recorded=cut)}"


def _reasons(compared: ComparedRuns, files: Files) -> list[str]:
    base, new = files
    return [
        f"{label}, {cell.task} · {cell.scenario} · {system}: {with_files(reason_line(reason), file)}"
        for cell in compared.cells
        for label, system, row, file in (
            (compared.base, cell.base_system, cell.base, base),
            (compared.new, cell.new_system, cell.new, new),
        )
        for reason in row.reasons
    ]


class Changed(NamedTuple):
    """A change in words, and how sure it is."""

    words: str
    """``+142 % (+130 to +155)``."""
    p: str
    """``p < 0.001``, or nothing."""
    mark: str
    """``~``: not significant; ``open``: the cut answers decide; ``INVALID``; nothing: significant, or unknown."""

    @property
    def text(self) -> str:
        """The mark first, without the p-value."""
        return f"{self.mark} {self.words}".lstrip()


def change_of(comparison: Comparison, *, points: bool) -> Changed:
    """A change by so many per cent, or times, or ``points``."""
    value = comparison.change.value
    if value is None:
        return Changed(UNKNOWN, "", "open" if comparison.open else "")
    if points:
        form = Form(lambda share: _signed(100 * share), unit=" points")
    elif value >= _MANY_TIMES:
        form = Form(lambda ratio: f"{ratio:.{_decimals(ratio)}f}", unit=" times")
    else:
        form = Form(lambda ratio: _signed(100 * (ratio - 1)), unit=" %")
    p = comparison.p_holm if comparison.p_holm is not None else comparison.p
    known = "" if p is None else f"p {'< 0.001' if p < 0.001 else f'= {p:.2g}'}"
    invalid = comparison.p is not None and comparison.p_holm is None
    mark = "" if comparison.significant else "INVALID" if invalid else "open" if comparison.open else "~"
    words = f"{sign_of(comparison.change)}{form.write(value)}{form.unit}{within(comparison.change, form.write)}"
    return Changed(words, known, mark)


def _signed(value: float) -> str:
    return f"{value:+z.{_decimals(value)}f}"


def _decimals(value: float) -> int:
    return 0 if abs(value) >= 10 else 1
