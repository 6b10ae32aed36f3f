"""Where numbers come from: experiment, machine, versions, models, calibration."""

from __future__ import annotations

from typing import Any

import msgspec

from taskpace.analysis.data.frame import Source
from taskpace.experiment.experiment import Experiment


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


def load_provenance(source: Source) -> Provenance:
    """From a run file, finished or not."""
    name, plan_id, created_at, version, experiment = source.query(
        "SELECT name, plan_id, created_at, taskpace_version, experiment FROM run"
    )[1][0]
    workers: dict[str, list[dict[str, Any]]] = {}
    for system, load_ns, info, calibration in source.query(
        "SELECT system, load_ns, info, calibration FROM worker ORDER BY number"
    )[1]:
        workers.setdefault(system, []).append(
            {"load_ns": load_ns, "info": msgspec.json.decode(info), "calibration": msgspec.json.decode(calibration)}
        )
    return Provenance(
        name=name,
        plan_id=plan_id,
        created_at=created_at,
        taskpace_version=version,
        experiment=msgspec.json.decode(experiment, type=Experiment),
        sessions=tuple(
            Session(started_at=started_at, taskpace_version=by, host=msgspec.json.decode(host))
            for started_at, by, host in source.query(
                "SELECT started_at, taskpace_version, host FROM session ORDER BY number"
            )[1]
        ),
        systems=tuple(
            SystemOrigin(
                name=system,
                spec=msgspec.json.decode(spec),
                sha256=sha256,
                size_bytes=size_bytes,
                workers=tuple(workers.get(system, ())),
            )
            for system, spec, sha256, size_bytes in source.query(
                "SELECT name, spec, sha256, size_bytes FROM system ORDER BY position"
            )[1]
        ),
        tasks=tuple(source.query("SELECT name, version FROM task ORDER BY position")[1]),
    )
