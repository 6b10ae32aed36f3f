"""The ranges of the numbers in an experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from taskpace.errors import ExperimentError

MOST = 2**53
"""Of any whole number: what JSON, SQLite and every reader of a run file can hold exactly."""
_MOST_SECONDS = 1e7
Refuse = Callable[[str], ExperimentError]
"""Makes the error, with the place in front."""

_LEAST = {
    "items": 1,
    "max_items": 1,
    "repeats": 1,
    "warmup": 0,
    "max_tokens": 1,
    "seed": -MOST,
    "processes": 1,
    "retries": 0,
}
_MOST_OF = {"processes": 256, "retries": 1000}
"""Of what is started, or waited for, as often as it says; of the others ``MOST``."""
MOST_SYSTEMS = 1000
"""Of an experiment: each is opened in a process of its own."""
MOST_TASKS = 1000
_SECONDS = {"timeout": "time limit", "deadline": "deadline"}


def check_numbers(values: Mapping[str, Any], refuse: Refuse) -> None:
    """See that the numbers among an experiment file's keys are in their range."""
    for key, least in _LEAST.items():
        check_count(key, values.get(key), least, refuse, most=_MOST_OF.get(key, MOST))
    for key, what in _SECONDS.items():
        seconds = values.get(key)
        if seconds is not None and not 0 < seconds <= _MOST_SECONDS:  # a NaN is refused here too
            raise refuse(f'key "{key}": invalid {what} {seconds}: give seconds above 0, {_MOST_SECONDS:g} at most')


def check_count(key: str, value: int | None, least: int, refuse: Refuse, most: int = MOST) -> None:
    """See that a whole number is neither too small nor too large for those who read run files."""
    if value is not None and value < least:
        raise refuse(f'key "{key}": {value} is too small: give {least} or more')
    if value is not None and value > most:
        raise refuse(f'key "{key}": {value} is too large: give {most} or less')
