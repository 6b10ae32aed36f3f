"""How the pairs of a task stand that is asked until its ranking is settled; for the live display, too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskpace.experiment.until import PairStanding

if TYPE_CHECKING:
    from taskpace.analysis.forecast import Forecast

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
        said = [f"The ranking was settled after {counted(items)}. {allowed}"]
    else:
        so_far = "in all that were asked" if finished else "so far"
        said = [f"The ranking is not settled by {counted(items)} {so_far}. {allowed}"]
    if same := [f"{pair.a} and {pair.b}" for pair in pairs if pair.verdict == "equivalent"]:
        said.append(f"Equivalent within {percent_of(margin or 0.0)}: {'; '.join(same)}.")
    told = sorted(undecided, key=lambda pair: math.inf if pair.more is None else pair.more)
    said += [f"Open: {_open(pair, 'or')}{_more(pair)}{_margin(pair, margin)}." for pair in told[:_MOST]]
    if (rest := len(told) - _MOST) > 0:
        said.append(f"{rest} more {'pair is' if rest == 1 else 'pairs are'} open.")
    return said


def forecast_line(found: Forecast, ratio: float, scatter: float, *, most: int, measured: bool) -> str:
    """What a plan says of how many items it may take; ``scatter``: of log ratios, measured or assumed."""
    settled = f"{100 * found.settled_share:.0f} % of simulated runs are settled by {counted(most)}"
    return (
        f"Until decided: about {found.items:.0f} items a system, nine of ten within {found.rounds_p90:.0f} rounds; "
        f"{settled} (each system {ratio:g} times as slow as the next, ratios scatter by a factor of "
        f"{math.exp(scatter):.2f}, {'as measured' if measured else 'assumed'})"
    )


def counted(count: int) -> str:
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


def percent_of(share: float) -> str:
    return f"{100 * share:g} %"
