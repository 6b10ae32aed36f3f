"""Two systems on one task, item by item: how much longer, how sure, why, and whether tokens per second mislead."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np

from taskpace.analysis.data.arrays import Arrays, item_means
from taskpace.analysis.stats.bootstrap import Resamples
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, number, numbers
from taskpace.analysis.stats.intervals import (
    Flags,
    Floats,
    Intervals,
    log_influence,
    of_influence,
    of_means,
    share_difference,
    t_interval,
)
from taskpace.analysis.stats.ranking import inversion_probability
from taskpace.analysis.stats.significance import (
    ALPHA,
    clustered_mcnemar,
    holm_of_known,
    items_needed,
    mcnemar,
    wilcoxon,
)
from taskpace.analysis.stats.split import PARTS, Side, split

RESOLVE = 0.05
"""The relative difference that the power note is about."""


System = Literal["a", "b"]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of two systems, B against A: a ratio B/A, or for accuracy the difference B - A.

    The direction of a claim is ``lower`` and must not be inferred from ``change``, which may be a bound or a ratio of
    means beside a claim about most items.
    """

    change: Estimate
    p: float | None
    """Two-sided, of "no difference", whatever the cut answers would have taken; null: not tested."""
    p_holm: float | None
    """The same, adjusted for all pairs that were compared in this family."""
    items: int
    """Items on which both are known; of task time, that both were asked."""
    basis: Literal["mean", "most"] | None = None
    """What ``p`` is about. ``mean``: the mean ratio (Student's t), for accuracy and time per correct answer the totals.
    ``most``: more than half of the items (sign test), where the quicker side has cut answers or items are few."""
    leaning: System | None = None
    """Whose smaller value ``p`` speaks for, claimed or not; null: neither's."""
    lower: System | None = None
    """Whose smaller value is claimed, at 5 % after Holm; null: no claim."""
    open: bool = False
    """No claim, and the cut answers decide: with some values of theirs, or without them, there would be one."""
    p_least: float | None = None
    """The least p that the cut answers leave possible; equal to ``p`` where nothing is cut."""
    cut_a: int = 0
    """Items with a cut or failed trial of A: of their value only a lower bound is known."""
    cut_b: int = 0
    """The same of B."""

    @property
    def significant(self) -> bool:
        """Told apart at the 5 % level, the whole family considered; what is not prints ``~``."""
        return self.p_holm is not None and self.p_holm <= ALPHA


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """Mean seconds by which B takes longer than A, and its exact parts, which add up (see ``stats.split``)."""

    difference_s: Estimate
    wait_s: Estimate
    verbosity_s: Estimate
    tokenizer_s: Estimate
    """Null when tokens are unknown; ``decode_s`` then has both."""
    decode_s: Estimate


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """System ``b`` against system ``a`` on paired items."""

    a: str
    b: str
    task_time: Comparison
    """Ratio of geometric means of task time, by Student's t on the items' log ratios."""
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
    split: Split | None
    """Of the recorded times, cut answers included as they are. Null without common items."""
    turns: bool = False
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
) -> list[Pair]:
    """Compare pairs (a, b) of systems on their common items; p-values not yet adjusted (see ``adjust``).

    Args:
        arrays: of one task in one scenario.
        pairs: names of systems.
        resamples: of ``arrays.items``; null leaves out the probability of inversion.
        graded: the task has right answers.
        own: the same trials by item, for answers and lengths, where ``arrays`` has them by batch; null: no batches.
    """
    own = own or arrays
    indices = [(arrays.index(a), arrays.index(b)) for a, b in pairs]
    log_time = _log_ratios(arrays.task_time_s, indices)
    log_speed = -_log_ratios(arrays.tpot_s, indices)
    visible = _log_ratios(own.visible_bytes, indices)
    reasoning = _log_ratios(own.reasoning_bytes, indices)
    per_correct = _per_correct(arrays, indices) if graded else [_NOT_COMPARED] * len(pairs)
    splits = _splits(arrays, indices)
    inversions = _inversions(log_time, log_speed, resamples)
    found = []
    for number_, (a, b) in enumerate(pairs):
        differences = _known(log_time[:, number_])
        found.append(
            Pair(
                a=a,
                b=b,
                task_time=_ratio(log_time[:, number_]),
                wilcoxon_p=_p(wilcoxon(differences)) if len(differences) else None,
                items_for_5_percent=items_needed(
                    float(differences.std(ddof=1)) if len(differences) > 1 else math.nan, RESOLVE
                ),
                tokens_per_s=_ratio(log_speed[:, number_]),
                output_bytes=_ratio(visible[:, number_]),
                reasoning_bytes=_ratio(reasoning[:, number_]),
                accuracy=_accuracy(own, *indices[number_]) if graded else _NOT_COMPARED,
                time_per_correct=per_correct[number_],
                split=splits[number_],
                inversion_probability=inversions[number_],
            )
        )
    return found


MEASURES = ("task_time", "tokens_per_s", "output_bytes", "reasoning_bytes", "accuracy", "time_per_correct")


