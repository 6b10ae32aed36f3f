"""How many streams can one core of the client stamp, how true are its times, and does taskpace say where that ends?

Run: python bench/streams.py [--in-flight N] [--rounds N]. A scripted server sends events at known times, evenly over
all streams: an open loop keeps 1,000 in flight while each of them brings 1 to 60 events per second, with one worker
process and with two. An error is taskpace's time minus the server's (request read to event written), of the first and
the last tokens that were written while all streams were in flight. Limits: mean at most 1 ms and p99 at most 5 ms, of
TTFT and of task time. A rate is within them if the medians over the rounds are: on a shared machine a single round may
be anything. The ceiling is the greatest rate that is within them together with all rates below it. The last column is
what `taskpace summary` says of the client, and in how many rounds; it has to speak in each that passes the limits.
Server and client have a core each, if there are two: two workers and the process that stores their records share both
with the server.
"""

from __future__ import annotations

import gc
import heapq
import json
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import tomli_w

import taskpace
from harness import Bench
from http_fidelity import BEGIN, LISTING, SAY, TOKEN, chunk, event, pin
from peers import write_prompts
from taskpace.store import queries
from taskpace.telemetry import ClientMetrics

RATES = {
    1: (1000, 5000, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000),
    2: (1000, 5000, 10_000, 20_000, 40_000, 60_000),
}
"""By worker processes: events per second of all streams together."""
HELD = 5000
"""The rate whose errors are held to the limits."""
WAIT_S = 0.2
MEAN_MS, P99_MS = 1.0, 5.0
CLIENT = frozenset({"client-cpu", "client-lag", "late-stamps", "send-delay"})
"""Codes of what limits a result because of the client."""
IDLE_S, ALONE_S = 0.05, 0.001
"""When nothing is due for so long the server sleeps until then; else it looks again at once."""
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Measured(NamedTuple):
    """One rate."""

    errors_ms: tuple[list[float], list[float]]
    """Of TTFT and of task time."""
    events: float
    """That the server wrote per second while all streams were in flight."""
    event_us: float
    """Processor time of the workers, for each event of the whole run; what a request costs is in it."""
    late_ms: float
    """How late the server was with them: p99."""
    client: ClientMetrics
    codes: tuple[str, ...]

    @property
    def means_ms(self) -> np.ndarray:
        return np.array([np.mean(each) for each in self.errors_ms])

    @property
    def p99_ms(self) -> np.ndarray:
        return np.array([np.quantile(each, 0.99) for each in self.errors_ms])


class Rate(NamedTuple):
    """One rate in all rounds: medians over them."""

    rounds: list[Measured]

    @property
    def means_ms(self) -> np.ndarray:
        return np.median([each.means_ms for each in self.rounds], axis=0)

    @property
    def p99_ms(self) -> np.ndarray:
        return np.median([each.p99_ms for each in self.rounds], axis=0)

    @property
    def events(self) -> float:
        return float(np.median([each.events for each in self.rounds]))

    @property
    def within(self) -> bool:
        return is_within(self)

    @property
    def unsaid(self) -> bool:
        """Whether a round passed the limits without a caution."""
        return any(not is_within(each) and not each.codes for each in self.rounds)

    def line(self) -> str:
        """Its line of the table, without the number of workers."""
        cells = [f"{mean:.2f} ({p99:.2f})" for mean, p99 in zip(self.means_ms, self.p99_ms, strict=True)]
        clients = [each.client for each in self.rounds]
        busy = np.median([client.client_cpu_ns / client.wall_ns for client in clients])
        lag_ms = np.median([client.loop_lag_p99_ns or 0 for client in clients]) / 1e6
        event_us = np.median([each.event_us for each in self.rounds])
        late_ms = np.median([each.late_ms for each in self.rounds])
        said = Counter(code for each in self.rounds for code in each.codes)
        told = ", ".join(f"{code} in {count} of {len(self.rounds)}" for code, count in said.items())
        return (f"{self.events:>9,.0f}  {cells[0]:<16}{cells[1]:<16}{busy:>5.0%}{event_us:>7.1f} us{lag_ms:>8.1f} ms"
                f"{late_ms:>10.1f} ms  {told or 'nothing'}")  # fmt: skip


