"""The starter set: enough questions, well formed, with right answers."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.sources import read_rows

ROWS = read_rows("starter:questions", Path())
BY_QUESTION = {row["question"]: row for row in ROWS}

COMPUTED: dict[str, Any] = {
    "What is 17 multiplied by 6?": 17 * 6,
    "A shop takes 15 per cent off a coat": 80 * 85 // 100,
    "What is the remainder when 100 is divided by 7?": 100 % 7,
    "What is the greatest common divisor of 84 and 126?": math.gcd(84, 126),
    "Written as a decimal fraction, three eighths is": 3 / 8,
    "What is two to the power of ten?": 2**10,
    "A train covers 210 kilometres": 210 * 2 // 5,
    "What is the sum of the whole numbers from 1 to 20?": sum(range(21)),
    "Five workers need 12 days": 5 * 12 // 6,
    "If 3x + 7 = 25": (25 - 7) // 3,
    "What is the slope of the straight line": (10 - 2) // (3 - 1),
    "The first term of an arithmetic sequence is 4": 4 + 9 * 3,
    "What is the base-10 logarithm of 1000?": round(math.log10(1000)),
    "If f(x) = 2x - 1": 2 * 3**2 - 1,
    "Two numbers have the sum 20": (20 + 6) // 2,
    "How many degrees do the interior angles of a triangle": (3 - 2) * 180,
    "A right triangle has legs of length 5 and 12": math.isqrt(5**2 + 12**2),
    "By what factor does the volume of a sphere": 2**3,
    "What is the size, in degrees, of each interior angle of a regular hexagon": (6 - 2) * 180 // 6,
    "A rectangle has an area of 48": 2 * (6 + 48 // 6),
    "How many diagonals does a convex pentagon have?": 5 * (5 - 3) // 2,
    "A car accelerates evenly from rest": 3 * 8,
    "Two resistors of 6 ohms": 6 * 6 // (6 + 6),
    "A stone of mass 2 kilograms": 2 * 10 * 5,
    "what is the relative molecular mass of water": 2 * 1 + 16,
    "What is the decimal value of the binary number 1101?": 0b1101,
    "How many comparisons, at most, does binary search": math.ceil(math.log2(1000 + 1)),
    "What is the hexadecimal number FF": 0xFF,
    "What number comes next in the sequence 2, 6, 12, 20, 30?": 6 * 7,
    "A sum of 200 euros earns simple interest": 200 * 5 * 3 // 100,
    "A loan of 1000 euros": f"{(1080 - 1000) * 100 // 1000} per cent",
    "In the expression NOT (true AND false)": str(not (True and False)).lower(),  # noqa: SIM223 - as written
}


def answer_of(row: dict[str, Any]) -> str:
    return str(row["choices"]["ABCD".index(row["answer"])])


def test_there_are_enough_questions_over_enough_subjects() -> None:
    """At least 120 questions over at least 12 subjects, no subject with fewer than eight."""
    subjects = Counter(row["subject"] for row in ROWS)
    assert len(ROWS) >= 120
    assert len(subjects) >= 12
    assert min(subjects.values()) >= 8


def test_every_row_is_well_formed() -> None:
    """The five columns, four distinct choices that are not empty, and an answer among them."""
    for row in ROWS:
        assert set(row) == {"id", "subject", "question", "choices", "answer"}
        assert len({choice.strip().casefold() for choice in row["choices"]} - {""}) == 4
        assert len(row["choices"]) == 4
        assert row["answer"] in "ABCD"
        assert len(row["answer"]) == 1
        assert row["question"].strip()


def test_ids_and_questions_are_unique() -> None:
    """No id and no question comes twice."""
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert len(BY_QUESTION) == len(ROWS)


def test_answers_are_spread_evenly() -> None:
    """No letter is right more often than another by more than one question in forty."""
    counts = Counter(row["answer"] for row in ROWS)
    assert max(counts.values()) - min(counts[letter] for letter in "ABCD") <= len(ROWS) // 40


@pytest.mark.parametrize(("part", "value"), list(COMPUTED.items()))
def test_numeric_answers_are_what_python_computes(part: str, value: object) -> None:
    """The answer of a question that can be computed is the computed one, and no other choice is."""
    (row,) = [row for row in ROWS if part in row["question"]]
    assert answer_of(row) == str(value)


def test_the_prime_is_the_only_prime() -> None:
    """Of the four numbers one is prime."""
    row = BY_QUESTION["Which of these numbers is prime?"]
    primes = [choice for choice in row["choices"] if all(int(choice) % n for n in range(2, int(choice)))]
    assert primes == [answer_of(row)]


def test_the_quadratic_equation_is_solved() -> None:
    """Both given solutions solve the equation."""
    row = BY_QUESTION["What are the solutions of x^2 - 5x + 6 = 0?"]
    assert [int(x) ** 2 - 5 * int(x) + 6 for x in answer_of(row).split(" and ")] == [0, 0]
