"""Is a text a paraphrase of a question? A mechanical check, with the limits of one.

What it checks, in this order: there is text; its length is in proportion; it is not the question again; it repeats no
choice; it still asks; it keeps the numbers and the named words; it keeps enough of the content words.

What it cannot check: that the meaning is the same. It knows no synonyms, so a free paraphrase in other words throughout
fails, and it reads no sentences, so the right words in a senseless order, or with a "not" added, pass. Its verdicts say
that an answer looks like a paraphrase; they are good for comparing systems on many items, not for one text. The words
are English; in another language only length, copying, choices, numbers and question marks tell anything.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import msgspec

from taskpace.tasks.plain import composed


class ParaphraseOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds. Shares are between 0 and 1."""

    copy_at: float = 0.85
    """Dice overlap of word pairs with the question from which a text is a copy."""
    keep_content: float = 0.3
    """Least share of the question's content words that are kept."""
    keep_names: float = 0.5
    """Least share of the question's named words that are kept."""
    shortest: float = 0.35
    """Least length in words, as a share of the question's."""
    longest: float = 2.5
    """Greatest length in words, likewise, with ``spare_words`` on top."""
    spare_words: int = 12


class Check(msgspec.Struct, frozen=True, kw_only=True):
    passed: bool
    kept: float
    """Share of the question's content words that are in the text."""
    detail: str | None
    """Which check failed."""


