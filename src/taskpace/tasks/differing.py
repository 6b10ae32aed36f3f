"""How a short answer may differ from the right one: spelling, words that say nothing, and what makes it another. Pure.

A word in place of another makes another answer; so does a name more or less. Function words, titles and modifiers may
be left out or added.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from taskpace.tasks.plain import EDGE, plain
from taskpace.tasks.reading.roles import CANDIDATE, roles_of

_TOKEN = re.compile(r"\S+")
_INITIALS = re.compile(r"(?<![^\W_])(?:[A-Z]\.\s?){2,6}(?=\s?[A-Z][a-z])")
_MIDDLE = re.compile(r"\b([A-Z][a-z]{1,20}\s[A-Z])\.(?=\s[A-Z])")
_RANGE = re.compile(r"(?:\bfrom\s)?(?<![\w.,-])(\d{1,4})\s?(?:-|to|until|till|through)\s?(\d{1,4})(?![\w-]|[.,]\d)")
_ACCENTED = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")
_FUNCTION = frozenset(["F", "p", "A", "K", "P", "O", ""])
"""Roles of words that may be left out or added, in addition to those below."""
_MINOR = frozenset(
    ["to", "into", "onto", "between", "through", "upon", "their", "his", "her", "its", "s", "was", "has", "had"]
)
_TITLES = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "miss",
        "dr",
        "doctor",
        "prof",
        "professor",
        "sir",
        "dame",
        "lord",
        "lady",
        "saint",
        "st",
        "king",
        "queen",
        "prince",
        "princess",
        "emperor",
        "empress",
        "president",
        "general",
        "captain",
        "colonel",
        "admiral",
        "senator",
        "governor",
        "chancellor",
        "minister",
        "pope",
        "bishop",
        "archbishop",
        "cardinal",
        "rev",
        "reverend",
        "father",
        "mayor",
        "judge",
        "justice",
        "sultan",
        "tsar",
        "czar",
        "duke",
        "earl",
        "count",
    ]
)
"""May stand before a person's name, or be left out there; one in place of another says something else."""
_KINDS = frozenset(
    [
        "city",
        "town",
        "river",
        "mount",
        "mountain",
        "lake",
        "island",
        "republic",
        "kingdom",
        "state",
        "county",
        "province",
        "company",
        "corporation",
        "inc",
        "ltd",
        "jr",
        "sr",
    ]
)
"""Words that may be left out or added on either side of a name: kinds of places, forms of companies, titles."""
_IT_IS = re.compile(
    r"\b(?:[Ii]t|[Tt]hat|[Tt]his)(?:'s|\sis|\swas)\s(?:actually\s|really\s|now\s)?"
    r"[A-Z][\w'-]{0,40}(?:\s[A-Z][\w'-]{0,40}){0,5}\s?(?=[.!,;]|\Z)"
)
_ANOTHER_STATED = re.compile(r"[nN][^=KL.,]*K[F:]*w[^L.,bJ!]*(?=[.bJ!]|,(?!F*L[.!]*\Z)|\Z)")
_HEDGED_TWICE = re.compile(r"\b(maybe|perhaps|possibly|either)\b.{1,80}\b(?:maybe|perhaps|possibly)\b", re.IGNORECASE)
_BESIDE = re.compile(
    rf"([\w'-]+)[\"')]{{0,2}}\s(?:and|&|und|et|y|e)\s[\"'(]{{0,2}}{CANDIDATE}|{CANDIDATE}[\"')]{{0,2}}\s(?:and|&|und|et|y|e)\s[\"'(]{{0,2}}([\w'-]+)"
)
_TAIL = re.compile(r",|(?<=[a-z])\sof\s(?=[A-Z])")
_GOES_ON = re.compile(rf"{CANDIDATE}\s([A-Z][\w'-]{{1,40}})")
_ONLY_TWO = re.compile(r"[F(]*(?:wAF*L|LAF*w)[).!]*")


def alike(said: str, answer: str) -> tuple[str, str]:
    """Both with initials and ranges written in one way, and, where one of them has no accents, without accents."""
    said, answer = _respelled(said), _respelled(answer)
    if said.isascii() and answer.isascii():
        return said, answer
    if _ACCENTED.search(said) is None or _ACCENTED.search(answer) is None:
        return _unaccented(said), _unaccented(answer)
    return said, answer


