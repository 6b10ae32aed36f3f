"""Half an hour, or a day, of faults and kills: is every trial recorded once, and is nothing left behind?

Run: python bench/soak.py [--time 30m] [--every 60]. Four `taskpace run` go on at once. Two are killed: 64 in flight
against an endpoint with faults (bench/soak_server.py), and two llama.cpp systems in turns. Every minute one of these,
in turn, has a worker killed, gets Ctrl-C, or is killed itself, and the same command continues it. Two are left alone,
so that a process lives long: 16 in flight, and llama.cpp with answers of one token. A run that is complete is checked,
taken away, and the next one begins. When time is up, all are completed. A day of it needs some 2 GB on disk.

Memory is what each process has of its own (anonymous pages and swap). A process that is killed after three minutes has
carried out some fifty trials of llama.cpp: its caches are still filling, and its slope is shown without a target.
Whether memory is flat is judged by the longest life of each process that is left alone, after its first third.

Targets: every planned trial exactly once, nothing acknowledged and lost; no process, temporary file or descriptor left;
integrity_check ok; memory of workers flat: the 96 % interval of its growth holds zero, or ends below 32 B a trial, the
least that Python keeps for a number in a list. Parents: 512 B a trial at most, as a run keeps the ids of what it has
recorded until it ends.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import tomli_w

from endless import children
from flatness import Life, drift, settled
from harness import ROOT, Bench, Figure

CONCURRENCY = 64
TIMEOUT_S = 5
POLL_S = 1.0
WARM_UP_S, LEAST_S = 30.0, 45.0
GONE_S = 15.0
"""By when what a run has started must be gone after its end."""
KILLS = ("worker", "Ctrl-C", "worker", "run")
"""In this order on each of the two."""
MOST_B_TRIAL = {"parent": 512, "worker": 32}
"""Growth that does not count as a leak."""
LEAST_KILLS, LEAST_ACKNOWLEDGED = 0.5, 0.5
"""Of the kills that were due, and of the trials: with fewer, a check has not been put to the test."""
LEAST_PROCESSES = 2
"""Of a run that is about to be killed, found in the way in which those left behind are looked for."""
CALM_CONCURRENCY = 16
CALM_A_SECOND, SHORT_A_SECOND = 8, 12
"""Trials of the two that are left alone, for each second of the soak: less than they do, so that they are done in time,
and so many that caches are full in the first third of a life (4 of llama.cpp were too few: docs/decisions.md)."""
MOST_TRIALS = 200_000
"""Of a run file, however long the soak: 1.2 GB of the endpoint's, whose long answers take 5 of 6 KB a trial."""
MOST_UNASKED = 3
"""Sessions that ended unasked, after which the soak is given up."""
KILLED, FOUND = "kills", "processes found at a kill, at least"
MARK = "TASKPACE_SOAK"
"""Variable by which every process of a run is known, even without its parent."""
UNITS_S = {"s": 1, "m": 60, "h": 3600}
TOTALS = (
    ("trials planned", None),
    ("trials recorded once", None),
    ("trials acknowledged", None),
    ("trials without a record", 0),
    ("trials recorded twice", 0),
    ("acknowledged trials lost", 0),
    ("failed integrity checks", 0),
    ("sessions that ended unasked", 0),
    ("processes left", 0),
    ("temporary files left", 0),
    ("files left beside a run", 0),
    ("descriptors left at the server", 0),
)
"""What is counted, and the most that is right."""


class Samples(NamedTuple):
    """Of one process."""

    seconds: array[float]
    kib: array[float]
    descriptors: array[float]


