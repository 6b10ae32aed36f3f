"""How the pairs of a task stand that is asked until its ranking is settled; for the live display, too."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from taskpace.analysis.table.settled import PathLook, Settled
from taskpace.experiment.until import PairStanding

if TYPE_CHECKING:
    from taskpace.analysis.forecast import Forecast

MEASURED = {"task_time": "task time", "time_per_correct": "time per correct answer"}
"""What ranks the systems, by ``Settled.measure``."""
_MOST = 2
"""Open pairs that are told of one by one."""


def standing_line(pairs: Sequence[PairStanding]) -> str:
    """One line for the display: what is settled, and the open pair that needs the most items."""
    undecided = [pair for pair in pairs if pair.verdict == "open"]
    done = f"settled {len(pairs) - len(undecided)} of {len(pairs)} pairs"
    if not undecided:
        return done
    last = max(undecided, key=lambda pair: math.inf if pair.more is None else pair.more)
    return f"{done}; {'open' if len(undecided) == 1 else 'longest open'}: {_open(last, 'or')}{_more(last)}"


def settled_lines(pairs: Sequence[PairStanding], *, items: int, finished: bool, margin: float | None) -> list[str]:
    """What a summary says of it.

    Args:
        pairs: every two systems.
        items: asked so far.
        finished: nobody is asked more, though pairs may be open.
        margin: within which systems are equivalent; null: no margin.
    """
    undecided = [pair for pair in pairs if pair.verdict == "open"]
    allowed = "Claims and intervals are ones that one may stop by: 5 % error in all, whenever that is."
    if not undecided:
        said = [f"The ranking was settled after {_items(items)}. {allowed}"]
    else:
        so_far = "in all that were asked" if finished else "so far"
        said = [f"The ranking is not settled by {_items(items)} {so_far}. {allowed}"]
    if same := [f"{pair.a} and {pair.b}" for pair in pairs if pair.verdict == "equivalent"]:
        said.append(f"Equivalent within {_percent(margin or 0.0)}: {'; '.join(same)}.")
    told = sorted(undecided, key=lambda pair: math.inf if pair.more is None else pair.more)
    said += [f"Open: {_open(pair, 'or')}{_more(pair)}{_margin(pair, margin)}." for pair in told[:_MOST]]
    if (rest := len(told) - _MOST) > 0:
        said.append(f"{rest} more {'pair is' if rest == 1 else 'pairs are'} open.")
    return said


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
        "open": f"open after {_items(pair.items)}",
        "equivalent": f"equivalent within {_percent(margin or 0.0)}, after {_items(settled_after or 0)}",
    }.get(pair.verdict, f"settled after {_items(settled_after or 0)}")
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


def forecast_line(found: Forecast, ratio: float, scatter: float, *, most: int, measured: bool) -> str:
    """What a plan says of how many items it may take; ``scatter``: of log ratios, measured or assumed."""
    settled = f"{100 * found.settled_share:.0f} % of simulated runs are settled by {_items(most)}"
    return (
        f"Until decided: about {found.items:.0f} items a system, nine of ten within {found.rounds_p90:.0f} rounds; "
        f"{settled} (each system {ratio:g} times as slow as the next, ratios scatter by a factor of "
        f"{math.exp(scatter):.2f}, {'as measured' if measured else 'assumed'})"
    )


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def _open(pair: PairStanding, joint: str) -> str:
    """The quicker first: ``one or two, 1.04 times as long (0.97 to 1.11)``."""
    ratio, low, high = pair.ratio, pair.low, pair.high
    turned = ratio is not None and ratio < 1
    names = (pair.b, pair.a) if turned else (pair.a, pair.b)
    if turned:
        ratio, low, high = (1 / each if each else None for each in (ratio, high, low))
    if ratio is None:
        return f"{names[0]} {joint} {names[1]}"
    ends = f" ({low:.2f} to {high:.2f})" if low is not None and high is not None else ""
    return f"{names[0]} {joint} {names[1]}, {ratio:.2f} times as long{ends}"


def _more(pair: PairStanding) -> str:
    if pair.more is None:
        return ""
    unit: int = 10 ** max(0, len(str(pair.more)) - 2)
    return f", about {-(-pair.more // unit) * unit} items more"


def _margin(pair: PairStanding, margin: float | None) -> str:
    """The margin that would have ended it; a wide one says nothing."""
    if pair.margin is None or pair.margin > 1 or (margin is not None and pair.margin <= margin):
        return ""
    return f", or none with `--margin {math.ceil(100 * pair.margin)}%`"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
