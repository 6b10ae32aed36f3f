"""How much does one run gain by more nodes, and how many records can one driver take in?

Run: python bench/cluster.py [--rounds N] [--items N] [--arrivals N] [--records N]. First `taskpace run --ray` on 1, 2
and 4 nodes of Ray on this machine, each with as many items, and two simulated systems that wait and compute nothing,
from the first dispatch to the last end; beside it what these nodes find their clocks to be off by when they share a
load, which on one machine is truly nothing; then the driver alone, real but for its nodes: each answers at once with
records of 100 arrivals, and what making them takes is left out of the driver's time.

Most of its time it waits for the systems, so each node has as much to do however many there are, and the rounds of as
many nodes share one cluster of Ray, which is started once.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import tomli_w

import taskpace
from harness import ROOT, Bench
from http_capacity import instant_server
from http_instant_server import MODEL
from taskpace.experiment.experiment import experiment_of
from taskpace.experiment.plan import Plan
from taskpace.experiment.prepare import prepare
from taskpace.machine import host
from taskpace.records import Arrival, Grade, Record, Turn, Usage
from taskpace.runner.cluster.driver import run_on_cluster
from taskpace.runner.cluster.messages import (
    Asked,
    Block,
    BlockDone,
    Closed,
    Ready,
    RecordsAdded,
    Said,
    Told,
    decode_orders,
    encode,
)
from taskpace.runner.cluster.protocol import Link, Member, NodeLostError
from taskpace.runner.events import TrialFinished
from taskpace.store import queries
from taskpace.store.rows import Kept, now
from taskpace.store.store import Store
from taskpace.telemetry import ClientMetrics, ClockOffset

NODES = (1, 2, 4)
SIMULATED = (1, 10, 100, 1000)
TRIAL_S = 0.1
RATE = 20
"""Arrivals per second of a load that nodes share."""
ARRIVALS = tuple(Arrival(index * 10_000_000, 4 * index, 0) for index in range(1, 101))
SYSTEMS = ("a", "b")
GRADE = Grade(outcome="completed", answer=None, score=None, detail=None, committed_ns=None, scorer="none")


def experiment(folder: Path, items: int) -> dict[str, object]:
    """Two simulated systems, and so many prompts."""
    (folder / "prompts.jsonl").write_text("".join(f'{{"prompt": "say {n}"}}\n' for n in range(items)), "utf-8")
    options = {"wait": TRIAL_S, "token_time": 0.0, "length": 8}
    systems = [{"name": name, "engine": "simulated", "options": options} for name in SYSTEMS]
    return {"name": "cluster", "tasks": [{"prompts": "prompts.jsonl"}], "system": systems}


@contextmanager
def ray_nodes(nodes: int) -> Iterator[str]:
    """A cluster on this machine; its address."""
    program = [sys.executable, ROOT / "tests" / "ray_nodes.py", str(nodes)]
    with subprocess.Popen(program, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, text=True) as cluster:
        assert cluster.stdout
        yield cluster.stdout.readline().strip()
        cluster.communicate()


def carry_out(table: dict[str, object], address: str, run: Path) -> None:
    """``taskpace run --ray``, as whoever types it."""
    path = run.with_suffix(".toml")
    path.write_text(tomli_w.dumps(table), "utf-8")
    run.unlink(missing_ok=True)
    command = [sys.executable, "-m", "taskpace", "run", path, "--ray", address, "-o", run, "--progress", "quiet"]
    subprocess.run(command, check=True, capture_output=True)


def trials_per_s(address: str, items: int, folder: Path) -> float:
    """Of a run on a cluster, from the first dispatch to the last end: the machine's clock is common to all."""
    carry_out(experiment(folder, items), address, folder / "cluster.db")
    with taskpace.open(folder / "cluster.db") as found:
        frame = found.frame()
    assert frame.height == len(SYSTEMS) * items
    end_ns = (frame["machine_ns"] + (frame["task_time_s"] * 1e9).cast(int)).max()
    return frame.height / ((end_ns - frame["machine_ns"].min()) / 1e9)


def clocks(address: str, items: int, folder: Path) -> list[ClockOffset]:
    """Of the nodes of a cluster that share a load on an endpoint."""
    with instant_server() as url:
        system = {"name": "served", "model": MODEL, "engine": "openai", "options": {"url": f"{url}/v1"}}
        load = experiment(folder, items) | {"system": [system], "scenarios": [f"rate={RATE}"]}
        carry_out(load, address, folder / "load.db")
    with taskpace.open(folder / "load.db") as found:
        assert found.frame().height == items
        clients = [msgspec.json.decode(each.client, type=ClientMetrics) for each in queries.segments(found.store)]
    return [client.clock for client in clients if client.clock is not None]


