"""More and more load on one system, as a table and in a sentence."""

from __future__ import annotations

from taskpace.analysis.schema.across import Load, LoadPoint
from taskpace.report.words.figures import UNKNOWN, digits, seconds, seconds_with_error, share_with_error

HEADINGS = ("scenario", "task time", "tasks/h", "in flight", "in time", "good/h", "power", "memory", "GPU memory")
KINDS = {"concurrency": "requests in flight", "rate": "arrivals per second", "batch": "items in a batch"}
LEGEND = (
    "in flight: mean number, waiting or being worked on; in time: correct within the deadline; power: tasks per second "
    "/ mean task time, greatest at the knee (Kleinrock 1979); memory: the most that the worker had resident."
)


def load_title(load: Load) -> str:
    return f"{load.task} · {load.system} · more and more {KINDS[load.kind]}"


def load_rows(load: Load) -> list[tuple[str, ...]]:
    """Cells for ``HEADINGS``; unknown is a dash."""
    return [_row(point, load.knee) for point in load.points]


def _row(point: LoadPoint, knee: str | None) -> tuple[str, ...]:
    return (
        point.scenario + (" (knee)" if point.scenario == knee else "") + ("" if point.valid else " (INVALID)"),
        seconds_with_error(point.task_time_median_s),
        digits(point.tasks_per_hour, 3),
        digits(point.in_flight_mean, 2),
        share_with_error(point.goodput) if point.goodput.value is not None else UNKNOWN,
        digits(point.good_per_hour, 3),
        digits(point.power.value, 2),
        _gigabytes(point.peak_rss_bytes),
        _gigabytes(point.device_peak_bytes),
    )


def load_sentence(load: Load) -> str:
    """Where the knee is, and how sure that is."""
    known = [point for point in load.points if point.valid and point.power.value is not None]
    if len(known) < 2:
        return "No knee: fewer than two loads are VALID."
    if load.knee is None:
        return f"No knee up to {known[-1].scenario}: more load still brings more throughput than it costs time."
    point = next(point for point in known if point.scenario == load.knee)
    alike = (
        f" It cannot be told from {', '.join(load.indistinguishable_from_knee)}."
        if load.indistinguishable_from_knee
        else ""
    )
    most = max(known, key=lambda point: point.tasks_per_hour or 0.0)
    beyond = (
        f"; at {most.scenario} it finishes {digits(most.tasks_per_hour, 3)} an hour, each in "
        f"{seconds(most.task_time_median_s.value)}"
        if most is not point
        else ""
    )
    return (
        f"The knee is at {load.knee}: {digits(point.tasks_per_hour, 3)} tasks an hour, each in "
        f"{seconds(point.task_time_median_s.value)}{beyond}.{alike}"
    )


def _gigabytes(size: int | None) -> str:
    return UNKNOWN if size is None else f"{size / 1e9:.2f} GB"
