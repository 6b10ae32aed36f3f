"""Token counts as servers report them: found in every dialect, and checked before they are believed. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from taskpace.records import Usage

_MOST = 2**53
Where = tuple[tuple[str, ...], ...]
"""The places that one count may have in a report, the most trustworthy first."""

PROMPT: Where = (("prompt_tokens",), ("input_tokens",))
OUTPUT: Where = (("completion_tokens",), ("output_tokens",))
TOTAL: Where = (("total_tokens",),)
REASONING: Where = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("reasoning_tokens",),  # SGLang
)
CACHED: Where = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("prompt_cache_hit_tokens",),  # DeepSeek
    ("cached_tokens",),  # Moonshot
)
"""Sources: OpenAI's reference of chat completions and responses; SGLang, UsageInfo; DeepSeek's and Moonshot's
documentation; mlx-vlm counts ``input_tokens`` and ``output_tokens``."""


class _Counts(NamedTuple):
    prompt: int | None
    output: int | None
    total: int | None
    reasoning: int | None
    cached: int | None


_UNKNOWN = _Counts(None, None, None, None, None)


class Reports:
    """The reports of one answer: some servers send one with every chunk, some an empty one after the real one."""

    def __init__(self) -> None:
        self._counts = _UNKNOWN

    def add(self, report: Any) -> None:
        """Take a report, whatever it is. Of each count the last one stands that is more than 0."""
        if not isinstance(report, dict):
            return
        old = self._counts
        found = _Counts(
            prompt=_find(report, PROMPT),
            output=_find(report, OUTPUT),
            total=_find(report, TOTAL),
            reasoning=_find(report, REASONING),
            cached=_find(report, CACHED),
        )
        # A total is that of its own report: one that counts prompt and output apart has no say on their sum.
        whole = found.prompt and found.output is not None
        if old is _UNKNOWN and whole:
            self._counts = found  # as nearly all are
            return
        counts = _Counts(*(before if before and not new else new for new, before in zip(found, old, strict=True)))
        if any(found):
            counts = counts._replace(total=found.total if whole else old.total if not found.output else None)
        self._counts = counts

    def usage(self, *, visible: bool, reasoned: bool) -> Usage:
        """The counts that can be believed.

        ``output_tokens`` includes reasoning: it is added where the total shows that the server counts it beside the
        rest. Where counts contradict each other, none is known, and ``token_source`` shows it.

        Args:
            visible: whether there is an answer, which takes a token at least.
            reasoned: whether there is reasoning, which does so, too.
        """
        prompt, output, total, reasoning, cached = self._counts
        prompt = prompt or None  # every prompt has a token
        reasoning = None if reasoning == 0 and reasoned else reasoning  # a server that does not separate them
        if output is None and prompt is None:
            return Usage()
        sound = not (output == 0 and visible)
        if prompt and output is not None and total and total != prompt + output:
            sound = sound and total == prompt + output + (reasoning or 0)
            output += reasoning or 0
        if not sound or (output is not None and (reasoning or 0) > output):
            return Usage(token_source="contradictory")  # noqa: S106 - a source, not a secret
        return Usage(
            prompt_tokens=prompt,
            output_tokens=output,
            reasoning_tokens=reasoning,
            cached_tokens=cached,
            token_source="usage",  # noqa: S106 - a source, not a secret
        )


def _find(report: dict[str, Any], where: Where) -> int | None:
    """The count at the first of these places that has one; anything but a count is unknown; nothing is guessed."""
    value: Any = report.get(where[0][0])
    if type(value) is int and len(where[0]) == 1 and 0 <= value < _MOST:
        return value  # as nearly all are
    for names in where:
        value = report
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and 0 <= value < _MOST
            and value == int(value)
        ):
            return int(value)
    return None
