r"""Reads the letter of a chosen answer from free text, or nothing.

The text is searched for *tokens*: letters that stand alone and are the letter of a choice. What a token means is
decided from a bounded window around it, never from the whole text, so the work grows with the length of the text and a
longer text changes the reading only near its end. In order of strength:

1. explicit statements: "The answer is (B)", "Answer: B", "\boxed{B}", "I choose B", "B is correct", "Answer: Paris"
   where Paris is a choice. The last one counts, as a text may change its mind; one that names several letters makes
   the text unreadable, and so do two in one sentence that disagree.
2. the whole text is the text of one choice.
3. labels: the text begins with "B", "B)", "**B.** Paris", "(B)", or a line holds nothing else. They must agree, and
   must not be the beginning of a list of the choices.
4. mentions: "option B", "(B)". There must be one letter only.

Negated, conditional and questioning sentences ("it is not B", "if the answer is B", "is it B?") state nothing. "A" in
front of a word is an article.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from string import ascii_uppercase
from typing import Literal, NamedTuple

from taskpace.tasks.plain import EDGE, fold, normalise

_BEFORE = 90
_AFTER = 60
_MAX_TOKENS = 1000
"""A text with more letters standing alone than this answers nothing; bounds the work on hostile text."""

_AMBIGUOUS = "?"

Kind = Literal["stated", "label", "mention"]


class _Finding(NamedTuple):
    at: int
    end: int
    kind: Kind
    letter: str


# --- tokens -------------------------------------------------------------------------------------------------------

_OPENERS = "([\"'{<“‘«"
_CLOSERS = ")]\"'}>”’»"
_NO_PART_OF_WORD = r"(?<![\w\-.&/+=^_\\#@~].)(?<!\w['’].)"


def _token_pattern(count: int) -> re.Pattern[str]:
    upper, lower = ascii_uppercase[:count], ascii_uppercase[:count].lower()
    right = r"(?![\w+#=^~@])(?!['’][A-Za-z])(?!\-[A-Za-z0-9])(?!\.[A-Za-z0-9])"
    # Upper case wherever it stands alone; lower case only where punctuation or the end of a line shows it is no word.
    shown = rf"(?:(?<=[{upper}])|(?=[)\]}}\"'”’>»<]|[.,;:!?](?:\s|$)|[ \t]{{0,4}}(?:\n|$)))"
    return re.compile(rf"[{upper}{lower}]{right}{_NO_PART_OF_WORD}{shown}", re.DOTALL)


_PATTERNS = {count: _token_pattern(count) for count in range(1, len(ascii_uppercase) + 1)}
_WORD_STARTS = {
    count: re.compile(rf"[{ascii_uppercase[:count]}{ascii_uppercase[:count].lower()}]{_NO_PART_OF_WORD}", re.DOTALL)
    for count in _PATTERNS
}

_OPTION = (
    r"(?:the\s{1,3})?(?:(?:correct|right|best|final)\s{1,3})?"
    r"(?:option|answer|choice|letter|statement)?\s{0,3}[:#]?\s{0,4}"
)
_OPENING = r"[(\[\"'{<“‘«]{0,2}\s{0,2}"
_COPULA = (
    r"(?:is|are|was|be|would\ be|should\ be|must\ be|will\ be|has\ to\ be|seems\ to\ be|appears\ to\ be)"
    r"(?:\s{1,3}(?:most\s)?(?:therefore|thus|hence|then|clearly|indeed|likely|probably|definitely|simply|actually|obviously))?"
)
_STATED_BEFORE = re.compile(
    rf"""(?:
        \b(?:answers?|options?|choices?|solution|letter|conclusion|response)
        (?:\s{{1,3}}(?:option|choice|letter))?
        (?:\s{{1,3}}(?:to|for|of)\s(?:this|the|your)\s(?:question|problem|above))?
        (?:\s{{1,3}}(?:here|therefore|thus))?,?
        (?: ["'”]?\s{{0,3}}(?::|=|>|->|=>|→|⇒|\#|[-–—](?=\s))\s{{0,6}}
          | \s{{1,3}}{_COPULA}\s{{0,3}}[:,]?\s{{1,6}} )
      | \b(?:choose|chose|pick|picked|select|selected|go\ with|going\ with|opt\ for|vote\ for|settle\ on)
        \s{{0,3}}:?\s{{1,4}}
      | \b(?:it|this|that)(?:['’]s|\s{_COPULA})\s{{1,4}}
      | \\(?:boxed|fbox)\s{{0,2}}\{{\s{{0,12}}
    )
    (?:(?:either|both|neither)\s{{1,3}})?
    {_OPTION}{_OPENING}\Z""",
    re.IGNORECASE | re.VERBOSE,
)
_CUE = re.compile(
    r"answer|option|choice|solution|letter|conclusion|response|choose|chose|pick|select|with|for|on|it|this|that|boxed",
    re.IGNORECASE,
)
_WEAK_BEFORE = re.compile(
    rf"\b(?:it|this|that)(?:['’]s|\s{_COPULA})\s{{1,4}}{_OPENING}\Z".replace(r"\ ", " "), re.IGNORECASE
)
_BOTH_BEFORE = re.compile(rf"\b(?:either|both|neither)\s{{1,3}}{_OPTION}{_OPENING}\Z", re.IGNORECASE)
_MENTION_BEFORE = re.compile(rf"\b(?:options?|choices?|answers?|letter)\s{{1,3}}{_OPENING}\Z", re.IGNORECASE)
_SENTENCE_BEFORE = re.compile(
    rf"(?:\A|[\n.!?:;,]|\b(?:so|thus|hence|therefore|that|and|but|think|believe|option|answer|choice))\s{{0,4}}{_OPENING}\Z",
    re.IGNORECASE,
)
_LISTED_BEFORE = re.compile(r"(?<!\w)[A-Z][)\]]?(?:,|,?\s{1,3}(?:and|or|nor))\s{0,3}\Z")
# What takes a statement back, in the same clause: "I do not think the answer is B", "if the answer is B".
_UNSAID_BEFORE = re.compile(
    r"(?:n['’]t|\b(?:not|never|doubt|unlikely|if|whether|suppose|supposing|assume|assuming|unless|why|"
    r"(?:might|may|could|would|some|many|people)\s+(?:\w+\s+)?(?:think|believe|say|assume|choose|pick|select)))\b"
    r"(?:(?!\bbut\b)[^.!?\n,;:]){0,60}\Z",
    re.IGNORECASE,
)
_CLOSE = r"[)\]\"'}>”’»]{0,2}"
_MORE_AFTER = re.compile(
    rf"{_CLOSE}[.]?\s{{0,3}}(?:(?P<hard>/|\bor\b|,\s{{0,2}}or\b|\|)|,|&|\+|\band\b|,\s{{0,2}}and\b|\bas\ well\ as\b)"
    rf"\s{{0,3}}(?:also\s)?(?:option\s|answer\s|choice\s)?{_OPENING}(?P<next>[A-Za-z])(?P<close>{_CLOSE})(?![\w'’])",
    re.IGNORECASE,
)
_VERB = r"(?:is|are|was|were|would|could|can|cannot|does|has|isn|refers|describes|states)"
_VERB_AFTER = re.compile(rf"\s{{1,3}}{_VERB}\b", re.IGNORECASE)
_CORRECT_AFTER = re.compile(
    rf"{_CLOSE}[.:]?\s{{1,3}}(?:is|was|would\ be|must\ be|seems|looks|seems\ to\ be)\s{{1,3}}"
    r"(?:(?:the|most|indeed|therefore|clearly|likely|probably|definitely|a)\s{1,3}){0,3}"
    r"(?:(?:single|only|one)\s)?(?:correct|right|best|answer|accurate|appropriate)\b"
    r"(?!\s{1,3}(?:if|only|when|in\ that)\b)",
    re.IGNORECASE,
)
# "B, not C" is a choice; "B is not right" and "B: wrong" are none.
_DENIED_AFTER = re.compile(
    rf"{_CLOSE}(?:[.:,]?\s{{0,3}}(?:\([^()\n]{{0,30}}\)\s)?(?:(?:is|are|was|seems?|looks)\s{{1,3}})?"
    r"(?:in(?:correct|accurate)|wrong|false)\b"
    r"|\s{0,3}(?:(?:is|are|was|can|does|do|would\ be|seems|looks)\s{1,3}(?:not|never|no)\b"
    r"|cannot\b|(?:is|was|can|would|does)n['’]t\b))",
    re.IGNORECASE,
)
_QUESTION_AFTER = re.compile(rf"{_CLOSE}\s?\?")
_CONNECTIVE = re.compile(
    r"(?:because|since|as|due|and|or|nor|but|which|is|was|would|based|given|so|not|rather|instead|although|though|however"
    r"|seems|looks|must)\b",
    re.IGNORECASE,
)
_REASON = re.compile(r"explanation|explain|because|reason|since|incorrect|wrong|therefore|rationale", re.IGNORECASE)
_LINE_LEAD = re.compile(r"(?:\A|\n)[ \t>#•\-–]{0,12}(?:\d{1,3}[.)][ \t]{1,3})?[(\[\"'“‘]{0,2}[ \t]{0,2}\Z")
_LABEL_END = re.compile(r"[ \t]{0,3}(?:[)\]\"'”’.:]{1,3}(?=\s|\Z)|[)\]]|[ \t]{0,6}(?=\n|\Z)|[ \t]{1,3}[-–—=|](?=\s)|—)")
_LONE_END = re.compile(r"[ \t]{0,3}[)\]\"'”’.:!]{0,3}[ \t]{0,12}(?:\n|\Z)")
_NEXT_LABEL = re.compile(r"[).:]{1,2}[ \t]{1,3}[(\[]?[A-Z][)\].:]")
_BECAUSE_AFTER = re.compile(r",?\s{1,3}(?:because|since|as)\b", re.IGNORECASE)
_CHANGE = re.compile(
    r"[.!?\n;]|\b(?:wait|actually|no|instead|rather|but|correction|sorry|therefore|so|thus)\b", re.IGNORECASE
)
_STATEMENT_CUE = re.compile(
    rf"\b(?:answer|option|choice)(?:\s{{0,3}}:\s{{0,6}}|\s{{1,3}}{_COPULA}:?\s{{1,6}})".replace(r"\ ", " "),
    re.IGNORECASE,
)


def read_letter(text: str, choices: Sequence[str]) -> str | None:
    """The letter of the choice that the text gives as its answer, upper case; null when it does not clearly give one.

    Takes time proportional to the length of the text.
    """
    normal = normalise(text)
    found = _findings(normal, choices)
    if found is None:
        return None
    stated = [finding for finding in found if finding.kind == "stated"]
    if stated:
        return _last_statement(normal, stated)
    # Before labels: a choice may read "A. and B. above". A choice that is one letter, though, is read as a label.
    alone = normal.strip(EDGE)
    if (len(alone) > 1 or alone.isdigit()) and (whole := _matching_choice(normal, choices)) is not None:
        return whole
    labels = [finding for finding in found if finding.kind == "label"]
    if labels:
        return _agreed(labels)
    return _agreed([finding for finding in found if finding.kind == "mention"])


def letter_spans(text: str, choices: Sequence[str]) -> list[tuple[int, int]]:
    """Closed ranges of lengths of ``text`` between which its beginnings' readings can differ.

    Everything that decides lies near a token or a cue, or, for a text that is nothing but a choice, near its beginning.
    """
    normal = normalise(text)
    lead = len(normal) - len(normal.lstrip(EDGE))
    reach = _longest(choices) + _AFTER
    spans = [(0, lead + reach)]
    spans += [(found.start(), found.end() + reach) for found in _cues(normal)]
    for found in _PATTERNS[len(choices)].finditer(normal):
        at = found.start()
        before = normal[max(0, at - _BEFORE) : at]
        labels = normal[at + 1 : at + 2] == ")" or _line_leads(before)
        if labels or _speaks_of_an_answer(before) or _SENTENCE_BEFORE.search(before):
            spans.append((at, at + 1 + _AFTER))
    # Where the text so far ends within a word, its first letter stands alone for a moment.
    for found in _WORD_STARTS[len(choices)].finditer(normal):
        at = found.start()
        before = normal[max(0, at - _BEFORE) : at]
        if _line_leads(before) or _speaks_of_an_answer(before):
            spans.append((at, at + 3))
    return spans


# An item's choices are read against for every arrival of every answer to it.
@lru_cache(maxsize=1 << 10)
def _folded(choices: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(fold, choices))


def _longest(choices: Sequence[str]) -> int:
    return max(map(len, (*choices, *_folded(tuple(choices)))), default=0)


def _line_leads(before: str) -> bool:
    return _LINE_LEAD.search(before, max(0, len(before) - 24)) is not None


def _speaks_of_an_answer(before: str) -> bool:
    if before[-1:] in tuple(_OPENERS):
        return True
    return _CUE.search(before) is not None and (
        _STATED_BEFORE.search(before) is not None or _MENTION_BEFORE.search(before) is not None
    )


def _cues(normal: str) -> list[re.Match[str]]:
    lower = normal.lower()
    starts: list[int] = []
    for word in ("answer", "option", "choice"):
        at = lower.find(word)
        while at >= 0:
            starts.append(at)
            at = lower.find(word, at + 1)
    return [found for at in sorted(starts) if (found := _STATEMENT_CUE.match(normal, at))]


def _findings(normal: str, choices: Sequence[str]) -> list[_Finding] | None:
    """Everything that says something, in the order of the text; null when there is far too much of it."""
    folded = _folded(tuple(choices))
    findings: list[_Finding] = []
    labels: list[tuple[int, str, bool]] = []
    begin = len(normal) - len(normal.lstrip(EDGE + ">#•-–"))
    for number, token in enumerate(_PATTERNS[len(choices)].finditer(normal)):
        if number >= _MAX_TOKENS:
            return None
        at = token.start()
        before, after = normal[max(0, at - _BEFORE) : at], normal[at + 1 : at + 1 + _AFTER]
        letter = normal[at].upper()
        meaning = _read_token(normal[at], before, after, folded)
        if meaning is not None:
            findings.append(_Finding(at, at + 1, *meaning))
        label = _read_label(normal[at], before, after, at == begin, folded)
        if label is not None:
            labels.append((at, letter, label == "answers"))
    cues = _cues(normal)
    if len(cues) > _MAX_TOKENS:
        return None
    findings += [finding for cue in cues if (finding := _read_choice_after(normal, cue, folded)) is not None]
    findings += _read_labels(normal, labels)
    return sorted(findings)


# ``committed`` reads one text after every arrival: most windows are those of the time before.
@lru_cache(maxsize=1 << 14)
def _read_token(character: str, before: str, after: str, folded: tuple[str, ...]) -> tuple[Kind, str] | None:
    """What one token says by itself: a statement, a mention or nothing."""
    letter = character.upper()
    bracketed = before[-1:] in tuple(_OPENERS) and after[:1] in tuple(_CLOSERS)
    named = _starts_with_choice(after, letter, folded)
    # "B) False" names the choice "False" and denies nothing.
    if _QUESTION_AFTER.match(after) or (_DENIED_AFTER.match(after) and not named):
        return None
    article = not bracketed and _word_follows(after) and not named
    meaning: Literal["stated", "mention"] | None = None
    start = len(before)
    if not article and _CUE.search(before) and (stated := _STATED_BEFORE.search(before)):
        start = stated.start()
        # "The answer is a" may be the beginning of "a dog".
        ended = after[:1] in tuple(".,;:!)]\"'”’\n") if after else True
        shown = bracketed or (ended and (after != "" or character not in "ai")) or ":" in stated[0] or "{" in stated[0]
        if _WEAK_BEFORE.search(before):
            meaning = "stated" if ended and (character.isupper() or bracketed) else None
        elif character.isupper() or shown:
            meaning = "stated"
    elif character.isupper() and _CORRECT_AFTER.match(after) and _SENTENCE_BEFORE.search(before):
        meaning = None if _LISTED_BEFORE.search(before) else "stated"
    elif (character.isupper() and (option := _MENTION_BEFORE.search(before))) or (bracketed and before[-1:] == "("):
        meaning = "mention"
        start = option.start() if character.isupper() and option else len(before) - 1
    if meaning is None or _UNSAID_BEFORE.search(before[:start]):
        return None
    unclear = _several(after, len(folded)) or _BOTH_BEFORE.search(before)
    return meaning, _AMBIGUOUS if unclear else letter


@lru_cache(maxsize=1 << 14)
def _read_label(
    character: str, before: str, after: str, begins: bool, folded: tuple[str, ...]
) -> Literal["answers", "listed"] | None:
    """Whether a token stands as a label: one that may be the answer, or one that only shows a list."""
    if begins or _line_leads(before):
        if _LABEL_END.match(after) or (character.isupper() and _BECAUSE_AFTER.match(after)):
            # "A) is wrong because" is no label, but "A) Is warm" is where that is the choice.
            if _VERB_AFTER.match(after, 1) and not _starts_with_choice(after, character.upper(), folded):
                return None
            return "answers" if begins or _LONE_END.match(after) else "listed"
        return None
    if before[-1:] in ("(", " ") and after[:1] == ")" and not _VERB_AFTER.match(after, 1):
        return "listed"
    return None


def _several(after: str, count: int) -> bool:
    """Whether the token is the first of several: "B or C", "A and C", "A, B, C"."""
    more = _MORE_AFTER.match(after)
    if more is None or more["next"].upper() not in ascii_uppercase[:count]:
        return False
    if more["next"].islower() and not more["close"]:
        return False
    # "B, A is wrong" and "B and C is wrong" go on to speak of another letter; "B or C is right" does not choose.
    return more["hard"] is not None or not _VERB_AFTER.match(after, more.end())


def _word_follows(after: str) -> bool:
    """Whether a word that is no connective comes next on the line, as after an article."""
    rest = after.lstrip(" \t")
    return len(rest) < len(after) and rest[:1].isalnum() and not _CONNECTIVE.match(rest)


def _starts_with_choice(after: str, letter: str, folded: Sequence[str]) -> bool:
    own = folded[ascii_uppercase.index(letter)][: _AFTER // 2]
    return bool(own) and fold(after).startswith(own)


def _read_choice_after(normal: str, cue: re.Match[str], folded: Sequence[str]) -> _Finding | None:
    """The rest of the line, or of the sentence, is the text of exactly one choice, as in "Answer: Paris"."""
    longest = max(map(len, folded), default=0)
    rest = normal[cue.end() : cue.end() + longest + _AFTER // 2].lstrip(" \t").split("\n")[0]
    if _UNSAID_BEFORE.search(normal[max(0, cue.start() - _BEFORE) : cue.start()]):
        return None
    for candidate in (rest, rest.split(". ")[0]):
        if candidate.rstrip().endswith("?"):
            continue
        named = fold(candidate)
        same = [index for index, choice in enumerate(folded) if choice and choice == named]
        if len(same) == 1 and len(folded[same[0]]) > 1:
            return _Finding(cue.end(), cue.end() + len(candidate), "stated", ascii_uppercase[same[0]])
    return None


def _read_labels(normal: str, labels: list[tuple[int, str, bool]]) -> list[_Finding]:
    """The labels that answer: at the beginning of the text or alone on a line; unclear when they begin a list."""
    findings: list[_Finding] = []
    reasons: list[int] | None = None
    later, other = (len(normal), ""), (len(normal), "")
    # From the end, so that the next label with another letter is always at hand.
    for at, letter, answers in reversed(labels):
        if later[1] != letter:
            other = later
        later = (at, letter)
        if not answers:
            continue
        listed = other[1] != ""
        if listed:
            reasons = [found.start() for found in _REASON.finditer(normal)] if reasons is None else reasons
            reason = bisect_left(reasons, at)
            listed = reason == len(reasons) or reasons[reason] >= other[0]
        after = normal[at + 1 : at + 1 + _AFTER]
        several = _several(after, len(ascii_uppercase)) or _NEXT_LABEL.match(after) is not None
        findings.append(_Finding(at, at + 1, "label", _AMBIGUOUS if listed or several else letter))
    return findings


def _last_statement(normal: str, stated: list[_Finding]) -> str | None:
    last = stated[-1]
    if last.letter == _AMBIGUOUS:
        return None
    if len(stated) > 1:
        previous = stated[-2]
        between = normal[min(previous.end, last.at) : last.at]
        if previous.letter != last.letter and not _CHANGE.search(between):
            return None
    return last.letter


def _agreed(findings: list[_Finding]) -> str | None:
    named = {finding.letter for finding in findings}
    return named.pop() if len(named) == 1 and _AMBIGUOUS not in named else None


def _matching_choice(normal: str, choices: Sequence[str]) -> str | None:
    begun = normal.lstrip(EDGE)
    if not begun or len(begun) > _longest(choices) + _AFTER // 2:
        return None
    whole = fold(begun)
    same = [index for index, choice in enumerate(_folded(tuple(choices))) if choice == whole]
    return ascii_uppercase[same[0]] if len(same) == 1 else None
