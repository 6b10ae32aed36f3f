"""How true are times over HTTP? A loopback server's own log of what it sent and when is the truth.

Run: python bench/http_fidelity.py. The server waits 200 ms, then sends 50 tokens 10 ms apart, at 1, 16 and 100 in
flight; server and client have a core each, if there are two. An error is taskpace's time minus the server's (request
read to token written). Targets: mean at most 1 ms and p99 at most 5 ms, of TTFT and of task time. Below it the plainest
loop on aiohttp, and other load generators if `python bench/peers.py` has installed them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import numpy as np
import tomli_w
import uvloop

import taskpace
from harness import Bench
from peers import BARE, PEERS, Load, Peer, environment, write_prompts

WAIT_S, STEP_S, TOKENS = 0.2, 0.01, 50
TRIALS, QUICK = {1: 20, 16: 160, 100: 500}, {1: 1, 16: 16, 100: 100}
"""By requests in flight."""


def event(data: bytes) -> bytes:
    return b"%x\r\ndata: %b\n\n\r\n" % (len(data) + 8, data)


def chunk(choice: bytes) -> bytes:
    return event(b'{"object": "chat.completion.chunk", "choices": [{"index": 0, %b}]}' % choice)


BEGIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(
    b'"delta": {"role": "assistant", "content": ""}, "finish_reason": null'
)
TOKEN = chunk(b'"delta": {"content": "word "}, "finish_reason": null')
END = (
    chunk(b'"delta": {}, "finish_reason": "stop"')
    + event(b'{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": %d}}' % TOKENS)
    + event(b"[DONE]")
    + b"0\r\n\r\n"
)
LISTING = b'{"data": [{"id": "m"}]}'
SAY = re.compile(rb"Say (\d+)\.")


class Stream(asyncio.Protocol):
    """One connection: reads whole requests, answers with a stream on an absolute schedule, and logs its own times.

    It does next to nothing between a request and its stamp: of a hundred that come together the last must not wait for
    the handling of the others, or the truth would be late itself.
    """

    log: dict[int, list[int]]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.read = b""
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter_ns()
        self.read += data
        if not self.read.endswith(b"\r\n\r\n" if self.read.startswith(b"GET") else b"}"):
            return
        request, self.read = self.read, b""
        say = SAY.search(request)
        if say is None:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            self.transport.write(head % (len(LISTING), LISTING))
            return
        self.times = self.log[int(say[1])] = [now]
        self.begin()

    def begin(self) -> None:
        self.begun = self.loop.time()
        self.transport.write(BEGIN)
        self.loop.call_at(self.begun + WAIT_S, self.token, 0)

    def token(self, number: int) -> None:
        if self.transport.is_closing():
            return  # some clients ask for more than they are told to, and leave in the middle
        self.times.append(time.perf_counter_ns())
        if number == TOKENS - 1:
            self.transport.write(TOKEN + END)
            return
        self.transport.write(TOKEN)
        self.loop.call_at(self.begun + WAIT_S + (number + 1) * STEP_S, self.token, number + 1)


async def serve(protocol: type[Stream] = Stream) -> None:
    """The server's process: prints its port; when its input ends, its log, one request a line."""
    Stream.log = {}
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    whole = {number: times for number, times in Stream.log.items() if len(times) == TOKENS + 1}
    print(json.dumps({str(number): [times[0], times[1], times[-1]] for number, times in whole.items()}))


def pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > core:
        os.sched_setaffinity(0, {core})


