"""What the request to be brief does: pairs of systems that differ in it alone, item by item, and who finishes first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any, NamedTuple

import msgspec
import numpy as np

from taskpace.analysis.across import Brevity, BriefForm, BriefRanking
from taskpace.analysis.frame import Source
from taskpace.analysis.pairs import Comparison, Pair
from taskpace.analysis.sensitivity import difference, ratio
from taskpace.analysis.significance import ALPHA, holm
from taskpace.analysis.views import SystemRow, TaskTable

_MEASURES = ("task_time", "output_bytes", "accuracy", "time_per_correct")


class Forms(NamedTuple):
    """One system as it is, and its forms that are asked to be brief."""

    plain: str
    brief: tuple[str, ...]
    limits: tuple[int | None, ...]
    """Most tokens of each of them; null: the task's."""


def find_forms(source: Source) -> tuple[Forms, ...]:
    """Systems that are equal but for more at the end of the system prompt, and perhaps a limit, by the plain one."""
    systems = [(name, msgspec.json.decode(spec)) for name, spec in _systems(source)]
    alike: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, spec in systems:
        rest = {key: value for key, value in spec.items() if key not in ("name", "system_prompt", "max_tokens")}
        alike.setdefault(json.dumps(rest, sort_keys=True), []).append((name, spec))
    found = []
    for group in alike.values():
        (plain, first), *others = sorted(group, key=lambda one: len(one[1]["system_prompt"] or ""))
        start = first["system_prompt"]
        longer = [
            (name, spec)
            for name, spec in others
            if start and spec["system_prompt"] != start and spec["system_prompt"].startswith(start)
        ]
        if longer and first.get("max_tokens") is None:
            longer.sort(key=lambda one: one[1].get("max_tokens") is not None)
            limits = tuple(spec.get("max_tokens") for _, spec in longer)
            found.append(Forms(plain, tuple(name for name, _ in longer), limits))
    return tuple(found)


def _systems(source: Source) -> list[tuple[Any, ...]]:
    return source.query("SELECT name, spec FROM system ORDER BY position")[1]


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
        if (pair := _pair(table, one.plain, name)) is not None
    ]
    adjusted = {
        measure: holm([np.nan if (p := _of(pair, measure).p) is None else p for *_, pair in found])
        for measure in _MEASURES
    }
    rows = {row.system: row for row in table.rows}
    for place, (plain, name, limit, pair) in enumerate(found):

        def told(measure: str, pair: Pair = pair, place: int = place) -> Comparison:
            p = float(adjusted[measure][place])
            return msgspec.structs.replace(_of(pair, measure), p_holm=None if np.isnan(p) else p)

        saved = pair.split.difference_s if pair.split else None
        yield BriefForm(
            plain=plain,
            brief=name,
            max_tokens=limit,
            valid=rows[plain].valid and rows[name].valid,
            truncated_plain=_truncated(rows[plain]),
            truncated_brief=_truncated(rows[name]),
            task_time=ratio(pair, told("task_time"), plain),
            seconds=difference(
                pair, Comparison(change=saved, p=None, p_holm=None, items=pair.task_time.items), plain
            ).change
            if saved
            else None,
            output_bytes=ratio(pair, told("output_bytes"), plain),
            accuracy=difference(pair, told("accuracy"), plain),
            time_per_correct=ratio(pair, told("time_per_correct"), plain),
        )


def _truncated(row: SystemRow) -> float:
    """The share of its trials."""
    return row.outcomes.get("truncated", 0) / max(1, row.n)


def _of(pair: Pair, measure: str) -> Comparison:
    comparison: Comparison = getattr(pair, measure)
    return comparison


def _pair(table: TaskTable, one: str, other: str) -> Pair | None:
    return next((pair for pair in table.pairs if {pair.a, pair.b} == {one, other}), None)


def _rankings(forms: tuple[Forms, ...], table: TaskTable) -> Iterator[BriefRanking]:
    """Of every two systems with the same forms: which finishes first as they are, and which when both are brief."""
    for one, other in combinations(forms, 2):
        if one.limits != other.limits:
            continue
        before = _first(table, one.plain, other.plain)
        for brief, its, limit in zip(one.brief, other.brief, one.limits, strict=True):
            after = _first(table, brief, its)
            yield BriefRanking(
                one=one.plain,
                other=other.plain,
                max_tokens=limit,
                first_plain=before,
                first_brief=None if after is None else {brief: one.plain, its: other.plain}[after],
            )


def _first(table: TaskTable, one: str, other: str) -> str | None:
    """The quicker of two; null where they cannot be told apart, by the p-value of this pair alone."""
    pair = _pair(table, one, other)
    if pair is None or pair.task_time.p is None or pair.task_time.p > ALPHA:
        return None
    return pair.a if (pair.task_time.change.value or 0) > 1 else pair.b
