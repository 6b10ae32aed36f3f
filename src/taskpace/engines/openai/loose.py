"""JSON as loosely as it comes: what others send is read where it can be, and complained of where it cannot. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_HALF = re.compile("[\ud800-\udfff]")


def read_json(data: bytes) -> Any:
    """The value that ``data`` spells; also with NaN, lone halves of characters, or bytes that are not UTF-8.

    Raises:
        ValueError: it is not JSON, nests too deep, or has a number of thousands of digits.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return json.loads(data.decode("utf-8", "replace").removeprefix("\ufeff"))
        except RecursionError:
            raise ValueError("it nests too deep") from None


class Halves:
    """Puts characters together whose two halves (UTF-16 surrogates, as JSON escapes them) came apart."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """``text`` with what was held back before it; a first half at its end is held back, a lone half is U+FFFD."""
        if not self._held and (text.isascii() or not _HALF.search(text)):
            return text
        text, self._held = self._held + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def end(self) -> str:
        """What is left once nothing more comes."""
        held, self._held = self._held, ""
        return "\ufffd" if held else ""
