"""The rows of a table: every number about one system on one task, not yet ranked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.columns import Columns, Trials
from taskpace.analysis.data.makespan import clocks_apart_s, makespan_s
from taskpace.analysis.data.sample import Sample
from taskpace.analysis.schema.summary import Client, MeasuredRow, SolvePoint
from taskpace.analysis.stats.estimates import (
    UNKNOWN,
    Estimate,
    Sampled,
    accuracy,
    number,
    quantiles_of_each,
    samples_for,
    solve_curve,
)
from taskpace.analysis.stats.intervals import Flags, Floats, Reach, of_means, share_interval
from taskpace.analysis.table.backlog import find_backlog
from taskpace.analysis.table.cost import find_cost
from taskpace.analysis.table.energy import find_energy
from taskpace.analysis.table.phases import Phases, phases, written_bytes
from taskpace.analysis.table.totals import at_least, time_totals, token_totals
from taskpace.analysis.table.validity import reasons_against
from taskpace.records import CUT, CUT_OFF, Outcome

_TIMES = {
    "ttft_median_s": "ttft_s",
    "first_answer_median_s": "first_answer_s",
    "committed_median_s": "committed_s",
    "tpot_median_s": "tpot_s",
    "tokens_per_s_median": "tokens_per_s",
    "bytes_per_s_median": "bytes_per_s",
}
_LENGTHS = {
    "output_tokens_median": "output_tokens",
    "output_bytes_median": "output_bytes",
    "reasoning_bytes_median": "reasoning_bytes",
}
_PERCENTILES = {"task_time_p90_s": 0.90, "task_time_p95_s": 0.95, "task_time_p99_s": 0.99}
_DEADLINES = 24


def make_rows(
    cells: list[CellPlan],
    sample: Sample,
    limit_s: float,
    deadline_s: float | None = None,
    *,
    reach: Reach | None = None,
) -> list[MeasuredRow]:
    """One row for each cell of a table.

    Args:
        cells: of one task in one scenario.
        sample: their last attempts, in dispatch order within a cell.
        limit_s: L of PAR-2.
        deadline_s: for goodput; null: none.
        reach: of all intervals, where the data decided how many items there are; null: their number was fixed.
    """
    in_time = sample.shared.in_time
    means, per_correct, par2 = time_totals(in_time, limit_s, reach)
    tokens, tokens_per_correct = token_totals(sample.own.in_time, reach)
    deadlines = _deadlines(in_time)
    task_times = _task_times(cells, sample, reach)
    medians = _medians(sample, reach)
    rows = []
    for index, (cell, part, timed) in enumerate(zip(cells, sample.cells, sample.timed, strict=True)):
        ended = part.ended
        reasons = reasons_against(part, cell)
        whole_s = makespan_s(part.frame, cell.planned, cell.segments)
        graded = cell.graded and part.height > 0
        has_times = cell.imported is None or "time" not in cell.imported.unknown
        solved = (in_time.task_time_s[index], in_time.correct[index])
        share = accuracy(sample.own.correct[index], reach) if graded else UNKNOWN
        joules, no_joules = find_energy(
            [segment.energy for segment in cell.segments], part.height, share, alone=cell.alone
        )
        rows.append(
            MeasuredRow(
                system=cell.system,
                valid=part.height > 0 and not any(reason.invalidates == "result" for reason in reasons),
                reasons=reasons,
                planned=cell.planned,
                n=part.height,
                items=part.items,
                batches=part.frame["dispatch_ns"].drop_nulls().n_unique() if cell.batched else None,
                retried=int(np.count_nonzero(part["attempt"] > 1)),
                outcomes=part.outcomes,
                cut=sum(part.outcomes.get(outcome, 0) for outcome in CUT),
                never_answered=_never_answered(part),
                **task_times[index],
                task_time_mean_s=means[index],
                phases=_phases(ended.in_time),
                written_bytes=written_bytes(ended),
                **medians[index],
                output_tokens_mean=tokens[index],
                tokens_per_correct=tokens_per_correct[index] if graded else UNKNOWN,
                bytes_per_output_token=_bytes_per_token(ended, ("output_bytes", "reasoning_bytes"), "output_tokens"),
                bytes_per_prompt_token=_bytes_per_token(ended, ("prompt_bytes",), "prompt_tokens"),
                cached_between_turns_share=_cached_between_turns(ended),
                accuracy=share,
                score_mean=_score_mean(part, reach, by_item=sample.own.repeats > 1),
                time_per_correct_s=_with_untimed(per_correct[index], part) if graded and has_times else UNKNOWN,
                # Without a time limit of its own, as of an imported log, a system has no penalty for a wrong answer.
                par2_s=par2[index] if graded and cell.imported is None else UNKNOWN,
                solve_curve=_curve(*solved, deadlines, reach) if graded and has_times else (),
                makespan_s=whole_s,
                tasks_per_hour=3600 * part.height / whole_s if whole_s else None,
                goodput=_goodput(
                    timed.in_time, "correct" if cell.graded else "completed", deadline_s if has_times else None, reach
                ),
                client=_client(part, cell),
                backlog=find_backlog(part.frame) if cell.open_loop and whole_s is not None else None,
                energy=joules,
                energy_missing=no_joules,
                price=cell.price,
                cost=find_cost(cell, part.frame, in_time, index, reach),
            )
        )
    return rows


def _never_answered(part: Columns) -> int:
    cut_off = part.having(*CUT_OFF)
    return 0 if cut_off is None else int(np.count_nonzero(cut_off & part["unanswered"]))


def _task_times(cells: Sequence[CellPlan], sample: Sample, reach: Reach | None) -> list[dict[str, Estimate]]:
    """The median, and the percentiles for which there are enough samples, of all trials: a cut one took as long as was
    recorded or longer, a failed one without a time 0 s or longer. With one answer of a static batch all of it is cut.
    Times of late ones are not known.
    """
    by_item = sample.shared.repeats > 1
    times = [
        Sampled(_recorded(trials), trials["item"] if by_item else None, _cut(trials, batched=cell.batched))
        for cell, trials in zip(cells, sample.timed, strict=True)
    ]
    found = [dict.fromkeys(("task_time_median_s", *_PERCENTILES), UNKNOWN) for _ in times]
    # Those with as many samples have the same percentiles.
    by_number: dict[int, list[int]] = {}
    for index, each in enumerate(times):
        by_number.setdefault(int(np.count_nonzero(np.isfinite(each.values))), []).append(index)
    for n, indices in by_number.items():
        able = {name: share for name, share in _PERCENTILES.items() if n >= samples_for(share)}
        estimates = quantiles_of_each([times[index] for index in indices], (0.5, *able.values()), reach)
        for index, of_one in zip(indices, estimates, strict=True):
            found[index] |= dict(zip(("task_time_median_s", *able), of_one, strict=True))
    return found


def _recorded(trials: Trials) -> Floats:
    failed, recorded = trials.having("error"), trials["task_time_s"]
    if failed is not None:
        recorded = np.where(failed & trials["timed"], np.nan_to_num(recorded), recorded)
    return trials.unless_late(recorded)


def _cut(trials: Trials, *, batched: bool) -> Flags | None:
    cut = trials.having(*CUT)
    if not batched or cut is None:
        return cut
    sent = pl.coalesce("dispatch_ns", -pl.int_range(1, pl.len() + 1))
    of_batch = trials.frame.select("worker", sent.alias("sent"), cut=pl.Series(cut))
    return of_batch.select(pl.col("cut").any().over("worker", "sent")).to_series().to_numpy()


def _medians(sample: Sample, reach: Reach | None) -> list[dict[str, Estimate]]:
    """Of times and lengths, by the name of the row's field."""
    ended = [part.ended for part in sample.cells]
    unit_of = [timed.ended["item"] if sample.shared.repeats > 1 else None for timed in sample.timed]
    item_of = [trials["item"] if sample.own.repeats > 1 else None for trials in ended]
    cut_off = [trials.having(*CUT_OFF) for trials in ended]
    sampled = {
        name: [Sampled(trials.unless_late(trials[column]), unit) for trials, unit in zip(ended, unit_of, strict=True)]
        for name, column in _TIMES.items()
    } | {
        name: [Sampled(trials[column], item, cut) for trials, item, cut in zip(ended, item_of, cut_off, strict=True)]
        for name, column in _LENGTHS.items()
    }
    found: list[dict[str, Estimate]] = [{} for _ in ended]
    for name, of_each in sampled.items():
        for row, (median,) in zip(found, quantiles_of_each(of_each, (0.5,), reach), strict=True):
            row[name] = median
    return found


