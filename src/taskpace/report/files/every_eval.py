"""Every Eval Ever, schema 0.3.0: an aggregate and its samples for each cell that has right answers.

The names are those of eval.schema.json and instance_level_eval.schema.json of every-eval-ever 0.3.0, the folders those
of its data store: ``data/TASK/DEVELOPER/MODEL/UUID.json`` with ``UUID_samples.jsonl`` beside it. What is not known is
left out or null; what the format must have and taskpace does not know says ``unknown``.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from taskpace.analysis.data.provenance import SystemOrigin
from taskpace.analysis.data.trials import TrialRow
from taskpace.analysis.schema.summary import ImportedCell, SystemRow, TaskTable
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.whole import WholeRun
from taskpace.experiment.imported import ENGINE
from taskpace.version import __version__

_SCHEMA = "0.3.0"
_UNKNOWN = "unknown"
_NOT_IN_PATHS = re.compile(r"[^A-Za-z0-9._-]+")
_ACCURACY = "accuracy"
_MOST_PART = 80


class File(NamedTuple):
    """One file of the export."""

    path: str
    """Within the folder, with slashes."""
    content: bytes


class Exported(NamedTuple):
    """What became of a run."""

    files: tuple[File, ...]
    left_out: tuple[str, ...]
    """Tasks without right answers, which the format cannot hold."""


class _Named(NamedTuple):
    """What a cell is called."""

    evaluation: str
    model: str
    folder: str
    stem: str


def every_eval(run: WholeRun, references: Mapping[tuple[str, str], str], organization: str | None) -> Exported:
    """The files of a run.

    Args:
        run: whole, with its trials.
        references: a right answer to each item, by task and item id.
        organization: who publishes it; null: not said.
    """
    trials: dict[tuple[str, str, str], list[TrialRow]] = {}
    for trial in run.trials or ():
        trials.setdefault((trial.system, trial.task, trial.scenario), []).append(trial)
    origins = {origin.name: origin for origin in run.provenance.systems}
    files: list[File] = []
    for table in run.summary.tables:
        for row in table.rows:
            found = trials.get((row.system, table.task, table.scenario), [])
            if found and row.accuracy.value is not None:
                files += _files(_Cell(run, table, row, found, origins[row.system]), references, organization)
    graded = {table.task for table in run.summary.tables for row in table.rows if row.accuracy.value is not None}
    left_out = (table.task for table in run.summary.tables if table.task not in graded)
    return Exported(tuple(files), tuple(dict.fromkeys(left_out)))


class _Cell(NamedTuple):
    """What is published of one system on one task under one load."""

    run: WholeRun
    table: TaskTable
    row: SystemRow
    trials: list[TrialRow]
    origin: SystemOrigin


def _files(found: _Cell, references: Mapping[tuple[str, str], str], organization: str | None) -> Iterator[File]:
    run, table, row, trials, origin = found
    named = _name(found)
    lines = [_sample(trial, named, run.prompts, references) for trial in trials]
    samples = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    yield File(f"{named.folder}/{named.stem}_samples.jsonl", samples)
    wanted = (row.system, table.task, table.scenario)
    cell = next((each for each in run.summary.imported if (each.system, each.task, each.scenario) == wanted), None)
    aggregate = {
        "schema_version": _SCHEMA,
        "evaluation_id": named.evaluation,
        "evaluation_timestamp": trials[0].started_at or run.provenance.created_at,
        "retrieved_timestamp": _epoch(run.provenance.created_at),
        "source_metadata": {
            "source_name": "taskpace",
            "source_type": "evaluation_run",
            "source_organization_name": organization or _UNKNOWN,
            "evaluator_relationship": "other",
        },
        "eval_library": _library(run, cell),
        "model_info": _model(named, origin),
        "evaluation_results": list(_results(found)),
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": f"{named.folder}/{named.stem}_samples.jsonl",
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(samples).hexdigest(),
            "total_rows": len(lines),
        },
    }
    yield File(f"{named.folder}/{named.stem}.json", msgspec.json.format(msgspec.json.encode(aggregate)) + b"\n")


def _name(found: _Cell) -> _Named:
    run, table, row, _, origin = found
    developer, _, model = str(origin.spec.get("model") or row.system).rpartition("/")
    # A path shows nothing about who made a model, and is private.
    parts = [_part(part) for part in (table.task, developer if developer.count("/") == 0 else "", model)]
    model_id = f"{parts[1]}/{parts[2]}"
    seed = f"{run.provenance.plan_id}\n{row.system}\n{table.task}\n{table.scenario}"
    stem = str(uuid.UUID(bytes=hashlib.sha256(seed.encode()).digest()[:16], version=4))
    evaluation = f"{parts[0]}/{model_id.replace('/', '_')}/{_epoch(run.provenance.created_at)}-{stem[:8]}"
    return _Named(evaluation, model_id, f"data/{'/'.join(parts)}", stem)


def _part(name: str) -> str:
    """A folder's name that every system takes."""
    found = _NOT_IN_PATHS.sub("_", name).strip("._ ")[:_MOST_PART].rstrip("._ ")
    return _UNKNOWN if found in ("", "data") else found


