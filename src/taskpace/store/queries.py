"""Every question that is asked of a run file, by name. SQL that selects stands here, and in ``tables``.

The tables and columns are explained in ``schema.sql``. JSON columns are handed on as the text that is stored.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

Rows = list[tuple[Any, ...]]


class Reader(Protocol):
    """Anything that answers queries on a run file."""

    def query(self, sql: str, *values: Any) -> tuple[list[str], Rows]: ...


def name_of(reader: Reader) -> str:
    """Name the run file, for messages."""
    return str(getattr(reader, "path", "the run file"))


class RunRow(NamedTuple):
    """What the run is."""

    plan_id: str
    name: str
    created_at: str
    taskpace_version: str
    experiment: str
    """JSON."""


class SessionRow(NamedTuple):
    """One time that ``taskpace run`` worked on the file."""

    number: int
    started_at: str
    taskpace_version: str
    host: str
    """JSON."""


class SystemSpec(NamedTuple):
    """One system, in the experiment's order."""

    name: str
    spec: str
    """JSON."""
    sha256: str | None
    size_bytes: int | None


class TaskSpec(NamedTuple):
    """One task, in the experiment's order."""

    name: str
    version: int
    spec: str
    """JSON."""


class ItemRow(NamedTuple):
    """One item of a task."""

    task: str
    id: str
    fields: str
    """JSON."""
    prompts: str
    """JSON."""


class CellSummary(NamedTuple):
    """One cell, with what its system's workers said of their engine."""

    id: str
    system: str
    task: str
    scenario: str
    planned: int
    graded: bool
    in_process: bool
    round_trip_ns: int | None


class WorkerRow(NamedTuple):
    """One worker whose engine was ready."""

    number: int
    session: int
    system: str
    load_ns: int
    info: str
    """JSON."""
    calibration: str
    """JSON."""


class WorkerDeath(NamedTuple):
    """A worker that ended without being asked to."""

    worker: int | None
    session: int
    system: str
    reason: str


class SegmentRow(NamedTuple):
    """How the client fared over an unbroken segment of a cell."""

    worker: int
    cell_id: str
    client: str
    """JSON."""


class TrialSpec(NamedTuple):
    """What a trial asks of whom, carried out or not."""

    system: str
    system_spec: str
    """JSON."""
    task: str
    scenario: str
    repeat: int
    prompts: str
    """JSON."""


class TurnText(NamedTuple):
    """What came back of one request."""

    trial_id: str
    attempt: int
    reasoning: str
    text: str
    arrivals: bytes
    end_ns: int


class Origin(NamedTuple):
    """When a trial was carried out."""

    session: int | None
    """Null: its worker crashed before it was ready."""
    round: int | None
    """Null: the systems did not take turns."""


class SeenRow(NamedTuple):
    """What a trial took and came to."""

    task_ns: int | None
    """Null: nothing was dispatched, or its worker crashed."""
    outcome: str
    loop_lag_ns: int | None


class CellSpan(NamedTuple):
    """How long a cell took on its worker's clock; where systems took turns, its own turns alone."""

    cell_id: str
    span_ns: int
    trials: int


def run_row(reader: Reader) -> RunRow:
    """The run's own row."""
    sql = "SELECT plan_id, name, created_at, taskpace_version, experiment FROM run"
    return RunRow(*reader.query(sql)[1][0])


def sessions(reader: Reader) -> list[SessionRow]:
    """Every session, in order."""
    sql = "SELECT number, started_at, taskpace_version, host FROM session ORDER BY number"
    return [SessionRow(*row) for row in reader.query(sql)[1]]


def systems(reader: Reader) -> list[SystemSpec]:
    """Every system, in the experiment's order."""
    sql = "SELECT name, spec, sha256, size_bytes FROM system ORDER BY position"
    return [SystemSpec(*row) for row in reader.query(sql)[1]]


def tasks(reader: Reader) -> list[TaskSpec]:
    """Every task, in the experiment's order."""
    return [TaskSpec(*row) for row in reader.query("SELECT name, version, spec FROM task ORDER BY position")[1]]