def is_within(found: Measured | Rate) -> bool:
    return bool((found.means_ms <= MEAN_MS).all() and (found.p99_ms <= P99_MS).all())


class Server:
    """One thread that waits for what is due and for what can be read."""

    def __init__(self, tokens: int, step_ns: int) -> None:
        self.tokens, self.step_ns = tokens, step_ns
        self.end = TOKEN + chunk(b'"delta": {}, "finish_reason": "stop"')
        self.end += event(b'{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": %d}}' % tokens)
        self.end += event(b"[DONE]") + b"0\r\n\r\n"
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.poll = select.epoll()
        self.streams: dict[int, tuple[socket.socket, bytearray]] = {}
        self.due: list[tuple[int, int, int, int]] = []
        """When, on which stream, which token, for which answer."""
        self.log: dict[int, list[int]] = {}

    def serve(self) -> None:
        """Print the port; when the input ends, of each answer by its number when its request was read, when its first
        and its last token were written, and how late the latest of its tokens was; nanoseconds.
        """
        print(self.listener.getsockname()[1], flush=True)
        gc.disable()  # it would hold all streams for some milliseconds
        self.poll.register(self.listener, select.EPOLLIN)
        self.poll.register(sys.stdin, select.EPOLLIN)
        while True:
            self.write_due()
            wait_s = (self.due[0][0] - time.perf_counter_ns()) / 1e9 if self.due else IDLE_S
            for fd, _ in self.poll.poll(wait_s if wait_s > ALONE_S else 0):
                if fd == sys.stdin.fileno():
                    print(json.dumps({str(number): times for number, times in self.log.items() if times[1]}))
                    return
                if fd == self.listener.fileno():
                    connection, _ = self.listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.streams[connection.fileno()] = connection, bytearray()
                    self.poll.register(connection, select.EPOLLIN)
                else:
                    self.read(fd)

    def write_due(self) -> None:
        due, now = self.due, time.perf_counter_ns
        while due and due[0][0] <= now():
            at, fd, token, number = heapq.heappop(due)
            if fd not in self.streams:
                continue
            times, last, written = self.log[number], token == self.tokens - 1, now()
            self.streams[fd][0].send(self.end if last else TOKEN)
            times[1] = times[1] or written
            times[2], times[3] = written, max(times[3], written - at)
            if not last:
                heapq.heappush(due, (at + self.step_ns, fd, token + 1, number))

    def read(self, fd: int) -> None:
        connection, read = self.streams[fd]
        read_ns = time.perf_counter_ns()
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.poll.unregister(fd)
            del self.streams[fd]
            connection.close()
            return
        read += data
        head, whole, body = bytes(read).partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not whole or len(body) < int(length[1] if length else 0):
            return
        read.clear()
        if (say := SAY.search(body)) is None:
            kind = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            connection.send(kind % (len(LISTING), LISTING))
            return
        connection.send(BEGIN)
        self.log[int(say[1])] = [read_ns, 0, 0, 0]
        heapq.heappush(self.due, (read_ns + round(WAIT_S * 1e9), fd, 0, int(say[1])))