_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*(?:['’][^\W_]+)?")
_LEAD_IN = re.compile(
    r"\A[\s*_#>\"“]*(?:(?:sure|certainly|of course)[!,.:]?\s+)?"
    r"(?:here(?:['’]s| is| are)[^\n:]{0,60}:|(?:the\s)?(?:paraphrased?|rephrased?|reworded)[^\n:?]{0,30}:|question:)"
    r"[\s*_\"“]*",
    re.IGNORECASE,
)
_CHOICE_LABEL = re.compile(r"(?:^|\s)[(\[]?([A-Ha-h])[).\]:](?=\s)", re.MULTILINE)
_ASKS = re.compile(
    # Bounded, so that no run of blanks or marks is gone over again and again.
    r"\?|(?:\A|[.!:]\s{1,20}|\n)\W{0,20}(?:please\s{1,20})?"
    # A sentence may begin with "when" and "where" and ask nothing: these count with a question mark alone.
    r"(?:(?:(?:in|on|at|by|from|to|of|for|with|under)\s+)?(?:what|which|who|whom|whose|why|how)|name|identify|give|state|find|"
    r"determine|calculate|compute|choose|select|pick|tell|explain|describe|define|list|evaluate|solve|indicate|specify|"
    r"decide|complete|work out)\b",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.!][\s\"'”’*_)]*\Z")
"""A statement that is complete; an open one ("the capital of France is") asks for its end."""
_ANSWERS = re.compile(r"(?:the\s)?(?:(?:correct|right)\s)?(?:answer|response)\b(?![^.]*\?\s*\Z)", re.IGNORECASE)
_COUNTED = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty
"""
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_COUNTED.split())}
_SAYS_LITTLE = """
a an the this that these those it its he she they them their his her you your we our i me my of in on at to
for from by with without into onto over under about between among through during before after as than then so
if or and but nor not no is are was were be been being am do does did done have has had having can could may
might must shall should will would what which who whom whose when where why how there here also only just very
most more less least such same other another any some all each both either neither following statement
statements true false answer question option options choice choices correct best called known name term likely
one s t re ve d ll m
"""
_STOP_WORDS = frozenset(_SAYS_LITTLE.split())


def check_paraphrase(text: str, question: str, choices: Sequence[str], options: ParaphraseOptions) -> Check | None:
    """Judge ``text`` as a paraphrase of ``question``; null when there is no text to judge.

    Args:
        text: as the system wrote it; a lead-in ("Here is a paraphrase:") is not counted.
        question: without its choices.
        choices: which must not be repeated; may be empty.
        options: thresholds.
    """
    text = _LEAD_IN.sub("", composed(text)).strip()
    question = composed(question)
    written, asked = _words(text), _words(question)
    if not written:
        return None
    kept = _share(_content(asked), _content(written))
    failed = (
        _wrong_length(written, asked, options)
        or _copied(written, asked, options)
        or _choices_repeated(text, written, question, asked, choices)
        or _no_longer_asks(text, question)
        or _numbers_lost(written, asked)
        or _names_lost(question, written, options)
        or (f"meaning: keeps {kept:.0%} of the content words" if kept < options.keep_content else None)
    )
    return Check(passed=failed is None, kept=kept, detail=failed)


def _wrong_length(written: list[str], asked: list[str], options: ParaphraseOptions) -> str | None:
    if len(written) < options.shortest * len(asked):
        return f"length: {len(written)} words for {len(asked)}, too short"
    if len(written) > options.longest * len(asked) + options.spare_words:
        return f"length: {len(written)} words for {len(asked)}, too long"
    return None


def _copied(written: list[str], asked: list[str], options: ParaphraseOptions) -> str | None:
    overlap = _dice(_pairs(written), _pairs(asked))
    inside = len(asked) > 2 and f" {' '.join(asked)} " in f" {' '.join(written)} "
    if inside or overlap >= options.copy_at:
        return (
            "copy: the question as it stands" if inside else f"copy: {overlap:.0%} of the word pairs are the question's"
        )
    return None


def _choices_repeated(
    text: str, written: list[str], question: str, asked: list[str], choices: Sequence[str]
) -> str | None:
    labels = {label.upper() for label in _CHOICE_LABEL.findall(text)} - {
        label.upper() for label in _CHOICE_LABEL.findall(question)
    }
    if len(labels) > 1:
        return "choices: lists lettered choices"
    known = set(_stems(asked))
    line = f" {' '.join(written)} "
    for choice in choices:
        words = _words(choice)
        # Words that the question has, or that any sentence has, show nothing.
        telling = [
            stem
            for word, stem in zip(words, _stems(words), strict=True)
            if word not in _STOP_WORDS and stem not in known
        ]
        if telling and f" {' '.join(words)} " in line:
            return f'choices: repeats "{choice[:40]}"'
    return None


def _no_longer_asks(text: str, question: str) -> str | None:
    """A question, a request, or an open statement where the question is one."""
    if _ANSWERS.match(text):
        return "question: answers instead of asking"
    if _ASKS.search(text):
        return None
    if _ASKS.search(question) or _ENDS.search(text):
        return "question: asks nothing any more"
    return None


def _numbers_lost(written: list[str], asked: list[str]) -> str | None:
    lost = _numbers(asked) - _numbers(written)
    return f"meaning: the number {min(lost)} is lost" if lost else None


def _names_lost(question: str, written: list[str], options: ParaphraseOptions) -> str | None:
    names = _names(question)
    share = _share(Counter(_stems(sorted(names))), Counter(_stems(written)))
    return f"meaning: keeps {share:.0%} of the named words" if names and share < options.keep_names else None


def _words(text: str) -> list[str]:
    return [
        _NUMBER_WORDS.get(word, word) for word in (found.casefold().replace("’", "'") for found in _WORD.findall(text))
    ]


def _pairs(words: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(pairwise(words)) if len(words) > 1 else Counter([tuple(words)])


def _dice(first: Counter[tuple[str, ...]], second: Counter[tuple[str, ...]]) -> float:
    both = first.total() + second.total()
    return 2 * (first & second).total() / both if both else 0.0


def _share(wanted: Counter[str], there: Counter[str]) -> float:
    return sum(1 for word in wanted if word in there) / len(wanted) if wanted else 1.0


def _content(words: list[str]) -> Counter[str]:
    return Counter(_stems([word for word in words if word not in _STOP_WORDS]))


def _numbers(words: list[str]) -> set[str]:
    # "one" is more often a pronoun than a number.
    return {word.replace(",", "") for word in words if word[0].isdigit() and word != "1"}


def _names(question: str) -> set[str]:
    """Words with a capital that no beginning of a sentence explains."""
    return {
        found[0].casefold()
        for found in _WORD.finditer(question)
        if len(found[0]) > 1
        and found[0][0].isupper()
        and found.start() > 0
        and question[: found.start()].rstrip()[-1:] not in tuple(".?!:|\"“'")
        and found[0].casefold() not in _STOP_WORDS
    }


def _stems(words: list[str]) -> list[str]:
    """By the Snowball stemmer for English (Porter2), so that "burns", "burned" and "burning" are one word."""
    return [_stem(word) for word in words]


# The same few words come again in every answer to a question.
@lru_cache(maxsize=1 << 14)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@cache
def _stemmer() -> Any:
    # The class and not ``snowballstemmer.stemmer``, which hands over to another library where that is installed.
    from snowballstemmer.english_stemmer import EnglishStemmer

    return EnglishStemmer()
