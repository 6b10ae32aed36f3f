"""Two systems on one task, item by item: how much longer, how sure, why, and whether tokens per second mislead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import combinations
from typing import Self

import msgspec
import numpy as np

from taskpace.analysis.data.arrays import Arrays, Turns
from taskpace.analysis.data.sample import Sample
from taskpace.analysis.stats import anytime as anytime_stats
from taskpace.analysis.stats.bootstrap import Resamples
from taskpace.analysis.stats.claims import LEAST_FOR_MEAN, LogRatios, Logs
from taskpace.analysis.stats.estimates import Estimate, numbers
from taskpace.analysis.stats.intervals import AT_A_TIME, Floats, column_blocks
from taskpace.analysis.stats.items import item_means, side_by_side
from taskpace.analysis.stats.products import Indices
from taskpace.analysis.stats.ranking import inversion_probability
from taskpace.analysis.stats.shares import AskedOnce, PairedShares
from taskpace.analysis.stats.significance import items_needed, wilcoxons
from taskpace.analysis.table.comparison import (
    NOT_COMPARED,
    Comparison,
    adjusted_together,
    by_totals,
    compared_by_item,
)
from taskpace.analysis.table.per_correct import CostPerCorrect, compared, of_time
from taskpace.analysis.table.splits import Split, Splits

RESOLVE = 0.05
"""The relative difference that the power note is about."""


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


class Pairing:
    """The systems of a table, ready to be compared: what each brings to its pairs is worked out once.

    Args:
        arrays: of one task in one scenario.
        graded: the task has right answers.
        own: the same trials by item, for answers and lengths, where ``arrays`` has them by batch; null: no batches.
        anytime: the data decided how many items there are, which come in the order in which they were asked.
        order: of the systems, in which ``leaning_first`` pairs them; null: that of the arrays.
    """

    def __init__(
        self,
        arrays: Arrays,
        *,
        graded: bool,
        own: Arrays | None = None,
        anytime: bool = False,
        order: Sequence[str] | None = None,
    ) -> None:
        own = own or arrays
        self._order = arrays.systems if order is None else order
        self._arrays, self._own, self._graded, self._anytime = arrays, own, graded, anytime
        self._times = Logs.of_logs(arrays.log_recorded, arrays.is_cut, arrays.is_late)
        self._speeds = Logs.of_logs(-arrays.log_tpot, np.broadcast_to(np.False_, arrays.tpot_s.shape))
        # A cut answer would have been longer, too; one that failed has no length.
        self._visible = Logs.of(own.visible_bytes, own.is_cut)
        self._reasoning = Logs.of(own.reasoning_bytes, own.is_cut)
        self.seconds = of_time(arrays.in_time)
        self.costs = CostPerCorrect(arrays.in_time)
        self._splits = Splits(arrays, anytime_stats.reach if anytime else None)
        self._accuracies = _Accuracies(own.correct, anytime=anytime)
        self._turns = Turns(own)

    @classmethod
    def of(cls, sample: Sample, *, order: Sequence[str], graded: bool, anytime: bool = False) -> Self:
        """Of a sample, by batch where it is in batches."""
        return cls(sample.shared, graded=graded, own=sample.own, anytime=anytime, order=order)

    def leaning_first(self, resamples: Resamples | None) -> list[Pair]:
        """``pairs`` of every two systems, those that lean to their second system the other way round.

        What was recorded of cut answers may put the wrong one first.
        """
        names = list(combinations(self._order, 2))
        found = self.pairs(names, resamples)
        turned = [index for index, pair in enumerate(found) if pair.task_time.leaning == "b"]
        for index, pair in zip(turned, self.pairs([names[index][::-1] for index in turned], resamples), strict=True):
            found[index] = pair
        return found

    def pairs(self, names: list[tuple[str, str]], resamples: Resamples | None) -> list[Pair]:
        """Compare pairs (a, b) of systems on their common items; p-values not yet adjusted (see ``adjust``).

        Args:
            names: of the systems of each pair.
            resamples: of ``arrays.items``; null leaves out the probability of inversion.
        """
        indices = [(self._arrays.index(a), self._arrays.index(b)) for a, b in names]
        found: list[Pair] = []
        drawn: list[tuple[Floats, Floats]] = []
        for block in column_blocks(len(self._arrays.items) * self._arrays.repeats, len(indices)):
            pairs, logs = self._block(indices[block], keep=resamples is not None)
            found += pairs
            drawn += logs
        if resamples is None or not drawn:
            return found
        log_time, log_speed = (np.concatenate(logs, axis=1) for logs in zip(*drawn, strict=True))
        inverted = _inversions(log_time, log_speed, resamples)
        return [
            msgspec.structs.replace(pair, inversion_probability=probability)
            for pair, probability in zip(found, inverted, strict=True)
        ]

    def _block(self, indices: Indices, *, keep: bool) -> tuple[list[Pair], list[tuple[Floats, Floats]]]:
        """Some pairs, without the probability of inversion; and with ``keep`` what that follows from: log ratios of
        task time and of tokens per second, (items, pairs).
        """
        anytime, nothing = self._anytime, [NOT_COMPARED] * len(indices)
        times, speeds = self._times.ratios(indices), self._speeds.ratios(indices)
        task_time = compared_by_item(times, anytime=anytime)
        tokens_per_s = compared_by_item(speeds, anytime=anytime)
        visible, reasoning = (self._where_known(logs, indices) for logs in (self._visible, self._reasoning))
        seconds = compared(self.seconds, indices, anytime=anytime) if self._graded else nothing
        costs = self.costs.compared(indices, anytime=anytime) if self._graded else nothing
        accuracies = self._accuracies.compared(indices) if self._graded else nothing
        splits = self._splits.of(indices)
        # Ranks and the power of the t-test are about ratios that are known.
        cuts = [bool(each.cut_a or each.cut_b) for each in task_time]
        ranked = [index for index, each in enumerate(task_time) if each.items and not cuts[index]]
        by_ranks = self._by_ranks(indices, ranked)
        found = []
        for index, ((a, b), cut) in enumerate(zip(indices, cuts, strict=True)):
            found.append(
                Pair(
                    a=self._arrays.systems[a],
                    b=self._arrays.systems[b],
                    task_time=task_time[index],
                    wilcoxon_p=by_ranks.get(index),
                    items_for_5_percent=items_needed(
                        math.nan if cut else float(times.moments.deviation[index]), RESOLVE
                    ),
                    tokens_per_s=tokens_per_s[index],
                    output_bytes=visible[index],
                    reasoning_bytes=reasoning[index],
                    accuracy=accuracies[index],
                    time_per_correct=seconds[index],
                    cost_per_correct=costs[index],
                    split=splits[index],
                    turns=self._turns.taken(a, b),
                    inversion_probability=None,
                )
            )
        return found, [(_for_claim(times, task_time), speeds.recorded)] if keep else []

    def _by_ranks(self, indices: Indices, ranked: list[int]) -> dict[int, float]:
        """Wilcoxon's p of those of the pairs that are ``ranked``: some at a time, while their differences are close to
        the core.
        """
        found: dict[int, float] = {}
        # Wilcoxon's p is the same the other way round.
        places, pairs = side_by_side([indices[index] for index in ranked])
        order = [ranked[place] for place in places]
        for block in column_blocks(len(self._arrays.items), len(order), AT_A_TIME):
            ratios = self._times.ratios(pairs[block])
            found |= dict(zip(order[block], wilcoxons(ratios.recorded.T, spent=True), strict=True))
        return found

    def _where_known(self, logs: Logs, indices: Indices) -> list[Comparison]:
        """Compare by item the pairs both of whose systems have a value: as a rule no system reasons, or few do."""
        able = [pair for pair in indices if logs.known[pair[0]] and logs.known[pair[1]]]
        if not able:
            return [NOT_COMPARED] * len(indices)
        found = dict(zip(able, compared_by_item(logs.ratios(able), anytime=self._anytime), strict=True))
        return [found.get(pair, NOT_COMPARED) for pair in indices]


def quicker_first(arrays: Arrays) -> list[str]:
    """The systems, the one with the smallest geometric mean of task time first; those without times last."""
    logs = item_means(arrays.in_time.log_recorded)
    means = logs.sum(axis=1) / max(1, logs.shape[1])
    if not (logs.size and np.isfinite(means).all()):
        logs = arrays.in_time.log_recorded
        means = item_means(item_means(np.where(np.isfinite(logs), logs, np.nan)))
    order = sorted(range(len(means)), key=lambda index: (np.isnan(means[index]), means[index], index))
    return [arrays.systems[index] for index in order]


def compare_pairs(
    arrays: Arrays,
    pairs: list[tuple[str, str]],
    resamples: Resamples | None,
    *,
    graded: bool,
    own: Arrays | None = None,
    anytime: bool = False,
) -> list[Pair]:
    """``Pairing.pairs``, with its arguments."""
    return Pairing(arrays, graded=graded, own=own, anytime=anytime).pairs(pairs, resamples)


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

    ``shared``: the measure whose error the pairs share evenly instead (``comparison.adjusted_together``).
    """
    found = adjusted_together(
        [[getattr(pair, measure) for pair in pairs] for measure in MEASURES],
        family,
        shared=None if shared is None else MEASURES.index(shared),
    )
    made = []
    for pair, *comparisons in zip(pairs, *found, strict=True):
        changed = msgspec.structs.replace(pair, **dict(zip(MEASURES, comparisons, strict=True)))
        is_open = changed.task_time.open
        made.append(msgspec.structs.replace(changed, inversion_probability=None) if is_open else changed)
    return made


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


