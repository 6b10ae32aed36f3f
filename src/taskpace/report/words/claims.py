"""What is claimed about the task times of two systems, or why nothing is."""

from __future__ import annotations

from taskpace.analysis.schema.summary import MeasuredRow
from taskpace.analysis.stats.estimates import Bound, Estimate, mirrored
from taskpace.analysis.table.comparison import Comparison
from taskpace.analysis.table.validity import cut_remedies
from taskpace.report.words.commands import NO_FILES, Files, with_files
from taskpace.report.words.figures import RATIO, within

_AT = {">=": "at least ", "<=": "at most ", None: ""}


def at_least(bound: Bound | None) -> str:
    """``at least``, ``at most`` or nothing, before a number in a sentence."""
    return _AT[bound]


def claim(names: tuple[str, str], task_time: Comparison) -> str:
    """Who finishes sooner, by how much, and whether that is on average or on most items; empty without a claim.

    ``names``: of ``a`` and ``b`` of the pair.
    """
    if task_time.lower is None:
        return ""
    sooner, later = names if task_time.lower == "a" else names[::-1]
    first = f"{sooner} finishes sooner than {later}"
    if task_time.basis == "most":
        return f"{first} on most items."
    change = task_time.change if task_time.lower == "a" else _inverse(task_time.change)
    if change.value is None or change.bound == "<=":
        return f"{first} on average."
    interval = "" if change.bound else within(change, RATIO.write)
    return f"{first} on average: {later} takes {at_least(change.bound)}{change.value:.2f} times as long{interval}."


def open_verdict(
    names: tuple[str, str],
    task_time: Comparison,
    rows: tuple[MeasuredRow, MeasuredRow],
    files: Files = NO_FILES,
) -> str:
    """That the cut answers decide, how many there are, and what to do.

    Args:
        names: of the two systems.
        task_time: their comparison.
        rows: of the two, for the remedies.
        files: their run files, for the commands; null: unknown, or one for both that is put in later.
    """
    counts = zip(names, (task_time.cut_a, task_time.cut_b), strict=True)
    cut = ", ".join(f"{count} of {name}" for name, count in counts if count)
    of_each = (
        with_files(remedy, file) for row, file in zip(rows, files, strict=True) for remedy in cut_remedies([row])
    )
    remedies = " or ".join(dict.fromkeys(of_each))
    return f"{names[0]} or {names[1]}: open. The cut answers decide ({cut}): {remedies}."


def rests_on_cuts(task_time: Comparison) -> bool:
    """Whether some answers were cut, or items are few, so that a claim needs its basis said."""
    return task_time.basis == "most" or task_time.cut_a + task_time.cut_b > 0


def _inverse(change: Estimate) -> Estimate:
    value, high, low = (None if not end else 1 / end for end in (change.value, change.low, change.high))
    return Estimate(value, low, high, mirrored(change.bound))
