"""Records of Every Eval Ever, schema 0.2 and 0.3: samples as JSON lines, and the aggregate beside them.

The names are those of instance_level_eval.schema.json and eval.schema.json, read in every-eval-ever 0.3.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from taskpace.importing.base import Importer
from taskpace.importing.logs import Log, Moment, Sample
from taskpace.importing.source import Source
from taskpace.importing.values import count, number, rows, seconds, table, text
from taskpace.records import FinishReason

_KNOWN = ("0.2", "0.3")
_SAMPLES = "_samples.jsonl"
_SETTINGS = ("temperature", "top_p", "top_k", "reasoning")
_TIMES = "the record's latency_ms, whose meaning the format leaves to the tool that measured"
_WORKING = "the record's generation_time_ms, as its latency_ms holds waiting alone; what else a sample did is in it"
_STOPS: dict[str | None, FinishReason] = {
    "max_tokens": "length",
    "model_length": "length",
    "length": "length",
    "stop": "stop",
}


def recognises(source: Source) -> bool:
    """A line of samples, or an aggregate."""
    first = source.first_object()
    if {"schema_version", "evaluation_id", "sample_id", "interaction_type"} <= first.keys():
        return True
    head = source.head
    return head.lstrip()[:1] == b"{" and b'"schema_version"' in head and b'"evaluation_results"' in head


def read(source: Source) -> tuple[Log, ...]:
    """A log for each model and evaluation in the samples. Raises ``LogError``."""
    samples, aggregate = _both(source)
    raw: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    metrics: dict[tuple[str, str], list[str]] = {}
    for number_, row in samples.json_lines():
        version = text(row.get("schema_version")) or "none"
        if not version.startswith(tuple(f"{known}." for known in _KNOWN)):
            raise samples.refuse(
                f"line {number_}: schema version {version}, and {' and '.join(_KNOWN)} are read: use a newer taskpace"
            )
        key = (text(row.get("model_id")) or "unnamed", text(row.get("evaluation_name")) or "unnamed")
        # One interaction has a line for each metric: the first metric's are taken.
        metric = text(row.get("evaluation_result_id"))
        own = metrics.setdefault(key, [])
        if metric is not None and metric not in own:
            own.append(metric)
        # A sample that failed has no metric.
        if metric is None or metric == own[0]:
            raw.setdefault(key, {})[f"{row.get('sample_id')}#{len(raw.get(key, {}))}"] = row
    if not raw:
        raise samples.refuse("has no samples: name a file that has some")
    return tuple(_log(samples, aggregate, key, list(found.values()), metrics[key]) for key, found in raw.items())


def _both(source: Source) -> tuple[Source, dict[str, Any]]:
    """The samples, and the aggregate where there is one."""
    if source.first_object().get("sample_id") is not None:
        if not source.name.endswith(_SAMPLES):
            return source, {}
        beside = source.beside(f"{source.name.removesuffix(_SAMPLES)}.json")
        return source, table(beside.json()) if beside.exists else {}
    aggregate = table(source.json())
    named = text(table(aggregate.get("detailed_evaluation_results")).get("file_path"))
    if named is None:
        raise source.refuse(
            "an aggregate without samples, so there is no item to compare: import a record that has a *_samples.jsonl"
        )
    # Its path is that of a data store; the files lie side by side there, and here.
    samples = source.beside(PurePosixPath(named).name)
    if not samples.exists:
        raise source.refuse(f"its samples are missing: put {samples.name} beside it")
    return samples, aggregate


def _log(
    source: Source, aggregate: dict[str, Any], key: tuple[str, str], raw: list[dict[str, Any]], metrics: list[str]
) -> Log:
    library = table(aggregate.get("eval_library"))
    results = map(table, rows(aggregate.get("evaluation_results")))
    result = next((each for each in results if each.get("evaluation_name") == key[1]), {})
    generation = table(table(result.get("generation_config")).get("generation_args"))
    by, version = text(library.get("name")), text(library.get("version"))
    inspect = (by or "").startswith("inspect")
    waiting = inspect or any(_waiting_alone(table(row.get("performance"))) for row in raw)
    samples = tuple(
        _sample(row, time="generation_time_ms" if waiting else "latency_ms", texts=not inspect) for row in raw
    )
    return Log(
        tool=f"Every Eval Ever ({by})" if by else "Every Eval Ever",
        version=None if version is None or version == "unknown" else version.rpartition(":")[2],
        file=source.name,
        sha256=source.sha256,
        model=key[0],
        task=key[1],
        samples=samples,
        missing=_missing(aggregate, raw, metrics),
        graded=any(sample.correct is not None for sample in samples),
        scorer=metrics[0] if metrics else None,
        max_tokens=count(generation.get("max_tokens")) or None,
        settings={name: generation[name] for name in _SETTINGS if isinstance(generation.get(name), int | float)},
        times=_WORKING if waiting else _TIMES,
        notes=tuple(_notes(raw, metrics, inspect=inspect)),
    )


def _missing(aggregate: dict[str, Any], raw: list[dict[str, Any]], metrics: list[str]) -> int:
    """Lines that the aggregate says there are, and are not."""
    declared = count(table(aggregate.get("detailed_evaluation_results")).get("total_rows"))
    return max(0, (declared or 0) - len(raw)) if len(metrics) <= 1 else 0


def _waiting_alone(performance: dict[str, Any]) -> bool:
    """Whether the latency is less than a part of it, so that it can be no total."""
    whole, part = number(performance.get("latency_ms")), number(performance.get("generation_time_ms"))
    return whole is not None and part is not None and whole < part


def _sample(raw: dict[str, Any], *, time: str, texts: bool) -> Sample:
    asked, given = table(raw.get("input")), table(raw.get("output"))
    usage, performance = table(raw.get("token_usage")), table(raw.get("performance"))
    verdict = table(raw.get("evaluation"))
    took_s, first_s = (_milli(performance.get(name)) for name in (time, "time_to_first_token_ms"))
    error = text(raw.get("error"))
    correct = verdict.get("is_correct")
    answers = [table(each) for each in rows(raw.get("answer_attribution"))]
    terminal = table(next((each for each in reversed(answers) if each.get("is_terminal")), None))
    metadata = table(raw.get("metadata"))
    single = raw.get("interaction_type") == "single_turn"
    shown = _answer(raw, given)
    return Sample(
        item=text(raw.get("sample_id")),
        repeat=_epoch(metadata.get("epoch")),
        prompt=text(asked.get("formatted")) or text(asked.get("raw")) or None,
        text=shown if texts else None,
        reasoning="\n".join(part for part in rows(given.get("reasoning_trace")) if isinstance(part, str)) or None,
        # Of a sample that failed Inspect's time holds what it asked again.
        seconds=None if error is not None and not texts else took_s,
        moments=(Moment(first_s),) if first_s is not None and took_s is not None and first_s <= took_s else (),
        until_last_token=False,
        prompt_tokens=count(usage.get("input_tokens")),
        output_tokens=count(usage.get("output_tokens")),
        reasoning_tokens=count(usage.get("reasoning_tokens")),
        # A conversation's later turns may well find their own past in a cache.
        cached_tokens=count(usage.get("input_tokens_cache_read")) if single else None,
        finish=_STOPS.get(text(metadata.get("stop_reason") or metadata.get("finish_reason"))),
        error=error,
        error_kind="timeout" if error is not None and "timeout" in error.lower() else "eee",
        correct=correct if isinstance(correct, bool) else None,
        score=number(verdict.get("score")),
        answer=text(terminal.get("extracted_value")) or (None if texts else shown),
        reference=" | ".join(part for part in rows(asked.get("reference")) if isinstance(part, str)) or None,
    )


def _answer(raw: dict[str, Any], given: dict[str, Any]) -> str | None:
    """The response; of a conversation the last message of the assistant."""
    if rows(given.get("raw")):
        return text(given["raw"][0])
    spoken = [table(each) for each in rows(raw.get("messages"))]
    return next((text(each.get("content")) for each in reversed(spoken) if each.get("role") == "assistant"), None)


def _milli(value: Any) -> float | None:
    """Seconds; null for 0, which means that the time was not measured."""
    found = number(value)
    return None if not found else seconds(found / 1000)


def _epoch(value: Any) -> int | None:
    """Metadata are text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 7 else None


def _notes(raw: list[dict[str, Any]], metrics: list[str], *, inspect: bool) -> Iterator[str]:
    if inspect:
        yield "its texts are what Inspect's scorer read from the answers, so the answers themselves are unknown"
    if len(metrics) > 1:
        yield f"of {len(metrics)} metrics for each sample the first is taken"
    if not any({"stop_reason", "finish_reason"} & table(row.get("metadata")).keys() for row in raw):
        yield "the format does not say whether an answer was cut by a token limit: none is known to be"
    if several := sum(len(rows(table(row.get("output")).get("raw"))) > 1 for row in raw):
        yield f"{several} of {len(raw)} samples have several responses; the first is taken"
    if talks := sum(row.get("interaction_type") != "single_turn" for row in raw):
        yield f"{talks} of {len(raw)} samples are conversations: the last answer's text, the time of all"


IMPORTER = Importer(
    summary="Every Eval Ever: *_samples.jsonl, or the aggregate beside it", recognises=recognises, read=read
)