class _Accuracies:
    """Which answers of several systems are right.

    Args:
        correct: (systems, items, repeats), 1, 0, or NaN where there is no record.
        anytime: the data decided how many items there are.
    """

    def __init__(self, correct: Floats, *, anytime: bool) -> None:
        self._correct, self._anytime = correct, anytime
        self._repeats = correct.shape[-1] > 1

    @cached_property
    def _once(self) -> AskedOnce:
        return AskedOnce(self._correct[..., 0])

    def compared(self, indices: Indices) -> list[Comparison]:
        """Differences of the shares of correct trials."""
        if not (self._anytime or self._repeats):
            shares = self._once.shares(indices)
            p_values = shares.mcnemar().tolist()
        else:
            differences = [self._differences(a, b) for a, b in indices]
            shares = PairedShares.of(differences)
            if self._anytime:
                p_values = [anytime_stats.most_differ(each) for each in differences]
            else:
                enough = shares.n >= LEAST_FOR_MEAN
                p_values = np.where(enough, shares.clustered_mcnemar(), shares.mcnemar()).tolist()
        changes = numbers(shares.difference(anytime_stats.reach if self._anytime else None))
        counts = map(int, shares.n.tolist())
        return [_accuracy(*each) for each in zip(changes, p_values, counts, strict=True)]

    def _differences(self, a: int, b: int) -> Floats:
        """Of the items that both were asked."""
        values = item_means(self._correct[b] - self._correct[a])
        return values[~np.isnan(values)]


