"""Preferences, asked in both orders."""

from __future__ import annotations

import pytest

from taskpace.analysis.preferences import find_preferences
from taskpace.analysis.replies import Reply


def pair(item: int, forwards: str | None, backwards: str | None) -> list[Reply]:
    """One item's answers of A and B, A first and then B first."""

    def reply(first: str, second: str, said: str | None) -> Reply:
        about = {
            "first": f"{first}{item}",
            "second": f"{second}{item}",
            "first_system": first,
            "second_system": second,
            "item": str(item),
        }
        return Reply(trial_id="t", kind="preference", task="t", about=about, said=said, time_s=1.0, output_tokens=1)

    return [reply("A", "B", forwards), reply("B", "A", backwards)]


def replies(*pairs: tuple[str | None, str | None]) -> list[Reply]:
    return [reply for item, said in enumerate(pairs) for reply in pair(item, *said)]


def test_a_preference_counts_where_both_orders_have_it():
    """A, A, B and a tie; two contradictions and an unreadable pair count for nobody."""
    (found,) = find_preferences(
        replies(("1", "2"), ("1", "2"), ("2", "1"), ("tie", "tie"), ("1", "1"), ("1", "tie"), ("1", None))
    )
    assert (found.a, found.b) == ("A", "B")
    assert (found.pairs, found.unreadable) == (6, 1)
    assert (found.a_better, found.b_better, found.ties, found.contradictions) == (2, 1, 1, 2)
    assert found.contradiction_share.value == pytest.approx(2 / 6)
    assert found.a_share.value == pytest.approx(2 / 3)
    # Chosen first: 1 . | 1 . | . 1 | tie tie | 1 1 | 1 tie | 1 none: 7 of 10.
    assert found.first_share.value == pytest.approx(0.7)


def test_a_judge_of_places_is_seen_through():
    """One that always takes the first answer contradicts itself in every pair, and its bias is plain."""
    (found,) = find_preferences(replies(*[("1", "1")] * 20))
    assert (found.contradictions, found.a_better, found.b_better) == (20, 0, 0)
    assert found.a_share.value is None
    assert found.first_share.value == 1.0
    assert found.first_share.low > 0.8


def test_a_half_asked_pair_counts_for_nobody():
    """An interrupted judge has asked in one order only."""
    (found,) = find_preferences(replies(("1", "2"), ("2", "2"))[:3])
    assert (found.pairs, found.unreadable, found.a_better) == (1, 1, 1)


def test_nothing_to_compare():
    """No replies, no preferences; nothing readable, no shares."""
    assert find_preferences([]) == ()
    (found,) = find_preferences(replies((None, None)))
    assert (found.pairs, found.unreadable) == (0, 1)
    assert found.contradiction_share.value is None