class Soaked:
    """One of the two runs: its command, again and again, and what was seen of its processes.

    Args:
        name: for people.
        folder: its own, made here.
        system: tables of the experiment.
        settings: the experiment's other keys.
        trials: prompts of each run file.
        counts: what is counted over both.
    """

    def __init__(
        self,
        name: str,
        *,
        folder: Path,
        system: list[dict[str, object]],
        settings: dict[str, object],
        trials: int,
        counts: Counter[str],
    ) -> None:
        self.name, self.counts = name, counts
        self.folder, self.temporary = folder, folder / "tmp"
        self.temporary.mkdir(parents=True)
        lines = (json.dumps({"prompt": f"Say {number}."}) + "\n" for number in range(trials))
        (folder / "prompts.jsonl").write_text("".join(lines), "utf-8")
        plan = {"tasks": [{"prompts": "prompts.jsonl"}], **settings, "system": system}
        (folder / "x.toml").write_text(tomli_w.dumps(plan), "utf-8")
        self.done = False
        self.files = self.sessions = self.recorded = 0
        self.watched_s = 0.0
        self._begun_s = time.monotonic()
        """When its run file was."""
        self.kills: Counter[str] = Counter()
        self.found: list[int] = []
        """Processes that were found at each kill."""
        self.outcomes: Counter[str] = Counter()
        self.lives: defaultdict[tuple[str, int, int], Samples] = defaultdict(
            lambda: Samples(array("d"), array("d"), array("d"))
        )
        """By role, session and process. A day has a million samples."""
        self._kinds: Iterator[str] = itertools.cycle(KILLS)
        self._pending: str | None = None
        self._expected = {0}
        self._acknowledged: set[str] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def kill_next(self) -> None:
        """Do the next of the ways to it, as soon as it has a worker."""
        self._pending = self._pending or next(self._kinds)

    def tick(self, left_s: float) -> None:
        """Look at it: start what has ended, check what is complete, sample, and kill if that is due.

        Args:
            left_s: until time is up; another run is begun only where half of it fits in.
        """
        if self.done:
            return
        if self._process is None:
            self._start()
        assert self._process is not None
        if self._process.poll() is not None:
            self._ended(self._process)
            complete = self._process.returncode == 0
            self._process = None
            if complete:
                self._check()
                self.done = left_s <= 0 or left_s < (time.monotonic() - self._begun_s) / 2
                self._begun_s = time.monotonic()
            return
        workers = [int(child) for child in children(self._process.pid) if b"taskpace.worker" in command_line(child)]
        for role, pids in (("parent", [self._process.pid]), ("worker", workers)):
            for pid in pids:
                self._sample(role, pid)
        if self._pending and workers:
            self._kill(self._pending, workers)
            self._pending = None

    def end(self) -> None:
        """Kill what is still there, for a soak that ends early."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def of(self, role: str) -> list[Samples]:
        """Of its parents or of its workers."""
        return [seen for (each, *_), seen in self.lives.items() if each == role]

    @property
    def _run_file(self) -> Path:
        return self.folder / f"{self.files}.db"

    def _start(self) -> None:
        self.sessions += 1
        self._expected = {0}
        environment = os.environ | {"TMPDIR": str(self.temporary), MARK: str(self.folder)}
        command = [sys.executable, "-m", "taskpace", "run", "x.toml", "-o", self._run_file.name, "--progress", "json"]
        with (self.folder / "events").open("wb") as events, (self.folder / "errors").open("wb") as errors:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=events, stderr=errors,
                start_new_session=True,
            )  # fmt: skip

    def _sample(self, role: str, pid: int) -> None:
        with contextlib.suppress(OSError):
            kib, descriptors = own_kib(pid), open_descriptors(pid)
            if not kib:
                return  # it is just ending
            seen = self.lives[role, self.sessions, pid]
            seen.seconds.append(time.monotonic())
            seen.kib.append(kib)
            seen.descriptors.append(descriptors)

    def _kill(self, kind: str, workers: list[int]) -> None:
        assert self._process is not None
        self.kills[kind] += 1
        self.found.append(len(marked(str(self.folder))))
        if kind == "worker":
            with contextlib.suppress(ProcessLookupError):
                os.kill(workers[self.kills[kind] % len(workers)], signal.SIGKILL)
        elif kind == "Ctrl-C":
            self._expected |= {130}
            os.killpg(self._process.pid, signal.SIGINT)
        else:
            self._expected |= {-signal.SIGKILL}
            self._process.kill()

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        if process.returncode not in self._expected:
            self.counts["sessions that ended unasked"] += 1
            said = (self.folder / "errors").read_text("utf-8", "replace").strip()
            print(f"{self.name}: exit code {process.returncode}: {said[-2000:]}", file=sys.stderr, flush=True)
            if self.counts["sessions that ended unasked"] == MOST_UNASKED:
                raise SystemExit(f"{self.name}: a session ended unasked for the {MOST_UNASKED}rd time")
        with (self.folder / "events").open(encoding="utf-8", errors="replace") as events:
            self._acknowledged |= acknowledged(events)
        until = time.monotonic() + GONE_S
        while (left := marked(str(self.folder))) and time.monotonic() < until:
            time.sleep(0.1)
        self.counts["processes left"] += len(left)
        for path in self.temporary.iterdir():
            self.counts["temporary files left"] += 1
            print(f"{self.name}: left in the temporary folder: {path.name}", file=sys.stderr, flush=True)
            path.rename(self.folder.parent / f"left-{self.counts['temporary files left']}")

    def _check(self) -> None:
        """Count what the complete run file has, and take it away."""
        path, counts = self._run_file, self.counts
        beside = {each.name for each in self.folder.iterdir()}
        # The lock stays on purpose: whoever takes it away may take it from under another's feet.
        lock = path.with_name(f"{path.name}.lock")
        left = beside - {"tmp", "prompts.jsonl", "x.toml", "events", "errors", path.name, lock.name}
        counts["files left beside a run"] += len(left)
        if left:
            print(f"{self.name}: left beside the run file: {', '.join(sorted(left))}", file=sys.stderr, flush=True)
        times, outcomes, whole = recorded(path)
        counts["failed integrity checks"] += not whole
        self.outcomes.update(outcomes)
        found = Counter(times.values())
        counts["trials planned"] += len(times)
        counts["trials recorded once"] += found[1]
        counts["trials without a record"] += found[0]
        counts["trials recorded twice"] += sum(number for count, number in found.items() if count > 1)
        counts["trials acknowledged"] += len(self._acknowledged)
        counts["acknowledged trials lost"] += sum(not times.get(trial) for trial in self._acknowledged)
        self.recorded += found[1]
        self.files += 1
        self._acknowledged = set()
        path.unlink()
        lock.unlink()


def recorded(path: Path) -> tuple[dict[str, int], dict[str, int], bool]:
    """How often a run file has each planned trial, how its trials ended, and whether it is sound."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as run:
        whole = run.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        times = run.execute(
            "SELECT trial.id, count(record.trial_id) FROM trial LEFT JOIN record"
            " ON record.trial_id = trial.id AND phase = 'measured' AND final IS NOT 0 GROUP BY 1"
        ).fetchall()
        outcomes = run.execute(
            "SELECT coalesce(failure_kind, 'answered'), count(*) FROM record"
            " WHERE phase = 'measured' AND final IS NOT 0 GROUP BY 1"
        ).fetchall()
    return dict(times), dict(outcomes), whole


