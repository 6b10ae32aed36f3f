"""Keys and passwords: a known one is written nowhere, and what may be one is not shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

MASK = "***"
_LEAST = 8
"""Characters of a part of a secret that is masked by itself; ``Bearer`` is none."""
_SECRET = frozenset(
    {
        *("authorization", "cookie", "credential", "credentials"),
        *("pass", "passphrase", "passwd", "password", "pwd", "secret"),
    }
)
"""Words of a name whose value is a secret, whatever it looks like."""
_TELLING = _SECRET | frozenset(
    {"auth", "bearer", "jwt", "key", "apikey", "sig", "signature", "token", "accesstoken", "subscriptionkey"}
)
"""Words of ``_SECRET``, and words whose value is a secret only if it looks like one (not that of ``eos_token``)."""
_IN_PARAMETER = re.compile("|".join(sorted(_TELLING)) + "|^code$", re.IGNORECASE)
"""One of them anywhere in the name of a URL's parameter; Azure's functions take their key as ``code``."""
_NAMES_ELSEWHERE = frozenset({"env", "file", "path", "name", "field"})
"""Last words of a name whose value only names the place of the secret."""
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_LIKE_A_KEY = re.compile(r"[\w.+/=~:-]{8,}")
_BY_FORM = re.compile(
    r"(?P<kept>\b(?:Bearer|Basic)\s+)[\w.+/=~-]{8,}"
    r"|\b(?:sk-|hf_|gh[opsu]_|github_pat_|glpat-|xox[abps]-|gsk_|AIza|AKIA|nvapi-|pplx-|r8_)[\w-]{8,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
)
"""Keys that are known by how they begin (OpenAI and others, Hugging Face, GitHub, GitLab, Slack, Groq, Google, AWS,
NVIDIA, Perplexity, Replicate) and JSON Web Tokens (RFC 7519)."""
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s"']+)"""
_ASSIGNED = re.compile(rf"(?P<name>--?[\w-]+)(?P<sign>=|\s+)(?!-){_VALUE}|(?P<variable>\b[A-Za-z_]\w*)={_VALUE}")
_USER = re.compile(r"(//)[^/\s?#]*@|^()[^/\s?#@:]+:[^/\s?#]*@")
_PARAMETER = re.compile(r"([?&#]([^=&#\s]*)=)[^&#\s]*")


class Secrets:
    """Secrets that are known, and are not to be written. Empty values are none.

    Each is masked by as many ``*``, so that a text keeps its length in bytes.
    """

    def __init__(self, values: Iterable[str]) -> None:
        whole = {value for value in values if value}
        parts = {part for value in whole for part in value.split() if len(part) >= _LEAST}
        ordered = sorted(whole | parts, key=len, reverse=True)
        self._text = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        self._bytes = re.compile(self._text.pattern.encode()) if self._text else None

    def masked(self, text: str) -> str:
        """``text`` without them."""
        return text if self._text is None else self._text.sub(_stars, text)

    def masked_bytes(self, data: bytes) -> bytes:
        """UTF-8 ``data`` without the secrets."""
        return data if self._bytes is None else self._bytes.sub(lambda found: b"*" * len(found[0]), data)

    def masked_in(self, value: Any) -> Any:
        """``value`` with every text in its nested tables and lists without the secrets."""
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, dict):
            return {key: self.masked_in(inner) for key, inner in value.items()}
        return [self.masked_in(inner) for inner in value] if isinstance(value, list | tuple) else value


def without_secrets(value: Any, name: str = "") -> Any:
    """Settings with a mask in place of whatever may be a key or a password, by its name or by its form.

    Args:
        value: text, number, or tables and lists of them.
        name: what it is the value of.
    """
    if isinstance(value, dict):
        return {key: without_secrets(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner, name) for inner in value]
    if not isinstance(value, str) or name in _NAMES_ELSEWHERE:
        return value
    if _may_be_secret(name, value):
        return MASK
    return without_passwords(_ASSIGNED.sub(_assigned, _BY_FORM.sub(_kept, value)))


def suspects(value: Any, name: str = "", path: str = "") -> Iterator[str]:
    """Where in settings ``without_secrets`` puts a mask: dotted paths."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from suspects(inner, str(key), f"{path}.{key}" if path else str(key))
    elif without_secrets(value, name) != value:
        yield path


def without_passwords(text: str) -> str:
    """A URL, or what should be one, without user, password and parameters that may be a key."""
    text = _USER.sub(lambda found: f"{found[1] or ''}{MASK}@", text) if "@" in text else text
    return _PARAMETER.sub(lambda found: found[1] + MASK if may_hold_key(found[2]) else found[0], text)


def may_hold_key(parameter: str) -> bool:
    """Whether a URL's parameter may hold a key, by its name. Of the words of settings, here within others, too: who is
    asked to write a parameter elsewhere loses nothing.
    """
    return _IN_PARAMETER.search(parameter) is not None


def _may_be_secret(name: str, value: str) -> bool:
    if _tells(name, _SECRET):
        return bool(value)
    return _tells(name) and _LIKE_A_KEY.fullmatch(value) is not None


def _tells(name: str, words: frozenset[str] = _TELLING) -> bool:
    found = [word.lower() for word in _WORDS.findall(name)]
    return bool(found) and found[-1] not in _NAMES_ELSEWHERE and not words.isdisjoint(found)


def _assigned(found: re.Match[str]) -> str:
    """``--api-key VALUE`` or ``API_KEY=VALUE``, within a command."""
    name, sign = (found["name"], found["sign"]) if found["name"] else (found["variable"], "=")
    return f"{name}{sign}{MASK}" if _tells(name) else found[0]


def _kept(found: re.Match[str]) -> str:
    return (found["kept"] or "") + MASK


def _stars(found: re.Match[str]) -> str:
    return "*" * len(found[0])
