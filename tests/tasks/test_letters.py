"""Reading letters: what counts as an answer, and what never does."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from taskpace.tasks.extractors.letters import read_letter

CHOICES = ("London", "Paris", "Rome", "Berlin")

CASES = [
    ("The correct answer is **(C) Rome**.\n\n**Explanation:**\nOption A is wrong.", "C"),
    ("London is in the UK. Option B is the capital of France, so B is the right choice.", "B"),
    ("**Answer: C) Rome**\n\n* A) London is the capital of the UK.\n* B) Paris is wrong", "C"),
    ("A) London is not the capital of France. B) Paris is.", "B"),
    ("B, C and D are wrong.", None),
    ("I'd eliminate A and D. Between B and C, I choose C.", "C"),
    ("Neither A nor B", None),
    ("The answer is not A, it is B.", "B"),
    ("A is incorrect, B is incorrect, C is incorrect, D is correct.", "D"),
    ("None of the options A, B, C, D is correct.", None),
    ("The answer is D, not C.", "D"),
    ("<answer>B</answer>", "B"),
    ('{"answer": "B"}', "B"),
    ("I pick b", "B"),
    ("Is the answer B? Yes.", None),
    ("I was going to say B, but the answer is C.", "C"),
    ("The answer is (A) and (B).", None),
    ("the set x_B is empty", None),
    ("C) Krita yuga\n\nThe correct answer is D) Krita yuga.", "D"),
    ("B", "B"),
    ("b", "B"),
    ("(B)", "B"),
    ("B)", "B"),
    ("B.", "B"),
    ("B:", "B"),
    ("**B**", "B"),
    ("**B)** Paris", "B"),
    ("The answer is (B)", "B"),
    ("The answer is B", "B"),
    ("The answer is B.", "B"),
    ("the answer is b.", "B"),
    ("Answer: B", "B"),
    ("answer:b", "B"),
    ("ANSWER - B", "B"),
    ("Final answer: **B**", "B"),
    ("The correct answer is option B.", "B"),
    ("The correct option is (b)", "B"),
    ("The best choice is B because it is the capital.", "B"),
    ("I would choose B.", "B"),
    ("I'd go with (C).", "C"),
    ("B is correct.", "B"),
    ("Option B is the correct answer.", "B"),
    ("Option B", "B"),
    ("It's (B) Paris", "B"),
    ("\\boxed{B}", "B"),
    ("$\\boxed{\\text{B}}$", "B"),
    ("The answer is $B$.", "B"),
    ("Ｂ", "B"),
    ("答案 （Ｂ）", "B"),
    ("Answer：Ｂ", "B"),
    ("Paris", "B"),
    ("paris.", "B"),
    ("Answer: Paris", "B"),
    ("The answer is Paris.", "B"),
    ("The correct answer is: B) Paris", "B"),
    ("B\n\nParis is the capital", "B"),
    ("Paris is the capital of France.\n\nB", "B"),
    ("The answer is B... wait, the answer is C.", "C"),
    ("The answer is B. Actually, the correct answer is D.", "D"),
    ("Both A and C", None),
    ("A and C", None),
    ("A dog is an animal", None),
    ("A", "A"),
    ("A.", "A"),
    ("A) London", "A"),
    ("I think it is not B", None),
    ("The answer is not B.", None),
    ("The answer isn't B", None),
    ("I don't think the answer is B", None),
    ("The answer is A or B", None),
    ("The answer is A/B", None),
    ("The answer is either B or C", None),
    ("The answers are A and C.", None),
    ("The answer is E", None),
    ("E", None),
    ("A) London\nB) Paris\nC) Rome\nD) Berlin", None),
    ("A) London B) Paris C) Rome D) Berlin", None),
    ("A\nB\nC\nD", None),
    ("B. C.", None),
    ("If the answer is B, then no.", None),
    ("Is it B?", None),
    ("The answer is a dog", None),
    ("The answer is A dog", None),
    ("Vitamin C is the answer", None),
    ("Answer with A, B, C or D", None),
    ("C++ is a language", None),
    ("The answer is C++", None),
    ("B-cells are made in marrow", None),
    ("I am not sure.", None),
    ("", None),
    ("Option A is wrong. Option B fits.", "B"),
    ("Options A, B, and D are wrong.", None),
    ("B) Paris\n\nExplanation: A) London is in the UK", "B"),
    ("B) Paris is the capital. Therefore the answer is C", "C"),
    ("A is correct and C is correct.", None),
    ("The answer is B and C is wrong.", "B"),
    ("The answer is B, A is wrong.", "B"),
    ("### Answer: B", "B"),
    ("> B", "B"),
    ("- B", "B"),
    ("1. B", "B"),
    ('"B"', "B"),
    ("'B'", "B"),
    ("[B]", "B"),
    ("The letter is B", "B"),
    ("I choose A.", "A"),
    ("My answer is A", "A"),
    ("The answer is a", None),
    ("Answer: a", "A"),
    ("Answer: A because of x", "A"),
    ("Choose the correct answer.", None),
    ("None of the above", None),
    ("London and Paris", None),
    ("Some say the answer is B.", None),
    ("\\(B\\)", "B"),
    ("_B_", "B"),
    ("`B`", "B"),
    ("B - Paris", "B"),
    ("B — Paris", "B"),
    ("B, because it is.", "B"),
    ("The answer is B Paris", "B"),
    ("The answer: (A) London", "A"),
    ("So the answer must be D!", "D"),
    ("Therefore, (C) is correct.", "C"),
    ("It is B.", "B"),
    ("It is a B.", None),
    ("That's C", "C"),
    ("A. London\nThe answer is A. London", "A"),
    ("The U.S.A. is big", None),
    ("D.C. is a city", None),
    ("Plan B is to go.", None),
    ("The answer is B?", None),
    ("Which is it, A or B?", None),
    ("Correct answer: B\nExplanation: C is not the capital, and D is not either", "B"),
    ("The answer is B.\n\nThe answer is B.", "B"),
    ("Answer:\nB", "B"),
    ("Answer:\n\n(B) Paris", "B"),
    ("A) incorrect\nB) correct\nC) incorrect", "B"),
    ("A) London - incorrect\nB) Paris - correct", "B"),
    ("A. London: wrong, it is in the UK.\nB. Paris: right.", "B"),
    ("A - wrong, B - right", "B"),
    ("A) London (wrong)\nB) Paris (right)", "B"),
    ("| A | incorrect |\n| B | correct |", "B"),
    ("A ✗\nB ✓\nC ✗", "B"),
    ("A. It lies in the UK, so this is incorrect.\nB. It lies in France, so this is correct.", "B"),
    ("A. This is wrong.", None),
    ("A) Incorrect.", None),
    ("A: No.\nB: Yes.", "B"),
    ("The answer is B. Students often choose A.", "B"),
    ("The answer is B. Note that A is a common distractor.", "B"),
    ("Correct answer: B. Common wrong answer: A", "B"),
    ("You might think the answer is C, but it is actually B.", "B"),
    ("If it were in the UK, the answer would be A. So it is B.", "B"),
    ("The answer is B. The answer is C.", None),
    ("The answer is B. So the answer is C.", None),
    ("I choose A. Hmm, no: B.", "B"),
    ("Not A, but B.", "B"),
    ("B rather than A", "B"),
    ("Everything points to B rather than to A, so B it is.", "B"),
    ("Answer: rules out A, leaving B", "B"),
    ("None of A, B or C; D.", "D"),
    ("Both A and B are correct.", None),
    ("A and B are wrong, C is right.", "C"),
    ("A is not the answer. B is not the answer. C is not the answer.", None),
    ("B (Paris)", "B"),
    ("B, Paris", "B"),
    ("Paris (B)", "B"),
    ("Therefore, B", "B"),
    ("=> B", "B"),
    ("B, definitely.", "B"),
    ("I am not sure but I think B", "B"),
    ("Ans. B", "B"),
    ("The correct option among A, B, C and D is B.", "B"),
    ("The correct answer to this question, given the options above, is B.", "B"),
    ("\\boxed{Paris}", "B"),
    ("\\boxed{\\text{(B) Paris}}", "B"),
    ("\\boxed{B, C}", None),
    ("The energy is \\boxed{\\langle H\\rangle}. Answer: D", "D"),
    ("The answer is B because a capital is a city.", "B"),
    ("The capital of France is Paris.", "B"),
    ("The answer is Vitamin C", None),
]


ALPHABET_SOUP = st.text(alphabet="ABCDabcde ()[].,:*\n\\{}$'is answer ort not")
LIKELY = st.lists(
    st.sampled_from(
        [
            "The answer is ",
            "Answer: ",
            "A",
            "B",
            "c",
            ") ",
            "(",
            "not ",
            " or ",
            " and ",
            "Paris",
            ". ",
            "\n",
            "option ",
            "\\boxed{",
            "}",
            "**",
            " is correct",
            "?",
            "if ",
            "wait, ",
            "Ｂ",
            "é",
            "because ",
            "I choose ",
            "it is ",
        ]
    ),
    max_size=12,
).map("".join)


CITIES = ["Paris", "London", "Rome", "Berlin"]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B. A is correct for France only.", "B"),
        ("B\n\nA is true for France, but the question asks about the UK.", "B"),
        ("(B)\nA looks right at first glance.", "B"),
        ("B.\n\nA is a true statement but does not answer the question.", "B"),
        ("I choose option B; A is valid only in France.", "B"),
        ("Option B. Note: option A would be valid in France.", "B"),
        ("London. Paris would be correct for France.", "B"),
        ("**B**\n\nWhy not the others: A is correct for France; C is right for Italy.", "B"),
        ("C\n\nA seems right, but the Thames is in London.", "C"),
        ("Answer: C\nB is right for England.", "C"),
        ("B is true but irrelevant; C is correct.", "C"),
        ("The correct answer is option B. Option A is correct only for France.", "B"),
        ("The answer is letter B. A is the answer to a different question.", "B"),
    ],
)
def test_a_remark_about_another_choice_is_no_statement(text: str, letter: str | None) -> None:
    """What is right under a condition, or only looks right, is mentioned; what was given stays given."""
    assert read_letter(text, CITIES) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A\n\nThe answer is B.", None),
        ("A\n\nActually, the answer is B.", "B"),
        ("A\n\nNo, A is wrong. The answer is B.", "B"),
        ("A\nFinal answer: B", "B"),
        ("Paris\nLondon\nThe answer is B", "B"),
        ("A) Paris\n\nThe correct answer is D) Berlin.", "D"),
    ],
)
def test_a_letter_alone_and_another_stated_are_two_answers(text: str, letter: str | None) -> None:
    """Unless the first is taken back, or one of a list, or the second is called final."""
    assert read_letter(text, CITIES) == letter


@pytest.mark.parametrize(
    "text",
    [
        "Option A is the capital of France, so the correct answer is option B.",
        "Option A: Paris is in France. Option B: London is in the UK. So the answer must be option B.",
        "The right one is the option B.",
        "B must be correct.",
        "B would be the correct answer.",
        "The answer seems to be B.",
        "B is the answer to the question.",
        "B is correct and the others are wrong.",
        "B fits best.",
        "Verdict: B",
        "Only B is consistent with this.",
        "If I had to choose, B.",
    ],
)
def test_other_words_for_the_answer(text: str) -> None:
    """The option word after the link, must, seems, fits, verdict."""
    assert read_letter(text, CITIES) == "B"


@pytest.mark.parametrize(("text", "letter"), CASES)
def test_letter_table(text: str, letter: str | None) -> None:
    """Each text is read as its answer, or not at all where it gives none."""
    assert read_letter(text, CHOICES) == letter


@given(st.one_of(st.text(), ALPHABET_SOUP, LIKELY), st.integers(2, 26))
def test_reading_never_raises_and_gives_only_letters_of_choices(text: str, count: int) -> None:
    """Any text for any number of choices gives null or the letter of a choice."""
    letter = read_letter(text, [f"choice {number}" for number in range(count)])
    assert letter is None or letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:count]


@pytest.mark.parametrize(
    "piece",
    [
        "A ",
        "A\n",
        "answer is ",
        "The answer is B ",
        "(",
        "((A",
        "\\text{",
        "$\\boxed{",
        "_",
        "x_",
        " ",
        "\n",
        "not ",
        "A) ",
        "answer:",
        "é",
        "A or ",
        "is ",
        "*B*",
    ],
)
def test_long_hostile_text_is_read(piece: str) -> None:
    """No text makes the reading go over it again and again: 200,000 characters of any piece come to an end."""
    assert read_letter(piece * (200_000 // len(piece)), CHOICES) in (None, "A", "B", "C", "D")


def test_letters_beyond_the_choices_are_no_answers() -> None:
    """With two choices, C names none of them."""
    assert read_letter("The answer is C.", ("yes", "no")) is None


def test_two_equal_choices_are_not_distinguished_by_their_text() -> None:
    """A choice's text stated alone is not an answer when two choices have it."""
    assert read_letter("Paris", ("Paris", "Rome", "paris", "Berlin")) is None


