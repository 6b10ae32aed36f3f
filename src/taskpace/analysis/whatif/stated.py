"""Speeds that benchmarks of other tools state: the JSON of ``llama-bench``, ``vllm bench serve`` and AIPerf.

All of them give means or medians over prompts of a length of their own choice, so that a prediction from them has no
trials to check it with. Fields: llama.cpp ``tools/llama-bench`` (``n_prompt``, ``n_gen``, ``n_depth``, ``avg_ts`` in
tokens per second), vLLM ``vllm/benchmarks/serve.py`` (``median_ttft_ms``, ``median_tpot_ms``, ``total_input_tokens``,
``completed``), AIPerf's JSON export schema (``time_to_first_token``, ``inter_token_latency``, with ``unit``, ``avg``
and ``p50``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from taskpace.analysis.whatif.speed import Range, Speed
from taskpace.errors import TaskpaceError
from taskpace.importing.values import number
from taskpace.text.bounded import JsonProblem, decode_json

_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0}
_MOST_SECONDS = 86_400.0
"""For the first token, and for a token: what is slower is a slip of the pen."""
_NEAR = 0.1
"""A length that a benchmark chose stands for those within a tenth of it."""


def given_speed(ttft_s: float, tokens_per_s: float, prefill_tokens_per_s: float | None) -> Speed:
    """A speed in three numbers; without the prefill's every prompt waits alike.

    Raises:
        TaskpaceError: a number that is not a speed: not finite, or more than a day for a token.
    """
    for flag, value, least in (
        ("--ttft", ttft_s, 0.0),
        ("--tokens-per-s", tokens_per_s, 1 / _MOST_SECONDS),
        ("--prefill-tokens-per-s", prefill_tokens_per_s, 1 / _MOST_SECONDS),
    ):
        if value is not None and not (math.isfinite(value) and value >= least):
            raise TaskpaceError(f"{flag} {value:g}: give a finite number, of {least:.2g} or more")
    found = Speed(
        wait_s=ttft_s,
        wait_per_prompt_token_s=0.0 if prefill_tokens_per_s is None else 1 / prefill_tokens_per_s,
        tpot_s=1 / tokens_per_s,
    )
    return _believable(found, f"--ttft {ttft_s:g}")


def stated_speed(text: str, label: str) -> Speed:
    """The speed that a benchmark's file states.

    Args:
        text: the file's; JSON, or JSON lines.
        label: its name, for errors.

    Raises:
        TaskpaceError: it is not such a file, or lacks what a speed takes.
    """
    rows = _rows(text, label)
    for known, read in _READERS:
        if all(map(known, rows)):
            return _believable(read(rows, label), label)
    raise TaskpaceError(
        f"{label}: not a run file, and not a result of llama-bench (`-o jsonl`), `vllm bench serve --save-result` or "
        "AIPerf (`profile_export_aiperf.json`)"
    )


def _believable(speed: Speed, label: str) -> Speed:
    if not all(each <= _MOST_SECONDS for each in (speed.wait_s, speed.wait_per_prompt_token_s, speed.tpot_s)):
        raise TaskpaceError(f"{label}: more than {_MOST_SECONDS:,.0f} s for a token: see its numbers and their units")
    return speed


def _rows(text: str, label: str) -> list[dict[str, Any]]:
    try:
        whole = decode_json(text)
        rows = whole if isinstance(whole, list) else [whole]
    except JsonProblem:
        try:
            rows = [decode_json(line) for line in text.splitlines() if line.strip()]
        except JsonProblem as problem:
            raise TaskpaceError(f"{label}: {problem}") from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise TaskpaceError(f"{label}: no JSON objects in it")
    return rows


def _llama_bench(rows: list[dict[str, Any]], label: str) -> Speed:
    """Prefill by the prompts' lengths; the first token comes with the prefill, as in a request."""
    tests = [row for row in rows if not row.get("n_depth")]
    models = {str(row.get("model_filename")) for row in tests}
    if len(models) > 1:
        raise TaskpaceError(f"{label}: has {len(models)} models: give a file of one")
    prefill = [(_of(row, "n_prompt", label), row) for row in tests if row.get("n_prompt") and not row.get("n_gen")]
    decode = [row for row in tests if row.get("n_gen") and not row.get("n_prompt")]
    if not prefill or not decode:
        raise TaskpaceError(
            f"{label}: a speed takes a test of prompts and one of generation: `llama-bench -p 64,512 -n 128 -o jsonl`"
        )
    lengths = np.array([length for length, _ in prefill])
    took_s = np.array([length / _of(row, "avg_ts", label) for length, row in prefill])
    fixed_s, per_token_s = 0.0, float(np.median(took_s / lengths))
    if len(set(lengths)) > 1:
        per_token_s, fixed_s = (float(each) for each in np.polyfit(lengths, took_s, 1))
        if per_token_s < 0 or fixed_s < 0:
            fixed_s, per_token_s = 0.0, float(np.median(took_s / lengths))
    return Speed(
        wait_s=fixed_s,
        wait_per_prompt_token_s=per_token_s,
        tpot_s=float(np.median([1 / _of(row, "avg_ts", label) for row in decode])),
        prompt_tokens=_near(*lengths),
        output_tokens=Range(1.0, float(max(_of(row, "n_gen", label) for row in decode))),
    )


