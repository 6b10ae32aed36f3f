"""The paraphrase check, on paraphrases and on what is none."""

from __future__ import annotations

import pytest

from taskpace.tasks.paraphrase import ParaphraseOptions, check_paraphrase

CAPITAL = "What is the capital of Canada?"
CANADA = ("Ottawa", "Toronto", "Montreal", "Vancouver")
TRAIN = "A train covers 210 kilometres in two and a half hours. What is its average speed in kilometres per hour?"
SPEEDS = ("80", "84", "90", "105")
CELL = "In which part of a plant cell does photosynthesis take place?"
PARTS = ("chloroplast", "nucleus", "vacuole", "cell wall")
SOUND = "Through which of these does sound travel fastest?"
MEDIA = ("steel", "air", "water", "a vacuum")
WALL = "Which wall was opened in November 1989?"
WALLS = ("the Berlin Wall", "Hadrian's Wall", "the Great Wall of China", "the Western Wall")
QUEUE = "A market with a single seller is called a"
MARKETS = ("monopoly", "monopsony", "duopoly", "cartel")
MALARIA = "By what are the parasites that cause malaria passed from person to person?"
CARRIERS = ("mosquitoes", "drinking water", "fleas of rats", "the air")
LOAN = "A loan of 1000 euros is paid back with 1080 euros after exactly one year. What was the yearly rate of interest?"
RATES = ("8 per cent", "80 per cent", "0.8 per cent", "10.8 per cent")

GOOD = [
    (CAPITAL, CANADA, "Which city serves as Canada's capital?"),
    (CAPITAL, CANADA, "Can you name the city that is the capital of Canada?"),
    (CAPITAL, CANADA, "Here is a paraphrase:\n\nWhich Canadian city is the capital, the seat of Canada's government?"),
    (
        TRAIN,
        SPEEDS,
        "If a train travels 210 kilometres in 2 and a half hours, how fast does it go on average, in km per hour?",
    ),
    (
        TRAIN,
        SPEEDS,
        "Work out the average speed, in kilometres per hour, of a train that needs two and a half hours for 210 km.",
    ),
    (CELL, PARTS, "Where in a plant's cells is photosynthesis carried out?"),
    (CELL, PARTS, "**Paraphrased question:** Photosynthesis happens in which part of the cells of plants?"),
    (SOUND, MEDIA, "In which of the following media is the speed of sound the greatest?"),
    (SOUND, MEDIA, "Which medium lets sound move the fastest?"),
    (WALL, WALLS, "Can you tell me which wall people were able to pass from November 1989 on?"),
    (WALL, WALLS, "In November 1989, what wall came to be opened?"),
    (QUEUE, MARKETS, "What do we call a market in which there is only one seller?"),
    (MALARIA, CARRIERS, "How do malaria parasites get from one person to another?"),
    (MALARIA, CARRIERS, "What carries the parasites causing malaria between people, from one person to the next?"),
    (
        LOAN,
        RATES,
        "Someone borrows 1,000 euros and repays 1,080 euros exactly a year later. At what rate was interest charged?",
    ),
]

BAD = [
    (CAPITAL, CANADA, CAPITAL, "copy"),
    (CAPITAL, CANADA, "what is the capital of canada", "copy"),
    (CAPITAL, CANADA, "Paraphrase: What is the capital of Canada?", "copy"),
    (CAPITAL, CANADA, "The capital of Canada is Ottawa.", "choices"),
    (CAPITAL, CANADA, "Which Canadian city is the capital of Canada: Toronto or another?", "choices"),
    (CAPITAL, CANADA, "Canada", "length"),
    (CAPITAL, CANADA, "Which river is the longest in South America?", "meaning"),
    (CAPITAL, CANADA, "Canada has a capital, and that is a well-known city.", "question"),
    (CAPITAL, CANADA, "The answer to the question is a city in Canada, the capital.", "question"),
    (TRAIN, SPEEDS, TRAIN.replace("covers", "travels"), "copy"),
    (TRAIN, SPEEDS, "How fast is a train on average that goes 120 kilometres in two and a half hours?", "meaning"),
    (TRAIN, SPEEDS, "What is the average speed of a train, if it needs some hours for 210 kilometres?", "meaning"),
    (CELL, PARTS, "Where does photosynthesis happen in plant cells?\nA) one place\nB) another place", "choices"),
    (CELL, PARTS, "Do plant cells have a chloroplast in which photosynthesis takes place?", "choices"),
    (SOUND, MEDIA, "How do birds find their way in winter?", "meaning"),
    (WALL, WALLS, "Which wall was opened towards the end of the eighties?", "meaning"),
    (MALARIA, CARRIERS, "What is malaria? " * 20, "length"),
    (LOAN, RATES, "What is the rate of interest of a loan?", "meaning"),
]


@pytest.mark.parametrize(("question", "choices", "text"), GOOD)
def test_paraphrases_pass(question: str, choices: tuple[str, ...], text: str) -> None:
    """A person would call each of these a paraphrase, and so does the check."""
    check = check_paraphrase(text, question, choices, ParaphraseOptions())
    assert check is not None
    assert (check.passed, check.detail) == (True, None)


@pytest.mark.parametrize(("question", "choices", "text", "failed"), BAD)
def test_what_is_no_paraphrase_fails(question: str, choices: tuple[str, ...], text: str, failed: str) -> None:
    """Each fails, and the detail begins with the check that it fails."""
    check = check_paraphrase(text, question, choices, ParaphraseOptions())
    assert check is not None
    assert not check.passed
    assert check.detail is not None
    assert check.detail.startswith(failed)


@pytest.mark.parametrize("text", ["", "  \n", "Paraphrase:", "...", "**"])
def test_no_text_is_not_judged(text: str) -> None:
    """Where there are no words there is nothing to judge."""
    assert check_paraphrase(text, CAPITAL, CANADA, ParaphraseOptions()) is None


def test_choices_that_the_question_names_may_be_named() -> None:
    """A choice whose words the question has cannot be avoided."""
    question = "Anna is taller than Ben. Ben is taller than Carla. Who is the shortest of the three?"
    text = "Carla is less tall than Ben, who is less tall than Anna: which of the three is the shortest?"
    check = check_paraphrase(text, question, ("Anna", "Ben", "Carla", "It cannot be known"), ParaphraseOptions())
    assert check is not None
    assert check.passed


def test_the_degree_is_the_share_of_content_words_kept() -> None:
    """Capital and Canada are the content words of the question; one of two is a half."""
    check = check_paraphrase("Which city governs Canada?", CAPITAL, CANADA, ParaphraseOptions())
    assert check is not None
    assert check.kept == 0.5


@pytest.mark.parametrize(
    ("question", "text", "asks"),
    [
        ("When methane burns, which two substances are formed?", "When methane burns, it forms two substances.", False),
        ("When methane burns, which two substances are formed?", "What two substances form when methane burns?", True),
        ("An animal that eats only plants is called a", "An animal that eats only plants is a plant eater.", False),
        ("An animal that eats only plants is called a", "The name for an animal eating plants only is", True),
        ("Why does the Moon show phases?", "The Moon's phases are a result of its orbit.", False),
        ("Why does the Moon show phases?", "Please explain the reason for the Moon's phases.", True),
        ("Why does the Moon show phases?", "For what reason does the Moon show its phases", True),
    ],
)
def test_a_statement_in_place_of_a_question_does_not_pass(question, text, asks):
    """Answers of real models that state instead of asking fail; questions, requests and open statements pass."""
    check = check_paraphrase(text, question, (), ParaphraseOptions())
    assert (check.detail != "question: asks nothing any more") == asks
