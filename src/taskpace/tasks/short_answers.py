"""Whether a short answer is one of the right ones: the same words, the same number, or a sentence that gives it.

Compared as SQuAD compares (without case, punctuation and the articles a, an, the), on plain text in any script, and
more strictly than its F1: numbers, dates and ordinals must agree, a word must not stand in place of another, and
what is denied, asked or one of several is not given.

Source: Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine Comprehension of Text", arXiv 1606.05250,
section 6.1. In scripts without spaces F1 is over characters, as in Cui et al. (2019), CMRC 2018, arXiv 1810.07366.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from taskpace.tasks.differing import alike, gives_another, is_one_of_two, is_part_of_a_name, may_differ
from taskpace.tasks.named_numbers import all_numbers, number_alone, roman_at
from taskpace.tasks.plain import EDGE, OPEN, SHUT, plain
from taskpace.tasks.reading.claims import claims, taken_back
from taskpace.tasks.reading.roles import CANDIDATE, roles_of
from taskpace.tasks.reading.sentences import sentences
from taskpace.tasks.words import is_dense, words_of

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_TOKEN = re.compile(r"\S+")
_SEPARATORS = re.compile(r"[,;\n]|\band\b|\bor\b", re.IGNORECASE)
_SIGNS = re.compile(r"(?<=\w)[+#]+(?!\w)")
_SHORT, _MANY = 4, 3
"""Words of a part of a list, and parts that make one."""
_OPPOSITES = frozenset(
    [
        "north",
        "south",
        "east",
        "west",
        "northern",
        "southern",
        "eastern",
        "western",
        "northeast",
        "northwest",
        "southeast",
        "southwest",
        "left",
        "right",
        "upper",
        "lower",
        "inner",
        "outer",
        "internal",
        "external",
        "before",
        "after",
        "above",
        "below",
        "more",
        "less",
        "fewer",
        "most",
        "least",
        "male",
        "female",
        "maximum",
        "minimum",
        "increase",
        "decrease",
        "increases",
        "decreases",
        "increased",
        "decreased",
        "positive",
        "negative",
        "old",
        "new",
        "hot",
        "cold",
        "early",
        "late",
        "earlier",
        "later",
        "first",
        "last",
        "only",
        "true",
        "false",
        "yes",
        "no",
        "all",
        "none",
        "always",
        "never",
        "day",
        "night",
        "up",
        "down",
        "high",
        "low",
        "higher",
        "lower",
        "bc",
        "ad",
        "bce",
        "ce",
        "am",
        "pm",
    ]
)
"""Words in whose place another one says something else."""
_DENYING = frozenset("XxW")
_HANGUL = re.compile("[\u1100-\u11ff\uac00-\ud7af]")


def normalise(text: str) -> str:
    """``text`` as SQuAD compares it, made plain before."""
    bare = "".join(
        sign for sign in plain(text).casefold() if unicodedata.category(sign)[0] not in "PSC" or sign.isspace()
    )
    return " ".join(_ARTICLES.sub(" ", bare).split())


def tokens(text: str) -> list[str]:
    """The words that F1 is over: those of the normalised text, in scripts without spaces its characters."""
    normal = normalise(text)
    return words_of(normal) if is_dense(normal) else normal.split()


def exact_match(said: str, answers: Sequence[str]) -> bool:
    """Whether it is one of the answers."""
    return any(_is_same(said, answer) for answer in answers)


def token_f1(said: str, answers: Sequence[str]) -> float:
    """The best F1 against any answer, 0 to 1; where one side has no tokens, 1 if neither has any."""
    words = tokens(said)
    return max((_f1(words, tokens(answer)) for answer in answers), default=0.0)


def nearly(said: str, answers: Sequence[str], least_f1: float) -> bool:
    """Whether the F1 against one of the answers is enough, a number the same in any form, and no word that matters is
    another.
    """
    return any(_may_be(said, answer, least_f1) for answer in answers)


def contains_answer(said: str, answers: Sequence[str], most_words: int) -> bool:
    """Whether a text gives one of the answers and no other: as words in a row.

    Not in more than ``most_words``; not where it is denied, asked, under a condition, or one of several, as in "Paris,
    London or Rome": who names them all has not answered.
    """
    text = plain(said)
    if _length(text) > most_words:
        return False
    return any(_is_given(text, answer) for answer in answers)


def marked(text: str) -> str:
    r"""What a plain text marks as its answer (``\boxed{}``, ``<answer>``), else all of it."""
    end = text.rfind(SHUT)
    start = text.rfind(OPEN, 0, end) if end >= 0 else text.rfind(OPEN)
    inside = text[start + 1 : end if end >= 0 else None].strip() if start >= 0 else ""
    return inside or text


def _is_same(said: str, answer: str) -> bool:
    said, answer = alike(said, answer)
    one, other = number_alone(said), number_alone(answer)
    if one is not None and other is not None:
        return one == other
    return normalise(said) == normalise(answer) and _agree(said, answer)


def _agree(said: str, answer: str) -> bool:
    """Whether what normalising drops is the same: the sign and the point of a number, the signs of C++ and C#."""
    return all_numbers(said) == all_numbers(answer) and _SIGNS.findall(plain(said)) == _SIGNS.findall(plain(answer))