def _epoch(iso: str) -> str:
    try:
        return f"{datetime.fromisoformat(iso).timestamp():.3f}"
    except (ValueError, OverflowError):
        return "0"


def _library(run: WholeRun, cell: ImportedCell | None) -> dict[str, Any]:
    """Who measured: taskpace, or the tool whose log it imported."""
    if cell is None:
        return {"name": "taskpace", "version": run.provenance.taskpace_version}
    tool, _, version = cell.by.rpartition(" ") if any(map(str.isdigit, cell.by)) else (cell.by, "", _UNKNOWN)
    details = {"imported_by": f"taskpace {__version__}", "log": cell.file, "sha256": cell.sha256, "times": cell.times}
    return {"name": tool, "version": version, "additional_details": details}


def _model(named: _Named, origin: SystemOrigin) -> dict[str, Any]:
    info = origin.workers[0]["info"] if origin.workers else {}
    found: dict[str, Any] = {
        "name": origin.name,
        "id": named.model,
        "developer": named.model.partition("/")[0],
        "additional_details": {"deployment_type": _UNKNOWN, "model_availability": _UNKNOWN},
    }
    if origin.sha256 is not None:
        found["additional_details"]["model_file_sha256"] = origin.sha256
    if origin.spec["engine"] != ENGINE and info:
        found["inference_engine"] = {"name": str(origin.spec["engine"]), "version": str(info.get("version"))}
    return found


def _results(found: _Cell) -> Iterator[dict[str, Any]]:
    """Accuracy, which the samples belong to; time per correct answer and median task time where they are known."""
    row = found.row
    yield _result(found, _ACCURACY, row.accuracy)
    for name, estimate in (("time_per_correct_answer", row.time_per_correct_s), ("task_time", row.task_time_median_s)):
        if estimate.value is not None:
            yield _result(found, name, estimate)


def _result(found: _Cell, name: str, estimate: Estimate) -> dict[str, Any]:
    table, row, timed = found.table, found.row, name != _ACCURACY
    details = {"outcomes": " ".join(f"{count} {outcome}" for outcome, count in row.outcomes.items())}
    if estimate.bound is not None:
        details["bound"] = estimate.bound
    if timed and not row.valid:
        details["valid"] = "no: taskpace makes no claim from these times"
    if row.n < row.planned:
        details["missing"] = str(row.planned - row.n)
    uncertainty: dict[str, Any] = {"num_samples": row.items}
    if estimate.low is not None and estimate.high is not None:
        uncertainty["confidence_interval"] = {
            "lower": estimate.low,
            "upper": estimate.high,
            "confidence_level": 0.95,
            "method": "taskpace, by item",
        }
    return {
        "evaluation_result_id": name,
        "evaluation_name": table.task,
        "source_data": {"dataset_name": table.task, "source_type": "other"},
        "metric_config": {
            "metric_id": name,
            "metric_name": name.replace("_", " "),
            "metric_unit": "s" if timed else "proportion",
            "lower_is_better": timed,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": "Infinity" if timed else 1.0,
            "additional_details": {"scenario": table.scenario},
        },
        "score_details": {"score": estimate.value, "details": details, "uncertainty": uncertainty},
        "generation_config": {"generation_args": _generation(found.origin)},
    }