def adjust(pairs: list[Pair], family: list[bool]) -> list[Pair]:
    """Holm's adjustment of every measure over the pairs that ``family`` marks; the others get no adjusted p-value."""
    adjusted = pairs
    for measure in MEASURES:
        comparisons = [getattr(pair, measure) for pair in adjusted]
        p_values = holm_of_known(
            [comparison.p if member else None for comparison, member in zip(comparisons, family, strict=True)]
        )
        adjusted = [
            msgspec.structs.replace(pair, **{measure: msgspec.structs.replace(comparison, p_holm=p)})
            for pair, comparison, p in zip(adjusted, comparisons, p_values, strict=True)
        ]
    return adjusted


_NOT_COMPARED = Comparison(change=UNKNOWN, p=None, p_holm=None, items=0)


def _log_ratios(values: Floats, indices: list[tuple[int, int]]) -> Floats:
    """(items, pairs): mean over the repeats that both have of ln(b / a); NaN where there is none, or a zero."""
    if not indices:
        return np.empty((values.shape[1], 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(values > 0, np.log(values), np.nan)
    return np.stack([item_means(logs[b] - logs[a]) for a, b in indices]).T


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _p(p: float) -> float | None:
    return None if math.isnan(p) else p


def _ratio(log_ratios: Floats) -> Comparison:
    known = _known(log_ratios)
    mean, low, high, p = t_interval(known)
    return Comparison(change=number(*np.exp((mean, low, high))), p=_p(p), p_holm=None, items=len(known))


def _accuracy(arrays: Arrays, a: int, b: int) -> Comparison:
    pair = arrays.correct[b] - arrays.correct[a]
    differences = _known(item_means(pair))
    if not len(differences):
        return _NOT_COMPARED
    if pair.shape[-1] > 1:
        p = clustered_mcnemar(differences)
    else:
        p = mcnemar(int((differences < 0).sum()), int((differences > 0).sum()))
    return Comparison(change=number(*share_difference(differences)), p=p, p_holm=None, items=len(differences))


def _per_correct(arrays: Arrays, indices: list[tuple[int, int]]) -> list[Comparison]:
    """Ratio of (seconds / correct), on its logarithm, over the items that both were asked."""
    if not indices:
        return []
    logs, influence, counts = per_correct_logs(arrays, indices)
    return compared_by_log(of_influence(logs, influence), counts)


def compared_by_log(found: Intervals, counts: list[int]) -> list[Comparison]:
    """Logarithms of ratios with their intervals as ratios; ``counts``: the items behind each."""
    with np.errstate(over="ignore"):
        ends = zip(np.exp(found.value), np.exp(found.low), np.exp(found.high), found.p, counts, strict=True)
    return [
        Comparison(change=number(value, low, high) if value else UNKNOWN, p=_p(float(p)), p_holm=None, items=n)
        for value, low, high, p, n in ends
    ]


def per_correct_logs(arrays: Arrays, indices: list[tuple[int, int]]) -> tuple[Floats, Floats, list[int]]:
    """Logarithms of b's time per correct answer over a's, with what each item contributes.

    Returns:
        The logarithms, (pairs,); each item's influence on them (``intervals.of_influence``), (items, pairs), NaN where
        one of the two was not asked; and how many items both were asked.

    ``indices``: of systems, (a, b), at least one pair.
    """
    both = [~np.isnan(arrays.correct[a] - arrays.correct[b]) for a, b in indices]

    def columns(values: Floats, side: int) -> Floats:
        totals = [
            np.where(mask, np.nan_to_num(values[pair[side]]), 0.0).sum(axis=-1)
            for pair, mask in zip(indices, both, strict=True)
        ]
        return np.stack(totals).T  # sums run down the items: keep each column in one piece

    logs, influence = np.zeros(len(indices)), np.zeros((len(indices), len(arrays.items))).T
    for side, sign in ((1, 1), (0, -1)):
        seconds, correct = columns(arrays.spent_s, side), columns(arrays.correct, side)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs += sign * (np.log(seconds.sum(axis=0)) - np.log(correct.sum(axis=0)))
        influence += sign * log_influence(seconds, correct)
    return logs, influence, [int(mask.any(axis=-1).sum()) for mask in both]


def _splits(arrays: Arrays, indices: list[tuple[int, int]]) -> list[Split | None]:
    """Item means of the parts, averaged over items."""
    splits: list[Split | None] = []
    for a, b in indices:
        parts, counted = _item_parts(arrays, a, b)
        wait, verbosity, tokenizer, decode, whole = numbers(of_means(parts))
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


def _item_parts(arrays: Arrays, a: int, b: int) -> tuple[Floats, bool]:
    """Item means over repeats of the four parts and their sum, (items, 5), NaN where nothing is common; and whether
    the tokenizer's part can be told (else it is 0 here, within decode).
    """
    known = ~np.isnan(arrays.task_time_s[a] - arrays.task_time_s[b])
    found = split(*(_side(arrays, index, known) for index in (a, b)))
    counted = not np.isnan(found).any()
    parts = np.full((len(PARTS), *known.shape), np.nan)
    parts[:, known] = found.T if counted else np.nan_to_num(found).T
    means = item_means(parts)
    return np.concatenate([means, means.sum(axis=0, keepdims=True)]).T, counted


def _side(arrays: Arrays, index: int, known: Flags) -> Side:
    time_s = arrays.task_time_s[index][known]
    return Side(
        time_s=time_s,
        wait_s=np.fmin(arrays.wait_s[index][known], time_s),
        written_bytes=arrays.written_bytes[index][known],
        tpot_s=arrays.tpot_s[index][known],
    )


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
