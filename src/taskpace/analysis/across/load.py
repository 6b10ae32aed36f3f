"""One system on one task under more and more load: where more of it stops to pay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np

from taskpace.analysis.schema.across import Load, LoadPoint
from taskpace.analysis.schema.summary import SystemRow, TaskTable
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, number
from taskpace.experiment.scenario import Scenario

Kind = Literal["concurrency", "rate", "batch"]


def find_loads(tables: tuple[TaskTable, ...], scenarios: Mapping[str, Scenario]) -> tuple[Load, ...]:
    """Each system on each task that was run under two or more loads of one kind, by task, then kind, then system.

    Args:
        tables: of the summary.
        scenarios: by the name that the tables give them.
    """
    by_task: dict[tuple[str, Kind], list[tuple[float, TaskTable]]] = {}
    for table in tables:
        if scenarios[table.scenario].known:
            kind, load = _kind(scenarios[table.scenario])
            by_task.setdefault((table.task, kind), []).append((load, table))
    loads = []
    for (task, kind), swept in by_task.items():
        if len(swept) > 1:
            ordered = sorted(swept, key=lambda each: each[0])
            # Of imported logs a system may have some of the loads only.
            met = Counter(row.system for _, table in ordered for row in table.rows)
            loads += [_load(task, kind, name, ordered) for name, times in met.items() if times > 1]
    return tuple(loads)


def _kind(scenario: Scenario) -> tuple[Kind, float]:
    if scenario.batch is not None:
        return "batch", scenario.batch
    return ("concurrency", scenario.concurrency) if scenario.rate is None else ("rate", scenario.rate)


def _load(task: str, kind: Kind, system: str, swept: list[tuple[float, TaskTable]]) -> Load:
    points = tuple(
        _point(table.scenario, load, row) for load, table in swept for row in table.rows if row.system == system
    )
    knee, also = find_knee(points)
    return Load(task=task, system=system, kind=kind, points=points, knee=knee, indistinguishable_from_knee=also)


def _point(scenario: str, load: float, row: SystemRow) -> LoadPoint:
    per_hour, mean = row.tasks_per_hour, row.task_time_mean_s
    return LoadPoint(
        scenario=scenario,
        load=load,
        valid=row.valid,
        task_time_median_s=row.task_time_median_s,
        task_time_mean_s=mean,
        tasks_per_hour=per_hour,
        in_flight_mean=per_hour / 3600 * mean.value if per_hour is not None and mean.value is not None else None,
        goodput=row.goodput,
        good_per_hour=per_hour * row.goodput.value if per_hour is not None and row.goodput.value is not None else None,
        power=_power(per_hour, mean),
        peak_rss_bytes=row.client.peak_rss_bytes,
        device_peak_bytes=row.client.device_peak_bytes,
    )


def _power(per_hour: float | None, mean_s: Estimate) -> Estimate:
    """Throughput / delay, the makespan taken as it is: the interval is that of the mean task time."""
    if per_hour is None or not mean_s.value:
        return UNKNOWN
    low, high = (np.nan if end is None else per_hour / 3600 / end for end in (mean_s.high, mean_s.low or None))
    return number(per_hour / 3600 / mean_s.value, low, high)


def find_knee(points: tuple[LoadPoint, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The load with the greatest power, and those whose power cannot be distinguished from it (overlapping intervals).

    Power = throughput / mean time in system: below its greatest value more load costs little time, above it brings
    little throughput. Source: Kleinrock (1979), "Power and Deterministic Rules of Thumb for Probabilistic Problems in
    Computer Communications", ICC '79. No knee where the greatest load still has the most power: it lies beyond.
    """
    known = [point for point in points if point.power.value is not None and point.valid]
    if len(known) < 2:
        return None, ()
    best = max(known, key=lambda point: point.power.value or 0.0)
    if best is known[-1]:
        return None, ()
    least = best.power.low if best.power.low is not None else best.power.value or 0.0
    alike = [point for point in known if point is not best and (point.power.high or point.power.value or 0.0) >= least]
    return best.scenario, tuple(point.scenario for point in alike)