class InstantLink:
    """A node that has carried out whatever it is given by the time that it is asked."""

    def __init__(self, cluster: InstantCluster, plan: Plan) -> None:
        self._cluster, self._plan = cluster, plan
        self._ready = False
        self.order = b""

    def ask(self, data: bytes) -> None:
        self.order = data
        self._cluster.asked.append(self)

    def end(self) -> None:
        """There is nothing to end."""

    def answer(self) -> bytes:
        orders = decode_orders(self.order)
        said: list[Said] = [] if self._ready else [Ready(host.describe(), None)]
        self._ready = True
        for block in orders.blocks:
            said += self._carried_out(block)
        return encode([*said, Closed()] if orders.close else said)

    def _carried_out(self, block: Block) -> list[Said]:
        said: list[Said] = []
        for turn in block.turns:
            cell = self._plan.cells[turn.cell]
            for trial in (self._plan.trials(cell)[index] for index in turn.trials):
                kept = Kept(record(trial.id), GRADE, turn.round, turn.place)
                told = TrialFinished(
                    trial_id=trial.id, system=cell.system.name, task=cell.task.name, scenario=cell.scenario.name,
                    item_id=trial.item.id, outcome="completed", task_time_s=1.0, output_tokens=100, detail=None,
                )  # fmt: skip
                said += [Asked(trial.id, 1), RecordsAdded(cell.id, None, (kept,)), Told(told)]
                self._cluster.records += 1
        return [*said, BlockDone(block.number)]


def record(trial_id: str) -> Record:
    """An answer of 100 tokens, one arrival each."""
    turn = Turn(
        dispatch_ns=1, send_delay_ns=0, end_ns=1_000_000_000, finish_ns=1_000_000_000, finish_reason="stop",
        text="word" * 100, reasoning="", arrivals=ARRIVALS,
        usage=Usage(prompt_tokens=50, output_tokens=100, token_source="engine"),
    )  # fmt: skip
    return Record(
        trial_id=trial_id, attempt=1, phase="measured", started_at=now(), turns=(turn,), failure=None, loop_lag_ns=0
    )


class InstantCluster:
    """So many such nodes; ``inside_s`` is what they took."""

    def __init__(self, nodes: int, plan: Plan) -> None:
        self._nodes, self._plan = nodes, plan
        self.asked: list[InstantLink] = []
        self.records = 0
        self.inside_s = 0.0
        self.begun_s = 0.0

    def members(self) -> list[Member]:
        return [Member(str(number), str(number)) for number in range(self._nodes)]

    def listed(self) -> bool:
        return True

    def start(self, member: Member, setup: bytes) -> Link:
        del member, setup
        return InstantLink(self, self._plan)

    def answers(self, timeout_s: float) -> list[tuple[Link, bytes | NodeLostError]]:
        del timeout_s
        begun_s = time.perf_counter()
        asked, self.asked = self.asked, []
        had = self.records
        answers: list[tuple[Link, bytes | NodeLostError]] = [(link, link.answer()) for link in asked]
        ended_s = time.perf_counter()
        if self.records and not had:
            self.begun_s = begun_s  # what comes before is starting, whatever the number of records
        self.inside_s = self.inside_s + ended_s - begun_s if had else ended_s - begun_s
        return answers


def records_per_s(nodes: int, records: int, folder: Path) -> float:
    """That a driver with so many nodes takes in and puts on disk."""
    plan = prepare(experiment_of(experiment(folder, records // 2), "bench", default_name="bench"), folder)
    cluster = InstantCluster(nodes, plan)
    run = folder / "driver.db"
    run.unlink(missing_ok=True)
    with Store.create_or_continue(run, plan, taskpace.__version__) as store:
        ended = run_on_cluster(plan, store, cluster, base=folder)
        took_s = time.perf_counter() - cluster.begun_s - cluster.inside_s
    assert ended.done == ended.planned == cluster.records
    return cluster.records / took_s


def main() -> None:
    sizes = {"rounds": (3, 1), "items": (50, 3), "arrivals": (60, 6), "records": (20_000, 400)}
    bench = Bench("cluster", __doc__, sizes)
    rounds, records = bench.chosen.rounds, bench.chosen.records
    nodes = (2,) if bench.quick else NODES  # two share a load, too
    bench.head(f"{rounds} rounds, median (least to greatest)")
    bench.say(
        f"  {len(SYSTEMS)} simulated systems of {1000 * TRIAL_S:.0f} ms a trial, {bench.chosen.items} items for each "
        "node, nodes of Ray here:"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in NODES:
            rates: list[float] = []
            loads: list[list[ClockOffset]] = []
            if count in nodes:
                with ray_nodes(count) as address:
                    for _ in range(rounds):
                        rates.append(trials_per_s(address, count * bench.chosen.items, folder))
                        loads += [clocks(address, bench.chosen.arrivals, folder)] if count > 1 else []
            figure = bench.figure(f"trials per second on {count} nodes", rates, "1/s")
            bench.say(f"  {count:>5} nodes: {figure:.1f} trials per second")
            if count > 1:
                off_ms = [max(abs(clock.offset_ns) for clock in load) / 1e6 for load in loads]
                error_ms = [max(clock.error_ns for clock in load) / 1e6 for load in loads]
                off = bench.figure(f"worst clock of {count} nodes, found to be off", off_ms, "ms", optional=True)
                error = bench.figure(f"its error, at most, on {count} nodes", error_ms, "ms", optional=True)
                bench.say(f"               worst clock found to be off by {off:.3f} ms, error {error:.3f} ms")
        bench.say("")
        bench.say(
            f"  the driver alone, {records:,} records of {len(ARRIVALS)} arrivals from nodes that answer at once:"
        )
        for count in SIMULATED:
            found = [records_per_s(count, records, folder) for _ in range(rounds)]
            figure = bench.figure(f"records per second from {count} nodes", found, "1/s")
            full = 5 * (figure.median or 0)
            bench.say(
                f"  {count:>5} nodes: {figure:,.0f} records per second: full with {full:,.0f} nodes of 5 s a trial"
            )
    bench.finish()


if __name__ == "__main__":
    main()
