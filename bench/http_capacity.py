"""What does measuring cost? Processor time, memory and wall time of whole clients against a server that costs nothing.

Run: python bench/http_capacity.py [--rounds N] [--requests N]. An instant server on one core
(bench/http_instant_server.py: 32 chunks an answer), 64 in flight; each client on the other core, from its start until
its summary is printed; taskpace with every record on disk. Targets: at most 1.0 times the processor time of a bare
aiohttp loop on uvloop, at most 150 MB. Other load generators run beside it if `python bench/peers.py` has installed
them.
"""

from __future__ import annotations

import compileall
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tomli_w

import taskpace
from harness import Bench
from http_instant_server import MODEL, first_request_ns
from peers import BARE, PEERS, Load, environment, write_prompts

CONCURRENCY = 64
CLIENT_CORE = 0


class Cost(NamedTuple):
    cpu_ms: float
    """Per request, all processes, their start included."""
    peak_mb: float
    """Sum over its processes of their proportional share (PSS), sampled."""
    wall_s: float
    first_request_s: float
    """From its start until the server had its first request."""


@contextmanager
def instant_server() -> Iterator[str]:
    script = Path(__file__).with_name("http_instant_server.py")
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.communicate("")


def cost(command: list[str], load: Load) -> Cost:
    """Run a client on its core and watch it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun_ns, peak = time.perf_counter_ns(), 0
    with subprocess.Popen(
        ["taskset", "-c", str(CLIENT_CORE), *command], env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as client:  # fmt: skip
        while client.poll() is None:
            peak = max(peak, session_bytes(client.pid))
            time.sleep(0.05)
        wall_ns = time.perf_counter_ns() - begun_ns
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert client.returncode == 0, command
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    waited_ns = first_request_ns(load.url) - begun_ns
    return Cost(1e3 * spent / load.count, peak / 1e6, wall_ns / 1e9, waited_ns / 1e9)


def session_bytes(session: int) -> int:
    """Memory of all processes of a session; pages that several share are counted once."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text("ascii").rpartition(")")[2].split()[3]) == session:
                rollup = (process / "smaps_rollup").read_text("ascii")
                total += 1024 * int(rollup.partition("\nPss:")[2].split()[0])
        except (OSError, IndexError, ValueError):
            continue  # it has just ended
    return total


def taskpace_command(load: Load) -> list[str]:
    folder = load.folder
    system = {"name": "instant", "engine": "openai", "model": MODEL, "options": {"url": f"{load.url}/v1"}}
    plan = {"tasks": [{"prompts": str(load.prompts)}], "scenarios": [f"concurrency={CONCURRENCY}"], "system": [system]}
    file = folder / "x.toml"
    file.write_text(tomli_w.dumps(plan), "utf-8")
    run = folder / "x.db"
    run.unlink(missing_ok=True)
    return [sys.executable, "-m", "taskpace", "run", str(file), "-o", str(run)]


def check(load: Load) -> None:
    """Every request is a record, and nothing failed."""
    with taskpace.open(load.folder / "x.db") as run:
        frame = run.frame()
    assert frame.height == load.count
    assert frame["failure_kind"].null_count() == load.count


def client_line(
    bench: Bench, name: str, label: str, costs: list[Cost], bare_ms: float, *, optional: bool = False
) -> None:
    """A client's figures, and its line of the table."""
    limit_mb = 150 if name == "taskpace" else None
    cpu = bench.figure(f"{name}: CPU per request", [each.cpu_ms for each in costs], "ms", optional=optional)
    peak = bench.figure(f"{name}: peak memory", max(each.peak_mb for each in costs), "MB", at_most=limit_mb,
                        optional=optional)  # fmt: skip
    wall = bench.figure(f"{name}: wall time", [each.wall_s for each in costs], "s", optional=optional)
    first = bench.figure(f"{name}: first request", [each.first_request_s for each in costs], "s", optional=optional)
    bench.say(f"  {label:<31}{f'{cpu:.2f}':<24}{cpu.median / bare_ms:>6.2f}{peak:>9.0f}{wall.median:>9.1f}"
              f"{first.median:>9.2f}")  # fmt: skip


def main() -> None:
    bench = Bench("http_capacity", __doc__, {"rounds": (5, 1), "requests": (3000, 64)})
    rounds, requests = bench.chosen.rounds, bench.chosen.requests
    bench.head(f"{requests} requests, {CONCURRENCY} in flight, client on one core, {rounds} alternating rounds")
    if os.cpu_count() == 1:
        bench.say("  one core: server and client share it, so wall times say nothing")
    else:
        os.sched_setaffinity(0, {1})  # with the server: what watches must not be measured
    with tempfile.TemporaryDirectory() as name, instant_server() as url:
        folder = Path(name)
        load = Load(url, MODEL, folder / "prompts.jsonl", requests, CONCURRENCY, folder)
        write_prompts(load.prompts, requests)
        # As pip does when it installs: a client's cost is not that of compiling its source, whatever
        # PYTHONDONTWRITEBYTECODE says here.
        for code in (Path(taskpace.__file__).parent, Path(__file__).parent):
            compileall.compile_dir(code, quiet=1)
        ours: list[Cost] = []
        theirs: dict[str, list[Cost]] = {bare.name: [] for bare in BARE}
        for _ in range(rounds):
            ours.append(cost(taskpace_command(load), load))
            check(load)
            for bare in BARE:
                theirs[bare.name].append(cost(bare.command(load), load))
        bare_ms = float(np.median([each.cpu_ms for each in theirs[BARE[0].name]]))
        bench.say(f"  {'client':<31}{'CPU ms per request':<24}{'ratio':>6}{'peak MB':>9}{'wall s':>9}{'first s':>9}")
        client_line(bench, "taskpace", "taskpace", ours, bare_ms)
        for bare in BARE:
            client_line(bench, bare.name, bare.label(), theirs[bare.name], bare_ms)
        for peer in PEERS:
            if peer.there:
                measured = cost(peer.command(load), load)
                assert len(peer.times(load)[0]) >= 0.99 * requests
                client_line(bench, peer.name, peer.label(), [measured], bare_ms, optional=True)
    ratios = [a.cpu_ms / b.cpu_ms for a, b in zip(ours, theirs[BARE[0].name], strict=True)]
    ratio = bench.figure("ratio", ratios, at_most=1.0)
    bench.say(f"  taskpace: {ratio:.2f} times {BARE[0].name}  {ratio.target}; its first request leaves after"
              f" {np.median([each.first_request_s for each in ours]):.2f} s of the start")  # fmt: skip
    bench.finish()


if __name__ == "__main__":
    main()