def measured(rate: int, processes: int, in_flight: int, task_s: float, folder: Path) -> Measured:
    """Twice as many requests as are in flight: these grow for a task's time, are all there for as long, and end."""
    step_ns = round(in_flight / rate * 1e9)
    tokens = 1 + round((task_s - WAIT_S) * 1e9 / step_ns)
    count = 2 * in_flight
    write_prompts(folder / "prompts.jsonl", count)
    with subprocess.Popen([sys.executable, __file__, "serve", str(tokens), str(step_ns)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as server:  # fmt: skip
        assert server.stdout
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        plan = {
            "tasks": [{"prompts": "prompts.jsonl"}],
            "scenarios": [f"rate={in_flight / task_s:g}"],
            "warmup": 0,
            "processes": processes,
            "system": [{"name": "s", "engine": "openai", "model": "m", "options": {"url": url}}],
        }
        file = folder / "streams.toml"
        file.write_text(tomli_w.dumps(plan), "utf-8")
        with taskpace.run(file, folder / f"{rate}-{processes}.db") as run:
            frame = run.frame()
            said = dict(run.store.query("SELECT id, prompts FROM item")[1])
            (row,) = run.summary(resamples=0).tables[0].rows
            (client,) = [msgspec.json.decode(each.client, type=ClientMetrics) for each in queries.segments(run.store)]
        truth = {int(number): times for number, times in json.loads(server.communicate("")[0]).items()}
    assert frame.height == count
    assert frame["failure_kind"].null_count() == count
    begin_ns = min(times[0] for times in truth.values()) + round(task_s * 1e9)
    end_ns = max(times[0] for times in truth.values())
    errors_ms: tuple[list[float], list[float]] = [], []
    for item, *taken_s in frame.select("item_id", "ttft_s", "task_time_s").rows():
        read_ns, *written_ns, _ = truth[int(SAY.search(said[item].encode())[1])]
        for off, at_ns, time_s in zip(errors_ms, written_ns, taken_s, strict=True):
            if begin_ns <= at_ns <= end_ns:
                off.append(abs(time_s * 1e3 - (at_ns - read_ns) / 1e6))
    ended = [times for times in truth.values() if begin_ns <= times[2] <= end_ns]
    return Measured(
        errors_ms=errors_ms,
        events=len(ended) * tokens / ((end_ns - begin_ns) / 1e9),
        event_us=client.client_cpu_ns / 1e3 / (count * tokens),
        late_ms=float(np.quantile([times[3] for times in ended], 0.99)) / 1e6,
        client=client,
        codes=tuple(reason.code for reason in row.reasons if reason.code in CLIENT),
    )


def main() -> None:
    bench = Bench("streams", __doc__, {"in_flight": (1000, 40), "rounds": (3, 1)})
    in_flight, rounds = bench.chosen.in_flight, bench.chosen.rounds
    task_s = 0.6 if bench.quick else 4.0
    bench.head(f"{in_flight:,} streams in flight, tasks of {task_s:g} s, medians of {rounds} rounds")
    bench.say(f"  errors in ms: mean (p99); limits: mean at most {MEAN_MS:g}, p99 at most {P99_MS:g}")
    columns = f"{'TTFT':<16}{'task time':<16}{'CPU':>5}{'an event':>10}{'lag p99':>11}{'server late':>13}"
    bench.say(f"  {'workers':<9}{'events/s':>9}  {columns}  said of the client")
    for processes, rates in RATES.items():
        if processes == 1:
            pin(0)
        elif hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        found = {rate: Rate([]) for rate in ((HELD,) if bench.quick else rates)}
        for _ in range(rounds):
            for rate, each in found.items():
                with tempfile.TemporaryDirectory() as name:
                    each.rounds.append(measured(rate, processes, in_flight, task_s, Path(name)))
        for each in found.values():
            bench.say(f"  {processes:<9}{each.line()}")
        report(bench, "1 worker" if processes == 1 else f"{processes} workers", found)
    bench.finish()


def report(bench: Bench, workers: str, found: dict[int, Rate]) -> None:
    """The figures of so many workers, and a line of where their limits are."""
    held = found[HELD]
    for index, title in enumerate(("TTFT", "task time")):
        named = f"{workers}, {HELD:,} events per second, {title}"
        bench.figure(f"{named}: mean error", held.means_ms[index], "ms", at_most=MEAN_MS)
        bench.figure(f"{named}: p99 of errors", held.p99_ms[index], "ms", at_most=P99_MS)
    rates = list(found.values())
    below = list(takewhile(lambda rate: rate.within, rates))
    ceiling = bench.figure(f"{workers}: events per second within the limits", below[-1].events if below else 0.0,
                           "per s")  # fmt: skip
    unsaid = sum(rate.unsaid for rate in rates)
    silent = bench.figure(f"{workers}: rates beyond the limits without a caution", unsaid, at_most=0)
    above = ", ".join(f"{rate.events:,.0f}" for rate in rates[len(below) :] if rate.within)
    also = f" (and at {above})" if above else ""
    bench.say(f"  {workers}: within the limits up to {ceiling:,.0f} events per second{also}; beyond them without a"
              f" word: {silent:.0f} of {len(rates)} rates  {silent.target}")  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        pin(1)
        Server(int(sys.argv[2]), int(sys.argv[3])).serve()
    else:
        main()
