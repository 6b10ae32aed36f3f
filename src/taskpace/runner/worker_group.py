"""Several workers that share one system's load and look like one: for when one core cannot send and read it all.

Their clocks are one clock: ``time.perf_counter_ns`` counts for the whole machine on Linux and macOS.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from taskpace.machine.clock import RealClock
from taskpace.runner.worker_process import WorkerDiedError, WorkerHandle
from taskpace.telemetry import ClientMetrics, Window, worst
from taskpace.worker.messages import CellEnded, Closed, FromWorker, Job, Open, Opened, RunCell, Stored, ToWorker

_POLL_S = 0.005
_START_NS = 100_000_000
"""From the message until the first arrival of an open loop, so that all have got it by then."""

_NO_ENERGY = Window(
    trials=0,
    seconds=0.0,
    missing=("several processes share the load, and none of them sees it all: set processes = 1",),
)


class WorkerGroup:
    """A ``WorkerHandle`` made of several.

    The first worker opens the engine alone; a server that it has started the others join. A cell's warm-ups are the
    first worker's too; then the jobs are dealt out in turn, and what is in flight is split as evenly as can be.
    """

    def __init__(self, launch: Callable[[], WorkerHandle], count: int) -> None:
        self._workers = [launch() for _ in range(count)]
        self._open: Open | None = None
        self._opened: list[Opened] = []
        self._waiting: RunCell | None = None
        """The cell proper, while its warm-ups are under way."""
        self._ended: list[CellEnded] = []
        self._parts = 0
        self._closed = 0
        self._energy = False

    def send(self, message: ToWorker) -> None:
        match message:
            case Open():
                self._open, self._opened = message, []
                self._workers[0].send(message)
            case RunCell():
                self._energy = message.energy
                self._start(msgspec.structs.replace(message, energy=False))
            case Stored():
                self._workers[0].send(message)
            case _:
                for worker in self._workers:
                    worker.send(message)

    def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
        deadline = time.monotonic() + timeout_s
        while True:
            passed_on: list[FromWorker] = []
            for number, worker in enumerate(self._workers):
                try:
                    said = worker.receive(0.0, gather_s)
                except WorkerDiedError:
                    if not passed_on:
                        raise
                    break  # what the others have finished comes first; the dead stay dead
                for message in said:
                    passed_on += self._take(number, message)
            if passed_on or time.monotonic() >= deadline:
                return passed_on
            time.sleep(_POLL_S)

    def end(self) -> None:
        for worker in self._workers:
            worker.end()

    def _start(self, message: RunCell) -> None:
        warm_ups = tuple(job for job in message.jobs if job.phase == "warm-up")
        self._ended = []
        if warm_ups and len(warm_ups) < len(message.jobs):
            jobs = tuple(job for job in message.jobs if job.phase != "warm-up")
            self._waiting = msgspec.structs.replace(message, jobs=jobs)
            message = msgspec.structs.replace(message, jobs=warm_ups)
            self._parts = 1
            self._workers[0].send(message)
            return
        parts = share(message, len(self._workers), RealClock.now_ns() + _START_NS)
        self._parts = len(parts)
        for worker, part in zip(self._workers, parts, strict=False):
            worker.send(part)

    def _take(self, number: int, said: FromWorker) -> list[FromWorker]:
        """What the run is to hear of it."""
        match said:
            case Opened():
                return self._take_opened(number, said)
            case CellEnded():
                return self._take_ended(said)
            case Closed():
                self._closed += 1
                return [said] if self._closed == len(self._workers) else []
            case _:
                return [said]

    def _take_opened(self, number: int, said: Opened) -> list[FromWorker]:
        assert self._open is not None  # noqa: S101 - it is the answer to that
        self._opened.append(said)
        if number == 0:
            spec = self._open.spec
            if said.info.join is not None:
                spec = msgspec.structs.replace(spec, options=said.info.join)
            for worker in self._workers[1:]:
                worker.send(Open(spec=spec))
        first = self._opened[0]
        details = first.info.details | {"processes": len(self._workers)}
        info = msgspec.structs.replace(first.info, details=details)
        return [msgspec.structs.replace(first, info=info)] if len(self._opened) == len(self._workers) else []

    def _take_ended(self, said: CellEnded) -> list[FromWorker]:
        if self._waiting is not None and said.unreachable is None and said.refused is None:
            waiting, self._waiting = self._waiting, None
            self._start(waiting)
            return []
        self._waiting = None
        self._ended.append(said)
        if len(self._ended) < self._parts:
            return []
        why = next((ended.unreachable for ended in self._ended if ended.unreachable is not None), None)
        refused = next((ended.refused for ended in self._ended if ended.refused is not None), None)
        client = merge([ended.client for ended in self._ended])
        if self._energy:
            client = msgspec.structs.replace(client, energy=_NO_ENERGY)
        return [CellEnded(client=client, unreachable=why, refused=refused)]


def share(message: RunCell, count: int, start_ns: int) -> list[RunCell]:
    """A cell in parts, one for each worker that has something to do. Pure.

    In a closed loop no more workers than requests in flight; in an open loop all begin at ``start_ns``.
    """
    open_loop = any(job.due_ns is not None for job in message.jobs)
    count = max(1, min(count, len(message.jobs), count if open_loop else message.concurrency))
    hands: list[list[Job]] = [[] for _ in range(count)]
    for number, job in enumerate(message.jobs):
        hands[number % count].append(job)
    return [
        msgspec.structs.replace(
            message,
            jobs=tuple(jobs),
            concurrency=message.concurrency // count + (number < message.concurrency % count) or 1,
            start_ns=start_ns if open_loop else None,
        )
        for number, jobs in enumerate(hands)
    ]


def merge(clients: list[ClientMetrics]) -> ClientMetrics:
    """How the client fared as a whole: times of all processes, and the worst of their lags."""
    return ClientMetrics(
        loop_lag_median_ns=worst(clients, "loop_lag_median_ns"),
        loop_lag_p99_ns=worst(clients, "loop_lag_p99_ns"),
        loop_lag_max_ns=worst(clients, "loop_lag_max_ns"),
        lag_samples=sum(each.lag_samples for each in clients),
        client_cpu_ns=sum(each.client_cpu_ns for each in clients),
        wall_ns=max(each.wall_ns for each in clients),
        peak_rss_bytes=sum(each.peak_rss_bytes or 0 for each in clients) or None,
        device_peak_bytes=worst(clients, "device_peak_bytes"),
        steal_ticks=worst(clients, "steal_ticks"),
        cpu_ticks=worst(clients, "cpu_ticks"),
        throttled_ns=worst(clients, "throttled_ns"),
        processes=sum(each.processes for each in clients),
    )