def _score_mean(part: Columns, reach: Reach | None, *, by_item: bool) -> Estimate:
    """Over items, each the mean of its trials that have a score."""
    known = part.knowing("score")
    if not known.height:
        return UNKNOWN
    scores = known["score"]
    if by_item and (np.bincount(item_of := known["item"]) > 1).any():
        scored = pl.DataFrame({"item": item_of, "score": scores}).group_by("item", maintain_order=True)
        scores = scored.agg(pl.col("score").mean())["score"].to_numpy()
    found = of_means(scores[:, None], reach)
    # What is not known stays so: NaN is clipped to itself.
    value, low, high = (float(np.clip(end[0], 0, 1)) for end in (found.value, found.low, found.high))
    return number(value, low, high)


def _phases(ended: Columns) -> Phases | None:
    """Unknown where another tool's log does not say when an answer began."""
    return None if _any_imported_without(ended, "ttft_s") else phases(ended)


def _with_untimed(per_correct: Estimate, part: Columns) -> Estimate:
    """A lower bound where another tool's log does not say how long its failed samples took."""
    return at_least(per_correct) if _any_imported_without(part, "task_time_s") else per_correct


def _any_imported_without(trials: Columns, column: str) -> bool:
    imported, unknown = trials.flagged("imported"), trials.unknown(column)
    return imported is not None and unknown is not None and bool((imported & unknown).any())


