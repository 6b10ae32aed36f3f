"""Logs of Inspect (inspect_ai), format version 2: ``.eval``, a ZIP archive of JSON, and ``.json``.

The names are those of Inspect's ``EvalLog`` and its parts (inspect_ai/log/_log.py), read in 0.3.285.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from taskpace.experiment.scenario import Scenario
from taskpace.importing.archive import Archive
from taskpace.importing.base import Importer
from taskpace.importing.logs import Log, Sample
from taskpace.importing.source import Source
from taskpace.importing.values import count, moment_s, number, rows, seconds, table, text
from taskpace.records import FinishReason

_VERSION = 2
_ZIP = b"PK\x03\x04"
_VERDICTS: dict[Any, tuple[bool | None, float | None]] = {
    "C": (True, 1.0), "I": (False, 0.0), "P": (False, 0.5), "N": (None, None),
}  # fmt: skip
"""Correct, incorrect, partial, no answer."""
_CUT = ("max_tokens", "model_length")
_SCORERS = "scorers"
_SETTINGS = ("temperature", "top_p", "top_k", "seed", "reasoning_effort", "reasoning_tokens", "num_choices")
_STATUS = re.compile(r"[Ee]rror code: (\d{3})")
_TIMES = "the request that succeeded, as Inspect times it; without retries, waits for a connection, tools, scorers"


def recognises(source: Source) -> bool:
    """A ZIP archive that begins with Inspect's journal or ends in .eval, or JSON that begins with its version."""
    if source.head.startswith(_ZIP):
        return b"_journal/" in source.head[:200] or source.path.suffix == ".eval"
    start = source.head[:400].decode("utf-8", "replace")
    return bool(re.match(r'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"status"\s*:', start))


def read(source: Source) -> tuple[Log, ...]:
    """The log. Raises ``LogError``."""
    if source.head.startswith(_ZIP):
        with Archive(source) as archive:
            return (_log(source, _header(source, archive), _members(source, archive)),)
    whole = table(source.json())
    if not isinstance(whole.get("eval"), dict):
        raise source.refuse('no log of Inspect (the key "eval" is missing): name a .eval or .json that Inspect wrote')
    return (_log(source, whole, map(table, rows(whole.get("samples")))),)


def _header(source: Source, archive: Archive) -> dict[str, Any]:
    """Of a log that was not finished, what was known when it began."""
    for name in ("header.json", "_journal/start.json"):
        if name in archive.names:
            return table(source.decoded(archive.read(name), name))
    raise source.refuse("no log of Inspect (header.json is missing): name a .eval that Inspect wrote")


def _members(source: Source, archive: Archive) -> Iterator[dict[str, Any]]:
    for name in archive.names:
        if name.startswith("samples/") and name.endswith(".json"):
            yield table(source.decoded(archive.read(name), name))


def _log(source: Source, header: dict[str, Any], found: Iterable[dict[str, Any]]) -> Log:
    version = header.get("version")
    if version != _VERSION:
        remedy = "convert it: `inspect log convert`" if version == 1 else "import it with a newer taskpace"
        raise source.refuse(f"log format {version!r} of Inspect, and {_VERSION} is read: {remedy}")
    spec = table(header.get("eval"))
    config = table(spec.get("config"))
    asked_with = table(table(header.get("plan")).get("config")) | table(spec.get("model_generate_config"))
    raw = list(found)
    if not raw:
        raise source.refuse("has no samples: run the evaluation with --log-samples")
    scorer, others = _scorer(header, raw)
    model = text(spec.get("model")) or "unnamed"
    samples = [_sample(each, model, scorer) for each in raw]
    graded = scorer is not None and all(
        sample.correct is not None or sample.score in (None, 0.0, 0.5, 1.0) for sample in samples
    )
    notes = list(_notes(raw, model, others))
    return Log(
        tool="Inspect",
        version=text(table(spec.get("packages")).get("inspect_ai")),
        file=source.name,
        sha256=source.sha256,
        model=model,
        task=text(spec.get("task")) or "unnamed",
        samples=tuple(samples),
        missing=max(0, _planned(header) - len(samples)),
        graded=graded,
        scorer=scorer,
        scenario=Scenario() if config.get("max_samples") == 1 else Scenario(known=False),
        system_prompt=_only(_messages(each, "system") for each in raw),
        max_tokens=count(asked_with.get("max_tokens")) or None,
        settings={name: asked_with[name] for name in _SETTINGS if isinstance(asked_with.get(name), int | float | str)},
        times=_TIMES,
        notes=tuple(notes),
    )


