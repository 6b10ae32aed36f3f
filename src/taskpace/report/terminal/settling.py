"""How pairs settled, for a terminal: the interval of each pair's ratio, a line for each of a few moments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from rich.text import Text

from taskpace.analysis.schema.summary import TaskTable
from taskpace.analysis.table.settled import PathLook
from taskpace.report.words.settling import MEASURED, PathShown, paths_shown
from taskpace.text.safe_text import both_ends, one_line

_MOST = 6
"""Pairs."""
_MOMENTS = (1 / 9, 1 / 3, 1.0)
"""Shown of each pair, as shares of the items at which it ended."""
_MARGIN = 8
"""Columns before the axis, for the number of items."""
_LONGEST = 10.0
"""Times the ratio, beyond which an interval's end is at the edge."""
_NARROWEST = 0.02
"""Of the ratio, which the axis has either side of 1."""


def settling_lines(table: TaskTable, width: int) -> Iterator[Text]:
    """Nothing where the number of items was fixed."""
    if table.settled is None:
        return
    drawn = [path for path in paths_shown(table.settled) if any(look.ratio is not None for look in path.looks)]
    if not drawn:
        return
    margin = table.settled.margin
    shown = [(path, _chosen(path)) for path in drawn[-_MOST:]]
    low, high = _ends([look for _, looks in shown for look in looks], margin)
    axis = _Axis(low, high, width - _MARGIN, margin)
    few = "" if len(drawn) <= _MOST else f": the {_MOST} of {len(drawn)} pairs that took longest"
    measured = MEASURED[table.settled.measure]
    yield Text(one_line(f"How the pairs settled by {measured}{few}", width), style="bold")
    for path, looks in shown:
        room = max(4, (width - len(path.joint) - len(path.verdict) - 4) // 2)
        yield Text(one_line(f"{path.pair(partial(both_ends, width=room))}: {path.verdict}", width))
        for look in looks:
            yield Text(f"{look.items:>{_MARGIN - 2}}  ", style="dim").append(axis.line(look), style="blue")
    yield Text(" " * _MARGIN).append(axis.numbers(), style="dim")
    told = "● slower one's time / quicker one's, and the interval that one may stop by"
    yield Text(one_line(told, width), "dim")
    edges = "" if margin is None else f"; between ┊ and ┊ the two are equivalent within {100 * margin:g} %"
    yield Text(one_line(f"│ the same time{edges}", width), "dim")


def _chosen(path: PathShown) -> list[PathLook]:
    """The last moment, and for each earlier one the look that is closest to it."""
    known = [look for look in path.looks if look.ratio is not None]
    wanted = [share * known[-1].items for share in _MOMENTS]

    def closest(at: float) -> PathLook:
        return min(known, key=lambda look: abs(look.items - at))

    return list(dict.fromkeys(map(closest, wanted)))


def _ends(looks: list[PathLook], margin: float | None) -> tuple[float, float]:
    found = [1 - _NARROWEST, 1 + _NARROWEST] if margin is None else [1 / (1 + margin), 1 + margin]
    for look in looks:
        ratio = look.ratio or 1.0
        found += [
            min(max(end, ratio / _LONGEST), ratio * _LONGEST) for end in (look.low, ratio, look.high) if end is not None
        ]
    return min(found), max(found)


class _Axis:
    """Logarithmic, of so many columns."""

    def __init__(self, low: float, high: float, columns: int, margin: float | None) -> None:
        self._low, self._high, self._last = low, high, columns - 1
        self._margin = margin

    def _place(self, ratio: float) -> int:
        share = math.log(ratio / self._low) / math.log(self._high / self._low)
        return round(min(max(share, 0.0), 1.0) * self._last)

    def line(self, look: PathLook) -> str:
        """``┊ │  ├──●──┤``; an end beyond the edge has no mark."""
        cells = [" "] * (self._last + 1)
        if self._margin is not None:
            cells[self._place(1 + self._margin)] = cells[self._place(1 / (1 + self._margin))] = "┊"
        low, high = (
            None if end is None or not self._low <= end <= self._high else self._place(end)
            for end in (look.low, look.high)
        )
        for column in range(0 if low is None else low, (self._last if high is None else high) + 1):
            cells[column] = "─"
        cells[self._place(1.0)] = "│"
        for end, mark in ((low, "├"), (high, "┤")):
            if end is not None:
                cells[end] = mark
        cells[self._place(look.ratio or 1.0)] = "●"
        return "".join(cells).rstrip()

    def numbers(self) -> str:
        """At both edges, and 1 where there is room."""
        left, right = f"{self._low:.2g}", f"{self._high:.2g}"
        cells = list(left.ljust(self._last + 1 - len(right)) + right)
        at = self._place(1.0)
        if len(left) + 1 < at < self._last - len(right) - 1:
            cells[at] = "1"
        return "".join(cells)