def may_differ(answer: str, left_out: Iterable[str], said: str, added: Iterable[str]) -> bool:
    """Whether what was left out of an answer and what was added to it may make no difference.

    Args:
        answer: the right one.
        left_out: its words that were not said, normalised.
        said: what was said.
        added: its words that are not in the answer, normalised.
    """
    missing, more = _that_matter(left_out), _that_matter(added)
    for word in list(missing):
        same = next((other for other in more if other.rstrip("s") == word.rstrip("s")), None)
        if same is not None:
            missing.remove(word)
            more.remove(same)
    if missing and more:
        return False
    return not (_is_named(answer, said, missing) or _is_named(said, answer, more))


def gives_another(sentence: str, roles: str, answer: str, *, again: bool) -> bool:
    """Whether a sentence, with a mark in place of an answer, states something else as the answer.

    Args:
        sentence: plain, with the mark.
        roles: of it.
        answer: the right one; what is in the place of a name is a name.
        again: whether the answer was named in an earlier sentence.
    """
    if _HEDGED_TWICE.search(sentence) is not None:
        return True
    named = answer[:1].isupper() or answer[:1].isdigit()
    others = [token[0].strip(EDGE) for token in _TOKEN.finditer(sentence)][1:]
    if _ANOTHER_STATED.search(roles) is not None:
        return not named or any(other[:1].isupper() or other[:1].isdigit() for other in others)
    before, mark, behind = sentence.partition(CANDIDATE)
    return answer[:1].isupper() and (bool(mark) or again) and _IT_IS.search(behind if mark else before) is not None


def is_part_of_a_name(sentence: str, answer: str) -> bool:
    """Whether a name, marked in a sentence, goes on with another one: Martin Luther in Martin Luther King."""
    goes_on = _GOES_ON.search(sentence)
    if goes_on is None or len(answer.split()) == 1 or not answer[:1].isupper():
        return False
    return _bare(goes_on[1]) not in _KINDS and (roles_of(goes_on[1]) == "w" or _bare(goes_on[1]) in _TITLES)


def is_one_of_two(sentence: str, roles: str, answer: str) -> bool:
    """Whether the answer, marked in a sentence, is joined to another of its kind: "Saturn and Jupiter"."""
    if _ONLY_TWO.fullmatch(roles) is not None:
        return True
    beside = _BESIDE.search(sentence)
    other = "" if beside is None else beside[1] or beside[2]
    return answer[:1].isupper() and other[:1].isupper() and roles_of(other) == "w"


@lru_cache(maxsize=1 << 8)
def _respelled(text: str) -> str:
    """J.R.R. and J. R. R. as JRR, John F. as John F: their full stops end no sentence."""
    text = _INITIALS.sub(lambda found: "".join(filter(str.isalpha, found[0])) + " ", plain(text))
    return _RANGE.sub(r"\1-\2", _MIDDLE.sub(r"\1", text))


def _unaccented(text: str) -> str:
    """Latin letters without their accents."""
    return _ACCENTED.sub(lambda found: unicodedata.normalize("NFD", found[0])[0], text)


def _that_matter(words: Iterable[str]) -> list[str]:
    return [word for word in words if word not in _MINOR and roles_of(word) not in _FUNCTION]


def _is_named(text: str, other: str, words: list[str]) -> bool:
    """Whether some of a text's words are a name's: with a capital, or in a script that has none. Titles are none, nor
    initials where the other text has none, nor what says where it is: Paris, France; the United States of America.
    """
    tokens = [_bare(token[0]) for token in _TOKEN.finditer(text)]
    before = set(tokens[:-1])
    wanted = {word for word in words if word not in _KINDS and not (word in _TITLES and word in before)}
    if any(not word.isascii() and word.upper() == word.lower() for word in wanted if word[0] != "#"):
        return True
    shown = _TAIL.split(text, maxsplit=1)[0]
    names = [token[0] for token in _TOKEN.finditer(shown) if token[0][:1].isupper() and _bare(token[0]) in wanted]
    initials = any(_is_initial(token[0]) for token in _TOKEN.finditer(other))
    return any(initials or not _is_initial(name) for name in names)


def _is_initial(word: str) -> bool:
    return len(word.rstrip(".")) == 1 and word[0].isupper()


def _bare(word: str) -> str:
    return "".join(sign for sign in word.casefold() if sign.isalnum())