def _planned(header: dict[str, Any]) -> int:
    """Samples, each epoch counted, that there were to be; 0: not known."""
    total = count(table(header.get("results")).get("total_samples"))
    if total is not None:
        return total
    spec = table(header.get("eval"))
    epochs = count(table(spec.get("config")).get("epochs")) or 1
    return len(rows(table(spec.get("dataset")).get("sample_ids"))) * epochs


def _scorer(header: dict[str, Any], raw: list[dict[str, Any]]) -> tuple[str | None, list[str]]:
    """The scorer whose verdicts are taken, Inspect's first, and the names of the others."""
    listed = [text(table(each).get("name")) for each in rows(table(header.get("results")).get("scores"))]
    seen = [name for each in raw for name in table(each.get("scores"))]
    names = list(dict.fromkeys([name for name in listed if name is not None and name in seen] + seen))
    # Where all samples failed nothing was scored, and was to be.
    planned = [text(table(each).get("name")) for each in rows(table(header.get("eval")).get("scorers"))]
    return next((name for name in (*names, *planned) if name is not None), None), names[1:]


def _sample(raw: dict[str, Any], model: str, scorer: str | None) -> Sample:
    attachments = table(raw.get("attachments"))
    calls = [event for event in _calls(raw) if event.get("model") == model]
    outputs = [table(event.get("output")) for event in calls if not event.get("error")]
    output = table(raw.get("output"))
    usages = [table(each.get("usage")) for each in outputs]
    error, kind = _error(raw)
    verdict = table(table(raw.get("scores")).get(scorer)) if scorer is not None else {}
    correct, degree = _verdict(verdict.get("value"))
    message = table(table(next(iter(rows(output.get("choices"))), None)).get("message"))
    answer = verdict.get("answer")
    return Sample(
        item=str(raw.get("id")),
        repeat=count(raw.get("epoch")) or 1,
        prompt=_prompt(raw, attachments),
        text=_resolved(text(output.get("completion")) or _parts(message, "text"), attachments),
        reasoning=_resolved(_parts(message, "reasoning"), attachments) or None,
        started_s=_started_s(calls),
        started_at=text(raw.get("started_at")),
        # A failed sample's calls are retried within one event: of each attempt nothing is recorded.
        seconds=None if error is not None else _sum_of(outputs, lambda each: seconds(each.get("time")), calls),
        prompt_tokens=_sum_of(usages, _prompt_tokens),
        output_tokens=_sum_of(usages, lambda each: count(each.get("output_tokens"))),
        reasoning_tokens=_sum_of(usages, lambda each: count(each.get("reasoning_tokens"))),
        cached_tokens=_sum_of(usages, lambda each: count(each.get("input_tokens_cache_read"))),
        finish=_finish(raw, output),
        error=error,
        error_kind=kind,
        correct=correct,
        score=degree,
        answer=_resolved(answer, attachments) if isinstance(answer, str) else None,
        reference=_reference(raw.get("target")),
    )