def _deadlines(arrays: Arrays) -> Floats:
    """A common grid, even on a logarithmic scale, from the quickest trial of the table to the slowest."""
    times = arrays.task_time_s
    if not times.size or not times.min() > 0:
        times = times[times > 0]
    if not len(times):
        return np.empty(0)
    return np.geomspace(times.min(), times.max(), _DEADLINES)


def _curve(time_s: Floats, correct: Floats, deadlines: Floats, reach: Reach | None) -> tuple[SolvePoint, ...]:
    shares = solve_curve(time_s, correct, deadlines, reach)
    return tuple(SolvePoint(float(deadline), share) for deadline, share in zip(deadlines, shares, strict=True))


def _goodput(trials: Columns, wanted: Outcome, deadline_s: float | None, reach: Reach | None) -> Estimate:
    if deadline_s is None or not trials.height:
        return UNKNOWN
    in_time = trials["task_time_s"] <= deadline_s
    wanted_ones = trials.having(wanted)
    good = np.zeros(trials.height, dtype=bool) if wanted_ones is None else wanted_ones & in_time
    counts = np.bincount(trials["item"])
    hits = np.bincount(trials["item"][good], minlength=len(counts))
    hits_of, trials_of = (each[counts > 0].astype(np.float64) for each in (hits, counts))
    return number(*share_interval(hits_of, trials_of, reach))


def _client(part: Columns, cell: CellPlan) -> Client:
    segments = cell.segments
    delays = part.known("send_delay_s")
    p99 = -(-99 * len(delays) // 100) - 1
    cpu_s = sum(segment.client_cpu_ns for segment in segments) / 1e9
    wall_s = sum(segment.wall_ns for segment in segments) / 1e9
    return Client(
        loop_lag_p99_s=_greatest([segment.loop_lag_p99_ns for segment in segments], 1e-9),
        loop_lag_max_s=_greatest([segment.loop_lag_max_ns for segment in segments], 1e-9),
        send_delay_p99_s=float(np.partition(delays, p99)[p99]) if len(delays) else None,
        send_delay_max_s=float(delays.max()) if len(delays) else None,
        round_trip_s=cell.round_trip_s,
        cpu_per_trial_s=cpu_s / part.height if segments and part.height else None,
        cpu_share=cpu_s / wall_s if wall_s else None,
        peak_rss_bytes=max((segment.peak_rss_bytes for segment in segments if segment.peak_rss_bytes), default=None),
        device_peak_bytes=max(
            (segment.device_peak_bytes for segment in segments if segment.device_peak_bytes), default=None
        ),
        nodes=len({segment.node for segment in segments if segment.node}) or 1,
        clocks_apart_s=clocks_apart_s(segments),
    )


def _greatest(values: list[int | None], scale: float) -> float | None:
    return max((value * scale for value in values if value is not None), default=None)


def _bytes_per_token(ended: Columns, sizes: tuple[str, ...], tokens: str) -> Estimate:
    """Ratio of totals over the trials whose tokens are known; without an interval: it describes these trials alone."""
    known = ended.knowing(tokens)
    total = known.total(tokens)
    return number(sum(map(known.total, sizes)) / total) if total else UNKNOWN


def _cached_between_turns(ended: Columns) -> float | None:
    known = ended.knowing("cached_tokens").knowing("prompt_tokens")
    prompt = known.total("prompt_tokens") - known.total("first_prompt_tokens")
    return (known.total("cached_tokens") - known.total("first_cached_tokens")) / prompt if prompt else None
