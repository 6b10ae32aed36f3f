"""GuideLLM: the JSON report of a benchmark, one load or several. Version 2 of the report, read in GuideLLM 0.8.1.

The fields are those of ``GenerativeRequestStats`` and ``RequestTimings`` (guidellm/schemas/base).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from taskpace.errors import LogError
from taskpace.experiment.scenario import MOST_IN_FLIGHT, Scenario
from taskpace.importing.base import Importer
from taskpace.importing.chat_request import (
    error_kind,
    finish_at_limit,
    prompt_of,
    settings_of,
    system_prompt_of,
    token_limit_of,
)
from taskpace.importing.logs import Log, Moment, Sample
from taskpace.importing.source import Source
from taskpace.importing.values import count, number, rows, seconds, table, text
from taskpace.text.bounded import JsonProblem, decode_json

_VERSION = 2
_SCHEDULED = ("poisson", "constant")
"""Strategies that say when a request is to be sent; the others send it as soon as they can."""
_MOST_RATE, _LEAST_RATE = 1e5, 1e-4
_TIMES = "the request, once connected, until its last token; at a rate of arrivals from when it was due"


def recognises(source: Source) -> bool:
    """A JSON file that begins as its reports do."""
    return source.head.lstrip()[:1] == b"{" and b'"guidellm_version"' in source.head[:4096]


def read(source: Source) -> tuple[Log, ...]:
    """A log for each load. Raises ``LogError``."""
    if source.is_folder:
        raise source.refuse("a folder: name the JSON report in it")
    report = table(source.json())
    about = table(report.get("metadata"))
    if about.get("guidellm_version") is None:
        raise source.refuse('no report of GuideLLM (no "guidellm_version"): name the JSON file that guidellm run wrote')
    if about.get("version") != _VERSION:
        raise source.refuse(
            f"a report of version {about.get('version')!s:.20}, and version {_VERSION} is read: make it again with "
            "GuideLLM 0.8"
        )
    benchmarks = [table(each) for each in rows(report.get("benchmarks"))]
    if not benchmarks:
        raise source.refuse("has no benchmarks: name the report of a run that ended")
    return tuple(_log(source, each, text(about.get("guidellm_version")), _task(report)) for each in benchmarks)


def _task(report: dict[str, Any]) -> str:
    """The name of its data."""
    spec = table(table(report.get("config")).get("spec"))
    data = next(map(table, rows(spec.get("data"))), {})
    return PurePosixPath(text(data.get("path")) or text(data.get("kind")) or "guidellm").stem or "guidellm"


def _log(source: Source, benchmark: dict[str, Any], version: str | None, task: str) -> Log:
    config, found = table(benchmark.get("config")), table(benchmark.get("requests"))
    strategy = table(config.get("strategy"))
    scheduled = strategy.get("type_") in _SCHEDULED
    pairs = [
        _sample(table(row), group, scheduled)
        for group in ("successful", "errored", "incomplete")
        for row in rows(found.get(group))
    ]
    pairs.sort(key=lambda pair: pair[0].started_s if pair[0].started_s is not None else float("inf"))
    request = next((asked for _, asked in pairs if asked), {})
    samples = tuple(sample for sample, _ in pairs)
    return Log(
        tool="GuideLLM",
        version=version,
        file=source.name,
        sha256=source.sha256,
        model=text(request.get("model")) or text(table(config.get("backend")).get("model")) or "unnamed",
        task=task,
        samples=samples,
        missing=_issued(source, benchmark, len(samples)) - len(samples),
        graded=False,
        scenario=_load(strategy),
        system_prompt=system_prompt_of(request),
        max_tokens=token_limit_of(request),
        settings=settings_of(request),
        times=_TIMES,
        notes=tuple(_notes(benchmark, samples)),
    )


def _issued(source: Source, benchmark: dict[str, Any], recorded: int) -> int:
    """How many requests were sent: a report may keep a part of them (``sample_size``). Raises ``LogError``."""
    made = count(table(table(benchmark.get("scheduler_metrics")).get("requests_made")).get("total"))
    if made is None or made < recorded:
        raise source.refuse("does not say how many requests were sent: import the file as GuideLLM wrote it")
    return made


def _load(strategy: dict[str, Any]) -> Scenario:
    kind, rate = strategy.get("type_"), number(strategy.get("rate"))
    streams = count(strategy.get("streams")) or count(strategy.get("max_concurrency"))
    if kind == "synchronous":
        return Scenario()
    if kind == "concurrent" and streams and streams <= MOST_IN_FLIGHT:
        return Scenario(concurrency=streams)
    if kind == "poisson" and rate is not None and _LEAST_RATE <= rate <= _MOST_RATE:
        return Scenario(rate=rate)
    return Scenario(known=False)


def _sample(row: dict[str, Any], group: str, scheduled: bool) -> tuple[Sample, dict[str, Any]]:
    """A sample, and the request that it was asked with."""
    info, request = table(row.get("info")), _request(row.get("request_args"))
    times = table(info.get("timings"))
    sent = number(times.get("request_start"))
    began = number(times.get("targeted_start")) if scheduled else sent
    failed = group != "successful"
    last = number(times.get("last_token_iteration"))
    done = number(times.get("request_end"))
    # A failed request goes on until the client gives it up.
    end = number(times.get("resolve_end")) if failed else (last if last is not None else done)
    first = number(times.get("first_token_iteration"))
    first_s = _between(began, first)
    tokens = count(table(row.get("output_metrics")).get("total_tokens"))
    error = text(info.get("error")) or f"GuideLLM counts it as {group}" if failed else None
    counts = table(row.get("input_metrics"))
    return Sample(
        item=None,
        prompt=prompt_of(request),
        text=(text(row.get("output")) or "") if not failed else text(row.get("output")),
        reasoning=text(row.get("reasoning_output")),
        started_s=began,
        seconds=_between(began, end),
        moments=(Moment(first_s),) if first_s is not None and not failed else (),
        until_last_token=last is not None,
        prompt_tokens=count(counts.get("total_tokens")),
        output_tokens=tokens,
        cached_tokens=count(counts.get("cached_tokens")),
        finish=finish_at_limit(tokens, token_limit_of(request)) if not failed else None,
        error=error,
        error_kind="cancelled" if group == "incomplete" else error_kind(error or ""),
    ), request


def _between(began: float | None, ended: float | None) -> float | None:
    return seconds(ended - began) if began is not None and ended is not None else None


def _request(value: Any) -> dict[str, Any]:
    """The body that was sent, which the report has as text; empty of one that failed."""
    try:
        return table(table(decode_json(value)).get("body")) if isinstance(value, str) else {}
    except (JsonProblem, LogError):
        return {}


def _notes(benchmark: dict[str, Any], samples: tuple[Sample, ...]) -> Iterator[str]:
    if unasked := sum(sample.prompt is None for sample in samples):
        yield f"{unasked} of {len(samples)} requests are kept without what was asked (GuideLLM drops it of failed ones)"
    if cut := sum(sample.finish == "length" for sample in samples):
        yield f"{cut} of {len(samples)} answers have as many tokens as were allowed, and are taken for truncated"
    warm, cool = number(benchmark.get("warmup_duration")) or 0.0, number(benchmark.get("cooldown_duration")) or 0.0
    if warm > 0 or cool > 0:
        yield f"warm-up ({warm:.3g} s) and cool-down ({cool:.3g} s) are kept: their requests are not marked"


IMPORTER = Importer(summary="GuideLLM: the JSON report", recognises=recognises, read=read)
