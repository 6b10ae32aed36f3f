"""Items: rows made into what a task asks about, with ids that are content hashes, and which of them are asked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from taskpace.errors import TaskError
from taskpace.tasks.data import keep_where, no_column, open_source, some_rows
from taskpace.tasks.extractors import EXTRACTIONS
from taskpace.tasks.scorers import SCORERS, FieldProblem
from taskpace.tasks.tables import MOST_CELL, Row, Table
from taskpace.tasks.task import LeftOut, Task
from taskpace.tasks.templates import fields_used
from taskpace.text.bounded import MOST_NESTED, JsonProblem, decode_json, leaves, nested_too_deep
from taskpace.text.safe_text import one_line
from taskpace.text.strict import canonical_json

_ID_HEX_DIGITS = 24
_PLAIN = MOST_CELL // 6 - 2
"""Letters of a text in ASCII that is small enough whatever they are: as JSON a letter has six bytes at most."""
_LISTS = ("choices", "labels", "answers", "references")
"""Fields that are lists wherever they are used: several columns make the parts of one, and no text."""

Columns = dict[str, tuple[str, ...]]
"""Field -> the columns it is made of, mostly one."""


class Item(msgspec.Struct, frozen=True, kw_only=True, gc=False):  # JSON has no circles to be found
    """One row of a task's data, one conversation."""

    id: str
    """The first 24 hex digits of the SHA-256 of the fields, and of the occurrence's number where rows are repeated."""
    fields: dict[str, Any]
    """What templates and scorers see: JSON's own types."""


class _UnfitError(Exception):
    """What is wrong with a value, without where it stands."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a task's data."""

    items: tuple[Item, ...]
    """Those to ask, in the order in which to ask them."""
    left_out: LeftOut | None
    """Null: every row was usable."""


def load_items(task: Task, base: Path, count: int | None, seed: int) -> tuple[Item, ...]:
    """The items of ``load_data`` alone."""
    return load_data(task, base, count, seed).items


def load_data(task: Task, base: Path, count: int | None, seed: int, table: Table | None = None) -> Loaded:
    """The items to ask, in the order in which to ask them, and what was left out.

    They are put in the order of a hash of seed and id, and the first ``count`` are taken: the choice does not depend
    on the order of the rows, and a smaller choice is the beginning of a larger one with the same seed.

    Args:
        task: whose data is read.
        base: folder that a relative path in an experiment file starts from.
        count: how many; null for all.
        seed: another seed, another order.
        table: the task's source, where it has been opened already.

    Raises:
        TaskError: data that cannot be read or does not fit the task, or fewer items than asked for.
    """
    source, needed = task.data.source, _needed(task)
    table = table or open_source(source, base)
    try:
        columns = _columns(task, table.columns, needed)
    except TaskError:
        some_rows(table, (), source)  # an empty file lacks more than a column
        raise
    read = {_in_table(part, table.columns) for parts in columns.values() for part in parts}
    rows = some_rows(table, read | set(task.data.where), source)
    _survey(task, rows, columns)
    kept = keep_where(rows, task.data.where, table.columns, source)
    usable, left_out = _usable(task, kept, columns, needed)
    if count is not None and count > len(usable):
        filtered = ' left by "where"' if task.data.where else ""
        unfit = "" if left_out is None else " that can be used"
        raise TaskError(
            f'key "items": {count} are asked for, but {source} has {len(usable)}{filtered}{unfit}: '
            f"set items to {len(usable)} or fewer"
        )
    items = _with_ids(task, usable)
    items.sort(key=lambda item: hashlib.sha256(f"{seed}:{item.id}".encode()).digest())
    return Loaded(items=tuple(items[:count]), left_out=left_out)


def _needed(task: Task) -> dict[str, str]:
    """The fields that every item must have, and who needs each."""
    needed: dict[str, str] = {}
    if task.extraction is not None:
        needed |= dict.fromkeys(
            EXTRACTIONS[task.extraction].needs, f'the extraction "{task.extraction}" of the task "{task.name}"'
        )
    if task.scorer is not None:
        needed |= dict.fromkeys(SCORERS[task.scorer].needs, f'the scorer "{task.scorer}" of the task "{task.name}"')
    for number, turn in reversed(list(enumerate(task.turns, 1))):
        used = fields_used(turn.prompt, f'task "{task.name}"').required
        needed |= dict.fromkeys(used, f'task "{task.name}", turn {number},')
    return needed


