"""Why one system takes longer than another: the causes, in one list for sentences, charts and tables."""

from __future__ import annotations

import math
from typing import NamedTuple

from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.comparison import Comparison
from taskpace.analysis.table.splits import Split
from taskpace.report.words.figures import digits


class Cause(NamedTuple):
    """A part of the difference."""

    name: str
    """Beside a bar."""
    told: str
    """After the seconds, in a sentence."""
    part: Estimate
    """Seconds."""
    rounded: float
    """Seconds, rounded so that all causes add up to the whole."""


class Causes(NamedTuple):
    """The difference and what it is made of."""

    difference: Estimate
    found: tuple[Cause, ...]
    """Those that are known."""
    decimals: int
    """Of ``rounded``, and of the difference."""


def causes(split: Split, output_bytes: Comparison) -> Causes:
    """The parts of a difference in task time.

    Args:
        split: of the pair.
        output_bytes: its verbosity ratio, for the words.
    """
    tokens = split.tokenizer_s.value is not None
    pace = "slower" if (split.decode_s.value or 0) > 0 else "faster"
    listed = (
        ("waiting", "waiting for the first token", split.wait_s),
        ("its text's length", _writes(split, output_bytes), split.verbosity_s),
        ("its tokenizer", "its tokenizer", split.tokenizer_s),
        (
            f"speed per {'token' if tokens else 'byte'}",
            f"because each {'token' if tokens else 'byte'} comes {pace}",
            split.decode_s,
        ),
    )
    whole = split.difference_s.value or 0.0
    known = [(name, told, part, part.value) for name, told, part in listed if part.value is not None]
    values = [value for *_, value in known]
    decimals = _decimals(max(map(abs, (whole, *values))))
    rounded = rounded_to_sum(values, whole, decimals)
    found = (Cause(name, told, part, value) for (name, told, part, _), value in zip(known, rounded, strict=True))
    return Causes(split.difference_s, tuple(found), decimals)


def _writes(split: Split, output_bytes: Comparison) -> str:
    ratio = output_bytes.change.value
    if not ratio or (split.verbosity_s.value or 0.0) * (ratio - 1) < 0:
        # The ratio is of visible text alone: with reasoning, what is written may differ the other way.
        return "the length of what it writes, reasoning included"
    if digits(max(ratio, 1 / ratio), 2) == "1":
        return "the length of its text"
    return f"because it writes {digits(ratio, 2)} times as much"


def why(a: str, b: str, split: Split, output_bytes: Comparison, *, recorded: bool = False, sooner: bool = False) -> str:
    """``B takes 3.1 s longer than A: +4.0 s because it writes 2.6 times as much, ...``; the parts add up.

    Args:
        a: name of one.
        b: name of the other.
        split: of the pair.
        output_bytes: its verbosity ratio, for the words.
        recorded: some answers were cut, so that these are the recorded times and not the full ones.
        sooner: ``a`` is said to finish sooner; means may say otherwise, and then the sentence says so.
    """
    difference, found, decimals = causes(split, output_bytes)
    whole = difference.value or 0.0
    told = [
        f"{cause.rounded:+.{decimals}f} s{' (~)' if may_be_none(cause.part) else ''} {cause.told}"
        for cause in sorted(found, key=lambda cause: -abs(cause.rounded))
        if cause.rounded
    ]
    when = "By the recorded times" if recorded else "On average"
    if not round(whole, decimals):
        return f"{when} {b} takes as long as {a}{': ' if told else ''}{', '.join(told)}."
    longer = "longer" if whole > 0 else "less"
    parts = ", ".join(told) or no_cause(split)
    if sooner and whole < 0:
        when = f"{long_answers(a)}. {when}"
    return f"{when} {b} takes {abs(whole):.{decimals}f} s {longer} than {a}: {parts}."


def long_answers(name: str, where: str = "") -> str:
    """Why a system that finishes sooner takes longer on average; ``where``: on which task, such as `` on qa``."""
    return f"A few long answers of {name}{where} make its mean time greater"


def no_cause(split: Split) -> str:
    """What stands in place of the causes where none is told."""
    return "no cause stands out" if split.parts_known else "why is unknown, as one of them does not show when it wrote"


def may_be_none(part: Estimate) -> bool:
    """Whether the interval has 0 in it."""
    return part.low is not None and part.high is not None and part.low <= 0 <= part.high


def rounded_to_sum(parts: list[float], whole: float, decimals: int) -> list[float]:
    """Parts of ``whole`` rounded so that what is shown adds up: what rounding lost goes to the part that lost most."""
    scale = 10**decimals
    units = [round(part * scale) for part in parts]
    while (missing := round(whole * scale) - sum(units)) and abs(missing) <= len(parts):
        step = 1 if missing > 0 else -1
        most = max(range(len(parts)), key=lambda index: step * (parts[index] * scale - units[index]))
        units[most] += step
    return [unit / scale for unit in units]


def _decimals(greatest: float) -> int:
    """So many that the greatest number has two digits or more."""
    return 0 if greatest >= 100 else max(0, 1 - math.floor(math.log10(greatest))) if greatest > 0 else 0
