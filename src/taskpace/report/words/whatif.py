"""A run as it would be on another deployment: what changes, who would finish first, and how far to trust it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from taskpace.analysis.schema.summary import SystemRow, TaskTable
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.cost import cost_per_correct
from taskpace.analysis.whatif.fitting import FittingError
from taskpace.analysis.whatif.places import Moved
from taskpace.analysis.whatif.whatif import WhatIf, WhatIfTable
from taskpace.report.words.advice import joined
from taskpace.report.words.block import Block, Column, Document, Name, Narrow, Number, Rank, Words
from taskpace.report.words.cost import (
    DOLLARS,
    DOLLARS_ALONE,
    LEGEND,
    has_costs,
    partial_costs,
    price_sentence,
    unknown_costs,
)
from taskpace.report.words.figures import (
    SECONDS,
    SECONDS_ALONE,
    THREE_DIGITS,
    TWO_DIGITS,
    seconds_of,
    table_title,
)
from taskpace.report.words.sentences import headline

_LEGEND = (
    "rank, measured, s/correct: of the run; then, predicted: at the other speed. Times are medians; their intervals "
    "and the ranks are those of the items, as if the speed were known exactly. s/correct: of all trials / number "
    "correct. n= share a rank."
)
_SPEED_LEGEND = (
    "Predicted: turns x wait + prompt tokens x (+ prompt token) + further output tokens x (output token), in ms{load}. "
    "error, p90: |predicted / measured - 1| of answers of the other place that the fit had not seen (whole tasks, "
    "where the run's tasks are others), median and 90th percentile; mean: with its sign, what is left of it in a sum."
)

_AND_LOAD = "; with several in flight, of an answer that is alone, and what they wait for one another is added"


def whatif_document(found: WhatIf) -> Document:
    """The answer by task first, then the speeds, their errors and what limits them."""
    return Document(
        title=f"{found.name}, on another deployment",
        warnings=(),
        blocks=(*map(_task, found.tables), _speeds(found.moved)),
        closing=(*found.notes, *_prices(found.tables)),
    )


def _prices(tables: tuple[WhatIfTable, ...]) -> Iterator[str]:
    if told := price_sentence((row.system, row.price) for table in tables for row in table.measured.rows):
        yield told


def _task(table: WhatIfTable) -> Block:
    before, after = table.measured.rows, table.predicted.rows
    priced = has_costs(table.measured) or has_costs(table.predicted)

    def ranks(rows: tuple[SystemRow, ...]) -> tuple[Rank, ...]:
        found = [row.rank_task_time for row in rows]
        return tuple(
            Rank(rank, shared=found.count(rank) > 1, invalid=not row.valid)
            for rank, row in zip(found, rows, strict=True)
        )

    def times(heading: str, rows: tuple[SystemRow, ...]) -> Column:
        cells = tuple(Number(row.task_time_median_s, first=row.rank_task_time == 1) for row in rows)
        return Column(
            heading=f"{heading} (s)", cells=cells, form=SECONDS, narrow=Narrow(heading=heading, form=SECONDS_ALONE)
        )

    def per_correct(heading: str, rows: tuple[SystemRow, ...]) -> Column:
        cells = tuple(Number(row.time_per_correct_s) for row in rows)
        narrow = Narrow(heading=heading, form=SECONDS_ALONE)
        return Column(heading=f"{heading} (s)", cells=cells, form=SECONDS, optional=True, narrow=narrow)

    def dollars(heading: str, rows: tuple[SystemRow, ...]) -> Column:
        cells = tuple(Number(cost_per_correct(row)) for row in rows)
        narrow = Narrow(heading=heading.replace("correct", "corr."), form=DOLLARS_ALONE)
        return Column(heading=heading, cells=cells, form=DOLLARS, optional=True, narrow=narrow)

    return Block(
        title=table_title(table.measured),
        columns=(
            Column(
                heading="system",
                kind="text",
                cells=tuple(Name(row.system) for row in before),
                narrow=Narrow(heading=""),
            ),
            Column(heading="rank", cells=ranks(before)),
            Column(heading="then", cells=ranks(after)),
            times("measured", before),
            times("predicted", after),
            Column(
                heading="tok/s then", cells=tuple(Number(row.tokens_per_s_median) for row in after), form=THREE_DIGITS
            ),
            per_correct("s/correct", before),
            per_correct("then ", after),
            *((dollars("$/1000 correct", before), dollars("then  ", after)) if priced else ()),
        ),
        paragraphs=(*_answer(table), *partial_costs(table.measured), *unknown_costs(table.predicted)),
        legend=f"{_LEGEND} {LEGEND}" if priced else _LEGEND,
    )


def _answer(table: WhatIfTable) -> Iterator[str]:
    firsts = [_firsts(each) for each in (table.measured, table.predicted)]
    if firsts[1]:
        still = " still" if firsts[0] == firsts[1] else ""
        more = "" if still or not firsts[0] else f" (measured: {joined(firsts[0])})"
        verb = "finishes" if len(firsts[1]) == 1 else "finish"
        yield f"{joined(firsts[1])} would{still} {verb.removesuffix('es')} first{more}."
    inverted = [headline(each) for each in (table.measured, table.predicted)]
    if (pair := inverted[1]) is not None:
        rows = {row.system: row for row in table.predicted.rows}
        yield (
            f"{pair.b} would {'still ' if inverted[0] is not None else ''}only look fast beside {pair.a}: more tokens "
            f"per second, and {seconds_of(rows[pair.b].task_time_median_s)} against "
            f"{seconds_of(rows[pair.a].task_time_median_s)}."
        )
    elif (pair := inverted[0]) is not None:
        yield f"{pair.b} only looks fast beside {pair.a} as measured; predicted, it would not."


def _firsts(table: TaskTable) -> list[str]:
    ranked = [row for row in table.rows if row.rank_task_time]
    return [row.system for row in ranked if row.rank_task_time == 1] if len(ranked) > 1 else []


def _speeds(moved: tuple[Moved, ...]) -> Block:
    def numbers(read: Callable[[Moved], float | None]) -> tuple[Number, ...]:
        return tuple(Number(Estimate(read(each))) for each in moved)

    def error(read: Callable[[FittingError], float]) -> tuple[Number, ...]:
        # Of scripted times nothing but rounding is left.
        return numbers(lambda each: None if each.error is None else round(100 * read(each.error), 3))

    errors = [each.error for each in moved if each.error is not None]
    return Block(
        title="Speed and error of the prediction",
        columns=(
            Column(heading="system", kind="text", cells=tuple(Name(each.system) for each in moved)),
            Column(heading="wait (ms)", cells=numbers(lambda each: 1e3 * each.speed.wait_s), form=THREE_DIGITS),
            Column(
                heading="+ prompt token",
                cells=numbers(lambda each: 1e3 * each.speed.wait_per_prompt_token_s),
                form=THREE_DIGITS,
            ),
            Column(heading="output token", cells=numbers(lambda each: 1e3 * each.speed.tpot_s), form=THREE_DIGITS),
            Column(heading="error %", cells=error(lambda found: found.median), form=TWO_DIGITS),
            Column(heading="p90 %", cells=error(lambda found: found.p90), form=TWO_DIGITS),
            Column(heading="mean %", cells=error(lambda found: found.mean), form=TWO_DIGITS),
            Column(
                heading="speed of",
                kind="text",
                cells=tuple(Words(_where(each)) for each in moved),
                narrow=Narrow(heading="", where="below"),
            ),
        ),
        paragraphs=(*_checked(moved, errors), *(sentence for each in moved for sentence in _loaded(each))),
        findings=tuple(sentence for each in moved for sentence in _limits(each)),
        legend=_SPEED_LEGEND.format(load=_AND_LOAD if any(each.speed.load for each in moved) else ""),
    )


def _where(moved: Moved) -> str:
    return ", ".join(each for each in (moved.source, moved.source_system, moved.source_scenario) if each)


def _checked(moved: tuple[Moved, ...], errors: list[FittingError]) -> Iterator[str]:
    if unchecked := [each.system for each in moved if each.error is None]:
        yield f"The error is unknown for {joined(unchecked)}: its source has no trials to check the prediction with."
    if errors:
        least, most = (end([100 * error.median for error in errors]) for end in (min, max))
        span = f"{most:.0f} %" if round(least) == round(most) else f"{least:.0f} to {most:.0f} %"
        yield f"Predicted single answers were {span} off (median) where that could be checked."


def _loaded(moved: Moved) -> Iterator[str]:
    if (load := moved.speed.load) is not None:
        slots = f", of which the server works on {load.slots} at a time" if load.slots < load.in_flight else ""
        yield (
            f"{moved.system}: predicted with {load.in_flight} in flight{slots}. Every other answer adds "
            f"{1e3 * load.tpot_per_other_s:.2g} ms to each output token, and every prompt token that is read "
            f"{1e3 * load.wait_per_other_prompt_token_s:.2g} ms to all in flight."
        )


def _limits(moved: Moved) -> Iterator[str]:
    for caution in moved.cautions:
        yield f"{moved.system}: {caution}."
