"""What limits the claims about a cell, how, and what to do about it; INVALID only where the measurement is broken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import partial
from typing import get_args

import numpy as np

from taskpace.analysis.data.arrays import TURNS_SHARE
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.column import FOREIGN
from taskpace.analysis.data.columns import Alike, Trials
from taskpace.analysis.data.counts import same_counts
from taskpace.analysis.data.nodes import place_column
from taskpace.analysis.data.streams import BURST_SHARE
from taskpace.analysis.schema.summary import Invalidates, MeasuredRow, Reason
from taskpace.analysis.stats.significance import growths
from taskpace.analysis.table.again import again, further
from taskpace.analysis.table.client import against_result, business, clocks, lateness
from taskpace.analysis.table.imported import as_imported
from taskpace.analysis.table.pairs import Pair
from taskpace.records import Outcome
from taskpace.telemetry import POWER_LIMIT

LEAST_ITEMS = 10
"""With fewer, most items are all that can be claimed about."""
TRUNCATION_LIMIT = 0.02
"""From here on a cut is a finding about the system's answers."""
CACHED_LIMIT = 0.01
"""Of the prompt tokens."""
MISCOUNTED_LIMIT = 0.02
"""Of the reports of tokens."""
DRIFT_LIMIT = 0.10
DRIFT_P = 0.01
STEAL_LIMIT = 0.05
LEAST_STOLEN_TICKS = 10
"""A tick is 10 ms or so: in a short cell one of them is not a share worth naming."""
THROTTLE_LIMIT = 0.01

ENDPOINT = frozenset({"bursts", "hidden-reasoning", "miscounted", "same-prompt-tokens"})
"""Codes of what a server, or a proxy before it, does not let anybody know."""
MACHINE = frozenset({"drift", "steal", "throttled", "gpu-throttled"})
"""Codes of what the machine did: it hits systems alike that take turns, and unequally those that do not."""


def reasons_against(trials: Trials, cell: CellPlan) -> tuple[Reason, ...]:
    """List what limits the claims about a cell, most severe first.

    Args:
        trials: the cell's last attempts, in dispatch order.
        cell: as planned, and how the client fared.
    """
    found = (
        *lateness(trials, cell),
        *(() if cell.in_process else business(trials, cell)),
        *clocks(trials, cell),
        *_cached(trials, cell),
        *_resumed(trials, cell),
        *_machine(trials, cell),
        *_token_counts(trials, cell),
        *_decode_speed(trials),
        *_cut_short(trials, cell),
        *_incomplete(trials, cell),
    )
    # Stable: within one kind in the order above.
    return tuple(sorted(as_imported(found, cell), key=lambda reason: _SEVERITY.index(reason.invalidates)))


_SEVERITY = get_args(Invalidates)


def can_be_compared(pair: Pair, a: MeasuredRow, b: MeasuredRow) -> bool:
    """Whether a pair may be claimed about: both rows are valid, and nothing the machine did hit them unequally."""
    if not (a.valid and b.valid):
        return False
    return pair.turns or not any(reason.code in MACHINE for row in (a, b) for reason in row.reasons)


def cut_remedies(rows: Iterable[MeasuredRow]) -> list[str]:
    """What to do about the cut answers of these rows, each once."""
    reasons = [reason for row in rows for reason in row.reasons if reason.invalidates == "full task time"]
    return list(dict.fromkeys(reason.remedy for reason in reasons))


def _incomplete(trials: Trials, cell: CellPlan) -> Iterator[Reason]:
    planned = cell.planned
    if trials.height < planned and cell.imported is not None:
        yield Reason(
            code="missing",
            text=f"{planned - trials.height} of {planned} missing from the log",
            remedy="import a complete log",
            invalidates="certainty",
        )
    elif trials.height < planned and cell.not_opened is not None:
        yield Reason(
            code="not-opened",
            text=f"{planned - trials.height} of {planned} not run: {cell.not_opened}",
            remedy=f"see to that, then continue it: {further(cell)}",
            invalidates="certainty",
        )
    elif trials.height < planned:
        yield Reason(
            code="not-run",
            text=f"{planned - trials.height} of {planned} not run",
            remedy=f"continue it: {further(cell)}",
            invalidates="certainty",
        )
    items = trials.items
    if 0 < items < LEAST_ITEMS:
        what = "one item" if items == 1 else f"only {items} items"
        yield Reason(code="too-few", text=what, remedy=ask(LEAST_ITEMS, items, cell), invalidates="certainty")


