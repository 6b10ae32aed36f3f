"""Items: rows made into what a task asks about, with ids that are content hashes, and which of them are asked."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from taskpace.errors import TaskError
from taskpace.strict import canonical_json
from taskpace.tasks.data import Row, column_names, keep_where, no_column, read_rows
from taskpace.tasks.extraction import EXTRACTIONS
from taskpace.tasks.prompts import fields_used
from taskpace.tasks.scorers import SCORERS, FieldProblem

if TYPE_CHECKING:
    from taskpace.tasks.task import Task

_ID_HEX_DIGITS = 24


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
    columns = _columns(task, rows)
    known = column_names(rows)
    for column in columns.values():
        if column.split(".")[0] not in known and column not in known:
            raise TaskError(f'{source}: {no_column(column, known)} (task "{task.name}" needs it)')
    if count is not None and count > len(rows):
        filtered = ' left by "where"' if task.data.where else ""
        raise TaskError(
            f'key "items": {count} are asked for, but {source} has {len(rows)}{filtered}: '
            f"set items to {len(rows)} or fewer"
        )
    items = _with_ids([_fields(task, row, columns, number) for number, row in enumerate(rows, 1)])
    items.sort(key=lambda item: hashlib.sha256(f"{seed}:{item.id}".encode()).digest())
    return tuple(items[:count])


def _columns(task: Task, rows: list[Row]) -> dict[str, str]:
    """Field -> column: the task's own, or else one for each field that is used, so that ids do not hang on the rest."""
    if task.data.columns:
        return task.data.columns
    used = [fields_used(turn.prompt, f'task "{task.name}"') for turn in task.turns]
    needed = {name for each in used for name in each.required}
    wished = {name for each in used for name in each.optional}
    if task.scorer is not None:
        needed |= set(SCORERS[task.scorer].needs)
        wished |= set(SCORERS[task.scorer].wants)
    if task.extraction is not None:
        needed |= set(EXTRACTIONS[task.extraction].needs)
    names = needed | (wished & set(column_names(rows)))
    return {name: name for name in sorted(names)}


def _fields(task: Task, row: Row, columns: dict[str, str], number: int) -> dict[str, Any]:
    place = f"{task.data.source}: row {number}"
    fields: dict[str, Any] = {}
    for field, column in columns.items():
        value = _value(row, column)
        if value is None:
            raise TaskError(f'{place}, column "{column}": there is no value: fill it in or take the row out')
        fields[field] = _plain(value, f'{place}, column "{column}"')
    if task.scorer is not None:
        try:
            fields = SCORERS[task.scorer].accept(fields)
        except FieldProblem as bad:
            raise TaskError(f'{place}, column "{columns.get(bad.field, bad.field)}": {bad.problem}') from None
    return fields


def _value(row: Row, column: str) -> Any:
    """A column's value; ``answers.text`` is the part ``text`` of the column ``answers``, of data that nest."""
    if column in row or "." not in column:
        return row.get(column)
    value: Any = row
    for name in column.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _plain(value: Any, place: str) -> Any:
    """``value`` in JSON's own types: what can be hashed, stored and put into a prompt. Dates become text."""
    if isinstance(value, bytes):
        raise TaskError(f"{place}: binary data cannot be asked about: name a column of text")
    plain = msgspec.to_builtins(value, enc_hook=str)
    try:
        canonical_json(plain).decode()
    except UnicodeError:
        raise TaskError(f"{place}: broken Unicode (a lone surrogate): correct the text") from None
    return plain


def _with_ids(rows: list[dict[str, Any]]) -> list[Item]:
    seen: Counter[bytes] = Counter()
    items = []
    for fields in rows:
        content = canonical_json(fields)
        seen[content] += 1
        occurrence = seen[content]
        marked = content if occurrence == 1 else content + f"#{occurrence}".encode()
        items.append(Item(id=hashlib.sha256(marked).hexdigest()[:_ID_HEX_DIGITS], fields=fields))
    return items
