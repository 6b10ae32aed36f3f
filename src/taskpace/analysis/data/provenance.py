"""Where numbers come from: experiment, machine, versions, models, calibration."""

from __future__ import annotations

from typing import Any

import msgspec

from taskpace.experiment.experiment import Experiment
from taskpace.store import queries
from taskpace.store.queries import Reader


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One time that ``taskpace run`` worked on the run."""

    started_at: str
    taskpace_version: str
    host: dict[str, Any]


class SystemOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """A system, its model file, and what every worker said of its engine."""

    name: str
    spec: dict[str, Any]
    sha256: str | None
    """Of the model file; null where there is none."""
    size_bytes: int | None
    workers: tuple[dict[str, Any], ...]
    """Of each worker: ``load_ns``, ``info`` (of the engine) and ``calibration`` (the harness's own cost)."""


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """All that a run file knows of its own making."""

    name: str
    plan_id: str
    created_at: str
    taskpace_version: str
    experiment: Experiment
    sessions: tuple[Session, ...]
    systems: tuple[SystemOrigin, ...]
    tasks: tuple[tuple[str, int], ...]
    """Names and versions."""


def load_provenance(reader: Reader) -> Provenance:
    """From a run file, finished or not."""
    run = queries.run_row(reader)
    workers: dict[str, list[dict[str, Any]]] = {}
    for worker in queries.workers(reader):
        info, calibration = msgspec.json.decode(worker.info), msgspec.json.decode(worker.calibration)
        workers.setdefault(worker.system, []).append(
            {"load_ns": worker.load_ns, "info": info, "calibration": calibration}
        )
    return Provenance(
        name=run.name,
        plan_id=run.plan_id,
        created_at=run.created_at,
        taskpace_version=run.taskpace_version,
        experiment=msgspec.json.decode(run.experiment, type=Experiment),
        sessions=tuple(
            Session(
                started_at=session.started_at,
                taskpace_version=session.taskpace_version,
                host=msgspec.json.decode(session.host),
            )
            for session in queries.sessions(reader)
        ),
        systems=tuple(
            SystemOrigin(
                name=system.name,
                spec=msgspec.json.decode(system.spec),
                sha256=system.sha256,
                size_bytes=system.size_bytes,
                workers=tuple(workers.get(system.name, ())),
            )
            for system in queries.systems(reader)
        ),
        tasks=tuple((task.name, task.version) for task in queries.tasks(reader)),
    )
