"""Prices as people give them: in an experiment file, on the command line, in a file of prices, from Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from taskpace.errors import TaskpaceError
from taskpace.prices.catalogue import look_up
from taskpace.prices.price import Price
from taskpace.text.strict import convert, did_you_mean, read_toml

Given = str | Price
"""A model of the catalogue, or numbers."""

Prices = Mapping[str, str | Price | Mapping[str, Any]]
"""By system, from Python: a model of the catalogue, or the keys of ``Price``."""

_NUMBER = r"-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_PER_HOUR = re.compile(rf"({_NUMBER})/h")
_PER_MILLION = re.compile(rf"({_NUMBER})/({_NUMBER})(?:/({_NUMBER}))?")
_FILE = ".toml"
_FORMS = "SYSTEM=INPUT/OUTPUT[/CACHED], SYSTEM=PER_HOUR/h, SYSTEM=PROVIDER/MODEL, or a file of prices (.toml)"


def read_price(given: Given, refuse: Callable[[str], TaskpaceError]) -> Price:
    """A price from numbers or from the catalogue; ``refuse`` makes the error, which names its location."""
    return look_up(given, refuse) if isinstance(given, str) else given


def system_prices(
    given: Given | None, table: str, systems: Iterable[str], refuse: Callable[[str], TaskpaceError]
) -> dict[str, Price]:
    """Prices by system of the systems that one table of an experiment file stands for; none without a price.

    Args:
        given: as the file has it.
        table: its name.
        systems: what its sweeps unfold to.
        refuse: makes the error.

    Raises:
        TaskpaceError: it is not a price.
    """
    if given is None:
        return {}
    price = read_price(given, lambda problem: refuse(f'system "{table}", key "price": {problem}'))
    return dict.fromkeys(systems, price)


def prices_from(texts: Iterable[str]) -> dict[str, Price]:
    """Prices by system, from the command line; a later one takes the place of an earlier one.

    Args:
        texts: ``gemma3=0.15/0.60``, ``gemma3=0.15/0.60/0.075``, ``gemma3=2.49/h``, ``gemma3=openai/gpt-4o-mini``, or
            the path of a TOML file.

    Raises:
        TaskpaceError: a text is none of these.
    """
    found: dict[str, Price] = {}
    for text in texts:
        if text.endswith(_FILE):
            found |= _from_file(Path(text))
            continue
        system, equals, given = text.rpartition("=")  # a system of a sweep has such signs in its name
        if not equals or not system or not given:
            raise TaskpaceError(f'--price "{text}": write {_FORMS}')
        refuse = partial(_refuse, f'--price "{text}"')
        try:
            found[system] = _numbers(given) or look_up(given, refuse)
        except ValueError as exc:
            raise refuse(str(exc)) from None
    return found


def prices_of(table: Prices, location: str) -> dict[str, Price]:
    """Prices by system from a table such as ``{"gemma3": "openai/gpt-4o-mini", "own": {"per_hour": 2.49}}``.

    Raises:
        TaskpaceError: a value is not a price; the message starts with ``location``.
    """
    found = convert(table, dict[str, str | Price], TaskpaceError, location=location)
    return {
        system: read_price(given, partial(_refuse, f'{location}: key "{system}"')) for system, given in found.items()
    }


def check_systems(prices: Collection[str], systems: Collection[str]) -> None:
    """Raises ``TaskpaceError`` where a price is of a system that the run does not have."""
    for name in prices:
        if name not in systems:
            raise TaskpaceError(f'--price: unknown system "{name}" in the run{did_you_mean(name, systems)}')


def _from_file(path: Path) -> dict[str, Price]:
    return prices_of(read_toml(path, dict[str, Any], TaskpaceError), str(path))


def _numbers(text: str) -> Price | None:
    if hour := _PER_HOUR.fullmatch(text):
        return Price(per_hour=float(hour[1]))
    if found := _PER_MILLION.fullmatch(text):
        return Price(
            input=float(found[1]), output=float(found[2]), cached_input=None if found[3] is None else float(found[3])
        )
    return None


def _refuse(location: str, problem: str) -> TaskpaceError:
    return TaskpaceError(f"{location}: {problem}")
