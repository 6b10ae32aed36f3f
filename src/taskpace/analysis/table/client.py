"""What limits the claims about a cell because of taskpace: a client that was late, busy, or on several clocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np

from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.columns import Trials
from taskpace.analysis.data.makespan import CLOCK_LIMIT, makespan_error_s, makespan_s
from taskpace.analysis.schema.summary import Reason
from taskpace.analysis.stats.quantiles import at_share
from taskpace.analysis.table.again import again
from taskpace.telemetry import ClientMetrics

LAG_LIMIT = 0.05
"""Of the task time, in one of ten trials."""
BUSY_LIMIT = 0.9
"""Of one core."""
LATE_STAMP_NS, LATE_STAMP_CPU, LEAST_LOOKS = 2_000_000, 0.1, 100
"""A loop that wakes up so late in one of a hundred looks stamps as late. Less than half of the 5 ms that stamps are
held to, so that the caution comes before results suffer, and twice the millisecond to which a look is timed: where the
process was at work for a tenth of a core and more, as with thousands of events per second, or where it is more than
``LAG_LIMIT`` of TTFT, whoever took the processor.
"""


def against_result(code: str, text: str, remedy: str) -> Reason:
    """A reason that leaves nothing to claim."""
    return Reason(code=code, text=text, remedy=remedy, invalidates="result")


def lateness(trials: Trials, cell: CellPlan) -> Iterator[Reason]:
    """What each trial's own stamps show: the client was late, or its requests left late."""
    for column, code, what in (
        ("loop_lag_s", "client-lag", "taskpace itself was late"),
        ("send_delay_s", "send-delay", "requests left late"),
    ):
        if not trials.greatest(column) > 0:
            continue
        # What a retried trial waited for was the server.
        first = trials["attempt"] == 1
        with np.errstate(divide="ignore", invalid="ignore"):
            share = trials[column] / trials["task_time_s"]
        if not (first & (share > LAG_LIMIT)).any():
            continue
        known = share[first & ~np.isnan(share)]
        if (tenth := float(np.quantile(known, 0.9))) > LAG_LIMIT:
            yield against_result(
                code,
                f"{what}: by {100 * tenth:.0f} % of the task time or more in one of ten trials",
                f"leave the client more processor time, or lower the load, then {again(cell)}",
            )


class _Fared(NamedTuple):
    """How a client fared that had a machine for itself."""

    where: str
    """For a sentence: on which node, of several that shared the load."""
    processes: int
    process: float
    """Of the time, the part in which one of its processes was at work."""
    core: float
    """Of a core's time, however many processes share the work: that much of it makes the lag the client's own."""
    lag_ns: int

    @classmethod
    def of(cls, node: int | None, segments: Sequence[ClientMetrics]) -> Self:
        cpu_ns = sum(segment.client_cpu_ns for segment in segments)
        all_ns = sum(segment.wall_ns * segment.processes for segment in segments)
        lags = [each.loop_lag_p99_ns for each in segments if each.lag_samples >= LEAST_LOOKS and each.loop_lag_p99_ns]
        return cls(
            where=f" on node {node}" if node else "",
            processes=max(segment.processes for segment in segments),
            process=cpu_ns / all_ns if all_ns else 0.0,
            core=cpu_ns / max(1, sum(segment.wall_ns for segment in segments)),
            lag_ns=max(lags, default=0),
        )


def business(trials: Trials, cell: CellPlan) -> Iterator[Reason]:
    """One thread sends, stamps and reads: when a core has no more to give, the client is what is measured.

    Of several nodes that share a load each is a client of its own, and one that is late is enough.
    """
    by_node: dict[int | None, list[ClientMetrics]] = {}
    for segment in cell.segments:
        by_node.setdefault(segment.node, []).append(segment)
    clients = [_Fared.of(node, of_node) for node, of_node in by_node.items()]
    busiest = max(clients, key=lambda client: client.process, default=None)
    if busiest is not None and busiest.process > BUSY_LIMIT:
        yield against_result(
            "client-cpu",
            f"taskpace was the bottleneck: its process{busiest.where} was at work for {100 * busiest.process:.0f} % of "
            "the time",
            f"lower the load, or share it among more `processes` on a machine with more cores, then {again(cell)}",
        )
        return
    late = [client for client in clients if client.lag_ns > LATE_STAMP_NS]
    if not late:
        return
    ttft_s = np.sort(trials.known("ttft_s"))
    much_s = LAG_LIMIT * at_share(ttft_s, 0.5) if len(ttft_s) else math.inf
    too_late = [client for client in late if client.lag_ns / 1e9 > much_s or client.core > LATE_STAMP_CPU]
    worst = max(too_late, key=lambda client: client.lag_ns, default=None)
    if worst is not None:
        who = "its process was" if worst.processes == 1 else f"its {worst.processes} processes together were"
        yield Reason(
            code="late-stamps",
            text=f"taskpace stamped one arrival in a hundred {worst.lag_ns / 1e6:.1f} ms late or more{worst.where} "
            f"({who} at work for {100 * worst.core:.0f} % of a core's time)",
            remedy="leave the client more processor time, lower the load, or share it among more `processes`, "
            f"then {again(cell)}",
            invalidates="absolute seconds",
        )


def clocks(trials: Trials, cell: CellPlan) -> Iterator[Reason]:
    """The clocks of nodes that shared a load are not known well enough for its makespan."""
    error_s = makespan_error_s(trials.frame, cell.segments)
    whole_s = makespan_s(trials, cell.planned) if error_s else None
    if whole_s is not None and error_s > CLOCK_LIMIT * whole_s:
        yield Reason(
            code="clocks",
            text=f"the clocks of its nodes leave {1e3 * error_s:.3g} ms of {whole_s:.3g} s in doubt",
            remedy=f"ask more items, or take machines with a shorter way between them, then {again(cell)}",
            invalidates="makespan",
        )