def _vllm(rows: list[dict[str, Any]], label: str) -> Speed:
    (row,) = _one(rows, label)
    completed = _of(row, "completed", label)
    return Speed(
        wait_s=_of(row, "median_ttft_ms", label) / 1e3,
        wait_per_prompt_token_s=0.0,
        tpot_s=_of(row, "median_tpot_ms", label) / 1e3,
        prompt_tokens=_near(_of(row, "total_input_tokens", label) / completed),
        output_tokens=_near(_of(row, "total_output_tokens", label) / completed),
    )


def _aiperf(rows: list[dict[str, Any]], label: str) -> Speed:
    (row,) = _one(rows, label)
    return Speed(
        wait_s=_seconds(row, "time_to_first_token", label),
        wait_per_prompt_token_s=0.0,
        tpot_s=_seconds(row, "inter_token_latency", label),
        prompt_tokens=_lengths(row, "input_sequence_length"),
        output_tokens=_lengths(row, "output_sequence_length"),
    )


_READERS: tuple[tuple[Callable[[dict[str, Any]], bool], Callable[[list[dict[str, Any]], str], Speed]], ...] = (
    (lambda row: {"n_prompt", "n_gen", "avg_ts"} <= row.keys(), _llama_bench),
    (lambda row: {"median_ttft_ms", "median_tpot_ms"} <= row.keys(), _vllm),
    (lambda row: {"time_to_first_token", "inter_token_latency"} <= row.keys(), _aiperf),
)


def _one(rows: list[dict[str, Any]], label: str) -> list[dict[str, Any]]:
    if len(rows) > 1:
        raise TaskpaceError(f"{label}: has {len(rows)} results: give a file of one")
    return rows


def _of(row: dict[str, Any], key: str, label: str) -> float:
    value = number(row.get(key))
    if value is None or value <= 0:
        raise TaskpaceError(f'{label}: "{key}" is not a number above 0')
    return value


def _seconds(row: dict[str, Any], key: str, label: str) -> float:
    """The median of a metric, or its mean."""
    metric = row[key]
    if not isinstance(metric, dict) or (unit := _UNITS.get(str(metric.get("unit")))) is None:
        raise TaskpaceError(f'{label}: "{key}" has no unit of time that is known ({", ".join(_UNITS)})')
    return _of(metric, "p50" if "p50" in metric else "avg", f"{label}: {key}") * unit


def _lengths(row: dict[str, Any], key: str) -> Range | None:
    metric = row.get(key)
    least, most = (number(metric.get(end)) for end in ("min", "max")) if isinstance(metric, dict) else (None, None)
    return None if least is None or most is None else Range(least, most)


def _near(*lengths: float) -> Range:
    return Range(float(min(lengths)) * (1 - _NEAR), float(max(lengths)) * (1 + _NEAR))
