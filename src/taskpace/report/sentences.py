"""What a table says, in a sentence."""

from __future__ import annotations

from taskpace.analysis.summary import SystemRow


def disagreement(rows: tuple[SystemRow, ...]) -> str:
    """One sentence on what the ranking by tokens per second and the ranking by task time disagree about."""
    both = [row for row in rows if row.rank_task_time and row.rank_tokens_per_s]
    if len(both) < 2:
        return "There are not two systems to rank yet."
    first = min(both, key=lambda row: (row.rank_task_time, row.rank_tokens_per_s))
    fastest = min(both, key=lambda row: (row.rank_tokens_per_s, row.rank_task_time))
    inversions = [
        (a, b)
        for a in both
        for b in both
        if a.rank_tokens_per_s < b.rank_tokens_per_s and a.rank_task_time > b.rank_task_time  # type: ignore[operator]
    ]
    if first is not fastest and inversions:
        sentence = (
            f"{fastest.system} has the most tokens per second ({_of(fastest.tokens_per_s_median)}), "
            f"yet {first.system} finishes first: {_seconds(first.task_time_median_s)} "
            f"against {_seconds(fastest.task_time_median_s)}"
            f"{_because(first, fastest)}."
        )
    elif inversions:
        a, b = inversions[0]
        sentence = (
            f"{first.system} is first in both rankings; but {a.system} has more tokens per second than {b.system} "
            f"and finishes after it: {_seconds(a.task_time_median_s)} against {_seconds(b.task_time_median_s)}"
            f"{_because(b, a)}."
        )
    else:
        sentence = f"Both rankings agree: {first.system} is first by task time and by tokens per second."
    return sentence + _correct_remark(rows, first)


def _because(quick: SystemRow, slow: SystemRow) -> str:
    if not quick.output_tokens_median or not slow.output_tokens_median:
        return ""
    ratio = slow.output_tokens_median / quick.output_tokens_median
    return f", for {slow.system} writes {ratio:.1f} times as many tokens" if ratio >= 1.1 else ""


def _correct_remark(rows: tuple[SystemRow, ...], first: SystemRow) -> str:
    best = next((row for row in rows if row.rank_time_per_correct == 1), None)
    if best is None:
        graded = any(row.accuracy is not None for row in rows)
        return " No system has a correct answer." if graded else ""
    if best.system == first.system:
        return ""
    own = f" ({_seconds(first.time_per_correct_s)})" if first.time_per_correct_s else " (it has none)"
    return (
        f" Per correct answer {best.system} takes the least time: {_seconds(best.time_per_correct_s)}, "
        f"less than {first.system}{own}."
    )


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g} s"


def _of(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
