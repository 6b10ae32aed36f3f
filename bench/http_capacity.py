"""What does measuring cost? Processor time, memory and wall time of whole clients against a server that costs nothing.

Run: python bench/http_capacity.py [ROUNDS]. An instant server on one core (bench/http_instant_server.py: 32 chunks an
answer), 3,000 requests, 64 in flight; each client on the other core, from its start until its summary is printed;
taskpace with every record on disk. Target: at most 1.2 times the processor time of a bare aiohttp loop, at most 150 MB.
Other load generators run beside it if `python bench/peers.py` has installed them.
"""

from __future__ import annotations

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
from http_instant_server import MODEL
from pairs import machine_line, spread
from peers import PEERS, TITLES, Load, environment, write_prompts

REQUESTS, CONCURRENCY = 3000, 64
ROUNDS = 5
CLIENT_CORE = 0


class Cost(NamedTuple):
    cpu_ms: float
    """Per request, all processes, their start included."""
    peak_mb: float
    """Sum over its processes of their proportional share (PSS), sampled."""
    wall_s: float


@contextmanager
def instant_server() -> Iterator[str]:
    script = Path(__file__).with_name("http_instant_server.py")
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.communicate("")


def cost(command: list[str]) -> Cost:
    """Run a client on its core and watch it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun, peak = time.perf_counter(), 0
    with subprocess.Popen(
        ["taskset", "-c", str(CLIENT_CORE), *command], env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as client:  # fmt: skip
        while client.poll() is None:
            peak = max(peak, session_bytes(client.pid))
            time.sleep(0.05)
        wall_s = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert client.returncode == 0, command
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(1e3 * spent / REQUESTS, peak / 1e6, wall_s)


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


def taskpace_command(url: str, folder: Path, prompts: Path) -> list[str]:
    system = {"name": "instant", "engine": "openai", "model": MODEL, "options": {"url": f"{url}/v1"}}
    plan = {"tasks": [{"prompts": str(prompts)}], "scenarios": [f"concurrency={CONCURRENCY}"], "system": [system]}
    file = folder / "x.toml"
    file.write_text(tomli_w.dumps(plan), "utf-8")
    run = folder / "x.db"
    run.unlink(missing_ok=True)
    return [sys.executable, "-m", "taskpace", "run", str(file), "-o", str(run)]


def check(folder: Path) -> None:
    """Every request is a record, and nothing failed."""
    frame = taskpace.open(folder / "x.db").frame()
    assert frame.height == REQUESTS
    assert frame["failure_kind"].null_count() == REQUESTS


def told(name: str, costs: list[Cost], bare_ms: float) -> str:
    cpu = [each.cpu_ms for each in costs]
    peak, wall_s = (max(each.peak_mb for each in costs), float(np.median([each.wall_s for each in costs])))
    return f"  {name:<26}{spread(cpu, 2):<24}{np.median(cpu) / bare_ms:>6.2f}{peak:>9.0f}{wall_s:>9.1f}"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"http_capacity: {machine_line()}; {REQUESTS} requests, {CONCURRENCY} in flight, client on one core")
    if os.cpu_count() == 1:
        print("  one core: server and client share it, so wall times say nothing")
    else:
        os.sched_setaffinity(0, {1})  # with the server: what watches must not be measured
    bare, *others = [peer for peer in PEERS if peer.there] or [None]
    if bare is None or bare.name != "aiohttp":
        raise SystemExit("  no aiohttp to compare with: run python bench/peers.py first")
    with tempfile.TemporaryDirectory() as name, instant_server() as url:
        folder = Path(name)
        load = Load(url, MODEL, folder / "prompts.jsonl", REQUESTS, CONCURRENCY, folder)
        write_prompts(load.prompts, REQUESTS)
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(cost(taskpace_command(url, folder, load.prompts)))
            check(folder)
            theirs.append(cost(bare.command(load)))
        bare_ms = float(np.median([each.cpu_ms for each in theirs]))
        print(f"  {'client':<26}{'CPU ms per request':<24}{'ratio':>6}{'peak MB':>9}{'wall s':>9}")
        print(told("taskpace", ours, bare_ms))
        print(told(f"{TITLES[bare.name]} {bare.version()}", theirs, bare_ms))
        for peer in others:
            measured = cost(peer.command(load))
            assert len(peer.times(load)[0]) >= 0.99 * REQUESTS
            print(told(f"{TITLES[peer.name]} {peer.version()}", [measured], bare_ms), flush=True)
    ratio = np.median([each.cpu_ms for each in ours]) / bare_ms
    print(f"  taskpace: {ratio:.2f} times bare aiohttp (target 1.2)")


if __name__ == "__main__":
    main()