def _columns(task: Task, known: list[str], needed: Mapping[str, str]) -> Columns:
    """The columns of each field: the task's own mapping, or else one for each field that is used, so that ids do not
    hang on the rest. A column that is not there is left out where its field is not needed.
    """
    data = task.data
    wished = {name for turn in task.turns for name in fields_used(turn.prompt, f'task "{task.name}"').optional}
    if task.scorer is not None:
        wished |= set(SCORERS[task.scorer].wants)
    if data.columns:
        mapped = {name: (one,) if isinstance(one, str) else one for name, one in data.columns.items()}
        if "labels" in wished and "labels" not in data.values and "labels" not in mapped:
            mapped |= _labels_beside(mapped.get("choices", ()))
    else:
        mapped = {name: (name,) for name in sorted({*needed, *wished} - set(data.values))}
    columns = {}
    for field, parts in mapped.items():
        missing = [part for part in parts if part not in data.values and _in_table(part, known) not in known]
        if not missing:
            columns[field] = parts
        elif field in needed:
            raise TaskError(f"{data.source}: {no_column(missing[0], known)} ({needed[field]} needs it)")
    return columns


def _labels_beside(choices: tuple[str, ...]) -> Columns:
    """Choices whose labels stand beside them, as in ARC, OpenBookQA and CommonsenseQA: ``choices.text`` and
    ``choices.label``.
    """
    if len(choices) != 1 or not choices[0].endswith(".text"):
        return {}
    return {"labels": (f"{choices[0].removesuffix('.text')}.label",)}


def _in_table(part: str, known: list[str]) -> str:
    """The column of the table that a mapped column is or is part of."""
    return part if part in known else part.split(".", 1)[0]


def _survey(task: Task, rows: list[Row], columns: Columns) -> None:
    """Let the scorer see all rows at once, also those that a filter takes away: whether an answer of 1 is the first
    choice or the second shows in the column, not in the row. Raises ``TaskError``.
    """
    survey = None if task.scorer is None else SCORERS[task.scorer].survey
    if survey is None:
        return

    scorer = SCORERS[task.scorer or ""]
    looked_at = {field: columns[field] for field in (*scorer.needs, *scorer.wants) if field in columns}

    def seen(row: Row) -> dict[str, Any]:
        fields = dict(task.data.values)
        for field, parts in looked_at.items():
            fields[field] = (
                _value(row, parts[0]) if len(parts) == 1 else [v for _, v in _parts(task, row, field, parts)]
            )
        return fields

    try:
        survey(map(seen, rows))
    except FieldProblem as exc:
        raise TaskError(f"{task.data.source}: {_named(exc.field, columns)} {exc.problem}") from None


def _named(field: str, columns: Columns) -> str:
    """The columns that a field is made of, or what the task calls it, for messages."""
    return f'column "{", ".join(columns.get(field, (field,)))}"'


def _usable(
    task: Task, rows: dict[int, Row], columns: Columns, needed: Mapping[str, str]
) -> tuple[dict[int, dict[str, Any]], LeftOut | None]:
    """The fields of every row. Raises ``TaskError`` for a row, or for all of them where the task leaves such out."""
    fields = {}
    problem: TaskError | None = None
    for number, row in rows.items():
        try:
            fields[number] = _fields(task, row, columns, needed, number)
        except TaskError as exc:
            problem = problem or exc
            if not task.data.leave_out:
                break
    if problem is None:
        return fields, None
    if not (fields and task.data.leave_out):
        raise problem
    first = one_line(str(problem).removeprefix(f"{task.data.source}: "))
    return fields, LeftOut(rows=len(rows) - len(fields), of=len(rows), first=first)


