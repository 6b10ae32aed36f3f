"""Which part of a text is reasoning and which is the answer: one separator for all engines. Pure.

Servers give reasoning a field of its own when they know the model (``taskpace.engines.openai.chunks``). Where they do
not, and in process, it is in the text between markers that the model was trained to write. The chat template may
have written the opening one already, so that the text has the closing one alone.

What a text may hold for another reason is left as it is: an answer that mentions a marker, quotes one, or has a pair
somewhere in its middle.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Literal, NamedTuple, get_args

from taskpace.engines.mentions import Mentions

Kind = Literal["marker", "word", "phrase"]


class Pair(NamedTuple):
    """What a family of models writes around its reasoning, as regular expressions."""

    opens: str
    closes: str
    kind: Kind = "marker"
    """``marker``: written for nothing else, so that each of the two may be missing. ``word``: an element that an answer
    in XML may have, too: reasoning only when an answer follows, or when it never ends. ``phrase``: plain words,
    reasoning only when both are there."""
    ends: str = ""
    """What ends the answer; it and what follows are not part of the text."""


PAIRS = (
    # DeepSeek-R1, Qwen, QwQ, GLM, Phi, Nemotron, Hunyuan, ERNIE, Step, MiniMax; with a name before it Seed-OSS
    # (<seed:think>), MiniMax M3 (<mm:think>), LongCat (<longcat_think>).
    Pair(r"<(?:\w+[:_])?think>", r"</(?:\w+[:_])?think>"),
    Pair(r"\[THINK\]", r"\[/THINK\]"),  # Magistral
    Pair("◁think▷", "◁/think▷"),  # Kimi-VL
    Pair(r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),  # OpenThinker, Sky-T1
    Pair(r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),  # Apertus
    Pair(r"<unused94>(?:thought\n)?", "<unused95>"),  # MedGemma
    Pair(r"<\|channel>(?:thought\n)?", r"<channel\|>"),  # Gemma 4
    Pair(
        r"<\|START_THINKING\|>", r"<\|END_THINKING\|>(?:\s*<\|START_RESPONSE\|>)?", ends=r"<\|END_RESPONSE\|>"
    ),  # Command A
    Pair(
        r"<\|open\|>think<\|sep\|>",
        r"<\|close\|>think<\|sep\|>(?:\s*<\|open\|>response<\|sep\|>)?",
        ends=r"<\|close\|>response<\|sep\|>",
    ),  # Kimi K3
    Pair(
        r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)[^<]{0,99}<\|message\|>",
        r"(?:<\|end\|>\s*)?(?:<\|start\|>assistant)?<\|channel\|>final(?:[^<]|<\|constrain\|>){0,99}<\|message\|>",
        ends=r"<\|(?:return|end)\|>",
    ),  # gpt-oss (Harmony)
    # The same, where a server drops special tokens: names of channels, whose letters are small, without a blank before.
    Pair("(?-i:analysis)", r"(?<![ \t])(?-i:assistantfinal)", "phrase"),
    Pair(r"Here(?:'s| is) my thought process:", r"Here(?:'s| is) my response:", "phrase"),  # Granite 3
    Pair("<thinking>", "</thinking>", "word"),
    Pair("<thought>", "</thought>", "word"),  # EXAONE Deep
    Pair("<reasoning>", "</reasoning>", "word"),
)
"""Sources: vLLM, vllm/reasoning; SGLang, python/sglang/srt/parser/reasoning_parser.py; the models' chat templates."""

_OPENS = tuple(re.compile(pair.opens, re.IGNORECASE) for pair in PAIRS)
_ENDS = tuple(re.compile(pair.ends) if pair.ends else None for pair in PAIRS)


def _any(expressions: list[str], kinds: tuple[Kind, ...] = ("marker", "word"), name: str = "p") -> str:
    """One expression for the same of all pairs of these kinds; a match has the pair's number in its group's name."""
    return "|".join(
        f"(?P<{name}{number}>{each})" for number, each in enumerate(expressions) if PAIRS[number].kind in kinds
    )


_ANY_OPEN = re.compile(_any([pair.opens for pair in PAIRS], get_args(Kind)), re.IGNORECASE)
_ANY_CLOSE = re.compile(_any([pair.closes for pair in PAIRS]), re.IGNORECASE)
_OF_PAIR = tuple(
    re.compile(f"(?P<o{number}>{pair.opens})|(?P<c{number}>{pair.closes})", re.IGNORECASE)
    for number, pair in enumerate(PAIRS)
)
_OF_ANY = re.compile(
    "|".join((_any([pair.opens for pair in PAIRS], name="o"), _any([pair.closes for pair in PAIRS], name="c"))),
    re.IGNORECASE,
)
"""Opening and closing markers: their groups' names begin with ``o`` or ``c``."""
_OPENED = re.compile(rf"(?:{_any([pair.opens for pair in PAIRS])})\s*\Z", re.IGNORECASE)
_ALL = "".join(f"{pair.opens}{pair.closes}" for pair in PAIRS)
_CLOSES_BEGIN = "<[◁"
"""A closing marker has one of these: most answers have none, and need no search."""
_BLANK = re.compile(r"\s*")
_LONGEST_MARKER = 200
_MOST_SPOKEN_OF = 100
"""Markers that a text may mention before the one that stands by itself; with more there is none."""
_MOST_BLOCKS = 10
"""Of reasoning, one after the other."""


