"""Joules in sentences: how much, of what, and why some are missing."""

from __future__ import annotations

from taskpace.analysis.schema.summary import Energy, Summary, TaskTable
from taskpace.report.words.figures import THREE_DIGITS, digits, within

LEGEND = (
    "J: gross, all that the named counters counted from the first dispatch to the last end, idle power included; net: "
    "less the mean idle power before and after; allocated: an equal share of what tasks took together."
)


def energy_lines(table: TaskTable) -> list[str]:
    """One for each system whose energy was asked for; systems with the same gap share one."""
    said = [f"{row.system}: {energy_sentence(row.energy)}" for row in table.rows if row.energy is not None]
    gaps: dict[tuple[bool, str], list[str]] = {}
    for row in table.rows:
        if row.energy_missing is not None:
            gaps.setdefault((row.energy is None, row.energy_missing), []).append(row.system)
    return said + [
        f"{', '.join(names)}: {'no energy' if whole else 'energy, not counted'}: {why}."
        for (whole, why), names in gaps.items()
    ]


def energy_legend(summary: Summary) -> str:
    """``LEGEND`` where some energy was measured, else nothing."""
    return LEGEND if any(row.energy for table in summary.tables for row in table.rows) else ""


def energy_sentence(energy: Energy) -> str:
    """``1.32 J a task (0.41 net of idle), 5.3 (3.1 to 9.9) J a correct answer: CPU package, measured.``"""
    net = "" if energy.net_per_task_j is None else f" ({digits(energy.net_per_task_j, 3)} net of idle)"
    correct = energy.gross_per_correct_j
    per_correct = (
        ""
        if correct.value is None
        else f", {digits(correct.value, 3)}{within(correct, THREE_DIGITS.write)} J a correct answer"
    )
    heat = "" if energy.temperature_max_c is None else f"; at most {energy.temperature_max_c:.0f} °C"
    held = f"; clock held back: {', '.join(energy.throttling)}" if energy.throttling else ""
    return (
        f"{digits(energy.gross_per_task_j, 3)} J a task{net}{per_correct}: {' and '.join(energy.covers)}, "
        f"{energy.kind}, {digits(energy.gross_j / energy.seconds if energy.seconds else None, 3)} W on average"
        f"{heat}{held}."
    )
