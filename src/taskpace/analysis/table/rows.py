"""The rows of a table: every number about one system on one task, not yet ranked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.columns import Alike, Columns, Trials, together
from taskpace.analysis.data.makespan import clocks_apart_s, makespan_s
from taskpace.analysis.data.sample import Sample
from taskpace.analysis.schema.summary import Client, MeasuredRow, SolvePoint
from taskpace.analysis.stats.estimates import (
    UNKNOWN,
    Estimate,
    number,
    quantiles_of_each,
    samples_for,
    shares_of_correct,
    solve_curves,
)
from taskpace.analysis.stats.intervals import Flags, Floats, Reach, of_means
from taskpace.analysis.stats.quantiles import ranked_for
from taskpace.analysis.stats.shares import share_interval
from taskpace.analysis.table.backlog import find_backlog
from taskpace.analysis.table.cost import find_cost
from taskpace.analysis.table.energy import find_energy
from taskpace.analysis.table.imported import any_imported_without
from taskpace.analysis.table.per_correct import PerCorrect, of_time
from taskpace.analysis.table.phases import Phases, phases, written_bytes
from taskpace.analysis.table.totals import at_least, time_totals, token_totals
from taskpace.analysis.table.validity import reasons_against
from taskpace.records import CUT, CUT_OFF, Outcome

_TIMES = {
    "ttft_median_s": "ttft_s",
    "first_answer_median_s": "first_answer_s",
    "committed_median_s": "committed_s",
    "bytes_per_s_median": "bytes_per_s",
}
_PACES = ("tpot_median_s", "tokens_per_s_median")
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
    seconds: PerCorrect | None = None,
) -> list[MeasuredRow]:
    """One row for each cell of a table.

    Args:
        cells: of one task in one scenario.
        sample: their last attempts, in dispatch order within a cell.
        limit_s: L of PAR-2.
        deadline_s: for goodput; null: none.
        reach: of all intervals, where the data decided how many items there are; null: their number was fixed.
        seconds: time per correct answer of the same trials, if it is known.
    """
    in_time = sample.shared.in_time
    means, per_correct, par2 = time_totals(in_time, limit_s, reach, of_time(in_time) if seconds is None else seconds)
    tokens, tokens_per_correct = token_totals(sample.own.in_time, reach)
    task_times = _task_times(cells, sample, reach)
    medians = _medians(sample, reach)
    accuracies = shares_of_correct(*sample.own.answers, reach)
    scores = _score_means(sample, reach)
    curves = _curves(in_time, reach)
    stages = _phases([part.ended for part in sample.cells])
    written = written_bytes([part.ended for part in sample.cells])
    rows = []
    for index, (cell, part, timed) in enumerate(zip(cells, sample.cells, sample.timed, strict=True)):
        ended = part.ended
        reasons = reasons_against(part, cell)
        whole_s = makespan_s(part, cell.planned, cell.segments)
        graded = cell.graded and part.height > 0
        has_times = cell.imported is None or "time" not in cell.imported.unknown
        share = accuracies[index] if graded else UNKNOWN
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
                retried=_retried(part),
                outcomes=part.outcomes,
                cut=sum(part.outcomes.get(outcome, 0) for outcome in CUT),
                never_answered=_never_answered(part),
                **task_times[index],
                task_time_mean_s=means[index],
                phases=stages[index],
                written_bytes=written[index],
                **medians[index],
                output_tokens_mean=tokens[index],
                tokens_per_correct=tokens_per_correct[index] if graded else UNKNOWN,
                bytes_per_output_token=_bytes_per_token(ended, ("output_bytes", "reasoning_bytes"), "output_tokens"),
                bytes_per_prompt_token=_bytes_per_token(ended, ("prompt_bytes",), "prompt_tokens"),
                cached_between_turns_share=_cached_between_turns(ended),
                accuracy=share,
                score_mean=scores[index],
                time_per_correct_s=_with_untimed(per_correct[index], part) if graded and has_times else UNKNOWN,
                # Without a time limit of its own, as of an imported log, a system has no penalty for a wrong answer.
                par2_s=par2[index] if graded and cell.imported is None else UNKNOWN,
                solve_curve=curves[index] if graded and has_times else (),
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


def _retried(part: Columns) -> int:
    return int(np.count_nonzero(part["attempt"] > 1)) if part.greatest("attempt") > 1 else 0


def _never_answered(part: Columns) -> int:
    cut_off = part.having(*CUT_OFF)
    return 0 if cut_off is None else int(np.count_nonzero(cut_off & part["unanswered"]))


def _task_times(cells: Sequence[CellPlan], sample: Sample, reach: Reach | None) -> list[dict[str, Estimate]]:
    """The median, and the percentiles for which there are enough samples, of all trials: a cut one took as long as was
    recorded or longer, a failed one without a time 0 s or longer. With one answer of a static batch all of it is cut.
    Times of late ones are not known.
    """
    found = [dict.fromkeys(("task_time_median_s", *_PERCENTILES), UNKNOWN) for _ in cells]
    item_of = _items(sample.timed, sample.shared)
    cut = [_cut(trials, batched=cell.batched) for cell, trials in zip(cells, sample.timed, strict=True)]
    for indices, alike in together(sample.timed):
        times = _recorded(alike)
        finite = np.isfinite(times)
        known = np.full(len(times), times.shape[1]) if finite.all() else np.count_nonzero(finite, axis=1)
        as_arrays = times is alike["task_time_s"] and times.shape == sample.shared.task_time_s[..., 0].shape
        # Those with as many samples have the same percentiles.
        for n in sorted(set(known.tolist())):
            able = {name: share for name, share in _PERCENTILES.items() if n >= samples_for(share)}
            some = np.flatnonzero(known == n)
            estimates = quantiles_of_each(
                times if len(some) == len(times) else times[some],
                (0.5, *able.values()),
                reach,
                item_of=[item_of[indices[row]] for row in some],
                cut=[cut[indices[row]] for row in some],
                ranked=sample.shared.ranked_s if as_arrays and len(some) == len(times) else None,
            )
            for row, of_one in zip(some, estimates, strict=True):
                found[indices[row]] |= dict(zip(("task_time_median_s", *able), of_one, strict=True))
    return found


def _items(cells: Sequence[Columns], arrays: Arrays) -> list[NDArray[np.intp] | None]:
    """Of each cell the items of the trials; null where each has one of its own."""
    return [trials["item"] if arrays.repeats > 1 else None for trials in cells]


def _recorded(trials: Alike) -> Floats:
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
    units, items = _items([timed.ended for timed in sample.timed], sample.shared), _items(ended, sample.own)
    cut_off = [trials.having(*CUT_OFF) for trials in ended]
    found = [dict.fromkeys((*_TIMES, *_PACES, *_LENGTHS), UNKNOWN) for _ in ended]
    for indices, alike in together(ended):
        of_unit, of_item = ([of_each[index] for index in indices] for of_each in (units, items))
        of_times = partial(quantiles_of_each, shares=(0.5,), reach=reach, item_of=of_unit, cut=[None] * len(indices))
        whole = all(each is None for each in of_unit)
        medians = dict(zip(_PACES, _paces(alike, of_times, reach, whole=whole), strict=True))
        for name, column in _TIMES.items():
            # Of systems that do not reason nothing comes before the first visible token.
            same = name == "first_answer_median_s" and np.array_equal(alike[column], alike["ttft_s"])
            medians[name] = medians["ttft_median_s"] if same else of_times(alike.unless_late(alike[column]))
        cut = [cut_off[index] for index in indices]
        for name, column in _LENGTHS.items():
            medians[name] = quantiles_of_each(alike[column], (0.5,), reach, item_of=of_item, cut=cut)
        for name, of_each in medians.items():
            for index, (median,) in zip(indices, of_each, strict=True):
                found[index][name] = median
    return found


_Medians = list[list[Estimate]]
"""Of each cell, alone in a list."""


def _paces(alike: Alike, of_times: partial[_Medians], reach: Reach | None, *, whole: bool) -> tuple[_Medians, _Medians]:
    """The medians of TPOT, and of tokens per second: a trial's are the inverse of its TPOT (``data.frame``), and so in
    the opposite order. ``whole``: each trial is of an item of its own.
    """
    tpot_s = alike.unless_late(alike["tpot_s"])
    if not whole or np.isnan(tpot_s.min()):
        return of_times(tpot_s), of_times(alike.unless_late(alike["tokens_per_s"]))
    ranked = ranked_for(tpot_s, (0.5,), reach)
    with np.errstate(divide="ignore"):
        tokens_per_s = 1 / ranked[:, ::-1]
    return of_times(tpot_s, ranked=ranked), of_times(tokens_per_s, ranked=tokens_per_s)


def _score_means(sample: Sample, reach: Reach | None) -> list[Estimate]:
    """Of each system over items, each the mean of its trials that have a score."""
    known = [part.knowing("score") for part in sample.cells]
    found = [UNKNOWN] * len(known)
    if sample.own.repeats > 1:
        for index, trials in enumerate(known):
            if trials.height:
                (found[index],) = _of_scores(_by_item(trials["item"], trials["score"])[None], reach)
        return found
    for indices, alike in together(known):
        for index, mean in zip(indices, _of_scores(alike["score"], reach), strict=True):
            found[index] = mean
    return found


def _by_item(item_of: NDArray[np.intp], scores: Floats) -> Floats:
    scored = pl.DataFrame({"item": item_of, "score": scores}).group_by("item", maintain_order=True)
    return scored.agg(pl.col("score").mean())["score"].to_numpy()


def _of_scores(scores: Floats, reach: Reach | None) -> Iterator[Estimate]:
    """Of (systems, items)."""
    found = of_means(scores.T, reach)
    # What is not known stays so: NaN is clipped to itself.
    for ends in zip(*(np.clip(each, 0, 1).tolist() for each in (found.value, found.low, found.high)), strict=True):
        yield number(*ends)


def _phases(ended: Sequence[Columns]) -> list[Phases | None]:
    """Unknown where another tool's log does not say when an answer began."""
    found = phases([trials.in_time for trials in ended])
    return [
        None if any_imported_without(trials.in_time, "ttft_s") else own
        for trials, own in zip(ended, found, strict=True)
    ]


