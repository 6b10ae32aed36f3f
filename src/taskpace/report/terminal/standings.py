"""The answer while it forms: a line for each system, from the events of a run so far.

It is a first impression: what is claimed in the end is up to the analysis, which needs libraries that a run should not
wait for.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from math import comb, exp

import msgspec

from taskpace.records import CUT
from taskpace.runner.events import PairsStand, RunStarted, TrialFinished
from taskpace.text.safe_text import both_ends, column_width, one_line, padded

_ALPHA = 0.05
_MOST_SYSTEMS = 12
"""Lines that a display has; further systems are counted."""
_GRADED = frozenset({"correct", "wrong", "unparsed"})
_HEADINGS = ("done", "median", "correct", "s/correct", "so far")
_WIDTHS = (9, 8, 7, 11, 7)
_UNKNOWN = "–"
_EXACT = 500
"""Items up to which the sum of the binomial distribution is short enough to be drawn."""


class _System(msgspec.Struct):
    """What is known of one system."""

    planned: int = 0
    done: int = 0
    times: list[float] = []
    """Sorted seconds of this session's trials; of those without any, nothing is known."""
    spent_s: float = 0.0
    recorded: int = 0
    """Trials of this session of a task with right answers."""
    correct: int = 0


class Standings:
    """Keeps count, a little with each trial, so that drawing costs little however long the run is."""

    def __init__(self) -> None:
        self._systems: dict[str, _System] = {}
        self._graded: set[str] = set()
        self._asked: dict[tuple[str, str, str], dict[str, tuple[float, bool]]] = {}
        """Task, scenario and item -> each system's seconds, and whether these are only a lower bound."""
        self._sooner: dict[tuple[str, str], int] = {}
        """Two systems -> items on which the first one finished sooner, whatever a cut answer would have taken."""
        self._common: dict[tuple[str, str], int] = {}
        self._known_sooner: set[tuple[str, str]] | None = None
        """Of a run that ends when its ranking is settled: (one, two) where one is sooner, on the task at hand. Null: of
        other runs, whose items are counted here.
        """

    def take(self, event: RunStarted | TrialFinished | PairsStand) -> None:
        """Count an event."""
        if isinstance(event, PairsStand):
            self._known_sooner = {(pair.a, pair.b) for pair in event.pairs if pair.verdict == "a"}
            self._known_sooner |= {(pair.b, pair.a) for pair in event.pairs if pair.verdict == "b"}
            return
        if isinstance(event, RunStarted):
            self._systems = {}
            for system, _, _, planned, done in event.cells:
                known = self._systems.setdefault(system, _System())
                known.planned += planned
                known.done += done
            return
        known = self._systems.setdefault(event.system, _System())
        known.done += 1
        if event.outcome != "completed":
            known.recorded += 1
            known.correct += event.outcome == "correct"
        if event.outcome in _GRADED:
            self._graded.add(event.system)
        if event.task_time_s is None:
            return
        insort(known.times, event.task_time_s)
        known.spent_s += event.task_time_s if event.outcome != "completed" else 0.0
        self._compare(event, event.task_time_s)

    def _compare(self, event: TrialFinished, own_s: float) -> None:
        cut = event.outcome in CUT
        others = self._asked.setdefault((event.task, event.scenario, event.item_id), {})
        for other, (seconds, other_cut) in others.items():
            if other == event.system:
                continue
            for one, two, sooner in (
                (event.system, other, own_s < seconds and not cut),
                (other, event.system, seconds < own_s and not other_cut),
            ):
                self._sooner[one, two] = self._sooner.get((one, two), 0) + sooner
                self._common[one, two] = self._common.get((one, two), 0) + 1
        # Of an item that is repeated the first time counts: repeats do not make a sample larger.
        others.setdefault(event.system, (own_s, cut))

    def lines(self, width: int) -> Iterator[str]:
        """A heading and a line for each system, at most ``width`` columns wide; nothing before the first trial."""
        if not any(system.times for system in self._systems.values()):
            return
        longest = max(column_width(one_line(name, width)) for name in self._systems)
        room = min(longest, max(8, width - sum(_WIDTHS) - 2 * len(_WIDTHS)))
        yield _line("", room, _HEADINGS)
        for name in list(self._systems)[:_MOST_SYSTEMS]:
            yield _line(name, room, self._cells(name))
        if (beyond := len(self._systems) - _MOST_SYSTEMS) > 0:
            yield f"and {beyond} more systems"

    def _cells(self, name: str) -> tuple[str, ...]:
        known = self._systems[name]
        count = len(known.times)
        median = (known.times[(count - 1) // 2] + known.times[count // 2]) / 2 if count else None
        graded = name in self._graded
        return (
            f"{known.done}/{known.planned}",
            _UNKNOWN if median is None else f"{median:.3g} s",
            f"{100 * known.correct / known.recorded:.0f} %" if graded else _UNKNOWN,
            f"{known.spent_s / known.correct:.3g} s" if graded and known.correct else _UNKNOWN,
            self._settled(name),
        )

    def _settled(self, name: str) -> str:
        """``leading`` where it finishes sooner than every other, ``behind`` where another does than it, else ``~``."""
        others = [other for other in self._systems if other != name]
        if not others:
            return ""
        if any(self._finishes_sooner(other, name, len(others)) for other in others):
            return "behind"
        return "leading" if all(self._finishes_sooner(name, other, len(others)) for other in others) else "~"

    def _finishes_sooner(self, one: str, two: str, family: int) -> bool:
        """As it stands, where that is looked at after every item; else the sign test over common items at 5 %, divided
        among the comparisons of a system (Bonferroni).
        """
        if self._known_sooner is not None:
            return (one, two) in self._known_sooner
        n, k = self._common.get((one, two), 0), self._sooner.get((one, two), 0)
        return n > 0 and 2 * k > n and 2 * _tail(n, k) <= _ALPHA / family


def _tail(n: int, k: int) -> float:
    """P(Binomial(n, 1/2) >= k)."""
    if n > _EXACT:
        # Hoeffding's bound, which errs on the safe side.
        return exp(-2 * (k - n / 2) ** 2 / n)
    beyond: int = sum(comb(n, j) for j in range(k, n + 1))
    return float(beyond / 2**n)


def _line(name: str, room: int, cells: tuple[str, ...]) -> str:
    """A name, then cells at the right of their columns."""
    shown = (padded(one_line(cell, width), width, right=True) for cell, width in zip(cells, _WIDTHS, strict=True))
    return f"{padded(both_ends(name, room), room)}  {'  '.join(shown)}"
