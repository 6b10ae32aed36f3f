"""Names for systems without a name of their own: short enough for a table."""

from __future__ import annotations

import hashlib
import re
from typing import Any

_LABEL_LENGTH = 24


def short_name(model: str) -> str:
    """What a table can show of a model reference: the file's stem, or the catalogue name itself."""
    stem = re.split(r"[/\\]", model)[-1]
    return stem.removesuffix(".gguf") or model


def brief(key: str, value: Any) -> str:
    """A swept value in a system's name: short, and yet another for another value."""
    text = " ".join(str(value).split())
    if len(text) <= _LABEL_LENGTH:
        return text
    mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:4]
    return f"{short_name(text)[:_LABEL_LENGTH]}~{mark}" if key == "model" else f"{text[:_LABEL_LENGTH]}~{mark}"
