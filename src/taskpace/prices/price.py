"""The price of a system in US dollars: by the token, or by the hour of a machine of one's own. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from taskpace.errors import TaskpaceError

_MOST_USD = 1e9
"""No price is higher; what is, is a slip of the pen."""
_PER_MILLION = ("input", "output", "cached_input")


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars. Either ``input`` and ``output``, or ``per_hour``."""

    input: float | None = None
    """Per million prompt tokens."""
    output: float | None = None
    """Per million output tokens, reasoning included."""
    cached_input: float | None = None
    """Per million prompt tokens that came from a cache; null: the same as other prompt tokens."""
    per_hour: float | None = None
    """Per hour of a machine of one's own."""
    most_prompt_tokens: int | None = None
    """Of a request, up to which the price holds: longer ones have another. Null: it holds for all."""
    source: str | None = None
    """Where the price is from."""
    date: str | None = None
    """Of which day it is, as YYYY-MM-DD."""

    @property
    def discount(self) -> float:
        """US dollars by which a million prompt tokens are cheaper that came from a cache."""
        return 0.0 if self.cached_input is None else (self.input or 0.0) - self.cached_input


def checked(price: Price, refuse: Callable[[str], TaskpaceError]) -> Price:
    """The price, if it is one.

    Raises:
        TaskpaceError: as ``refuse`` makes it: a number out of range, one of two that is missing, two kinds of price.
    """
    for key in (*_PER_MILLION, "per_hour"):
        value = getattr(price, key)
        if value is not None and not (math.isfinite(value) and 0 <= value <= _MOST_USD):
            raise refuse(f'key "{key}": {value:g} is no price: give US dollars from 0 to {_MOST_USD:g}')
    if price.most_prompt_tokens is not None and price.most_prompt_tokens < 1:
        raise refuse(f'key "most_prompt_tokens": {price.most_prompt_tokens} is too small: give 1 or more')
    by_token = [key for key in _PER_MILLION if getattr(price, key) is not None]
    if price.per_hour is not None and by_token:
        raise refuse(f'"per_hour" and "{by_token[0]}" are two kinds of price: give one of the two')
    if price.per_hour is None and (price.input is None or price.output is None):
        missing = "output" if price.input is not None else "input"
        raise refuse(
            f'the key "{missing}" is missing: give "input" and "output" in US dollars per million tokens, '
            'or "per_hour" for a machine of your own'
        )
    return price
