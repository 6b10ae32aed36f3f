"""How the pairs of a task stand that is asked until its ranking is settled; for the live display, too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskpace.experiment.until import PairStanding
from taskpace.text.safe_text import both_ends, column_width, one_line

if TYPE_CHECKING:
    from taskpace.analysis.forecast import Forecast

_MOST = 2
"""Open pairs that are told of one by one."""
_MOST_SHOWN = 3
"""Open pairs that the live display names."""
_LEAST_NAME = 8
"""Columns that a system's name has at least."""


def standing_line(pairs: Sequence[PairStanding]) -> str:
    """One line for a log: what is settled, and the open pair that needs the most items."""
    undecided = _longest_first(pairs)
    done = _count_settled(pairs)
    if not undecided:
        return done
    return (
        f"{done}; {'open' if len(undecided) == 1 else 'longest open'}: {_open(undecided[0], 'or')}{_more(undecided[0])}"
    )


def standing_lines(task: str, pairs: Sequence[PairStanding], width: int) -> list[str]:
    """For the display: what is settled, then a line for each open pair, those that need the most items first.

    ``open: one or two x1.12 (0.98 to 1.27), about 40 more``: the slower one's time over the quicker one's; names are
    shortened, numbers never.
    """
    undecided = _longest_first(pairs)
    beyond = f", {len(undecided) - _MOST_SHOWN} more open" if len(undecided) > _MOST_SHOWN else ""
    lines = [one_line(f"{task}: {_count_settled(pairs)}{beyond}", width)]
    for pair in undecided[:_MOST_SHOWN]:
        quick, slow, ratio, low, high = _turned(pair)
        interval = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
        told = "" if ratio is None else f" x{ratio:.2f}{interval}"
        told += "" if pair.more is None else f", about {_two_digits(pair.more)} more"
        room = max(_LEAST_NAME, (width - column_width(told) - len("open:  or ")) // 2)
        lines.append(one_line(f"open: {both_ends(quick, room)} or {both_ends(slow, room)}{told}", width))
    return lines


def _count_settled(pairs: Sequence[PairStanding]) -> str:
    done = sum(pair.verdict != "open" for pair in pairs)
    return f"settled {done} of {len(pairs)} pairs"


def _longest_first(pairs: Sequence[PairStanding]) -> list[PairStanding]:
    """The open pairs; those whose number of items is unknown first."""
    undecided = [pair for pair in pairs if pair.verdict == "open"]
    return sorted(undecided, key=lambda pair: -math.inf if pair.more is None else -pair.more)


def settled_lines(pairs: Sequence[PairStanding], *, items: int, finished: bool, margin: float | None) -> list[str]:
    """What a summary shows about a table that ends when it is settled.

    Args:
        pairs: every two systems.
        items: asked so far.
        finished: no more is asked, though pairs may be open.
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
    """What a plan shows about how many items it may take; ``scatter``: of log ratios, measured or assumed."""
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
    quick, slow, ratio, low, high = _turned(pair)
    if ratio is None:
        return f"{quick} {joint} {slow}"
    ends = f" ({low:.2f} to {high:.2f})" if low is not None and high is not None else ""
    return f"{quick} {joint} {slow}, {ratio:.2f} times as long{ends}"


def _turned(pair: PairStanding) -> tuple[str, str, float | None, float | None, float | None]:
    """The quicker one, the slower one, the slower one's time over the quicker one's, and its interval."""
    if pair.ratio is None or pair.ratio >= 1:
        return pair.a, pair.b, pair.ratio, pair.low, pair.high
    ratio, low, high = (1 / each if each else None for each in (pair.ratio, pair.high, pair.low))
    return pair.b, pair.a, ratio, low, high


def _more(pair: PairStanding) -> str:
    return "" if pair.more is None else f", about {_two_digits(pair.more)} items more"


def _two_digits(count: int) -> int:
    """Rounded up."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit


def _margin(pair: PairStanding, margin: float | None) -> str:
    """The margin that would have ended it; a wide one shows nothing."""
    if pair.margin is None or pair.margin > 1 or (margin is not None and pair.margin <= margin):
        return ""
    return f", or none with `--margin {math.ceil(100 * pair.margin)}%`"


def percent_of(share: float) -> str:
    return f"{100 * share:g} %"
