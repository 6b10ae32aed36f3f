"""What a table says, in a sentence."""

from __future__ import annotations

from taskpace.analysis.summary import SystemRow


def disagreement(rows: tuple[SystemRow, ...]) -> str:
    """One sentence on what the ranking by tokens per second and the ranking by task time disagree about."""
    both = [row for row in rows if row.rank_task_time and row.rank_tokens_per_s]
    if len(both) < 2:
        return "There are not two valid systems to rank."
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
    """The cause, where one explains most of the difference in task time: more tokens, or a longer wait."""
    gap_s = (slow.task_time_median_s or 0.0) - (quick.task_time_median_s or 0.0)
    if gap_s <= 0:
        return ""
    if slow.output_tokens_median and quick.output_tokens_median and slow.tokens_per_s_median:
        more = slow.output_tokens_median - quick.output_tokens_median
        if more / slow.tokens_per_s_median > gap_s / 2:
            ratio = slow.output_tokens_median / quick.output_tokens_median
            return f", for {slow.system} writes {ratio:.1f} times as many tokens"
    if slow.ttft_median_s and quick.ttft_median_s and slow.ttft_median_s - quick.ttft_median_s > gap_s / 2:
        waits = f"{_seconds(slow.ttft_median_s)} against {_seconds(quick.ttft_median_s)}"
        return f", for {slow.system} waits longer for its first token ({waits})"
    return ""


def _correct_remark(rows: tuple[SystemRow, ...], first: SystemRow) -> str:
    best = next((row for row in rows if row.rank_time_per_correct == 1), None)
    if best is None:
        nobody = [row.accuracy for row in rows if row.accuracy is not None and not row.invalid]
        return " No ranked system has a correct answer." if nobody else ""
    if best.system == first.system:
        return ""
    own = f" ({_seconds(first.time_per_correct_s)})" if first.time_per_correct_s else " (it has none)"
    return (
        f" Per correct answer {best.system} takes the least time: {_seconds(best.time_per_correct_s)}, "
        f"less than {first.system}{own}."
    )


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f} s" if value >= 100 else f"{value:.3g} s"


def _of(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"