class Served:
    """The server in a process of its own; after the ``with`` block, what it knows."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen([sys.executable, __file__, "serve"], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)  # fmt: skip
        assert self._process.stdout
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            log = json.loads(self._process.communicate("")[0])
        self.truth_ms = {
            int(number): ((first - read) / 1e6, (last - read) / 1e6) for number, (read, first, last) in log.items()
        }
        """TTFT and task time of each request, by the number that its prompt says."""


def our_errors_ms(concurrency: int, count: int, folder: Path) -> np.ndarray:
    """Errors of TTFT and of task time, (trials, 2)."""
    prompts = folder / "prompts.jsonl"
    write_prompts(prompts, count)
    with Served() as served:
        file = folder / f"{concurrency}.toml"
        system = {"name": "s", "engine": "openai", "model": "m", "options": {"url": f"{served.url}/v1"}}
        scenario = "single" if concurrency == 1 else f"concurrency={concurrency}"
        plan = {"tasks": [{"prompts": "prompts.jsonl"}], "scenarios": [scenario], "warmup": 0, "system": [system]}
        file.write_text(tomli_w.dumps(plan), "utf-8")
        with taskpace.run(file, folder / f"{concurrency}.db") as run:
            frame = run.frame()
            said = dict(run.store.query("SELECT id, prompts FROM item")[1])
    assert frame.height == count
    assert frame["failure_kind"].null_count() == frame.height
    measured = [
        (int(SAY.search(said[item].encode())[1]), 1e3 * ttft_s, 1e3 * task_time_s)
        for item, ttft_s, task_time_s in frame.select("item_id", "ttft_s", "task_time_s").rows()
    ]
    return np.array([np.subtract(times, served.truth_ms[number]) for number, *times in measured])


def peer_errors_ms(peer: Peer, concurrency: int, count: int, folder: Path) -> np.ndarray:
    """Errors of the means of TTFT and of task time: peers do not say which request was which."""
    with Served() as served:
        load = Load(served.url, "m", folder / "prompts.jsonl", count, concurrency, folder)
        write_prompts(load.prompts, load.count)
        subprocess.run(["taskset", "-c", "0", *peer.command(load)], check=True, capture_output=True, env=environment())
    truth = np.array(list(served.truth_ms.values()))
    return np.array([1e3 * times.mean() for times in peer.times(load)]) - truth.mean(axis=0)


def main() -> None:
    bench = Bench("http_fidelity", __doc__)
    counts = QUICK if bench.quick else TRIALS
    pin(0)
    bench.head(f"{TOKENS} tokens, first after {WAIT_S * 1e3:.0f} ms, {STEP_S * 1e3:.0f} ms apart")
    bench.say("  errors in ms: mean of absolute errors (p99); targets: mean at most 1, p99 at most 5")
    bench.say(f"  {'client':<31}{'in flight':<10}{'requests':>9}  {'TTFT':<18}{'task time':<18}")
    for concurrency, count in counts.items():
        with tempfile.TemporaryDirectory() as name:
            errors = np.abs(our_errors_ms(concurrency, count, Path(name)))
        cells = []
        for title, column in zip(("TTFT", "task time"), errors.T, strict=True):
            named = f"taskpace, {concurrency} in flight, {title}"
            mean = bench.figure(f"{named}: mean error", column.mean(), "ms", at_most=1)
            p99 = bench.figure(f"{named}: p99 of errors", np.quantile(column, 0.99), "ms", at_most=5)
            cells.append(f"{mean:.2f} ({p99:.2f})")
        bench.say(f"  {'taskpace':<31}{concurrency:<10}{count:>9}  {cells[0]:<18}{cells[1]:<18}")
    bench.say("  error of the mean over all requests, in ms")
    for peer in (BARE[1], *(peer for peer in PEERS if peer.there)):
        for concurrency, count in counts.items():
            with tempfile.TemporaryDirectory() as name:
                errors = peer_errors_ms(peer, concurrency, count, Path(name))
            ttft, task_time = (
                bench.figure(f"{peer.name}, {concurrency} in flight, {title}: error of the mean", error, "ms",
                             optional=not peer.bare)
                for title, error in zip(("TTFT", "task time"), errors, strict=True)
            )  # fmt: skip
            bench.say(f"  {peer.label():<31}{concurrency:<10}{count:>9}  {f'{ttft:.2f}':<18}{f'{task_time:.2f}':<18}")
    bench.finish()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        pin(1)
        uvloop.run(serve())
    else:
        main()
