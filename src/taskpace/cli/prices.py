"""The option that gives systems a price, shared by what reads a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from taskpace.prices.price import Price
    from taskpace.store.store import Store

_HELP = (
    "Price of a system, in US dollars: SYSTEM=IN/OUT[/CACHED] per million tokens, SYSTEM=N/h for a machine, "
    "SYSTEM=PROVIDER/MODEL of the catalogue, or a file (.toml) of prices; repeat for more."
)


def price_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--price`` as the argument ``prices``, a tuple of texts."""
    return click.option("--price", "prices", multiple=True, metavar="SYSTEM=PRICE", help=_HELP)(command)


def prices_by_run(texts: tuple[str, ...], stores: Sequence[Store]) -> list[dict[str, Price]]:
    """The prices of each run's systems.

    Raises:
        TaskpaceError: a text gives no price, or is of a system that none of the runs has.
    """
    from taskpace.prices.given import check_systems, prices_from
    from taskpace.store import queries

    prices = prices_from(texts)
    names = [[system.name for system in queries.systems(store)] for store in stores]
    check_systems(prices, list(dict.fromkeys(name for own in names for name in own)))
    return [{name: prices[name] for name in own if name in prices} for own in names]
