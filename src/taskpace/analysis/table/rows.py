"""The rows of a table: every number about one system on one task, not yet ranked."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.makespan import clocks_apart_s, makespan_s
from taskpace.analysis.data.parts import parts_of
from taskpace.analysis.data.sample import Sample
from taskpace.analysis.schema.summary import Client, MeasuredRow, SolvePoint
from taskpace.analysis.stats.estimates import (
    UNKNOWN,
    Estimate,
    accuracy,
    number,
    par2_values,
    quantiles,
    ratios,
    samples_for,
    solve_curve,
)
from taskpace.analysis.stats.intervals import Flags, Floats, Reach, of_means, share_interval
from taskpace.analysis.stats.per_correct import FEW_CORRECT, few_correct, mean_and_per_correct
from taskpace.analysis.table.backlog import find_backlog
from taskpace.analysis.table.cost import find_cost
from taskpace.analysis.table.energy import find_energy
from taskpace.analysis.table.phases import Phases, phases, written_bytes
from taskpace.analysis.table.validity import reasons_against
from taskpace.records import CUT, CUT_OFF, OUTCOMES, Outcome

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
    parts = parts_of(sample.trials, "system")
    timed = parts if sample.timed is sample.trials else parts_of(sample.timed, "system")
    in_time = sample.shared.without_late()
    means, per_correct, par2 = _totals(in_time, limit_s, reach)
    tokens = _tokens(sample.own.without_late(), reach)
    deadlines = _deadlines(in_time)
    rows = []
    for index, cell in enumerate(cells):
        part = parts.get((cell.system,), sample.trials.clear())
        outcomes = _outcomes(part)
        ended = _where(part, part["outcome"] != "error")
        item_of = ended["item"].to_numpy()
        shared = timed.get((cell.system,), sample.timed.clear())
        unit_of = shared["item"].filter(shared["outcome"] != "error").to_numpy()
        late = ended["late"].to_numpy()
        cut_off = _flags(ended["outcome"], CUT_OFF, outcomes)
        reasons = reasons_against(part, cell)
        whole_s = makespan_s(part, cell.planned, cell.segments)
        correct = sample.own.correct[index]
        graded = cell.graded and part.height > 0
        has_times = cell.imported is None or "time" not in cell.imported.unknown
        solved = (in_time.task_time_s[index], in_time.correct[index])
        share = accuracy(correct, reach) if graded else UNKNOWN
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
                items=part["item"].n_unique(),
                batches=part["dispatch_ns"].drop_nulls().n_unique() if cell.batched else None,
                retried=int((part["attempt"] > 1).sum()),
                outcomes=outcomes,
                cut=sum(outcomes.get(outcome, 0) for outcome in CUT),
                never_answered=_never_answered(part, outcomes),
                **_task_times(shared, outcomes, reach, batched=cell.batched),
                task_time_mean_s=means[index],
                phases=_phases(_where(ended, ~ended["late"])),
                written_bytes=written_bytes(ended),
                **{name: _median(_unless(late, ended[column]), unit_of, reach) for name, column in _TIMES.items()},
                **{
                    name: _median(_numbers(ended[column]), item_of, reach, cut_off) for name, column in _LENGTHS.items()
                },
                output_tokens_mean=tokens[index][0],
                tokens_per_correct=tokens[index][1] if graded else UNKNOWN,
                bytes_per_output_token=_bytes_per_token(ended, ("output_bytes", "reasoning_bytes"), "output_tokens"),
                bytes_per_prompt_token=_bytes_per_token(ended, ("prompt_bytes",), "prompt_tokens"),
                cached_between_turns_share=_cached_between_turns(ended),
                accuracy=share,
                score_mean=_score_mean(part, reach),
                time_per_correct_s=_with_untimed(per_correct[index], part) if graded and has_times else UNKNOWN,
                # Without a time limit of its own, as of an imported log, a system has no penalty for a wrong answer.
                par2_s=par2[index] if graded and cell.imported is None else UNKNOWN,
                solve_curve=_curve(*solved, deadlines, reach) if graded and has_times else (),
                makespan_s=whole_s,
                tasks_per_hour=3600 * part.height / whole_s if whole_s else None,
                goodput=_goodput(
                    _where(shared, ~shared["late"]),
                    "correct" if cell.graded else "completed",
                    deadline_s if has_times else None,
                    reach,
                ),
                client=_client(part, cell),
                backlog=find_backlog(part) if cell.open_loop and whole_s is not None else None,
                energy=joules,
                energy_missing=no_joules,
                price=cell.price,
                cost=find_cost(cell, part, in_time, index, reach),
            )
        )
    return rows


def _where(trials: pl.DataFrame, flags: pl.Series) -> pl.DataFrame:
    """The trials with a flag; where that is all of them no copy is made."""
    return trials if flags.all(ignore_nulls=False) else trials.filter(flags)


def _outcomes(part: pl.DataFrame) -> dict[Outcome, int]:
    counts = dict(part["outcome"].value_counts().iter_rows())
    return {outcome: counts[outcome] for outcome in OUTCOMES if outcome in counts}


def _flags(outcomes: pl.Series, members: Collection[Outcome], occurring: Collection[Outcome]) -> Flags:
    """Which outcomes are among these; ``occurring``: those that there are at all."""
    found = np.zeros(len(outcomes), dtype=bool)
    for outcome in members:
        if outcome in occurring:
            found |= (outcomes == outcome).to_numpy()
    return found


def _numbers(values: pl.Series) -> Floats:
    """As floats, NaN where unknown."""
    return values.to_numpy().astype(np.float64, copy=False)


def _unless(flags: Flags, values: pl.Series) -> Floats:
    """As floats, NaN where unknown or flagged."""
    found = _numbers(values)
    return np.where(flags, np.nan, found) if flags.any() else found


def _never_answered(part: pl.DataFrame, occurring: Collection[Outcome]) -> int:
    return int((_flags(part["outcome"], CUT_OFF, occurring) & (_numbers(part["unanswered"]) == 1)).sum())


def _task_times(
    trials: pl.DataFrame, occurring: Collection[Outcome], reach: Reach | None, *, batched: bool
) -> dict[str, Estimate]:
    """The median, and the percentiles for which there are enough samples, of all trials: a cut one took as long as was
    recorded or longer, a failed one without a time 0 s or longer. With one answer of a static batch all of it is cut.
    Times of late ones are not known.
    """
    cut = _flags(trials["outcome"], CUT, occurring)
    late, recorded = trials["late"].to_numpy(), _numbers(trials["task_time_s"])
    if "error" in occurring:
        failed = (trials["outcome"] == "error").to_numpy() & trials["timed"].to_numpy()
        recorded = np.where(failed, np.nan_to_num(recorded), recorded)
    recorded = np.where(late, np.nan, recorded)
    unit_of = trials["item"].to_numpy()
    if batched:
        sent = pl.coalesce("dispatch_ns", -pl.int_range(1, pl.len() + 1))
        of_batch = trials.select("worker", sent.alias("sent"), cut=pl.Series(cut))
        cut = of_batch.select(pl.col("cut").any().over("worker", "sent")).to_series().to_numpy()
    n = int(np.isfinite(recorded).sum())
    able = {name: share for name, share in _PERCENTILES.items() if n >= samples_for(share)}
    median, *high = quantiles(recorded, unit_of, (0.5, *able.values()), cut, reach)
    return (
        {"task_time_median_s": median}
        | dict.fromkeys(_PERCENTILES, UNKNOWN)
        | dict(zip(able, high, strict=True))
    )  # fmt: skip


def _median(values: Floats, item_of: NDArray[np.intp], reach: Reach | None, cut: Flags | None = None) -> Estimate:
    return quantiles(values, item_of, (0.5,), cut, reach)[0]


def _score_mean(part: pl.DataFrame, reach: Reach | None) -> Estimate:
    """Over items, each the mean of its trials that have a score."""
    scores = _numbers(part["score"])
    known = ~np.isnan(scores)
    if not known.any():
        return UNKNOWN
    scores, item_of = scores[known], part["item"].to_numpy()[known]
    if (np.bincount(item_of) > 1).any():
        scored = pl.DataFrame({"item": item_of, "score": scores}).group_by("item", maintain_order=True)
        scores = scored.agg(pl.col("score").mean())["score"].to_numpy()
    found = of_means(scores[:, None], reach)
    # What is not known stays so: NaN is clipped to itself.
    value, low, high = (float(np.clip(end[0], 0, 1)) for end in (found.value, found.low, found.high))
    return number(value, low, high)


def _totals(
    arrays: Arrays, limit_s: float, reach: Reach | None
) -> tuple[list[Estimate], list[Estimate], list[Estimate]]:
    """Per system: mean task time, time per correct answer, PAR-2."""
    par2 = par2_values(arrays.task_time_s, arrays.correct, limit_s)
    recorded = arrays.recorded_s
    sums = [
        (recorded, ~np.isnan(recorded)),
        (arrays.spent_s, np.nan_to_num(arrays.correct)),
        (par2, ~np.isnan(par2)),
    ]
    above = np.concatenate([np.nansum(values, axis=-1) for values, _ in sums]).T
    below = np.concatenate([counts.sum(axis=-1) for _, counts in sums]).T.astype(np.float64)
    found = ratios(above, below, reach)
    k = len(arrays.systems)
    means = [_at_least(mean) if (cut > 0).any() else mean for mean, cut in zip(found[:k], arrays.cut, strict=True)]
    trials = (~np.isnan(arrays.correct)).sum(axis=-1).astype(np.float64)
    per_correct = [
        few_correct(seconds, right, asked, anytime=reach is not None) if right.sum() < FEW_CORRECT else each
        for each, seconds, right, asked in zip(
            found[k : 2 * k], above[:, k : 2 * k].T, below[:, k : 2 * k].T, trials, strict=True
        )
    ]
    return means, per_correct, found[2 * k :]


def _tokens(arrays: Arrays, reach: Reach | None) -> list[tuple[Estimate, Estimate]]:
    """Per system: mean output tokens, and output tokens per correct answer. What an error wrote is unknown."""
    ended = ~np.isnan(arrays.task_time_s)
    found = []
    for tokens, correct, there, cut in zip(arrays.output_tokens, arrays.correct, ended, arrays.cut, strict=True):
        mean, per_correct = mean_and_per_correct(tokens, correct, there, reach)
        failed = bool((~there & ~np.isnan(correct)).any())
        found.append((_at_least(mean) if (cut > 0).any() else mean, _at_least(per_correct) if failed else per_correct))
    return found


def _phases(ended: pl.DataFrame) -> Phases | None:
    """Unknown where another tool's log does not say when an answer began."""
    return None if _any_imported_without(ended, "ttft_s") else phases(ended)


