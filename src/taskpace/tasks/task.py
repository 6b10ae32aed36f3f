"""What a task is, and how one is found and read."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from taskpace.errors import MissingExtraError, TaskError
from taskpace.tasks.data import REMOTE, STARTER, open_source, some_rows
from taskpace.tasks.extractors import EXTRACTIONS
from taskpace.tasks.scorers import SCORERS, FieldProblem
from taskpace.tasks.tables import Table
from taskpace.tasks.templates import BARE_PROMPT, fields_used
from taskpace.text.bounded import leaves
from taskpace.text.strict import MOST_LETTERS, convert, did_you_mean, plain, read_toml

_PROMPTS_MAX_TOKENS = 512
_MOST_THINK_TIME_S = 3600.0
_MOST_BITS = 63
"""Of a whole number without its sign: what JSON and SQLite hold."""
_SUFFIX = ".toml"
PUBLIC = "public"
"""In place of a source: the task's public data set."""


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that a task could not use and was allowed to leave out."""

    rows: int
    of: int
    """Rows that there were, after the filter."""
    first: str
    """What is wrong with the first of them."""


class DataSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the items come from."""

    source: str
    """A path (Parquet, CSV, JSONL), ``hf://datasets/...`` or ``starter:questions``. In a task file, a relative path
    starts from the task file's folder; in an experiment file, from the experiment's."""
    columns: dict[str, str | tuple[str, ...]] = {}
    """Field of the item -> column of the data, or a part of one (``answers.text``, ``questions.0`` for the first of a
    list), or several: a list of ``choices``, ``answers`` or ``references``, any other field put together with blank
    lines between. Empty: fields are called as their columns are. What neither a prompt nor a scorer needs may be
    missing.
    """
    values: dict[str, Any] = {}
    """Fields that are the same for every item; where several columns are put together, one may be named among them."""
    json: tuple[str, ...] = ()
    """Fields whose text is JSON: numbers, lists and the like in a CSV file, which is text otherwise."""
    where: dict[str, str | int | float | bool] = {}
    """Only rows whose columns have these values."""
    version: str | None = None
    """Of the data, as those who keep it count; results name it. Null: not known."""
    duplicates: bool = False
    """Whether two rows may say the same; each is then an item of its own. Else the second is an error."""
    leave_out: bool = False
    """Whether rows that the task cannot use (an empty answer, ...) are left out, and counted. Else the first is an
    error."""
    left_out: LeftOut | None = None
    """Those left out, as found when the data are read; a task file does not say it. Null: none."""

    @property
    def may_repeat(self) -> bool:
        """Published data may, too: whoever uses them cannot take a row out."""
        return self.duplicates or self.source.startswith(REMOTE)


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
    public: DataSource | None = None
    """A well-known public data set for the same task, used in place of ``data`` where an experiment asks for it."""
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
            f'unknown task "{reference}"{did_you_mean(reference, shipped)}: '
            f"name a shipped task or a path to a {_SUFFIX} file"
        )
    return _able(_read_task(shipped[reference]))


def _able(task: Task) -> Task:
    """The task itself, after checking that its scorer can run here."""
    if task.scorer is None:
        return task
    scorer = SCORERS[task.scorer]
    for library in scorer.libraries:
        if find_spec(library) is None:
            raise MissingExtraError(f'task "{task.name}"', library, scorer.extra, scorer.distribution)
    return task


def shipped_tasks() -> tuple[Task, ...]:
    """The tasks of the package, by name."""
    return tuple(_read_task(path) for _, path in sorted(_shipped_paths().items()))


