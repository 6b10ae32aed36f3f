"""Which of two systems a judge prefers, asked in both orders: a preference counts where both orders have it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from taskpace.analysis.estimates import UNKNOWN, Number, number
from taskpace.analysis.intervals import share_interval
from taskpace.analysis.replies import Reply


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
    """Pairs of which the two orders say different things: they count for nobody."""
    contradiction_share: Number
    a_share: Number
    """A's share of the pairs that one of the two won."""
    first_share: Number
    """Of the replies that chose one, the share that chose the answer shown first; 0.5 where the order is no matter."""


def find_preferences(replies: Iterable[Reply]) -> tuple[Preference, ...]:
    """For every two systems, in the order in which they first come."""
    together: dict[tuple[str, str], dict[tuple[str, str], list[Reply]]] = {}
    for reply in replies:
        systems, trials = _names(reply, "first_system", "second_system"), _names(reply, "first", "second")
        backwards = systems[::-1] in together
        key = systems[::-1] if backwards else systems
        together.setdefault(key, {}).setdefault(trials[::-1] if backwards else trials, []).append(reply)
    return tuple(_preference(a, b, list(pairs.values())) for (a, b), pairs in together.items())


def _names(reply: Reply, first: str, second: str) -> tuple[str, str]:
    return reply.about[first], reply.about[second]


def _preference(a: str, b: str, pairs: list[list[Reply]]) -> Preference:
    both = [pair for pair in pairs if len(pair) == 2 and all(reply.said is not None for reply in pair)]
    results = [_result(pair) for pair in both]
    chosen = [reply for pair in pairs for reply in pair if reply.said in ("1", "2")]
    decided = [number for number, result in enumerate(results) if result in (a, b)]
    items = [pair[0].about["item"] for pair in both]
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
        a_share=_share([results[place] == a for place in decided], [items[place] for place in decided]),
        first_share=_share([reply.said == "1" for reply in chosen], [reply.about["item"] for reply in chosen]),
    )


def _result(pair: list[Reply]) -> str | None:
    """The better system, ``tie``, or null where the two orders contradict each other."""
    said = {
        reply.about[{"1": "first_system", "2": "second_system"}[reply.said or ""]] if reply.said != "tie" else "tie"
        for reply in pair
    }
    return said.pop() if len(said) == 1 else None


def _share(hits: list[bool], items: list[str]) -> Number:
    """With Wilson's interval; what is known of one item counts as one observation."""
    if not hits:
        return UNKNOWN
    item_of = np.unique(items, return_inverse=True)[1]
    won = np.bincount(item_of, weights=np.array(hits, np.float64)).astype(np.float64)
    return number(*share_interval(won, np.bincount(item_of).astype(np.float64)))
