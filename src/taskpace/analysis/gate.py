"""A gate: whether each condition on a change is known to be met, known not to be, or still open, at any stopping time.

Each way has half of the error of 5 %, so a gate decides by the 95 % interval of the change that may be stopped by:
which side of the limit it lies on. The gate fails where one condition is met in one cell, so "met" is said at its share
of 2.5 % over all of them; it passes where all are known not to be, so one that is met passes wrongly at 2.5 % at most,
however many there are (Berger 1982, "Multiparameter hypothesis testing and acceptance sampling": intersection-union
tests).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from taskpace.analysis.conditions import Condition, parse_condition
from taskpace.analysis.stats.claims import log_ratios
from taskpace.analysis.stats.gate import Bounds, Evidence, OfItems, OfShares, OfTotals, bounds
from taskpace.analysis.stats.items import item_means
from taskpace.analysis.stats.significance import ALPHA
from taskpace.analysis.until import Outcomes, as_arrays, totals_in_time
from taskpace.experiment.until import Against, Decide, Gate, Judged, Seen, Standing, Until

Baseline = Mapping[tuple[str, str, str], Mapping[str, Seen]]
"""What a baseline has recorded: by task, scenario and system, then by item."""
Items = Mapping[tuple[str, str], Sequence[str]]
"""Of each task in each scenario: the items in the order in which they are asked."""


_EACH_WAY = ALPHA / 2
Verdict = Literal["fail", "pass", "open"]


def gate_decider(items: Items, baseline: Baseline) -> Callable[[Until], Decide]:
    """What a run with a gate asks after each round; ``baseline``: empty where its systems are asked again."""

    def decider(until: Until) -> Decide:
        gate = until.gate
        if gate is None:
            raise ValueError("a run without a gate")
        conditions = [parse_condition(text) for text in gate.conditions]

        def decide(seen: Mapping[str, Sequence[Seen | None]], table: tuple[str, str] | None = None) -> Standing:
            task, scenario = table or ("", "")
            judged: list[Judged] = []
            for pair in gate.against:
                new = seen[pair.new]
                base: Sequence[Seen | None]
                if gate.again:
                    base = seen[pair.base]
                else:
                    recorded = baseline.get((task, scenario, pair.base), {})
                    base = [recorded.get(item) for item in items[task, scenario][: len(new)]]
                found = as_arrays([base, new])
                judged += [judge(each, found, (task, scenario), pair, gate) for each in conditions]
            return Standing(
                items=max((sum(one is not None for one in each) for each in seen.values()), default=0),
                pairs=(),
                judged=tuple(judged),
            )

        return decide

    return decider


def judge(condition: Condition, found: Outcomes, table: tuple[str, str], pair: Against, gate: Gate) -> Judged:
    """One condition on one pair.

    Args:
        condition: that fails the gate.
        found: of the two, the base first; items in the order in which they were asked.
        table: task and scenario.
        pair: names.
        gate: among whose conditions and cells the error is shared.
    """
    evidence = _evidence(condition, found)
    share = _EACH_WAY / max(1, gate.cells * len(gate.conditions))
    errors = (share, _EACH_WAY) if condition.above else (_EACH_WAY, share)
    where = bounds(evidence, condition.bound, above=errors[0], below=errors[1])
    met, unmet = (where.above, where.below) if condition.above else (where.below, where.above)
    # Of data that support both (they change with time, which this rules out) neither is known.
    verdict: Verdict = "open" if met == unmet else "fail" if met else "pass"
    return Judged(
        condition=condition.text,
        task=table[0],
        scenario=table[1],
        base=pair.base,
        new=pair.new,
        verdict=verdict,
        items=evidence.items,
        on_most=evidence.on_most,
        more=_more(evidence, condition, share) if verdict == "open" else None,
        **_changes(condition, evidence, where),
    )


def _evidence(condition: Condition, found: Outcomes) -> Evidence:
    if condition.measure == "accuracy":
        return OfShares(item_means(found.correct[1] - found.correct[0]))
    if condition.measure == "time_per_correct":
        return OfTotals(totals_in_time(found.seconds, found.late, found.correct, [(0, 1)]))
    ratios = log_ratios(found.seconds, found.cut, [(0, 1)], found.late)
    return OfItems(*(each[:, 0] for each in (ratios.recorded, ratios.low, ratios.high)))


def _more(evidence: Evidence, condition: Condition, share: float) -> int | None:
    """Until it is met, or known not to be, whichever the change so far supports."""
    speaks_for_it = (evidence.value > condition.bound) == condition.above
    return evidence.more(condition.bound, share if speaks_for_it else _EACH_WAY)


def _changes(condition: Condition, evidence: Evidence, where: Bounds) -> dict[str, float | None]:
    def change(value: float) -> float | None:
        if not math.isfinite(value):
            return None
        return value if condition.measure == "accuracy" else math.expm1(value)

    return {"change": change(evidence.value), "least": change(where.least), "most": change(where.most)}
