"""How true are times over HTTP? A loopback server's own log of what it sent and when is the truth.

Run: python bench/http_fidelity.py. The server waits 200 ms, then sends 50 tokens 10 ms apart, at concurrency 1, 16 and
100; server and client have a core each, if there are two. An error is taskpace's time minus the server's (request read
to token written). Targets: mean at most 1 ms and p99 at most 5 ms, of TTFT and of task time.
"""

from __future__ import annotations

import asyncio
import json
import os
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


class Stream(asyncio.Protocol):
    """One connection: reads whole requests, answers with a stream on an absolute schedule, and logs its own times."""

    log: dict[int, list[int]]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.read = b""
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.read += data
        head, end, body = self.read.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if not end or len(body) < length:
            return
        now, self.read = time.perf_counter_ns(), b""
        if head.startswith(b"GET"):
            listing = b'{"data": [{"id": "m"}]}'
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                                 % (len(listing), listing))  # fmt: skip
            return
        times = self.log[json.loads(body)["seed"]] = [now]
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        self.send('{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}')
        begun = self.loop.time()
        for number in range(TOKENS):
            self.loop.call_at(begun + WAIT_S + number * STEP_S, self.token, number, times)

    def token(self, number: int, times: list[int]) -> None:
        times.append(time.perf_counter_ns())
        self.send('{"index": 0, "delta": {"content": "word "}, "finish_reason": null}')
        if number == TOKENS - 1:
            self.send('{"index": 0, "delta": {}, "finish_reason": "stop"}')
            counts = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": TOKENS}}
            self.event(json.dumps(counts))
            self.event("[DONE]")
            self.transport.write(b"0\r\n\r\n")

    def send(self, choice: str) -> None:
        self.event(f'{{"object": "chat.completion.chunk", "choices": [{choice}]}}')

    def event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.transport.write(b"%x\r\n%b\r\n" % (len(event), event))


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
    pin(0)
    print(
        f"http_fidelity: {machine_line()}; {TOKENS} tokens, "
        f"first after {WAIT_S * 1e3:.0f} ms, {STEP_S * 1e3:.0f} ms apart"
    )
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