def acknowledged(events: Iterable[str]) -> set[str]:
    """The trials that a session had reported finished, by its lines; a last one cut short does not count."""
    found = set()
    for line in events:
        with contextlib.suppress(json.JSONDecodeError):
            event = json.loads(line)
            if event["event"] == "TrialFinished":
                found.add(event["trial_id"])
    return found


def command_line(pid: int | str) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def own_kib(pid: int) -> int:
    """Memory that a process has of its own, on disk or not: anonymous pages and swap, without mapped files."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    return sum(int(kib) for kib in re.findall(r"^(?:Anonymous|Swap): +(\d+) kB", text, re.MULTILINE))


def open_descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def marked(value: str) -> list[int]:
    """Processes of a run that are there, found by their environment."""
    wanted, found = f"{MARK}={value}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def calm_trials(expected: float, *, least: int) -> int:
    """Trials of a run that is left alone: as many as time allows, and no more than a disk holds."""
    return min(MOST_TRIALS, max(least, round(expected)))


def seconds_of(text: str) -> float:
    """``90s``, ``30m`` or ``24h``, in seconds."""
    found = re.fullmatch(r"(\d+)([smh])", text)
    if found is None:
        raise SystemExit(f'--time {text}: unknown duration; write it as "90s", "30m" or "24h"')
    return float(found[1]) * UNITS_S[found[2]]


def soak(killed: list[Soaked], calm: list[Soaked], time_s: float, every_s: float) -> None:
    """Run all until time is up, kill one of ``killed`` every so often, then complete all."""
    begun, runs = time.monotonic(), killed + calm
    next_kill, turn = begun + every_s, itertools.cycle(killed)
    try:
        while not all(run.done for run in runs):
            now = time.monotonic()
            left_s = begun + time_s - now
            if now >= next_kill and left_s > 0:
                next(turn).kill_next()
                next_kill += every_s
            for run in runs:
                if not run.done:
                    run.watched_s = now - begun
                run.tick(left_s)
            time.sleep(min(POLL_S, every_s / 4))
    finally:
        for run in runs:
            run.end()


def report(bench: Bench, killed: list[Soaked], calm: list[Soaked], counts: Counter[str], due: float) -> None:
    """Print what was found. ``due``: kills that there was time for."""
    runs = killed + calm
    for run in runs:
        kills = ", ".join(f"{count} x {kind}" for kind, count in run.kills.items()) or "never"
        bench.say(
            f"  {run.name}: {run.recorded:,} trials, {run.files} run files, {run.sessions} sessions; killed: {kills}"
        )
        bench.say(f"    {', '.join(f'{count:,} {kind}' for kind, count in run.outcomes.most_common())}")
    kills = sum(run.kills.total() for run in runs)
    figures = [
        (KILLED, bench.figure(KILLED, kills, at_least=1 if bench.quick else int(LEAST_KILLS * due))),
        (FOUND, bench.figure(FOUND, min((least for run in runs for least in run.found), default=0),
                             at_least=LEAST_PROCESSES)),
    ]  # fmt: skip
    bench.figure("sessions", sum(run.sessions for run in runs))
    least = {"trials acknowledged": LEAST_ACKNOWLEDGED * counts["trials planned"]}
    figures += [
        (title, bench.figure(title, counts[title], at_most=most, at_least=least.get(title))) for title, most in TOTALS
    ]
    for title, figure in figures:
        bench.say(f"  {title:<34}{figure:>10,.0f}  {figure.target}".rstrip())
    bench.say(f"  {'killed':<26}{'most':>9}  {'KiB per minute (95 %)':<30}{'B per trial (95 %)':<26}lives  descriptors")
    for run in killed:
        for role in MOST_B_TRIAL:
            line(bench, run, role)
    bench.say(
        f"  {'left alone':<26}{'most':>9}{'first third':>13}{'then':>10}  {'then B per trial (96 %)':<26}minutes"
        "  descriptors  no leak"
    )
    judged = sum(calm_line(bench, run, role) for run in calm for role in MOST_B_TRIAL)
    wanted = None if bench.quick else float(len(calm) * len(MOST_B_TRIAL))
    figure = bench.figure("processes whose memory could be judged", judged, at_least=wanted)
    bench.say(f"  processes judged: {figure:.0f}  {figure.target}".rstrip())


def line(bench: Bench, run: Soaked, role: str) -> None:
    """Memory and descriptors of a run's parents or workers."""
    title, lives = f"{run.name}, {role}", run.of(role)
    warm = {"warm_up_s": bench.chosen.every / 2 if bench.quick else WARM_UP_S, "least_s": 0 if bench.quick else LEAST_S}
    memory = drift([Life(life.seconds, life.kib) for life in lives], **warm)
    opened = drift([Life(life.seconds, life.descriptors) for life in lives], **warm)
    most = bench.figure(f"{title}: most memory", max((max(life.kib) for life in lives), default=0) / 1024, "MiB")
    ends = [] if memory is None or math.isnan(memory.low) else [memory.low, memory.mean, memory.high]
    rate = max(1, run.recorded) / (run.watched_s / 60)
    slope = bench.figure(f"{title}: growth", ends, "KiB/min")
    each = bench.figure(f"{title}: growth per trial", [end * 1024 / rate for end in ends], "B")
    files = bench.figure(f"{title}: most descriptors", max((max(life.descriptors) for life in lives), default=0))
    bench.figure(f"{title}: growth of descriptors", opened and 60 * opened.mean, "1/h")
    bench.say(
        f"  {title:<26}{most:>5.0f} MiB  {format(slope, '.1f'):<29} {format(each, '.0f'):<25} "
        f"{memory.lives if memory else 0:>5}{files:>13.0f}"
    )


