"""What an extraction is: how an answer is read from the visible text. Never a guess: no answer where the text has none.

An extraction is a pure function of the text and the item's fields. It also says between which lengths of the text its
result can change, so that ``committed`` need not ask again after every arrival.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

Spans = list[tuple[int, int]]
"""Closed ranges of text lengths, in characters: outside them one more character changes nothing."""


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """One way to read an answer."""

    read: Callable[[str, dict[str, Any]], str | None]
    """The answer in a text, or null."""
    spans: Callable[[str, dict[str, Any]], Spans] | None = None
    """Where the answer of the text's beginnings can change; null: anywhere."""
    needs: tuple[str, ...] = ()
    """Fields of the item that it looks at."""
    script: Callable[[dict[str, Any]], tuple[str, str]] | None = None
    """Two texts to choose from, for an engine that only plays, where no scorer says which is right; null: none."""
