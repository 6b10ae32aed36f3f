"""How true are times over HTTP? A loopback server's own log of what it sent and when is the truth.

Run: python bench/http_fidelity.py. The server waits 200 ms, then sends 50 tokens 10 ms apart, at concurrency 1, 16 and
100; server and client have a core each, if there are two. An error is taskpace's time minus the server's (request read
to token written). Targets: mean at most 1 ms and p99 at most 5 ms, of TTFT and of task time.
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

import msgspec
import numpy as np
import tomli_w
import uvloop

import taskpace
from pairs import machine_line
from taskpace.plan import request_seed

WAIT_S, STEP_S, TOKENS = 0.2, 0.01, 50
CONCURRENCIES = (1, 16, 100)
TRIALS = {1: 20, 16: 160, 100: 500}


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
SEED = re.compile(rb'"seed": ?(\d+)')


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
        if not self.read.endswith((b"}", b"\r\n\r\n")):
            return
        request, self.read = self.read, b""
        seed = SEED.search(request)
        if seed is None:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            self.transport.write(head % (len(LISTING), LISTING))
            return
        self.times = self.log[int(seed[1])] = [now]
        self.begun = self.loop.time()
        self.transport.write(BEGIN)
        self.loop.call_at(self.begun + WAIT_S, self.token, 0)

    def token(self, number: int) -> None:
        self.times.append(time.perf_counter_ns())
        if number == TOKENS - 1:
            self.transport.write(TOKEN + END)
            return
        self.transport.write(TOKEN)
        self.loop.call_at(self.begun + WAIT_S + (number + 1) * STEP_S, self.token, number + 1)


async def serve() -> None:
    """The server's process: prints its port; when its input ends, its log, one request a line."""
    Stream.log = {}
    server = await asyncio.get_running_loop().create_server(Stream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({str(seed): [times[0], times[1], times[-1]] for seed, times in Stream.log.items()}))


def pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > core:
        os.sched_setaffinity(0, {core})


def errors_ms(concurrency: int, folder: Path) -> np.ndarray:
    """Errors of TTFT and of task time, (trials, 2)."""
    with subprocess.Popen([sys.executable, __file__, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as server:  # fmt: skip
        assert server.stdout
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        prompts = folder / "prompts.jsonl"
        prompts.write_bytes(
            b"".join(msgspec.json.encode({"prompt": f"Say {n}."}) + b"\n" for n in range(TRIALS[concurrency]))
        )
        file = folder / f"{concurrency}.toml"
        system = {"name": "s", "engine": "openai", "model": "m", "options": {"url": url}}
        scenario = "single" if concurrency == 1 else f"concurrency={concurrency}"
        plan = {"tasks": [{"prompts": "prompts.jsonl"}], "scenarios": [scenario], "system": [system]}
        file.write_text(tomli_w.dumps(plan), "utf-8")
        with taskpace.run(file, folder / f"{concurrency}.db") as run:
            frame = run.frame()
        log = {int(seed): times for seed, times in json.loads(server.communicate("")[0]).items()}
    assert frame["failure_kind"].drop_nulls().len() == 0
    found = []
    for trial, ttft_s, task_time_s in frame.select("trial_id", "ttft_s", "task_time_s").rows():
        read, first, last = log[request_seed(trial, 0) & 0x7FFF_FFFF]
        found.append((ttft_s * 1e3 - (first - read) / 1e6, task_time_s * 1e3 - (last - read) / 1e6))
    return np.array(found)


def main() -> None:
    machine = machine_line()
    pin(0)
    print(f"http_fidelity: {machine}; {TOKENS} tokens, first after {WAIT_S * 1e3:.0f} ms, {STEP_S * 1e3:.0f} ms apart")
    print("  errors in ms: mean (p99); targets: mean at most 1, p99 at most 5")
    print(f"  {'in flight':<10}{'trials':>7}  {'TTFT':<18}{'task time':<18}")
    with tempfile.TemporaryDirectory() as name:
        for concurrency in CONCURRENCIES:
            errors = errors_ms(concurrency, Path(name))
            told = [f"{np.abs(column).mean():.2f} ({np.quantile(np.abs(column), 0.99):.2f})" for column in errors.T]
            print(f"  {concurrency:<10}{len(errors):>7}  {told[0]:<18}{told[1]:<18}")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        pin(1)
        uvloop.run(serve())
    else:
        main()