def _accuracy(change: Estimate, p: float, items: int) -> Comparison:
    if not items:
        return NOT_COMPARED
    # McNemar's test is exact: it needs no least number of items.
    found = by_totals(change, p, max(items, LEAST_FOR_MEAN), nothing=0.0)
    return msgspec.structs.replace(found, items=items)


def is_inverted(pair: Pair) -> bool:
    """``a`` is claimed to finish sooner, ``b`` to have more tokens per second."""
    return pair.task_time.lower == "a" == pair.tokens_per_s.lower


def _inversions(log_time: Floats, log_speed: Floats, resamples: Resamples) -> list[float | None]:
    """Per pair the share of resamples in which it is inverted; null where one of the two cannot be compared."""
    pairs = log_time.shape[1]
    both = np.concatenate([log_time, log_speed], axis=1)
    known = ~np.isnan(both)
    totals = resamples.totals(np.concatenate([np.where(known, both, 0.0), known], axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.nan_to_num(totals[:, : 2 * pairs] / totals[:, 2 * pairs :])
    probabilities = inversion_probability(means[:, :pairs], means[:, pairs:])
    comparable = known[:, :pairs].any(axis=0) & known[:, pairs:].any(axis=0)
    return [float(p) if able else None for p, able in zip(probabilities, comparable, strict=True)]
