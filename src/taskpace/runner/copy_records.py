"""What one run file recorded, taken into another whose plan has the same trials and more."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

import msgspec

from taskpace.engines.base import EngineInfo
from taskpace.store import queries
from taskpace.store.store import Store
from taskpace.telemetry import Calibration, ClientMetrics


def adopt(target: Store, source: Store) -> None:
    """Copy all sessions, workers, records (warm-ups included) and grades; ids are content hashes, so they fit.

    ``target`` is open for writing and has no record of these trials yet.
    """
    sessions = {
        session.number: target.begin_session(msgspec.json.decode(session.host), session.taskpace_version)
        for session in queries.sessions(source)
    }
    workers: dict[int | None, int | None] = {None: None}
    for worker in queries.workers(source):
        workers[worker.number] = target.add_worker(
            sessions[worker.session],
            worker.system,
            worker.load_ns,
            msgspec.json.decode(worker.info, type=EngineInfo),
            msgspec.json.decode(worker.calibration, type=Calibration),
        )
    for death in queries.worker_deaths(source):
        target.add_worker_death(sessions[death.session], workers[death.worker], death.system, death.reason)
    for segment in queries.segments(source):
        number = workers[segment.worker]
        assert number is not None, "a segment has a worker"  # noqa: S101 - the schema says so
        target.add_segment(number, segment.cell_id, msgspec.json.decode(segment.client, type=ClientMetrics))
    for trial_id, attempts in groupby(queries.record_origins(source), itemgetter(0)):
        # An attempt may be of another worker than the one before it.
        for kept, (_, cell_id, by) in zip(source.kept(trial_id), attempts, strict=True):
            target.add_all([kept], cell_id, workers[by])
