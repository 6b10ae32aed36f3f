"""Time to committed answer, against a reader who looks at every arrival."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st

from taskpace.records import Arrival, Turn, Usage
from taskpace.tasks.committed import committed_ns
from taskpace.tasks.extractors.letters import letter_spans, read_letter

CHOICES = ("London", "Paris", "Rome", "Berlin")


def turn(text: str, sizes: list[int], end_ns: int = 10**9) -> Turn:
    """A turn whose arrivals show so many bytes each, a nanosecond apart."""
    return Turn(
        dispatch_ns=0,
        send_delay_ns=0,
        arrivals=tuple(Arrival(number + 1, size, 0) for number, size in enumerate(sizes)),
        text=text,
        reasoning="",
        end_ns=end_ns,
        finish_ns=end_ns,
        finish_reason="stop",
        usage=Usage(),
    )


def brute_force(last: Turn, extract: Callable[[str], str | None]) -> int | None:
    """The definition, word for word."""
    final = extract(last.text)
    if final is None:
        return None
    raw = last.text.encode()
    answers = [extract(raw[: arrival.visible_bytes].decode(errors="ignore")) for arrival in last.arrivals]
    for number, arrival in enumerate(last.arrivals):
        if all(answer == final for answer in answers[number:]):
            return arrival.ns
    return last.end_ns


def read(text: str) -> str | None:
    return read_letter(text, CHOICES)


PIECES = [
    "The answer is ", "Answer: ", "A", "B", "c", "b", ") ", "(", "not ", " or ", " and ", "Paris", ". ", "\n",
    "option ", "\\boxed{",
    "\\text{", "}", "**", "_", " is correct", " is wrong", "?", "if ", "wait, ", "Ｂ", "é", " because ",
    "I choose ", "it is ", "Apple", "a", " a dog", "Berlin", "Both ", "B-cell", "C++", "  ", "\t", ".....", "\n\n\n",
    "and then it goes on, ", "Explanation", ", ", "answer", "B.", "/", "'", '"', "$", "->",
    ">", "<", "Some say ", "wrong", "cannot ",
]  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.data())
def test_committed_agrees_with_the_definition_at_every_mark(text: str, data: st.DataObject) -> None:
    """Skipping arrivals by the letter's spans, or not skipping any, finds what looking at all of them finds."""
    size = len(text.encode())
    every = data.draw(st.booleans())
    sizes = list(range(size + 1)) if every else sorted(data.draw(st.lists(st.integers(0, size), max_size=30)))
    last = turn(text, sizes)
    expected = brute_force(last, read)
    assert committed_ns([last], read) == expected
    assert committed_ns([last], read, letter_spans(text, CHOICES)) == expected


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="AaBb ().:é\n*is", max_size=40))
def test_committed_agrees_on_soups_of_letters(text: str) -> None:
    """The same for texts without any sense."""
    last = turn(text, list(range(len(text.encode()) + 1)))
    assert committed_ns([last], read, letter_spans(text, CHOICES)) == brute_force(last, read)


def test_an_answer_given_at_once_is_committed_at_its_mark() -> None:
    """What follows an answer without changing it does not delay it."""
    text = "The answer is (B). " + "It is a large city. " * 50
    last = turn(text, list(range(1, len(text) + 1)))
    committed = committed_ns([last], read, letter_spans(text, CHOICES))
    assert committed == text.index("B)") + 1


def test_an_answer_that_comes_back_is_committed_when_it_comes_back() -> None:
    """B, then C, then B again: the reader could not stop at the first B."""
    text = "The answer is B. No, the answer is C. No, the answer is B."
    last = turn(text, list(range(1, len(text) + 1)))
    committed = committed_ns([last], read, letter_spans(text, CHOICES))
    assert committed is not None
    assert committed > text.rindex("answer is B")


def test_few_extractions_are_needed() -> None:
    """Two thousand arrivals after an early answer are not two thousand readings."""
    text = "The answer is B. " + "and then a city called Rome grows beside a river, " * 160
    sizes = [round(len(text) * number / 2000) for number in range(1, 2001)]
    calls = 0

    def counted(part: str) -> str | None:
        nonlocal calls
        calls += 1
        return read(part)

    assert committed_ns([turn(text, sizes)], counted, letter_spans(text, CHOICES)) is not None
    assert calls < 100


def test_earlier_turns_count_in_full() -> None:
    """The time runs from the first dispatch, over all turns."""
    first, last = turn("What city?", [10], end_ns=500), turn("B", [1])
    assert committed_ns([first, last], read) == 501


def test_nothing_extracted_is_null() -> None:
    """Without an answer there is no time at which it was committed to."""
    assert committed_ns([turn("I do not know", [3, 13])], read) is None
    assert committed_ns([], read) is None


def test_text_that_no_mark_shows_counts_at_the_end_of_the_turn() -> None:
    """An answer without arrivals was there when the turn ended."""
    assert committed_ns([turn("B", [], end_ns=77)], read) == 77


@pytest.mark.parametrize("sizes", [[1, 2, 3], [3], [2, 3, 3]])
def test_an_unfinished_character_is_left_out(sizes: list[int]) -> None:
    """A full-width letter takes three bytes, and is read once all of them are there."""
    last = turn("Ｂ", sizes)
    assert committed_ns([last], read, letter_spans("Ｂ", CHOICES)) == sizes.index(3) + 1
