"""Two systems on one task, item by item: how much longer, how sure, why, and whether tokens per second mislead."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from taskpace.analysis.data.arrays import Arrays, item_means, took_turns
from taskpace.analysis.data.sample import Sample
from taskpace.analysis.stats import anytime as anytime_stats
from taskpace.analysis.stats.bootstrap import Resamples
from taskpace.analysis.stats.claims import LEAST_FOR_MEAN, LogRatios, log_ratios
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, number, numbers
from taskpace.analysis.stats.intervals import (
    Floats,
    Reach,
    of_means,
    share_difference,
)
from taskpace.analysis.stats.ranking import inversion_probability
from taskpace.analysis.stats.significance import clustered_mcnemar, items_needed, mcnemar, wilcoxon
from taskpace.analysis.stats.split import PARTS, Side, split
from taskpace.analysis.table.comparison import (
    NOT_COMPARED,
    Comparison,
    adjusted,
    by_totals,
    compared_by_item,
)
from taskpace.analysis.table.per_correct import of_cost, of_time

RESOLVE = 0.05
"""The relative difference that the power note is about."""


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """Mean seconds by which B takes longer than A, and its exact parts, which add up (see ``stats.split``).

    Where one of the two is not streamed, or arrives in bursts, the difference is all that is known; its parts are null.
    """

    difference_s: Estimate
    wait_s: Estimate
    verbosity_s: Estimate
    tokenizer_s: Estimate
    """Null when tokens are unknown; ``decode_s`` then has both."""
    decode_s: Estimate

    @property
    def parts_known(self) -> bool:
        """Whether there is anything to tell but the difference."""
        return self.wait_s.value is not None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """System ``b`` against system ``a`` on paired items."""

    a: str
    b: str
    task_time: Comparison
    """Ratio of geometric means of task time, by Student's t on the items' log ratios. Where the quicker side has cut
    answers (``basis``: ``most``) the median of the items' ratios, by the sign test."""
    wilcoxon_p: float | None
    """Of the same differences by ranks: a check that no outlier sways."""
    items_for_5_percent: int | None
    """Items it takes to find a difference of 5 % in task time in four of five cases."""
    tokens_per_s: Comparison
    """Ratio of geometric means of decode speed."""
    output_bytes: Comparison
    """Verbosity ratio: of geometric means of visible bytes, over items on which both wrote any."""
    reasoning_bytes: Comparison
    accuracy: Comparison
    """Difference of the shares of correct trials; McNemar's exact test, its clustered form with repeats."""
    time_per_correct: Comparison
    """Ratio."""
    cost_per_correct: Comparison
    """Ratio; unknown unless both have a price, and all their costs are known."""
    split: Split | None
    """Of the recorded times, cut answers included as they are. Null without common items."""
    turns: bool
    """The systems took turns: on 90 % of the common items or more both were asked in rounds of one session, so that
    what the machine did hit both alike."""
    inversion_probability: float | None
    """That the one with more tokens per second takes longer: share of resamples. With cut answers by their worst case
    for the claim. Null without resamples, and where the claim is open."""


