"""Items: rows made into what a task asks about, with ids that are content hashes, and which of them are asked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from taskpace.errors import TaskError
from taskpace.tasks.data import Row, column_names, keep_where, no_column, read_rows
from taskpace.tasks.extractors import EXTRACTIONS
from taskpace.tasks.scorers import SCORERS, FieldProblem
from taskpace.tasks.templates import fields_used
from taskpace.text.strict import canonical_json

if TYPE_CHECKING:
    from taskpace.tasks.task import Task

_ID_HEX_DIGITS = 24

Columns = dict[str, tuple[str, ...]]
"""Field -> the columns it is made of, mostly one."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a task's data, one conversation to be had."""

    id: str
    """The first 24 hex digits of the SHA-256 of the fields, and of which occurrence it is where rows are repeated."""
    fields: dict[str, Any]
    """What templates and scorers see: JSON's own types."""


def load_items(task: Task, base: Path, count: int | None, seed: int) -> tuple[Item, ...]:
    """The items to ask, in the order in which to ask them.

    They are put in the order of a hash of seed and id, and the first ``count`` are taken: the choice does not depend
    on the order of the rows, and a smaller choice is the beginning of a larger one with the same seed.

    Args:
        task: whose data is read.
        base: folder that a relative path in an experiment file starts from.
        count: how many; null for all.
        seed: another seed, another order.

    Raises:
        TaskError: data that cannot be read or does not fit the task, or fewer items than asked for.
    """
    source = task.data.source
    rows = keep_where(read_rows(source, base), task.data.where, source)
    known = column_names(rows.values())
    columns = _columns(task, known)
    for field, parts in columns.items():
        for part in parts:
            if part.split(".")[0] not in known and part not in known and part not in task.data.values:
                raise TaskError(f"{source}: {no_column(part, known)} ({_who_needs(task, field)} needs it)")
    usable = _usable(task, rows, columns)
    if count is not None and count > len(usable):
        filtered = ' left by "where"' if task.data.where else ""
        unfit = " that can be used" if len(usable) < len(rows) else ""
        raise TaskError(
            f'key "items": {count} are asked for, but {source} has {len(usable)}{filtered}{unfit}: '
            f"set items to {len(usable)} or fewer"
        )
    items = _with_ids(task, usable)
    items.sort(key=lambda item: hashlib.sha256(f"{seed}:{item.id}".encode()).digest())
    return tuple(items[:count])


def _columns(task: Task, known: list[str]) -> Columns:
    """The task's own, or else one for each field that is used, so that ids do not hang on the rest."""
    if task.data.columns:
        return {field: (column,) if isinstance(column, str) else column for field, column in task.data.columns.items()}
    used = [fields_used(turn.prompt, f'task "{task.name}"') for turn in task.turns]
    needed = {name for each in used for name in each.required}
    wished = {name for each in used for name in each.optional}
    if task.scorer is not None:
        needed |= set(SCORERS[task.scorer].needs)
        wished |= set(SCORERS[task.scorer].wants)
    if task.extraction is not None:
        needed |= set(EXTRACTIONS[task.extraction].needs)
    names = (needed | (wished & set(known))) - set(task.data.values)
    return {name: (name,) for name in sorted(names)}


def _who_needs(task: Task, field: str) -> str:
    """``task "mine", turn 2``, where that turn's prompt uses the field; else the task or its scorer."""
    for number, turn in enumerate(task.turns, 1):
        used = fields_used(turn.prompt, f'task "{task.name}"')
        if field in used.required | used.optional:
            return f'task "{task.name}", turn {number},'
    if task.scorer is not None and field in SCORERS[task.scorer].needs:
        return f'the scorer "{task.scorer}" of the task "{task.name}"'
    return f'task "{task.name}"'


def _usable(task: Task, rows: dict[int, Row], columns: Columns) -> dict[int, dict[str, Any]]:
    """The fields of every row. Raises ``TaskError`` for a row, or for all of them where the task leaves such out."""
    fields = {}
    problem: TaskError | None = None
    for number, row in rows.items():
        try:
            fields[number] = _fields(task, row, columns, number)
        except TaskError as exc:
            problem = problem or exc
            if not task.data.leave_out:
                break
    if problem is not None and not (fields and task.data.leave_out):
        raise problem
    return fields


def _fields(task: Task, row: Row, columns: Columns, number: int) -> dict[str, Any]:
    location = f"{task.data.source}: row {number}"
    fields = dict(task.data.values)
    for field, parts in columns.items():
        values = []
        for part in parts:
            value = task.data.values[part] if part in task.data.values else _value(row, part)
            if value is None:
                raise TaskError(f'{location}, column "{part}": there is no value: fill it in or take the row out')
            values.append(_plain(value, f'{location}, column "{part}"'))
        fields[field] = values[0] if len(values) == 1 else "\n\n".join(str(value).strip() for value in values)
    if task.scorer is not None:
        try:
            fields = SCORERS[task.scorer].accept(fields)
        except FieldProblem as exc:
            column = ", ".join(columns.get(exc.field, (exc.field,)))
            raise TaskError(f'{location}, column "{column}": {exc.problem}') from None
    return fields


def _value(row: Row, column: str) -> Any:
    """A column's value; ``answers.text.0`` is the first of the list ``text`` in the column ``answers``, which nests."""
    if column in row or "." not in column:
        return row.get(column)
    value: Any = row
    for name in column.split("."):
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def _plain(value: Any, location: str) -> Any:
    """``value`` in JSON's own types: what can be hashed, stored and put into a prompt. Dates become text."""
    if isinstance(value, bytes):
        raise TaskError(f"{location}: binary data cannot be asked about: name a column of text")
    plain = msgspec.to_builtins(value, enc_hook=str)
    try:
        canonical_json(plain).decode()
    except UnicodeError:
        raise TaskError(f"{location}: broken Unicode (a lone surrogate): correct the text") from None
    return plain


def _with_ids(task: Task, rows: dict[int, dict[str, Any]]) -> list[Item]:
    """Raises ``TaskError`` for two rows that say the same, where the task does not take them for two items."""
    seen: dict[bytes, list[int]] = {}
    items = []
    for number, fields in rows.items():
        content = canonical_json(fields)
        numbers = seen.setdefault(content, [])
        numbers.append(number)
        if len(numbers) > 1 and not task.data.may_repeat:
            raise TaskError(
                f"{task.data.source}: row {number} is the same as row {numbers[0]} in all that the task uses: "
                "take one of the two out"
            )
        marked = content if len(numbers) == 1 else content + f"#{len(numbers)}".encode()
        items.append(Item(id=hashlib.sha256(marked).hexdigest()[:_ID_HEX_DIGITS], fields=fields))
    return items
