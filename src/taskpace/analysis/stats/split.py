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

import msgspec
import numpy as np

from taskpace.analysis.stats.intervals import Flags, Floats

PARTS = ("wait", "verbosity", "tokenizer", "decode")

LEAST_TEXT_BYTES = 16
"""Of a shorter text the tokens per byte say nothing about the tokenizer: a line break is a token, and so is a word."""


class Side(msgspec.Struct, frozen=True, dict=True):
    """One system's trials, arrays of one length, paired by index with the other side's. NaN where there is no time."""

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
    def writes(self) -> Flags:
        """Where there is writing time, and something was written."""
        return (self.writing_s > 0) & (self.written_bytes > 0)

    @cached_property
    def logs(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Of writing time, bytes, TPOT and tokens per byte; made once for all pairs that the side is in."""
        with np.errstate(divide="ignore", invalid="ignore"):
            per_byte = (1 + self.writing_s / self.tpot_s) / self.written_bytes
            writing, written, tpot, tokens = (
                np.log(each) for each in (self.writing_s, self.written_bytes, self.tpot_s, per_byte)
            )
        return writing, written, tpot, tokens


def split(base: Side, other: Side) -> Floats:
    """Seconds by which ``other`` takes longer, per trial and cause: (trials, 4) in the order of ``PARTS``.

    Each row sums to the difference in task time, to rounding; a trial without a time on one side is NaN. Three cases
    have less to compare:

    - A side has no writing time: it wrote nothing, or one token, after which nothing had to be waited for. All of the
      other side's writing time is then verbosity (the limit of the formula as the bytes go to nothing).
    - A side's TPOT is unknown in some trial with writing time. Then seconds per byte are all that is known: the
      decode part has tokenizer and decode speed in one, and the tokenizer part is NaN in every row.
    - A side wrote fewer than ``LEAST_TEXT_BYTES``: the tokenizer part is 0, and verbosity is counted in tokens.
    """
    parts = np.empty((len(PARTS), len(base.time_s))).T
    parts[:, 0] = other.wait_s - base.wait_s
    writing = other.writing_s - base.writing_s
    both = base.writes & other.writes
    with np.errstate(invalid="ignore"):
        ratio, bytes_ratio, pace, per_byte = (b - a for a, b in zip(base.logs, other.logs, strict=True))
        weight = np.where(both, log_mean(other.writing_s, base.writing_s, ratio), 0.0)
    if np.isfinite(pace[both]).all():
        enough = np.minimum(base.written_bytes, other.written_bytes) >= LEAST_TEXT_BYTES
        parts[:, 2] = weight * np.where(both & enough, per_byte, 0.0)
        parts[:, 3] = weight * np.where(both, pace, 0.0)
        parts[:, 1] = writing - parts[:, 2] - parts[:, 3]
    else:
        parts[:, 2] = np.nan
        parts[:, 1] = np.where(both, weight * np.where(both, bytes_ratio, 0.0), writing)
        parts[:, 3] = writing - parts[:, 1]
    if (unknown := np.isnan(writing)).any():
        parts[unknown] = np.nan
    return parts


def log_mean(u: Floats, v: Floats, log_ratio: Floats) -> Floats:
    """The logarithmic mean of positive numbers, (u - v) / ln(u / v), and u where they are equal.

    ``log_ratio``: ln(u / v), of which a difference of logarithms has digits enough.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        step = (u - v) / v
        quotient = (u - v) / log_ratio
        # Near equality the quotient is one of two small numbers; its series loses nothing.
        near = np.abs(step) < 1e-3
    small = step[near]
    quotient[near] = v[near] * (1 + small / 2 - small**2 / 12 + small**3 / 24 - 19 * small**4 / 720)
    return quotient
