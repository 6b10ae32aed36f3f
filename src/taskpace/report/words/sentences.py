"""What a table says, in sentences: who finishes first, who only looks fast, why, and how sure that is."""

from __future__ import annotations

import math

from taskpace.analysis.schema.summary import Finding, SystemRow, TaskTable
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.pairs import Pair, is_inverted
from taskpace.report.words.block import begun
from taskpace.report.words.causes import why
from taskpace.report.words.claims import at_least, claim, open_verdict, rests_on_cuts
from taskpace.report.words.figures import TWO_DECIMALS, digits, seconds_of, within
from taskpace.report.words.gate import gate_line
from taskpace.report.words.makespan import makespan_lines
from taskpace.report.words.settled import settled_lines
from taskpace.report.words.unranked import no_ranking

_MOST_NOTES = 2
NO_SPEEDS = "There is no ranking by tokens per second"
"""As where the log of another tool does not show them."""


def sentences(table: TaskTable) -> list[str]:
    """The paragraphs below a table, the answer first."""
    return _of_the_ranking(table) + makespan_lines(table) + until_lines(table) + _of_the_cache(table)


def until_lines(table: TaskTable) -> list[str]:
    """How a table stands that is asked until its ranking is settled; none for others."""
    found = table.settled
    if found is None:
        return []
    if found.gate:
        return [gate_line([found], None)]
    finished = all(row.n >= row.planned for row in table.rows)
    return settled_lines(found.pairs, items=found.items, finished=finished, margin=found.margin)


def _of_the_cache(table: TaskTable) -> list[str]:
    """How much of later turns' prompts a cache had, where one had any: it makes them quicker."""
    shares = [(row.system, row.cached_between_turns_share) for row in table.rows if row.cached_between_turns_share]
    if not shares:
        return []
    told = ", ".join(f"{system} {100 * share:.0f} %" for system, share in shares)
    return [f"Of the prompt tokens of later turns, which repeat what was said before, came from a cache: {told}."]


def _of_the_ranking(table: TaskTable) -> list[str]:
    ranked = [row for row in table.rows if row.rank_task_time]
    if len(ranked) < 2:
        return [no_ranking(table, ranked)]
    rows, both = _ranked(table)
    pairs = [pair for pair in both if not _unequal(pair)]
    if not pairs:
        return ["No ranking: the machine did not keep its pace, and the systems did not take turns."]
    inverted = _headline(rows, pairs)
    said = [_grade(rows, inverted) + _per_correct(ranked)]
    explained = inverted or _slowest(rows, pairs)
    if explained is not None and explained.split is not None and explained.task_time.significant:
        cut = explained.task_time.cut_a + explained.task_time.cut_b > 0
        said.append(why(explained.a, explained.b, explained.split, explained.output_bytes, recorded=cut, sooner=True))
    said.extend(_claims(rows, pairs, inverted))
    if apart := [f"{pair.a} and {pair.b}" for pair in both if _unequal(pair)]:
        more = f" and {len(apart) - _MOST_NOTES} more pairs" if len(apart) > _MOST_NOTES else ""
        said.append(
            f"Not compared, as the machine changed and they did not take turns: {'; '.join(apart[:_MOST_NOTES])}{more}."
        )
    if table.settled is None:
        said.extend(_undecided(pairs))
    if agreement := _agreement(table):
        said.append(agreement)
    return said


def _unequal(pair: Pair) -> bool:
    """What the machine did hit two valid systems unequally, so that nothing is claimed of them."""
    return pair.task_time.p is not None and pair.task_time.p_holm is None


def headline(table: TaskTable) -> Pair | None:
    """The inversion to tell of on a task; null: none is claimed."""
    return _headline(*_ranked(table))


def slowest_pair(table: TaskTable) -> Pair | None:
    """The first against the one that takes longest in comparison with it; null: no such difference is claimed."""
    found = _slowest(*_ranked(table))
    return found if found is not None and found.task_time.lower == "a" else None


def _ranked(table: TaskTable) -> tuple[dict[str, SystemRow], list[Pair]]:
    rows = {row.system: row for row in table.rows if row.rank_task_time}
    return rows, [pair for pair in table.pairs if pair.a in rows and pair.b in rows]