def _generation(origin: SystemOrigin) -> dict[str, Any]:
    """How tokens were drawn; of an imported system what its log says."""
    spec = origin.spec
    settings = spec["options"].get("settings", {}) if spec["engine"] == ENGINE else spec["sampling"]
    found = {key: settings[key] for key in ("temperature", "top_p") if isinstance(settings.get(key), int | float)}
    return found | ({"max_tokens": spec["max_tokens"]} if spec.get("max_tokens") else {})


def _sample(
    trial: TrialRow,
    named: _Named,
    prompts: Mapping[tuple[str, str], tuple[str, ...]],
    references: Mapping[tuple[str, str], str],
) -> dict[str, Any]:
    asked = prompts.get((trial.task, trial.item_id), ())
    reference = references.get((trial.task, trial.item_id))
    single = len(trial.turns) <= 1
    correct = trial.outcome == "correct"
    texts = [turn.text for turn in trial.turns if turn.text is not None]
    thoughts = [turn.reasoning for turn in trial.turns if turn.reasoning]
    known = {"outcome": trial.outcome, "finish_reason": trial.finish_reason, "detail": trial.detail}
    return {
        "schema_version": _SCHEMA,
        "evaluation_id": named.evaluation,
        "model_id": named.model,
        "evaluation_name": trial.task,
        "evaluation_result_id": _ACCURACY,
        "sample_id": trial.item_id,
        "interaction_type": "single_turn" if single else "multi_turn",
        "input": {"raw": "\n\n".join(asked), "reference": [] if reference is None else [reference]},
        "output": {"raw": texts, "reasoning_trace": thoughts or None} if single else None,
        "messages": None if single else list(_messages(trial, asked)),
        "answer_attribution": []
        if trial.answer is None
        else [
            {
                "turn_idx": 0 if single else 2 * len(trial.turns) - 1,
                "source": "output.raw" if single else f"messages[{2 * len(trial.turns) - 1}].content",
                "extracted_value": trial.answer,
                "extraction_method": "custom",
                "is_terminal": True,
            }
        ],
        "evaluation": {
            "score": float(correct) if trial.score is None else trial.score,
            "is_correct": correct,
            "num_turns": max(1, len(trial.turns)),
        },
        "token_usage": _usage(trial),
        "performance": _performance(trial),
        "error": trial.failure,
        "metadata": {key: value for key, value in known.items() if value is not None} | {"epoch": str(trial.repeat)},
    }


def _messages(trial: TrialRow, asked: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, (prompt, turn) in enumerate(zip(asked, trial.turns, strict=False)):
        yield {"turn_idx": 2 * number, "role": "user", "content": prompt}
        yield {
            "turn_idx": 2 * number + 1,
            "role": "assistant",
            "content": turn.text,
            "reasoning_trace": turn.reasoning or None,
        }


def _usage(trial: TrialRow) -> dict[str, int | None] | None:
    """All of it or nothing: the format has no unknown count."""
    if trial.prompt_tokens is None or trial.output_tokens is None:
        return None
    return {
        "input_tokens": trial.prompt_tokens,
        "output_tokens": trial.output_tokens,
        "total_tokens": trial.prompt_tokens + trial.output_tokens,
        "input_tokens_cache_read": trial.cached_tokens,
        "reasoning_tokens": trial.reasoning_tokens,
    }


def _performance(trial: TrialRow) -> dict[str, Any] | None:
    if trial.task_time_s is None:
        return None
    found: dict[str, Any] = {"latency_ms": 1e3 * trial.task_time_s}
    if trial.ttft_s is not None:
        found["time_to_first_token_ms"] = 1e3 * trial.ttft_s
        found["generation_time_ms"] = 1e3 * max(0.0, trial.task_time_s - trial.ttft_s)
    if trial.committed_s is not None:
        found["additional_details"] = {"time_to_committed_answer_ms": f"{1e3 * trial.committed_s:.3f}"}
    return found
