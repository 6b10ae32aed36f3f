"""Dollars in columns and in sentences: what a task and a correct answer cost, by which price, and why not."""

from __future__ import annotations

import math
from collections.abc import Iterator

from taskpace.analysis.data.costs import Missing
from taskpace.analysis.schema.summary import Summary, SystemRow, TaskTable
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.prices.price import Price
from taskpace.report.words.figures import Form, written

LEGEND = (
    "$: US dollars by the price given; wrong, cut and failed answers cost, too. $/correct: dollars of all trials / "
    "number correct (cost-of-pass)."
)
_WHY: dict[Missing, str] = {
    "failed": "failed after they were sent, and nobody counted their tokens",
    "uncounted": "have no token counts that can be believed",
    "too-long": "have longer prompts than the price holds for",
    "no-time": "have no known time",
    "no-makespan": "ran with others in flight, and the makespan is unknown: run the cell in one go",
}


def _dollars(value: float) -> str:
    """Three significant digits, never with an exponent."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


DOLLARS = Form(_dollars, before="$")
DOLLARS_ALONE = Form(_dollars, before="$", spread="none")


def has_costs(table: TaskTable) -> bool:
    """Whether a system of the table has a price."""
    return any(row.cost is not None for row in table.rows)


def per_task(row: SystemRow) -> Estimate:
    """US dollars of a task; unknown without a price."""
    return UNKNOWN if row.cost is None else row.cost.per_task_usd


def per_correct(row: SystemRow) -> Estimate:
    """US dollars of a correct answer; unknown without a price."""
    return UNKNOWN if row.cost is None else row.cost.per_correct_usd


def cheapest(table: TaskTable) -> list[SystemRow]:
    """The first by cost per correct answer; none where fewer than two systems are ranked by it."""
    rows = [row for row in table.rows if row.rank_cost_per_correct]
    return [row for row in rows if row.rank_cost_per_correct == 1] if len(rows) > 1 else []


def cost_lines(table: TaskTable) -> list[str]:
    """Who costs least, which systems no other beats, by which prices, and whose cost is unknown."""
    return [*_least(table), *_frontier(table), *_prices(table), *_unknown(table)]


def cost_legend(summary: Summary) -> str:
    """``LEGEND`` where there is a price, else nothing."""
    return LEGEND if any(map(has_costs, summary.tables)) else ""


def _least(table: TaskTable) -> Iterator[str]:
    best = cheapest(table)
    if not best:
        return
    names = _and([row.system for row in best])
    if len(best) == 1:
        yield f"Per correct answer {names} costs least: {written(per_correct(best[0]), DOLLARS).text}."
    elif all(per_correct(row).bound for row in best):
        yield "No system with a known cost has a correct answer."
    else:
        yield f"Least cost per correct answer: {names} cannot be distinguished."


def _frontier(table: TaskTable) -> Iterator[str]:
    priced = [row.system for row in table.rows if row.valid and per_correct(row).value is not None]
    if len(priced) < 2 or not table.frontier:
        return
    if len(table.frontier) == 1:
        yield f"{table.frontier[0]} is both the quickest and the cheapest per correct answer, by the values above."
    else:
        names = _and(list(table.frontier))
        yield f"Time against cost of a correct answer: no other system beats {names} in both, by the values above."


def _prices(table: TaskTable) -> Iterator[str]:
    by_price: dict[Price, list[str]] = {}
    for row in table.rows:
        if row.price is not None:
            by_price.setdefault(row.price, []).append(row.system)
    if by_price:
        told = "; ".join(f"{', '.join(names)} {price_in_words(price)}" for price, names in by_price.items())
        yield f"Prices: {told}."
    for row in table.rows:
        if row.cost is not None and row.cost.cached_unknown and not row.cost.missing:
            yield (
                f"{row.system}: of {row.cost.cached_unknown} of {row.n} trials nobody reports what came from a cache. "
                "They count at the full price, so the true cost is at most this."
            )


def price_in_words(price: Price) -> str:
    """``$0.15 in, $0.60 out per million tokens (genai-prices 0.2.3: openai/gpt-4o-mini, 2026-11-26)``."""
    if price.per_hour is not None:
        text = f"${price.per_hour:g} an hour"
    else:
        cached = "" if price.cached_input is None else f", ${price.cached_input:g} cached"
        text = f"${price.input:g} in{cached}, ${price.output:g} out per million tokens"
    origin = ", ".join(filter(None, (price.source, price.date)))
    return f"{text} ({origin})" if origin else text


def _unknown(table: TaskTable) -> Iterator[str]:
    for row in table.rows:
        if row.cost is not None and row.cost.missing:
            why = "; ".join(f"{count} of {row.n} trials {_WHY[code]}" for code, count in row.cost.missing.items())
            yield f"{row.system}: cost unknown: {why}."


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
