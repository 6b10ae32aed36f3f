"""Preferences, asked in both orders."""

from __future__ import annotations

import pytest

from taskpace.analysis.judge.preferences import Preference, adjusted_preferences, find_preferences
from taskpace.analysis.judge.replies import Reply
from taskpace.report.words.judge import preference_sentence


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
    """A, A, B and a tie; two contradictions and an unreadable pair count for neither."""
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


def alone(*pairs: tuple[str | None, str | None]) -> Preference:
    """The only two systems of the only task."""
    (((found,)),) = adjusted_preferences([find_preferences(replies(*pairs))])
    return found


def test_four_of_four_is_no_preference():
    """The sign test: 4 of 4 is p = 0.125, 6 of 6 is 0.031."""
    found = alone(*[("1", "2")] * 4)
    assert (found.p, found.p_holm, found.preferred) == (0.125, 0.125, None)
    assert "too few to tell a preference from chance (p = 0.12)" in preference_sentence(found)
    found = alone(*[("1", "2")] * 6, ("tie", "tie"))
    assert (found.p, found.preferred) == (0.03125, "A")
    assert "the judge prefers A (p = 0.031)" in preference_sentence(found)
    assert alone(*[("2", "1")] * 6).preferred == "B"
    assert "A or B: no preference; " in preference_sentence(alone(("tie", "tie")))


def test_many_pairs_of_systems_need_more():
    """Six of six is enough alone, and not as one of two tasks to test; ties are not tested and cost nothing."""
    six, even, tied = (
        find_preferences(replies(*said)) for said in ([("1", "2")] * 6, [("1", "2"), ("2", "1")], [("tie", "tie")] * 3)
    )
    (((found,)), _) = adjusted_preferences([six, even])
    assert (found.p_holm, found.preferred) == (0.0625, None)
    (((found,)), ((nothing,))) = adjusted_preferences([six, tied])
    assert (found.p_holm, found.preferred, nothing.p_holm) == (0.03125, "A", None)


def test_repeats_of_an_item_count_once():
    """Six repeats of one item are one observation; an item that goes both ways is none."""
    six = [reply for _ in range(6) for reply in pair(0, "1", "2")]
    for number, reply in enumerate(six):
        reply.about["first"] += f"r{number // 2}"
        reply.about["second"] += f"r{number // 2}"
    (found,) = find_preferences(six)
    assert (found.pairs, found.a_better, found.a_items, found.b_items, found.p) == (6, 6, 1, 0, 1.0)


def test_a_lean_to_a_place_is_tested():
    """Five of five to the first may be chance, six are told; a half-readable pair shows nothing of positions."""
    assert alone(*[("1", "1")] * 5, *[("1", None)] * 9).leans_to is None
    found = alone(*[("1", "1")] * 6)
    assert (found.leans_to, found.first_items, found.second_items) == ("first", 6, 0)
    assert "leans to the answer that is shown first (p = 0.031)" in preference_sentence(found)
    assert alone(*[("2", "tie")] * 6).leans_to == "second"
