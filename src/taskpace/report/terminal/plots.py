"""Charts for a terminal: tokens per second against task time, the two rankings, solve curves, how pairs settled.

A system is a letter in them, told in the line above; colour only repeats what the letter says.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Sequence
from itertools import pairwise
from textwrap import wrap

import msgspec
from plotille import Canvas
from rich.text import Text

from taskpace.analysis.schema.summary import SystemRow, TaskTable
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.pairs import Pair
from taskpace.report.terminal.settling import settling_lines
from taskpace.report.words.figures import digits, seconds, shared_ranks
from taskpace.report.words.rankings import (
    by_task_time,
    by_tokens_per_s,
    inverted_pairs,
    with_both_ranks,
    with_both_speeds,
)
from taskpace.text.safe_text import column_width, one_line, padded

_LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
_COLOURS = ("blue", "yellow", "green", "magenta", "cyan", "red")
_HEIGHT = 12
_WIDEST = 100
_MARGIN = 9
"""Columns left of a plot, for the numbers of its vertical axis."""
_TICKS = (0.0, 0.5, 1.0)
"""Where an axis has numbers, as shares of its length."""
_LINKS = 24
"""Columns between the two rankings."""


def plot_lines(table: TaskTable, width: int) -> Iterator[Text]:
    """All plots of a table that have something to show, at most ``width`` columns wide.

    More systems than there are letters, digits among them, are more than a terminal can show: no plot then.
    """
    if len(table.rows) > len(_LETTERS):
        return
    letters = dict(zip((row.system for row in table.rows), _LETTERS, strict=False))
    for plot in (_speed, _ranks, _solve):
        lines = list(plot(table, letters, min(width, _WIDEST)))
        if lines:
            yield Text()
            yield from lines
    if lines := list(settling_lines(table, min(width, _WIDEST))):
        yield Text()
        yield from lines


class _Axis(msgspec.Struct, frozen=True):
    """From data to places along an axis, logarithmic when the data span more than a factor of eight."""

    low: float
    high: float
    log: bool

    def place(self, value: float) -> float:
        return math.log(value) if self.log else value

    def value(self, share: float) -> float:
        """What is at a share of the way from ``low`` to ``high``."""
        at = self.place(self.low) + share * (self.place(self.high) - self.place(self.low))
        return math.exp(at) if self.log else at

    @property
    def ends(self) -> tuple[float, float]:
        return self.place(self.low), self.place(self.high)


def _axis(values: Sequence[float]) -> _Axis:
    low, high = min(values), max(values)
    log = low > 0 and high > 8 * low
    if log:
        return _Axis(low / 1.1, high * 1.1, log)
    room = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return _Axis(low - room, high + room, log)


def _speed(table: TaskTable, letters: dict[str, str], width: int) -> Iterator[Text]:
    """Right has more tokens per second, down finishes sooner; with 95 % intervals."""
    shown = with_both_speeds(table)
    if not shown:
        return
    points = [(row, _range(row.tokens_per_s_median), _range(row.task_time_median_s)) for row in shown]
    x = _axis([end for _, speeds, _ in points for end in speeds])
    y = _axis([end for *_, times in points for end in times])
    canvas = _canvas(width, x.ends, y.ends)
    at: dict[tuple[int, int], str] = {}
    for row, (slow, speed, fast), (short, time, long) in points:
        colour = _colour(letters[row.system])
        canvas.line(x.place(slow), y.place(time), x.place(fast), y.place(time), color=colour)
        canvas.line(x.place(speed), y.place(short), x.place(speed), y.place(long), color=colour)
        right, up = canvas.dots_between(canvas.xmin, canvas.ymin, x.place(speed), y.place(time))
        cell = (right // 2, up // 4)  # systems in one place share it: their letters stand side by side
        at[cell] = at.get(cell, "") + letters[row.system]
        canvas.text(x.place(speed), y.place(time), at[cell], color=colour)
    yield _title("Tokens per second (right: faster) against task time (down: sooner)", width)
    yield from _key(shown, letters, width)
    yield from _framed(canvas, [seconds(y.value(share)) for share in _TICKS])
    yield _below(width, [digits(x.value(share), 3) for share in _TICKS], "tok/s")
    yield from _only_look_fast(inverted_pairs(table, shown), letters, width)


def _only_look_fast(pairs: list[Pair], letters: dict[str, str], width: int) -> Iterator[Text]:
    """Who finishes after whom in spite of more tokens per second."""
    sooner: dict[str, list[str]] = {}
    for pair in pairs:
        sooner.setdefault(letters[pair.b], []).append(letters[pair.a])
    told = "; ".join(f"{letter} finishes after {', '.join(sorted(sooner[letter]))}" for letter in sorted(sooner))
    for line in wrap(f"Only look fast: {told}", width) if told else ():
        yield Text(line, style="red")


def _ranks(table: TaskTable, letters: dict[str, str], width: int) -> Iterator[Text]:
    """A line for each system from its place by tokens per second to its place by task time."""
    shown = with_both_ranks(table)
    if len(shown) < 2:
        return
    left, right = by_tokens_per_s(shown), by_task_time(shown)
    ranks = (shared_ranks([row.rank_tokens_per_s for row in left]), shared_ranks([row.rank_task_time for row in right]))
    canvas = Canvas(_LINKS, len(shown), xmin=0, ymin=0, xmax=_LINKS * 2, ymax=len(shown) * 4)
    for place, row in enumerate(left):
        heights = [4 * (len(shown) - 1 - at) + 2 for at in (place, right.index(row))]
        canvas.line(0, heights[0], _LINKS * 2 - 1, heights[1], color=_colour(letters[row.system]))
    names = min(max(column_width(one_line(row.system)) for row in shown), (width - _LINKS) // 2 - 8)
    yield _title("The two rankings: by tokens per second, by task time", width)
    for place, line in enumerate(canvas.plot(linesep="\n").split("\n")):
        from_, to = left[place].system, right[place].system
        before = f"{padded(one_line(from_, names), names, right=True)} {letters[from_]}"
        after = f"{letters[to]} {one_line(to, names)}"
        yield (
            Text(f"{before} {ranks[0][place]:>3} ")
            .append(Text.from_ansi(line))
            .append(f" {ranks[1][place]:<3} {after}")
        )


def _solve(table: TaskTable, letters: dict[str, str], width: int) -> Iterator[Text]:
    """Share of items answered correctly within each deadline, as steps."""
    shown = [row for row in table.rows if row.solve_curve]
    if not shown or shown[0].solve_curve[0].deadline_s == shown[0].solve_curve[-1].deadline_s:
        return
    deadlines = [point.deadline_s for point in shown[0].solve_curve]
    top = 1.05 * max(point.share.value or 0.0 for row in shown for point in row.solve_curve) or 1.0
    x = _Axis(deadlines[0], deadlines[-1], log=True)
    canvas = _canvas(width, x.ends, (0.0, top))
    for row in shown:
        points = [(x.place(point.deadline_s), point.share.value or 0.0) for point in row.solve_curve]
        colour = _colour(letters[row.system])
        for (here, share), (there, following) in pairwise(points):
            canvas.line(here, share, there, share, color=colour)
            canvas.line(there, share, there, following, color=colour)
    for place, row in enumerate(shown):
        # Letters at places of their own: curves that run together can still be distinguished.
        letter = letters[row.system]
        for point in row.solve_curve[place :: len(shown) + 2]:
            if point.share.value:
                canvas.text(x.place(point.deadline_s), point.share.value, letter, color=_colour(letter))
    yield _title("Share of items answered correctly within a deadline", width)
    yield from _key(shown, letters, width)
    yield from _framed(canvas, [f"{100 * share * top:.0f} %" for share in _TICKS])
    yield _below(width, [seconds(x.value(share)) for share in _TICKS], "")


def _range(number: Estimate) -> tuple[float, float, float]:
    """Low, value, high; an end that is not known falls on the value."""
    value = number.value or 0.0
    return (value if number.low is None else number.low, value, value if number.high is None else number.high)


def _canvas(width: int, x: tuple[float, float], y: tuple[float, float]) -> Canvas:
    return Canvas(width - _MARGIN - 1, _HEIGHT, xmin=x[0], xmax=x[1], ymin=y[0], ymax=y[1])


def _title(text: str, width: int) -> Text:
    return Text(one_line(text, width), style="bold")


def _colour(letter: str) -> str:
    return _COLOURS[_LETTERS.index(letter) % len(_COLOURS)]


def _key(rows: Sequence[SystemRow], letters: dict[str, str], width: int) -> Iterator[Text]:
    """``A first system  B second system``, as many in a line as fit."""
    line = Text()
    for row in rows:
        name = one_line(row.system if row.valid else f"{row.system} (INVALID)", min(40, width - 4))
        entry = Text("  ").append(letters[row.system], style=_colour(letters[row.system])).append(f" {name}")
        if line.cell_len and line.cell_len + entry.cell_len > width:
            yield line
            line = Text()
        line.append(entry)
    yield line


def _framed(canvas: Canvas, labels: Sequence[str]) -> Iterator[Text]:
    """The canvas with its vertical axis: labels at the bottom, in the middle and at the top."""
    lines = canvas.plot(linesep="\n").split("\n")
    at = {len(lines) - 1: labels[0], len(lines) // 2: labels[1], 0: labels[2]}
    for place, line in enumerate(lines):
        mark = "┤" if place in at else "│"
        yield Text(f"{at.get(place, ''):>{_MARGIN - 1}} {mark}", style="dim").append(Text.from_ansi(line))


def _below(width: int, labels: Sequence[str], unit: str) -> Text:
    """The horizontal axis: labels left, in the middle and right."""
    room = width - _MARGIN - 1
    left, middle, right = labels[0], f"{labels[1]} {unit}".strip(), labels[2]
    gap = room - len(left) - len(middle) - len(right)
    return Text(" " * (_MARGIN + 1) + left + " " * (gap // 2) + middle + " " * (gap - gap // 2) + right, style="dim")
