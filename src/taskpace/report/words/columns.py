"""A table's columns in full, every number with its interval: what Markdown and HTML show."""

from __future__ import annotations

from collections.abc import Callable

from taskpace.analysis.schema.summary import SystemRow
from taskpace.analysis.stats.estimates import UNKNOWN as NOT_KNOWN, Estimate
from taskpace.report.words.figures import UNKNOWN, digits, outcomes_in_words, seconds, shared_ranks

TEXT_COLUMNS = ("system", "outcomes")
INVALID = "INVALID"

LEGEND = (
    "Task time: median from dispatch to the last byte of the answer. TTFT: median to the first token; committed: "
    "median until the answer no longer changed; tokens, tok/s: median written, median decode speed; score: mean "
    "degree that the scorer gives, 0 to 1; s/correct: seconds of all trials / number correct. In parentheses: "
    "95 % intervals. Ranks by paired tests (Holm, 5 %): n= share a rank, for they cannot be distinguished (~). "
    "An INVALID row is shown and not ranked."
)


def columns(rows: tuple[SystemRow, ...]) -> list[tuple[str, list[str]]]:
    """Headings and cells as plain text; a column of numbers that are all unknown is left out."""
    found = [
        ("system", [row.system for row in rows]),
        ("rank by time", _time_ranks(rows)),
        ("rank by tok/s", shared_ranks([row.rank_tokens_per_s for row in rows])),
        ("rank by s/correct", shared_ranks([row.rank_time_per_correct for row in rows])),
        ("task time (s)", [_seconds(row.task_time_median_s) for row in rows]),
        ("p90 (s)", [_seconds(row.task_time_p90_s) for row in rows]),
        ("TTFT (s)", [_seconds(row.ttft_median_s) for row in rows]),
        ("committed (s)", [_seconds(row.committed_median_s) for row in rows]),
        ("tokens", [with_interval(row.output_tokens_median, lambda value: digits(value, 3)) for row in rows]),
        ("tok/s", [with_interval(row.tokens_per_s_median, lambda value: digits(value, 3)) for row in rows]),
        ("accuracy (%)", [with_interval(row.accuracy, lambda share: f"{100 * share:.0f}") for row in rows]),
        ("score", [with_interval(row.score_mean, lambda value: f"{value:.2f}") for row in rows]),
        ("s/correct", [_seconds(row.time_per_correct_s) for row in rows]),
        ("J/task", [digits(row.energy.gross_per_task_j if row.energy else None, 3) for row in rows]),
        (
            "J/correct",
            [
                with_interval(
                    row.energy.gross_per_correct_j if row.energy else NOT_KNOWN, lambda value: digits(value, 3)
                )
                for row in rows
            ],
        ),
        ("outcomes", [outcomes_in_words(row) for row in rows]),
    ]
    return [(heading, cells) for heading, cells in found if heading in TEXT_COLUMNS or set(cells) != {UNKNOWN}]


def _time_ranks(rows: tuple[SystemRow, ...]) -> list[str]:
    ranks = shared_ranks([row.rank_task_time for row in rows])
    return [rank if row.valid else INVALID for rank, row in zip(ranks, rows, strict=True)]


def _seconds(number: Estimate) -> str:
    return with_interval(number, lambda value: seconds(value).removesuffix(" s"))


def with_interval(number: Estimate, show: Callable[[float], str]) -> str:
    """``1.20 (1.15 to 1.31)``; ``?`` for an end that is not known."""
    if number.value is None:
        return UNKNOWN
    if number.low is None and number.high is None:
        return show(number.value)
    low, high = ("?" if end is None else show(end) for end in (number.low, number.high))
    return f"{show(number.value)} ({low} to {high})"
