"""An endpoint that never ends what it has begun: when is it given up, and how much memory does that cost the worker?

Run: python bench/endless.py. One trial for each way of not ending, as `taskpace run` carries it out, against a server
in a process of its own that writes as fast as it is read, or a little every now and then. Seconds are the server's:
from the request until the client has hung up. Memory is the worker's peak, beside that of a run whose server behaves.
Target: 512 MiB at most, and no more seconds than the time limit that holds.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import tomli_w

import taskpace
from endless_server import WAYS, Way
from harness import Bench

MOST_MIB = 512
TIMEOUT_S = 5.0
"""Of a trial: what holds where little comes at a time."""
MODELS_S = 60.0
"""Of asking for the list of models."""
SLACK_S = 1.5
POLL_S = 0.01

QUICK = ("one event", "a list of models")
"""Of the quick form: given up at once, one of each kind of answer."""
WELL = "well"


class Seen(NamedTuple):
    """How one way ended."""

    seconds: float | None
    """Until the client hung up; null: it did not."""
    peak_mib: float
    kind: str
    """Of failure; empty: the trial has an answer."""


def measure(name: str, folder: Path) -> Seen:
    command = [sys.executable, Path(__file__).with_name("endless_server.py"), name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        system = {"name": "s", "engine": "openai", "model": "tiny", "options": {"url": url, "proxy": False}}
        plan = {"items": 1, "warmup": 0, "timeout": TIMEOUT_S, "tasks": ["mmlu-letter"], "system": [system]}
        (folder / "x.toml").write_text(tomli_w.dumps(plan), "utf-8")
        (folder / "x.db").unlink(missing_ok=True)
        peak_mib = run(folder)
        out, _ = server.communicate("")
    with taskpace.open(folder / "x.db") as done:
        (kind,) = done.frame()["failure_kind"].to_list()
    return Seen(json.loads(out.splitlines()[0]) if out else None, peak_mib, kind or "")


def run(folder: Path) -> float:
    """Carry the experiment out; the greatest peak of any of its workers, in MiB."""
    command = [sys.executable, "-m", "taskpace", "run", "x.toml", "-o", "x.db", "--progress", "quiet"]
    peak = 0
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            # Looked up again and again, as the worker sets it back before each cell.
            peak = max([peak, *(high_water_kib(child) for child in children(process.pid))])
            time.sleep(POLL_S)
    assert process.returncode in (0, 1), process.returncode
    return peak / 1024


def children(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return [
            child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
        ]
    return []


def high_water_kib(pid: str) -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return 0


def limit_s(way: Way) -> float:
    """How long it may take where nothing but time ends it."""
    return (MODELS_S if way.models else TIMEOUT_S) + SLACK_S


def main() -> None:
    bench = Bench("endless", __doc__)
    bench.head(f"one trial each, time limit {TIMEOUT_S:g} s, the list of models {MODELS_S:g} s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = measure(WELL, folder)
        assert (plain.seconds, plain.kind) == (None, ""), plain
        peak = bench.figure("worker's peak: a server that behaves", plain.peak_mib, "MiB")
        bench.say(f"  {'what never ends':<32}{'given up after':>16}{'peak of the worker':>21}  the trial")
        bench.say(f"  {'(a server that behaves)':<32}{'':>16}{peak:>17.0f} MiB  answered")
        for title, way in WAYS.items():
            seen = None if bench.quick and title not in QUICK else measure(title, folder)
            time_s = bench.figure(f"given up: {title}", seen and seen.seconds, "s", at_most=limit_s(way))
            peak = bench.figure(f"worker's peak: {title}", seen and seen.peak_mib, "MiB", at_most=MOST_MIB)
            if seen:
                bench.say(f"  {title:<32}{time_s:>14.2f} s{peak:>17.0f} MiB  {seen.kind or 'answered'}")
    bench.finish()


if __name__ == "__main__":
    main()