def _may_be(said: str, answer: str, least_f1: float) -> bool:
    """Whether what differs between a text and an answer is little, and may be left out or added."""
    said, answer = alike(said, answer)
    one, other = number_alone(said), number_alone(answer)
    if (one is not None and other is not None) or is_dense(said + answer) or not _agree(said, answer):
        # Characters of a word are not words: 河北 is not 湖北.
        return False
    words, wanted = _forms(said), _forms(answer)
    if _f1(words, wanted) < least_f1:
        return False
    left_out, added = Counter(wanted) - Counter(words), Counter(words) - Counter(wanted)
    if _OPPOSITES & (left_out.keys() | added.keys()):
        return False
    if _DENYING & set("".join(map(roles_of, (*left_out, *added)))):
        return False
    return may_differ(answer, left_out, said, added)


def _forms(text: str) -> list[str]:
    """The words of a text, numbers in one form: 14, 14th, fourteenth and XIV are ``#14``."""
    shown = plain(text)
    forms: list[str] = []
    for found in _TOKEN.finditer(shown):
        value = number_alone(found[0]) or roman_at(shown, found)
        if value is None:
            forms += normalise(found[0]).split()
        else:
            forms.append(f"#{value[1] if isinstance(value, tuple) else value}")
    return forms


def _is_given(text: str, answer: str) -> bool:
    text, answer = alike(text, answer)
    wanted = normalise(answer).split()
    if not wanted:
        return False
    if len(wanted) == 1 and roles_of(wanted[0]) in ("X", "Y", "W", "x"):
        return _answers_with(text, wanted[0])
    given: bool | None = None
    another = False
    for part in sentences(text):
        sentence = text[part.start : part.end]
        shown = _with_mark(sentence, answer, wanted)
        roles = roles_of(sentence if shown is None else shown)
        if shown is not None and any(claim.kind not in {"denied", "mentioned"} for claim in claims(roles)):
            another = False
        another = another or gives_another(shown or sentence, roles, answer, again=given is not None)
        if shown is None:
            # Who corrects themselves without it has given another answer.
            given = False if given and ("R" in roles or roles.startswith("X,")) else given
        else:
            last = roles.count("L") - 1
            given = (
                last >= 0
                and last not in taken_back(roles, amount=wanted[0][:1].isdigit() or number_alone(answer) is not None)
                and not _beside_a_number(shown, wanted)
                and not is_one_of_two(shown, roles, answer)
                and not is_part_of_a_name(shown, answer)
            )
    return bool(given) and not another and not _is_listed(text, wanted)


def _answers_with(text: str, wanted: str) -> bool:
    """Whether a text answers yes or no: the word first and by itself, or stated as the answer."""
    shown = re.sub(rf"(?<!\w){re.escape(wanted)}(?!\w)", CANDIDATE, text.casefold())
    roles = roles_of(shown)
    kinds = {claim.kind for claim in claims(roles)}
    if kinds & {"final", "stated"} or ("alone" in kinds and not set("XYW") & set(roles)):
        return True
    return roles[:1] == "L" and roles[1:2] in ("", ",", ".", "!", ":", "-") and roles.count("L") == 1


