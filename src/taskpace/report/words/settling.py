"""How pairs came to where they stand: what the chart and the terminal show of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from taskpace.analysis.table.settled import PathLook, Settled
from taskpace.experiment.until import PairStanding
from taskpace.report.words.settled import counted, percent_of

MEASURED = {"task_time": "task time", "time_per_correct": "time per correct answer"}
"""What ranks the systems, by ``Settled.measure``."""


class PathShown(msgspec.Struct, frozen=True, kw_only=True):
    """How a pair came to where it stands, the quicker system first."""

    quick: str
    slow: str
    looks: tuple[PathLook, ...]
    """Of the slow one's seconds over the quick one's."""
    settled_after: int | None
    joint: str
    """``before`` where the quick one is known to be sooner, else ``and``."""
    verdict: str
    """``settled after 23 items``."""

    def pair(self, name: Callable[[str], str]) -> str:
        """``one before two``; ``name``: writes a system's."""
        return f"{name(self.quick)} {self.joint} {name(self.slow)}"


def paths_shown(found: Settled) -> list[PathShown]:
    """Of every pair, in the order in which they were settled; those that are open last."""
    paths = [_path(pair, path.looks, path.settled_after, found.margin)
             for pair, path in zip(found.pairs, found.paths, strict=True)]  # fmt: skip
    return sorted(paths, key=lambda path: math.inf if path.settled_after is None else path.settled_after)


def _path(
    pair: PairStanding, looks: tuple[PathLook, ...], settled_after: int | None, margin: float | None
) -> PathShown:
    turned = pair.verdict == "b" if pair.verdict in ("a", "b") else pair.ratio is not None and pair.ratio < 1
    quick, slow = (pair.b, pair.a) if turned else (pair.a, pair.b)
    verdict = {
        "open": f"open after {counted(pair.items)}",
        "equivalent": f"equivalent within {percent_of(margin or 0.0)}, after {counted(settled_after or 0)}",
    }.get(pair.verdict, f"settled after {counted(settled_after or 0)}")
    return PathShown(
        quick=quick,
        slow=slow,
        looks=tuple(map(_inverse, looks)) if turned else looks,
        settled_after=settled_after,
        joint="before" if pair.verdict in ("a", "b") else "and",
        verdict=verdict,
    )


def _inverse(look: PathLook) -> PathLook:
    ratio, low, high = (1 / each if each else None for each in (look.ratio, look.high, look.low))
    return PathLook(look.items, ratio, low, high)
