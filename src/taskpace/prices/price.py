"""The price of a system in US dollars: by the token, or by the hour of a machine of your own. Pure."""

from __future__ import annotations

import math

import msgspec

_MOST_USD = 1e9
"""No price is higher; what is, is a slip of the pen."""
_MOST_TOKENS = 10**12
_MOST_LETTERS = 200
_PER_MILLION = ("input", "output", "cached_input")


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars. Either ``input`` and ``output``, or ``per_hour``; anything else is a ``ValueError``."""

    input: float | None = None
    """Per million prompt tokens."""
    output: float | None = None
    """Per million output tokens, reasoning included."""
    cached_input: float | None = None
    """Per million prompt tokens that came from a cache; null: the same as other prompt tokens."""
    per_hour: float | None = None
    """Per hour of a machine of your own."""
    most_prompt_tokens: int | None = None
    """Of a request, up to which the price holds: longer ones have another. Null: it holds for all."""
    source: str | None = None
    """Where the price is from."""
    date: str | None = None
    """Its date, as YYYY-MM-DD."""

    def __post_init__(self) -> None:
        """Hold prices of a file, of the command line and of a run file to the same: msgspec adds where it stands."""
        if problem := self._problem():
            raise ValueError(problem)

    @property
    def discount(self) -> float:
        """US dollars by which a million prompt tokens are cheaper that came from a cache."""
        return 0.0 if self.cached_input is None else (self.input or 0.0) - self.cached_input

    def _problem(self) -> str | None:
        for key in (*_PER_MILLION, "per_hour"):
            value = getattr(self, key)
            if value is not None and not (math.isfinite(value) and 0 <= value <= _MOST_USD):
                return f'key "{key}": invalid price {value:g}: give US dollars from 0 to {_MOST_USD:,.0f}'
        if self.most_prompt_tokens is not None and not 1 <= self.most_prompt_tokens <= _MOST_TOKENS:
            return f'key "most_prompt_tokens": give a whole number from 1 to {_MOST_TOKENS:,}'
        for key in ("source", "date"):
            if len(getattr(self, key) or "") > _MOST_LETTERS:
                return f'key "{key}": has more than {_MOST_LETTERS} characters: shorten it'
        by_token = [key for key in _PER_MILLION if getattr(self, key) is not None]
        if self.per_hour is not None and by_token:
            return f'"per_hour" and "{by_token[0]}" are two kinds of price: give one of the two'
        if self.per_hour is None and (self.input is None or self.output is None):
            missing = "output" if self.input is not None else "input"
            return (
                f'the key "{missing}" is missing: give "input" and "output" in US dollars per million tokens, '
                'or "per_hour" for a machine of your own'
            )
        return None
