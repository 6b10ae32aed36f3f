"""What one run file recorded, taken into another whose plan has the same trials and more."""

from __future__ import annotations

import msgspec

from taskpace.engines.base import EngineInfo
from taskpace.store.store import Store
from taskpace.worker.messages import Calibration, ClientMetrics


def adopt(target: Store, source: Store) -> None:
    """Copy all sessions, workers, records (warm-ups included) and grades; ids are content hashes, so they fit.

    ``target`` is open for writing and has no record of these trials yet.
    """
    sessions = {
        number: target.begin_session(msgspec.json.decode(host), version)
        for number, host, version in source.query("SELECT number, host, taskpace_version FROM session")[1]
    }
    workers: dict[int | None, int | None] = {None: None}
    for number, session, system, load_ns, info, calibration in source.query(
        "SELECT number, session, system, load_ns, info, calibration FROM worker"
    )[1]:
        workers[number] = target.add_worker(
            sessions[session],
            system,
            load_ns,
            msgspec.json.decode(info, type=EngineInfo),
            msgspec.json.decode(calibration, type=Calibration),
        )
    for worker, session, system, reason in source.query("SELECT worker, session, system, reason FROM worker_death")[1]:
        target.add_worker_death(sessions[session], workers[worker], system, reason)
    for worker, cell_id, client in source.query("SELECT worker, cell_id, client FROM segment")[1]:
        number = workers[worker]
        assert number is not None, "a segment has a worker"  # noqa: S101 - the schema says so
        target.add_segment(number, cell_id, msgspec.json.decode(client, type=ClientMetrics))
    for trial_id, cell_id, worker in source.query("SELECT DISTINCT trial_id, cell_id, worker FROM record")[1]:
        target.add_all(source.attempts(trial_id), cell_id, workers[worker])