def items(reader: Reader) -> list[ItemRow]:
    """Every item of every task, in the plan's order."""
    sql = "SELECT task, id, fields, prompts FROM item ORDER BY task, position"
    return [ItemRow(*row) for row in reader.query(sql)[1]]


def cells(reader: Reader) -> list[CellSummary]:
    """Every cell, in the experiment's order."""
    rows = reader.query(
        "SELECT cell.id, cell.system, cell.task, cell.scenario, (SELECT count(*) FROM trial WHERE cell_id = cell.id),"
        " json_extract(task.spec, '$.scorer') IS NOT NULL,"
        " (SELECT min(coalesce(json_extract(info, '$.in_process'), 1)) FROM worker WHERE worker.system = cell.system),"
        " (SELECT max(json_extract(info, '$.details.round_trip_ns')) FROM worker WHERE worker.system = cell.system)"
        " FROM cell JOIN task ON task.name = cell.task ORDER BY cell.position"
    )[1]
    return [
        CellSummary(cell_id, system, task, scenario, planned, bool(graded), in_process != 0, round_trip_ns)
        for cell_id, system, task, scenario, planned, graded, in_process, round_trip_ns in rows
    ]


def workers(reader: Reader) -> list[WorkerRow]:
    """Every worker, in the order in which they were ready."""
    sql = "SELECT number, session, system, load_ns, info, calibration FROM worker ORDER BY number"
    return [WorkerRow(*row) for row in reader.query(sql)[1]]


def worker_deaths(reader: Reader) -> list[WorkerDeath]:
    """Every worker that crashed."""
    return [WorkerDeath(*row) for row in reader.query("SELECT worker, session, system, reason FROM worker_death")[1]]


def segments(reader: Reader) -> list[SegmentRow]:
    """Every segment of every cell."""
    return [SegmentRow(*row) for row in reader.query("SELECT worker, cell_id, client FROM segment")[1]]


def planned_count(reader: Reader) -> int:
    """How many trials the plan has."""
    return int(reader.query("SELECT count(*) FROM trial")[1][0][0])


def last_attempts(reader: Reader) -> list[tuple[str, int, bool]]:
    """Id, last attempt, and whether that was final; of everything that was ever tried, warm-ups included."""
    # The other columns of a row with max() are those of the row that has it (SQLite, "Bare columns in an aggregate").
    rows = reader.query("SELECT trial_id, max(attempt), final FROM record GROUP BY trial_id")[1]
    return [(trial_id, attempt, final != 0) for trial_id, attempt, final in rows]


def trials_starting_with(reader: Reader, prefix: str) -> list[str]:
    """At most 20 trial ids that start so."""
    sql = "SELECT id FROM trial WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 20"
    return [row[0] for row in reader.query(sql, len(prefix), prefix)[1]]


def trial(reader: Reader, trial_id: str) -> TrialSpec:
    """A trial of the plan."""
    sql = (
        "SELECT cell.system, system.spec, cell.task, cell.scenario, trial.repeat, item.prompts"
        " FROM trial JOIN cell ON cell.id = trial.cell_id JOIN system ON system.name = cell.system"
        " JOIN item ON item.task = cell.task AND item.id = trial.item_id WHERE trial.id = ?"
    )
    return TrialSpec(*reader.query(sql, trial_id)[1][0])


def record_origins(reader: Reader) -> list[tuple[str, str, int | None]]:
    """Trial (or warm-up), cell and worker of every attempt, those at one trial together and in order."""
    sql = "SELECT trial_id, cell_id, worker FROM record ORDER BY trial_id, attempt"
    return [(trial_id, cell_id, by) for trial_id, cell_id, by in reader.query(sql)[1]]


def record_rows(reader: Reader, trial_id: str) -> list[dict[str, Any]]:
    """Every attempt at a trial, in order: what is kept of it beside its turns."""
    sql = (
        "SELECT attempt, phase, started_at, loop_lag_ns, machine_ns, failure_kind, failure_message, final,"
        " round, place, (SELECT anchor.trial_id FROM anchor WHERE anchor.id = record.trial_id) AS anchor_of"
        " FROM record WHERE trial_id = ? ORDER BY attempt"
    )
    return _dicts(reader, sql, trial_id)