def _with_untimed(per_correct: Estimate, part: pl.DataFrame) -> Estimate:
    """A lower bound where another tool's log does not say how long its failed samples took."""
    return _at_least(per_correct) if _any_imported_without(part, "task_time_s") else per_correct


def _any_imported_without(trials: pl.DataFrame, column: str) -> bool:
    if trials["imported"].null_count() == trials.height:
        return False
    return bool((trials["imported"].is_not_null() & trials[column].is_null()).any())


def _at_least(mean: Estimate) -> Estimate:
    """Of cut answers only a lower bound is known, and so of their mean."""
    return UNKNOWN if mean.value is None else Estimate(mean.value, mean.low, bound=">=")


def _deadlines(arrays: Arrays) -> Floats:
    """A common grid, even on a logarithmic scale, from the quickest trial of the table to the slowest."""
    times = arrays.task_time_s[arrays.task_time_s > 0]
    if not len(times):
        return np.empty(0)
    return np.geomspace(times.min(), times.max(), _DEADLINES)


def _curve(time_s: Floats, correct: Floats, deadlines: Floats, reach: Reach | None) -> tuple[SolvePoint, ...]:
    shares = solve_curve(time_s, correct, deadlines, reach)
    return tuple(SolvePoint(float(deadline), share) for deadline, share in zip(deadlines, shares, strict=True))


