"""Dollars in columns and in sentences: what a task and a correct answer cost, by which price, and why not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from taskpace.analysis.data.costs import Missing
from taskpace.analysis.schema.summary import Summary, SystemRow, TaskTable
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.analysis.table.cost import cost_per_correct
from taskpace.prices.price import Price
from taskpace.report.words.advice import on_tasks, short
from taskpace.report.words.figures import Form, written

LEGEND = (
    "$/1000: US dollars of 1,000 tasks, and of 1,000 correct answers: dollars of all trials / number correct "
    "(cost-of-pass), so that wrong, cut and failed answers cost, too."
)
_WHY: dict[Missing, str] = {
    "failed": "failed after they were sent, and their tokens were not counted",
    "uncounted": "have no token counts that can be believed",
    "too-long": "have longer prompts than the price holds for",
    "no-time": "have no known time",
    "no-makespan": "ran with others in flight, and the makespan is unknown: run the cell without interruption",
}


def _dollars(value: float) -> str:
    """Three significant digits, never with an exponent."""
    decimals = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{decimals}f}"


PER = 1000
"""Tasks, or correct answers, that a price is shown for: that of one has too many zeros to be read."""
DOLLARS = Form(lambda each: _dollars(PER * each), before="$")
"""Of so many."""
DOLLARS_ALONE = DOLLARS._replace(spread="none")
DOLLARS_WITH_ERROR = DOLLARS._replace(spread="percent of it")
_MOST_LISTED = 4


def has_costs(table: TaskTable) -> bool:
    """Whether a system of the table has a price."""
    return any(row.cost is not None for row in table.rows)


def per_task(row: SystemRow) -> Estimate:
    """US dollars of a task; unknown without a price."""
    return UNKNOWN if row.cost is None else row.cost.per_task_usd


def cheapest(table: TaskTable) -> list[SystemRow]:
    """The first by cost per correct answer; none where fewer than two systems are ranked by it."""
    rows = [row for row in table.rows if row.rank_cost_per_correct]
    return [row for row in rows if row.rank_cost_per_correct == 1] if len(rows) > 1 else []


def cost_lines(table: TaskTable) -> list[str]:
    """What a correct answer costs, who costs least, which systems no other beats, and whose cost is unknown."""
    return [*_least(table), *_frontier(table), *_cached(table), *partial_costs(table), *unknown_costs(table)]


def cost_legend(summary: Summary) -> str:
    """``LEGEND`` where there is a price, else nothing."""
    return LEGEND if any(map(has_costs, summary.tables)) else ""


def _least(table: TaskTable) -> Iterator[str]:
    rows = sorted(
        (row for row in table.rows if row.valid and cost_per_correct(row).value is not None),
        key=lambda row: cost_per_correct(row).value or 0.0,
    )
    if not rows:
        return
    listed = ", ".join(f"{row.system} {written(cost_per_correct(row), DOLLARS).text}" for row in rows[:_MOST_LISTED])
    more = f", and {len(rows) - _MOST_LISTED} that cost more" if len(rows) > _MOST_LISTED else ""
    best = cheapest(table)
    if not best:
        verdict = ""
    elif len(best) == 1:
        verdict = f"; {best[0].system} costs least"
    else:
        verdict = f"; {_and([row.system for row in best])} have no significant difference"
    yield f"{PER:,} correct answers cost: {listed}{more}{verdict}."


def _frontier(table: TaskTable) -> Iterator[str]:
    if len(table.frontier) > 1:
        first, *_, last = table.frontier
        yield (
            f"Time against cost of a correct answer: no system beats {_and(list(table.frontier))} in both, by their "
            f"values; {first} is the quickest of them, {last} the cheapest."
        )


def costs_in_brief(summary: Summary) -> str:
    """What can be said of systems one by one where none are ranked by cost; else why it is unknown, of the first."""
    known = [
        f"{short(row.system)}{on_tasks([(table.task, table.scenario)], summary)} "
        f"{written(cost_per_correct(row), DOLLARS_ALONE).text}"
        for table in summary.tables
        for row in table.rows
        if row.valid and cost_per_correct(row).value is not None
    ]
    if known:
        more = f", and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
        partial = partial_in_brief(summary)
        return f"{PER:,} correct answers cost: {', '.join(known[:_MOST_LISTED])}{more}. {partial}".rstrip()
    return next((sentence for table in summary.tables for sentence in unknown_costs(table)), "")


def price_sentence(rows: Iterable[tuple[str, Price | None]]) -> str:
    """The prices of systems, those together that have the same; nothing without one."""
    by_price: dict[Price, dict[str, None]] = {}
    for name, price in rows:
        if price is not None:
            by_price.setdefault(price, {})[name] = None
    told = "; ".join(f"{', '.join(names)} {price_in_words(price)}" for price, names in by_price.items())
    return f"Prices: {told}." if told else ""


def run_prices(summary: Summary) -> str:
    """The prices of a run's systems; empty without prices."""
    return price_sentence((row.system, row.price) for table in summary.tables for row in table.rows)


def _cached(table: TaskTable) -> Iterator[str]:
    for row in table.rows:
        if row.cost is not None and row.cost.cached_unknown and not row.cost.missing:
            yield (
                f"{row.system}: what came from a cache is not reported in {row.cost.cached_unknown} of {row.n} trials. "
                "They count at the full price, so the true cost is at most this."
            )


def price_in_words(price: Price) -> str:
    """``$0.15 in, $0.60 out per million tokens (genai-prices 0.2.3: openai/gpt-4o-mini, 2026-11-26)``."""
    if price.per_hour is not None:
        text = f"{_price(price.per_hour)} an hour"
    else:
        cached = "" if price.cached_input is None else f", {_price(price.cached_input)} cached"
        text = f"{_price(price.input)} in{cached}, {_price(price.output)} out per million tokens"
    origin = ", ".join(filter(None, (price.source, price.date)))
    return f"{text} ({origin})" if origin else text


def _price(value: float | None) -> str:
    """As prices are written, with two decimals where they are enough."""
    text = f"{value or 0.0:.2f}"
    return f"${text if float(text) == value else f'{value:g}'}"


def unknown_costs(table: TaskTable) -> Iterator[str]:
    """Whose cost is unknown, and why."""
    for row in table.rows:
        if row.cost is not None and row.cost.missing:
            why = "; ".join(f"{count} of {row.n} trials {_WHY[code]}" for code, count in row.cost.missing.items())
            yield f"{row.system}: cost unknown: {why}."


def partial_costs(table: TaskTable) -> Iterator[str]:
    """Whose cost is that of a part of the trials."""
    for row in table.rows:
        if row.cost is not None and row.cost.absent and not row.cost.missing:
            yield (
                f"{row.system}: the cost is that of {row.n} of {row.planned} trials: the log lacks "
                f"{row.cost.absent}, and what they cost is unknown."
            )


def partial_in_brief(summary: Summary) -> str:
    """The first of these sentences; nothing where every cost is whole."""
    return next((sentence for table in summary.tables for sentence in partial_costs(table)), "")


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