def test_a_letter_with_its_own_choice_after_it_is_read() -> None:
    """An answer of A with the choice in full is not an article, even without punctuation between them."""
    assert read_letter("The answer is A London", CHOICES) == "A"


def test_the_letter_counts_when_the_text_after_it_is_of_another_choice() -> None:
    """The letter is what was asked for, so a label wins over the text behind it."""
    assert read_letter("B) Rome", CHOICES) == "B"


def test_a_long_choice_stated_alone_is_read() -> None:
    """The text of one choice, with other case, spacing and arrival-up, is that choice."""
    choices = ("It lowers the activation energy", "It supplies heat")
    assert read_letter("**it lowers  the activation energy.**", choices) == "A"


@pytest.mark.parametrize("text", ["B) False, False", "The answer is B) False, False", "**Answer: B. False, False**"])
def test_a_choice_called_false_is_not_a_denial(text: str) -> None:
    """The text "B) False" gives the choice that is called "False"."""
    assert read_letter(text, ("True, True", "False, False", "True, False", "False, True")) == "B"


def test_a_choice_that_speaks_of_letters_is_read_whole() -> None:
    """A choice's text stated alone is that choice, whatever letters are in it."""
    assert read_letter("a. and b. above", ("one", "two", "three", "a. and b. above")) == "D"


