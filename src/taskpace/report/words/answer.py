"""The answer of a whole run, before any detail: who finishes first, who only looks fast, why, how sure, what to do.

Names are cut to a bounded length here; the long form has them whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from taskpace.analysis.schema.summary import Summary, SystemRow, TaskTable
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.cost import cost_per_correct
from taskpace.analysis.table.pairs import Pair
from taskpace.report.words.advice import advice, joined, on_tasks, short
from taskpace.report.words.answer_table import answer_columns
from taskpace.report.words.block import Answer, Block
from taskpace.report.words.causes import Cause, causes, long_answers, no_cause
from taskpace.report.words.commands import RunFile
from taskpace.report.words.cost import DOLLARS_ALONE, PER, costs_in_brief, partial_in_brief
from taskpace.report.words.figures import (
    SECONDS_ALONE,
    Form,
    digits,
    within,
    written,
)
from taskpace.report.words.gate import gate_line
from taskpace.report.words.imported import import_verdict
from taskpace.report.words.makespan import makespan_in_brief
from taskpace.report.words.rankings import firsts_of, ranked, unlike_medians
from taskpace.report.words.sentences import (
    NO_SPEEDS,
    against,
    headline,
    shows_speeds,
    slowest_pair,
    speeds_against,
    until_lines,
)
from taskpace.report.words.unranked import nothing_ranked

MOST_ADVICE = 3
_MOST_GROUPS = 3
_LEGEND = (
    "task time: median seconds from dispatch to the last byte of the answer. tok/s: median decode speed. s/correct: "
    "seconds of all trials / number correct, so that wrong answers' time counts. Looks fast: more tokens per second "
    "than a system that finishes sooner."
)

Told = tuple[TaskTable, Pair]


def make_answer(summary: Summary, file: RunFile) -> Answer:
    """The answer of a run, finished or not; ``file``: of the run, for commands."""
    told = _inversion(summary)
    cautions = advice(summary, file)
    shown = told[0] if told else next((table for table in summary.tables if len(ranked(table)) > 1), None)
    inverted = _inverted(told, summary) if told else ""
    paragraphs = (
        _medians(summary),
        _why(summary, told),
        _cost(summary),
        _sure(summary),
        makespan_in_brief(summary, shown),
    )
    return Answer(
        verdicts=tuple(
            filter(None, (inverted, _verdict(summary, told), _money(summary), _until(summary, file), _whole(summary)))
        ),
        block=Block(
            title=summary.name,
            columns=answer_columns(summary),
            paragraphs=tuple(filter(None, paragraphs)),
            legend=_LEGEND,
        ),
        advice=cautions[:MOST_ADVICE],
        more=len(cautions[MOST_ADVICE:]),
        table=None if shown is None else _key(shown),
        task=_first_to_read(shown, summary),
    )


def _first_to_read(shown: TaskTable | None, summary: Summary) -> str | None:
    names = list(dict.fromkeys(table.task for table in summary.tables))
    if len(names) < 2:
        return None
    return names[0] if shown is None else shown.task


def _key(table: TaskTable) -> tuple[str, str]:
    return table.task, table.scenario


# -- who finishes first ------------------------------------------------------------------------------------------------


def _inversion(summary: Summary) -> Told | None:
    """The one to tell of, if there is one.

    Best between the first and the one with most tokens per second, where the first's answers are right, too: who
    finishes first with a wrong answer has finished nothing. And where the mean times say the same (a few long answers
    can make the mean of whoever finishes sooner on most items the greater one), and the medians of tokens per second,
    which readers see. Among these the greatest.
    """
    found = [(table, pair) for table in summary.tables if (pair := headline(table)) is not None]

    def weight(told: Told) -> tuple[bool, bool, bool, bool, bool, float]:
        table, pair = told
        rows = {row.system: row for row in table.rows}
        a, b = rows[pair.a], rows[pair.b]
        some_right = a.accuracy.value != 0
        as_right = some_right and (a.accuracy.value or 0.0) >= (b.accuracy.value or 0.0)
        clear = a.rank_task_time == 1 and b.rank_tokens_per_s == 1
        on_average = pair.split is None or (pair.split.difference_s.value or 0.0) >= 0
        seen = shows_speeds(a.tokens_per_s_median, b.tokens_per_s_median)
        return some_right, on_average, clear, as_right, seen, pair.task_time.change.value or 0.0

    return max(found, key=weight, default=None)


def _inverted(told: Told, summary: Summary) -> str:
    table, pair = told
    rows = {row.system: row for row in table.rows}
    a, b = rows[pair.a], rows[pair.b]
    first = "finishes first" if firsts_of(table) == (pair.a,) else "finishes sooner"
    times = against(a.task_time_median_s, b.task_time_median_s, pair)
    speeds, _ = speeds_against(a.tokens_per_s_median, b.tokens_per_s_median, pair)
    right = (
        ""
        if a.accuracy.value is None or b.accuracy.value is None
        else f", {100 * a.accuracy.value:.0f} against {100 * b.accuracy.value:.0f} % right"
    )
    where = on_tasks([_key(table)], summary).strip()
    names = f"{short(pair.a)} {first} and {short(pair.b)} only looks fast"
    return f"{f'{where.capitalize()} ' if where else ''}{names}: {times}, {speeds} tokens per second{right}."


def _medians(summary: Summary) -> str:
    """That the ranks are not those of the medians in the table, where a reader would see them differ."""
    found = [(table, pair) for table in summary.tables if (pair := unlike_medians(table)) is not None]
    if not found:
        return ""
    (_, pair), where = found[0], on_tasks([_key(table) for table, _ in found[:1]], summary)
    return f"Ranks compare times item by item; the medians{where} would put {short(pair.b)} before {short(pair.a)}."


def _verdict(summary: Summary, told: Told | None) -> str:
    """Task by task, those together where the same system is first."""
    # Where a system is first alone somewhere, the table shows who shares the first place elsewhere.
    alone = any(len(firsts_of(table)) == 1 for table in summary.tables)
    groups: dict[tuple[str, ...] | None, list[TaskTable]] = {}
    for table in summary.tables:
        firsts = firsts_of(table)
        groups.setdefault(None if alone and len(firsts) > 1 else firsts, []).append(table)
    if set(groups) == {()}:
        return nothing_ranked(summary)
    ordered = sorted(groups.items(), key=lambda group: (group[0] is None or len(group[0]) != 1, -len(group[1])))
    parts = [_group(firsts, tables, summary) for firsts, tables in ordered[:_MOST_GROUPS]]
    if len(ordered) > _MOST_GROUPS:
        parts.append("other tasks: see the table")
    return "; ".join(parts) + "." + ("" if told else _same_order(summary))


def _group(firsts: tuple[str, ...] | None, tables: list[TaskTable], summary: Summary) -> str:
    """``firsts``: null: several, whoever they are."""
    where = on_tasks([_key(table) for table in tables], summary)
    if firsts is None:
        return f"not decided{where}"
    if not firsts:
        return f"no ranking{where}"
    if len(firsts) > 1:
        return f"{joined(firsts)} finish first{where} (no significant difference)"
    return f"{short(firsts[0])} finishes first{where}{_by_how_much(firsts[0], tables)}"


def _by_how_much(first: str, tables: list[TaskTable]) -> str:
    """How many times as long the next one takes, over the tasks."""
    found = []
    for table in tables:
        places = {row.system: row.rank_task_time for row in ranked(table)}
        pairs = [pair.task_time.change for pair in table.pairs if pair.a == first and places.get(pair.b)]
        known = [change for change in pairs if change.value is not None]
        if known:
            found.append(min(known, key=lambda change: change.value or 0.0))
    if not found:
        return ""
    least, most = (end(found, key=lambda change: change.value or 0.0) for end in (min, max))
    low, high = (digits(change.value, 2) for change in (least, most))
    if len(found) == 1 and not least.bound:
        times = f"{low}{within(least, lambda ratio: digits(ratio, 2))} times as long"
    elif any(change.bound for change in found):
        times = f"at least {low} times as long"
    else:
        times = f"{low if low == high else f'{low} to {high}'} times as long"
    return f", the next takes {times} on average"


def _same_order(summary: Summary) -> str:
    tables = [table for table in summary.tables if len(firsts_of(table)) == 1]
    fastest = [[row.system for row in table.rows if row.rank_tokens_per_s == 1] for table in tables]
    if tables and all(names == [*firsts_of(table)] for names, table in zip(fastest, tables, strict=True)):
        return " It has the most tokens per second, too."
    if not any(row.rank_tokens_per_s for table in summary.tables for row in table.rows):
        return f" {NO_SPEEDS}."
    return " Tokens per second gives no significantly different order."


def _until(summary: Summary, file: RunFile) -> str:
    """Of a run that ends when its ranking is settled: whether it is, and what is open."""
    found = [(table, table.settled) for table in summary.tables if table.settled is not None]
    if not found:
        return ""
    if found[0][1].gate:
        return gate_line([settled for _, settled in found], file if isinstance(file, str) else None)
    if len(found) == 1:
        return " ".join(until_lines(found[0][0]))
    undecided = [table for table, settled in found if any(pair.verdict == "open" for pair in settled.pairs)]
    state = f"open{on_tasks([_key(table) for table in undecided], summary)}" if undecided else "settled on every task"
    return f"The ranking is {state}; claims and intervals are ones that one may stop by."


def _whole(summary: Summary) -> str:
    """Where it comes from, if taskpace did not measure it, and how much is missing."""
    start = "The logs have" if summary.imported else "So far"
    rest = "" if summary.done >= summary.planned else f"{start} {summary.done} of {summary.planned} trials."
    return " ".join(filter(None, (import_verdict(summary), rest)))


# -- why, at what cost, how sure ---------------------------------------------------------------------------------------


def _why(summary: Summary, told: Told | None) -> str:
    """The parts of the difference between the first and another; they add up."""
    if told is None:
        found = [(table, pair) for table in summary.tables if (pair := slowest_pair(table)) is not None]
        told = max(found, key=lambda each: each[1].task_time.change.value or 0.0, default=None)
    if told is None or (split := told[1].split) is None:
        return ""
    table, pair = told
    difference, parts, decimals = causes(split, pair.output_bytes)
    ratio = pair.output_bytes.change.value
    listed = ", ".join(
        f"{cause.rounded:+.{decimals}f} s {_cause(cause, ratio)}"
        for cause in sorted(parts, key=lambda cause: -abs(cause.rounded))
        if cause.rounded
    )
    whole = difference.value or 0.0
    where, parts_listed = on_tasks([_key(table)], summary), listed or no_cause(split)
    if not round(whole, decimals):
        return f"Why{where}: on average {short(pair.b)} takes as long as {short(pair.a)}: {parts_listed}."
    if whole < 0:
        less = f"on average {short(pair.b)} takes {-whole:.{decimals}f} s less"
        return f"{long_answers(short(pair.a), where)}: {less}: {parts_listed}."
    return f"Why{where}: {short(pair.b)} takes {whole:.{decimals}f} s longer than {short(pair.a)}: {parts_listed}."


def _cause(cause: Cause, ratio: float | None) -> str:
    """A cause in as few words as it takes; ``ratio``: of the lengths of text."""
    if cause.name == "waiting":
        return "to the first token"
    if cause.name == "its tokenizer":
        return "tokenizer"
    if cause.name != "its text's length":
        return f"{'slower' if cause.rounded > 0 else 'faster'} {cause.name.removeprefix('speed per ')}s"
    alike = not ratio or digits(max(ratio, 1 / ratio), 2) == "1" or (cause.rounded > 0) != (ratio > 1)
    return "length of text" if alike else f"for {digits(ratio, 2)} times the text"


def _cost(summary: Summary) -> str:
    """What a correct answer takes with the system that takes least, by task."""
    return _least(
        summary,
        "time per correct answer",
        lambda row: (row.rank_time_per_correct, row.time_per_correct_s),
        SECONDS_ALONE,
    )


def _money(summary: Summary) -> str:
    """What a correct answer costs, in dollars; empty without prices."""
    what = f"cost of {PER:,} correct answers"
    least = _least(summary, what, lambda row: (row.rank_cost_per_correct, cost_per_correct(row)), DOLLARS_ALONE)
    return f"{least} {partial_in_brief(summary)}".rstrip() if least else costs_in_brief(summary)


Ranked = Callable[[SystemRow], tuple[int | None, Estimate]]
"""A rank, and the number that it is of."""


def _least(summary: Summary, what: str, read: Ranked, form: Form) -> str:
    groups: dict[str, list[tuple[TaskTable, Estimate]]] = {}
    graded = 0
    for table in summary.tables:
        rows = [row for row in ranked(table) if read(row)[0] and read(row)[1].value is not None]
        if len(rows) < 2:
            continue
        graded += 1
        best = [row for row in rows if read(row)[0] == 1]
        if len(best) == 1:
            groups.setdefault(best[0].system, []).append((table, read(best[0])[1]))
    if not graded:
        return ""
    parts = [
        f"{short(name)}{on_tasks([_key(table) for table, _ in found], summary)} "
        f"({_range([least for _, least in found], form)})"
        for name, found in sorted(groups.items(), key=lambda group: -len(group[1]))[:_MOST_GROUPS]
    ]
    open_tasks = graded - sum(map(len, groups.values()))
    if not parts:
        return f"Least {what}: not decided."
    undecided = ", else undecided" if open_tasks else ""
    return f"Least {what}: {', '.join(parts)}{undecided}."


def _range(found: list[Estimate], form: Form) -> str:
    known = sorted(found, key=lambda each: each.value or math.inf)
    least, most = (written(each, form).value for each in (known[0], known[-1]))
    return least if least == most else f"{least} to {most}"


def _sure(summary: Summary) -> str:
    """How many of the differences are claimed, and what decides the rest; on one line of a terminal."""
    compared = [pair.task_time for table in summary.tables for pair in table.pairs if pair.task_time.p_holm is not None]
    claimed = sum(each.lower is not None for each in compared)
    if not compared:
        return ""
    if claimed == len(compared):
        return f"Significant (5 %): {'every' if claimed > 1 else 'the'} time difference."
    cut = sum(each.open for each in compared)
    rest = f"cut answers decide {cut} of the rest" if cut else "the rest may be chance"
    return f"Significant (5 %): {claimed} of {len(compared)} time differences; {rest}."