def compare_pairs(
    arrays: Arrays,
    pairs: list[tuple[str, str]],
    resamples: Resamples | None,
    *,
    graded: bool,
    own: Arrays | None = None,
    anytime: bool = False,
) -> list[Pair]:
    """Compare pairs (a, b) of systems on their common items; p-values not yet adjusted (see ``adjust``).

    Args:
        arrays: of one task in one scenario.
        pairs: names of systems.
        resamples: of ``arrays.items``; null leaves out the probability of inversion.
        graded: the task has right answers.
        own: the same trials by item, for answers and lengths, where ``arrays`` has them by batch; null: no batches.
        anytime: the data decided how many items there are, which come in the order in which they were asked.
    """
    own = own or arrays
    indices = [(arrays.index(a), arrays.index(b)) for a, b in pairs]
    times = log_ratios(arrays.recorded_s, arrays.cut > 0, indices, arrays.late > 0)
    with np.errstate(divide="ignore"):
        speeds = log_ratios(1 / arrays.tpot_s, np.zeros(arrays.tpot_s.shape, dtype=bool), indices)
    task_time = compared_by_item(times, anytime=anytime)
    tokens_per_s = compared_by_item(speeds, anytime=anytime)
    # A cut answer would have been longer, too; one that failed has no length.
    visible = compared_by_item(log_ratios(own.visible_bytes, own.cut > 0, indices), anytime=anytime)
    reasoning = compared_by_item(log_ratios(own.reasoning_bytes, own.cut > 0, indices), anytime=anytime)
    in_time = arrays.without_late()
    times_per_answer = of_time(in_time, indices, anytime=anytime) if graded else [NOT_COMPARED] * len(pairs)
    costs_per_answer = of_cost(in_time, indices, anytime=anytime) if graded else [NOT_COMPARED] * len(pairs)
    splits = _splits(arrays, indices, anytime_stats.reach if anytime else None)
    accuracies = _accuracies(own, indices, anytime=anytime) if graded else [NOT_COMPARED] * len(pairs)
    inversions = _inversions(_for_claim(times, task_time), speeds.recorded, resamples)
    found = []
    for index, (a, b) in enumerate(pairs):
        # Ranks and the power of the t-test are about ratios that are known.
        cut = task_time[index].cut_a or task_time[index].cut_b
        found.append(
            Pair(
                a=a,
                b=b,
                task_time=task_time[index],
                wilcoxon_p=None if cut or not task_time[index].items else wilcoxon(times.recorded[:, index]),
                items_for_5_percent=items_needed(math.nan if cut else float(times.moments.deviation[index]), RESOLVE),
                tokens_per_s=tokens_per_s[index],
                output_bytes=visible[index],
                reasoning_bytes=reasoning[index],
                accuracy=accuracies[index],
                time_per_correct=times_per_answer[index],
                cost_per_correct=costs_per_answer[index],
                split=splits[index],
                turns=took_turns(own, *indices[index]),
                inversion_probability=inversions[index],
            )
        )
    return found


def compare_leaning_first(
    sample: Sample, pairs: list[tuple[str, str]], resamples: Resamples | None, *, graded: bool, anytime: bool = False
) -> list[Pair]:
    """``compare_pairs`` of a sample, those that lean to their second system the other way round.

    What was recorded of cut answers may put the wrong one first.
    """

    def compared(names: list[tuple[str, str]]) -> list[Pair]:
        return compare_pairs(sample.shared, names, resamples, graded=graded, own=sample.own, anytime=anytime)

    found = compared(pairs)
    turned = [index for index, pair in enumerate(found) if pair.task_time.leaning == "b"]
    for index, pair in zip(turned, compared([pairs[index][::-1] for index in turned]), strict=True):
        found[index] = pair
    return found


MEASURES = (
    "task_time",
    "tokens_per_s",
    "output_bytes",
    "reasoning_bytes",
    "accuracy",
    "time_per_correct",
    "cost_per_correct",
)


def adjust(pairs: list[Pair], family: list[bool], *, shared: str | None = None) -> list[Pair]:
    """Holm's adjustment of every measure over the pairs that ``family`` marks; the others get no adjusted p-value.

    ``shared``: the measure whose error the pairs share evenly instead (``comparison.adjusted``).
    """
    found = pairs
    for measure in MEASURES:
        comparisons = adjusted([getattr(pair, measure) for pair in found], family, shared=measure == shared)
        found = [
            msgspec.structs.replace(pair, **{measure: comparison})
            for pair, comparison in zip(found, comparisons, strict=True)
        ]
    return [
        msgspec.structs.replace(pair, inversion_probability=None) if pair.task_time.open else pair for pair in found
    ]