def ask(items: int, asked: int, cell: CellPlan) -> str:
    """The remedy of too few items: ``items`` of them, or as many as the starter set has."""
    available = cell.starter_items
    if available is None or items <= available:
        return f"ask {items} or more: {further(cell, items=str(items))}"
    if asked < available:
        return f"ask all {available} of the starter set: {further(cell, items=str(available))}"
    return f"the starter set has no more than these {available}: give the task data of your own (docs/tasks.md)"


def more_tokens(cell: CellPlan) -> str:
    """The remedy of truncated answers: twice the limit, in a run of its own, as the limit is part of every trial.

    The command sets the limit of every task, so it is at least the greatest of them.
    """
    if cell.limited or cell.max_tokens is None:
        return "raise the `max_tokens` of the system in its experiment file"
    limit = max(2 * cell.max_tokens, cell.greatest_limit)
    return f"allow {limit} tokens: {again(cell, max_tokens=str(limit))}"


def _more_time(cell: CellPlan) -> str:
    if cell.timeout_s is None:
        return "raise `timeout` in the experiment file"
    limit = f"{2 * cell.timeout_s:g}"
    return f"allow {limit} s: {again(cell, timeout=limit)}"


def _cut_short(trials: Trials, cell: CellPlan) -> Iterator[Reason]:
    endings: tuple[tuple[Outcome, str, str, str], ...] = (
        ("error", "errors", "ended in an error", "see why: `taskpace show RUN --outcome error`"),
        ("truncated", "truncated", "truncated", more_tokens(cell)),
        ("timeout", "timeouts", "timed out", _more_time(cell)),
    )
    for outcome, code, what, remedy in endings:
        if count := trials.outcomes.get(outcome):
            yield Reason(
                code=code,
                text=f"{count} of {trials.height} {what}, so their task time is a lower bound",
                remedy=remedy,
                invalidates="full task time",
            )
    if late := trials.count("late"):
        yield Reason(
            code="suspended",
            text=f"{late} of {trials.height} while taskpace itself stood still, so their task time is an upper bound",
            remedy=f"keep the machine awake and its memory free, then {again(cell)}",
            invalidates="full task time",
        )


def _machine(trials: Trials, cell: CellPlan) -> Iterator[Reason]:
    """What the machine did to the seconds: of systems that took turns it did the same to all."""
    took_turns = trials.height > 0 and len(trials.known("round")) >= TURNS_SHARE * trials.height
    invalidates: Invalidates = "absolute seconds" if took_turns else "claims between systems"
    drifts = not (cell.open_loop or cell.batched)
    for code, text, remedy in (*_foreign(cell), *(_drift(trials, cell) if drifts else ())):
        yield Reason(code=code, text=text, remedy=remedy, invalidates=invalidates)


Told = tuple[str, str, str]
"""Code, text and remedy."""


def _foreign(cell: CellPlan) -> Iterator[Told]:
    segments = cell.segments
    stolen = sum(segment.steal_ticks or 0 for segment in segments)
    ticks = sum(segment.cpu_ticks or 0 for segment in segments)
    if stolen >= LEAST_STOLEN_TICKS and stolen > STEAL_LIMIT * ticks:
        yield (
            "steal",
            f"other machines took {100 * stolen / ticks:.0f} % of the processor",
            f"use a machine of your own: {again(cell)}",
        )
    throttled = sum(segment.throttled_ns or 0 for segment in segments)
    wall = sum(segment.wall_ns for segment in segments)
    if wall and throttled > THROTTLE_LIMIT * wall:
        yield (
            "throttled",
            f"held back by its CPU quota for {100 * throttled / wall:.0f} % of the time",
            f"raise the quota, then {again(cell)}",
        )
    # A power limit is the card's normal state at full load; heat and a power brake are not.
    held = [
        word
        for segment in segments
        for reading in (segment.energy.readings if segment.energy else ())
        for word in reading.throttling
        if word != POWER_LIMIT
    ]
    if held:
        yield (
            "gpu-throttled",
            f"the GPU held its clock back: {', '.join(dict.fromkeys(held))}",
            f"cool it, then {again(cell)}",
        )


def _drift(trials: Trials, cell: CellPlan) -> Iterator[Told]:
    """The machine's pace in the first against the last third of the trials, by Welch's t-test on logarithms.

    TPOT, because it depends on the item least; task time where answers have no second token. Neither shows the
    machine in an open loop, where with a growing backlog tasks share it with more, nor in static batches, where a step
    takes as long as the longest prompt and the number of items make it, and the last batch may be smaller.
    """
    enough = len(trials.known("tpot_s")) > trials.height / 2
    grown = trials.found_by(_tpot_grown if enough else _task_time_grown)
    if grown is None:
        return
    difference, p = grown
    change = math.expm1(difference)
    if abs(change) > DRIFT_LIMIT and p < DRIFT_P:
        way = "slower" if change > 0 else "faster"
        yield (
            "drift",
            f"the machine became {100 * abs(change):.0f} % {way} from the first to the last third",
            f"keep other work off it, then {again(cell)}",
        )


