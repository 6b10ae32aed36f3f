"""``vllm bench serve --save-result --save-detailed``: a JSON file with a list for each field. Read in vLLM 0.32.

The fields are those of ``RequestFuncOutput`` (vllm/benchmarks/lib/endpoint_request_func.py), as ``serve.py`` writes
them.
The file has no prompts: where ``NAME.prompts.jsonl`` lies beside ``NAME.json`` its lines are the prompts, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from itertools import accumulate
from typing import Any

from taskpace.experiment.scenario import MOST_IN_FLIGHT, Scenario
from taskpace.importing.base import Importer
from taskpace.importing.chat_request import error_kind
from taskpace.importing.logs import Log, Moment, Sample
from taskpace.importing.source import Source
from taskpace.importing.values import count, number, rows, seconds, table, text

_LISTS = ("input_lens", "output_lens", "ttfts", "itls", "generated_texts", "errors")
_PHRASES = {status.phrase: f"http-{status.value}" for status in HTTPStatus if status.value >= 400}
"""Of a refused request the reason is kept and the status is not."""
_TOGETHER_S = 0.002
"""The role of an answer and its first token come together, where they are at most this far apart."""
_TIMES = (
    "the request until its last event, which may hold only why the answer ended; at a rate of arrivals waiting in the "
    "client counts, too"
)
_MOST_RESULTS = 1000
"""In one file, of --append-result."""


def recognises(source: Source) -> bool:
    """A JSON file that begins as its results do."""
    head = source.head[:8192]
    return head.lstrip()[:1] == b"{" and all(
        b'"%b"' % key in head for key in (b"endpoint_type", b"tokenizer_id", b"burstiness")
    )


def read(source: Source) -> tuple[Log, ...]:
    """A log for each result that the file holds. Raises ``LogError``."""
    if source.is_folder:
        raise source.refuse("a folder: name the JSON result in it")
    parts = source.content().lstrip().split(b"\n{", _MOST_RESULTS)
    if len(parts) > _MOST_RESULTS:
        raise source.refuse(f"has more than {_MOST_RESULTS} results: import a part of it")
    results = [
        table(source.decoded(part if index == 0 else b"{" + part, f"result {index + 1}" if len(parts) > 1 else ""))
        for index, part in enumerate(parts)
    ]
    prompts = _prompts(source)
    return tuple(_log(source, result, prompts) for result in results)


def _prompts(source: Source) -> list[str] | None:
    """The prompts beside it; null where there are none. Raises ``LogError``."""
    file = source.beside(f"{source.path.stem}.prompts.jsonl")
    if not file.exists:
        return None
    found = []
    for index, row in file.json_lines():
        prompt = text(row.get("prompt"))
        if prompt is None:
            raise file.refuse(f'line {index} has no text "prompt": give the file that --dataset-path named')
        found.append(prompt)
    return found


def _log(source: Source, result: dict[str, Any], prompts: list[str] | None) -> Log:
    if "endpoint_type" not in result:
        raise source.refuse("no result of vllm bench serve: name the JSON file that it wrote")
    if any(not isinstance(result.get(name), list) for name in _LISTS):
        raise source.refuse("has no times of each request: run vllm bench serve again with --save-detailed")
    size = len(result["ttfts"])
    lists = {name: result[name] for name in (*_LISTS, "latencies", "start_times", "queue_times") if name in result}
    if any(len(rows(values)) != size for values in lists.values()):
        raise source.refuse("its lists differ in length: import the file as vllm bench serve wrote it")
    if prompts is not None and len(prompts) != size:
        raise source.refuse(
            f"has {size} requests, and {source.path.stem}.prompts.jsonl has {len(prompts)} lines: give one for each, "
            "in the order of the requests"
        )
    chat = "chat" in (text(result.get("backend")) or text(result.get("endpoint_type")) or "")
    rate = number(result.get("request_rate"))
    samples = tuple(
        _sample(
            {name: values[index] for name, values in lists.items()},
            None if prompts is None else prompts[index],
            chat=chat,
            queued=rate is not None,
        )
        for index in range(size)
    )
    return Log(
        tool="vLLM bench",
        version=None,
        file=source.name,
        sha256=source.sha256,
        model=text(result.get("model_id")) or "unnamed",
        task="bench serve",
        samples=samples,
        missing=max(0, (count(result.get("num_prompts")) or 0) - size),
        graded=False,
        scenario=_load(result, rate),
        times=_TIMES,
        notes=tuple(_notes(samples, prompts, source)),
    )


def _load(result: dict[str, Any], rate: float | None) -> Scenario:
    most = count(result.get("max_concurrency"))
    if rate is None and result.get("request_rate") == "inf" and most and most <= MOST_IN_FLIGHT:
        return Scenario(concurrency=most)
    poisson = result.get("burstiness") == 1 and most is None and "ramp_up_strategy" not in result
    if rate is not None and 1e-4 <= rate <= 1e5 and poisson:
        return Scenario(rate=rate)
    return Scenario(known=False)


def _sample(row: dict[str, Any], prompt: str | None, *, chat: bool, queued: bool) -> Sample:
    error = text(row["errors"]) or None
    first_s, gaps = seconds(row["ttfts"]), [seconds(gap) for gap in rows(row["itls"])]
    tokens = count(row["output_lens"]) if error is None else None
    # Nothing arrived of a request whose first token took no time at all.
    arrived = bool(first_s) and None not in gaps
    events = list(accumulate([first_s or 0.0, *(gap or 0.0 for gap in gaps)])) if arrived else []
    wait_s = (seconds(row.get("queue_times")) or 0.0) if queued else 0.0
    begun = number(row.get("start_times"))
    kept = _token_times(events, tokens, chat) if error is None else []
    # Where every token is seen, the answer ends with the last of them.
    end_s = kept[-1] if len(kept) == tokens and kept else (events[-1] if events else None)
    return Sample(
        item=None,
        prompt=prompt,
        text=text(row["generated_texts"]) or "",
        started_s=None if begun is None else begun - wait_s,
        seconds=None if end_s is None else seconds(end_s + wait_s),
        moments=tuple(Moment(each + wait_s) for each in kept),
        until_last_token=bool(kept) and len(kept) == tokens,
        prompt_tokens=count(row["input_lens"]) if error is None else None,
        output_tokens=tokens,
        error=None if error is None else (error.strip().splitlines() or ["failed"])[-1],
        error_kind=_PHRASES.get(error or "") or error_kind(error or ""),
    )


def _token_times(events: list[float], tokens: int | None, chat: bool) -> list[float]:
    """When tokens came, of the events of an answer; none where the first token and the role alone look the same.

    vLLM's ``ttft`` is the first event with a choice. Of a chat that may hold the role and no token, and the last one
    may hold nothing but the reason why the answer ended.
    """
    if not events or not tokens:
        return []
    if not chat:
        return events
    if len(events) == tokens + 2:
        return events[1:-1]
    if len(events) > 1 and events[1] - events[0] <= _TOGETHER_S:
        return events[1:]
    return []


def _notes(samples: tuple[Sample, ...], prompts: list[str] | None, source: Source) -> Iterator[str]:
    yield "its own test request and warm-up requests are not in the file"
    yield "the token limit and why answers ended are not recorded: cut answers cannot be distinguished from whole ones"
    if prompts is None:
        yield "its prompts are not recorded, so nothing can be graded or paired"
    else:
        yield f"its prompts are those of {source.path.stem}.prompts.jsonl, in their order"
    ended = [sample for sample in samples if sample.error is None]
    if unseen := sum(not sample.moments for sample in ended):
        yield f"first token unknown in {unseen} of {len(ended)}: its first event may hold the role alone"
    failed = [sample for sample in samples if sample.error is not None]
    if lost := sum(sample.seconds is None for sample in failed):
        yield f"no time is recorded of {lost} of {len(failed)} failed requests"


IMPORTER = Importer(summary="vllm bench serve: the JSON result of --save-detailed", recognises=recognises, read=read)
