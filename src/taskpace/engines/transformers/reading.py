"""From the tokens that were made to the text: what is shown when, and which of it is reasoning. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from taskpace.engines.base import AnswerBuilder, until_stop
from taskpace.engines.reasoning import is_of_marker


class Special(NamedTuple):
    """A tokenizer's special tokens."""

    all: frozenset[int]
    dropped: frozenset[int]
    """Those that mark no reasoning."""


def special_tokens(tokenizer: Any) -> Special:
    """Look a tokenizer's special tokens up: once, as there may be thousands."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    known = {token for token, each in added.items() if each.special} | set(tokenizer.all_special_ids)
    markers = {token for token in known if token in added and is_of_marker(str(added[token]))}
    return Special(frozenset(known), frozenset(known - markers))


def shown(tokens: list[tuple[int, int]], special: Special) -> list[tuple[int, int]]:
    """The tokens that are text or mark reasoning: no other special ones, and none at the end."""
    last = len(tokens)
    while last and tokens[last - 1][1] in special.all:
        last -= 1
    return [token for token in tokens[:last] if token[1] not in special.dropped]


def read_tokens(tokenizer: Any, tokens: list[tuple[int, int]], stops: Sequence[str], *, opened: bool) -> AnswerBuilder:
    """The text up to a stop text, and how much of it there was at each step.

    Tokens are decoded in a window that begins one piece earlier, for what a token means may depend on the one before
    (a blank, half a character); a character that is not whole yet is kept back. The method is that of vLLM and TGI.
    """
    numbers = [token for _, token in tokens]
    grown: list[tuple[int, int]] = []
    text, begin, known = "", 0, 0
    for number, (ns, _) in enumerate(tokens, 1):
        before = tokenizer.decode(numbers[begin:known], skip_special_tokens=False)
        after = tokenizer.decode(numbers[begin:number], skip_special_tokens=False)
        if len(after) > len(before) and (not after.endswith("\ufffd") or number == len(tokens)):
            text += after[len(before) :]
            begin, known = known, number
            grown.append((ns, len(text)))
    whole = until_stop(text, stops)
    answer = AnswerBuilder(opened=opened)
    begin = 0
    for ns, end in grown:
        answer.add(whole[begin:end])
        answer.arrived(ns)
        begin = end
    return answer


def reasoning_tokens(answer: AnswerBuilder, tokens: list[tuple[int, int]]) -> int:
    """Tokens before the first of the answer, markers included; 0 without reasoning."""
    if not answer.reasoning:
        return 0
    first_ns = next((arrival.ns for arrival in answer.arrivals if arrival.visible_bytes), None)
    return sum(first_ns is None or ns < first_ns for ns, _ in tokens)
