"""Processes are really killed here: what was acknowledged survives, what was lost is recorded, the run goes on."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from tests.endpoint import MODEL, Endpoint, answer

import taskpace
from taskpace.experiment.prepare import prepare
from taskpace.runner.events import RunEnded, SystemGivenUp, WorkerDied
from taskpace.runner.runner import run_plan
from taskpace.runner.worker_process import WorkerProcess
from taskpace.store.store import Store

EXPERIMENT = """
items = 30
tasks = ["mmlu-letter"]
scenarios = ["single", "concurrency=4"]
[[system]]
name = "quick"
engine = "simulated"
options = { wait = 0.002, token_time = 0.0005, length = 60 }
[[system]]
name = "slow"
engine = "simulated"
options = { wait = 0.004, token_time = 0.0005, length = 90 }
"""


def start(folder: Path) -> subprocess.Popen[str]:
    """`taskpace run` in a process group of its own, events on its standard output."""
    return subprocess.Popen(
        [sys.executable, "-m", "taskpace", "run", "x.toml", "-o", "x.db", "--progress", "json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(event: str, process: subprocess.Popen[str]) -> None:
    """Read a run's events until one of this kind comes."""
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == event:
            return
    raise AssertionError(f"the run ended without {event}")


def acknowledged(lines: str) -> set[str]:
    """The trials that a killed run had reported finished; a last line cut short does not count."""
    found = set()
    for line in lines.splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if event["event"] == "TrialFinished":
            found.add(event["trial_id"])
    return found


def kill_until_done(folder: Path, moments: random.Random, length_s: float, most: int) -> tuple[int, set[str]]:
    """The same command again and again, killed within ``length_s`` up to ``most`` times, until one gets to its end.

    Returns:
        How many were killed, and the trials that they had reported finished.
    """
    kills, seen = 0, set()
    while True:
        process = start(folder)
        if kills < most:
            try:
                process.wait(timeout=moments.uniform(0.05, length_s))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
        out, err = process.communicate(timeout=300)
        seen |= acknowledged(out)
        if process.returncode == 0:
            return kills, seen
        assert process.returncode == -signal.SIGKILL, err


@pytest.fixture(scope="module")
def length_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a run of the experiment takes without kills, about the same in every order."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "x.toml").write_text(EXPERIMENT)
    whole, begun = start(folder), time.monotonic()
    whole.communicate(timeout=120)
    assert whole.returncode == 0
    return time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        (4, "turns"),
        (2, "blocks"),
        (2, "sequential"),
        *(pytest.param(40, order, marks=pytest.mark.soak) for order in ("turns", "blocks", "sequential")),
    ],
)
def test_kills_lose_nothing_that_was_acknowledged(tmp_path, length_s, wanted, order):
    """SIGKILL of the whole group at random moments: every planned trial once, no acknowledged record lost."""
    (tmp_path / "x.toml").write_text(f'order = "{order}"\n{EXPERIMENT}')
    seed = random.randrange(2**32)
    print(f"kill moments drawn with seed {seed}")  # shown when the test fails
    moments = random.Random(seed)
    kills = 0
    while kills < wanted:
        for leftover in tmp_path.glob("x.db*"):
            leftover.unlink()
        killed, seen = kill_until_done(tmp_path, moments, length_s, wanted - kills)
        kills += killed
        check_whole(tmp_path / "x.db", seen)
    assert kills == wanted


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [2, pytest.param(40, marks=pytest.mark.soak)])
def test_kills_lose_nothing_while_a_run_grows(tmp_path, length_s, wanted):
    """A finished run gets a system and items more, killed at random: every trial once, the old records as they were."""
    old = EXPERIMENT.replace("items = 30", "items = 20").partition('[[system]]\nname = "slow"')[0]
    (tmp_path / "x.toml").write_text(old)
    assert start(tmp_path).communicate(timeout=120)
    before = (tmp_path / "x.db").read_bytes()
    with taskpace.open(tmp_path / "x.db") as run:
        recorded = run.frame().select("trial_id", "task_time_s")
    assert recorded.height == 40
    seed = random.randrange(2**32)
    print(f"kill moments drawn with seed {seed}")  # shown when the test fails
    moments, kills = random.Random(seed), 0
    (tmp_path / "x.toml").write_text(EXPERIMENT)
    while kills < wanted:
        for leftover in tmp_path.glob("x.db*"):
            leftover.unlink()
        (tmp_path / "x.db").write_bytes(before)
        killed, seen = kill_until_done(tmp_path, moments, length_s, wanted - kills)
        kills += killed
        check_whole(tmp_path / "x.db", seen | set(recorded["trial_id"]))
        with taskpace.open(tmp_path / "x.db") as run:
            frame = run.frame()
            kept = frame.select("trial_id", "task_time_s").filter(pl.col("trial_id").is_in(recorded["trial_id"]))
            asked_again = run.store.query("SELECT trial_id, count(*) FROM anchor GROUP BY 1")[1]
        assert kept.sort("trial_id").equals(recorded.sort("trial_id"))
        # A kill between the first records of two systems leaves them without a session in common: whichever has been
        # asked an item, the new system too, may be asked it again beside the other. Nothing else is.
        assert {trial for trial, _ in asked_again} <= set(frame["trial_id"])


