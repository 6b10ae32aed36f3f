"""What the request to be brief does: pairs of systems that differ in it alone, item by item, and who finishes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

import msgspec

from taskpace.analysis.across.effects import difference, find_pair, less_base, ratio
from taskpace.analysis.schema.across import Brevity, BriefForm, BriefRanking
from taskpace.analysis.schema.summary import SystemRow, TaskTable
from taskpace.analysis.table.pairs import Pair, adjust
from taskpace.analysis.table.validity import can_be_compared
from taskpace.store import queries
from taskpace.store.queries import Reader


class Forms(NamedTuple):
    """One system as it is, and its forms that are asked to be brief."""

    plain: str
    brief: tuple[str, ...]
    limits: tuple[int | None, ...]
    """Most tokens of each of them; null: the task's."""


def find_forms(*sources: Reader) -> tuple[Forms, ...]:
    """The systems of a run, in one file or several, that have brief forms, in the experiment's order."""
    specs = {each.name: each.spec for source in sources for each in queries.systems(source)}
    systems = [msgspec.json.decode(spec) for spec in specs.values()]
    found = []
    for system in systems:
        brief = [other for other in systems if other.get("brief_of") == system["name"]]
        if brief:
            limits = tuple(other.get("max_tokens") for other in brief)
            found.append(Forms(system["name"], tuple(other["name"] for other in brief), limits))
    return tuple(found)


def find_brevity(forms: tuple[Forms, ...], tables: tuple[TaskTable, ...]) -> tuple[Brevity, ...]:
    """One view for each table that has such forms."""
    if not forms:
        return ()
    return tuple(
        Brevity(
            task=table.task,
            scenario=table.scenario,
            forms=tuple(_compared(forms, table)),
            rankings=tuple(_rankings(forms, table)),
        )
        for table in tables
    )


def _compared(forms: tuple[Forms, ...], table: TaskTable) -> Iterator[BriefForm]:
    """Each brief form against the plain one; p-values adjusted over these alone (Holm), truncated answers counted as
    not correct: a limit that cuts them off is what is looked into here, and no reason to say nothing.
    """
    found = [
        (one.plain, name, limit, pair)
        for one in forms
        for name, limit in zip(one.brief, one.limits, strict=True)
        if (pair := find_pair(table, one.plain, name)) is not None
    ]
    rows = {row.system: row for row in table.rows}
    adjusted = _adjusted([pair for *_, pair in found], rows)
    for (plain, name, limit, _), pair in zip(found, adjusted, strict=True):
        yield BriefForm(
            plain=plain,
            brief=name,
            max_tokens=limit,
            valid=rows[plain].valid and rows[name].valid,
            truncated_plain=_truncated(rows[plain]),
            truncated_brief=_truncated(rows[name]),
            task_time=ratio(pair, pair.task_time, plain),
            seconds=less_base(pair, pair.split.difference_s, plain) if pair.split else None,
            output_bytes=ratio(pair, pair.output_bytes, plain),
            accuracy=difference(pair, pair.accuracy, plain),
            time_per_correct=ratio(pair, pair.time_per_correct, plain),
            cost_per_correct=ratio(pair, pair.cost_per_correct, plain),
        )


def _adjusted(pairs: list[Pair], rows: Mapping[str, SystemRow]) -> list[Pair]:
    """With p-values adjusted over these pairs and no others."""
    return adjust(pairs, [can_be_compared(pair, rows[pair.a], rows[pair.b]) for pair in pairs])


def _truncated(row: SystemRow) -> float:
    """The share of its trials."""
    return row.outcomes.get("truncated", 0) / max(1, row.n)


def _rankings(forms: tuple[Forms, ...], table: TaskTable) -> Iterator[BriefRanking]:
    """Of every two systems with the same forms: which finishes first as they are, and which when both are brief.

    Who is first is said where it is significant, all these questions of the table considered (Holm), and of rows that
    are VALID, or INVALID for nothing but truncated answers.
    """
    asked = [
        (one, other, limit, (one.plain, other.plain), (brief, its))
        for one, other in combinations(forms, 2)
        if one.limits == other.limits
        for brief, its, limit in zip(one.brief, other.brief, one.limits, strict=True)
    ]
    plain = _firsts(table, [names for *_, names, _ in asked])
    brief = _firsts(table, [names for *_, names in asked])
    for (one, other, limit, as_is, _), before, after in zip(asked, plain, brief, strict=True):
        yield BriefRanking(
            one=one.plain,
            other=other.plain,
            max_tokens=limit,
            first_plain=None if before is None else as_is[before],
            first_brief=None if after is None else as_is[after],
        )


def _firsts(table: TaskTable, pairs: list[tuple[str, str]]) -> list[int | None]:
    """Of each pair of names which is significantly the quicker, 0 or 1; null: neither, or not comparable."""
    rows = {row.system: row for row in table.rows}
    comparable = {name for name, row in rows.items() if row.valid}
    found = [find_pair(table, *names) if comparable.issuperset(names) else None for names in pairs]
    adjusted = iter(_adjusted([pair for pair in found if pair is not None], rows))
    return [None if pair is None else _quicker(next(adjusted), names) for names, pair in zip(pairs, found, strict=True)]


def _quicker(pair: Pair, names: tuple[str, str]) -> int | None:
    if pair.task_time.lower is None:
        return None
    return names.index(pair.a if pair.task_time.lower == "a" else pair.b)
