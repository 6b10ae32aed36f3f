"""Foreign text is hostile, model output above all: what it may do in a terminal is nothing."""

from __future__ import annotations

import re
import unicodedata

# C0 (but tab and line feed), DEL and C1 controls, and what reorders or hides text: bidirectional marks, zero-width
# characters, the byte order mark, line and paragraph separators, tag characters, lone surrogates.
_DANGEROUS = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"
    "\\ud800-\\udfff\\U000e0000-\\U000e007f]"
)


def printable(text: str) -> str:
    r"""``text`` with whatever could move the cursor, colour, reorder or hide shown as an escape such as ``\x1b``.

    Line feeds and tabs stay. The result can be written to any terminal.
    """
    return _DANGEROUS.sub(_escape, text)


def one_line(text: str, width: int = 300) -> str:
    """``printable`` on one line of at most ``width`` terminal columns, cut with an ellipsis."""
    flat = " ".join(printable(text).split())
    return flat if _cut(flat, width) == flat else _cut(flat, width - 1) + "…"


def _cut(text: str, width: int) -> str:
    taken = 0
    for index, char in enumerate(text):
        taken += column_width(char)
        # Combining characters take no column; without a bound of their own a heap of them would pass.
        if taken > width or index >= 4 * width:
            return text[:index]
    return text


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def column_width(text: str) -> int:
    """How many terminal columns ``text`` takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
