"""Prices of the models that providers sell, from the catalogue in the package ``genai-prices``; no network is used."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Any

from taskpace.errors import MissingExtraError, TaskpaceError
from taskpace.prices.price import Price

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

_PACKAGE = "genai-prices"
_EXTRA = "prices"
_MOST_NEAR = 3
_COUNTED = frozenset({"input_mtok", "output_mtok", "cache_read_mtok"})
_NOT_USED = ("cache_write", "input_audio", "input_image", "input_video", "output_audio", "output_image", "output_video")
"""What taskpace asks for nothing of: it sends text and reads text, and asks no provider to write a cache."""
_NOT_ASKED = frozenset(
    {"cache_audio_read_mtok", "cache_image_read_mtok", "web_searches_kcount", "storage_searches_kcount"}
)


def look_up(name: str, refuse: Callable[[str], TaskpaceError], *, day: dt.date | None = None) -> Price:
    """The standard price of a model, without batch or priority service.

    Args:
        name: ``provider/model``, as the catalogue or the provider's API calls it.
        refuse: makes the error.
        day: whose price; null: today's.

    Raises:
        MissingExtraError: the catalogue is not installed.
        TaskpaceError: there is no such model, or its price is of a kind that taskpace does not count.
    """
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        if "/" not in name:
            raise refuse(_no_price(name)) from None
        raise MissingExtraError(f'the price "{name}"', _PACKAGE, _EXTRA) from None
    day = day or dt.datetime.now(dt.UTC).date()
    provider, model = _found(name, get_snapshot().providers, refuse)
    prices, *others = (model.get_prices(moment) for moment in _moments(day))
    if any(other != prices for other in others):
        raise refuse(f'the price of "{name}" changes with the time of day: {_BY_HAND}')
    given = {key: value for key, value in vars(prices).items() if value is not None}
    for key in given:
        if key not in _COUNTED | _NOT_ASKED and not key.startswith(_NOT_USED):
            raise refuse(f'the price of "{name}" has a part that taskpace does not count ({key}): {_BY_HAND}')
    if not {"input_mtok", "output_mtok"} <= given.keys():
        raise refuse(f'the catalogue has no price of "{name}" for input and output tokens: {_BY_HAND}')
    starts = [tier.start for value in given.values() if hasattr(value, "tiers") for tier in value.tiers]
    cached = given.get("cache_read_mtok")
    return Price(
        input=_usd(given["input_mtok"]),
        output=_usd(given["output_mtok"]),
        cached_input=None if cached is None else _usd(cached),
        most_prompt_tokens=min(starts, default=None),
        source=f"{_PACKAGE} {metadata.version(_PACKAGE)}: {provider.id}/{model.id}",
        date=day.isoformat(),
    )


_BY_HAND = "write it as numbers, { input = ..., output = ... } in US dollars per million tokens"


def _moments(day: dt.date) -> list[dt.datetime]:
    """Every quarter of an hour of a day."""
    start = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
    return [start + dt.timedelta(minutes=15 * quarter) for quarter in range(96)]


def _usd(value: Any) -> float:
    """Of a price in tiers the first, which holds up to the start of the second."""
    return float(getattr(value, "base", value))


def _found(name: str, providers: list[Provider], refuse: Callable[[str], TaskpaceError]) -> tuple[Provider, ModelInfo]:
    wanted, slash, model_name = name.lower().partition("/")
    by_id = {each.id: each for each in providers}
    if not slash or not model_name:
        raise refuse(_no_price(name, _near(name, _names(providers))))
    if wanted not in by_id:
        raise refuse(f'the catalogue has no provider "{wanted}"{_near(wanted, list(by_id))}')
    provider = by_id[wanted]
    # Its own id first: the patterns are made for what an API calls a model, and not every id matches its own.
    exact = (each for each in provider.models if each.id.lower() == model_name)
    model = next(exact, None) or provider.find_model(model_name, all_providers=providers)
    if model is None:
        raise refuse(f'the catalogue has no model "{name}"{_near(name.lower(), _names([provider]))}')
    return provider, model


def _no_price(name: str, near: str = "") -> str:
    return f'invalid price "{name}": name a model as provider/model{near}, or give numbers'


def _names(providers: list[Provider]) -> list[str]:
    return [f"{provider.id}/{model.id}" for provider in providers for model in provider.models]


def _near(name: str, known: list[str]) -> str:
    """The names that come closest, for a did-you-mean."""
    bare = {each.partition("/")[2] or each: each for each in known} if "/" not in name else {}
    found = difflib.get_close_matches(name, [*known, *bare], n=_MOST_NEAR, cutoff=0.5)
    near = list(dict.fromkeys(bare.get(each, each) for each in found))
    return f" (nearest: {', '.join(near)})" if near else ""