def calm_line(bench: Bench, run: Soaked, role: str) -> bool:
    """Memory and descriptors of the longest life of a run's parents or workers; whether it was long enough."""
    title = f"{run.name}, {role}"
    life = max(run.of(role), key=lambda seen: seen.seconds[-1] - seen.seconds[0])
    rate = max(1, run.recorded) / (run.watched_s / 60)
    memory = settled(Life(life.seconds, life.kib), warm_up_s=WARM_UP_S)
    opened = settled(Life(life.seconds, life.descriptors), warm_up_s=WARM_UP_S)
    most = bench.figure(f"{title}: most memory", max(life.kib) / 1024, "MiB")
    first = bench.figure(f"{title}: growth in the first third", memory and memory.first, "KiB")
    ends = [1024 / rate * kib for kib in (memory.low, memory.median, memory.high)] if memory else []
    each = bench.figure(f"{title}: growth per trial", ends, "B")
    leak = (ends[2] if ends[0] > 0 else 0.0) if ends else None
    most_b = None if bench.quick else MOST_B_TRIAL[role]
    bench.figure(f"{title}: growth per trial, not by chance, at most", leak, "B", at_most=most_b)
    files = bench.figure(f"{title}: most descriptors", max(life.descriptors))
    more = (60 * opened.median if opened.low > 0 else 0.0) if opened else None
    bench.figure(f"{title}: more descriptors, not by chance", more, "1/h", at_most=None if bench.quick else 0)
    rest = bench.figure(f"{title}: growth after it", memory and memory.rest, "KiB")
    bench.say(
        f"  {title:<26}{most:>5.0f} MiB{in_kib(first):>15}{in_kib(rest):>10}  {format(each, '.0f'):<25} "
        f"{memory.minutes if memory else 0:>7.1f}{files:>13.0f}  to {MOST_B_TRIAL[role]} B"
    )
    return memory is not None


