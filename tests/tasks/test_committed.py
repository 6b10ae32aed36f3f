"""Time to committed answer, against a reader who looks at every arrival."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from taskpace.records import Arrival, Turn, Usage
from taskpace.tasks.committed import committed_ns, rereading
from taskpace.tasks.extractors import letters
from taskpace.tasks.extractors.letters import letters_of_beginnings, read_letter
from taskpace.tasks.extractors.numbers import NUMBER, read_number
from taskpace.tasks.extractors.whole_text import TEXT
from taskpace.tasks.reading import text as text_module

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


NUMBER_PIECES = [
    "The answer is ", "Answer: ", "18", "1,234", ".5", " ", "not ", " or ", "3/4", "\n", ". ", "x = ", " = ",
    "\\boxed{", "}", "\\frac{1}{2}", "Wait, ", "euros", "**", "$", "? ", "答案是", "。", "million", " and ", "#### ",
    "12:30", "1. ", " is the answer", "-", "twelve ", "tenth",
]  # fmt: skip


def by_definition(text: str, extract: Callable[[str], str | None], data: st.DataObject) -> tuple[Turn, int | None]:
    """A turn of the text with some arrivals, and what the definition says of it."""
    size = len(text.encode())
    every = data.draw(st.booleans())
    sizes = list(range(size + 1)) if every else sorted(data.draw(st.lists(st.integers(0, size), max_size=30)))
    last = turn(text, sizes)
    return last, brute_force(last, extract)


@settings(max_examples=4 * settings.default.max_examples, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.data())
def test_committed_agrees_with_the_definition_at_every_mark(text: str, data: st.DataObject) -> None:
    """Reading sentence by sentence, or the whole text again, finds what looking at all arrivals finds."""
    last, expected = by_definition(text, read, data)
    assert committed_ns([last], rereading(text, read)) == expected
    assert committed_ns([last], letters_of_beginnings(text, CHOICES)) == expected


@settings(max_examples=2 * settings.default.max_examples, deadline=None)
@given(st.text(alphabet="AaBb ().:é\n*is。", max_size=40))
def test_committed_agrees_on_soups_of_letters(text: str) -> None:
    """On random letters, too, both ways find the same moment."""
    last = turn(text, list(range(len(text.encode()) + 1)))
    assert committed_ns([last], letters_of_beginnings(text, CHOICES)) == brute_force(last, read)


@settings(max_examples=3 * settings.default.max_examples, deadline=None)
@given(st.lists(st.sampled_from(NUMBER_PIECES), max_size=10).map("".join), st.data())
def test_a_number_is_committed_by_the_definition(text: str, data: st.DataObject) -> None:
    """The number that a text comes to is committed at the moment that the definition gives."""
    last, expected = by_definition(text, read_number, data)
    assert committed_ns([last], NUMBER.beginnings(text, {})) == expected


@settings(deadline=None)
@given(st.text(alphabet="ab \né", max_size=20), st.data())
def test_a_whole_text_is_committed_by_the_definition(text: str, data: st.DataObject) -> None:
    """Where the whole text is the answer, the definition holds, too: white space at its end changes nothing."""
    last, expected = by_definition(text, lambda part: TEXT.read(part, {}), data)
    assert committed_ns([last], TEXT.beginnings(text, {})) == expected


def test_an_answer_given_at_once_is_committed_at_its_mark() -> None:
    """What follows an answer without changing it does not delay it."""
    text = "The answer is (B). " + "It is a large city. " * 50
    last = turn(text, list(range(1, len(text) + 1)))
    committed = committed_ns([last], letters_of_beginnings(text, CHOICES))
    assert committed == text.index("B)") + 1


def test_an_answer_that_comes_back_is_committed_when_it_comes_back() -> None:
    """B, then C, then B again: the reader could not stop at the first B."""
    text = "The answer is B. No, the answer is C. No, the answer is B."
    last = turn(text, list(range(1, len(text) + 1)))
    committed = committed_ns([last], letters_of_beginnings(text, CHOICES))
    assert committed is not None
    assert committed > text.rindex("answer is B")


@pytest.mark.parametrize(
    "sentence", ["It lies on a river. ", "The answer is B. ", "A) B) C) D) ", "3 + 4 = 7, so 18. "]
)
def test_what_is_read_grows_with_the_text_and_no_faster(sentence: str) -> None:
    """Ten times the text and ten times the arrivals are at most ten times the characters read, and a bit."""
    characters = 0

    def read_characters(count: int) -> int:
        nonlocal characters
        characters = 0
        text = "The answer is B. " + sentence * count
        reading = letters._reading(CHOICES)

        def counted(state: Any, part: str, begins_line: bool) -> Any:
            nonlocal characters
            characters += len(part)
            return reading.step(state, part, begins_line)

        answer_of = text_module.beginnings(text, reading._replace(step=counted))
        committed_ns([turn(text, list(range(1, len(text) + 1, 4)))], answer_of)
        return characters

    assert read_characters(500) <= 11 * read_characters(50)


def test_reading_anew_is_bounded() -> None:
    """An extraction that knows whole texts only is asked until that has cost too much, and then no more."""
    asked = 0

    def extract(part: str) -> str | None:
        nonlocal asked
        asked += len(part)
        return "x"

    text = "x" * 20_000
    committed = committed_ns([turn(text, list(range(1, len(text) + 1)))], rereading(text, extract))
    assert asked <= 5_000_000
    assert committed is not None
    assert 1 < committed < len(text)


def test_earlier_turns_count_in_full() -> None:
    """The time runs from the first dispatch, over all turns."""
    first, last = turn("What city?", [10], end_ns=500), turn("B", [1])
    assert committed_ns([first, last], rereading(last.text, read)) == 501


def test_nothing_extracted_is_null() -> None:
    """Without an answer there is no time at which it was committed to."""
    assert committed_ns([turn("I do not know", [3, 13])], rereading("I do not know", read)) is None
    assert committed_ns([], rereading("", read)) is None


def test_text_that_no_mark_shows_counts_at_the_end_of_the_turn() -> None:
    """An answer without arrivals was there when the turn ended."""
    assert committed_ns([turn("B", [], end_ns=77)], rereading("B", read)) == 77


@pytest.mark.parametrize("sizes", [[1, 2, 3], [3], [2, 3, 3]])
def test_an_unfinished_character_is_left_out(sizes: list[int]) -> None:
    """A full-width letter takes three bytes, and is read once all of them are there."""
    last = turn("Ｂ", sizes)
    assert committed_ns([last], letters_of_beginnings("Ｂ", CHOICES)) == sizes.index(3) + 1