def _goodput(part: pl.DataFrame, wanted: Outcome, deadline_s: float | None, reach: Reach | None) -> Estimate:
    if deadline_s is None or not part.height:
        return UNKNOWN
    good = (pl.col("outcome") == wanted) & (pl.col("task_time_s") <= deadline_s)
    items = part.group_by("item").agg(good.fill_null(value=False).sum().alias("good"), pl.len().alias("trials"))
    counts = [items[name].cast(pl.Float64).to_numpy() for name in ("good", "trials")]
    return number(*share_interval(counts[0], counts[1], reach))


def _client(part: pl.DataFrame, cell: CellPlan) -> Client:
    segments = cell.segments
    delays = _numbers(part["send_delay_s"])
    delays = delays[~np.isnan(delays)]
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


def _bytes_per_token(ended: pl.DataFrame, sizes: tuple[str, ...], tokens: str) -> Estimate:
    """Ratio of totals over the trials whose tokens are known; without an interval: it describes these trials alone."""
    total = int(ended[tokens].sum())
    if not total:
        return UNKNOWN
    known = ended.select(tokens, *sizes)
    if known[tokens].null_count():
        known = known.drop_nulls(tokens)
    return number(sum(int(known[size].sum()) for size in sizes) / total)


def _cached_between_turns(ended: pl.DataFrame) -> float | None:
    names = ("prompt_tokens", "cached_tokens", "first_prompt_tokens", "first_cached_tokens")
    if ended["cached_tokens"].null_count() == ended.height:
        return None
    known = ended.select(names).drop_nulls(names[:2])
    prompt, cached = (
        int(known[f"{name}_tokens"].sum()) - int(known[f"first_{name}_tokens"].sum()) for name in ("prompt", "cached")
    )
    return cached / prompt if prompt else None
