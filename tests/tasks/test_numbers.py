r"""Numbers of worked problems: remarks after the answer, what an answer holds for, what is not one number."""

from __future__ import annotations

import pytest

from taskpace.tasks.extractors.numbers import read_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("8\n\nConfidence: 95%", "8"),
        ("The result is 8.\nConfidence: 95", "8"),
        ("It takes 2 hours.\n\nNote: I assumed 60 minutes in an hour.", "2"),
        ("It takes 2 hours. I have assumed 60 minutes in an hour.", "2"),
        ("The total is 42.\n\nCheck: 42 / 7 = 6.", "42"),
        ("So she has 42 apples left.\n\nTo verify, 42 + 8 = 50.", "42"),
        ("So she has 42 apples left.\nLet's double-check: 42 + 8 = 50. That is 50 in all.", "42"),
        ("It takes 2 hours in total.\n\n(60 minutes = 1 hour)", "2"),
        ("**42**\n\nI used 7 days per week.", "42"),
        ("The result is 8. I used 7 days per week.", "8"),
        ("12 apples\n15 oranges\nThat makes 27 fruits.", "27"),
        ("42\n\nSo 42 - 10 = 32 are left.", "32"),
        ("Note: 3 boxes of 4 are 12.", "12"),
        ("The total is 42. She pays with 50. So she gets 8 back.", "8"),
    ],
)
def test_a_remark_is_no_answer(text: str, number: str | None) -> None:
    """A check, a note, a confidence do not beat the number before them; a conclusion beats a number alone; where a
    remark is all there is, it counts.
    """
    assert read_number(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 42 when x = 3.", "42"),
        ("The answer is 42 (x = 3).", "42"),
        ("Therefore the total cost is $42 when n = 5.", "42"),
        ("The answer is 10 with x = 2 and y = 3.", "10"),
        ("Solving gives x = 7 when y = 2.", "7"),
        ("When x = 3, the answer is 42.", "42"),
        ("So x = 3.", "3"),
        ("The answer is two dozen, i.e. 24.", "24"),
        ("The answer is two dozen.", "24"),
        ("The answer is 3 hundred dollars.", "300"),
        ("So it would take him 4 days to finish.", "4"),
        ("He needs at least 42 tickets.", "42"),
        ("There are 12 boys and 15 girls, for a total of 27 students.", "27"),
        ("After 3 weeks she will have 27 dollars.", "27"),
        ("So, he pays $27 per month for 12 months: $324.", "324"),
        (r"\boxed{60^\circ}", "60"),
        (r"The angle is $60^\circ$.", "60"),
        (r"The angle is $60^{\circ}$.", "60"),
    ],
)
def test_what_an_answer_holds_for_is_no_answer(text: str, number: str) -> None:
    """Conditions, units, circumstances and parts of a sum stand beside it."""
    assert read_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{(3,4)}",
        r"\boxed{3,4}",
        r"\boxed{\{1,2\}}",
        r"\boxed{(1, 2, 3)}",
        "The answer is (3, 4).",
        "The answer is [3, 4].",
        r"\boxed{5\pi}",
        r"$5\pi$",
        "5 pi",
        r"\boxed{\frac{5\pi}{6}}",
        r"\boxed{\pi 5}",
        r"\boxed{5e}",
        r"\boxed{\log 5}",
        r"\boxed{\log_2 5}",
        r"\boxed{\ln(5)}",
        r"\boxed{\binom{5}{2}}",
        r"\boxed{0.\overline{3}}",
        r"The answer is \(0.1\overline{6}\).",
    ],
)
def test_what_is_no_one_rational_number_is_not_read(text: str) -> None:
    """Pairs, sets, multiples of pi and e, logarithms, binomials, repeating decimals."""
    assert read_number(text) is None