def check_whole(path: Path, seen: set[str]) -> None:
    """Every planned trial has exactly one record, whole, and none that was acknowledged is missing."""
    with taskpace.open(path) as run:
        frame = run.frame()
        planned = run.store.planned_count()
        (integrity,) = run.store.query("PRAGMA integrity_check")[1]
    assert integrity == ("ok",)
    assert frame.height == frame["trial_id"].n_unique() == planned == 120
    assert seen <= set(frame["trial_id"])
    assert frame["outcome"].null_count() == 0
    assert frame["task_time_s"].null_count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("idle", [False, True])
def test_a_killed_worker_costs_its_trial_and_the_run_completes(tmp_path, idle):
    """SIGKILL of a worker: its trial in flight becomes an error, and one that waits for its turn loses nothing."""
    (tmp_path / "x.toml").write_text(
        EXPERIMENT.replace("wait = 0.002", "wait = 0.5").replace("items = 30", "items = 4\nwarmup = 0")
    )
    process = start(tmp_path)
    wait_for("TrialFinished", process)
    quick, slow = sorted(children_of(process.pid))
    time.sleep(0.2)  # into the next trial of the one called quick, which takes half a second
    os.kill(slow if idle else quick, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    events = [json.loads(line) for line in out.splitlines()]
    died = [event for event in events if event["event"] == "WorkerDied"]
    assert len(died) == 1
    assert "SIGKILL" in died[0]["reason"]
    assert died[0]["lost"] == (not idle)
    with taskpace.open(tmp_path / "x.db") as run:
        frame = run.frame()
        deaths = run.store.query("SELECT system, reason FROM worker_death")[1]
    assert frame.height == 16
    lost = frame.filter(frame["outcome"] == "error")
    assert lost.height == died[0]["lost"]
    assert set(lost["failure_kind"]) <= {"worker-died"}
    assert [death[0] for death in deaths] == ["slow" if idle else "quick"]


def children_of(pid: int) -> list[int]:
    """The direct children of a process."""
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listing.read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["crash", "error", "out-of-memory", "stall"])
def test_a_fault_in_one_system_leaves_the_other_whole(tmp_path, kind):
    """Scripted crashes, errors, exhausted memory and stalls are recorded as what they are; every trial is recorded."""
    (tmp_path / "x.toml").write_text(
        f"""
items = 12
tasks = ["mmlu-letter"]
timeout = 5
[[system]]
name = "faulty"
engine = "simulated"
options = {{ time = "virtual", faults = [{{ kind = "{kind}", rate = 0.3, after_tokens = 2 }}] }}
[[system]]
name = "sound"
engine = "simulated"
options = {{ time = "virtual" }}
"""
    )
    with taskpace.run(tmp_path / "x.toml", tmp_path / "x.db") as run:
        frame = run.frame()
    assert frame.height == 24
    faulty, sound = (frame.filter(frame["system"] == name) for name in ("faulty", "sound"))
    struck = faulty.filter(faulty["failure_kind"].is_not_null())
    kinds = {"crash": "worker-died", "error": "engine", "out-of-memory": "out-of-memory", "stall": "timeout"}
    assert set(struck["failure_kind"]) == {kinds[kind]}
    assert set(struck["outcome"]) == {"timeout" if kind == "stall" else "error"}
    assert 0 < struck.height < 12
    assert sound["failure_kind"].null_count() == 12


@pytest.mark.slow
def test_a_system_whose_worker_keeps_dying_is_given_up_and_the_other_is_not(tmp_path, simulated):
    """After three deaths in a row without a finished trial the system is given up, with what is left unrecorded."""
    faults = {"faults": [{"kind": "crash"}]}
    plan = prepare(simulated(faults, items=9), Path())
    events = []
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        ended = run_plan(plan, store, on_event=events.append)
    assert ended == RunEnded(
        path=str(tmp_path / "x.db"), planned=9, done=ended.done, interrupted=False, given_up=("sim",)
    )
    assert sum(isinstance(event, WorkerDied) for event in events) == 3
    (given_up,) = (event for event in events if isinstance(event, SystemGivenUp))
    assert given_up.left == 9 - ended.done > 0