class Part(NamedTuple):
    """A part of a text; what lies between two parts is markers and the blanks around them."""

    begin: int
    end: int
    reasoning: bool


def separate(text: str, *, opened: bool = False) -> tuple[Part, ...] | None:
    """The parts of an answer, reasoning first; null: all of it is the answer.

    Args:
        text: all that was written.
        opened: whether the prompt ended with an opening marker, so that it begins with reasoning for certain.
    """
    parts: list[Part] = []
    mentions = Mentions(text)
    number, at = 0, _after_blank(text, 0)
    while len(parts) < _MOST_BLOCKS and (found := _ANY_OPEN.match(text, at)):
        pair = _number(found)
        close, for_certain = _end_of_thought(text, _OF_PAIR[pair], found.end(), mentions)
        if mentions.is_subject(found.end()) and not for_certain:
            break
        if close is None and PAIRS[pair].kind != "phrase":
            return (*parts, Part(found.end(), len(text), reasoning=True))
        if close is None or (PAIRS[pair].kind == "word" and _after_blank(text, close.end()) == len(text)):
            break
        parts.append(Part(found.end(), close.start(), reasoning=True))
        number, at = pair, _after_blank(text, close.end())
    if not parts:
        lone = _end_of_thought(text, _OF_ANY, 0, mentions)[0] if opened else _lone_close(text, mentions)
        if lone is None:
            return (Part(0, len(text), reasoning=True),) if opened else None
        parts.append(Part(0, lone.start(), reasoning=True))
        number, at = _number(lone), _after_blank(text, lone.end())
    ends = _ENDS[number]
    end = ends.search(text, at) if ends else None
    thoughts = (part for part in parts if not text[part.begin : part.end].isspace())
    return (*thoughts, Part(at, end.start() if end else len(text), reasoning=False))


def is_opened(prompt: str) -> bool:
    """Whether a prompt ends with an opening marker: then the model goes on within its reasoning."""
    return _OPENED.search(prompt[-_LONGEST_MARKER:]) is not None


def is_of_marker(token: str) -> bool:
    """Whether a special token is a marker or a piece of one, so that ``separate`` needs it in the text."""
    return bool(_ANY_OPEN.fullmatch(token) or _ANY_CLOSE.fullmatch(token) or (token and re.escape(token) in _ALL))


def _number(found: re.Match[str]) -> int:
    return int((found.lastgroup or "p0")[1:])


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return at if found is None else found.end()


def _end_of_thought(
    text: str, markers: re.Pattern[str], at: int, mentions: Mentions
) -> tuple[re.Match[str] | None, bool]:
    """The closing marker of reasoning that was opened before ``at``, and whether it surely is one.

    That is the first one by itself whose opening one is not within the reasoning; else the first one by itself; else
    the first one that is not in quotes.

    Args:
        text: all that was written.
        markers: of the pair that opened it, or of all if that is not known.
        at: where to begin.
        mentions: of the text.
    """
    within: dict[int, int] = {}
    alone = spoken = None
    for found in islice(markers.finditer(text, at), _MOST_SPOKEN_OF):
        mention, number = mentions.of(found.start(), found.end()), _number(found)
        if (found.lastgroup or "").startswith("o"):
            within[number] = within.get(number, 0) + (mention is None)
        elif mention == "spoken":
            spoken = spoken or found
        elif mention is None and within.get(number):
            within[number] -= 1
            if markers is not _OF_ANY or PAIRS[number].kind == "marker":  # else an element of what is thought of
                alone = alone or found
        elif mention is None:
            return found, True
    return alone or spoken, False


def _lone_close(text: str, mentions: Mentions) -> re.Match[str] | None:
    """The first closing marker that stands there by itself, because the opening one was the prompt's end.

    None that an answer has for another reason: one that is spoken of, with its opening one before it, or within JSON.
    """
    if not any(character in text for character in _CLOSES_BEGIN):
        return None
    for found in islice(_ANY_CLOSE.finditer(text), _MOST_SPOKEN_OF):
        number = _number(found)
        if mentions.of(found.start(), found.end()) or _OPENS[number].search(text, 0, found.start()):
            continue
        nothing_follows = PAIRS[number].kind == "word" and _after_blank(text, found.end()) == len(text)
        return None if nothing_follows or _is_json(text) else found
    return None


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
