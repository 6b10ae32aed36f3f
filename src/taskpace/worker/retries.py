"""Which failures pass by themselves, and how long to wait before the next attempt. Off unless an experiment asks."""

from __future__ import annotations

from taskpace.engines.base import NO_CONNECTION
from taskpace.records import Record

_PASSING = frozenset({"http-408", "http-429", "http-500", "http-502", "http-503", "http-504", "closed", "reset", "cut"})
_FIRST_S = 0.5
LONGEST_S = 60.0


def may_pass(record: Record) -> bool:
    """Whether the next attempt may end otherwise: an overloaded server, a lost connection; not a wrong request."""
    failure = record.failure
    if failure is None or failure.refusal is not None:  # a quota that is used up is not a passing rate limit
        return False
    return failure.kind in _PASSING or failure.kind.startswith(NO_CONNECTION)


def wait_s(record: Record) -> float:
    """What the server asks for (``Retry-After``), else twice as long after each attempt; a minute at most."""
    asked = None if record.failure is None else record.failure.retry_after_s
    return min(LONGEST_S, _FIRST_S * 2 ** (record.attempt - 1) if asked is None else asked)
