"""What a task is, and how one is found and read."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from taskpace.errors import MissingExtraError, TaskError
from taskpace.strict import convert, did_you_mean, read_toml
from taskpace.tasks.data import REMOTE, STARTER, read_rows
from taskpace.tasks.extraction import EXTRACTIONS
from taskpace.tasks.prompts import fields_used
from taskpace.tasks.scorers import SCORERS, FieldProblem

_PROMPTS_MAX_TOKENS = 512
_MOST_THINK_TIME_S = 3600.0
_SUFFIX = ".toml"


class DataSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the items come from."""

    source: str
    """A path (Parquet, CSV, JSONL), ``hf://datasets/...`` or ``starter:questions``. In a task file, a relative path
    starts from the task file's folder; in an experiment file, from the experiment's."""
    columns: dict[str, str] = {}
    """Field of the item -> column of the data, or a part of one (``answers.text``). Empty: fields are called as their
    columns are.
    """
    where: dict[str, str | int | float | bool] = {}
    """Only rows whose columns have these values."""
    version: str | None = None
    """Of the data, as those who keep it count; results name it. Null: not known."""


class TurnTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message of the user's."""

    prompt: str
    """A jinja2 template over the item's fields; the filter ``letter`` makes 0, 1, ... into A, B, ...,
    ``json`` writes JSON.
    """


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data set + prompt template + answer extraction + scorer."""

    name: str
    version: int
    """Raised with every change that changes what is asked or how it is judged."""
    description: str
    data: DataSource
    turns: tuple[TurnTemplate, ...]
    max_tokens: int
    """Limit of each turn's output. A trial that hits it is ``truncated``, whatever it says, and ends there."""
    stop: tuple[str, ...] = ()
    """Texts at which the generation ends."""
    think_time_s: float = 0.0
    """How long the user takes between an answer and the next turn; it counts neither in the trial's time nor in its
    time limit."""
    extraction: str | None = None
    """How the answer is read from the visible text; null: no answer is read."""
    scorer: str | None = None
    """Who judges; null: every trial that ends by itself is ``completed``."""
    options: dict[str, Any] = {}
    """The scorer's own options."""


def load_task(reference: str, base: Path) -> Task:
    """A shipped task by its name, or a task file by its path.

    Args:
        reference: a name, or a path that ends in ``.toml``.
        base: folder that a relative path starts from.

    Raises:
        TaskError: no such task or file, an unknown key, a wrong type, a template that cannot be read, ...; one line
            that names the file and the key and says what to do.
        MissingExtraError: its scorer needs a library that is not installed.
    """
    if reference.endswith(_SUFFIX):
        return _able(_read_task(base / reference))
    shipped = _shipped_paths()
    if reference not in shipped:
        raise TaskError(
            f'there is no task "{reference}"{did_you_mean(reference, shipped)}: '
            f"name a shipped task or a path to a {_SUFFIX} file"
        )
    return _able(_read_task(shipped[reference]))


def _able(task: Task) -> Task:
    """The same, once it is known that it can be judged here."""
    for library in SCORERS[task.scorer].libraries if task.scorer else ():
        if find_spec(library) is None:
            raise MissingExtraError(f'task "{task.name}"', library, "quality")
    return task


def shipped_tasks() -> tuple[Task, ...]:
    """The tasks of the package, by name."""
    return tuple(_read_task(path) for _, path in sorted(_shipped_paths().items()))


def prompts_task(path: Path) -> Task:
    """A task made of a file of the user's own prompts.

    JSONL with a ``prompt`` key or of plain strings, ``.txt`` with one prompt a line, CSV or Parquet with a ``prompt``
    column. When every row has an ``answer`` as well, a trial is ``correct`` if its text is that answer, apart from
    case, spacing and the punctuation around it; else there is no right answer and a trial is ``completed``.

    Raises:
        TaskError: the file cannot be read or has no prompts.
    """
    rows = read_rows(str(path), Path())
    graded = all(row.get("answer") is not None for row in rows)
    fields = ("prompt", "answer") if graded else ("prompt",)
    return Task(
        name=path.stem,
        version=1,
        description=f"The prompts in {path.name}",
        data=DataSource(source=str(path.absolute()), columns={field: field for field in fields}),
        turns=(TurnTemplate(prompt="{{ prompt }}"),),
        max_tokens=_PROMPTS_MAX_TOKENS,
        extraction="text" if graded else None,
        scorer="text" if graded else None,
    )


