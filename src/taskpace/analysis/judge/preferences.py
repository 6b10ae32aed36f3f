"""Which of two systems a judge prefers, asked in both orders: a preference counts where both orders have it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import msgspec
import numpy as np

from taskpace.analysis.judge.replies import Reply
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, number
from taskpace.analysis.stats.shares import share_interval
from taskpace.analysis.stats.significance import ALPHA, holm_of_known, sign_test


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """Two systems on one task. A pair is two answers to one item, shown once in each order."""

    a: str
    b: str
    pairs: int
    """With a readable reply in both orders."""
    unreadable: int
    """Pairs with one that could not be read, or that the judge did not come to an end with."""
    a_better: int
    b_better: int
    ties: int
    contradictions: int
    """Pairs whose two orders contradict each other: they count for neither."""
    contradiction_share: Estimate
    a_share: Estimate
    """A's share of the pairs that one of the two won."""
    first_share: Estimate
    """Of the replies that chose, the share that chose the answer shown first; 0.5 where the order does not matter."""
    a_items: int
    """Items with more pairs won by A than by B."""
    b_items: int
    """Items with more pairs won by B than by A."""
    p: float | None
    """Two-sided, of "neither is preferred", by the sign test on those items. Null where there are none."""
    p_holm: float | None = None
    """``p``, adjusted for all pairs of systems on all tasks of the judgement (Holm)."""
    first_items: int
    """Items in whose pairs the answer shown first was chosen more often than the other."""
    second_items: int
    """Items in whose pairs it was less often."""
    first_p: float | None
    """Two-sided, of "the order does not matter", by the sign test on those items. Null where there are none."""
    first_p_holm: float | None = None
    """``first_p``, adjusted as ``p_holm`` is, in a family of its own."""

    @property
    def preferred(self) -> str | None:
        """Who is shown to be preferred (5 %, the whole family considered); null: neither."""
        if self.p_holm is None or self.p_holm > ALPHA:
            return None
        return self.a if self.a_items > self.b_items else self.b

    @property
    def leans_to(self) -> str | None:
        """Which one, ``first`` or ``second``, the judge is shown to lean to; null: neither."""
        if self.first_p_holm is None or self.first_p_holm > ALPHA:
            return None
        return "first" if self.first_items > self.second_items else "second"


def find_preferences(replies: Iterable[Reply]) -> tuple[Preference, ...]:
    """For every two systems, in the order in which they first come."""
    together: dict[tuple[str, str], dict[tuple[str, str], list[Reply]]] = {}
    for reply in replies:
        systems, trials = _names(reply, "first_system", "second_system"), _names(reply, "first", "second")
        backwards = systems[::-1] in together
        key = systems[::-1] if backwards else systems
        together.setdefault(key, {}).setdefault(trials[::-1] if backwards else trials, []).append(reply)
    return tuple(_preference(a, b, list(pairs.values())) for (a, b), pairs in together.items())


def adjusted_preferences(tasks: list[tuple[Preference, ...]]) -> list[tuple[Preference, ...]]:
    """The preferences of each task with ``p_holm`` and ``first_p_holm``, over all of them."""
    every = [one for task in tasks for one in task]
    adjusted = iter(
        [
            msgspec.structs.replace(one, p_holm=p, first_p_holm=first_p)
            for one, p, first_p in zip(
                every,
                holm_of_known([one.p for one in every]),
                holm_of_known([one.first_p for one in every]),
                strict=True,
            )
        ]
    )
    return [tuple(islice(adjusted, len(task))) for task in tasks]


def _names(reply: Reply, first: str, second: str) -> tuple[str, str]:
    return reply.about[first], reply.about[second]


def _preference(a: str, b: str, pairs: list[list[Reply]]) -> Preference:
    both = [pair for pair in pairs if len(pair) == 2 and all(reply.said is not None for reply in pair)]
    results = [_result(pair) for pair in both]
    chosen = [reply for pair in pairs for reply in pair if reply.said in ("1", "2")]
    decided = [number for number, result in enumerate(results) if result in (a, b)]
    items = [pair[0].about["item"] for pair in both]
    a_items, b_items = _items_either_way([(result == a) - (result == b) for result in results], items)
    first_items, second_items = _items_either_way(
        [sum((reply.said == "1") - (reply.said == "2") for reply in pair) for pair in both], items
    )
    return Preference(
        a=a,
        b=b,
        pairs=len(both),
        unreadable=len(pairs) - len(both),
        a_better=results.count(a),
        b_better=results.count(b),
        ties=results.count("tie"),
        contradictions=results.count(None),
        contradiction_share=_share([result is None for result in results], items),
        a_share=_share([results[index] == a for index in decided], [items[index] for index in decided]),
        first_share=_share([reply.said == "1" for reply in chosen], [reply.about["item"] for reply in chosen]),
        a_items=a_items,
        b_items=b_items,
        p=sign_test(a_items, b_items) if a_items + b_items else None,
        first_items=first_items,
        second_items=second_items,
        first_p=sign_test(first_items, second_items) if first_items + second_items else None,
    )


def _result(pair: list[Reply]) -> str | None:
    """The better system, ``tie``, or null where the two orders contradict each other."""
    said = {
        reply.about[{"1": "first_system", "2": "second_system"}[reply.said or ""]] if reply.said != "tie" else "tie"
        for reply in pair
    }
    return said.pop() if len(said) == 1 else None


def _items_either_way(balances: list[int], items: list[str]) -> tuple[int, int]:
    """Of how many items the pairs' balances add up to more than 0, and of how many to less."""
    totals: dict[str, int] = {}
    for balance, item in zip(balances, items, strict=True):
        totals[item] = totals.get(item, 0) + balance
    return sum(total > 0 for total in totals.values()), sum(total < 0 for total in totals.values())


def _share(hits: list[bool], items: list[str]) -> Estimate:
    """With Wilson's interval; what is known of one item counts as one observation."""
    if not hits:
        return UNKNOWN
    item_of = np.unique(items, return_inverse=True)[1]
    won = np.bincount(item_of, weights=np.array(hits, np.float64)).astype(np.float64)
    return number(*share_interval(won, np.bincount(item_of).astype(np.float64)))
