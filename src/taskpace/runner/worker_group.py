"""Several workers that share one system's load and look like one: for when one core cannot send and read it all.

Their clocks are one clock: ``time.perf_counter_ns`` counts for the whole machine on Linux and macOS. Workers on several
machines are a group of another kind (``runner.cluster.loads``), whose times are all on the driver's clock.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from taskpace.machine.clock import RealClock
from taskpace.runner.worker_process import WorkerDiedError, WorkerHandle
from taskpace.telemetry import ClientMetrics, Window, worst
from taskpace.worker.messages import (
    CellEnded,
    Closed,
    Dispatched,
    Finished,
    FromWorker,
    Job,
    Open,
    Opened,
    RunCell,
    Stop,
    Stored,
    ToWorker,
)

_POLL_S = 0.005
_START_NS = 100_000_000
"""From the message until the first job is due, so that all have got it by then."""


class WorkerGroup:
    """A ``WorkerHandle`` made of several.

    The first worker opens the engine alone; a server that it has started the others join. A cell's warm-ups are the
    first worker's too; then the jobs are dealt out in turn, what is in flight is split as evenly as can be, and all
    begin at one moment. When one crashes, the others finish what they have in flight, and then the group has crashed.
    """

    takes_more = False  # all at once, as they are dealt out
    members = "processes"
    """What the workers are, for readers."""
    alone = "set processes = 1"
    """How to have one of them, for readers."""

    def __init__(self, workers: Sequence[WorkerHandle]) -> None:
        self._workers = workers
        self._open: Open | None = None
        self._opened: list[Opened] = []
        self._waiting: RunCell | None = None
        """The cell proper, while its warm-ups are under way."""
        self._ended: list[CellEnded] = []
        self._running: set[int] = set()
        """Workers that have a part of a cell under way."""
        self._gone: set[int] = set()
        """Workers that are closed or have crashed."""
        self._closed = 0
        self._in_flight: list[set[tuple[str, int]]] = [set() for _ in workers]
        """Trials and attempts, by worker."""
        self._lost: frozenset[tuple[str, int]] = frozenset()
        self._death: WorkerDiedError | None = None
        self._energy = False
        self._poll_s = _POLL_S
        self._heard: list[FromWorker] = []
        """What the run is to hear of."""

    def send(self, message: ToWorker) -> None:
        match message:
            case Open():
                self._open, self._opened = message, []
                self._workers[0].send(message)
            case RunCell():
                self._energy = message.energy
                # One that has gone since the last part must not cost this one.
                self._hear()
                if self._death is None:
                    self._start(msgspec.structs.replace(message, energy=False))
            case Stored():
                self._workers[0].send(message)
            case _:
                for worker in self._workers:
                    worker.send(message)

    def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
        self._poll_s = max(_POLL_S, gather_s)
        deadline = time.monotonic() + timeout_s
        while True:
            self._hear(gather_s)
            if self._heard:
                heard, self._heard = self._heard, []
                return heard
            if self._death is not None and not self._running:
                raise self._death
            if (left_s := deadline - time.monotonic()) <= 0:
                return []
            self._wait(left_s)

    def end(self) -> None:
        for worker in self._workers:
            worker.end()

    def _hear(self, gather_s: float = 0.0) -> None:
        for number, worker in enumerate(self._workers):
            if number in self._gone:
                continue
            try:
                said = worker.receive(0.0, gather_s)
            except WorkerDiedError as death:
                self._lose(number, death)
                continue
            for message in said:
                self._heard += self._take(number, message)

    def _wait(self, most_s: float) -> None:
        """Until one of them may have said something."""
        time.sleep(min(self._poll_s, most_s))

    def _lead_ns(self, jobs: int) -> int:
        """How long before the first of so many jobs is due the parts are sent."""
        del jobs
        return _START_NS

    def _clients(self, ended: Sequence[CellEnded]) -> list[ClientMetrics]:
        """How the client fared, for each machine."""
        return [merge([each.client for each in ended])]

    def _start(self, message: RunCell) -> None:
        warm_ups = [job for job in message.jobs if job.phase == "warm-up"]
        self._ended = []
        if warm_ups and len(warm_ups) < len(message.jobs):
            jobs = [job for job in message.jobs if job.phase != "warm-up"]
            self._waiting = msgspec.structs.replace(message, jobs=jobs)
            self._running = {0}
            self._workers[0].send(msgspec.structs.replace(message, jobs=warm_ups))
            return
        start_ns = message.start_ns
        if start_ns is None:
            start_ns = RealClock.now_ns() + self._lead_ns(len(message.jobs))
        parts = share(message, len(self._workers), start_ns)
        self._running = set(range(len(parts)))
        for worker, part in zip(self._workers, parts, strict=False):
            worker.send(part)

    def _take(self, number: int, said: FromWorker) -> list[FromWorker]:
        """What the run is to hear of it."""
        match said:
            case Opened():
                return self._take_opened(number, said)
            case Dispatched(trial_id=trial_id, attempt=attempt):
                self._in_flight[number].add((trial_id, attempt))
                return [said]
            case Finished(record=record):
                self._in_flight[number].discard((record.trial_id, record.attempt))
                return [said]
            case CellEnded():
                return self._take_ended(number, said)
            case Closed():
                self._gone.add(number)
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
        details = first.info.details | {self.members: len(self._workers)}
        info = msgspec.structs.replace(first.info, details=details)
        return [msgspec.structs.replace(first, info=info)] if len(self._opened) == len(self._workers) else []

    def _take_ended(self, number: int, said: CellEnded) -> list[FromWorker]:
        self._running.discard(number)
        # What a stop has kept from being sent is not in flight any more.
        self._in_flight[number].clear()
        if self._death is not None:
            return []
        if self._waiting is not None and said.unreachable is None and said.refused is None:
            waiting, self._waiting = self._waiting, None
            self._start(waiting)
            return []
        self._waiting = None
        self._ended.append(said)
        if self._running:
            return []
        why = next((ended.unreachable for ended in self._ended if ended.unreachable is not None), None)
        refused = next((ended.refused for ended in self._ended if ended.refused is not None), None)
        clients = self._clients(self._ended)
        if self._energy:
            clients = [msgspec.structs.replace(client, energy=self._no_energy()) for client in clients]
        return [CellEnded(client=clients[0], others=tuple(clients[1:]), unreachable=why, refused=refused)]

    def _no_energy(self) -> Window:
        why = f"several {self.members} share the load, and none of them sees it all: {self.alone}"
        return Window(trials=0, seconds=0.0, missing=(why,))

    def _lose(self, number: int, death: WorkerDiedError) -> None:
        """Have the others finish what they have in flight: it is measured as well as anything."""
        self._gone.add(number)
        self._running.discard(number)
        self._lost |= self._in_flight[number]
        reason = str(death) if self._death is None else f"{self._death}; {death}"
        self._death = type(death)(reason, self._lost)
        for other in self._running:
            self._workers[other].send(Stop())


def share(message: RunCell, count: int, start_ns: int) -> list[RunCell]:
    """A cell in parts, one for each worker that has something to do; all begin at ``start_ns``. Pure.

    In a closed loop there are no more parts than requests in flight.
    """
    open_loop = any(job.due_ns is not None for job in message.jobs)
    count = max(1, min(count, len(message.jobs), count if open_loop else message.concurrency))
    hands: list[list[Job]] = [[] for _ in range(count)]
    for number, job in enumerate(message.jobs):
        hands[number % count].append(job)
    return [
        msgspec.structs.replace(
            message,
            jobs=jobs,
            concurrency=message.concurrency // count + (number < message.concurrency % count) or 1,
            start_ns=start_ns,
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