def with_data(task: Task, source: str | None, where: dict[str, str | int | float | bool] | None) -> Task:
    """The same task over other data, or over a part of it. Null leaves the task's own.

    Other data has other columns, so a filter of the task's own is dropped with its data; the names of the columns are
    kept, because the task's prompt needs its fields from somewhere.
    """
    data = task.data
    if source is not None:
        data = msgspec.structs.replace(data, source=source, where={}, version=None)
    if where is not None:
        data = msgspec.structs.replace(data, where=where)
    return msgspec.structs.replace(task, data=data)


def with_think_time(task: Task, think_time_s: float) -> Task:
    """The same task with another pause between its turns.

    Raises:
        TaskError: no number of seconds that a user takes.
    """
    _check_think_time(think_time_s, f'task "{task.name}"')
    return msgspec.structs.replace(task, think_time_s=think_time_s)


def _check_think_time(think_time_s: float, place: str) -> None:
    if not 0 <= think_time_s <= _MOST_THINK_TIME_S:  # a NaN is refused here too
        raise TaskError(
            f'{place}: key "think_time_s": {think_time_s} will not do: give seconds from 0 to {_MOST_THINK_TIME_S:g}'
        )


def _shipped_paths() -> dict[str, Path]:
    folder = Path(str(files("taskpace.tasks").joinpath("library")))
    return {path.name.removesuffix(_SUFFIX): path for path in folder.glob(f"*{_SUFFIX}")}


def _read_task(path: Path) -> Task:
    task = read_toml(path, Task, TaskError)
    _check(task, str(path))
    source = task.data.source
    if not source.startswith((REMOTE, STARTER)):
        source = str((path.parent / source).absolute())
    data = msgspec.structs.replace(task.data, source=source)
    return msgspec.structs.replace(task, data=data, options=_located(task, path))


def _located(task: Task, path: Path) -> dict[str, Any]:
    locate = SCORERS[task.scorer].locate if task.scorer else None
    if locate is None:
        return task.options
    try:
        return locate(task.options, path.parent)
    except FieldProblem as bad:
        raise TaskError(f'{path}: key "options.{bad.field}": {bad.problem}') from None


def _check(task: Task, place: str) -> None:
    def refuse(key: str, problem: str) -> TaskError:
        return TaskError(f'{place}: key "{key}": {problem}')

    for key in ("name", "description"):
        if not getattr(task, key).strip():
            raise refuse(key, "the text is empty: write some")
    for key in ("version", "max_tokens"):
        if getattr(task, key) < 1:
            raise refuse(key, f"{getattr(task, key)} is too small: give 1 or more")
    _check_think_time(task.think_time_s, place)
    if not task.turns:
        raise refuse("turns", "the list is empty: write at least one [[turns]] with a prompt")
    if "" in task.stop:
        raise refuse("stop", "an empty text would end every generation at once: take it out")
    if not task.data.source.strip():
        raise refuse("data.source", "the text is empty: name a file")
    if task.extraction is not None and task.extraction not in EXTRACTIONS:
        raise refuse(
            "extraction",
            f'there is no extraction "{task.extraction}"{did_you_mean(task.extraction, EXTRACTIONS)}',
        )
    used = {
        name
        for number, turn in enumerate(task.turns, 1)
        for name in fields_used(turn.prompt, f'{place}: turn {number}, key "prompt"').required
    }
    if task.scorer is not None:
        _check_scorer(task, place)
        used |= set(SCORERS[task.scorer].needs)
    elif task.options:
        raise refuse("options", "there is no scorer to take them: name a scorer or take them out")
    if task.extraction is not None:
        used |= set(EXTRACTIONS[task.extraction].needs)
    unmapped = sorted(used - set(task.data.columns)) if task.data.columns else []
    if unmapped:
        raise refuse(
            "data.columns",
            f'nothing gives the field "{unmapped[0]}"{did_you_mean(unmapped[0], task.data.columns)}, '
            "which a prompt or the scorer uses: add it",
        )


def _check_scorer(task: Task, place: str) -> None:
    name = task.scorer or ""
    if name not in SCORERS:
        raise TaskError(f'{place}: key "scorer": there is no scorer "{name}"{did_you_mean(name, SCORERS)}')
    scorer = SCORERS[name]
    if scorer.extraction != task.extraction:
        wanted = f'"{scorer.extraction}"' if scorer.extraction else "no extraction"
        raise TaskError(f'{place}: key "extraction": the scorer "{name}" works with {wanted}: change one of the two')
    convert(task.options, scorer.options, TaskError, place=f'{place}: key "options"')
