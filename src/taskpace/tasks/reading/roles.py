"""A sentence as a string of roles: for each word the part that it plays in what is claimed, a letter each.

| role | a word for | role | a word for |
| --- | --- | --- | --- |
| ``L`` | a candidate: what may be the answer | ``I`` | if, whether |
| ``n`` | answer, with a link before its value | ``H``, ``h``, ``M`` | could; would, seems; must |
| ``N`` | answer, where a language needs no link | ``S`` | others, a mistake |
| ``O`` | option, choice, letter | ``R`` | a change of mind |
| ``K`` | link: is, equals | ``b`` | but |
| ``P`` | it, this, that | ``T``, ``Z`` | therefore; finally |
| ``C`` | choose, leaves | ``F`` | nothing that matters |
| ``Y``, ``W`` | right; wrong | ``A``, ``V`` | and; or |
| ``X``, ``x`` | not, before and after what it denies | ``J`` | because |
| ``p``, ``B`` | of, in; between, at least | ``w`` | any other word |

Marks stand for themselves: ``, : = * - / ( ) ? ! .``, and ``[ ]`` for what is marked as the answer. Which language a
sentence is in is decided by the words of the lexicon that it has; English where two have as many.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from taskpace.tasks.plain import OPEN, SHUT, plain
from taskpace.tasks.words import DENSE, MARKS

CANDIDATE = "\ue000"
"""Stands for a candidate in a sentence; private, so no text has it."""
_ROLES = {
    "answer": "n",
    "bare_answer": "N",
    "option": "O",
    "link": "K",
    "it_link": "PK",
    "answer_link": "nK",
    "it": "P",
    "choose": "C",
    "right": "Y",
    "wrong": "W",
    "not": "X",
    "link_not": "KX",
    "not_after": "x",
    "if": "I",
    "could": "H",
    "would": "h",
    "must": "M",
    "seems": "hK",
    "others": "S",
    "change": "R",
    "but": "b",
    "therefore": "T",
    "final": "Z",
    "filler": "F",
    "and": "A",
    "or": "V",
    "because": "J",
    "of": "p",
    "between": "B",
}
_MARKS = {
    **dict.fromkeys("✓✔☑✅", "Y"),
    **dict.fromkeys("✗✘✖✕❌❎", "W"),
    **dict.fromkeys("=≈>", "="),
    **dict.fromkeys("×*÷^√+±%_", "*"),
    ";": ".",
    **dict.fromkeys("([", "("),
    **dict.fromkeys(")]", ")"),
    **dict.fromkeys(":|", ":"),
    **{sign: sign for sign in "-/?!.,"},
    "%": "",
    "&": "A",
    CANDIDATE: "L",
    OPEN: "[",
    SHUT: "]",
}
_ENGLISH = "en"
_LENT = frozenset("nOYWZTF")
"""What English words may play in a sentence of another language."""
_DENSE = rf"{DENSE}\u1100-\u11ff\uac00-\ud7af"
"""Scripts whose words are found without spaces: Korean, too, as its particles follow without one."""
_LETTERS = rf"(?:(?![{_DENSE}])[\w{MARKS}])"
_PIECE = re.compile(
    rf"(?P<word>{_LETTERS}++(?:[-'.&@_~#]{_LETTERS}++)*+[+#]*)|(?P<dense>[{_DENSE}]+)|(?P<mark>=>|->|[^\s])"
)
_SCRIPTS = (
    ("ja", re.compile("[\u3041-\u30ff]")),
    ("ko", re.compile("[\u1100-\u11ff\uac00-\ud7af]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
_CHINESE = "zh"
_IS_DENSE = re.compile(f"[{_DENSE}]")

_Phrases = list[tuple[tuple[str, ...], str]]


class _Lexicon(NamedTuple):
    languages: dict[str, tuple[str, ...]]
    """Of a word: those that have it, in the order of the file."""
    words: dict[str, dict[str, _Phrases]]
    """Language -> first word -> phrases that begin with it, the longest first, with their roles."""
    dense: dict[str, tuple[re.Pattern[str], dict[str, str]]]
    """Language -> what to look for in text without spaces, and the role of each."""


@lru_cache(maxsize=1 << 11)
def roles_of(sentence: str) -> str:
    """The roles of a plain sentence, in order, with ``L`` for each ``CANDIDATE``. Linear in its length."""
    lexicon = _lexicon()
    pieces = _PIECE.findall(sentence.lower())
    words = [word for word, _, _ in pieces]
    language = _language([word for word in words if word], lexicon)
    table, english = lexicon.words[language], lexicon.words[_ENGLISH]
    roles: list[str] = []
    at = 0
    while at < len(pieces):
        word, dense, mark = pieces[at]
        taken = 1
        if mark:
            roles.append("=" if len(mark) == 2 else _MARKS.get(mark, ""))
        elif dense:
            roles.append(_dense_roles(dense, sentence, lexicon))
        elif word in table or word in english or "'" in word:
            taken, role = _phrase(words, at, table, english)
            roles.append(role)
        else:
            roles.append("w")
        at += taken
    return "".join(roles)


def language_of(sentence: str) -> str:
    """The language of the lexicon that a plain sentence has most words of; ``en`` where nothing shows it."""
    if _IS_DENSE.search(sentence):
        return _dense_language(sentence)
    return _language([found[0] for found in _PIECE.finditer(sentence.lower()) if found.lastgroup == "word"], _lexicon())


def languages() -> tuple[str, ...]:
    """Codes of the languages whose answers are read."""
    return (*_lexicon().words, *_lexicon().dense)


def _language(words: list[str], lexicon: _Lexicon) -> str:
    if len(words) == 1 and words[0] not in lexicon.languages:
        return _ENGLISH
    counts: dict[str, int] = {}
    for word in words:
        known = lexicon.languages.get(word)
        if known is None and "'" in word:
            known = lexicon.languages.get(word.rpartition("'")[2])
        for language in known or ():
            counts[language] = counts.get(language, 0) + 1
    if not counts:
        return _ENGLISH
    most = max(counts.values())
    return next(language for language in lexicon.words if counts.get(language) == most)


def _phrase(words: list[str], at: int, table: dict[str, _Phrases], english: dict[str, _Phrases]) -> tuple[int, str]:
    """How many words belong together from ``at``, and their role."""
    word = words[at]
    for phrase, role in table.get(word, ()):
        if len(phrase) == 1 or tuple(words[at : at + len(phrase)]) == phrase:
            return len(phrase), role
    if table is not english:
        for phrase, role in english.get(word, ()):
            if len(phrase) == 1 and role in _LENT:
                return 1, role
    before, mark, after = word.partition("'")
    if mark and after:  # French l'option, Italian l'opzione
        whole = table.get(f"{before}'", ()) or (table.get(before, ()) if len(before) > 2 else ())
        rest = [role for phrase, role in table.get(after, ()) if len(phrase) == 1]
        if whole and rest:
            return 1, rest[0]
        if rest and len(before) <= 2:
            return 1, rest[0]
    return 1, "w"


def _dense_language(text: str) -> str:
    return next((language for language, script in _SCRIPTS if script.search(text)), _CHINESE)


def _dense_roles(text: str, sentence: str, lexicon: _Lexicon) -> str:
    pattern, known = lexicon.dense[_dense_language(sentence)]
    roles = [known.get(found[0], "w") for found in pattern.finditer(text)]
    # An unknown word is many characters long.
    return re.sub("w+", "w", "".join(roles))


@cache
def _lexicon() -> _Lexicon:
    """Of the package's file. Read once."""
    text = files("taskpace.tasks.reading").joinpath("lexicon.toml").read_text("utf-8")
    languages: dict[str, list[str]] = {}
    words: dict[str, dict[str, _Phrases]] = {}
    dense: dict[str, tuple[re.Pattern[str], dict[str, str]]] = {}
    for language, parts in tomllib.loads(text).items():
        known: dict[str, str] = {}
        for part, entries in parts.items():
            for entry in entries.split(","):
                # The first part that names a word counts.
                known.setdefault(plain(entry).strip().lower(), _ROLES[part])
        if all(_IS_DENSE.search(word) for word in known):
            longest_first = sorted(known, key=len, reverse=True)
            dense[language] = (re.compile("|".join(map(re.escape, longest_first)) + "|.", re.DOTALL), known)
            continue
        table: dict[str, _Phrases] = {}
        for entry, role in known.items():
            phrase = tuple(found[0] for found in _PIECE.finditer(entry))
            table.setdefault(phrase[0], []).append((phrase, role))
            if (len(phrase) == 1 or len(phrase[0]) > 2) and language not in languages.setdefault(phrase[0], []):
                languages[phrase[0]].append(language)
        for phrases in table.values():
            phrases.sort(key=lambda each: -len(each[0]))
        words[language] = table
    return _Lexicon({word: tuple(of) for word, of in languages.items()}, words, dense)
