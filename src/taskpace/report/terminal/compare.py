"""A comparison as tables for a terminal: base, new, and the change, or ``~`` where there may be none."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from taskpace.analysis.compare import ComparedCell, ComparedRuns, Condition
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.pairs import Comparison
from taskpace.report.words.figures import (
    UNKNOWN,
    digits,
    outcomes_in_words,
    reason_line,
    seconds_with_error,
    share_with_error,
)
from taskpace.report.words.sentences import not_distinguished, why
from taskpace.text.safe_text import column_width, one_line, printable

_MANY_TIMES = 4.0
"""From here on a ratio reads better as "4 times" than in per cent."""
_WIDEST_NAME = 16
_ROOM_FOR_P = 96


def print_comparison(compared: ComparedRuns, console: Console) -> None:
    """Print every cell, then what else differs."""
    for cell in compared.cells:
        _print_cell(compared, cell, console)
    console.print()
    for note in compared.notes:
        console.print(Text(printable(f"note: {note}"), style="yellow"))
    legend = (
        "Medians with 95 % intervals; change: ratio of geometric means over paired items (accuracy: points), with its "
        f"95 % interval. ~: not significant at 5 % (p after Holm over {len(compared.cells)} "
        f"comparison{'s' if len(compared.cells) > 1 else ''})."
    )
    console.print(Text(legend, style="dim"))


def failure_line(cell: ComparedCell, condition: Condition) -> str:
    """``FAILED: task_time > 5%: mmlu-letter · single · smollm2: +9.8 % (+5.5 to +14)``."""
    change, _ = change_in_words(
        getattr(cell.pair, condition.measure), points=condition.measure == "accuracy", with_p=False
    )
    return f"FAILED: {condition.text}: {cell.task} · {cell.scenario} · {cell.new_system}: {change}"


def _print_cell(compared: ComparedRuns, cell: ComparedCell, console: Console) -> None:
    names = _names(compared, cell)
    console.print()
    title = f"{cell.task} · {cell.scenario} · {cell.pair.task_time.items} paired items"
    console.print(Text(one_line(title, console.width), style="bold"), soft_wrap=True)
    heading = f"{'':12}  {_fit(names[0])}  {_fit(names[1])}  change"
    console.print(Text(heading, style="dim"), soft_wrap=True)
    for label, before, after, comparison, points in _lines(cell):
        change, style = change_in_words(comparison, points=points, with_p=console.width >= _ROOM_FOR_P)
        text = Text(f"{label:12}  {before:<{_WIDEST_NAME}}  {after:<{_WIDEST_NAME}}  ")
        text.append(change, style=style)
        console.print(text, soft_wrap=True)
    for name, row in zip(names, (cell.base, cell.new), strict=True):
        console.print(Text(printable(f"{name}: {outcomes_in_words(row)}"), style="dim"))
        for reason in row.reasons:
            console.print(Text(printable(f"{name}: {reason_line(reason)}"), style="yellow"))
    if cell.pair.split is not None and cell.pair.task_time.change.value is not None:
        console.print(Text(printable(why(*names, cell.pair.split, cell.pair.output_bytes))))
    if cell.valid and not cell.pair.task_time.significant and (note := not_distinguished(names, cell.pair)):
        console.print(Text(printable(note)))


def _names(compared: ComparedRuns, cell: ComparedCell) -> tuple[str, str]:
    if cell.base_system != cell.new_system:
        return cell.base_system, cell.new_system
    return f"{compared.base}:{cell.base_system}", f"{compared.new}:{cell.new_system}"


def _fit(name: str) -> str:
    """The end of a name says more than its beginning: runs of one project have the same."""
    name = printable(name)
    short = one_line(name if column_width(name) <= _WIDEST_NAME else "…" + name[-_WIDEST_NAME + 1 :], _WIDEST_NAME)
    return short + " " * (_WIDEST_NAME - column_width(short))


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
    return lines


def _both(before: Estimate, after: Estimate) -> tuple[str, str]:
    return seconds_with_error(before), seconds_with_error(after)


def _counts(before: Estimate, after: Estimate) -> tuple[str, str]:
    return digits(before.value, 3), digits(after.value, 3)


def change_in_words(comparison: Comparison | None, *, points: bool, with_p: bool) -> tuple[str, str]:
    """``+142 % (+130 to +155), p < 0.001`` and a style; ``~`` first where the change is not significant."""
    if comparison is None:
        return "", ""
    change = comparison.change
    if change.value is None:
        return UNKNOWN, "dim"
    many = not points and change.value >= _MANY_TIMES
    shift = 0 if points or many else -1
    scale = 1 if many else 100
    unit = "points" if points else "times" if many else "%"
    value, low, high = (
        "?" if end is None else _signed(scale * (end + shift), signed=not many)
        for end in (change.value, change.low, change.high)
    )
    spread = "" if change.low is None and change.high is None else f" ({low} to {high})"
    p = comparison.p_holm if comparison.p_holm is not None else comparison.p
    known = "" if p is None or not with_p else f", p {'< 0.001' if p < 0.001 else f'= {p:.2g}'}"
    text = f"{value} {unit}{spread}{known}"
    if comparison.significant:
        return text, "bold"
    if comparison.p is not None and comparison.p_holm is None:
        return f"INVALID {text}", "yellow"
    return f"~ {text}", "dim"


def _signed(value: float, *, signed: bool) -> str:
    digits = 0 if abs(value) >= 10 else 1
    return f"{value:{'+' if signed else ''}.{digits}f}"
