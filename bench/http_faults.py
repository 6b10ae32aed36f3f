"""Do faults touch the latency of successes? Under load, with 5 % errors and 5 % cut streams, against a run without.

Run: python bench/http_faults.py [--rounds N] [--requests N]. The server of bench/http_fidelity.py (200 ms, then 50
tokens 10 ms apart), 64 in flight; by turns without and with faults. Target: mean and p90 of TTFT and of task time of
the successes within 2 %.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tomli_w
import uvloop

import taskpace
from harness import Bench
from http_fidelity import STEP_S, WAIT_S, Stream, pin, serve
from peers import write_prompts

CONCURRENCY = 64
TITLES = ("TTFT, mean", "TTFT, p90", "task time, mean", "task time, p90")
KEPT = 10
"""Tokens before a cut."""
REFUSAL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Faulty(Stream):
    """Of twenty requests one is answered with status 500 after the wait, and one is cut after ten tokens."""

    asked = 0

    def begin(self) -> None:
        Faulty.asked += 1
        self.number = Faulty.asked % 20
        if self.number == 7:
            self.loop.call_at(self.loop.time() + WAIT_S, self.transport.write, REFUSAL)
            return
        super().begin()
        if self.number == 13:
            self.loop.call_at(self.loop.time() + WAIT_S + (KEPT + 0.5) * STEP_S, self.transport.abort)


def measure(mode: str, requests: int, folder: Path) -> tuple[np.ndarray, int]:
    """Mean and p90 of TTFT and task time of the successes, in ms, and how many failed."""
    command = [sys.executable, __file__, "serve", mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        write_prompts(folder / "prompts.jsonl", requests)
        system = {"name": "s", "engine": "openai", "model": "m", "options": {"url": url}}
        scenarios = [f"concurrency={CONCURRENCY}"]
        plan = {"tasks": [{"prompts": "prompts.jsonl"}], "scenarios": scenarios, "warmup": 0, "system": [system]}
        (folder / "x.toml").write_text(tomli_w.dumps(plan), "utf-8")
        run = folder / "x.db"
        run.unlink(missing_ok=True)
        with taskpace.run(folder / "x.toml", run) as done:
            frame = done.frame()
        server.communicate("")
    assert frame.height == requests
    well = frame.filter(outcome="completed")
    times = [1e3 * well[name].to_numpy() for name in ("ttft_s", "task_time_s")]
    figures = [figure for each in times for figure in (each.mean(), np.quantile(each, 0.9))]
    return np.array(figures), requests - well.height


def main() -> None:
    bench = Bench("http_faults", __doc__, {"rounds": (7, 1), "requests": (1280, 64)})
    rounds, requests = bench.chosen.rounds, bench.chosen.requests
    bench.head(f"{requests} requests, {CONCURRENCY} in flight, {rounds} alternating rounds")
    pin(0)
    found: dict[str, list[np.ndarray]] = {"none": [], "faults": []}
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        for _ in range(rounds):
            for mode, into in found.items():
                figures, failed = measure(mode, requests, Path(name))
                into.append(figures)
    bench.say(f"  {bench.figure('failed with faults', failed):.0f} of {requests} failed in the last run with faults, "
              "each recorded as what it was")  # fmt: skip
    ratios = np.array(found["faults"]) / np.array(found["none"])
    for place, title in enumerate(TITLES):
        plain = bench.figure(f"{title}: without faults", np.array(found["none"])[:, place], "ms")
        ratio = bench.figure(f"{title}: with / without", ratios[:, place], at_least=0.98, at_most=1.02)
        bench.say(f"  {title:<17}{plain.median:>8.1f} ms without; with / without {ratio:.4f}")
    bench.finish()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        pin(1)
        uvloop.run(serve(Faulty if sys.argv[2] == "faults" else Stream))
    else:
        main()
