r"""Reads the letter of a chosen answer from free text, or nothing.

Each sentence is read by itself (``taskpace.tasks.reading``): its candidates are letters that stand alone and belong to
a choice, or, where it has none, the texts of choices. In order of strength:

1. what is marked (``\boxed{B}``) or called final, and statements: "The answer is (B)", "I choose B", "B is correct",
   "B) Paris - right", "Answer: Paris" where Paris is a choice;
2. sentences and lines that say nothing else: "B", "**B.** Paris", "Definitely B (Paris)", "Paris";
3. labels in front of other text, "B) It stays the same", unless they form a list;
4. mentions: "option B", "(B)", "The capital of France is Paris.".

What is right only for something, or looks right, is a mention. A letter alone and another stated later are two answers.
Within each of them the text must name one letter only, or say in between that it changes its mind. "A" in front of a
word is an article. A letter with its own choice's text behind it is that letter; the letter counts where the text
behind it is another choice's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from string import ascii_uppercase
from typing import Literal, NamedTuple

from taskpace.tasks.plain import EDGE, fold, plain
from taskpace.tasks.reading.claims import claims
from taskpace.tasks.reading.ledger import Ledger
from taskpace.tasks.reading.roles import CANDIDATE, language_of, roles_of
from taskpace.tasks.reading.sentences import LONGEST_PLAIN
from taskpace.tasks.reading.text import Reading, beginnings
from taskpace.tasks.words import ALPHABETIC

_MOST_LETTERS = 40
"""In a sentence; one with more says nothing."""
_SLACK = 40
"""Characters around a choice's text that is a whole answer."""
_VOWELS = frozenset("AEIOUY")
"""Letters that are words in one language or another."""
_GO_ON = frozenset("KhMHJAVbXxT,.:=-)(!?*/[]")
"""Roles of what may follow a letter that is a word elsewhere."""
_WORDS_AFTER = _GO_ON | frozenset("YWOnNFCP")
"""Roles of what may follow another letter."""
_NO_WORD_BEFORE = rf"(?<![{ALPHABETIC}\-.&+^#@~\\])(?<![{ALPHABETIC}]['=])(?<![{ALPHABETIC}]{{2}}/)"
_NO_WORD_AFTER = (
    rf"(?![{ALPHABETIC}+#^~@]|-[{ALPHABETIC}]|\.[{ALPHABETIC}]|/[{ALPHABETIC}]{{2}}"
    rf"|'(?!d[ıiuü]r|t[ıiuü]r|[ny]?[ıiuüae]\b)[{ALPHABETIC}])"
)
_SHOWN = r"""(?=[)\]}"'>\ue002]|[.,;:!](?:\s|\Z)|\s{0,9}\Z)"""
"""What shows that a small letter is not a word."""
_OTHER_LABELS = {
    **dict(zip("ابجد", "ABCD", strict=True)),
    "أ": "A",
    **dict(zip("कखगघ", "ABCD", strict=True)),
    **dict(zip("কখগঘ", "ABCD", strict=True)),
    **dict(zip("ΑΒΓΔ", "ABCD", strict=True)),
    **dict(zip("กขคง", "ABCD", strict=True)),
    **dict(zip("アイウエ", "ABCD", strict=True)),
    **dict(zip("АБГ", "ABD", strict=True)),
    "С": "C",
}
"""Letters of other scripts that stand for A to D; not the Cyrillic one that looks like B and is the third."""
_OTHER = re.compile(rf"(?<!\w)(?:{'|'.join(_OTHER_LABELS)})(?![\w\u064b-\u065f\u0900-\u09ff])")
_LONE = re.compile(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])|[\\<{]")
"""A letter by itself, or what may become one."""
_LIST_MARK = re.compile(r"\A\s*\d{1,3}[.)]\s+")
_ARTICLE_BEFORE = re.compile(r"(?:\A|\W)an?\s{1,3}\Z", re.IGNORECASE)
_OPTION_BEFORE = re.compile(r"O\(?\Z")
_BETWEEN = re.compile(r"[\s)\].:,\"'|\-]{0,8}")
_LABEL = re.compile(r"\A[\-(:*]*[Ll](?:[):.\-]|J|,J)")
_LABEL_WITH_CHOICE = re.compile(r"\A[\-(:*]*[Ll]")
_ANSWERS_FIRST = re.compile(r"L[,.!:\-]")
_NAMED = re.compile(r"K[FO]*L[.!,]*\Z")

Kind = Literal["final", "stated", "alone", "denied", "mentioned", "label", "change", "reason", "labelled"]


class _Finding(NamedTuple):
    kind: Kind
    letter: str | None
    """Null: several."""


class _State(NamedTuple):
    """What the sentences so far come to."""

    ledger: Ledger = Ledger()
    labels: str = ""
    """In front of other text, each once, in order."""
    listed: bool = False
    """Whether the letter that stands alone begins a list."""
    explains: bool = False
    labelled: bool = False
    """Whether a letter stood alone with its choice's text, as the first of a list may: "A) Paris"."""


def read_letter(text: str, choices: Sequence[str]) -> str | None:
    """The letter of the choice that the text gives as its answer, upper case; null when it does not clearly give one.

    Takes time proportional to the length of the text.
    """
    return beginnings(text, _reading(tuple(choices)))(len(text))


def letters_of_beginnings(text: str, choices: Sequence[str]) -> Callable[[int], str | None]:
    """From a number of characters to the letter that so much of the text gives."""
    return beginnings(text, _reading(tuple(choices)))


# An item's choices are read against for every arrival of every answer to it.
@lru_cache(maxsize=1 << 8)
def _reading(choices: tuple[str, ...]) -> Reading[_State]:
    folded = tuple(map(fold, choices))
    whole = {
        choice: letter
        for choice, letter in zip(folded, ascii_uppercase, strict=False)
        if folded.count(choice) == 1 and (len(choice) > 1 or choice.isdigit())
    }
    longest = max(map(len, choices), default=0) + _SLACK

    def read_whole(text: str) -> str | None:
        return whole.get(fold(text)) if len(text.strip()) <= longest else None

    def says(sentence: str) -> bool:
        if not sentence.isascii() or _LONE.search(sentence) is not None:
            return True
        line = " ".join(sentence.casefold().split())
        return any(choice in line for choice in folded)

    def step(state: _State, sentence: str, begins_line: bool) -> _State:
        return _step(state, _findings(sentence, begins_line, folded))

    return Reading(start=_State(), step=step, answer=_answer, says=says, whole=read_whole, longest_whole=longest)


def _step(state: _State, findings: tuple[_Finding, ...]) -> _State:
    ledger = state.ledger
    _, labels, listed, explains, labelled = state
    for kind, letter in findings:
        if kind == "change":
            ledger = ledger.change()
        elif kind == "reason":
            explains = True
        elif kind == "labelled":
            labelled = True
        elif kind in ("final", "stated"):
            if listed or labelled:
                ledger = ledger.forget_alone()
            ledger = ledger.state(letter, final=kind == "final")
        elif kind == "denied" and letter is not None:
            ledger = ledger.deny(letter)
        elif kind == "alone":
            before = ledger.alone
            ledger = ledger.stand_alone(letter)
            listed = listed and before is not None
        elif kind == "mentioned":
            ledger = ledger.mention(letter)
        elif kind == "label" and letter is not None and letter not in labels:
            alone = ledger.alone
            follows = alone is not None and alone.value is not None and ord(letter) == ord(alone.value) + 1
            listed = listed or (follows and not labels and not explains)
            labels += letter
    return _State(ledger, labels, listed, explains, labelled)


def _answer(state: _State) -> str | None:
    ledger = state.ledger
    if ledger.stated is not None:
        return ledger.answer()
    if ledger.alone is not None:
        return None if state.listed else ledger.answer()
    if state.labels:
        return state.labels if len(state.labels) == 1 and state.labels not in ledger.denied else None
    return ledger.answer()


@lru_cache(maxsize=1 << 11)
def _findings(sentence: str, begins_line: bool, folded: tuple[str, ...]) -> tuple[_Finding, ...]:
    """Everything that a sentence says, in its order."""
    text = _LIST_MARK.sub("", plain(sentence)[:LONGEST_PLAIN])
    if len(_LONE.findall(text)) > _MOST_LETTERS:
        return ()
    marked, letters, named_first = _with_letters(text, folded)
    roles = roles_of(marked)
    if not letters:
        marked, letters = _with_choices(text, folded)
        if letters:
            return _of_choices(roles_of(marked), letters, folded)
    findings = _asides(roles)
    found = claims(roles)
    stated = any(kind in ("stated", "final") for kind, _ in found)
    for kind, about in found:
        named = {letters[index] for index in about}
        if kind == "alone" and stated:
            continue  # the same thing, said less surely
        if kind == "alone" and named_first:
            findings.append(_Finding("labelled", None))
        if kind == "denied":
            findings += [_Finding(kind, letter) for letter in sorted(named)]
        else:
            findings.append(_Finding(kind, named.pop() if len(named) == 1 else None))
    label = _LABEL_WITH_CHOICE if named_first else _LABEL
    if begins_line and letters and label.match(roles) and not any(0 in about for _, about in found):
        findings.append(_Finding("label", letters[0]))
    return tuple(findings)


def _asides(roles: str) -> list[_Finding]:
    """A change of mind, an explanation that begins."""
    changed = "R" in roles or roles.startswith(("X,", "X.", "b"))
    return [_Finding("change", None)] * changed + [_Finding("reason", None)] * ("J" in roles)


def _of_choices(roles: str, letters: list[str], folded: tuple[str, ...]) -> tuple[_Finding, ...]:
    """What a sentence says that names choices by their texts alone."""
    findings = _asides(roles)
    if (
        len(letters) == 1
        and _ANSWERS_FIRST.match(roles)
        and roles_of(folded[ascii_uppercase.index(letters[0])]) in "XYW"
    ):
        return (*findings, _Finding("alone", letters[0]))  # "No, it is none."
    for kind, about in claims(roles):
        named = {letters[index] for index in about}
        if kind == "denied":
            findings += [_Finding(kind, letter) for letter in sorted(named)]
        elif kind != "mentioned":
            findings.append(_Finding(kind, named.pop() if len(named) == 1 else None))
    if not findings and len(set(letters)) == 1 and _NAMED.search(roles) and not set("XISHV?") & set(roles):
        findings.append(_Finding("mentioned", letters[0]))
    return tuple(findings)


@cache
def _letters_of(choices: int) -> re.Pattern[str]:
    """A letter of so many choices. Made when it is needed: it takes 3 ms, and most runs need one or none."""
    last = ascii_uppercase[choices - 1]
    return re.compile(
        _NO_WORD_BEFORE
        + rf"(?:(?P<upper>[A-{last}]){_NO_WORD_AFTER}|(?P<lower>[a-{last.lower()}]){_NO_WORD_AFTER}{_SHOWN})"
    )


def _with_letters(text: str, folded: tuple[str, ...]) -> tuple[str, list[str], bool]:
    """The sentence with a mark for each letter of a choice, the choice's own text beside it left out; the letters; and
    whether the first had its choice's text behind it.
    """
    parts: list[str] = []
    named_first = False
    letters: list[str] = []
    at = 0
    for token in _letters_of(len(folded)).finditer(text):
        start, end = token.span()
        if start < at:
            continue
        letter = token[0].upper()
        named = _own_choice(text, end, folded[ascii_uppercase.index(letter)])
        if named is None and not _is_letter(text, token, letter):
            continue
        parts += [_without_choice(text[at:start], folded[ascii_uppercase.index(letter)]), CANDIDATE]
        named_first = named_first or (named is not None and not letters)
        letters.append(letter)
        at = end if named is None else named
    if not letters and not text.isascii():
        for other in _OTHER.finditer(text):
            letter = _OTHER_LABELS[other[0]]
            if ascii_uppercase.index(letter) < len(folded) and _stands_alone(text, other.end(), letter):
                parts += [text[at : other.start()], CANDIDATE]
                letters.append(letter)
                at = other.end()
    return "".join([*parts, text[at:]]), letters, named_first


def _is_letter(text: str, token: re.Match[str], letter: str) -> bool:
    """Whether a letter that stands alone is one of a choice, and no article, pronoun or name."""
    start, end = token.span()
    if _ARTICLE_BEFORE.search(text[max(0, start - 5) : start]) and language_of(text) == "en":
        return False
    if token["lower"] is not None and not text[end:].strip():
        # "The answer is a" may be the beginning of "a dog".
        return letter not in "AI" or not text[:start].strip(EDGE) or text[:start].rstrip()[-1:] in (":", "(")
    return (
        _stands_alone(text, end, letter)
        or _OPTION_BEFORE.search(roles_of(text[max(0, start - 24) : start])) is not None
    )


def _stands_alone(text: str, end: int, letter: str) -> bool:
    rest = text[end : end + _SLACK]
    if rest[:1] != " " or not (word := rest.lstrip())[:1].isalnum():
        return True
    role = roles_of(word)[:1]
    return role in (_GO_ON if letter in _VOWELS else _WORDS_AFTER) and not (letter == "I" and role != "K")


def _own_choice(text: str, end: int, choice: str) -> int | None:
    """Where a choice's text ends that is behind its letter; null where it does not stand there."""
    if not choice:
        return None
    between = _BETWEEN.match(text, end)
    at = end if between is None else between.end()
    bracketed = text[at : at + 1] == "("
    stop = _ends(text, at + bracketed, choice)
    if stop is None:
        return None
    if bracketed:
        return stop + 1 if text[stop : stop + 1] == ")" else None
    return stop


def _without_choice(before: str, choice: str) -> str:
    """What stands before a letter in brackets, its choice's text left out: "Paris (B)"."""
    if not choice or before[-1:] != "(":
        return before
    lead = before[:-1].rstrip()
    start = len(lead) - len(choice)
    if start < 0 or lead[start:].casefold() != choice or (start and lead[start - 1].isalnum()):
        return before
    return lead[:start] + "("


def _ends(text: str, at: int, choice: str) -> int | None:
    """Where ``choice``, folded, ends if it is at a place; null if it does not."""
    for word in choice.split(" "):
        while text[at : at + 1].isspace():
            at += 1
        if text[at : at + len(word)].casefold() != word:
            return None
        at += len(word)
    return None if text[at : at + 1].isalnum() else at


def _with_choices(text: str, folded: tuple[str, ...]) -> tuple[str, list[str]]:
    """The sentence with a mark for each text of a choice, longer ones first; the letters of those choices."""
    line = " ".join(text.casefold().split())
    found: list[tuple[int, int, str]] = []
    for choice, letter in sorted(zip(folded, ascii_uppercase, strict=False), key=lambda each: -len(each[0])):
        if folded.count(choice) > 1 or not choice:
            continue
        at = line.find(choice)
        while at >= 0 and len(found) <= _MOST_LETTERS:
            end = at + len(choice)
            if _is_whole(line, at, end) and all(end <= start or stop <= at for start, stop, _ in found):
                found.append((at, end, letter))
            at = line.find(choice, end)
    found.sort()
    parts: list[str] = []
    at = 0
    for start, end, _ in found:
        parts += [line[at:start], CANDIDATE]
        at = end
    return "".join([*parts, line[at:]]), [letter for *_, letter in found]


def _is_whole(line: str, start: int, end: int) -> bool:
    """Whether a text stands there as words of its own, and no part of a number."""
    before, after = line[max(0, start - 2) : start], line[end : end + 2]
    if line[start].isalnum() and before[-1:].isalnum() and not _runs_on(before[-1:]):
        return False
    if line[end - 1].isalnum() and after[:1].isalnum() and not _runs_on(after[:1]):
        return False
    decimal = after[:1] in (".", ",") and after[1:].isdigit()
    return not (line[end - 1].isdigit() and decimal) and not (
        line[start].isdigit() and (before[-1:] == "-" or (before[-1:] in (".", ",") and before[:1].isdigit()))
    )


def _runs_on(character: str) -> bool:
    """Whether words of its script follow each other without spaces."""
    return roles_of(character) != "w" or character > "\u2e00"
