"""Evaluations of EvalScope: predictions joined with reviews, one file of each for a model and a part of a benchmark.

The names are those of ``ModelResult`` and ``ReviewResult`` (evalscope/api/evaluator/cache.py), read in 1.14.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from taskpace.experiment.scenario import Scenario
from taskpace.importing.base import Importer
from taskpace.importing.logs import Log, Moment, Sample
from taskpace.importing.source import Source
from taskpace.importing.values import count, number, rows, seconds, table, text

_PREDICTIONS, _REVIEWS, _CONFIG = "predictions", "reviews", "configs/task_config.yaml"
_TIMES = "the request until the end of its stream, as EvalScope times its client; its retries and their pauses included"
_SETTINGS = {"temperature", "top_p", "top_k", "seed", "reasoning_effort", "n", "stream"}
_MOST_CONFIG = 1_000_000


def recognises(source: Source) -> bool:
    """The folder of an evaluation, with predictions in it."""
    return source.is_folder and (source.path / _PREDICTIONS).is_dir()


def read(source: Source) -> tuple[Log, ...]:
    """A log for each file of predictions. Raises ``LogError``."""
    if not recognises(source):
        raise source.refuse("no evaluation of EvalScope: name the folder that holds predictions/ and reviews/")
    found = source.files(f"{_PREDICTIONS}/*/*.jsonl")
    if not found:
        raise source.refuse("predictions/ has no file MODEL/BENCHMARK.jsonl: name a finished evaluation")
    config = _config(source)
    return tuple(_log(source, predictions, config) for predictions in found)


def _log(source: Source, predictions: Source, config: dict[str, Any]) -> Log:
    model, name = predictions.path.parent.name, predictions.path.stem
    reviews_file = source.beside(f"{_REVIEWS}/{model}/{predictions.name}")
    if not reviews_file.exists:
        raise predictions.refuse(
            f"has no reviews beside it: copy {_REVIEWS}/{model}/{predictions.name} as well, or finish the evaluation "
            "with --use-cache"
        )
    reviews = {count(row.get("index")): row for _, row in reviews_file.json_lines()}
    # Of two predictions of one sample EvalScope itself takes the later one.
    raw = {count(row.get("index")): row for _, row in predictions.json_lines()}
    raw.pop(None, None)
    for index, row in raw.items():
        if not isinstance(row.get("model_output"), dict):
            raise predictions.refuse(f'sample {index} has no "model_output": import what EvalScope 1 wrote')
    samples = tuple(_sample(index, row, table(reviews.get(index))) for index, row in raw.items() if index is not None)
    highest = max((index for index in raw if index is not None), default=-1)
    lost = highest + 1 - len(raw)
    generation = table(config.get("generation_config"))
    return Log(
        tool="EvalScope",
        version=text(config.get("evalscope_version")),
        file=f"{_PREDICTIONS}/{model}/{predictions.name}",
        sha256=predictions.sha256,
        model=model,
        task=name,
        samples=samples,
        missing=lost,
        graded=any(sample.correct is not None for sample in samples)
        and all(sample.score in (None, 0.0, 1.0) for sample in samples),
        scorer=_metric(reviews),
        scenario=_load(config),
        max_tokens=count(generation.get("max_tokens")) or None,
        settings={key: generation[key] for key in sorted(_SETTINGS & generation.keys())},
        times=_TIMES,
        notes=tuple(_notes(lost, generation, samples)),
    )


def _sample(index: int, raw: dict[str, Any], review: dict[str, Any]) -> Sample:
    output = table(raw.get("model_output"))
    choice = table(next(iter(rows(output.get("choices"))), None))
    message = table(choice.get("message"))
    usage = table(output.get("usage"))
    perf = table(message.get("perf_metrics")) or table(output.get("perf_metrics"))
    first_s = seconds(perf.get("ttft"))
    took_s = seconds(perf.get("latency") or output.get("time"))
    error = text(output.get("error"))
    score = table(table(review.get("sample_score")).get("score"))
    degree = _degree(score)
    stop = choice.get("stop_reason")
    fresh = count(usage.get("input_tokens"))
    return Sample(
        item=str(index),
        prompt=_prompt(raw),
        text=_parts(message, "text"),
        reasoning=_parts(message, "reasoning") or None,
        seconds=took_s,
        moments=(Moment(first_s),) if first_s is not None and took_s is not None and first_s <= took_s else (),
        until_last_token=False,
        prompt_tokens=fresh,
        output_tokens=count(usage.get("output_tokens")),
        reasoning_tokens=count(usage.get("reasoning_tokens")),
        cached_tokens=count(usage.get("input_tokens_cache_read")),
        finish="length" if stop in ("max_tokens", "model_length") else "stop" if stop == "stop" else None,
        error=error,
        error_kind="evalscope",
        correct=None if degree not in (0.0, 1.0) else degree == 1.0,
        score=degree,
        answer=text(score.get("extracted_prediction")),
        reference=_reference(review.get("target")),
    )


def _degree(score: dict[str, Any]) -> float | None:
    """The value of the score that EvalScope calls the main one."""
    values = table(score.get("value"))
    name = score.get("main_score_name")
    value = values.get(name) if isinstance(name, str) else next(iter(values.values()), None)
    found = number(float(value) if isinstance(value, bool) else value)
    return None if score.get("status") not in (None, "success") else found


def _metric(reviews: dict[int | None, dict[str, Any]]) -> str | None:
    names = [
        text(table(table(row.get("sample_score")).get("score")).get("main_score_name")) for row in reviews.values()
    ]
    return next((name for name in names if name), None)


def _reference(target: Any) -> str | None:
    if isinstance(target, str):
        return target or None
    return " | ".join(part for part in rows(target) if isinstance(part, str)) or None


def _prompt(raw: dict[str, Any]) -> str | None:
    """The user's messages before the first answer."""
    found = []
    for message in map(table, rows(raw.get("messages"))):
        if message.get("role") == "assistant":
            break
        if message.get("role") == "user":
            found.append(_parts(message, "text") or "")
    return "\n\n".join(found) or None


