"""Why does B take longer than A? The exact split of the difference in task time.

Every trial's task time is t = w + b k s: seconds of waiting before the first token, bytes written after it, tokens per
byte, seconds per token. s is TPOT, the decode speed that everybody quotes. With the writing time y = t - w, 1 + y / s
tokens had come when the last byte was read (an end-of-sequence token or a hidden stop text comes later and counts
nowhere here), so k = (1 + y / s) / (all bytes), and b = y / (k s) follows.
The additive logarithmic mean Divisia index (LMDI-I) splits the difference of two products without a remainder: factor
x contributes L(y_B, y_A) ln(x_B / x_A), where L(u, v) = (u - v) / ln(u / v) is the logarithmic mean. Sources:
Ang (2005), "The LMDI approach to decomposition analysis: a practical guide", Energy Policy 33; for zeros Ang & Liu
(2007), "Handling zero values in the logarithmic mean Divisia index decomposition approach", Energy Policy 35.
"""

from __future__ import annotations

from functools import cached_property
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.stats.items import as_indices, differences

PARTS = ("wait", "verbosity", "tokenizer", "decode")

LEAST_TEXT_BYTES = 16
"""Of a shorter text the tokens per byte say nothing about the tokenizer: a line break is a token, and so is a word."""

_NEAR = 1e-3
"""A logarithm of a ratio."""


class Side(msgspec.Struct, frozen=True, dict=True):
    """One system's trials, arrays of one length, paired by index with the other side's. NaN where there is no time.

    Or those of several systems, (systems, trials): what each is to all its pairs is worked out once.
    """

    time_s: Floats
    wait_s: Floats
    """Before the first token, summed over turns; all of the time when there was none."""
    written_bytes: Floats
    """Reasoning included."""
    tpot_s: Floats
    """NaN when tokens are unknown, or fewer than two."""

    @cached_property
    def writing_s(self) -> Floats:
        return self.time_s - self.wait_s

    @cached_property
    def unknown(self) -> Flags:
        return np.isnan(self.writing_s)

    @cached_property
    def writes(self) -> Flags:
        """Where there is writing time, and something was written."""
        return (self.writing_s > 0) & (self.written_bytes > 0)

    @cached_property
    def long(self) -> Flags:
        """Where the text is long enough to tell tokens per byte."""
        flags: Flags = self.written_bytes >= LEAST_TEXT_BYTES
        return flags

    @cached_property
    def paced(self) -> Flags:
        """Where TPOT is known."""
        return np.isfinite(self.log_tpot)

    @cached_property
    def plain(self) -> Flags:
        """Of each system, whether every trial is known, paced, and of a text long enough: as a rule all are."""
        return np.asarray(((self.writing_s > 0) & self.long & self.paced).all(axis=-1))

    @cached_property
    def log_writing(self) -> Floats:
        return _log(self.writing_s)

    @cached_property
    def log_written(self) -> Floats:
        return _log(self.written_bytes)

    @cached_property
    def log_tpot(self) -> Floats:
        return _log(self.tpot_s)

    @cached_property
    def log_per_byte(self) -> Floats:
        """Of tokens per byte."""
        with np.errstate(divide="ignore", invalid="ignore"):
            per_byte = (1 + self.writing_s / self.tpot_s) / self.written_bytes
        return _log(per_byte)


