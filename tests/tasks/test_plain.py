"""The one normaliser: typography, mark-up, LaTeX, scripts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, strategies as st

from taskpace.tasks.latex import OPEN, SHUT
from taskpace.tasks.plain import composed, fold, plain
from taskpace.tasks.words import contains, count_words, words_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Cafe\u0301", "Café"),
        ("“Paris” ‘x’ «y» „z“", '"Paris" \'x\' "y" "z"'),
        ("O’Brien", "O'Brien"),
        ("a–b Paris—x", "a-b Paris - x"),
        ("Ｂ １８", "B 18"),
        ("١٨ ۱۸ १८ ১৮ ๑๘", "18 18 18 18 18"),
        ("١٢٣٫٥", "123.5"),
        ("10³ and x⁻²", "10^3 and x^-2"),
        ("CO₂", "CO2"),
        ("3½", "3 1/2"),
        ("World War Ⅱ", "World War II"),
        ("巴黎。好？", "巴黎.好?"),
        ("ज़\u200dx\u200by\u00adz", "ज़xyz"),
        ("**B** _x_ `y` ~~z~~", "B x y z"),
        ("x_B and snake_case", "x_B and snake_case"),
        ("3 * 4 and 3*4 and 2**3", "3×4 and 3×4 and 2^3"),
        ("## Head\n> quote", "Head\nquote"),
        ("<b>Paris</b>", " Paris "),
        ("<answer>Paris</answer>", f"{OPEN}Paris{SHUT}"),
        ("#### 42", f"{OPEN}42{SHUT}"),
        ("#### Step 1", "Step 1"),
        ("\\frac{3}{4} \\frac34 1\\frac{1}{2}", "3/4 3/4 1 1/2"),
        ("\\frac{x+1}{2}", "(x+1)/2"),
        ("9{,}500 and 9\\,500 and 1,\\!234", "9,500 and 9500 and 1,234"),
        ("10^{-3}", "10^-3"),
        ("\\boxed{\\text{(B) Paris}}", f" {OPEN}(B) Paris{SHUT} "),
        ("\\boxed{\\boxed{5}}", f" {OPEN} {OPEN}5{SHUT} {SHUT} "),
        ("$18$ and US$5", "$18  and US$5"),
        ("2\\sqrt{3} \\times \\pi", "2√(3) ×  pi "),
        ("\\text{", ""),
        ("}}{{\\frac{", "()"),
        (f"{OPEN}x{SHUT}", "x"),
    ],
)
def test_what_typography_stands_for(text: str, shown: str) -> None:
    """One plain form for what a reader does not distinguish; marks of an answer are kept, and cannot be faked."""
    assert plain(text) == unicodedata.normalize("NFC", shown)


@given(st.text())
def test_any_text_is_made_plain(text: str) -> None:
    """Nothing raises; what is composed stays as it is; folding twice changes nothing of a text without mark-up."""
    plain(text)
    once = composed(text)
    assert composed(once) == once
    assert not any(unicodedata.category(character) in ("Cf", "Cs") for character in once)


@given(
    st.lists(
        st.sampled_from(["\\frac", "{", "}", "3", "\\boxed", "^", "_", "\\text", "x", "$", "\\", " "]), max_size=30
    )
)
def test_any_latex_comes_to_an_end(pieces: list[str]) -> None:
    """Commands without arguments, braces that do not match: something is shown, and no character comes from nowhere."""
    text = "".join(pieces)
    assert set(plain(text)) <= set(text) | set(f"/() {OPEN}{SHUT}")


@pytest.mark.parametrize("marks", ["\u0301\u0323", "\u0323\u0301", "\u0300"])
def test_a_mountain_of_accents_is_cut_before_it_is_composed(marks: str) -> None:
    """Composing takes time by the square of the marks in a row, so no more of them are kept than any language has."""
    assert len(plain("a" + marks * 100_000)) < 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't stop: 14:30, 1,250.00", ["don't", "stop", "14:30", "1,250.00"]),
        ("सही उत्तर है", ["सही", "उत्तर", "है"]),
        ("巴黎 很大", ["巴", "黎", "很", "大"]),
        ("ดีมาก", ["ดี", "ม", "า", "ก"]),
        ("정답은 서울", ["정답은", "서울"]),
        ("مُحَمَّد كتب", ["مُحَمَّد", "كتب"]),
    ],
)
def test_words_of_any_script(text: str, words: list[str]) -> None:
    """Vowel signs and accents belong to their word; scripts without spaces are counted by characters."""
    assert words_of(text) == words
    assert count_words(text) == len(words)


def test_phrases_are_found_in_any_typography() -> None:
    """Quotes, dashes, case and full-width forms hide no phrase; a phrase is not part of a word unless it may be."""
    assert contains("It’s a well–known Ｆａｃｔ", "it's a well-known fact")
    assert contains("我喜欢巴黎的春天", "巴黎")
    assert not contains("trees", "tree")
    assert contains("trees", "tree", whole=False)
    assert fold(" “PARIS!” ") == "paris"