def _grown(alike: Alike, pace: str) -> list[tuple[float, float] | None]:
    # The logarithm of a decrease by as much is farther from 0.
    return growths(alike[pace], math.log1p(DRIFT_LIMIT))


_tpot_grown, _task_time_grown = partial(_grown, pace="tpot_s"), partial(_grown, pace="task_time_s")


def _same_counts(alike: Alike) -> list[int | None]:
    return same_counts(alike["prompt_bytes"], alike["prompt_tokens"])


def _cached(trials: Trials, cell: CellPlan) -> Iterator[Reason]:
    """Of first turns: what is cached there comes from other conversations; later turns begin with their own."""
    known = trials.knowing("first_cached_tokens").knowing("first_prompt_tokens")
    prompt, cached = known.total("first_prompt_tokens"), known.total("first_cached_tokens")
    if cached > CACHED_LIMIT * prompt:
        yield against_result(
            "cached-prompts",
            f"{100 * cached / prompt:.0f} % of the prompt tokens came from a cache",
            f"turn prompt caching off, then {again(cell)}",
        )


def _token_counts(trials: Trials, cell: CellPlan) -> Iterator[Reason]:
    if trials.flagged(FOREIGN) is not None:
        yield Reason(
            code="foreign-tokens",
            text="tokens were counted by another model's tokenizer",
            remedy=f"have the server report usage, then {again(cell)}",
            invalidates="token counts",
        )
    if (wrong := trials.count("miscounted")) > MISCOUNTED_LIMIT * trials.height:
        yield Reason(
            code="miscounted",
            text=f"{wrong} of {trials.height} token counts contradict themselves or the text, and are unknown",
            remedy="compare task time and bytes, or ask the server itself instead of the gateway before it",
            invalidates="token counts",
        )
    if (count := trials.found_by(_same_counts)) is not None:
        yield Reason(
            code="same-prompt-tokens",
            text=f"the longest prompts have {count} tokens alike, though their lengths differ: the server cut them, or "
            "did not count them",
            remedy=f"raise the server's context (Ollama: `num_ctx`), then {again(cell)}",
            invalidates="token counts",
        )


def _decode_speed(trials: Trials) -> Iterator[Reason]:
    """Where tokens have no times of their own (``data.streams``), or some of them none at all."""
    if trials.flagged("bursts") is not None:
        yield Reason(
            code="bursts",
            text="the stream arrives in bursts; TTFT and tokens per second are the proxy's",
            remedy="have the proxy pass the stream on as it comes (nginx: `proxy_buffering off;`), or ask the server "
            "itself",
            invalidates="decode speed",
        )
    elif (hidden := trials.count("hidden_reasoning")) > BURST_SHARE * trials.height:
        yield Reason(
            code="hidden-reasoning",
            text=f"{hidden} of {trials.height} answers count reasoning that is not sent: tokens per second are unknown",
            remedy="have the server send its reasoning, or compare task time",
            invalidates="decode speed",
        )


def _resumed(trials: Trials, cell: CellPlan) -> Iterator[Reason]:
    if trials.unknown("round") is None:
        return
    workers = trials.known("worker")
    if not len(workers) or workers.max() == workers.min():
        return
    what, remedy = _why_resumed(trials, cell)
    if cell.open_loop:
        yield against_result("resumed", f"{what}, so the queue was empty again", remedy)
    else:
        yield Reason(code="resumed", text=f"{what}, so the makespan is unknown", remedy=remedy, invalidates="makespan")


def _why_resumed(trials: Trials, cell: CellPlan) -> tuple[str, str]:
    """Why several workers asked a cell's trials, and what to do about it."""
    place = place_column(trials.frame)
    if place is not None and (count := trials.frame[place].drop_nulls().n_unique()) > 1:
        if place == "shard":
            return f"asked in {count} run files", f"ask all of it in one run: {again(cell)}"
        return f"asked on {count} nodes", f"leave --ray out for a makespan: {again(cell)}"
    if len(np.unique(trials["session"])) > 1:
        return "interrupted and resumed", f"run it without interruption: {again(cell)}"
    if cell.lost_node:
        return "a node was lost and others asked the rest", f"repeat it: {again(cell)}"
    return "its worker crashed and another asked the rest", f"repeat it: {again(cell)}"
