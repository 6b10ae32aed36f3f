"""Who judges, and how: a JUDGE.toml, read strictly, or flags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from taskpace.errors import ExperimentError
from taskpace.experiment.experiment import DEFAULT_TIMEOUT_S, Experiment, experiment_of
from taskpace.experiment.scenario import MOST_IN_FLIGHT
from taskpace.text.strict import read_toml

_MAX_TOKENS = 512


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """One system that grades, and what it is told."""

    experiment: Experiment
    """With that one system; its tasks are still to be made."""
    rubric: str | None
    """For verdicts. Null: a general one."""
    rubric_pairs: str | None
    """For comparisons. Null: a general one."""
    max_tokens: int
    """Of a reply; one that hits the limit is not a verdict."""
    pairs: bool
    """Whether answers of two systems to one item are compared too."""


class _JudgeTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str = "judge"
    model: str = ""
    engine: str = "llamacpp"
    system_prompt: str | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    options: dict[str, Any] = {}


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    judge: _JudgeTable
    rubric: str | None = None
    rubric_pairs: str | None = None
    max_tokens: int = _MAX_TOKENS
    pairs: bool = False
    concurrency: int = 1
    retries: int = 0
    timeout: float = DEFAULT_TIMEOUT_S


def load_judge(path: Path) -> Judge:
    """Read a judge's file.

    Raises:
        ExperimentError: an unknown key, a wrong type, a value out of range; one line that names file, key and remedy.
    """
    return _judge(read_toml(path, _File, ExperimentError), str(path))


def quick_judge(model: str, engine: str | None) -> Judge:
    """The short form: a model, judging with the settings that a file has by default. Errors as of ``load_judge``."""
    return _judge(_File(judge=_JudgeTable(model=model, engine=engine or "llamacpp")), "flags")


def _judge(file: _File, location: str) -> Judge:
    for key, rubric in (("rubric", file.rubric), ("rubric_pairs", file.rubric_pairs)):
        if rubric is not None and not rubric.strip():
            raise ExperimentError(f'{location}: key "{key}": the text is empty: write some, or leave the key out')
    if not 1 <= file.concurrency <= MOST_IN_FLIGHT:
        raise ExperimentError(
            f'{location}: key "concurrency": invalid number of questions in flight {file.concurrency}: give 1 to '
            f"{MOST_IN_FLIGHT}"
        )
    table = {
        "system": [msgspec.to_builtins(file.judge)],
        "scenarios": [f"concurrency={file.concurrency}"],
        "warmup": 0,  # speed is not compared here
        "max_tokens": file.max_tokens,
        "retries": file.retries,
        "timeout": file.timeout,
    }
    return Judge(
        experiment=experiment_of(table, location, default_name="judge"),
        rubric=file.rubric,
        rubric_pairs=file.rubric_pairs,
        max_tokens=file.max_tokens,
        pairs=file.pairs,
    )
