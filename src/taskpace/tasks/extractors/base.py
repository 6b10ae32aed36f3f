"""What an extraction is: how an answer is read from the visible text. Never a guess: no answer where the text has none.

An extraction is a pure function of the text and the item's fields, linear in the text's length. It may also give the
answers of all beginnings of a text, so that the time to the committed answer costs no reading of the whole text for
each arrival.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """One way to read an answer."""

    read: Callable[[str, dict[str, Any]], str | None]
    """The answer in a text, or null."""
    beginnings: Callable[[str, dict[str, Any]], Callable[[int], str | None]] | None = None
    """From a text to a function from a number of characters to the answer that ``read`` gives for so much of the text;
    asked with ever smaller numbers. Null: ``read`` is asked, as often as a bound on the work allows."""
    needs: tuple[str, ...] = ()
    """Fields of the item that it looks at."""
    script: Callable[[dict[str, Any]], tuple[str, str]] | None = None
    """Two texts to choose from, for an engine that only plays, where no scorer says which is right; null: none."""
