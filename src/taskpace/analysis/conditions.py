"""``--fail-if``: conditions on a change, as they are written, and whether a comparison meets them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.comparison import Comparison
from taskpace.errors import TaskpaceError
from taskpace.text.strict import did_you_mean

Measure = Literal["task_time", "time_per_correct", "cost_per_correct", "tokens_per_s", "output_bytes", "accuracy"]
_MEASURES: tuple[Measure, ...] = get_args(Measure)
DECIDED: tuple[Measure, ...] = ("task_time", "time_per_correct", "accuracy")
"""What a gate can be decided by while a run goes on: of each trial its seconds and its outcome are looked at."""
_LEAST_CHANGE = -1 + 1e-9
"""Nothing takes less than no time."""
_CONDITION = re.compile(r"\s*(\w+)\s*([<>])\s*([+-]?\d+(?:\.\d+)?)\s*%\s*")


class Condition(msgspec.Struct, frozen=True):
    """When a comparison fails: ``task_time > 5%``, ``accuracy < -3%``."""

    measure: Measure
    above: bool
    limit: float
    """A relative change, 0.05 for 5 %; for accuracy a difference of shares (percentage points)."""
    text: str

    @property
    def bound(self) -> float:
        """The limit on the scale on which changes are judged: the logarithm of a ratio; of accuracy itself."""
        if self.measure == "accuracy":
            return self.limit
        return math.log1p(max(self.limit, _LEAST_CHANGE))

    def is_met(self, comparison: Comparison) -> bool:
        """The change is claimed and larger than the limit; of a bound all that is certain counts."""
        change = relative_change(self.measure, comparison.change)
        if change is None or comparison.lower != ("a" if self.above else "b"):
            return False
        if comparison.change.bound == ("<=" if self.above else ">="):
            # A claim without a number on its side: most items moved this way, by how much is unknown.
            return False
        return change > self.limit if self.above else change < self.limit


def relative_change(measure: Measure, change: Estimate) -> float | None:
    """0.05 for 5 % more; for accuracy the difference of shares."""
    if change.value is None:
        return None
    return change.value if measure == "accuracy" else change.value - 1


def parse_condition(text: str) -> Condition:
    """Read ``MEASURE > N%`` or ``MEASURE < -N%``.

    Raises:
        TaskpaceError: it is not a condition.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise TaskpaceError(f'--fail-if "{text}": write a measure, > or <, and per cent: "task_time > 5%"')
    name, sign, percent = match.groups()
    measure = next((known for known in _MEASURES if known == name), None)
    if measure is None:
        raise TaskpaceError(
            f'--fail-if "{text}": unknown measure "{name}"{did_you_mean(name, _MEASURES)}: {", ".join(_MEASURES)}'
        )
    limit = float(percent) / 100
    if (sign == ">") != (limit >= 0) and limit != 0:
        raise TaskpaceError(
            f'--fail-if "{text}": a limit for more has no minus, one for less has: "{name} {sign} '
            f'{"-" if sign == "<" else ""}{abs(float(percent)):g}%"'
        )
    return Condition(measure=measure, above=sign == ">", limit=limit, text=text.strip())


def check_decidable(conditions: Sequence[Condition]) -> None:
    """Raises ``TaskpaceError`` where one is on what a run with a gate does not look at while it goes on."""
    for condition in conditions:
        if condition.measure not in DECIDED:
            raise TaskpaceError(
                f'--fail-if "{condition.text}": a run that ends when its gate can say is judged by '
                f"{', '.join(DECIDED[:-1])} or {DECIDED[-1]}: leave it out, or run all items with `taskpace run` and "
                "compare the two files"
            )
