"""Who is before whom on a task: ranks of rows, which follow from what is claimed of their pairs."""

from __future__ import annotations

import msgspec

from taskpace.analysis.schema.summary import Finding, MeasuredRow, SystemRow
from taskpace.analysis.stats.ranking import shared_ranks
from taskpace.analysis.table.pairs import Pair


def rank(rows: list[MeasuredRow], pairs: list[Pair], findings: dict[str, tuple[Finding, ...]]) -> list[SystemRow]:
    """Give each row its ranks, which are shared, among the valid rows that have the number in question."""
    compared = _comparable([row.system for row in rows if row.valid and row.n], pairs)
    valid = [row for row in rows if row.system in compared]
    with_tokens = [row for row in valid if not any(reason.invalidates == "token counts" for reason in row.reasons)]
    times = _ranks([row.system for row in valid if row.task_time_median_s.value is not None], pairs, "task_time")
    speeds = _ranks(
        [row.system for row in with_tokens if row.tokens_per_s_median.value is not None],
        pairs,
        "tokens_per_s",
        more_is_better=True,
    )
    per_correct = _ranks(
        [row.system for row in valid if row.time_per_correct_s.value is not None], pairs, "time_per_correct"
    )
    costs = _ranks(
        [row.system for row in valid if row.cost is not None and row.cost.per_correct_usd.value],
        pairs,
        "cost_per_correct",
    )
    return [
        SystemRow(
            **msgspec.structs.asdict(row),
            rank_task_time=times.get(row.system),
            rank_tokens_per_s=speeds.get(row.system),
            rank_time_per_correct=per_correct.get(row.system),
            rank_cost_per_correct=costs.get(row.system),
            findings=findings[row.system],
        )
        for row in rows
    ]


def _comparable(systems: list[str], pairs: list[Pair]) -> list[str]:
    """Those that all have items in common, every two of them; where two have none, those with the fewest others go
    first.

    Without that, systems that were never compared would share a rank.
    """
    met: dict[str, set[str]] = {system: set() for system in systems}
    for pair in pairs:
        if pair.a in met and pair.b in met and _common_items(pair):
            met[pair.a].add(pair.b)
            met[pair.b].add(pair.a)
    while systems:
        others = {one: len(met[one].intersection(systems)) for one in systems}
        fewest = min(others.values())
        if fewest == len(systems) - 1:
            break
        systems = [system for system in systems if others[system] > fewest]
    return systems


def _common_items(pair: Pair) -> bool:
    return any(each.items for each in (pair.task_time, pair.tokens_per_s, pair.output_bytes, pair.accuracy))


def _ranks(members: list[str], pairs: list[Pair], measure: str, *, more_is_better: bool = False) -> dict[str, int]:
    beats = []
    ranked = set(members)
    for pair in pairs:
        lower = getattr(pair, measure).lower
        if lower is not None and pair.a in ranked and pair.b in ranked:
            beats.append((pair.a, pair.b) if (lower == "a") != more_is_better else (pair.b, pair.a))
    return shared_ranks(members, beats)
