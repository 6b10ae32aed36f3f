"""Numbers, ranks and outcomes as a reader gets them, the same in every table."""

from __future__ import annotations

from taskpace.analysis.schema.summary import MeasuredRow, Reason, TaskTable
from taskpace.analysis.stats.estimates import Estimate

UNKNOWN = "–"


def table_title(table: TaskTable) -> str:
    """``mmlu-letter · single · 60 trials each``."""
    counts = sorted({row.n for row in table.rows})
    each = f"{counts[0]} trials each" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} trials each"
    return f"{table.task} · {table.scenario} · {each}"


def seconds(value: float | None) -> str:
    """Seconds with three significant digits, ``–`` for unknown."""
    if value is None:
        return UNKNOWN
    return f"{value:.0f} s" if value >= 100 else f"{value:#.3g} s"


def _error(number: Estimate) -> float | None:
    """The greater half of the interval."""
    if number.value is None or number.low is None or number.high is None:
        return None
    return max(number.high - number.value, number.value - number.low)


def seconds_with_error(number: Estimate) -> str:
    error = _error(number)
    if error is None or not number.value:
        return seconds(number.value)
    percent = 100 * error / number.value
    return f"{seconds(number.value)} ±{'>100' if percent > 100 else f'{percent:.0f}'} %"


def share_with_error(number: Estimate) -> str:
    if number.value is None:
        return UNKNOWN
    error = _error(number)
    return f"{100 * number.value:.0f}{'' if error is None else f' ±{100 * error:.0f}'} %"


def digits(value: float | None, digits: int) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.0f}" if value >= 100 else f"{value:.{digits}g}"


def outcomes_in_words(row: MeasuredRow) -> str:
    """``5 correct, 14 wrong, 1 unparsed``; how many are missing when the cell is not whole."""
    words = [f"{count} {outcome}" for outcome, count in row.outcomes.items()]
    if row.n < row.planned:
        words.append(f"{row.planned - row.n} not run")
    return ", ".join(words) or "nothing yet"


def shared_ranks(ranks: list[int | None]) -> list[str]:
    """``2=`` where others have the same rank."""
    return [UNKNOWN if rank is None else f"{rank}{'=' if ranks.count(rank) > 1 else ''}" for rank in ranks]


def reason_line(reason: Reason) -> str:
    """What is invalid, why, and what to do."""
    what = {"result": "INVALID, not ranked", "makespan": "no makespan"}.get(reason.invalidates, "INVALID token counts")
    return f"{what}: {reason.text}: {reason.remedy}"
