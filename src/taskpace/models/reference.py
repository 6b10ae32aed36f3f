"""What a model reference says, before anything is looked up: pure text in, a frozen value out."""

from __future__ import annotations

import re
from typing import TypeAlias

import msgspec

from taskpace.errors import ModelError
from taskpace.text.safe_text import one_line

HUB_FORM = "hf:owner/repo/path/file.gguf or hf:owner/repo@revision/path/file.gguf"
WHEEL_FORM = "pypi:package==version/path/in/wheel"

_PACKAGE = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"[0-9A-Za-z](?:[0-9A-Za-z.!+_-]*[0-9A-Za-z])?"
_HUB_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_WHEEL = re.compile(rf"({_PACKAGE})==({_VERSION})/(.+)")
_HUB = re.compile(rf"({_HUB_NAME}/{_HUB_NAME})(?:@([A-Za-z0-9][A-Za-z0-9._-]*))?/(.+)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Control characters and lone surrogates: neither can be printed in one line, or stored as JSON.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class PathReference(msgspec.Struct, frozen=True):
    """A file on this machine, as written: relative to whatever the caller says."""

    path: str

    def __str__(self) -> str:
        return self.path


class HubReference(msgspec.Struct, frozen=True):
    """A file in a repository on the Hugging Face hub; ``revision`` None is its main branch."""

    repository: str
    file: str
    revision: str | None = None

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.repository}{at}/{self.file}"


class WheelReference(msgspec.Struct, frozen=True):
    """A file inside a Python wheel."""

    package: str
    version: str
    member: str

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"

    @property
    def canonical_package(self) -> str:
        """The package's name as all its spellings compare: lower case, single hyphens."""
        return re.sub(r"[-_.]+", "-", self.package).lower()

    def __str__(self) -> str:
        return f"pypi:{self.requirement}/{self.member}"


class CatalogueReference(msgspec.Struct, frozen=True):
    """A name in the shipped catalogue."""

    name: str

    def __str__(self) -> str:
        return self.name


Reference: TypeAlias = PathReference | HubReference | WheelReference | CatalogueReference


def parse_reference(text: str, names: frozenset[str] = frozenset()) -> Reference:
    """What ``text`` refers to; ``names`` are the catalogue's. ``str()`` of the result is ``text`` again.

    A name of the catalogue wins over a file of the same name, which can still be had as ``./name``.

    Raises ModelError if the text has none of the forms.
    """
    if not text.strip():
        raise ModelError("a model reference is empty: give a path, a catalogue name, hf:... or pypi:...")
    if _UNPRINTABLE.search(text):
        raise ModelError(f"model {one_line(text)!r} holds control characters: write it without them")
    if text in names:
        return CatalogueReference(text)
    if text.startswith("hf:"):
        return _parse_hub(text)
    if text.startswith("pypi:"):
        return _parse_wheel(text)
    if _URL.match(text):
        # The text is not repeated: a URL may carry a password or a signature.
        raise ModelError("a URL is not a model reference: download the file and give its path, or use hf:...")
    return PathReference(text)


def _parse_hub(text: str) -> HubReference:
    match = _HUB.fullmatch(text.removeprefix("hf:"))
    if match is None or not is_safe_member(match[3]) or ".." in match[1] or "--" in match[1]:
        raise ModelError(f"model {one_line(text)!r} is not of the form {HUB_FORM}")
    return HubReference(match[1], match[3], match[2])


def _parse_wheel(text: str) -> WheelReference:
    match = _WHEEL.fullmatch(text.removeprefix("pypi:"))
    if match is None or not is_safe_member(match[3]):
        raise ModelError(f"model {one_line(text)!r} is not of the form {WHEEL_FORM}")
    return WheelReference(match[1], match[2], match[3])


def is_safe_member(member: str) -> bool:
    """Whether a path inside an archive or a repository stays in the folder it is put in, on any system."""
    parts = member.split("/")
    return not (set(member) & set('\\:*?"<>|')) and all(
        part and part.strip(". ") and part == part.strip() for part in parts
    )