def _calls(raw: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The calls of models in order, those of graders left out: what stands within the span of the scorers."""
    scoring: set[str] = set()
    for event in map(table, rows(raw.get("events"))):
        if event.get("event") == "span_begin":
            if event.get("type") == _SCORERS or text(event.get("parent_id")) in scoring:
                scoring.add(text(event.get("id")) or _SCORERS)
        elif event.get("event") == "model" and event.get("role") is None and text(event.get("span_id")) not in scoring:
            yield event


def _sum_of(parts: list[dict[str, Any]], of: Any, calls: list[dict[str, Any]] | None = None) -> Any:
    """The sum over calls; null without any, where one is unknown, or where an answer came from Inspect's cache."""
    values = [of(part) for part in parts]
    if not values or None in values or any(call.get("cache") == "read" for call in calls or ()):
        return None
    return sum(values)


def _prompt_tokens(usage: dict[str, Any]) -> int | None:
    """Inspect counts what came from a cache, or was put there, apart."""
    fresh = count(usage.get("input_tokens"))
    if fresh is None:
        return None
    return fresh + sum(count(usage.get(f"input_tokens_cache_{way}")) or 0 for way in ("read", "write"))


def _started_s(calls: list[dict[str, Any]]) -> float | None:
    """When the request that succeeded was sent; unknown of several calls, between which there is other work."""
    if len(calls) != 1:
        return None
    completed = moment_s(calls[0].get("completed"))
    took = seconds(table(calls[0].get("output")).get("time"))
    return None if completed is None or took is None else completed - took


def _finish(raw: dict[str, Any], output: dict[str, Any]) -> FinishReason | None:
    stop = table(next(iter(rows(output.get("choices"))), None)).get("stop_reason")
    # A sample that Inspect's own limit ended (of tokens, messages, cost) would have gone on.
    if stop in _CUT or isinstance(raw.get("limit"), dict):
        return "length"
    return "stop" if stop == "stop" else None


def _error(raw: dict[str, Any]) -> tuple[str | None, str]:
    """What failed, and its kind. A limit of time is a timeout."""
    limit = table(raw.get("limit"))
    if limit.get("type") in ("time", "working"):
        return f"ended by Inspect's limit of {limit.get('limit')} s ({limit.get('type')})", "timeout"
    error = raw.get("error")
    if error is None:
        return None, "imported"
    told = [text(event.get("error")) for event in map(table, rows(raw.get("events"))) if event.get("event") == "model"]
    causes = [each for each in told if each]
    message = text(table(error).get("message")) or "failed"
    status = _STATUS.search(" ".join([*causes[-1:], message]))
    if "AttemptTimeoutError" in message or any("AttemptTimeoutError" in each for each in causes):
        return message, "timeout"
    return "; ".join([message, *causes[-1:]]), f"http-{status[1]}" if status else "inspect"


def _verdict(value: Any) -> tuple[bool | None, float | None]:
    """Correct or not, and the degree; a number between 0 and 1 is a degree alone."""
    if isinstance(value, str) and value in _VERDICTS:
        return _VERDICTS[value]
    if isinstance(value, bool):
        return value, float(value)
    found = number(value)
    if found is None:
        return None, None
    return (bool(found), found) if found in (0.0, 1.0) else (None, found)


def _reference(target: Any) -> str | None:
    if isinstance(target, str):
        return target or None
    parts = [part for part in rows(target) if isinstance(part, str)]
    return " | ".join(parts) or None


def _prompt(raw: dict[str, Any], attachments: dict[str, Any]) -> str | None:
    """The user's messages before the first answer: what was sent, not the data set's row."""
    sent = _messages(raw, "user")
    if sent is None:
        given = raw.get("input")
        sent = given if isinstance(given, str) else _messages({"messages": given}, "user")
    return None if sent is None else _resolved(sent, attachments)


def _messages(raw: dict[str, Any], role: str) -> str | None:
    found = []
    for message in map(table, rows(raw.get("messages"))):
        if message.get("role") == "assistant":
            break
        if message.get("role") == role:
            found.append(_parts(message, "text"))
    return "\n\n".join(found) or None


def _parts(message: dict[str, Any], kind: str) -> str:
    """The text of a message, or its reasoning: plain, or in parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content if kind == "text" else ""
    return "".join(text(part.get(kind)) or "" for part in map(table, rows(content)) if part.get("type") == kind)


def _resolved(found: str, attachments: dict[str, Any]) -> str:
    """Long texts stand apart in a log."""
    if not found.startswith("attachment://"):
        return found
    return text(attachments.get(found.removeprefix("attachment://"))) or found


def _only(values: Iterable[str | None]) -> str | None:
    """The one value that all have; null where they differ."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _notes(raw: list[dict[str, Any]], model: str, others: list[str]) -> Iterator[str]:
    of = f"of {len(raw)} samples"
    calls = [[event for event in _calls(each) if event.get("model") == model] for each in raw]
    if retried := sum(any(count(event.get("retries")) for event in each) for each in calls):
        yield f"{retried} {of} were asked again by Inspect after an error; their time is the last request's"
    if several := sum(sum(not event.get("error") for event in each) > 1 for each in calls):
        yield f"{several} {of} took several requests, whose times are added up"
    if cached := sum(any(event.get("cache") == "read" for event in each) for each in calls):
        yield f"{cached} {of} came from Inspect's cache, so their time is unknown"
    if restarted := sum(bool(rows(each.get("error_retries"))) for each in raw):
        yield f"{restarted} {of} failed and were begun again by Inspect"
    if invalid := sum(each.get("invalidation") is not None for each in raw):
        yield f"{invalid} {of} were declared invalid in Inspect, and are counted here"
    if others:
        yield f"its scores by {', '.join(others[:5])} are left out"


IMPORTER = Importer(summary="Inspect: a log, .eval or .json", recognises=recognises, read=read)
