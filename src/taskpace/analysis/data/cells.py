"""The cells of a run as analysis needs them: what was planned, and how the client fared in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from taskpace.experiment.imported import Imported, ImportedLog
from taskpace.experiment.scenario import Scenario, recorded_scenario
from taskpace.experiment.until import Until
from taskpace.machine.node import of_lost_node
from taskpace.prices.given import check_systems
from taskpace.prices.price import Price
from taskpace.store import queries
from taskpace.store.decoding import decoded
from taskpace.store.imported import by_cell, load_imported
from taskpace.store.queries import Reader
from taskpace.tasks import LeftOut
from taskpace.tasks.data import starter_rows
from taskpace.telemetry import ClientMetrics


class CellPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A cell as planned, and how the client fared in it."""

    system: str
    task: str
    scenario: Scenario
    planned: int
    graded: bool
    """The task has right answers."""
    segments: tuple[ClientMetrics, ...] = ()
    lost_node: bool = False
    """A node was lost that shared a load on the system with others."""
    not_opened: str | None = None
    """Why the system could not be opened when it was last tried, such as that no server listens; null: it could."""
    in_process: bool = True
    """The model runs in the worker process, whose processor time is then the model's too."""
    round_trip_s: float | None = None
    """Of the network, as calibrated before the cell."""
    max_tokens: int | None = None
    """Output tokens that the task allows; null: unknown."""
    greatest_limit: int = 0
    """Of the tasks in the run: ``--max-tokens`` sets all of them."""
    limited: bool = False
    """The system has a token limit of its own below that."""
    timeout_s: float | None = None
    """Seconds that a trial may take; null: unknown."""
    left_out: LeftOut | None = None
    """Rows of the data that the task could not use; null: none."""
    starter_items: int | None = None
    """All that the task's starter set has; null: other data, or a part of it."""
    omitted: tuple[str, ...] = ()
    """Fields that the system's requests lack: its server's own values apply."""
    price: Price | None = None
    """Of the system; null: none was given."""
    imported: ImportedLog | None = None
    """The other tool's log that the cell comes from; null: taskpace measured it."""
    imported_by: str | None = None
    """That tool, with its version."""
    of_gate: bool = False
    """A gate carries the run out: `taskpace compare` goes on with it, and `taskpace run` does not take it."""

    @property
    def batched(self) -> bool:
        """In static batches of two or more."""
        return (self.scenario.batch or 1) > 1

    @property
    def alone(self) -> bool:
        """One task at a time."""
        return self.scenario.one_at_a_time and not self.batched

    @property
    def open_loop(self) -> bool:
        """Trials arrive by a schedule."""
        return self.scenario.rate is not None


class _Data(msgspec.Struct, frozen=True):
    source: str = ""
    where: dict[str, object] = {}
    left_out: LeftOut | None = None

    @property
    def starter_items(self) -> int | None:
        return None if self.where or self.left_out else starter_rows(self.source)


class _Task(msgspec.Struct, frozen=True):
    """Of a task's specification."""

    max_tokens: int | None = None
    data: _Data = _Data()


class _Omitted(msgspec.Struct, frozen=True):
    """Of the options of a system that is asked over HTTP."""

    omit: tuple[str, ...] = ()


class _System(msgspec.Struct, frozen=True):
    """Of a system's specification."""

    engine: str
    max_tokens: int | None = None
    options: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def omitted(self) -> tuple[str, ...]:
        try:
            return msgspec.json.decode(self.options, type=_Omitted).omit if self.engine == "openai" else ()
        except msgspec.MsgspecError:  # of a file that another program has made
            return ()


class _Experiment(msgspec.Struct, frozen=True):
    timeout_s: float | None = None
    prices: dict[str, Price] = {}
    until: Until | None = None


def load_cells(reader: Reader, prices: Mapping[str, Price] | None = None) -> list[CellPlan]:
    """The cells of a run, in the experiment's order.

    Args:
        reader: of the run file.
        prices: by system, in place of those that the experiment gives.

    Raises:
        TaskpaceError: a price is of a system that is not in the run.
    """
    segments: dict[str, list[ClientMetrics]] = {}
    for segment in queries.segments(reader):
        segments.setdefault(segment.cell_id, []).append(msgspec.json.decode(segment.client, type=ClientMetrics))
    deaths = queries.worker_deaths(reader)
    lost_nodes = {death.system for death in deaths if of_lost_node(death.reason)}
    not_opened = _not_opened(reader, deaths)
    cells = queries.cells(reader)
    tasks = {task.name: decoded(task.spec, _Task, reader, "task") for task in queries.tasks(reader)}
    own = {system.name: msgspec.json.decode(system.spec, type=_System) for system in queries.systems(reader)}
    check_systems(prices or {}, own)
    experiment = decoded(queries.run_row(reader).experiment, _Experiment, reader, "run")
    by_system = {**experiment.prices, **(prices or {})}
    logs = by_cell(load_imported(reader))
    available = {name: task.data.starter_items for name, task in tasks.items()}
    greatest = max((task.max_tokens or 0 for task in tasks.values()), default=0)
    scenarios = {name: recorded_scenario(name) for name in {cell.scenario for cell in cells}}
    plans = [
        CellPlan(
            system=cell.system,
            task=cell.task,
            scenario=scenarios[cell.scenario],
            planned=cell.planned,
            graded=cell.graded,
            segments=tuple(segments.get(cell.id, ())),
            lost_node=cell.system in lost_nodes,
            not_opened=not_opened.get(cell.system),
            in_process=cell.in_process,
            round_trip_s=None if cell.round_trip_ns is None else cell.round_trip_ns / 1e9,
            max_tokens=tasks[cell.task].max_tokens,
            greatest_limit=greatest,
            limited=(own[cell.system].max_tokens or math.inf) < (tasks[cell.task].max_tokens or math.inf),
            timeout_s=experiment.timeout_s,
            left_out=tasks[cell.task].data.left_out,
            starter_items=available[cell.task],
            omitted=own[cell.system].omitted,
            price=by_system.get(cell.system),
            of_gate=experiment.until is not None and experiment.until.gate is not None,
        )
        for cell in cells
    ]
    return [_as_imported(plan, logs.get((plan.system, plan.task, plan.scenario.name)), own) for plan in plans]


def _not_opened(reader: Reader, deaths: Iterable[queries.WorkerDeath]) -> dict[str, str]:
    """By system, why it was not opened in the last session that tried; those that were are left out."""
    failed = {death.system: death for death in deaths if death.worker is None}
    if not failed:
        return {}
    opened = {worker.system: worker.session for worker in queries.workers(reader)}
    return {system: death.reason for system, death in failed.items() if death.session > opened.get(system, 0)}


def _as_imported(
    plan: CellPlan, found: tuple[Imported, ImportedLog] | None, systems: Mapping[str, _System]
) -> CellPlan:
    """The limits of an imported cell are those of its log, where that has any."""
    if found is None:
        return plan
    return msgspec.structs.replace(
        plan,
        imported=found[1],
        imported_by=found[0].by,
        in_process=False,
        max_tokens=systems[plan.system].max_tokens,
        limited=False,
        timeout_s=None,
    )
