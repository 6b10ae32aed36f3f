"""Foreign text is hostile, model output above all: what it may do in a terminal is nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len, split_graphemes

# C0 (but tab and line feed), DEL and C1 controls, and what reorders or hides text: bidirectional marks, zero-width
# characters, the byte order mark, line and paragraph separators, tag characters, lone surrogates.
_DANGEROUS = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"
    "\\ud800-\\udfff\\U000e0000-\\U000e007f]"
)
_WORD = re.compile(r"[^\s`]*`[^`]*`\S*|\S+")
_CHARACTERS = 4
"""At most for each column: combining characters take no column, and a heap of them would pass without a bound."""

_LEAST_APART = 8
"""Columns below which a shortened text has no room for what is its own."""


def printable(text: str) -> str:
    r"""``text`` with whatever could move the cursor, colour, reorder or hide shown as an escape such as ``\x1b``.

    Line feeds and tabs stay. The result can be written to any terminal.
    """
    return _DANGEROUS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def one_line(text: str, width: int = 300) -> str:
    """``printable`` on one line of at most ``width`` terminal columns, cut with an ellipsis."""
    flat = " ".join(printable(text).split())
    return flat if _beginning(flat, width) == flat else _beginning(flat, width - 1) + "…"


def end_of_line(text: str, width: int) -> str:
    """Like ``one_line``, but the end stays and the beginning is cut."""
    flat = " ".join(printable(text).split())
    if _beginning(flat, width) == flat:
        return flat
    taken, kept = 0, len(flat)
    for start, _, columns in reversed(split_graphemes(flat[-_CHARACTERS * width :])[0]):
        taken += columns
        if taken > width - 1:
            break
        kept = len(flat) - min(len(flat), _CHARACTERS * width) + start
    return "…" + flat[kept:]


def both_ends(text: str, width: int) -> str:
    """Like ``one_line``, but cut in the middle: names of systems often differ at their ends alone."""
    whole = one_line(text, width)
    if not whole.endswith("…") or end_of_line(text, width) == whole:
        return whole
    end = (width + 2) // 2
    return one_line(text, width - end + 1).removesuffix("…") + end_of_line(text, end)


def told_apart(texts: Sequence[str], width: int) -> list[str]:
    """Each like ``both_ends``, but texts that differ do so when shortened: then from where they begin to differ."""
    found = [both_ends(text, width) for text in texts]
    for short in {each for each in found if found.count(each) > 1}:
        alike = [index for index, each in enumerate(found) if each == short]
        different = list(dict.fromkeys(texts[index] for index in alike))
        if len(different) == 1 or width < _LEAST_APART:
            continue
        common = next((at for at, each in enumerate(zip(*different, strict=False)) if len(set(each)) > 1), len(short))
        head = one_line(different[0], width // 3).removesuffix("…")
        rests = [f"{head}…{one_line(text[common:])}" for text in different]
        parts = [one_line(rest, width) for rest in rests]
        if len(set(parts)) < len(parts):  # several places where they differ: numbers do it for any
            parts = [f"{one_line(text, width - 4)} {number}" for number, text in enumerate(different, 1)]
        for index in alike:
            found[index] = parts[different.index(texts[index])]
    return found


def _beginning(text: str, width: int) -> str:
    """As many whole characters, with what combines with them, as ``width`` columns hold."""
    head = text[: _CHARACTERS * width + 1]
    taken = 0
    for start, end, columns in split_graphemes(head)[0]:
        taken += columns
        if taken > width or end > _CHARACTERS * width:
            return head[:start]
    return head


def wrapped(text: str, width: int) -> list[str]:
    """``printable`` in lines of at most ``width`` terminal columns, broken between words, or within one too long.

    What stands between backticks is one word and is never broken, so that a command can be pasted.
    """
    lines, line = [], ""
    for word in _WORD.findall(" ".join(printable(text).split())):
        if line and column_width(line) + 1 + column_width(word) <= width:
            line = f"{line} {word}"
            continue
        if line:
            lines.append(line)
        line = word
        while column_width(line) > width and "`" not in line:
            head = _beginning(line, width) or line[0]
            lines.append(head)
            line = line[len(head) :]
    return [*lines, line] if line else lines


def column_width(text: str) -> int:
    """How many columns of a terminal ``text`` takes, for text that is ``printable``."""
    return cell_len(text)


def padded(text: str, width: int, *, right: bool = False) -> str:
    """``text`` filled up with spaces to ``width`` columns; ``right``: the text is at the right."""
    room = " " * max(0, width - column_width(text))
    return room + text if right else text + room