def turn_rows(reader: Reader, trial_id: str, attempt: int) -> list[dict[str, Any]]:
    """The conversation turns of one attempt, in order, by column."""
    return _dicts(reader, "SELECT * FROM turn WHERE trial_id = ? AND attempt = ? ORDER BY turn", trial_id, attempt)


def grade_row(reader: Reader, trial_id: str, attempt: int) -> dict[str, Any] | None:
    """The grade of one attempt, by column; null for a warm-up."""
    sql = "SELECT outcome, answer, score, detail, committed_ns, scorer FROM grade WHERE trial_id = ? AND attempt = ?"
    return next(iter(_dicts(reader, sql, trial_id, attempt)), None)


def texts_of_cell(reader: Reader, cell_position: int) -> list[TurnText]:
    """The texts and arrivals of one cell, conversation turn by turn."""
    sql = (
        "SELECT turn.trial_id, turn.attempt, turn.reasoning, turn.text, turn.arrivals, turn.end_ns FROM turn"
        " JOIN trial ON trial.id = turn.trial_id JOIN cell ON cell.id = trial.cell_id WHERE cell.position = ?"
        " ORDER BY turn.trial_id, turn.attempt, turn.turn"
    )
    return [TurnText(*row) for row in reader.query(sql, cell_position)[1]]


def visible_texts(reader: Reader) -> list[tuple[str, int, str]]:
    """Trial, attempt and visible text of every conversation turn, in order."""
    rows = reader.query("SELECT trial_id, attempt, text FROM turn ORDER BY turn")[1]
    return [(trial_id, attempt, text) for trial_id, attempt, text in rows]


def origins(reader: Reader) -> dict[str, Origin]:
    """When each recorded trial was carried out, and each anchor; by its id."""
    sql = (
        "SELECT record.trial_id, worker.session, record.round FROM record"
        " LEFT JOIN worker ON worker.number = record.worker WHERE record.phase = 'measured'"
    )
    return {trial_id: Origin(session, number) for trial_id, session, number in reader.query(sql)[1]}


def seen(reader: Reader) -> dict[str, SeenRow]:
    """What the final attempt at each measured trial took and came to, by the trial's id."""
    sql = (
        "SELECT record.trial_id, sum(turn.end_ns), grade.outcome, record.loop_lag_ns FROM record"
        " JOIN trial ON trial.id = record.trial_id JOIN grade USING (trial_id, attempt)"
        " LEFT JOIN turn USING (trial_id, attempt)"
        " WHERE record.final IS NOT 0"
        " AND record.attempt = (SELECT max(attempt) FROM record AS other WHERE other.trial_id = record.trial_id)"
        " GROUP BY record.trial_id"
    )
    return {trial_id: SeenRow(*row) for trial_id, *row in reader.query(sql)[1]}


def anchors(reader: Reader) -> dict[str, str]:
    """The trial that each anchor asked again, by the anchor's id."""
    return dict(reader.query("SELECT id, trial_id FROM anchor")[1])


def cell_spans(reader: Reader) -> list[CellSpan]:
    """First dispatch to last end of every cell that has a conversation turn, summed over its turns."""
    sql = (
        "SELECT id, sum(span), sum(trials) FROM ("
        "SELECT cell.id AS id, max(turn.dispatch_ns + turn.end_ns) - min(turn.dispatch_ns) AS span,"
        " count(DISTINCT trial.id) AS trials"
        " FROM cell JOIN trial ON trial.cell_id = cell.id JOIN turn ON turn.trial_id = trial.id"
        " JOIN record USING (trial_id, attempt) GROUP BY cell.id, record.worker, record.round) GROUP BY id"
    )
    return [CellSpan(*row) for row in reader.query(sql)[1]]


def _dicts(reader: Reader, sql: str, *values: Any) -> list[dict[str, Any]]:
    columns, rows = reader.query(sql, *values)
    return [dict(zip(columns, row, strict=True)) for row in rows]
