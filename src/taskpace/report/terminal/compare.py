"""A comparison as tables for a terminal: base, new, and the change, or ``~`` where there may be none."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from taskpace.analysis.compare import ComparedCell, ComparedRuns
from taskpace.analysis.conditions import Condition
from taskpace.analysis.stats.anytime import FIRST_MEAN
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.analysis.table.comparison import Comparison
from taskpace.report.terminal.sentence import print_sentence
from taskpace.report.words.causes import why
from taskpace.report.words.claims import claim, open_verdict, rests_on_cuts
from taskpace.report.words.commands import NO_FILES, Files, with_files
from taskpace.report.words.comparison import change_of, prices_compared
from taskpace.report.words.cost import DOLLARS_WITH_ERROR, price_sentence
from taskpace.report.words.figures import (
    digits,
    outcomes_in_words,
    reason_line,
    seconds_with_error,
    share_with_error,
    sign_of,
    written,
)
from taskpace.report.words.gate import JUDGED_LEGEND
from taskpace.report.words.sentences import no_difference, not_distinguished
from taskpace.text.safe_text import end_of_line, one_line, padded

_WIDEST_NAME = 16
_ROOM_FOR_P = 96
_MEDIANS = ", the median of the items' ratios where answers were cut or items are few"
_STYLES = {"": "bold", "~": "dim", "open": "yellow", "INVALID": "yellow"}


def print_comparison(compared: ComparedRuns, console: Console, files: Files = NO_FILES) -> None:
    """Print every cell, then what else differs."""
    for cell in compared.cells:
        _print_cell(compared, cell, console, files)
    console.print()
    for note in compared.notes:
        print_sentence(console, f"note: {note}", "yellow")
    legend = (
        "Medians with 95 % intervals; change: ratio of geometric means over paired items (accuracy: points)"
        f"{_MEDIANS if _by_medians(compared) else ''}, with its 95 % interval. ~: not significant at 5 % (p after Holm "
        f"over {len(compared.cells)} comparison{'s' if len(compared.cells) > 1 else ''})."
    )
    print_sentence(console, legend, "dim")
    if compared.judged:
        print_sentence(console, JUDGED_LEGEND, "dim")
    if told := price_sentence(prices_compared(compared)):
        print_sentence(console, told, "dim")


def _by_medians(compared: ComparedRuns) -> bool:
    """Whether some change of task time is not one of means."""
    few = compared.gate is not None and any(cell.pair.task_time.items < FIRST_MEAN for cell in compared.cells)
    return few or any(cell.pair.task_time.basis == "most" for cell in compared.cells)


def failure_line(cell: ComparedCell, condition: Condition) -> str:
    """``FAILED: task_time > 5%: mmlu-letter · single · smollm2: +9.8 % (+5.5 to +14)``."""
    change = change_of(getattr(cell.pair, condition.measure), points=condition.measure == "accuracy")
    return f"FAILED: {condition.text}: {cell.task} · {cell.scenario} · {cell.new_system}: {change.text}"


def _print_cell(compared: ComparedRuns, cell: ComparedCell, console: Console, files: Files) -> None:
    names = _names(compared, cell)
    console.print()
    title = f"{cell.task} · {cell.scenario} · {cell.pair.task_time.items} paired items"
    console.print(Text(one_line(title, console.width), style="bold"), soft_wrap=True)
    heading = f"{'':12}  {_fit(names[0])}  {_fit(names[1])}  change"
    console.print(Text(heading, style="dim"), soft_wrap=True)
    for label, before, after, comparison, points in _lines(cell):
        text = Text(f"{label:12}  {padded(before, _WIDEST_NAME)}  {padded(after, _WIDEST_NAME)}  ")
        if comparison is not None:
            change = change_of(comparison, points=points)
            p = f", {change.p}" if change.p and console.width >= _ROOM_FOR_P else ""
            style = "dim" if comparison.change.value is None else _STYLES[change.mark]
            text.append(change.text + p, style=style)
        console.print(text, soft_wrap=True)
    for name, row, file in zip(names, (cell.base, cell.new), files, strict=True):
        print_sentence(console, f"{name}: {outcomes_in_words(row)}", "dim")
        for reason in row.reasons:
            print_sentence(console, f"{name}: {with_files(reason_line(reason), file)}", "yellow")
    if same := no_difference(names, cell.pair):
        print_sentence(console, same)
        return
    if cell.pair.split is not None and cell.pair.task_time.change.value is not None:
        cut = cell.pair.task_time.cut_a + cell.pair.task_time.cut_b > 0
        print_sentence(console, why(*names, cell.pair.split, cell.pair.output_bytes, recorded=cut))
    if cell.pair.task_time.open:
        said = open_verdict(names, cell.pair.task_time, (cell.base, cell.new), files)
        print_sentence(console, said, "yellow")
    elif rests_on_cuts(cell.pair.task_time) and (said := claim(names, cell.pair.task_time)):
        print_sentence(console, said)
    if cell.comparable and not cell.pair.task_time.significant and (note := not_distinguished(names, cell.pair)):
        print_sentence(console, note)


def _names(compared: ComparedRuns, cell: ComparedCell) -> tuple[str, str]:
    if cell.base_system != cell.new_system:
        return cell.base_system, cell.new_system
    return f"{compared.base}:{cell.base_system}", f"{compared.new}:{cell.new_system}"


def _fit(name: str) -> str:
    """The end of a name says more than its beginning: runs of one project have the same."""
    return padded(end_of_line(name, _WIDEST_NAME), _WIDEST_NAME)


def _lines(cell: ComparedCell) -> list[tuple[str, str, str, Comparison | None, bool]]:
    base, new, pair = cell.base, cell.new, cell.pair
    lines: list[tuple[str, str, str, Comparison | None, bool]] = [
        ("task time", *_both(base.task_time_median_s, new.task_time_median_s), pair.task_time, False),
        ("TTFT", *_both(base.ttft_median_s, new.ttft_median_s), None, False),
        ("output bytes", *_counts(base.output_bytes_median, new.output_bytes_median), pair.output_bytes, False),
        ("tok/s", *_counts(base.tokens_per_s_median, new.tokens_per_s_median), pair.tokens_per_s, False),
    ]
    if base.accuracy.value is not None or new.accuracy.value is not None:
        shares = share_with_error(base.accuracy), share_with_error(new.accuracy)
        lines.append(("accuracy", *shares, pair.accuracy, True))
        lines.append(
            ("s/correct", *_both(base.time_per_correct_s, new.time_per_correct_s), pair.time_per_correct, False)
        )
        if base.cost is not None or new.cost is not None:
            costs = [UNKNOWN if row.cost is None else row.cost.per_correct_usd for row in (base, new)]
            told = (written(cost, DOLLARS_WITH_ERROR).value for cost in costs)
            lines.append(("$/1000 corr.", next(told), next(told), pair.cost_per_correct, False))
    return lines


def _both(before: Estimate, after: Estimate) -> tuple[str, str]:
    return seconds_with_error(before), seconds_with_error(after)


def _counts(before: Estimate, after: Estimate) -> tuple[str, str]:
    return sign_of(before) + digits(before.value, 3), sign_of(after) + digits(after.value, 3)
