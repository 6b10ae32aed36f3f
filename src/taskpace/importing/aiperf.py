"""AIPerf: the folder of a profile. Its profile, raw and accuracy exports are joined by request. Read in 0.13.0.

``profile_export.jsonl`` has the metrics of each request, ``profile_export_raw.jsonl`` (``--export-level raw``) what was
sent and every packet that came, ``accuracy_export.jsonl`` (``--accuracy-benchmark``) the verdicts, ``inputs.json`` the
requests, and ``profile_export_aiperf.json`` the settings and how many requests there were.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from taskpace.experiment.scenario import MOST_IN_FLIGHT, Scenario
from taskpace.importing.aiperf_request import Parts, read_sample
from taskpace.importing.base import Importer
from taskpace.importing.chat_request import settings_of, system_prompt_of, token_limit_of
from taskpace.importing.logs import Log, Sample
from taskpace.importing.source import Source
from taskpace.importing.values import count, number, rows, table, text

_PROFILE, _SUMMARY, _INPUTS, _ACCURACY = (
    "profile_export.jsonl", "profile_export_aiperf.json", "inputs.json", "accuracy_export.jsonl",
)  # fmt: skip
_RAW = "profile_export_raw.jsonl"
_SCHEMA = "1."
_TIMES = (
    "the request until its last token, its connection included; at a rate of arrivals waiting in the client counts, too"
)


def recognises(source: Source) -> bool:
    """A folder with a profile export, or one of the exports."""
    if source.is_folder:
        profile = source.beside(_PROFILE)
        return profile.exists and not profile.is_folder and recognises(profile)
    # A line may be longer than the head: what names the request comes first in each.
    head = source.head.lstrip()[:4096]
    return head[:1] == b"{" and b'"x_request_id"' in head and b'"benchmark_phase"' in head


def read(source: Source) -> tuple[Log, ...]:
    """The log. Raises ``LogError``."""
    profile, summary = source.beside(_PROFILE), source.beside(_SUMMARY)
    if not profile.exists:
        raise source.refuse(
            f"no {_PROFILE} there, which has the requests: name the folder that aiperf profile wrote, with "
            "--export-level records or raw"
        )
    if not summary.exists:
        raise source.refuse(f"no {_SUMMARY} beside {_PROFILE}, which has settings and counts: copy the whole folder")
    about = table(summary.json())
    if not (text(about.get("schema_version")) or "").startswith(_SCHEMA):
        raise summary.refuse(
            f"schema {about.get('schema_version')!s:.20}, and {_SCHEMA}x is read: make it again with AIPerf 0.13"
        )
    config = table(about.get("input_config"))
    raw = _beside(source, _RAW, wanted=table(config.get("artifacts")).get("raw") is True)
    verdicts = _beside(source, _ACCURACY, wanted=bool(table(config.get("accuracy")).get("benchmark")))
    asked = _inputs(source)
    phase = next((p for p in map(table, rows(config.get("phases"))) if p.get("kind") == "profiling"), {})
    parts = Parts(
        scheduled=phase.get("type") not in ("concurrency", None),
        timeout_s=number(table(config.get("endpoint")).get("timeout")),
        limit=token_limit_of(table(table(config.get("endpoint")).get("extra"))),
        graded=verdicts is not None,
    )
    samples: list[Sample] = []
    warm = joined = 0
    request: dict[str, Any] = {}
    for line, row in profile.json_lines():
        metadata = table(row.get("metadata"))
        name = text(metadata.get("x_request_id"))
        if name is None or not isinstance(row.get("metrics"), dict):
            raise profile.refuse(f"line {line} is not a record of AIPerf: import the file as AIPerf wrote it")
        if metadata.get("benchmark_phase") != "profiling":
            warm += 1
            continue
        sent = table(table((raw or {}).get(name)).get("payload")) or asked.get(
            text(metadata.get("conversation_id")) or "", {}
        )
        request = request or sent
        if raw is not None and name not in raw:
            raise profile.refuse(f"line {line} has no record in {_RAW}: copy both from one run")
        joined += name in (verdicts or {})
        samples.append(read_sample(row, sent, (raw or {}).get(name), (verdicts or {}).get(name), parts))
    if verdicts and samples and not joined:
        raise source.refuse(f"no request of {_PROFILE} has a verdict in {_ACCURACY}: copy both from one run")
    issued = sum(
        count(number(table(about.get(key)).get("avg"))) or 0 for key in ("request_count", "error_request_count")
    )
    return (
        Log(
            tool="AIPerf",
            version=text(about.get("aiperf_version")),
            file=profile.name,
            sha256=profile.sha256,
            model=_model(config, request),
            task=_task(config),
            samples=tuple(samples),
            missing=max(0, issued - len(samples)),
            graded=verdicts is not None,
            scorer=next((text(each.get("grader_name")) for each in (verdicts or {}).values()), None),
            scenario=_load(phase),
            system_prompt=system_prompt_of(request),
            max_tokens=token_limit_of(request) or parts.limit,
            settings=settings_of(request),
            times=_TIMES,
            notes=tuple(_notes(samples, warm, raw is not None, verdicts)),
        ),
    )


def _beside(source: Source, name: str, *, wanted: bool) -> dict[str, dict[str, Any]] | None:
    """The rows of another export, by request; null where there is none. Raises ``LogError``."""
    file = source.beside(name)
    if not file.exists:
        if wanted:
            raise source.refuse(f"no {name} there, and its settings say that it was written: copy the whole folder")
        return None
    found = {}
    for line, row in file.json_lines():
        key = text(row.get("x_request_id")) or text(table(row.get("metadata")).get("x_request_id"))
        if key is None:
            raise file.refuse(f'line {line} has no "x_request_id": import the file as AIPerf wrote it')
        found[key] = row
    return found


def _inputs(source: Source) -> dict[str, dict[str, Any]]:
    """The first request of each conversation, where the file is there."""
    file = source.beside(_INPUTS)
    if not file.exists:
        return {}
    found = {}
    for each in map(table, rows(table(file.json()).get("data"))):
        payloads = rows(each.get("payloads"))
        if (name := text(each.get("session_id"))) is not None and payloads:
            found[name] = table(payloads[0])
    return found


def _model(config: dict[str, Any], request: dict[str, Any]) -> str:
    named = [text(table(each).get("name")) for each in rows(table(config.get("models")).get("items"))]
    return text(request.get("model")) or next((name for name in named if name), "unnamed")


def _task(config: dict[str, Any]) -> str:
    """The benchmark, else the data set."""
    if (benchmark := text(table(config.get("accuracy")).get("benchmark"))) is not None:
        return benchmark
    data = next(map(table, rows(config.get("datasets"))), {})
    return PurePosixPath(text(data.get("path")) or text(data.get("type")) or "aiperf").stem or "aiperf"


def _load(phase: dict[str, Any]) -> Scenario:
    kind, most, rate = phase.get("type"), count(phase.get("concurrency")), number(phase.get("rate"))
    if kind == "concurrency" and most and most <= MOST_IN_FLIGHT:
        return Scenario(concurrency=most)
    if kind == "poisson" and most is None and rate is not None and 1e-4 <= rate <= 1e5:
        return Scenario(rate=rate)
    return Scenario(known=False)


def _notes(samples: list[Sample], warm: int, raw: bool, verdicts: dict[str, Any] | None) -> Iterator[str]:
    if warm:
        yield f"{warm} warm-up requests are left out"
    if not raw:
        yield "no raw export: why answers ended is not recorded, nor when which text was there"
    if verdicts is not None:
        yield "AIPerf's accuracy counts failed and cut answers as wrong; here they are errors and truncated"
    if cut := sum(sample.finish == "length" for sample in samples) if not raw else 0:
        yield f"{cut} of {len(samples)} answers have as many tokens as were allowed, and are taken for truncated"
    failed = [sample for sample in samples if sample.error is not None]
    if lost := sum(sample.seconds is None for sample in failed):
        yield f"no time is recorded of {lost} of {len(failed)} failed requests"


IMPORTER = Importer(
    summary="AIPerf: the folder of a profile (with profile_export.jsonl)", recognises=recognises, read=read
)
