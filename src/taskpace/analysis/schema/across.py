"""Views across rows: several loads, settings, forms of a system, or tasks. Part of the summary's published schema."""

from __future__ import annotations

from typing import Literal

import msgspec

from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.comparison import Comparison


class LoadPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario of a load sweep."""

    scenario: str
    """`single`, `concurrency=N` or `rate=R`."""
    load: float
    """Requests in flight, arrivals per second, or items in a static batch."""
    valid: bool
    """No reason invalidates the cell's result."""
    task_time_median_s: Estimate
    """As in the cell's row."""
    task_time_mean_s: Estimate
    """In seconds."""
    tasks_per_hour: float | None
    """Recorded trials / makespan."""
    in_flight_mean: float | None
    """Tasks per second x mean task time (Little's law): in an open loop, how many were waiting or being worked on."""
    goodput: Estimate
    """Share of trials that ended correctly within the deadline."""
    good_per_hour: float | None
    """Tasks per hour x goodput."""
    power: Estimate
    """Tasks per second / mean task time (Kleinrock 1979)."""
    peak_rss_bytes: int | None
    """As in the cell's row."""
    device_peak_bytes: int | None
    """As in the cell's row."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One system on one task under more and more load."""

    task: str
    """The task's name."""
    system: str
    """The system's name."""
    kind: Literal["concurrency", "rate", "batch"]
    """Of load: requests in flight, arrivals per second, or items in a static batch."""
    points: tuple[LoadPoint, ...]
    """By load, ascending."""
    knee: str | None
    """The valid scenario of the greatest power; null where that is the greatest load, so the knee lies beyond."""
    indistinguishable_from_knee: tuple[str, ...]
    """Scenarios whose power may as well be the greatest: the intervals overlap."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """How one measure moves from one system to another, paired by item."""

    change: Estimate
    """A ratio, new over base; of accuracy the difference."""
    significant: bool
    """At 5 %, all pairs of the table considered (Holm)."""
    lower: Literal["base", "new"] | None
    """Which of the two is claimed to have the smaller value; null: neither."""
    open: bool
    """Not claimed, and the cut answers decide (``Comparison.open``)."""
    items: int
    """On which both are known."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a sweep against its first, on one task in one scenario."""

    setting: str
    """What differs between the two systems, and nothing else does."""
    task: str
    """The task's name."""
    scenario: str
    """The scenario's name."""
    base_system: str
    """The first of the sweep."""
    base_value: str
    """Its value of the setting."""
    system: str
    """The other one."""
    value: str
    """Its value."""
    valid: bool
    """Both rows are VALID."""
    task_time: Change
    """Ratio of geometric means."""
    output_bytes: Change
    """Ratio of geometric means of visible bytes."""
    tokens_per_s: Change
    """Ratio of geometric means of decode speed: the per-token speed-up."""
    accuracy: Change
    """Difference of the shares of correct trials."""


class BriefForm(msgspec.Struct, frozen=True, kw_only=True):
    """A system that is asked to be brief against itself, on one task in one scenario."""

    plain: str
    """The system as it is."""
    brief: str
    """The system that is asked to be brief."""
    max_tokens: int | None
    """The limit that it also has; null: the task's."""
    valid: bool
    """Both rows are VALID."""
    truncated_plain: float
    """Share of the plain one's trials that were truncated."""
    truncated_brief: float
    """Share of the brief one's."""
    task_time: Change
    """Ratio of geometric means."""
    seconds: Estimate | None
    """Mean difference of task times, brief less plain; null without common items."""
    output_bytes: Change
    """Ratio of geometric means of visible bytes."""
    accuracy: Change
    """Difference of the shares of correct trials."""
    time_per_correct: Change
    """Ratio."""
    cost_per_correct: Change
    """Ratio; unknown unless both have a price."""


class BriefRanking(msgspec.Struct, frozen=True, kw_only=True):
    """Two systems, and which finishes first."""

    one: str
    """The first one's name, as it is."""
    other: str
    """The other one's."""
    max_tokens: int | None
    """The limit of the brief forms."""
    first_plain: str | None
    """The quicker one by itself; null: they cannot be distinguished (5 %, Holm), or a row is INVALID."""
    first_brief: str | None
    """The quicker one when both are asked to be brief."""


class Brevity(msgspec.Struct, frozen=True, kw_only=True):
    """What the request to be brief does on one task in one scenario."""

    task: str
    """The task's name."""
    scenario: str
    """The scenario's name."""
    forms: tuple[BriefForm, ...]
    """By system."""
    rankings: tuple[BriefRanking, ...]
    """Of every two systems."""


class OverallRow(msgspec.Struct, frozen=True, kw_only=True):
    """One system over all tasks that have right answers. The time never stands without the accuracy beside it."""

    system: str
    """The system's name."""
    time_per_correct: Comparison
    """Geometric mean over the tasks of the ratio of times per correct answer, this system's over the reference's."""
    cost_per_correct: Comparison
    """Geometric mean of the ratios of costs per correct answer; unknown unless both have a price on every task."""
    accuracy: Estimate
    """Mean of the tasks' accuracies: each task counts the same, however many items it has."""
    missing: str | None
    """Why there is no ratio, such as an INVALID task; null: there is one, though it may be a bound."""


class Overall(msgspec.Struct, frozen=True, kw_only=True):
    """The systems over several tasks in one scenario. The tasks are taken as given: intervals are over their items."""

    scenario: str
    """The scenario's name."""
    tasks: tuple[str, ...]
    """Those that have right answers, two or more."""
    reference: str
    """What the others are compared with: the experiment's first system, or the one that was asked for."""
    rows: tuple[OverallRow, ...]
    """In the experiment's order."""