def _log(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log(values)
    return found


def split(base: Side, other: Side) -> Floats:
    """``by_cause`` of one pair, trial by trial: (trials, 4)."""
    names = Side.__struct_fields__
    sides = Side(*(np.stack([getattr(base, name), getattr(other, name)]) for name in names))
    return by_cause(sides, [(0, 1)])[:, 0].T


def by_cause(sides: Side, pairs: list[tuple[int, int]]) -> Floats:
    """Seconds by which ``b`` of each pair (a, b) takes longer than ``a``, per cause and trial.

    Returns (4, pairs, trials), in the order of ``PARTS``: of waiting, and of writing (``of_writing``). They sum to the
    difference in task time, to rounding; a trial without a time on one side is NaN.

    Args:
        sides: of several systems, (systems, trials).
        pairs: of their indices.
    """
    parts = np.empty((len(PARTS), len(pairs), sides.time_s.shape[1]))
    differences(sides.wait_s, pairs, parts[0])
    verbosity = of_writing(sides, pairs, into=parts[1:])[0]
    np.copyto(parts[0], np.nan, where=np.isnan(verbosity))
    return parts


def of_writing(
    sides: Side, pairs: list[tuple[int, int]], *, into: Floats | None = None, spare: Floats | None = None
) -> Floats:
    """What writing has of ``by_cause``: (3, pairs, trials), for verbosity, tokenizer and decode speed.

    Three cases have less to compare:

    - A side has no writing time: it wrote nothing, or one token, after which nothing had to be waited for. All of the
      other side's writing time is then verbosity (the limit of the formula as the bytes go to nothing).
    - A side's TPOT is unknown in some trial with writing time. Then seconds per byte are all that is known: the
      decode part has tokenizer and decode speed in one, and the tokenizer part is NaN in every trial.
    - A side wrote fewer than ``LEAST_TEXT_BYTES``: the tokenizer part is 0, and verbosity is counted in tokens.

    Args:
        sides: of several systems, (systems, trials).
        pairs: of their indices.
        into: where to put the parts; null: a new array.
        spare: (pairs, trials), what is worked in; null: a new array.
    """
    # Each array is worked in until its last value stands: to ask for memory takes longer than a step.
    parts = np.empty((len(PARTS) - 1, len(pairs), sides.time_s.shape[1])) if into is None else into
    spare = np.empty(parts.shape[1:]) if spare is None else spare
    verbosity, tokenizer, decode = parts
    a, b = as_indices(pairs)

    def less(values: Floats, out: Floats) -> Floats:
        return differences(values, pairs, out)

    def in_both(flags: Flags) -> Flags:
        return rows_of(flags, a) & rows_of(flags, b)

    # Without the three cases there is nothing to look for trial by trial.
    plain = bool(sides.plain[a].all() and sides.plain[b].all())
    if not plain:
        both = in_both(sides.writes)
        known: Flags = np.asarray((in_both(sides.paced) | ~both).all(axis=1))
        if known.any() and not known.all():
            for alike in (known, ~known):
                parts[:, alike] = of_writing(sides, [pair for pair, own in zip(pairs, alike, strict=True) if own])
            return parts

    writing = less(sides.writing_s, verbosity)
    with np.errstate(invalid="ignore"):
        weight = log_mean(writing, rows_of(sides.writing_s, a), less(sides.log_writing, spare), into=tokenizer)
        if not plain:
            np.copyto(weight, 0.0, where=~both)
        if plain or known.all():
            less(sides.log_tpot, decode)
            per_byte = less(sides.log_per_byte, spare)
            if not plain:
                np.copyto(decode, 0.0, where=~both)
                np.copyto(per_byte, 0.0, where=~(both & in_both(sides.long)))
            decode *= weight
            tokenizer *= per_byte
            verbosity -= tokenizer
            verbosity -= decode
        else:
            by_length = less(sides.log_written, spare)
            by_length *= weight
            by_length = np.where(both, by_length, writing)
            np.subtract(writing, by_length, out=decode)
            verbosity[:] = by_length
            tokenizer[:] = np.nan
    if not plain:
        np.copyto(parts, np.nan, where=rows_of(sides.unknown, a) | rows_of(sides.unknown, b))
    return parts


Rows = TypeVar("Rows", Floats, Flags)


def rows_of(values: Rows, systems: NDArray[np.intp]) -> Rows:
    """The rows of some systems; of one as they are, for long rows come one by one."""
    if len(systems) > 1:
        return values.take(systems, axis=0)
    return values[systems[0] : systems[0] + 1]


def log_mean(difference: Floats, v: Floats, log_ratio: Floats, into: Floats | None = None) -> Floats:
    """The logarithmic mean of positive numbers, (u - v) / ln(u / v), and u where they are equal.

    Args:
        difference: u - v.
        v: the second number of each pair.
        log_ratio: ln(u / v), of which a difference of logarithms has digits enough; its sign is lost.
        into: where to put it, in one piece; null: a new array.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Floats = np.divide(difference, log_ratio, out=into)
        # Near equality the quotient is one of two small numbers; its series loses nothing.
        near = np.flatnonzero(np.abs(log_ratio, out=log_ratio) < _NEAR)
    if len(near):
        beside = v.reshape(-1)[near]
        small = difference.reshape(-1)[near] / beside
        quotient.reshape(-1)[near] = beside * (1 + small / 2 - small**2 / 12 + small**3 / 24 - 19 * small**4 / 720)
    return quotient
