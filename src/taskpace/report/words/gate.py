"""What a gate says: whether each condition is met, how well the change is known, and how many more items are needed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from taskpace.analysis.table.settled import Settled
from taskpace.experiment.until import Judged
from taskpace.report.words.commands import with_files

JUDGED_LEGEND = (
    "A line of the gate has the end of its interval that decides: all conditions and tasks share its 5 %. The "
    "intervals of the changes have 5 % each."
)
_HEADS = {"fail": "FAILED", "pass": "passed", "open": "open"}


def judged_line(each: Judged) -> str:
    """``passed: task_time > 5%: mmlu-letter · single · sim: +1.2 % (at most +4.8) after 60 items``."""
    return (
        f"{_HEADS[each.verdict]}: {each.condition}: {each.task} · {each.scenario} · {each.new}: "
        f"{_change(each)} after {counted_items(each.items)}{_more(each)}"
    )


def gate_status(judged: Sequence[Judged]) -> str:
    """One line for the display: the condition that needs the most items."""
    undecided = [each for each in judged if each.verdict == "open"]
    if not undecided:
        return f"judged {len(judged)} of {len(judged)} conditions"
    last = max(undecided, key=lambda each: float("inf") if each.more is None else each.more)
    return (
        f"judged {len(judged) - len(undecided)} of {len(judged)} conditions; open: {last.condition}: {last.new} "
        f"{_change(last)}{_more(last)}"
    )


def gate_line(settled: Sequence[Settled], file: str | None) -> str:
    """What a summary shows about a run that a gate ended, with the command that shows which.

    Args:
        settled: of its tables, one or more.
        file: the run file's name, for the command.
    """
    conditions, base = settled[0].gate, settled[0].gate_base or "BASE"
    items = max(each.items for each in settled)
    told = " and ".join(f'"{each}"' for each in conditions)
    flags = " ".join(f"--fail-if {shlex.quote(each)}" for each in conditions)
    said = (
        f"Asked until a gate could say pass or fail ({told}): {counted_items(items)}. "
        f"`taskpace compare {shlex.quote(base)} RUN {flags}` shows which. "
        "Claims and intervals are ones that one may stop by: 5 % error in all, whenever that is."
    )
    return with_files(said, file)


def open_line(undecided: Sequence[Judged], missing: int) -> str:
    """Why a gate is undecided, in a line: the condition that needs the most items, and about how many."""
    if not undecided:
        return f"the gate is undecided: {missing} task{'s were' if missing > 1 else ' was'} not asked"
    last = max(undecided, key=lambda each: float("inf") if each.more is None else each.more)
    rest = len(undecided) - 1 + missing
    others = f"; {rest} more {'is' if rest == 1 else 'are'} open" if rest else ""
    return (
        f'the gate is undecided: --fail-if "{last.condition}" is open: {last.task} · {last.scenario} · {last.new}: '
        f"{_change(last)} after {counted_items(last.items)}{_more(last)}{others}"
    )


def _change(each: Judged) -> str:
    """``+1.2 % (-2.1 to +4.8)``, with the end alone that decided it."""
    unit = " points" if each.condition.startswith("accuracy") else " %"
    value = "change unknown" if each.change is None else f"{_signed(each.change)}{unit}"
    least, most = (None if end is None else _signed(end) for end in (each.least, each.most))
    below = (each.verdict == "pass") == (">" in each.condition)
    if each.verdict == "open":
        ends = f"{least or 'unknown'} to {most or 'unknown'}" if least or most else ""
    else:
        end = most if below else least
        ends = f"at {'most' if below else 'least'} {end}" if end else ""
    on_most = ", median of the items" if each.on_most and each.change is not None else ""
    return f"{value}{f' ({ends})' if ends else ''}{on_most}"


def _signed(share: float) -> str:
    """Near a limit of a few per cent the second decimal matters."""
    return f"{100 * share:+z.{0 if abs(share) >= 0.2 else 1 if abs(share) >= 0.1 else 2}f}"


def _more(each: Judged) -> str:
    if each.verdict != "open":
        return ""
    if each.more is None:
        return ", the number of further items needed is unknown"
    unit: int = 10 ** max(0, len(str(each.more)) - 2)
    return f", about {-(-each.more // unit) * unit} more items are needed"


def counted_items(count: int) -> str:
    """``1 item``, ``2 items``."""
    return "1 item" if count == 1 else f"{count} items"