@pytest.mark.slow
def test_one_interrupt_stops_cleanly_and_the_same_command_continues(tmp_path):
    """Ctrl-C: what is in flight is finished and kept, exit code 130, and the run is continued to its end."""
    (tmp_path / "x.toml").write_text(EXPERIMENT.replace("wait = 0.002", "wait = 0.06"))
    process = start(tmp_path)
    wait_for("TrialFinished", process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and worker alike
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues" in err
    with taskpace.open(tmp_path / "x.db") as run:
        done = run.frame()
    assert 0 < done.height < 120
    assert done["failure_kind"].null_count() == done.height
    again = start(tmp_path)
    again.communicate(timeout=120)
    assert again.returncode == 0
    check_whole(tmp_path / "x.db", set(done["trial_id"]))


@pytest.mark.slow
def test_a_signal_to_the_whole_group_costs_nothing(tmp_path):
    """SIGTERM to parent and worker alike, as supervisors send it, stops cleanly: no trial becomes an error."""
    (tmp_path / "x.toml").write_text(EXPERIMENT.replace("wait = 0.002", "wait = 0.1"))
    process = start(tmp_path)
    wait_for("TrialFinished", process)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    with taskpace.open(tmp_path / "x.db") as run:
        assert set(run.frame()["outcome"]) == {"correct"}


def test_scoring_and_storing_stay_outside_the_clock(tmp_path, simulated, monkeypatch):
    """One at a time, the next trial is dispatched only when the last is scored and stored, whatever ran before it."""
    from taskpace.runner import session

    slow = session.score

    def score(*arguments):
        time.sleep(0.05)
        return slow(*arguments)

    monkeypatch.setattr(session, "score", score)
    options = {"time": "real", "wait": 0.005, "token_time": 0.0001}
    plan = prepare(simulated(options, items=8, scenarios=("concurrency=4", "single")), Path())
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        run_plan(plan, store)
    with taskpace.open(tmp_path / "x.db") as run:
        single = run.frame().filter(pl.col("scenario") == "single").sort("dispatch_ns")
    gaps_ns = (single["dispatch_ns"].shift(-1) - single["end_clock_ns"]).drop_nulls()
    assert gaps_ns.len() == 7
    assert gaps_ns.min() >= 50_000_000


@pytest.mark.slow
def test_an_interrupt_while_a_model_loads_does_not_wait_for_it(tmp_path):
    """Ctrl-C during a load of a minute ends the run at once: nothing is in flight."""
    (tmp_path / "x.toml").write_text(EXPERIMENT.replace("wait = 0.002", "load_time = 60"))
    process = start(tmp_path)
    wait_for("WorkerStarting", process)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


@pytest.mark.slow
def test_a_second_interrupt_stops_at_once(tmp_path):
    """Ctrl-C twice does not wait for a trial that would take a minute, and leaves no worker behind."""
    (tmp_path / "x.toml").write_text(EXPERIMENT.replace("wait = 0.002", "wait = 60"))
    process = start(tmp_path)
    wait_for("CellStarted", process)
    workers = children_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not any(Path(f"/proc/{worker}/cmdline").read_bytes() for worker in workers if alive(worker))


def test_an_interrupt_while_python_ends_keeps_the_exit_code():
    """Ctrl-C once more, when the command is through and the interpreter shuts down, does not kill it."""
    code = (
        "import atexit, os, signal, sys; from taskpace import cli\n"
        "class Late:\n"
        "    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGINT): kill(pid, number)\n"
        "sys.late = Late()\n"
        "def interrupted(): os.kill(os.getpid(), signal.SIGINT)\n"
        "atexit.register(interrupted)\n"
        "cli._main = lambda: 130\n"
        "cli.main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (130, "")


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.slow
def test_a_worker_does_not_outlive_its_run(tmp_path):
    """SIGKILL of the parent alone: the workers notice and end by themselves, also the one that waits for its turn."""
    (tmp_path / "x.toml").write_text(EXPERIMENT.replace("wait = 0.002", "wait = 60"))
    process = start(tmp_path)
    wait_for("CellStarted", process)
    workers = children_of(process.pid)
    assert len(workers) == 2
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_a_message_that_cannot_be_encoded_ends_the_worker_at_once(tmp_path):
    """The thread that writes must not end alone: the run would wait for ever. The process ends and says why."""
    code = (
        "import sys; from taskpace.worker.__main__ import _Pipes\n"
        "pipes = _Pipes(sys.stdin.buffer, sys.stdout.buffer)\n"
        "pipes.send(object(), True)\n"
        "import time; time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(30) == 1
    assert b"TypeError" in said


def test_a_worker_that_was_suspended_is_told_of_its_trial(tmp_path):
    """Half a second of SIGSTOP within a quick answer: that trial is late, the others are not."""
    workers: list[WorkerProcess] = []

    class Noted(WorkerProcess):
        def __init__(self) -> None:
            super().__init__()
            workers.append(self)

    async def suspend_once(asked, writer, number) -> None:
        if number == 3:
            os.kill(workers[0].pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(0.5, os.kill, workers[0].pid, signal.SIGCONT)
        await asyncio.sleep(0.05)
        await answer(asked, writer, number)

    with Endpoint(suspend_once) as server:
        experiment = taskpace.quick_experiment(
            models=(MODEL,), engine="openai", options={"url": server.url}, tasks=("mmlu-letter",), items=12, warmup=0
        )
        with Store.create_or_continue(tmp_path / "x.db", prepare(experiment, tmp_path), "0") as store:
            run_plan(prepare(experiment, tmp_path), store, launch=Noted)
    with taskpace.open(tmp_path / "x.db") as run:
        frame = run.frame()
        (row,) = run.summary(resamples=0).tables[0].rows
    assert frame.sort("machine_ns")["late"].to_list() == [number == 3 for number in range(12)]
    assert "suspended" in {reason.code for reason in row.reasons}
    assert row.task_time_mean_s.value is not None
    assert row.task_time_mean_s.value < 0.5