def _with_untimed(per_correct: Estimate, part: Columns) -> Estimate:
    """A lower bound where another tool's log does not say how long its failed samples took."""
    return at_least(per_correct) if any_imported_without(part, "task_time_s") else per_correct


def _deadlines(arrays: Arrays) -> Floats:
    """A common grid, even on a logarithmic scale, from the quickest trial of the table to the slowest."""
    times = arrays.task_time_s
    if not times.size or not times.min() > 0:
        times = times[times > 0]
    if not len(times):
        return np.empty(0)
    return np.geomspace(times.min(), times.max(), _DEADLINES)


def _curves(arrays: Arrays, reach: Reach | None) -> list[tuple[SolvePoint, ...]]:
    deadlines = _deadlines(arrays)
    moments = deadlines.tolist()
    return [
        tuple(map(SolvePoint, moments, shares))
        for shares in solve_curves(arrays.task_time_s, arrays.correct, deadlines, reach)
    ]


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
    late_s, latest_s = part.found_by(_send_delays_s)
    cpu_s = sum(segment.client_cpu_ns for segment in segments) / 1e9
    wall_s = sum(segment.wall_ns for segment in segments) / 1e9
    return Client(
        loop_lag_p99_s=_greatest([segment.loop_lag_p99_ns for segment in segments], 1e-9),
        loop_lag_max_s=_greatest([segment.loop_lag_max_ns for segment in segments], 1e-9),
        send_delay_p99_s=late_s,
        send_delay_max_s=latest_s,
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


def _send_delays_s(alike: Alike) -> list[tuple[float | None, float | None]]:
    """Of each cell how late its requests left: the 99th percentile, and the most; null: unknown of all."""
    values = alike["send_delay_s"]
    if alike.unknown("send_delay_s") is None and values.size:
        ranked = np.partition(values, _p99(values.shape[1]), axis=1)[:, _p99(values.shape[1]) :]
        return list(zip(ranked[:, 0].tolist(), ranked.max(axis=1).tolist(), strict=True))
    known = (own[~np.isnan(own)] for own in values)
    return [(float(np.sort(own)[_p99(len(own))]), float(own.max())) if len(own) else (None, None) for own in known]


def _p99(count: int) -> int:
    """Which of so many ascending values it is."""
    return -(-99 * count // 100) - 1


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