def _parts(message: dict[str, Any], kind: str) -> str | None:
    content = message.get("content")
    if isinstance(content, str):
        return content if kind == "text" else None
    if not isinstance(content, list):
        return None
    return "".join(text(part.get(kind)) or "" for part in map(table, content) if part.get("type") == kind)


def _load(config: dict[str, Any]) -> Scenario:
    """One at a time where its batch size shows it; more in flight are a limit of EvalScope, not a load."""
    return Scenario() if config.get("eval_batch_size") == 1 else Scenario(known=False)


def _notes(lost: int, generation: dict[str, Any], samples: tuple[Sample, ...]) -> Iterator[str]:
    if lost:
        yield f"{lost} samples are missing between others: EvalScope leaves out those that failed"
    yield "samples that failed after the last one are not in the log; their number is unknown"
    if count(generation.get("retries")) != 0:
        yield "a time may hold retries, as EvalScope does not record them: it is an upper bound"
    if any(sample.moments for sample in samples):
        yield "the first token is the first text or reasoning that EvalScope received"


_ENTRY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z_][\w]*): ?(?P<value>.*)$")


def _config(source: Source) -> dict[str, Any]:
    """The plain settings of the task's YAML file, two levels deep; empty where there is none.

    A whole YAML reader is more than a few numbers need: what is quoted, folded or a list is left out.
    """
    file = source.beside(_CONFIG)
    if not file.exists or file.path.stat().st_size > _MOST_CONFIG:
        return {}
    file.refuse_utf16()
    found: dict[str, Any] = {}
    above: dict[str, Any] = found
    for line in file.content().decode("utf-8", "replace").splitlines():
        match = _ENTRY.match(line)
        if match is None or len(match["indent"]) not in (0, 2):
            continue
        if match["indent"] == "":
            above = found
        if match["value"] == "" and match["indent"] == "":
            above = found[match["key"]] = {}
        elif (value := _scalar(match["value"])) is not None:
            above[match["key"]] = value
    return found


def _scalar(written: str) -> Any:
    """A number, a truth value or a plain word; null for anything else."""
    if written in ("true", "false"):
        return written == "true"
    if re.fullmatch(r"-?\d{1,15}", written):
        return int(written)
    if re.fullmatch(r"-?\d{1,15}\.\d{1,15}", written):
        return float(written)
    return written if re.fullmatch(r"[\w.+-]{1,100}", written) and written != "null" else None


IMPORTER = Importer(
    summary="EvalScope: the folder of an evaluation (with predictions/)", recognises=recognises, read=read
)
