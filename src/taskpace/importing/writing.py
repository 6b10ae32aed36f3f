"""A run file made of logs: planned as they say, with a record of every sample that they have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from taskpace.errors import LogError
from taskpace.experiment.imported import SCORER
from taskpace.experiment.plan import PlannedItem, Trial
from taskpace.importing.logs import Log, Sample
from taskpace.importing.plan import Placed, make_imported_plan
from taskpace.records import Arrival, Failure, Grade, Outcome, Record, Turn, Usage
from taskpace.store.rows import Kept
from taskpace.store.store import Store
from taskpace.tasks import Task, score
from taskpace.version import __version__

_MOST_TEXT = 64 << 20
"""Characters kept of one text, as of an answer that taskpace reads itself."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def write_logs(
    logs: Sequence[Log],
    path: Path,
    *,
    graded_by: Task | None = None,
    items: Sequence[Sequence[PlannedItem]] = (),
) -> tuple[Placed, ...]:
    """Make a run file of logs; returns what became of each.

    Args:
        logs: one or more.
        path: of the run file, which must not exist.
        graded_by: the task of ours that grades all of them; null: the logs' own verdicts are kept.
        items: with ``graded_by``, the item of each sample of each log.

    Raises:
        LogError: there is a file of that name, or no log has a sample.
        StoreError: it cannot be written.
    """
    if path.exists():
        raise LogError(f"{path}: exists: choose another -o, or remove it")
    if not any(log.samples for log in logs):
        raise LogError(f"{', '.join(log.file for log in logs)}: no sample in it: nothing to import")
    plan, placed = make_imported_plan(logs, path.stem, graded_by, items)
    with Store.create_or_continue(path, plan, __version__) as store:
        for each in placed:
            # Those that are missing come last.
            trials = plan.trials(each.cell)[: len(each.log.samples)]
            first_s = min((s.started_s for s in each.log.samples if s.started_s is not None), default=0.0)
            kept = [
                _kept(sample, trial, each, first_s, graded_by)
                for trial, sample in zip(trials, each.log.samples, strict=True)
            ]
            store.add_all(kept, each.cell.id, None)
    return placed


def _kept(sample: Sample, trial: Trial, placed: Placed, first_s: float, graded_by: Task | None) -> Kept:
    turns = _turns(sample, placed, first_s)
    record = Record(
        trial_id=trial.id,
        attempt=1,
        phase="measured",
        started_at=sample.started_at or "",
        turns=turns,
        failure=None
        if sample.error is None
        else Failure(kind=sample.error_kind, message=_clean(sample.error)[:10_000] or "failed"),
        loop_lag_ns=None,
    )
    if graded_by is None:
        return Kept(record, _own_grade(sample, placed.log))
    grade = score(graded_by, trial.item.spec, record)
    if not any(moment.visible_bytes for moment in sample.moments):
        # When which text arrived is unknown.
        grade = msgspec.structs.replace(grade, committed_ns=None)
    return Kept(record, grade)


def _turns(sample: Sample, placed: Placed, first_s: float) -> tuple[Turn, ...]:
    """The request, as far as it is known; nothing of a failed sample without a known time or text."""
    timed = sample.seconds is not None and "time" not in placed.unknown
    if sample.error is not None and not timed:
        return ()
    end_ns = round((sample.seconds or 0.0) * 1e9) if timed else 0
    started = sample.started_s is not None and "start" not in placed.unknown
    return (
        Turn(
            dispatch_ns=round(((sample.started_s or 0.0) - first_s) * 1e9) if started else 0,
            send_delay_ns=0,
            arrivals=_arrivals(sample, end_ns) if timed else (),
            text=_clean(sample.text or "")[:_MOST_TEXT],
            reasoning=_clean(sample.reasoning or "")[:_MOST_TEXT],
            end_ns=end_ns,
            finish_ns=end_ns if timed and sample.moments and sample.until_last_token and sample.error is None else None,
            finish_reason=sample.finish,
            usage=_usage(sample),
        ),
    )


def _usage(sample: Sample) -> Usage:
    counts = {name: getattr(sample, name) for name in Usage.__struct_fields__ if name != "token_source"}
    return Usage(**counts, token_source="usage" if any(v is not None for v in counts.values()) else None)


def _arrivals(sample: Sample, end_ns: int) -> tuple[Arrival, ...]:
    """Moments in order, none after the end. Without bytes an arrival says when a token came, and not what it shows."""
    found, seen = [], 0
    for moment in sample.moments:
        ns = round(moment.seconds * 1e9)
        seen = max(seen, moment.visible_bytes or 0)
        found.append(Arrival(min(max(0, ns), end_ns), seen, 0))
    return tuple(found) if all(one.ns <= other.ns for one, other in pairwise(found)) else ()


def _own_grade(sample: Sample, log: Log) -> Grade:
    """The log's own verdict, as an outcome."""
    detail = None
    if sample.error is not None:
        outcome: Outcome = "timeout" if sample.error_kind == "timeout" else "error"
        detail = sample.error_kind
    elif sample.finish == "length":
        outcome = "truncated"
        if sample.correct is not None:
            detail = f"{log.tool} counts it as {'correct' if sample.correct else 'wrong'}"
    elif not log.graded:
        outcome = "completed"
    elif sample.correct is None:
        outcome, detail = "unparsed", f"{log.tool} gives no verdict"
    else:
        outcome = "correct" if sample.correct else "wrong"
    return Grade(
        outcome=outcome,
        answer=None if sample.answer is None else _clean(sample.answer)[:_MOST_TEXT],
        score=sample.score if sample.score is not None and 0 <= sample.score <= 1 else None,
        detail=detail,
        committed_ns=None,
        scorer=f"{SCORER}/{log.tool}: {log.scorer or 'no scorer'}",
    )


def _clean(text: str) -> str:
    """Half of an emoji is not text that a file could hold."""
    return _LONE_SURROGATE.sub("\ufffd", text)
