"""The table of all systems on one task, with what it says and what to look into."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from taskpace.analysis.schema.summary import Summary, SystemRow
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.analysis.table.cost import cost_per_correct
from taskpace.report.words.block import Block, Caution, Column, Name, Narrow, Number, Rank, Words
from taskpace.report.words.cost import (
    DOLLARS,
    cost_legend,
    cost_lines,
    per_task as cost_per_task,
)
from taskpace.report.words.energy import energy_legend, energy_lines
from taskpace.report.words.figures import (
    FOUR_DIGITS,
    PERCENT,
    PERCENT_WITH_ERROR,
    SECONDS,
    SECONDS_ALONE,
    SECONDS_WITH_ERROR,
    THREE_DIGITS,
    THREE_DIGITS_WITH_ENDS,
    TWO_DECIMALS,
    Form,
    outcomes_in_words,
    reason_line,
    table_title,
)
from taskpace.report.words.sentences import finding_lines, sentences

LEGEND = (
    "Task time: median from dispatch to the last byte of the answer. TTFT: median to the first token; committed: "
    "median until the answer no longer changed; tokens, tok/s: median written, median decode speed; score: mean "
    "degree that the scorer gives, 0 to 1; s/correct, tokens/correct: of all trials / number correct; time/task, "
    "tokens/task: means over all trials. In parentheses: "
    "95 % intervals. Ranks by paired tests (Holm, 5 %): 1=, 2=: a shared rank, no significant difference (~). "
    ">= is a bound: answers were cut, or none was correct. An INVALID row is shown and not ranked."
)
_NARROW_LEGEND = (
    "task time: median from dispatch to the last byte of the answer, with its 95 % interval; tokens, tok/s: median "
    "written, median decode speed; s/correct: seconds of all trials / number correct (tok./corr.: their tokens); "
    "s/task, tok./task: means over all trials. "
    "Ranks by paired tests (Holm, 5 %): 1=, 2=: a shared rank, no significant difference (~). "
)
_RANKS = "rank by"
_NOWHERE = Narrow(heading="", where="nowhere")


def task_blocks(summary: Summary) -> Iterator[Block]:
    """One for each task in each scenario."""
    more = "More: `--format json`." if summary.resamples else "No resamples: no probability that two rankings differ."
    units = " ".join(filter(None, (energy_legend(summary), cost_legend(summary))))
    for table in summary.tables:
        yield Block(
            title=table_title(table),
            task=(table.task, table.scenario),
            columns=task_columns(table.rows),
            cautions=tuple(
                Caution(index, row.system, reason_line(reason))
                for index, row in enumerate(table.rows)
                for reason in row.reasons
                # Of a row without a trial its outcomes say all, "40 not run", but why it could not be opened.
                if row.n or reason.code == "not-opened"
            ),
            paragraphs=(*sentences(table), *cost_lines(table), *energy_lines(table)),
            findings=tuple(finding_lines(table)),
            legend=f"{LEGEND} {units}".rstrip(),
            narrow_legend=f"{_NARROW_LEGEND}{more} {units}".rstrip(),
        )


def task_columns(rows: tuple[SystemRow, ...]) -> tuple[Column, ...]:
    """Every number of the rows that a table has room for."""

    def numbers(read: Callable[[SystemRow], Estimate]) -> tuple[Number, ...]:
        return tuple(Number(read(row)) for row in rows)

    def ranks(read: Callable[[SystemRow], int | None], *, decides: bool = False) -> tuple[Rank, ...]:
        """``decides``: this rank says INVALID where a row has trials and none."""
        found = [read(row) for row in rows]
        return tuple(
            Rank(rank, shared=found.count(rank) > 1, invalid=decides and row.n > 0 and not row.valid)
            for rank, row in zip(found, rows, strict=True)
        )

    task_times = tuple(Number(row.task_time_median_s, first=row.rank_task_time == 1) for row in rows)
    joules = tuple(Number(Estimate(row.energy.gross_per_task_j) if row.energy else UNKNOWN) for row in rows)
    return (
        Column(
            heading="system",
            kind="text",
            cells=tuple(Name(row.system) for row in rows),
            narrow=Narrow(heading=""),
        ),
        Column(
            heading="rank by time",
            cells=ranks(lambda row: row.rank_task_time, decides=True),
            narrow=Narrow(heading="time", group=_RANKS),
        ),
        Column(
            heading="rank by tok/s",
            cells=ranks(lambda row: row.rank_tokens_per_s),
            optional=True,
            narrow=Narrow(heading="tok/s", group=_RANKS),
        ),
        Column(
            heading="rank by s/correct",
            cells=ranks(lambda row: row.rank_time_per_correct),
            optional=True,
            narrow=Narrow(heading="s/corr.", need=1, group=_RANKS),
        ),
        Column(
            heading="rank by $/correct",
            cells=ranks(lambda row: row.rank_cost_per_correct),
            optional=True,
            narrow=Narrow(heading="$/corr.", need=1, group=_RANKS),
        ),
        Column(
            heading="task time (s)",
            cells=task_times,
            form=SECONDS,
            optional=True,
            narrow=Narrow(heading="task time", form=SECONDS_WITH_ERROR),
        ),
        _seconds("p90", numbers(lambda row: row.task_time_p90_s), need=2),
        _seconds("TTFT", numbers(lambda row: row.ttft_median_s), need=3),
        _seconds("committed", numbers(lambda row: row.committed_median_s), need=4),
        Column(
            heading="tokens",
            cells=numbers(lambda row: row.output_tokens_median),
            form=THREE_DIGITS_WITH_ENDS,
            optional=True,
            narrow=Narrow(heading="tokens", form=FOUR_DIGITS),
        ),
        Column(
            heading="tok/s",
            cells=numbers(lambda row: row.tokens_per_s_median),
            form=THREE_DIGITS_WITH_ENDS,
            optional=True,
            narrow=Narrow(heading="tok/s", form=THREE_DIGITS),
        ),
        Column(
            heading="accuracy (%)",
            cells=numbers(lambda row: row.accuracy),
            form=PERCENT,
            optional=True,
            narrow=Narrow(heading="accuracy", form=PERCENT_WITH_ERROR),
        ),
        Column(
            heading="score",
            cells=numbers(lambda row: row.score_mean),
            form=TWO_DECIMALS,
            optional=True,
            narrow=_NOWHERE,
        ),
        Column(
            heading="s/correct",
            cells=numbers(lambda row: row.time_per_correct_s),
            form=SECONDS,
            optional=True,
            narrow=Narrow(heading="s/correct", form=SECONDS_ALONE),
        ),
        _mean("time/task", "s/task", numbers(lambda row: row.task_time_mean_s), SECONDS, " (s)", need=5),
        _mean("tokens/task", "tok./task", numbers(lambda row: row.output_tokens_mean), THREE_DIGITS_WITH_ENDS, need=6),
        _mean(
            "tokens/correct", "tok./corr.", numbers(lambda row: row.tokens_per_correct), THREE_DIGITS_WITH_ENDS, need=6
        ),
        _mean("$/1000 tasks", "$/1000 tasks", numbers(cost_per_task), DOLLARS, need=2),
        _mean("$/1000 correct", "$/1000 corr.", numbers(cost_per_correct), DOLLARS, need=1),
        Column(
            heading="J/task",
            cells=joules,
            form=THREE_DIGITS,
            optional=True,
            narrow=Narrow(heading="J/task", form=THREE_DIGITS, need=2),
        ),
        Column(
            heading="J/correct",
            cells=numbers(lambda row: row.energy.gross_per_correct_j if row.energy else UNKNOWN),
            form=THREE_DIGITS_WITH_ENDS,
            optional=True,
            narrow=_NOWHERE,
        ),
        Column(
            heading="outcomes",
            kind="text",
            cells=tuple(Words(outcomes_in_words(row)) for row in rows),
            narrow=Narrow(heading="", where="below"),
        ),
    )


def _mean(heading: str, narrow: str, cells: tuple[Number, ...], form: Form, unit: str = "", *, need: int) -> Column:
    """A mean over all trials, or per correct answer."""
    return Column(
        heading=f"{heading}{unit}",
        cells=cells,
        form=form,
        optional=True,
        narrow=Narrow(heading=narrow, form=form._replace(spread="none"), need=need),
    )


def _seconds(heading: str, cells: tuple[Number, ...], *, need: int) -> Column:
    return Column(
        heading=f"{heading} (s)",
        cells=cells,
        form=SECONDS,
        optional=True,
        narrow=Narrow(heading=heading, form=SECONDS_ALONE, need=need),
    )
