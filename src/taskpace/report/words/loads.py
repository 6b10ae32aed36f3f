"""More and more load on one system, as a table and in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from taskpace.analysis.schema.across import Load, LoadPoint
from taskpace.analysis.schema.summary import Summary
from taskpace.analysis.stats.estimates import Estimate
from taskpace.report.words.block import INVALID, Block, Column, Name, Number
from taskpace.report.words.figures import (
    GIGABYTES,
    PERCENT_WITH_ERROR,
    SECONDS_WITH_ERROR,
    THREE_DIGITS,
    TWO_DIGITS,
    Form,
    digits,
    seconds_of,
)

KINDS = {"concurrency": "requests in flight", "rate": "arrivals per second", "batch": "items in a batch"}
_LEGEND = (
    "Under load: in flight: mean number, waiting or being worked on; in time: correct within the deadline; power: "
    "tasks per second / mean task time, greatest at the knee (Kleinrock 1979); memory: the most that the worker had "
    "resident."
)


def load_blocks(summary: Summary) -> Iterator[Block]:
    """One for each system and kind of load on each task."""
    for load in summary.loads:
        yield Block(
            title=f"{load.task} · {load.system} · more and more {KINDS[load.kind]}",
            columns=load_columns(load),
            paragraphs=(load_sentence(load),),
            legend=_LEGEND,
            chart="load",
        )


def load_columns(load: Load) -> tuple[Column, ...]:
    """A row for each load."""

    def column(heading: str, form: Form, read: Callable[[LoadPoint], Estimate]) -> Column:
        return Column(heading=heading, form=form, cells=tuple(Number(read(point)) for point in load.points))

    return (
        Column(heading="scenario", kind="text", cells=tuple(_name(point, load.knee) for point in load.points)),
        column("task time", SECONDS_WITH_ERROR, lambda point: point.task_time_median_s),
        column("tasks/h", THREE_DIGITS, lambda point: Estimate(point.tasks_per_hour)),
        column("in flight", TWO_DIGITS, lambda point: Estimate(point.in_flight_mean)),
        column("in time", PERCENT_WITH_ERROR, lambda point: point.goodput),
        column("good/h", THREE_DIGITS, lambda point: Estimate(point.good_per_hour)),
        column("power", TWO_DIGITS, lambda point: point.power),
        column("memory", GIGABYTES, lambda point: Estimate(point.peak_rss_bytes)),
        column("GPU memory", GIGABYTES, lambda point: Estimate(point.device_peak_bytes)),
    )


def _name(point: LoadPoint, knee: str | None) -> Name:
    marks = ("knee", point.scenario == knee), (INVALID, not point.valid)
    return Name(point.scenario, tuple(mark for mark, there in marks if there))


def load_sentence(load: Load) -> str:
    """Where the knee is, and how sure that is."""
    known = [point for point in load.points if point.valid and point.power.value is not None]
    if len(known) < 2:
        return "No knee: fewer than two loads are VALID."
    if load.knee is None:
        return f"No knee up to {known[-1].scenario}: more load still brings more throughput than it costs time."
    point = next(point for point in known if point.scenario == load.knee)
    alike = (
        f" It cannot be distinguished from {', '.join(load.indistinguishable_from_knee)}."
        if load.indistinguishable_from_knee
        else ""
    )
    most = max(known, key=lambda point: point.tasks_per_hour or 0.0)
    beyond = (
        f"; at {most.scenario} it finishes {digits(most.tasks_per_hour, 3)} an hour, each in "
        f"{seconds_of(most.task_time_median_s)}"
        if most is not point
        else ""
    )
    return (
        f"The knee is at {load.knee}: {digits(point.tasks_per_hour, 3)} tasks an hour, each in "
        f"{seconds_of(point.task_time_median_s)}{beyond}.{alike}"
    )