def prompts_task(path: Path, table: Table | None = None) -> Task:
    """A task made of a file of the user's own prompts.

    JSONL with a ``prompt`` key or of plain strings, ``.txt`` with one prompt a line, CSV or Parquet with a ``prompt``
    column. When every row has an ``answer`` as well, a trial is ``correct`` if its text is that answer, apart from
    case, spacing and the punctuation around it; else there is no right answer and a trial is ``completed``.

    Args:
        path: of the file.
        table: the file, where it has been opened already.

    Raises:
        TaskError: the file cannot be read or has no prompts.
    """
    table = table or open_source(str(path), Path())
    rows = some_rows(table, table.columns, str(path))
    graded = all(row.get("answer") is not None for row in rows)
    fields = ("prompt", "answer") if graded else ("prompt",)
    return Task(
        name=path.stem,
        version=1,
        description=f"The prompts in {path.name}",
        # Whoever lists prompts may list one twice on purpose.
        data=DataSource(source=str(path.absolute()), columns={field: field for field in fields}, duplicates=True),
        turns=(TurnTemplate(prompt=BARE_PROMPT),),
        max_tokens=_PROMPTS_MAX_TOKENS,
        extraction="text" if graded else None,
        scorer="text" if graded else None,
    )


def with_data(task: Task, source: str | None, where: dict[str, str | int | float | bool] | None) -> Task:
    """The task over other data, or over a part of it. Null leaves the task's own.

    Other data has other columns, so a filter of the task's own is dropped with its data; the names of the columns are
    kept, because the task's prompt needs its fields from somewhere. ``public`` stands for the task's public data set,
    with all that belongs to it; a filter is then one more.

    Raises:
        TaskError: the task names no public data set.
    """
    data = task.data
    if source == PUBLIC:
        if task.public is None:
            raise TaskError(
                f'task "{task.name}": it has no public data set: name data of your own, or leave "data" out'
            )
        data = task.public
        where = None if where is None else data.where | where
    elif source is not None:
        data = msgspec.structs.replace(data, source=source, where={}, version=None)
    if where is not None:
        data = msgspec.structs.replace(data, where=where)
    return msgspec.structs.replace(task, data=data)


def with_think_time(task: Task, think_time_s: float) -> Task:
    """The task with another pause between its turns.

    Raises:
        TaskError: no number of seconds that a user takes, or a task of one turn.
    """
    _check_think_time(think_time_s, len(task.turns), f'task "{task.name}"')
    return msgspec.structs.replace(task, think_time_s=think_time_s)


def _check_think_time(think_time_s: float, turns: int, location: str) -> None:
    if think_time_s and turns == 1:
        raise TaskError(f'{location}: key "think_time_s": with one turn there is nothing to think between: take it out')
    if not 0 <= think_time_s <= _MOST_THINK_TIME_S:  # a NaN is refused here too
        raise TaskError(
            f'{location}: key "think_time_s": {think_time_s} is invalid: give seconds from 0 to {_MOST_THINK_TIME_S:g}'
        )


def _shipped_paths() -> dict[str, Path]:
    folder = Path(str(files("taskpace.tasks").joinpath("library")))
    return {path.name.removesuffix(_SUFFIX): path for path in folder.glob(f"*{_SUFFIX}")}


def _read_task(path: Path) -> Task:
    task = read_toml(path, Task, TaskError)
    _check(task, str(path))
    data, public = (None if source is None else _placed(source, path.parent) for source in (task.data, task.public))
    return msgspec.structs.replace(task, data=data, public=public, options=_located(task, path))


def _placed(data: DataSource, folder: Path) -> DataSource:
    if data.source.startswith((REMOTE, STARTER)):
        return data
    return msgspec.structs.replace(data, source=str((folder / data.source).absolute()))


def _located(task: Task, path: Path) -> dict[str, Any]:
    locate = SCORERS[task.scorer].locate if task.scorer else None
    if locate is None:
        return task.options
    try:
        return locate(task.options, path.parent)
    except FieldProblem as exc:
        raise TaskError(f'{path}: key "options.{exc.field}": {exc.problem}') from None


