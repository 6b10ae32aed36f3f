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

import msgspec
import numpy as np

from taskpace.analysis.stats.intervals import Floats

PARTS = ("wait", "verbosity", "tokenizer", "decode")

LEAST_TEXT_BYTES = 16
"""Of a shorter text the tokens per byte say nothing about the tokenizer: a line break is a token, and so is a word."""


class Side(msgspec.Struct, frozen=True):
    """One system's trials, arrays of one length, paired by index with the other side's."""

    time_s: Floats
    wait_s: Floats
    """Before the first token, summed over turns; all of the time when there was none."""
    written_bytes: Floats
    """Reasoning included."""
    tpot_s: Floats
    """NaN when tokens are unknown, or fewer than two."""


def split(base: Side, other: Side) -> Floats:
    """Seconds by which ``other`` takes longer, per trial and cause: (trials, 4) in the order of ``PARTS``.

    Each row sums to the difference in task time, to rounding. Three cases have less to compare:

    - A side has no writing time: it wrote nothing, or one token, after which nothing had to be waited for. All of the
      other side's writing time is then verbosity (the limit of the formula as the bytes go to nothing).
    - A side's TPOT is unknown in some trial with writing time. Then seconds per byte are all that is known: the
      decode part has tokenizer and decode speed in one, and the tokenizer part is NaN in every row.
    - A side wrote fewer than ``LEAST_TEXT_BYTES``: the tokenizer part is 0, and verbosity is counted in tokens.
    """
    parts = np.zeros((len(PARTS), len(base.time_s))).T
    parts[:, 0] = other.wait_s - base.wait_s
    before, after = base.time_s - base.wait_s, other.time_s - other.wait_s
    both = (before > 0) & (after > 0) & (base.written_bytes > 0) & (other.written_bytes > 0)
    parts[~both, 1] = (after - before)[~both]

    sides = [msgspec.structs.astuple(side) for side in (base, other)]
    first, second = (Side(*(column[both] for column in side)) for side in sides)
    weight = log_mean(after[both], before[both])
    writing = weight * np.log(after[both] / before[both])
    pace = np.log(second.tpot_s / first.tpot_s)
    per_byte = np.log(_tokens_per_byte(second) / _tokens_per_byte(first))
    if np.isfinite(pace).all():
        enough = (first.written_bytes >= LEAST_TEXT_BYTES) & (second.written_bytes >= LEAST_TEXT_BYTES)
        parts[both, 2] = np.where(enough, weight * per_byte, 0.0)
        parts[both, 3] = weight * pace
        parts[both, 1] = writing - parts[both, 2] - parts[both, 3]
    else:
        parts[:, 2] = np.nan
        parts[both, 1] = weight * np.log(second.written_bytes / first.written_bytes)
        parts[both, 3] = writing - parts[both, 1]
    return parts


def _tokens_per_byte(side: Side) -> Floats:
    return (1 + (side.time_s - side.wait_s) / side.tpot_s) / side.written_bytes


def log_mean(u: Floats, v: Floats) -> Floats:
    """The logarithmic mean of positive numbers, (u - v) / ln(u / v), and u where they are equal."""
    step = (u - v) / v
    with np.errstate(divide="ignore", invalid="ignore"):
        # Far from equality 1 + step has lost digits that u / v still has.
        quotient = (u - v) / np.where(np.abs(step) < 0.5, np.log1p(step), np.log(u / v))
    # Near equality the quotient is one of two small numbers; its series loses nothing.
    series = v * (1 + step / 2 - step**2 / 12 + step**3 / 24)
    return np.where(np.abs(step) < 1e-4, series, quotient)
