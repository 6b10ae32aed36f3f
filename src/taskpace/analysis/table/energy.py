"""Joules of a cell, by task and by correct answer."""

from __future__ import annotations

from taskpace.analysis.schema.summary import Energy
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.telemetry import Window


def find_energy(
    windows: list[Window | None], trials: int, accuracy: Estimate, *, alone: bool
) -> tuple[Energy | None, str | None]:
    """The energy of a cell, or why there is none.

    Args:
        windows: of the segments that make up the cell; null where energy was not asked for.
        trials: recorded in the cell.
        accuracy: with its interval, which is all that is uncertain in joules per correct answer: the energy is the
            whole cell's and is known.
        alone: one task at a time, so that a task's energy is its own and not its share.
    """
    asked = [window for window in windows if window is not None]
    if not asked:
        return None, None
    missing = "; ".join(dict.fromkeys(why for window in asked for why in window.missing))
    names = [tuple(reading.name for reading in window.readings) for window in asked]
    if not names[0]:
        return None, missing or "no counter"
    if len(set(names)) > 1:
        return None, "the sessions of this cell read different counters: run it again"
    counted = sum(window.trials for window in asked)
    if counted != trials or not trials:
        return None, f"it was read during {counted} of {trials} trials alone: run the cell in one session"
    readings = [reading for window in asked for reading in window.readings]
    gross_j = sum(reading.joules for reading in readings)
    idle_j = _idle_j(asked)
    net_j = None if idle_j is None else gross_j - idle_j
    return (
        Energy(
            counters=names[0],
            covers=tuple(dict.fromkeys(reading.covers for reading in readings)),
            kind="measured" if alone else "allocated",
            seconds=sum(window.seconds for window in asked),
            gross_j=gross_j,
            net_j=net_j,
            gross_per_task_j=gross_j / trials,
            net_per_task_j=None if net_j is None else net_j / trials,
            gross_per_correct_j=_per_correct(gross_j / trials, accuracy),
            net_per_correct_j=UNKNOWN if net_j is None else _per_correct(net_j / trials, accuracy),
            temperature_max_c=max(
                (reading.temperature_max_c for reading in readings if reading.temperature_max_c is not None),
                default=None,
            ),
            throttling=tuple(dict.fromkeys(word for reading in readings for word in reading.throttling)),
        ),
        missing or None,
    )


def _idle_j(windows: list[Window]) -> float | None:
    """What the machine would have taken with nothing to do: the mean of idle power before and after, times the time."""
    total = 0.0
    for window in windows:
        for reading in window.readings:
            if reading.idle_before_w is None or reading.idle_after_w is None:
                return None
            total += window.seconds * (reading.idle_before_w + reading.idle_after_w) / 2
    return total


def _per_correct(per_task_j: float, accuracy: Estimate) -> Estimate:
    def over(share: float | None) -> float | None:
        return per_task_j / share if share else None

    if not accuracy.value:
        return UNKNOWN
    ends = (over(accuracy.high), over(accuracy.low))
    low, high = ends if per_task_j >= 0 else ends[::-1]
    return Estimate(value=over(accuracy.value), low=low, high=high)
