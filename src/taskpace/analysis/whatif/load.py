"""A closed loop with several in flight: the speed of the server behind it, and what each answer takes in such a loop.

What each answer waits for (``loop``) is a sum of counts times seconds, and which counts follows from the seconds: so
the loop is played at a guess, the seconds are fitted to the counts, and so on until they stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.stats.special import least_squares
from taskpace.analysis.whatif.loop import Sent, Turn, count
from taskpace.analysis.whatif.speed import InFlight, Speed, prompt_tokens, seen, steps, turns, waits_known
from taskpace.experiment.rounds import round_size
from taskpace.experiment.scenario import Scenario

_ROUNDS = 12
_STEADY = 1e-3
"""Relative change of the predicted times at which the rounds end."""


def can_play(trials: pl.DataFrame) -> bool:
    """Whether it is known of each of these ``usable`` trials when it was sent."""
    return not trials["dispatch_ns"].has_nulls() and not trials["end_clock_ns"].has_nulls()


def fit_load(trials: pl.DataFrame, in_flight: int, fitted: Flags | None = None) -> Speed:
    """The speed from ``usable`` trials of one closed loop.

    No answer has less weight for being slow: under load that is the load.

    Args:
        trials: of one system in one scenario.
        in_flight: of its closed loop.
        fitted: those whose times are used; the others are in flight beside them. Null: all.
    """
    used = np.ones(trials.height, bool) if fitted is None else fitted
    blocks = _blocks(trials, _as_sent(trials), cold=False)
    most = _most_written(trials) if waits_known(trials) else in_flight
    tried = [
        (*_fit(trials, blocks, in_flight, slots, used), slots)
        for slots in sorted({in_flight, min(max(most, 1), in_flight)}, reverse=True)
    ]
    _, found, slots = min(tried, key=lambda each: each[0])
    turn_s, own_s, read_s, step_s, other_s = (float(each) for each in found)
    prompts, answers = seen(trials.filter(pl.Series(used)))
    return Speed(
        wait_s=turn_s,
        wait_per_prompt_token_s=own_s + read_s,
        tpot_s=step_s,
        load=InFlight(in_flight=in_flight, slots=slots, tpot_per_other_s=other_s, wait_per_other_prompt_token_s=read_s),
        prompt_tokens=prompts,
        output_tokens=answers,
    )


def in_loop(trials: pl.DataFrame, speed: Speed, load: InFlight, *, cold: bool, as_sent: bool) -> tuple[Floats, Floats]:
    """Seconds of wait, and seconds in all, in such a loop; ``cold`` as of ``speed.prompt_tokens``.

    They are sent in the order in which these very trials were sent (``as_sent``), or else in the plan's, in the blocks
    of a run.
    """
    size = round_size(Scenario(concurrency=load.in_flight), together=True) or trials.height
    rows = _as_sent(trials) if as_sent else _as_planned(trials, size)
    read_s = load.wait_per_other_prompt_token_s
    own_s = speed.wait_per_prompt_token_s - read_s
    seconds = np.array([speed.wait_s, own_s, read_s, speed.tpot_s, load.tpot_per_other_s])
    blocks = _blocks(trials, rows, cold=cold)
    wait, total = count(blocks, seconds, trials.height, load.in_flight, load.slots)
    return wait @ seconds, total @ seconds


def _fit(
    trials: pl.DataFrame, blocks: Sequence[Sequence[Sent]], in_flight: int, slots: int, used: Flags
) -> tuple[float, Floats]:
    """The mean error, and the seconds of each unit of ``loop``."""
    wait, total = (trials[name].cast(pl.Float64).to_numpy() for name in ("wait_s", "task_time_s"))
    apart = waits_known(trials)
    tokens = max(float(steps(trials).sum()), 1.0)
    step_s = float(total.sum()) / tokens / 2
    asked = max(float(prompt_tokens(trials).mean()), 1.0)
    seconds = np.array([1e-3, 0.0, float(total.mean()) / asked / in_flight / 2, step_s, step_s / in_flight])
    best, before = (np.inf, seconds), np.zeros(trials.height)
    for number in range(_ROUNDS):
        waited, whole = count(blocks, seconds, trials.height, in_flight, slots)
        predicted = np.maximum(whole @ seconds, 1e-9)
        error = float(np.mean(np.abs(np.log(predicted / total))[used]))
        if error < best[0]:
            best = error, seconds
        if np.max(np.abs(predicted / np.maximum(before, 1e-12) - 1)) < _STEADY:
            break
        before = predicted
        # Weights by what is predicted: by what was measured, slow answers would count too little.
        weight = 1 / predicted[used]
        rows = [(whole, total), (waited, wait)] if apart else [(whole, total)]
        columns = np.concatenate([each[used] * weight[:, None] for each, _ in rows])
        found = np.asarray(least_squares(columns, np.concatenate([each[used] * weight for _, each in rows])))
        seconds = found if number < 2 else (seconds + found) / 2
    return best


def _blocks(trials: pl.DataFrame, rows: Sequence[Sequence[int]], *, cold: bool) -> list[list[Sent]]:
    """A trial's turns are taken as equally long: their sums are what is known."""
    asked, written, count = prompt_tokens(trials, cold=cold), steps(trials), turns(trials)

    def sent(row: int) -> Sent:
        number = int(count[row])
        ends = np.rint(np.linspace(0, written[row], number + 1)).astype(int)
        return Sent(row, [Turn(asked[row] / number, int(each)) for each in np.diff(ends)])

    return [[sent(row) for row in block] for block in rows]


def _as_sent(trials: pl.DataFrame) -> list[list[int]]:
    """Rows in the order in which they were sent; a block ends where nothing was in flight any more."""
    found: list[list[int]] = []
    keys = ["task", "session", "worker"]
    for part in trials.with_row_index("row").partition_by(keys, maintain_order=True):
        last_end = -1
        for row, begin, end in part.sort("dispatch_ns").select("row", "dispatch_ns", "end_clock_ns").iter_rows():
            if begin > last_end:
                found.append([])
            found[-1].append(row)
            last_end = max(last_end, end)
    return found


def _as_planned(trials: pl.DataFrame, size: int) -> list[list[int]]:
    """Rows in the plan's order, as many in a block as a run would send."""
    found: list[list[int]] = []
    for part in trials.with_row_index("row").partition_by("task", maintain_order=True):
        rows = part.sort("trial_position")["row"].to_list()
        found += [rows[begin : begin + size] for begin in range(0, len(rows), size)]
    return found


def _most_written(trials: pl.DataFrame) -> int:
    """The most answers between their first and their last token at one time: a server writes no more than its slots."""
    most = 0
    for part in trials.partition_by("session", "worker"):
        begun = part["dispatch_ns"].to_numpy() + 1e9 * part["wait_s"].to_numpy()
        ended = part["end_clock_ns"].to_numpy()
        written = ended > begun
        when = np.concatenate([begun[written], ended[written]])
        change = np.repeat([1, -1], int(written.sum()))
        most = max(most, int(np.max(np.cumsum(change[np.lexsort((change, when))]), initial=0)))
    return most
