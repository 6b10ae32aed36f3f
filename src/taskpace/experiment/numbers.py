"""The ranges of the numbers in an experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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


def check_options(options: Any, name: str, refuse: Refuse) -> None:
    """See that a system's options have no whole number beyond 63 bits, which can be neither stored nor sent."""
    if isinstance(options, dict | list):
        for value in options.values() if isinstance(options, dict) else options:
            check_options(value, name, refuse)
    elif isinstance(options, int) and abs(options) > MOST:
        raise refuse(f'system "{name}", key "options": {options} is too large: give {MOST} or less')


def most_resources(wanted: Iterable[Mapping[str, float]], refuse: Refuse) -> dict[str, float]:
    """Of each resource of a cluster's nodes the most that anybody wants."""
    found: dict[str, float] = {}
    for each in wanted:
        for name, amount in each.items():
            if not 0 <= amount <= MOST or (amount > 1 and amount != int(amount)):  # a NaN is refused here too
                raise refuse(
                    f'key "resources": {name} = {amount:g} cannot be reserved: give a whole number, or a part of one'
                )
            found[name] = max(found.get(name, 0.0), float(amount))
    return found