def _for_claim(times: LogRatios, comparisons: list[Comparison]) -> Floats:
    """(items, pairs): the log ratios of task time that speak least for what each pair leans to: their mean is above 0
    where A finishes sooner. Signs, where only most items can be spoken of; NaN where cut answers leave no leaning.
    """
    columns = times.recorded.copy()
    for index, each in enumerate(comparisons):
        if not (each.cut_a or each.cut_b):
            continue
        worst = {"a": times.low, "b": times.high}.get(each.leaning or "")
        column = np.full(len(columns), np.nan) if worst is None else worst[:, index]
        columns[:, index] = np.sign(column) if each.basis == "most" else column
    return columns


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _accuracies(arrays: Arrays, indices: list[tuple[int, int]], *, anytime: bool) -> list[Comparison]:
    differences = [_known(item_means(arrays.correct[b] - arrays.correct[a])) for a, b in indices]
    if anytime:
        p_values = list(map(anytime_stats.most_differ, differences))
    else:
        counts = [((each < 0).sum(), (each > 0).sum()) for each in differences]
        p_values = mcnemar(*np.array(counts, dtype=np.intp).reshape(-1, 2).T).tolist()
        if arrays.correct.shape[-1] > 1:
            p_values = [
                clustered_mcnemar(each) if len(each) >= LEAST_FOR_MEAN else p
                for each, p in zip(differences, p_values, strict=True)
            ]
    return [_accuracy(each, p, anytime=anytime) for each, p in zip(differences, p_values, strict=True)]


def _accuracy(differences: Floats, p: float, *, anytime: bool) -> Comparison:
    if not len(differences):
        return NOT_COMPARED
    change = number(*(anytime_stats.share_difference if anytime else share_difference)(differences))
    found = by_totals(change, p, max(len(differences), LEAST_FOR_MEAN), nothing=0.0)
    return msgspec.structs.replace(found, items=len(differences))


def _splits(arrays: Arrays, indices: list[tuple[int, int]], reach: Reach | None) -> list[Split | None]:
    """Item means of the parts, averaged over items."""
    sides = [_side(arrays, index) for index in range(len(arrays.systems))]
    untimed = [bool((each > 0).any()) for each in arrays.untimed]
    splits: list[Split | None] = []
    for a, b in indices:
        parts, counted = _item_parts(sides[a], sides[b], arrays.task_time_s.shape[1:])
        wait, verbosity, tokenizer, decode, whole = numbers(of_means(parts, reach))
        if untimed[a] or untimed[b]:
            wait = verbosity = tokenizer = decode = UNKNOWN
        splits.append(
            Split(
                difference_s=whole,
                wait_s=wait,
                verbosity_s=verbosity,
                tokenizer_s=tokenizer if counted else UNKNOWN,
                decode_s=decode,
            )
            if whole.value is not None
            else None
        )
    return splits


def _side(arrays: Arrays, index: int) -> Side:
    time_s = arrays.task_time_s[index].ravel()
    return Side(
        time_s=time_s,
        wait_s=np.fmin(arrays.wait_s[index].ravel(), time_s),
        written_bytes=arrays.written_bytes[index].ravel(),
        tpot_s=arrays.tpot_s[index].ravel(),
    )


def _item_parts(base: Side, other: Side, shape: tuple[int, ...]) -> tuple[Floats, bool]:
    """Item means over repeats of the four parts and their sum, (items, 5), NaN where nothing is common; and whether
    the tokenizer's part can be told (else it is 0 here, within decode). ``shape``: (items, repeats).
    """
    found = split(base, other)
    counted = not np.isnan(found[:, PARTS.index("tokenizer")]).all()
    parts = found if counted else np.where(np.isnan(found[:, :1]), np.nan, np.nan_to_num(found))
    means = item_means(parts.T.reshape(len(PARTS), *shape))
    return np.concatenate([means, means.sum(axis=0, keepdims=True)]).T, counted


def _inversions(log_time: Floats, log_speed: Floats, resamples: Resamples | None) -> list[float | None]:
    """Per pair the share of resamples in which it is inverted; null where one of the two cannot be compared."""
    pairs = log_time.shape[1]
    if resamples is None or not pairs:
        return [None] * pairs
    both = np.concatenate([log_time, log_speed], axis=1)
    known = ~np.isnan(both)
    totals = resamples.totals(np.concatenate([np.where(known, both, 0.0), known], axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.nan_to_num(totals[:, : 2 * pairs] / totals[:, 2 * pairs :])
    probabilities = inversion_probability(means[:, :pairs], means[:, pairs:])
    comparable = known[:, :pairs].any(axis=0) & known[:, pairs:].any(axis=0)
    return [float(p) if able else None for p, able in zip(probabilities, comparable, strict=True)]