def in_kib(figure: Figure) -> str:
    """A table's cell; a figure that is unknown has no unit."""
    return f"{figure:.0f}" if figure.median is None else f"{figure:.0f} KiB"


def main() -> None:
    bench = Bench(
        "soak",
        __doc__,
        {"every": (60, 2), "requests": (12_000, 128), "prompts": (120, 6)},
        {
            "--time": {"metavar": "DURATION", "help": "such as 30m or 24h; 30m, with --quick 8s"},
            "--samples": {"metavar": "FILE", "type": Path, "help": "write every sample of memory there, as JSON"},
        },
    )
    sizes = bench.chosen
    text = sizes.time or ("8s" if bench.quick else "30m")
    time_s = seconds_of(text)
    bench.head(f"{text}, one kill every {sizes.every} s")
    counts: Counter[str] = Counter()
    server = [sys.executable, ROOT / "bench" / "soak_server.py"]
    with (
        tempfile.TemporaryDirectory() as name,
        subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as endpoint,
    ):
        assert endpoint.stdout
        url = f"http://127.0.0.1:{endpoint.stdout.readline().strip()}/v1"
        idle = open_descriptors(endpoint.pid)
        folder = Path(name)
        openai = {"name": "s", "engine": "openai", "model": "m", "options": {"url": url, "proxy": False}}
        loaded = {"scenarios": [f"concurrency={CONCURRENCY}"], "timeout": TIMEOUT_S, "retries": 1}
        llamas = [
            {"name": name, "model": "smollm2-135m", "options": {"threads": 1, "context": context}}
            for name, context in (("short context", 256), ("long context", 512))
        ]
        killed = [
            Soaked("endpoint", folder=folder / "endpoint", system=[openai], settings=loaded, trials=sizes.requests,
                   counts=counts),
            Soaked("llama.cpp", folder=folder / "llamacpp", system=llamas, settings={"max_tokens": 8},
                   trials=sizes.prompts, counts=counts),
        ]  # fmt: skip
        one = {"name": "one token", "model": "smollm2-135m",
               "options": {"threads": 1, "context": 256, "chat_template": "plain"}}  # fmt: skip
        calm = [
            Soaked("calm endpoint", folder=folder / "calm-endpoint", system=[openai],
                   settings=loaded | {"scenarios": [f"concurrency={CALM_CONCURRENCY}"]},
                   trials=calm_trials(CALM_A_SECOND * time_s, least=64), counts=counts),
            Soaked("calm llama.cpp", folder=folder / "calm-llamacpp", system=[one], settings={"max_tokens": 1},
                   trials=calm_trials(SHORT_A_SECOND * time_s, least=6), counts=counts),
        ]  # fmt: skip
        soak(killed, calm, time_s, sizes.every)
        time.sleep(POLL_S)
        counts["descriptors left at the server"] = open_descriptors(endpoint.pid) - idle
        endpoint.communicate("")
    report(bench, killed, calm, counts, time_s / sizes.every)
    if sizes.samples:
        lives = [
            [run.name, role, session, *map(list, life)]
            for run in killed + calm
            for (role, session, _), life in run.lives.items()
        ]
        sizes.samples.write_text(json.dumps(lives), "utf-8")
    bench.finish()


if __name__ == "__main__":
    main()
