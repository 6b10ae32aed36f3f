"""The database of ``evalscope perf``: one row for each request. Its pickles are neither read nor loaded.

The columns are those of ``create_result_table`` (evalscope/perf/utils/db_util.py), read in 1.14.1. The column
``response_messages`` is a Python pickle, which can run anything when it is loaded, so the answers' text, and why they
ended, stay unknown.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from taskpace.errors import LogError
from taskpace.experiment.scenario import Scenario
from taskpace.importing.base import Importer
from taskpace.importing.logs import Log, Moment, Sample
from taskpace.importing.source import MOST_LINE_BYTES, Source
from taskpace.importing.values import count, number, rows, seconds, table, text
from taskpace.text.bounded import JsonProblem, decode_json

_COLUMNS = (
    "request",
    "start_time",
    "inter_token_latencies",
    "success",
    "completed_time",
    "latency",
    "first_chunk_latency",
    "prompt_tokens",
    "completion_tokens",
)
_ARGUMENTS = "benchmark_args.json"
_SQLITE = b"SQLite format 3\x00"
_TIMES = (
    "the request until its last text, as EvalScope times its client; of answers that were not streamed, and of failed "
    "ones, until the client was done with them"
)
_SETTINGS = ("temperature", "top_p", "top_k", "seed", "stream")


def recognises(source: Source) -> bool:
    """A database of SQLite with EvalScope's table."""
    if not source.head.startswith(_SQLITE):
        return False
    try:
        with _opened(source) as db:
            return _has_table(db)
    except (sqlite3.Error, LogError, UnicodeError):
        return False


def read(source: Source) -> tuple[Log, ...]:
    """The log. Raises ``LogError``."""
    if not source.head.startswith(_SQLITE):
        raise source.refuse("no SQLite database: name the benchmark_data.db that evalscope perf wrote")
    try:
        with _opened(source) as db:
            if not _has_table(db):
                raise source.refuse(
                    "an SQLite database, but not of evalscope perf (no table result with its columns): name its "
                    "benchmark_data.db"
                )
            # The columns are named one by one: what is a pickle is never asked for.
            found = db.execute(f"SELECT {', '.join(_COLUMNS)} FROM result ORDER BY rowid").fetchall()  # noqa: S608 - our own names
    except (sqlite3.Error, UnicodeError) as exc:
        raise source.refuse(f"a damaged database ({exc}): copy it again from where evalscope wrote it") from None
    if not found:
        raise source.refuse("has no requests: name the database of a benchmark that ran")
    arguments = _arguments(source)
    pairs = [_sample(dict(zip(_COLUMNS, row, strict=True))) for row in found]
    request = next((asked for _, asked in pairs if asked), {})
    samples = tuple(sample for sample, _ in pairs)
    return (
        Log(
            tool="EvalScope perf",
            version=None,
            file=source.name,
            sha256=source.sha256,
            model=text(request.get("model")) or text(arguments.get("model_id")) or "unnamed",
            task=text(arguments.get("dataset")) or "perf",
            samples=samples,
            missing=max(0, (count(arguments.get("number")) or 0) - len(samples)),
            graded=False,
            scenario=_load(arguments),
            max_tokens=count(request.get("max_tokens")) or None,
            settings={key: request[key] for key in _SETTINGS if isinstance(request.get(key), int | float)},
            times=_TIMES,
            notes=tuple(_notes(samples)),
        ),
    )


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[sqlite3.Connection]:
    """The database for reading, expecting anything of it."""
    uri = f"{source.path.absolute().as_uri()}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_LINE_BYTES)
        yield db


def _has_table(db: sqlite3.Connection) -> bool:
    kind = db.execute("SELECT type FROM sqlite_schema WHERE name = 'result'").fetchall()
    columns = {name for (name,) in db.execute("SELECT name FROM pragma_table_info('result')")}
    return kind == [("table",)] and set(_COLUMNS) <= columns


def _arguments(source: Source) -> dict[str, Any]:
    """What the benchmark was called with, of the file beside the database; empty where there is none."""
    file = source.beside(_ARGUMENTS)
    return table(file.json()) if file.exists else {}


def _load(arguments: dict[str, Any]) -> Scenario:
    """A closed loop of so many in flight; of an open loop the arrivals' kind is not recorded."""
    parallel, rate = count(arguments.get("parallel")), number(arguments.get("rate"))
    if not parallel or arguments.get("open_loop") or (rate is not None and rate > 0) or parallel > 4096:
        return Scenario(known=False)
    return Scenario(concurrency=parallel)


def _sample(row: dict[str, Any]) -> tuple[Sample, dict[str, Any]]:
    """A sample, and the request that it was asked with."""
    request = table(_json(row["request"]))
    began, ended = number(row["start_time"]), number(row["completed_time"])
    latency, first_s = seconds(row["latency"]), seconds(row["first_chunk_latency"])
    failed = row["success"] != 1
    gaps = [seconds(gap) for gap in rows(_json(row["inter_token_latencies"]))]
    moments: list[Moment] = []
    if not failed and first_s is not None and None not in gaps and request.get("stream") is True:
        at = first_s
        moments.append(Moment(at))
        for gap in gaps:
            at += gap or 0.0
            moments.append(Moment(at))
    if failed:
        took_s = seconds(ended - began) if began is not None and ended is not None else None
    else:
        # Its latency goes on to the end of the stream, after the last text.
        took_s = moments[-1].seconds if len(moments) > 1 else latency
    tokens, limit = count(row["completion_tokens"]), count(request.get("max_tokens"))
    cut = not failed and tokens is not None and limit is not None and tokens >= limit > 0
    return Sample(
        item=None,
        prompt=_prompt(request),
        started_s=began,
        seconds=took_s,
        moments=tuple(moments),
        prompt_tokens=count(row["prompt_tokens"]),
        output_tokens=tokens,
        # Why an answer ended is in the pickle alone; at the limit it was cut, as far as anyone can tell.
        finish="length" if cut else None,
        error="evalscope perf counts it as failed; why is not in its database" if failed else None,
        error_kind="evalscope",
    ), request


def _prompt(request: dict[str, Any]) -> str | None:
    """The user's messages, or the prompt of a completion."""
    if isinstance(request.get("prompt"), str):
        return str(request["prompt"])
    found = [
        text(message.get("content"))
        for message in map(table, rows(request.get("messages")))
        if message.get("role") == "user"
    ]
    return None if not found or None in found else "\n\n".join(each or "" for each in found)


def _json(value: Any) -> Any:
    try:
        return decode_json(value) if isinstance(value, str) else None
    except JsonProblem:
        return None


def _notes(samples: tuple[Sample, ...]) -> Iterator[str]:
    yield "the texts are Python pickles, which are never loaded: no text, no bytes, nothing to grade"
    if cut := sum(sample.finish == "length" for sample in samples):
        yield f"{cut} of {len(samples)} answers have as many tokens as were allowed, and are taken for truncated"
    yield "warm-up requests and the test of the connection are not in the database"


IMPORTER = Importer(summary="EvalScope perf: its benchmark_data.db", recognises=recognises, read=read)