def _headline(rows: dict[str, SystemRow], pairs: list[Pair]) -> Pair | None:
    """The inversion to tell of: one that involves the first in both rankings if there is such a one."""
    by_tokens = {name for name, row in rows.items() if row.rank_tokens_per_s}
    inverted = [pair for pair in pairs if {pair.a, pair.b} <= by_tokens and is_inverted(pair)]
    if not inverted:
        return None
    return min(
        inverted,
        key=lambda pair: (
            rows[pair.a].rank_task_time,
            rows[pair.b].rank_tokens_per_s or math.inf,
            -(pair.task_time.change.value or 0),
        ),
    )


def _slowest(rows: dict[str, SystemRow], pairs: list[Pair]) -> Pair | None:
    """The first against the one that takes longest in comparison with it."""
    from_first = [pair for pair in pairs if rows[pair.a].rank_task_time == 1 and pair.task_time.lower == "a"]
    return max(from_first, key=lambda pair: pair.task_time.change.value or 0.0, default=None)


def against(a: Estimate, b: Estimate, pair: Pair) -> str:
    """``1.2 s against 3.4 s``; where the medians do not show it, the paired ratio, which decides the rank."""
    shown = a.value is not None and b.value is not None and a.value < b.value
    if shown and a.bound is None and seconds_of(a) != seconds_of(b):
        return f"{seconds_of(a)} against {seconds_of(b)}"
    change = pair.task_time.change
    if pair.task_time.basis == "most" or change.value is None:
        return "sooner on most items"
    return f"item by item in {at_least(change.bound)}{change.value:.2f} times the time"


def speeds_against(a: Estimate, b: Estimate, pair: Pair) -> tuple[str, str]:
    """``60 against 84``, and ``84`` alone; where medians do not show it, the paired ratio, which decides the rank."""
    if shows_speeds(a, b):
        low, high = digits(a.value, 2), digits(b.value, 2)
        return f"{low} against {high}", high
    change = pair.tokens_per_s.change
    if pair.tokens_per_s.basis == "most" or change.value is None:
        return "on most items more", f"more than {pair.a} on most items"
    ratio = f"{at_least(change.bound)}{change.value:.2f} times"
    return f"item by item {ratio} the", f"item by item {ratio} those of {pair.a}"


def shows_speeds(a: Estimate, b: Estimate) -> bool:
    """Whether medians, as they are printed, show that ``b`` has more tokens per second."""
    return (
        a.value is not None and b.value is not None and a.value < b.value and digits(a.value, 2) != digits(b.value, 2)
    )


def _grade(rows: dict[str, SystemRow], inverted: Pair | None) -> str:
    firsts = [name for name, row in rows.items() if row.rank_task_time == 1]
    fastest = [name for name, row in rows.items() if row.rank_tokens_per_s == 1]
    if inverted is not None:
        a, b = rows[inverted.a], rows[inverted.b]
        times = against(a.task_time_median_s, b.task_time_median_s, inverted)
        sure = "" if inverted.inversion_probability is None else f" ({percent_sure(inverted.inversion_probability)})"
        if inverted.a in firsts and inverted.b in fastest:
            most = "has the most tokens per second" if len(fastest) == 1 else "is among the first in tokens per second"
            first = "finishes first" if len(firsts) == 1 else "is among the first to finish"
            _, speed = speeds_against(a.tokens_per_s_median, b.tokens_per_s_median, inverted)
            return f"{inverted.b} {most} ({speed}), yet {inverted.a} {first}: {times}{sure}."
        return (
            f"{_finish_first(firsts)}. But {inverted.b} has more tokens per second than {inverted.a} and finishes "
            f"after it: {times}{sure}."
        )
    if firsts == fastest and len(firsts) == 1:
        return f"Both rankings agree: {firsts[0]} is first by task time and by tokens per second."
    order = "Tokens per second gives no significantly different order" if fastest else NO_SPEEDS
    return f"{_finish_first(firsts)}. {order}."


def _finish_first(firsts: list[str]) -> str:
    return f"{_and(firsts)} {'finishes first' if len(firsts) == 1 else 'finish first (no significant difference)'}"


def _per_correct(ranked: list[SystemRow]) -> str:
    graded = [row for row in ranked if row.accuracy.value is not None]
    if not graded:
        return ""
    best = [row for row in graded if row.rank_time_per_correct == 1]
    if all(row.accuracy.value == 0 for row in graded):
        return " No ranked system has a correct answer."
    if all(row.time_per_correct_s.bound for row in best):
        return ""  # lower bounds: errors and cut answers leave open who takes the least
    firsts = [row for row in ranked if row.rank_task_time == 1]
    if any(row in best for row in firsts):
        return ""
    own = firsts[0].time_per_correct_s
    against = seconds_of(own) if own.value is not None else "none at all"
    return (
        f" Per correct answer {_and([row.system for row in best])} {'takes' if len(best) == 1 else 'take'} the least "
        f"time: {seconds_of(best[0].time_per_correct_s)}; {firsts[0].system} has {against}."
    )


