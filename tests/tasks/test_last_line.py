"""Reading a judge's decision: the last line says it, or nothing does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from taskpace.tasks.extractors.last_line import read_preference, read_verdict

LINES = st.text(st.characters(exclude_categories=("Cs",)), max_size=60).map(lambda text: " ".join(text.split()))
WITHOUT_DECISION = st.lists(LINES.filter(lambda line: not re.search("verdict|better", line, re.IGNORECASE)), max_size=5)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Verdict: correct", "correct"),
        ("It is right.\n\nVerdict: wrong\n", "wrong"),
        ("**Verdict:** correct", "correct"),
        ("**Verdict: correct**", "correct"),
        ("> VERDICT = *Wrong*.", "wrong"),
        ("Verdict: incorrect", "wrong"),
        ('"Verdict: wrong"', "wrong"),
        ("Verdict: wrong\nso I think.\nVerdict: wrong", "wrong"),
        ("Verdict: correct\nVerdict: wrong", None),
        ('"Verdict: correct" or "Verdict: wrong"', None),
        ("Verdict: correct or wrong", None),
        ("Verdict: correct/wrong", None),
        ("Verdict: not correct", None),
        ("Verdict: partially correct", None),
        ("Verdict: correct\nand then it goes on", None),
        ("The verdict: correct is what it wants", None),
        ("My verdict: correct", None),
        ("correct", None),
        ("Verdict:", None),
        ("Verdict: tie", None),
        ("Better: 1", None),
        ("Verdict: \u0441orrect", None),
        ("", None),
        ("\n \n", None),
    ],
)
def test_a_verdict_is_read_or_not(text, verdict):
    """Arrival-up, case and a full stop do not matter; anything else on the line, or another verdict before, does."""
    assert read_verdict(text) == verdict


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("Better: 1", "1"),
        ("Both are fine.\n**Better: Tie**", "tie"),
        ("better: 2.", "2"),
        ("Better: answer 1", None),
        ("Better: 12", None),
        ("Better: 1 or 2", None),
        ('"Better: 1", "Better: 2" and "Better: tie"', None),
        ("Better: 1\nBetter: 2", None),
        ("Verdict: correct", None),
    ],
)
def test_a_preference_is_read_or_not(text, better):
    """Which of two answers is better is read from the last line, or not at all."""
    assert read_preference(text) == better


@given(lines=WITHOUT_DECISION, verdict=st.sampled_from(["correct", "wrong"]))
def test_only_a_last_line_decides(lines, verdict):
    """Whatever goes before changes nothing; with a visible character after it there is no verdict."""
    text = "\n".join([*lines, f"Verdict: {verdict}"])
    assert read_verdict(text) == verdict
    assert read_verdict("\n".join(lines)) is None
    assert read_verdict(f"{text}\nx") is None


@given(text=st.text())
def test_nothing_is_guessed(text):
    """A verdict or a preference comes from a text that holds the words, and from no other."""
    if read_verdict(text) is not None:
        assert re.search(r"verdict\W+(correct|wrong|incorrect)\W*$", text.lower())
    if read_preference(text) is not None:
        assert re.search(r"better\W+(1|2|tie)\W*$", text.lower())


@given(before=LINES, after=LINES, said=st.lists(st.sampled_from(["correct", "wrong"]), min_size=1, max_size=4))
def test_a_reply_that_says_both_says_nothing(before, after, said):
    """Verdicts that differ cancel each other; those that agree are one."""
    text = "\n".join([before, *(f"Verdict: {one}" for one in said)])
    assert read_verdict(text) in ({said[-1]} if len(set(said)) == 1 else {None}) | (
        {None} if "verdict" in before.lower() else set()
    )
    assert read_preference(f"{text}\n{after}") is None or "better" in after.lower()