def _with_mark(sentence: str, answer: str, wanted: list[str]) -> str | None:
    """The sentence with a mark in place of the answer, each time; null where it does not have it."""
    pieces = [(found.start(), found.end(), normalise(found[0])) for found in _TOKEN.finditer(sentence)]
    pieces = [piece for piece in pieces if piece[2]]
    spans = [
        (pieces[n][0], pieces[n + len(wanted) - 1][1])
        for n in range(len(pieces) - len(wanted) + 1)
        if [piece[2] for piece in pieces[n : n + len(wanted)]] == wanted
        and _agree(sentence[pieces[n][0] : pieces[n + len(wanted) - 1][1]], answer)
    ]
    if not spans:
        spans = list(_within(sentence, answer))
    parts: list[str] = []
    at = 0
    for start, end in spans:
        if start < at:
            continue
        inner = sentence[start:end]
        lead, tail = len(inner) - len(inner.lstrip(EDGE)), len(inner.rstrip(EDGE))
        parts += [sentence[at : start + lead], CANDIDATE]
        at = start + max(tail, lead)
    return "".join([*parts, sentence[at:]]) if parts else None


def _within(sentence: str, answer: str) -> Iterator[tuple[int, int]]:
    """Where an answer stands within what white space does not part: 法国的首都是巴黎, 서울입니다, Ankara'dır."""
    line, wanted = sentence.lower(), plain(answer).lower().strip(EDGE)
    at = line.find(wanted) if wanted and len(line) == len(sentence) else -1
    while at >= 0:
        end = at + len(wanted)
        before, after = line[max(0, at - 1) : at], line[end : end + 1]
        if (
            line[end : end + 2] != "'s"
            and not (after in ("+", "#") and wanted[-1].isalnum())
            and not _is_number_in_number(line, at, end)
            and not (_joins(before, wanted[0]) or (_joins(after, wanted[-1]) and not _HANGUL.match(after)))
        ):
            yield at, end
        at = line.find(wanted, end)


def _is_number_in_number(line: str, start: int, end: int) -> bool:
    """Whether digits there are a part of a longer number: 5 of -5, of 1.5 and of 5.1."""
    before, after = line[max(0, start - 2) : start], line[end : end + 2]
    led = line[start].isdigit() and (
        (before[-1:] == "-" and not before[:-1].isalpha()) or (before[-1:] in (".", ",") and before[:-1].isdigit())
    )
    return led or (line[end - 1].isdigit() and after[:1] in (".", ",", "-") and after[1:].isdigit())


def _joins(neighbour: str, edge: str) -> bool:
    """Whether a character makes another one a part of its word."""
    return neighbour.isalnum() and edge.isalnum() and not (is_dense(neighbour) or is_dense(edge))


def _beside_a_number(shown: str, wanted: list[str]) -> bool:
    """Whether a number that is the answer is beside another number."""
    return wanted[0].isdigit() and re.search(rf"\d[\s,]+{CANDIDATE}|{CANDIDATE}[\s,]+\d", shown) is not None


def _is_listed(said: str, answer: list[str]) -> bool:
    """Whether it is one of three or more short parts in a row, between commas."""
    parts = [words for part in _SEPARATORS.split(said) if (words := normalise(part).split())]
    short = [len(part) <= _SHORT for part in parts]
    for place, part in enumerate(parts):
        if not (short[place] and any(part[n : n + len(answer)] == answer for n in range(len(part)))):
            continue
        before = next((n for n in range(place + 1) if place - n < 0 or not short[place - n]), place + 1)
        after = next((n for n in range(len(parts) - place) if not short[place + n]), len(parts) - place)
        if before + after - 1 >= _MANY:
            return True
    return False


def _length(text: str) -> int:
    """In words; two characters of a script without spaces are about one."""
    words = words_of(text)
    dense = sum(map(is_dense, words))
    return len(words) - dense + dense // 2


def _f1(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return float(said == right)
    common = sum((Counter(said) & Counter(right)).values())
    # 2 P R / (P + R) with P = common / said, R = common / right.
    return 2 * common / (len(said) + len(right))
