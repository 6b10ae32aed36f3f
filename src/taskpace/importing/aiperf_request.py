"""One request of AIPerf: its record, what was sent, its packets and its verdict, as a sample."""

from __future__ import annotations

from typing import Any, NamedTuple

from taskpace.errors import LogError
from taskpace.importing.chat_request import finish_at_limit, prompt_of, token_limit_of
from taskpace.importing.logs import Moment, Sample
from taskpace.importing.values import count, number, rows, seconds, table, text
from taskpace.records import FinishReason
from taskpace.text.bounded import JsonProblem, decode_json

_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
_UNREAD = "[invalid]"
"""What its graders give as the answer of a text that they cannot read."""


class Parts(NamedTuple):
    """What the settings say of every request."""

    scheduled: bool
    """Requests were sent at times that were set, and waiting in the client counts."""
    timeout_s: float | None
    limit: int | None
    graded: bool


class _Stream(NamedTuple):
    """What came of an answer, of the packets of the raw export."""

    text: str
    reasoning: str
    moments: tuple[Moment, ...]
    finish: FinishReason | None


def read_sample(
    row: dict[str, Any],
    request: dict[str, Any],
    raw: dict[str, Any] | None,
    verdict: dict[str, Any] | None,
    parts: Parts,
) -> Sample:
    """A sample of a line of the profile export and what belongs to it; null where an export is not there."""
    metadata, metrics = table(row.get("metadata")), table(row.get("metrics"))
    error = table(row.get("error")) or ({"type": "cancelled"} if metadata.get("was_cancelled") is True else {})
    began, queued = number(metadata.get("request_start_ns")), number(metadata.get("credit_issued_ns"))
    wait_s = _wait_s(queued, began) if parts.scheduled else 0.0
    stream = None if raw is None else _stream(raw, wait_s)
    tokens = count(_metric(metrics, "usage_completion_tokens"))
    finish = None if error else stream.finish if stream is not None else None
    if finish is None and not error:
        finish = finish_at_limit(tokens, token_limit_of(request) or parts.limit)
    answer = text(verdict.get("actual")) if verdict is not None else None
    read = answer not in (None, "", _UNREAD)
    passed = verdict.get("passed") if verdict is not None and not error else None
    kind = _kind(error, metadata)
    return Sample(
        item=None,
        prompt=prompt_of(request),
        text=stream.text if stream is not None else text((verdict or {}).get("model_output")),
        reasoning=stream.reasoning if stream is not None else text((verdict or {}).get("model_thinking")),
        started_s=None if began is None else began / 1e9 - wait_s,
        seconds=_took(metadata, kind, parts, wait_s) if error else _plus(_ms(metrics, "request_latency"), wait_s),
        moments=() if error else (stream.moments if stream is not None else _moments(metrics, wait_s)),
        prompt_tokens=count(_metric(metrics, "usage_prompt_tokens")),
        output_tokens=tokens,
        reasoning_tokens=count(_metric(metrics, "usage_reasoning_tokens")),
        cached_tokens=count(_metric(metrics, "usage_prompt_cache_read_tokens")),
        finish=finish,
        error=(text(error.get("message")) or text(error.get("type")) or "failed") if error else None,
        error_kind=kind,
        correct=passed if isinstance(passed, bool) and read else None,
        answer=answer if read else None,
        reference=text(verdict.get("expected")) if verdict is not None else None,
    )


def _took(metadata: dict[str, Any], kind: str, parts: Parts, wait_s: float) -> float | None:
    """How long a failed request was tried, at least; null where only its start is recorded."""
    began, ended = number(metadata.get("request_start_ns")), number(metadata.get("request_end_ns"))
    took_s = seconds((ended - began) / 1e9) if began is not None and ended is not None and ended > began else None
    if kind == "timeout" and (limit_s := seconds(parts.timeout_s)) is not None:
        # Its end is that of the last packet, and the client went on waiting.
        took_s = max(took_s or 0.0, limit_s)
    return _plus(took_s, wait_s)


def _kind(error: dict[str, Any], metadata: dict[str, Any]) -> str:
    if metadata.get("was_cancelled") is True:
        return "cancelled"
    if (code := count(error.get("code"))) is not None and 400 <= code <= 599:
        return f"http-{code}"
    return "timeout" if "Timeout" in (text(error.get("type")) or "") else "failed"


def _stream(raw: dict[str, Any], wait_s: float) -> _Stream:
    """The packets of a chat or a completion, put together."""
    start = number(raw.get("start_perf_ns"))
    visible, hidden, seen = [], [], 0
    moments: list[Moment] = []
    finish: FinishReason | None = None
    for response in map(table, rows(raw.get("responses"))):
        at = number(response.get("perf_ns"))
        came = False
        for choice in _choices(response):
            delta = table(choice.get("delta")) or table(choice.get("message"))
            shown = text(delta.get("content")) or text(choice.get("text")) or ""
            thought = text(delta.get("reasoning_content")) or text(delta.get("reasoning")) or ""
            finish = _FINISH.get(text(choice.get("finish_reason")) or "", finish)
            came = came or bool(shown or thought)
            visible.append(shown)
            hidden.append(thought)
            seen += len(shown.encode(errors="replace"))
        if came and at is not None and start is not None and (ago := seconds((at - start) / 1e9)) is not None:
            moments.append(Moment(ago + wait_s, seen))
    return _Stream("".join(visible), "".join(hidden), tuple(moments), finish)


def _choices(response: dict[str, Any]) -> list[dict[str, Any]]:
    """The first choice of each event of a response; of one that was not streamed, of its body."""
    values = [text(table(packet).get("value")) for packet in rows(response.get("packets"))] or [
        text(response.get("text"))
    ]
    found = []
    for value in values:
        try:
            body = table(decode_json(value)) if value and value.lstrip().startswith("{") else {}
        except (JsonProblem, LogError):
            continue
        found += [table(choice) for choice in rows(body.get("choices"))[:1]]
    return found


def _moments(metrics: dict[str, Any], wait_s: float) -> tuple[Moment, ...]:
    """The first token and each chunk after it."""
    first_s = _ms(metrics, "time_to_first_token")
    if first_s is None:
        return ()
    found, at = [Moment(first_s + wait_s)], first_s
    for gap in rows(_metric(metrics, "inter_chunk_latency")):
        gap_s = seconds((number(gap) or 0.0) / 1e3)
        at += gap_s or 0.0
        found.append(Moment(at + wait_s))
    return tuple(found)


def _metric(metrics: dict[str, Any], name: str) -> Any:
    return table(metrics.get(name)).get("value")


def _ms(metrics: dict[str, Any], name: str) -> float | None:
    """A metric in milliseconds, in seconds."""
    found = table(metrics.get(name))
    value = number(found.get("value"))
    return seconds(value / 1e3) if value is not None and found.get("unit") == "ms" else None


def _wait_s(queued_ns: float | None, began_ns: float | None) -> float:
    """In the client, before a request was sent."""
    return 0.0 if queued_ns is None or began_ns is None else seconds((began_ns - queued_ns) / 1e9) or 0.0


def _plus(value: float | None, wait_s: float) -> float | None:
    return None if value is None else seconds(value + wait_s)