def _fields(task: Task, row: Row, columns: Columns, needed: Mapping[str, str], number: int) -> dict[str, Any]:
    given = task.data.values
    fields = dict(given)
    for field, parts in columns.items():
        text = row.get(parts[0])
        if type(text) is str and len(parts) == 1 and text.isascii() and len(text) <= _PLAIN and parts[0] not in given:
            fields[field] = text  # as most are: nothing to look into
            continue
        found = _parts(task, row, field, parts)
        values = []
        empty = None if found else parts[0]
        for part, value in found:
            if value is None:
                empty = part
                break
            try:
                values.append(_plain(value))
            except _UnfitError as exc:
                raise TaskError(f"{_cell(task, number, part)}: {exc}") from None
        if empty is not None:
            if field in needed:
                where = _cell(task, number, empty)
                raise TaskError(f"{where}: the value is missing: fill it in or take the row out")
        elif len(parts) == 1:
            fields[field] = values[0]
        elif field in _LISTS:
            fields[field] = values
        else:
            fields[field] = "\n\n".join(str(value).strip() for value in values)
    for field in task.data.json:
        if isinstance(fields.get(field), str):
            try:
                fields[field] = decode_json(fields[field])
            except JsonProblem as exc:
                raise TaskError(
                    f"{_row(task, number)}, {_named(field, columns)}: {one_line(fields[field], 60)!r} is {exc}: "
                    f'correct it, or take "{field}" out of the key "json"'
                ) from None
    if task.scorer is not None:
        try:
            fields = SCORERS[task.scorer].accept(fields)
        except FieldProblem as exc:
            raise TaskError(f"{_row(task, number)}, {_named(exc.field, columns)}: {exc.problem}") from None
        except TaskError as exc:
            raise TaskError(f"{_row(task, number)}: {exc}") from exc
    return fields


def _row(task: Task, number: int) -> str:
    return f"{task.data.source}: row {number}"


def _cell(task: Task, number: int, column: str) -> str:
    return f'{_row(task, number)}, column "{column}"'


def _parts(task: Task, row: Row, field: str, parts: tuple[str, ...]) -> list[tuple[str, Any]]:
    """The columns of a field with their values. The last ones of a list may be empty: some rows have fewer choices."""
    found = [(part, task.data.values[part] if part in task.data.values else _value(row, part)) for part in parts]
    if field in _LISTS and len(parts) > 1:
        while found and found[-1][1] is None:
            found.pop()
    return found


def _value(row: Row, column: str) -> Any:
    """A column's value; ``answers.text.0`` is the first of the list ``text`` in the column ``answers``, which nests.

    Null for what is not there, and for the NaN that data frames write in its place.
    """
    value: Any = row
    if column in row or "." not in column:
        value = row.get(column)
    else:
        for name in column.split("."):
            if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
                value = value[int(name)]
            else:
                value = value.get(name) if isinstance(value, dict) else None
    return None if isinstance(value, float) and math.isnan(value) else value


def _plain(value: Any) -> Any:
    """``value`` in JSON's own types: what can be hashed, stored and put into a prompt. Dates become text.

    Raises:
        _UnfitError: what JSON cannot hold as it is, and what is too large or nested too deep.
    """
    if isinstance(value, bytes):
        raise _UnfitError("binary data cannot be asked about: name a column of text")
    if not isinstance(value, str):
        if nested_too_deep(value):
            raise _UnfitError(f"nested more than {MOST_NESTED} levels deep: name a part of it")
        value = msgspec.to_builtins(value, enc_hook=str)
        if float in map(type, parts := leaves(value)) and not all(map(_is_finite, parts)):
            raise _UnfitError("holds a number that is not finite: correct it or take the row out")
    try:
        size = len(msgspec.json.encode(value))
    except UnicodeError:
        raise _UnfitError("broken Unicode (a lone surrogate): correct the text") from None
    if size > MOST_CELL:
        raise _UnfitError(f"has more than {MOST_CELL:,} bytes: shorten it or take the row out")
    return value


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _with_ids(task: Task, rows: dict[int, dict[str, Any]]) -> list[Item]:
    """Raises ``TaskError`` for two rows that say the same, where the task does not take them for two items."""
    first: dict[str, int] = {}
    times: dict[str, int] = {}
    items = []
    for number, fields in rows.items():
        content = canonical_json(fields)
        item_id = hashlib.sha256(content).hexdigest()[:_ID_HEX_DIGITS]
        if (before := first.setdefault(item_id, number)) != number:
            if not task.data.may_repeat:
                raise TaskError(
                    f"{task.data.source}: row {number} is the same as row {before} in all that the task uses: "
                    "take one of the two out"
                )
            times[item_id] = times.get(item_id, 1) + 1
            item_id = hashlib.sha256(content + b"#%d" % times[item_id]).hexdigest()[:_ID_HEX_DIGITS]
        items.append(Item(id=item_id, fields=fields))
    return items
