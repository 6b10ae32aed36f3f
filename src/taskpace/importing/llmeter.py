"""LLMeter: the folder of a run, with a line for each request in ``responses.jsonl``. Read in 0.2.0.

The fields are those of ``InvocationResponse`` (llmeter/endpoints/base.py) and of ``Result`` (llmeter/results.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
from taskpace.importing.values import count, seconds, table, text

_RESPONSES, _SUMMARY, _CONFIG = "responses.jsonl", "summary.json", "run_config.json"
_FIELDS = {"response_text", "input_payload", "time_to_first_token", "time_to_last_token", "num_tokens_output", "error"}
_TIMES = "the client's call until the last visible text, with the client's start, its connection and its retries"


def recognises(source: Source) -> bool:
    """The folder of a run, or its ``responses.jsonl``."""
    if source.is_folder:
        responses = source.beside(_RESPONSES)
        return responses.exists and not responses.is_folder and recognises(responses)
    # A line may be longer than the head; this is its first field.
    return source.head.startswith(b'{"response_text":') and (
        source.first_object().keys() >= _FIELDS or b"\n" not in source.head
    )


def read(source: Source) -> tuple[Log, ...]:
    """The log. Raises ``LogError``."""
    responses, summary = (source.beside(_RESPONSES) if source.is_folder else source), source.beside(_SUMMARY)
    if not responses.exists:
        raise source.refuse(f"has no {_RESPONSES}: name the folder of one run of LLMeter")
    if not recognises(responses):
        raise responses.refuse("has no responses of LLMeter: name the folder of one run")
    if not summary.exists:
        raise source.refuse(
            f"no {_SUMMARY} beside {_RESPONSES}, which shows how many were asked: copy the whole folder"
        )
    result = table(summary.json())
    config = source.beside(_CONFIG)
    endpoint = table(table(table(config.json()).get("endpoint")).get("__llmeter_state__")) if config.exists else {}
    samples: list[Sample] = []
    request: dict[str, Any] = {}
    for number, row in responses.json_lines():
        if not row.keys() >= _FIELDS:
            raise responses.refuse(f"line {number} is not a response of LLMeter: import the file as LLMeter wrote it")
        samples.append(_sample(row))
        request = request or table(row.get("input_payload"))
    if not samples:
        raise responses.refuse("has no responses: name the folder of a run that sent requests")
    issued = count(result.get("total_requests"))
    if issued is None:
        raise summary.refuse('no number "total_requests": import the file as LLMeter wrote it')
    if issued < len(samples):
        raise summary.refuse(
            f"reports that {issued} requests were sent, and {_RESPONSES} has {len(samples)}: copy both from one run"
        )
    model = text(result.get("model_id")) or text(request.get("model"))
    return (
        Log(
            tool="LLMeter",
            version=None,
            file=responses.name,
            sha256=responses.sha256,
            model=model or "unnamed",
            task=text(result.get("run_name")) or "llmeter",
            samples=tuple(samples),
            missing=issued - len(samples),
            graded=False,
            scenario=_load(result),
            system_prompt=system_prompt_of(request),
            max_tokens=token_limit_of(request),
            settings=settings_of(request),
            times=_TIMES,
            notes=tuple(_notes(samples, count(endpoint.get("max_retries")))),
        ),
    )


def _load(result: dict[str, Any]) -> Scenario:
    """So many clients, each with one request in flight."""
    clients = count(result.get("clients"))
    return Scenario(concurrency=clients) if clients and clients <= MOST_IN_FLIGHT else Scenario(known=False)


def _sample(row: dict[str, Any]) -> Sample:
    request = table(row.get("input_payload"))
    first_s, last_s = seconds(row.get("time_to_first_token")), seconds(row.get("time_to_last_token"))
    tokens, reasoning = count(row.get("num_tokens_output")), count(row.get("num_tokens_output_reasoning"))
    error = text(row.get("error"))
    # Its first token is the first visible one: with reasoning before it, it is not the first.
    known_first = first_s is not None and not reasoning and error is None
    return Sample(
        item=None,
        prompt=prompt_of(request) or text(row.get("input_prompt")),
        text=(text(row.get("response_text")) or "") if error is None else text(row.get("response_text")),
        started_at=text(row.get("request_time")),
        seconds=last_s,
        moments=(Moment(first_s),) if known_first and first_s is not None else (),
        prompt_tokens=count(row.get("num_tokens_input")),
        output_tokens=tokens,
        reasoning_tokens=reasoning,
        cached_tokens=count(row.get("num_tokens_input_cached")),
        finish=finish_at_limit(tokens, token_limit_of(request)) if error is None else None,
        error=error,
        error_kind=error_kind(error or ""),
    )


def _notes(samples: list[Sample], retries: int | None) -> Iterator[str]:
    if retries:
        yield f"the client library may have tried a request again up to {retries} times, within its time; not recorded"
    if cut := sum(sample.finish == "length" for sample in samples):
        yield f"{cut} of {len(samples)} answers have as many tokens as were allowed, and are taken for truncated"
    if any(sample.moments and sample.reasoning_tokens is None for sample in samples):
        yield "the first token is the first visible one: reasoning that was not counted would come before it"


IMPORTER = Importer(summary="LLMeter: the folder of a run (with responses.jsonl)", recognises=recognises, read=read)
