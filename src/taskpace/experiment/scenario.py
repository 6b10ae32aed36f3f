"""Scenarios, how requests are issued, by the names that experiments and run files give them."""

from __future__ import annotations

import re

import msgspec

from taskpace.errors import ExperimentError
from taskpace.text.strict import did_you_mean

_SCENARIOS = ("single", "batch", "concurrency", "rate")
MOST_IN_FLIGHT = 4096
_LEAST_RATE, _MOST_RATE = 1e-4, 1e5
"""Arrivals per second: from one in three hours to more than one process can send."""
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?|\.[0-9]+", re.IGNORECASE)


_UNKNOWN = "load unknown"


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are issued: a closed loop of so many in flight, or an open loop of so many arrivals a second."""

    concurrency: int = 1
    """In flight; 1 is ``single``, one at a time. Of an open loop: 1, for its warm-up."""
    rate: float | None = None
    """Poisson arrivals per second, however many are in flight; null: a closed loop."""
    batch: int | None = None
    """Static batches of so many, one after the other, as in the paper; null: none. Then nothing else is in flight."""
    known: bool = True
    """False: of an imported log that does not say how its requests were issued; no run is made so."""

    @property
    def one_at_a_time(self) -> bool:
        return self.concurrency == 1 and self.rate is None and self.known

    @property
    def name(self) -> str:
        if not self.known:
            return _UNKNOWN
        if self.batch is not None:
            return f"batch={self.batch}"
        if self.rate is not None:
            return f"rate={self.rate:.10g}"
        return "single" if self.one_at_a_time else f"concurrency={self.concurrency}"


class ScenarioSweep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several scenarios of one kind: more and more load."""

    batch: list[int] = []
    concurrency: list[int] = []
    rate: list[float] = []


def read_scenarios(given: str | ScenarioSweep, location: str) -> list[Scenario]:
    """All that one entry of an experiment's ``scenarios`` stands for. Raises ``ExperimentError``."""
    if isinstance(given, str):
        word, equals, numbers = given.partition("=")
        return [read_scenario(f"{word}{equals}{number}", location) for number in numbers.split(",")]
    texts = [f"{word}={value}" for word in ("batch", "concurrency", "rate") for value in getattr(given, word)]
    if not texts:
        raise ExperimentError(
            f'{location}: key "scenarios": a table there needs a list: write {{ concurrency = [1, 2, 4] }} or '
            "{ rate = [0.5, 1, 2] }"
        )
    return [read_scenario(text, location) for text in texts]


def recorded_scenario(name: str) -> Scenario:
    """A scenario by the name that a run file has for it. Raises ``ExperimentError``."""
    return Scenario(known=False) if name == _UNKNOWN else read_scenario(name, "run file")


def read_scenario(text: str, location: str) -> Scenario:
    """One scenario by its name.

    Raises:
        ExperimentError: it is none; the message shows which forms there are.
    """
    word, _, number = (part.strip() for part in text.partition("="))
    if word == "single" and not number:
        return Scenario()
    if word == "concurrency" and number.isascii() and number.isdigit() and 1 <= int(number) <= MOST_IN_FLIGHT:
        return Scenario(concurrency=int(number))
    if word == "batch" and number.isascii() and number.isdigit() and 1 <= int(number) <= MOST_IN_FLIGHT:
        return Scenario(batch=int(number))
    if word == "rate" and _NUMBER.fullmatch(number) and _LEAST_RATE <= float(number) <= _MOST_RATE:
        return Scenario(rate=float(number))
    hint = did_you_mean(word, _SCENARIOS) if word not in _SCENARIOS else ""
    raise ExperimentError(
        f'{location}: key "scenarios": unknown scenario "{text}"{hint}: write "single", "concurrency=N" or "batch=N" '
        f'(N from 1 to {MOST_IN_FLIGHT}), or "rate=R" (R arrivals per second, {_LEAST_RATE:g} to {_MOST_RATE:g})'
    )
