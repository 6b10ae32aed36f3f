"""Answers in the languages of the lexicon, each by its own words."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from taskpace.tasks.extractors.letters import read_letter
from taskpace.tasks.extractors.numbers import read_number
from taskpace.tasks.reading.roles import languages

CHOICES = ("Rome", "Paris", "London", "Madrid")
LEXICON = tomllib.loads(files("taskpace.tasks.reading").joinpath("lexicon.toml").read_text("utf-8"))
MOST_SPOKEN = frozenset(
    (
        *("en", "zh", "hi", "es", "ar", "fr", "bn", "pt", "ru", "id"),
        *("ur", "de", "ja", "mr", "vi", "te", "ha", "tr"),
    )
)
"""Of Ethnologue's twenty; Nigerian Pidgin answers by English words, Egyptian Arabic by those of standard Arabic."""


def words(language: str, *parts: str) -> list[str]:
    return [word for part in parts for word in LEXICON[language].get(part, "").split(", ") if word]


def test_the_most_spoken_languages_are_read() -> None:
    """Every one of the twenty, and some more; the module that reads them and the file name the same."""
    assert set(languages()) == set(LEXICON) >= MOST_SPOKEN
    for language in LEXICON:
        assert words(language, "answer", "bare_answer"), language
        assert words(language, "right"), language
        assert words(language, "not", "not_after"), language
        assert words(language, "or"), language


@pytest.mark.parametrize("language", sorted(LEXICON))
def test_every_word_for_an_answer_leads_to_it(language: str) -> None:
    """A letter and a number behind it and a colon are read, in any case, with full-width forms, in bold."""
    for word in words(language, "answer", "bare_answer"):
        for text in (f"{word}: B", f"{word.capitalize()} : **B**", f"**{word}：** Ｂ"):
            assert read_letter(text, CHOICES) == "B", text
        assert read_number(f"{word}: 18") == "18", word


@pytest.mark.parametrize("language", sorted(LEXICON))
def test_every_word_plays_the_part_of_its_table(language: str) -> None:
    """In a sentence of its language a word for "or" is one, so that two letters around it are not an answer."""
    first = words(language, "answer", "bare_answer")[0]
    for word in words(language, "or"):
        assert read_letter(f"{first}: A {word} B", CHOICES) is None, word


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Die Antwort ist nicht A, sondern B.", "B"),
        ("La réponse n'est pas A mais B.", "B"),
        ("La respuesta no es A sino B.", "B"),
        ("A resposta não é A, mas B.", "B"),
        ("La risposta non è A, ma B.", "B"),
        ("Ответ не A, а B.", "B"),
        ("答案不是A，而是B。", "B"),
        ("答えはAではなくBです。", "B"),
        ("정답은 A가 아니라 B입니다.", "B"),
        ("Jawabannya bukan A, melainkan B.", "B"),
        ("उत्तर A नहीं है।", None),
        ("সঠিক উত্তর A নয়।", None),
        ("Cevap A değil.", None),
        ("الجواب ليس A.", None),
        ("پاسخ A نیست.", None),
        ("Đáp án không phải là A.", None),
        ("คำตอบไม่ใช่ A", None),
        ("Jibu si A.", None),
        ("சரியான விடை A அல்ல.", None),
        ("Wenn die Antwort A ist, dann liegt Rom in Frankreich.", None),
        ("Ist es A?", None),
        ("如果答案是A，那么罗马在法国。", None),
        ("A选项错误，B选项正确。", "B"),
        ("A ist falsch, B ist richtig.", "B"),
        ("A est faux, B est vrai.", "B"),
        ("A는 틀렸고 B가 맞습니다.", "B"),
        ("A resposta correta é a B, pois Paris é a capital.", "B"),
        ("A mon avis, la réponse est B.", "B"),
        ("Ответ: Б", "B"),
        ("الجواب هو ب", "B"),
        ("उत्तर: ख", "B"),
        ("Ответ: В", None),
        ("Réponse : A ou B", None),
        ("Svar: B", "B"),
    ],
)
def test_polarity_in_other_languages(text: str, letter: str | None) -> None:
    """What is denied, asked, supposed or one of two is not an answer; what is put in its place is."""
    assert read_letter(text, CHOICES) == letter


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Die Antwort ist 1.234.", "1234"),
        ("Die Antwort ist 1,234.", "1.234"),
        ("The answer is 1.234.", "1.234"),
        ("The answer is 1,234.", "1234"),
        ("La réponse est 1 234,5.", "1234.5"),
        ("Antwort: 2,5 Millionen", "2500000"),
        ("उत्तर: 2 लाख", "200000"),
        ("उत्तर: 3 करोड़", "30000000"),
        ("答案：300万", "3000000"),
        ("答えは3億5000万円です。", "350000000"),
        ("정답은 2만 5000원입니다.", None),
        ("答案：42，共 3 步", "42"),
        ("Odpowiedź to nie 18.", None),
        ("Cevap 18 değil.", None),
        ("答案不是18。", None),
        ("Entre 3 y 5", None),
    ],
)
def test_numbers_as_languages_write_them(text: str, number: str | None) -> None:
    """Decimal comma and dotted thousands by the language of the sentence; scale words; denials."""
    assert read_number(text) == number