def _claims(rows: dict[str, SystemRow], pairs: list[Pair], headline: Pair | None) -> list[str]:
    """On what the claims rest where answers were cut or items are few, and which pairs the cut answers leave open."""
    said = [
        claim((pair.a, pair.b), pair.task_time)
        for pair in pairs
        if pair is not headline and pair.task_time.lower is not None and rests_on_cuts(pair.task_time)
    ]
    undecided = [
        open_verdict((pair.a, pair.b), pair.task_time, (rows[pair.a], rows[pair.b]))
        for pair in pairs
        if pair.task_time.open
    ]
    notes = [*said[:_MOST_NOTES], *undecided[:_MOST_NOTES]]
    if (more := len(undecided) - _MOST_NOTES) > 0:
        notes.append(f"{more} more pairs are open: the cut answers decide.")
    return notes


def _undecided(pairs: list[Pair]) -> list[str]:
    """The power note of the pairs that the items at hand cannot distinguish."""
    open_pairs = [pair for pair in pairs if not pair.task_time.significant and pair.items_for_5_percent]
    notes = [not_distinguished((pair.a, pair.b), pair) for pair in open_pairs[:_MOST_NOTES]]
    more = len(open_pairs) - len(notes)
    return [*notes, f"{more} more pairs cannot be distinguished."] if more > 0 else notes


def no_difference(names: tuple[str, str], pair: Pair) -> str:
    """That two took the same time on each item, as a run and its copy do; nothing where they did not."""
    split = pair.split
    if split is None or any((split.difference_s.value, split.difference_s.low, split.difference_s.high)):
        return ""
    recorded = " by the recorded times" if pair.task_time.cut_a + pair.task_time.cut_b else ""
    items = pair.task_time.items
    which = f"any of {items} items" if items > 1 else "the one item that both have"
    return f"{names[0]} ~ {names[1]}: no difference in task time on {which}{recorded}."


def not_distinguished(names: tuple[str, str], pair: Pair) -> str:
    """The power note of one pair; nothing where it cannot be computed."""
    if same := no_difference(names, pair):
        return same
    if not pair.items_for_5_percent:
        return ""
    return (
        f"{names[0]} ~ {names[1]}: no significant difference in task time with {pair.task_time.items} items; "
        f"detecting a 5 % difference takes about {_rounded(pair.items_for_5_percent):,} items."
    )


def _rounded(n: int) -> int:
    """To two digits, upwards: the figure is no more exact than that."""
    unit: int = 10 ** max(0, len(str(n)) - 2)
    return -(-n // unit) * unit


def _agreement(table: TaskTable) -> str:
    if table.agreement is None or table.agreement.kendall_tau_b.value is None:
        return ""
    tau = table.agreement.kendall_tau_b
    return (
        f"Agreement of the two rankings over {table.agreement.systems} systems: Kendall's tau-b "
        f"{tau.value:.2f}{within(tau, TWO_DECIMALS.write)}; 1 is the same order, -1 the reverse."
    )


def finding_lines(table: TaskTable) -> list[str]:
    """Findings, one line for each kind with its remedy: told of the first system, the others named."""
    by_code: dict[str, list[tuple[str, Finding]]] = {}
    for row in table.rows:
        told = {reason.code for reason in row.reasons}
        for finding in row.findings:
            if finding.code not in told:
                by_code.setdefault(finding.code, []).append((row.system, finding))
    lines = [f"{_told_once(found)}. {begun(found[0][1].remedy)}." for found in by_code.values()]
    shared: dict[str, list[Finding]] = {}
    for finding in table.findings:
        shared.setdefault(finding.code, []).append(finding)
    return lines + [
        "; ".join(finding.text for finding in found) + f". {begun(found[0].remedy)}." for found in shared.values()
    ]


def _told_once(found: list[tuple[str, Finding]]) -> str:
    first = found[0][1].text
    same = [name for name, finding in found if finding.text == first]
    others = [name for name, finding in found if finding.text != first]
    return f"{_and(same)}: {first}" + (f"; likewise {_and(others)}" if others else "")


def percent_sure(probability: float) -> str:
    """``in 97 % of resamples``; never 0 or 100."""
    share = 100 * probability
    return f"in {'> 99' if share > 99 else f'{share:.0f}'} % of resamples"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
