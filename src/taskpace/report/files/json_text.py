"""JSON that a terminal shows as it stands: what could move the cursor, colour, reorder or hide is a JSON escape."""

from __future__ import annotations

import re

import msgspec

from taskpace.text.safe_text import printable

_NOT_PLAIN = re.compile("[^\\x20-\\x7e\\n]")


def json_text(value: object) -> str:
    """``value`` as indented JSON that ends with a line feed; the same value gives the same text."""
    return _inert(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()) + "\n"


def json_line(value: object) -> str:
    """``value`` as JSON on one line, without the line feed."""
    return _inert(msgspec.json.encode(value).decode())


def _inert(text: str) -> str:
    """Escape characters that are not printable: only strings have them, as msgspec escapes all others."""
    return _NOT_PLAIN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    if printable(char) == char:
        return char
    # JSON has escapes of 16 bits only; what is beyond takes two.
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[index]:02x}{units[index + 1]:02x}" for index in range(0, len(units), 2))
