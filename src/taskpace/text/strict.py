"""Reads what people write by hand, strictly: an error names the location, the key and the remedy in one line."""

from __future__ import annotations

import codecs
import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from taskpace.errors import TaskpaceError
from taskpace.text.bounded import MOST_NESTED, leaves, nested_too_deep
from taskpace.text.safe_text import one_line

T = TypeVar("T")
_canonical = msgspec.json.Encoder(order="sorted").encode

_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<key>.*?)`(?: - at `(?P<path>.*?)`)?$", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<key>.*?)`(?: - at `(?P<path>.*?)`)?$", re.DOTALL)
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
"""What msgspec calls a type, in the words of someone who writes TOML."""
MOST_LETTERS = 500
"""Of the name of a task or a system, which may be the path of a model."""
_MOST_TOML_BYTES = 1_000_000
_PART = r"""(?:(?<![\w-])[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MOST_NESTED}}}")
_MOST_BITS = 4096
"""Of a whole number, whose key shows what range it has: Python writes no number of 4,300 digits into a message."""
_TOO_DEEP = f"lists and tables stand more than {MOST_NESTED} levels deep in one another: flatten them"
_PATH_COLUMNS = 300
_AT_PATH = re.compile(r"(?P<problem>.*?)(?: - at `(?P<path>.*?)`)?$", re.DOTALL)


def named(path: Path) -> str:
    """A path as a message names it: one that no system takes may be of any length."""
    return one_line(str(path), _PATH_COLUMNS)


def read_text(path: Path, error: type[TaskpaceError], *, most_bytes: int = -1, any_line_end: bool = True) -> str:
    """The UTF-8 text of a file.

    Args:
        path: of the file.
        error: raised when none is available, or too much of it.
        most_bytes: that are read; -1: all.
        any_line_end: whether every line end becomes a line feed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1 if most_bytes >= 0 else -1)
    except FileNotFoundError:
        raise error(f"{named(path)}: file not found: check the path") from None
    except IsADirectoryError:
        raise error(f"{named(path)}: this is a folder: name a file in it") from None
    except OSError as exc:
        raise error(f"{named(path)}: cannot be read: {exc.strerror or exc}") from None
    except ValueError as exc:
        raise error(f"{named(path)}: cannot be read: {exc}") from None  # a path with a NUL
    if 0 <= most_bytes < len(content):
        raise error(f"{path}: has more than {most_bytes:,} bytes: shorten it, or put data into a file of their own")
    if is_utf16(content):
        raise error(f"{path}: is UTF-16 text: save the file as UTF-8")
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n") + 1
        raise error(f"{path}: line {line} is not UTF-8 text: save the file as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n") if any_line_end else text


def is_utf16(content: bytes) -> bool:
    """Whether a text begins as Windows PowerShell's ``>`` and Excel's "Unicode text" write it.

    They put a byte order mark first; without one a byte of the first character is 0, as in no UTF-8 text of ours.
    """
    return content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or 0 in content[:2]


def read_toml(path: Path, kind: type[T], error: type[TaskpaceError]) -> T:
    """A TOML file as ``kind``. Raises ``error`` naming the file, the key and the remedy."""
    # Some editors put a byte order mark in front of UTF-8.
    text = read_text(path, error, most_bytes=_MOST_TOML_BYTES).removeprefix("\ufeff")
    # Python's reader takes time that grows with the square of a key's parts, and recurses into lists and tables.
    if long := _LONG_KEY.search(text):
        line = text[: long.start()].count("\n") + 1
        raise error(f"{path}: line {line}: a key of more than {MOST_NESTED} parts: shorten it")
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise error(f"{path}: {_TOO_DEEP}") from None
    except ValueError as exc:  # a TOMLDecodeError, or a whole number that Python does not read
        raise error(f"{path}: not valid TOML: {exc}") from None
    if nested_too_deep(table):
        raise error(f"{path}: {_TOO_DEEP}")
    for key, value in table.items():
        if any(isinstance(leaf, int) and leaf.bit_length() > _MOST_BITS for leaf in leaves(value)):
            raise error(f'{path}: key "{key}": a whole number of more than {_MOST_BITS} bits: give a smaller one')
    return convert(table, kind, error, location=str(path))


def convert(table: Any, kind: type[T], error: type[TaskpaceError], *, location: str) -> T:
    """``table`` as ``kind``; every complaint starts with ``location`` and names the key."""
    try:
        return msgspec.convert(table, kind, strict=True)
    except msgspec.ValidationError as exc:
        raise error(f"{location}: {_explain(str(exc), kind)}") from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean "x"?)`` when one of ``known`` is close, else the whole list when it is short."""
    known = sorted(known)
    return close_to(word, known) or (f" (known: {', '.join(known)})" if 0 < len(known) <= 24 else "")


def close_to(word: str, known: Iterable[str]) -> str:
    """`` (did you mean "x"?)`` when one of ``known`` is close, else nothing."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f' (did you mean "{close[0]}"?)' if close else ""


def _explain(message: str, kind: Any) -> str:
    if found := _UNKNOWN_FIELD.match(message):
        fields = _fields_at(kind, found["path"] or "$")
        return f'{_where(found["path"])}unknown key "{found["key"]}"{did_you_mean(found["key"], fields)}'
    if found := _MISSING_FIELD.match(message):
        return f'{_where(found["path"])}the key "{found["key"]}" is missing: add it'
    found = _AT_PATH.match(message)
    assert found is not None  # noqa: S101 - the pattern matches any text
    problem = re.sub(r"`([^`]+)`", _in_words, found["problem"])
    return f"{_where(found['path'])}{problem[:1].lower()}{problem[1:]}"


def _in_words(kinds: re.Match[str]) -> str:
    """`` `int | null` `` as ``a whole number``."""
    names = [name for name in kinds[1].split(" | ") if name != "null"] or ["null"]
    return " or ".join(_KINDS.get(name, name) for name in names)


def _where(path: str | None) -> str:
    """``$.system[1].temperature`` as a reader counts: ``system 2, key "temperature": ``."""
    if not path or path == "$":
        return ""
    words: list[str] = []
    for name, index in re.findall(r"\.?([^.\[\]$]+)|\[(\d+|\.\.\.)\]", path):
        if name:
            words.append(f'key "{name}"')
        elif index.isdigit() and words:
            words[-1] = f"{words[-1].removeprefix('key ').strip(chr(34))} {int(index) + 1}"
    return f"{', '.join(words)}: " if words else ""


def _fields_at(kind: Any, path: str) -> list[str]:
    """The keys that are allowed where ``path`` points, for a did-you-mean; empty when that is not one struct."""
    here = kind
    for name in re.findall(r"\.([^.\[\]]+)", path):
        here = next((_field_type(struct, name) for struct in _structs(here) if _field_type(struct, name)), None)
    return [field.encode_name for struct in _structs(here) for field in msgspec.structs.fields(struct)]


def _field_type(struct: Any, name: str) -> Any:
    return next((f.type for f in msgspec.structs.fields(struct) if f.encode_name == name), None)


def _structs(kind: Any) -> list[Any]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [struct for part in get_args(kind) for struct in _structs(part)]


def plain(value: Any) -> Any:
    """``value`` as JSON's own types, for hashing and storing."""
    return msgspec.to_builtins(value, str_keys=True)


def canonical_json(value: Any) -> bytes:
    """One byte string for one meaning: sorted keys, no spaces. What content hashes are taken of."""
    return _canonical(value)