def _check(task: Task, location: str) -> None:
    def refuse(key: str, problem: str) -> TaskError:
        return TaskError(f'{location}: key "{key}": {problem}')

    for key in ("name", "description"):
        if not getattr(task, key).strip():
            raise refuse(key, "the text is empty: write some")
    if len(task.name) > MOST_LETTERS:
        raise refuse("name", f"has more than {MOST_LETTERS} characters: shorten it")
    for key in ("version", "max_tokens"):
        if getattr(task, key) < 1:
            raise refuse(key, f"{getattr(task, key)} is too small: give 1 or more")
    for key, value in plain(task).items():
        if any(isinstance(leaf, int) and leaf.bit_length() > _MOST_BITS for leaf in leaves(value)):
            raise refuse(key, "a whole number of more than 64 bits: give a smaller one, or write it as text")
    _check_think_time(task.think_time_s, len(task.turns), location)
    if not task.turns:
        raise refuse("turns", "the list is empty: write at least one [[turns]] with a prompt")
    if "" in task.stop:
        raise refuse("stop", "an empty text would end every generation at once: take it out")
    if task.extraction is not None and (problem := EXTRACTIONS.problem(task.extraction)):
        raise refuse("extraction", problem)
    used = {
        name: f"turn {number} uses"
        for number, turn in enumerate(task.turns, 1)
        for name in sorted(fields_used(turn.prompt, f'{location}: turn {number}, key "prompt"').required)
    }
    if task.scorer is not None:
        _check_scorer(task, location)
        used |= dict.fromkeys(SCORERS[task.scorer].needs, f'the scorer "{task.scorer}" needs')
    elif task.options:
        raise refuse("options", "there is no scorer to take them: name a scorer or take them out")
    if task.extraction is not None:
        used |= dict.fromkeys(EXTRACTIONS[task.extraction].needs, f'the extraction "{task.extraction}" needs')
    for table, data in (("data", task.data), ("public", task.public)):
        if data is not None:
            _check_data(data, used, f'{location}: key "{table}')


def _check_data(data: DataSource, used: dict[str, str], key: str) -> None:
    """``used``: every field that is needed, and by whom; ``key``: where the table stands, up to its name."""
    if not data.source.strip():
        raise TaskError(f'{key}.source": the text is empty: name a file')
    if data.left_out is not None:
        raise TaskError(f'{key}.left_out": it is counted when the data are read: take it out')
    twice = sorted(set(data.columns) & set(data.values))
    if twice:
        raise TaskError(f'{key}.values": the field "{twice[0]}" has a column, too: take one of the two out')
    given = [*data.columns, *data.values]
    unknown = sorted(set(data.json) - {*given, *used}) if data.columns else []
    if unknown:
        raise TaskError(f'{key}.json": unknown field "{unknown[0]}"{did_you_mean(unknown[0], given)}')
    unmapped = sorted(set(used) - set(given)) if data.columns else []
    if unmapped:
        raise TaskError(
            f'{key}.columns": nothing gives the field "{unmapped[0]}"{did_you_mean(unmapped[0], given)}, '
            f"which {used[unmapped[0]]}: add it"
        )


def _check_scorer(task: Task, location: str) -> None:
    name = task.scorer or ""
    if problem := SCORERS.problem(name):
        raise TaskError(f'{location}: key "scorer": {problem}')
    scorer = SCORERS[name]
    if scorer.extraction != task.extraction:
        wanted = f'"{scorer.extraction}"' if scorer.extraction else "no extraction"
        raise TaskError(f'{location}: key "extraction": the scorer "{name}" works with {wanted}: change one of the two')
    convert(task.options, scorer.options, TaskError, location=f'{location}: key "options"')


def task_identity(task: Task) -> dict[str, Any]:
    """What makes a task itself, for ids and for comparing: where its data or a scorer's model lies is not part of it.

    Those have hashes of their own.
    """
    left_out = ("data", "public", "description")
    identity = {key: value for key, value in plain(task).items() if key not in left_out}
    if not task.think_time_s:
        # A key that came later: without it, ids are those of older run files.
        del identity["think_time_s"]
    if "model_sha256" in task.options:
        identity["options"] = {key: value for key, value in identity["options"].items() if key != "model"}
    return identity
