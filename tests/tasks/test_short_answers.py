"""Short answers: the same in other typography, the word that matters, denials, sentences."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from taskpace.tasks.scorers import SCORERS
from taskpace.tasks.scorers.squad import SquadOptions
from taskpace.tasks.short_answers import contains_answer, exact_match, normalise, token_f1

OPTIONS = SquadOptions(pass_f1=0.6, contained_words=30)


def passes(said: str, *answers: str) -> bool:
    fields = {"answers": list(answers)}
    return SCORERS["squad"].grade(said, said, fields, OPTIONS).outcome == "correct"


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("Not Paris", "Paris"),
        ("It isn’t Paris", "Paris"),
        ("Lyon, not Paris", "Paris"),
        ("Lyon rather than Paris", "Paris"),
        ("Everything but Paris", "Paris"),
        ("He never lived in Paris", "Paris"),
        ("Is it Paris?", "Paris"),
        ("If anything, Paris or Lyon", "Paris"),
        ("It is Paris. No, it is Lyon.", "Paris"),
        ("nicht Berlin", "Berlin"),
        ("Ce n'est pas Paris.", "Paris"),
        ("不是巴黎，是里昂。", "巴黎"),
        ("東京ではありません。", "東京"),
        ("не Москва", "Москва"),
        ("guilty", "not guilty"),
        ("not guilty", "guilty"),
        ("It is not false", "false"),
        ("Yes and no", "no"),
        ("There is no doubt: yes", "no"),
        ("Charles Darwin's grandfather", "Charles Darwin"),
        ("Some say Paris, but it is London.", "Paris"),
        ("It used to be Paris, now it is London.", "Paris"),
        ("Paris is a common guess; the answer is London.", "Paris"),
        ("First I thought Paris. It is London.", "Paris"),
        ("The answer is London. Paris is the capital of France.", "Paris"),
        ("Maybe Paris, maybe London.", "Paris"),
        ("Perhaps London, perhaps Paris.", "Paris"),
        ("Paris and London", "Paris"),
        ("The cities are London and Paris.", "Paris"),
        ("Paris/London", "Paris"),
        ("London/Paris", "Paris"),
        ("Paris (or London)", "Paris"),
        ("Saturn and Jupiter", "Jupiter"),
        ("New York and London", "New York"),
        ("zinc and copper", "copper"),
        ("Many people think of Paris.", "Paris"),
    ],
)
def test_what_is_denied_asked_or_one_of_two_is_not_given(said: str, right: str) -> None:
    """Whatever F1 says, and in whatever language."""
    assert not passes(said, right)


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("13 May 1945", "14 May 1945"),
        ("14 June 1945", "14 May 1945"),
        ("World War I", "World War II"),
        ("Henry VIII of England", "Henry VII of England"),
        ("the second President of the United States", "the third President of the United States"),
        ("the northern hemisphere", "the southern hemisphere"),
        ("the right ventricle", "the left ventricle"),
        ("the South China Sea", "the East China Sea"),
        ("King George of Denmark", "King George of Greece"),
        ("Apollo 13", "Apollo 11"),
        ("15", "1.5"),
        ("-5", "5"),
        ("more than five", "five"),
        ("less than 10 km", "10 km"),
        ("1805-1806", "1805"),
        ("between 1944 and 1945", "1945"),
        ("C++", "C#"),
        ("湖北省", "河北省"),
        ("2", "second"),
        ("a group of seven countries", "a group of eight countries"),
        ("F#", "F"),
        ("It is C#.", "C"),
        ("soluble in hot water", "insoluble in hot water"),
        ("legal in all states", "illegal in all states"),
        ("acute kidney failure", "chronic kidney failure"),
        ("at the anode of the cell", "at the cathode of the cell"),
        ("the king of spain", "the queen of spain"),
        ("Queen George of Greece", "King George of Greece"),
        ("on monday morning", "on tuesday morning"),
        ("in march of that year", "in may of that year"),
        ("George W. Bush", "George H. W. Bush"),
        ("George H. W. Bush", "George W. Bush"),
        ("John Quincy Adams", "John Adams"),
        ("John Adams", "John Quincy Adams"),
        ("Martin Luther", "Martin Luther King"),
        ("Martin Luther King", "Martin Luther"),
        ("5 million tonnes", "5 million people"),
        ("River", "Amazon River"),
        ("pêche", "péché"),
    ],
)
def test_the_word_that_matters_must_agree(said: str, right: str) -> None:
    """Numbers, dates, ordinals, Roman numerals, names, directions: another one is another answer."""
    assert not passes(said, right)


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("“Paris”", "Paris"),
        ("Paris—the capital of France", "Paris"),
        ("O'Brien", "O’Brien"),
        ("Cafe\u0301", "Café"),
        ("巴黎。", "巴黎"),
        ("法国的首都是巴黎。", "巴黎"),
        ("서울입니다.", "서울"),
        ("Ankara'dır.", "Ankara"),
        ("\\boxed{\\text{Paris}}", "Paris"),
        ("<final_answer>Paris</final_answer>", "Paris"),
        ("The answer is not Lyon. <answer>Paris</answer>", "Paris"),
        ("Paris, not Lyon", "Paris"),
        ("It was not Lyon but Paris", "Paris"),
        ("twelve", "12"),
        ("the 2nd", "second"),
        ("１,２３４", "1234"),
        ("١٩٤٥", "1945"),
        ("World War One", "World War I"),
        ("Queen Elizabeth the Second", "Queen Elizabeth II"),
        ("14th of July", "14 July"),
        ("May 14, 1945", "14 May 1945"),
        ("No, it sinks.", "no"),
        ("The answer is yes.", "yes"),
        ("Straße", "Strasse"),
        ("नई दिल्ली", "नई दिल्ली"),
        ("Lake Superior, the largest of the five Great Lakes", "Lake Superior"),
        ("J.R.R. Tolkien", "J. R. R. Tolkien"),
        ("It was written by J. R. R. Tolkien.", "J.R.R. Tolkien"),
        ("It was John F. Kennedy.", "John F. Kennedy"),
        ("Beyonce", "Beyoncé"),
        ("It is Beyonce.", "Beyoncé"),
        ("Zürich", "Zurich"),
        ("1914 to 1918", "1914\u20131918"),
        ("from 1914 to 1918", "1914-1918"),
        ("It lasted from 1914 to 1918.", "1914-1918"),
        ("John Kennedy", "John F. Kennedy"),
        ("King George of Greece", "George of Greece"),
        ("the river Amazon", "Amazon"),
        ("Amazon River", "Amazon"),
        ("Paris", "Paris, France"),
        ("large prime numbers", "a large prime number"),
        ("kidney failure", "acute kidney failure"),
        ("It is not London. It is Paris.", "Paris"),
        ("Paris. It is the capital of France.", "Paris"),
        ("The answer is Paris. London is the capital of England.", "Paris"),
        ("It is Paris, and London is the capital of England.", "Paris"),
        ("The answer is simple: Paris.", "Paris"),
        ("I first thought it was London. It is Paris.", "Paris"),
        ("The answer is London. Wait, the answer is Paris.", "Paris"),
    ],
)
def test_the_same_answer_in_other_clothes(said: str, right: str) -> None:
    """Typography, scripts, marks around an answer, forms of a number, a sentence: none makes it wrong."""
    assert passes(said, right)


WORDS = st.lists(
    st.sampled_from(["Paris", "not", "or", "14", "May", "II", ",", ".", "?", "is", "巴黎", "no", "'s", "the"])
)


@given(WORDS.map(" ".join), WORDS.map(" ".join))
def test_grading_keeps_its_order(said: str, right: str) -> None:
    """An answer is itself; what matches exactly has a full F1; F1 lies between 0 and 1; nothing raises."""
    assert exact_match(said, [said])
    assert 0 <= token_f1(said, [right]) <= 1
    if exact_match(said, [right]) and normalise(said) == normalise(right):
        assert token_f1(said, [right]) == 1.0
    contains_answer(said, [right or "x"], 30)
    passes(said, right)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_two_numbers_are_the_same_answer_only_if_they_are_equal(one: int, other: int) -> None:
    """However they are grouped, and whatever stands around them."""
    assert passes(f"{one:,}", str(other)) == (one == other)
    assert passes(f"The answer is {one}.", str(other)) == (one == other)


def test_no_more_is_read_of_an_answer_whose_characters_become_many() -> None:
    """One character may be eighteen in plain form; what is read has the same bound."""
    said = "\ufdfa" * 2000 + " Paris"
    options = SquadOptions(contained_words=10**6)
    assert SCORERS["squad"].grade(said, said, {"answers": ["Paris"]}, options).outcome == "wrong"