def test_a_choice_that_begins_with_a_verb_is_labelled() -> None:
    """A label in front of its own choice answers, even where the choice begins as a remark on it would."""
    choices = ("Is warm", "Is cold", "Has ice", "Has rain")
    assert read_letter("C) Has ice", choices) == "C"
    assert read_letter("C) is wrong", choices) is None


@pytest.mark.parametrize("text", ["5", "Answer: 5", "The answer is 5.", "C (5)", "\\boxed{5}", "It has 5. So C."])
def test_a_number_stated_is_its_choice(text: str) -> None:
    """A choice of one digit is a choice's text like any other, and no part of another number."""
    choices = ("3", "4", "5", "6")
    assert read_letter(text, choices) == "C"
    assert read_letter("The answer is 5.5", choices) is None
    assert read_letter("The answer is 15", choices) is None


def test_yes_and_no_are_choices() -> None:
    """Where yes and no are the choices, the first word answers."""
    assert read_letter("No, water is a compound.", ("Yes", "No")) == "B"
    assert read_letter("The answer is yes.", ("Yes", "No")) == "A"


def test_a_letter_that_is_a_pronoun_is_none() -> None:
    """With nine choices and more, "I think it is C" names C."""
    choices = [f"choice number {number}" for number in range(10)]
    assert read_letter("Answer: I think it is C", choices) == "C"
    assert read_letter("The answer is I.", choices) == "I"
