"""Asking until the ranking is settled, or a gate can say pass or fail: what is wanted, what is seen of the trials, and
how it stands. Pure.

How a standing is found is statistics, which a run does not know: whoever starts it hands over a ``Decide``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from taskpace.experiment.numbers import Refuse
from taskpace.experiment.scenario import Scenario

MOST_ITEMS = 660
"""Asked at most where the experiment does not say: as many as in the paper."""
By = Literal["task-time", "s-per-correct"]
Verdict = Literal["a", "b", "equivalent", "open"]
"""Who is sooner, that neither is within the margin, or that more items have to be asked."""
_PERCENT = re.compile(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*")


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """A new system, and the one of the baseline that it is compared with."""

    base: str
    """Name of the older system: in this run where it is asked again, else in the baseline's run file."""
    new: str
    """Name of the new system."""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on changes against a baseline; the run reports for each whether it is met."""

    conditions: tuple[str, ...]
    """As written: ``task_time > 5%``."""
    base: str
    """Which baseline, for a reader."""
    against: tuple[Against, ...]
    """The new systems, each with its older one."""
    again: bool
    """The older systems are asked again, item by item in turns with the new ones."""
    cells: int
    """Tasks in scenarios, each with each new system, that the baseline has too: one fails where any of them does."""


class Until(msgspec.Struct, frozen=True, kw_only=True):
    """End a task when its ranking is settled, or all its tasks when a gate can say pass or fail."""

    by: By = "task-time"
    margin: float | None = None
    """Two systems whose ratio is known to be less than 1 + margin either way are equivalent; null: none ever are."""
    gate: Gate | None = None
    """What is to be judged in place of a ranking; null: the ranking."""


class Ends(msgspec.Struct, frozen=True):
    """Of an experiment that a run file holds: when it ends."""

    until: Until | None = None


class Seen(NamedTuple):
    """What is known of one trial, after its last attempt."""

    seconds: float | None
    """Null: nothing was dispatched, or its worker crashed."""
    cut: bool
    """Truncated, timed out or failed: the seconds are a lower bound."""
    correct: bool
    late: bool = False
    """The client stood still meanwhile: the seconds are an upper bound."""


class PairStanding(msgspec.Struct, frozen=True, kw_only=True):
    """Two systems of one task after so many items."""

    a: str
    b: str
    verdict: Verdict
    on_most: bool
    """A claim about more than half of the items, and a ratio that is a median; else about the mean."""
    items: int
    """That both were asked."""
    ratio: float | None
    """B's seconds over A's, with the interval that one may stop by; null: unknown."""
    low: float | None
    high: float | None
    more: int | None
    """About so many more would settle the pair, if it goes on as it is; null: settled, or more than one can say."""
    margin: float | None
    """The least margin with which the two would be equivalent by now; null: no margin."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One condition on one new system, on one task, after so many items: error 5 % in all, whenever one stops."""

    condition: str
    """As written."""
    task: str
    """Which task."""
    scenario: str
    """In which scenario."""
    base: str
    """Name of the older system (``Against``)."""
    new: str
    """Name of the new system."""
    verdict: Literal["fail", "pass", "open"]
    """Of the condition, whether it is known to be met (``fail``), known not to be, or neither."""
    items: int
    """That both were asked."""
    on_most: bool
    """About more than half of the items, and a change that is a median; else about the mean, or totals."""
    change: float | None
    """0.05 for 5 % more; of accuracy the difference of the shares. Null: unknown."""
    least: float | None
    """The change is no less: with ``most`` an interval that holds at 95 % at all times at once. Null: no bound."""
    most: float | None
    """The change is no more; likewise."""
    more: int | None
    """About so many items more would settle it, if it goes on as it is; null: settled, or more than one can say."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """All pairs of one task in one scenario, or all conditions on it."""

    items: int
    """Asked so far of one system at least."""
    pairs: tuple[PairStanding, ...]
    judged: tuple[Judged, ...] = ()
    """In place of pairs, in a run with a gate."""

    @property
    def open(self) -> tuple[PairStanding, ...]:
        """The pairs that are not settled."""
        return tuple(pair for pair in self.pairs if pair.verdict == "open")

    @property
    def failed(self) -> bool:
        """A condition is met: the gate has said all that it can, of other tasks too."""
        return any(each.verdict == "fail" for each in self.judged)

    def needed(self, without: Sequence[str] = ()) -> frozenset[str]:
        """The systems that have to be asked more; ``without``: those that cannot be asked."""
        if self.failed:
            return frozenset()
        pairs = [{pair.a, pair.b} for pair in self.open]
        pairs += [{each.base, each.new} for each in self.judged if each.verdict == "open"]
        return frozenset(name for pair in pairs if not pair & set(without) for name in pair)


class Decide(Protocol):
    """Says how systems stand: a function of what was recorded, in the order of the plan."""

    def __call__(self, seen: Mapping[str, Sequence[Seen | None]], table: tuple[str, str] | None = None) -> Standing:
        """``seen``: of each system, trial by trial; null: not asked. ``table``: task and scenario, for a gate."""
        ...


def read_until(settings: Mapping[str, Any], refuse: Refuse, before: Until | None = None) -> Until | None:
    """When to end, from the keys ``until``, ``margin``, ``by`` and ``max_items``; null: when all items are asked.

    ``before``: what was wanted so far; these may change a part of it.
    """
    margin, by = settings.get("margin"), settings.get("by")
    if settings.get("until") is None and before is None:
        for key in ("margin", "by", "max_items"):
            if settings.get(key) is not None:
                raise refuse(
                    f'key "{key}": it is for a run that ends when its ranking is settled: add until = "decided"'
                )
        return None
    known = before or Until()
    return Until(by=by or known.by, margin=known.margin if margin is None else _read_margin(margin, refuse))


def _read_margin(text: str, refuse: Refuse) -> float:
    found = _PERCENT.fullmatch(text)
    share = float(found.group(1)) / 100 if found else 0.0
    if not 0 < share <= 1:
        raise refuse(f'key "margin": invalid margin "{text}": write per cent above 0, 100 at most, such as "5%"')
    return share


def check_until(
    *, systems: int, repeats: int, order: str, scenarios: Sequence[Scenario], refuse: Refuse, gate: bool = False
) -> None:
    """See that an experiment can be carried out until it is decided; ``gate``: against a baseline.

    Raises:
        ExperimentError: nothing to compare, systems that do not take turns, or items that are not one observation each.
    """
    if systems < 2 and not gate:
        raise refuse('key "until": one system alone has nothing to be settled: name two or more, or leave "until" out')
    if repeats > 1:
        raise refuse('key "repeats": until = "decided" asks new items, which show more than repeats: leave it out')
    if order == "sequential":
        raise refuse('key "order": until = "decided" needs systems that take turns: "turns" or "blocks"')
    for scenario in scenarios:
        if scenario.rate is not None or scenario.batch is not None:
            raise refuse(
                f'key "scenarios": until = "decided" ends between two items, which "{scenario.name}" does not allow: '
                'write "single" or "concurrency=N"'
            )
