"""Values of foreign JSON, as what they should be or null: a log may hold anything anywhere."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from taskpace.records import MOST_COUNT

MOST_SECONDS = 9_000_000.0
"""104 days: what a run file holds of one time."""


def number(value: Any) -> float | None:
    """A finite number; null for anything else, ``true`` included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def seconds(value: Any) -> float | None:
    """A duration: finite, not negative, and no longer than a run file holds."""
    found = number(value)
    return found if found is not None and 0 <= found <= MOST_SECONDS else None


def count(value: Any) -> int | None:
    """A whole number, not negative."""
    found = number(value)
    return int(found) if found is not None and 0 <= found <= MOST_COUNT and found == int(found) else None


def text(value: Any) -> str | None:
    """Text; null for anything else."""
    return value if isinstance(value, str) else None


def table(value: Any) -> dict[str, Any]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[Any]:
    """A list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def moment_s(value: Any) -> float | None:
    """Seconds since 1970 of an ISO 8601 text; null for anything else."""
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
