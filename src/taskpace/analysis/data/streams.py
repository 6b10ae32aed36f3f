"""Whether the arrivals of an answer hold its decode speed, or only how a proxy or a network handed it on.

Tokens per second are a count over a span of time. The span holds them when they came spread over it, however many at
a time (speculative decoding, chunks of several tokens). It does not when nearly all came in one or two arrivals: then
it is the time of a buffer that was emptied, of a socket's delayed acknowledgement, or of nothing.

Arrivals closer together than the others by far are one moment. A turn arrives in a burst when

- far more tokens were counted than there are moments, and one moment has half of them, two have nearly all, or the
  first has so many that most were made before the clock of the span began; or
- its tokens came in no time after a wait that was many times as long: a stream that was replayed.

What an engine in process stamps is where tokens are made: nothing lies between.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

LEAST_TOKENS = 3
"""Of fewer (a letter and the end of sequence) nothing can be said."""
BURST_SHARE = 0.2
"""Of a cell's answers that can be judged, from which on its decode speed is unknown as a whole."""

_TOGETHER_NS = (250_000, 2_000_000)
"""Arrivals at most as far apart are one moment, however close the others are; and farther apart never."""
_TOGETHER_SHARE = 0.1
"""Of the mean distance: between these two, arrivals closer than that are one moment."""
_MOST_IN_FIRST, _MOST_IN_ONE, _MOST_IN_TWO = 0.4, 0.5, 0.85
"""Shares of the tokens. With a share x in the first moment the speed seems 1 / (1 - x) times what it is."""
_NO_TIME = ((250_000, 0.2, 2), (1_000_000, 0.05, 8))
"""Nanoseconds for a token, share of the whole time, and tokens: less than the first two with the last or more."""
_BYTES_PER_TOKEN = 4
"""Roughly, where no tokens are counted."""
_SLICE = 50_000
"""Turns judged at a time, so that the arrivals of a million need not be unpacked at once."""
_ARRIVAL = np.dtype([("ns", "<i8"), ("visible", "<u4"), ("reasoning", "<u4")])

_REPLAYED_ITEMS = 20
_REPLAYED_CORRELATION = 0.95
_REPLAYED_WRITING = 0.25
"""Share of the task time that writing takes at most in a stream that is replayed; its median over the answers."""


def find_bursts(turns: pl.DataFrame) -> pl.DataFrame:
    """For each turn ``judged``, whether arrivals say anything of a stream, and ``burst``, whether they hold no speed.

    Args:
        turns: columns as stored, with the tokens that are believed.
    """
    found = [_judge(part) for part in turns.iter_slices(_SLICE)]
    return pl.concat(found) if found else pl.DataFrame(schema={"judged": pl.Boolean, "burst": pl.Boolean})


def _judge(turns: pl.DataFrame) -> pl.DataFrame:
    arrivals = turns["arrivals"].fill_null(b"")
    counts = (arrivals.bin.size() // _ARRIVAL.itemsize).to_numpy().astype(np.int64)
    looked_at = (counts > 0) & (turns["token_source"].fill_null("") != "engine").to_numpy()
    judged = np.zeros(len(counts), dtype=bool)
    burst = judged.copy()
    if looked_at.any():
        some = turns.filter(pl.Series(looked_at))
        data = np.frombuffer(b"".join(some["arrivals"]), dtype=_ARRIVAL)
        judged[looked_at], burst[looked_at] = _judge_arrivals(data, counts[looked_at], some)
    return pl.DataFrame({"judged": judged, "burst": burst})


Numbers = NDArray[Any]


def _judge_arrivals(data: Numbers, counts: Numbers, turns: pl.DataFrame) -> tuple[Numbers, Numbers]:
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    ends = starts + counts - 1
    turn = np.repeat(np.arange(len(counts)), counts)
    ns, size = data["ns"], data["visible"].astype(np.int64) + data["reasoning"]
    whole = np.maximum(size[ends], 1)
    last = np.fmax(turns["finish_ns"].cast(pl.Float64).to_numpy(), ns[ends])
    span = last - ns[starts]
    after = last - ns[ends]
    total = np.fmax(turns["end_ns"].cast(pl.Float64).to_numpy(), last)
    unseen = pl.when("hidden_reasoning").then("reasoning_tokens").otherwise(0)
    tokens = turns.select((pl.col("output_tokens") - unseen).cast(pl.Float64)).to_series().to_numpy()
    tokens = np.maximum(np.where(np.isnan(tokens), np.maximum(whole / _BYTES_PER_TOKEN, counts), tokens), 1)

    apart = span / np.maximum(counts - 1 + (after > 0), 1)
    together = np.clip(_TOGETHER_SHARE * apart, *_TOGETHER_NS)
    begins = np.diff(ns, prepend=0) > together[turn]
    begins[starts] = True
    first = np.flatnonzero(begins)
    of_turn = turn[first]
    new = np.diff(size, prepend=0)
    new[starts] = size[starts]
    written = np.add.reduceat(new, first)
    at_end = after > together
    moments = np.bincount(of_turn, minlength=len(counts)) + at_end

    # A moment has a token at least, and so have the others.
    most = tokens - moments + 1
    shares = np.clip((tokens - at_end)[of_turn] * written / whole[of_turn], 1, np.maximum(most, 1)[of_turn])
    shares /= tokens[of_turn]
    begin_of_turn = np.flatnonzero(np.diff(of_turn, prepend=-1))
    in_first = shares[begin_of_turn]
    in_one = np.maximum.reduceat(shares, begin_of_turn)
    in_two = in_one + _second(shares, begin_of_turn)
    crowded = tokens > moments + 1
    in_few = crowded & ((in_first > _MOST_IN_FIRST) | (in_one > _MOST_IN_ONE) | (in_two > _MOST_IN_TWO))
    per_token = span / np.maximum(tokens - 1, 1)
    in_no_time = np.logical_or.reduce(
        [(per_token < most_ns) & (span < share * total) & (tokens >= least) for most_ns, share, least in _NO_TIME]
    )
    judged = tokens >= LEAST_TOKENS
    return judged, (judged & in_few) | in_no_time


def _second(values: Numbers, begins: Numbers) -> Numbers:
    """The second greatest value of each group that begins at these indices; 0 in a group of one."""
    group = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(values))))
    order = np.lexsort((values, group))
    ends = np.append(begins[1:], len(values))
    alone = ends - begins < 2
    return np.where(alone, 0.0, values[order][np.maximum(ends - 2, 0)])


def in_bursts(trials: pl.DataFrame) -> bool:
    """Whether the answers of one cell arrive in bursts as a rule, or are replayed once they are complete.

    Args:
        trials: of one cell, one row for each attempt, with ``judged`` and ``burst``.
    """
    judged = trials.filter("judged")
    if not judged.height:
        return False
    return int(judged["burst"].sum()) > BURST_SHARE * judged.height or _replayed(judged)


def _replayed(judged: pl.DataFrame) -> bool:
    """Whether the wait before the first token grows with the answer's own length, as if it held the writing.

    Nothing that happens before the first token knows how long the answer will be but the prompt, whose length is
    allowed for: the partial correlation, over answers whose writing takes a small part of the time.
    """
    known = judged.filter(
        (pl.col("wait_s") > 0) & (pl.col("turns") == 1) & ~pl.col("hidden_reasoning") & (pl.col("task_time_s") > 0)
    )
    if known.height < _REPLAYED_ITEMS:
        return False
    wait, whole = known["wait_s"].to_numpy(), known["task_time_s"].to_numpy()
    written = (known["output_bytes"] + known["reasoning_bytes"]).cast(pl.Float64).to_numpy()
    if np.median(1 - wait / whole) > _REPLAYED_WRITING:
        return False
    prompts = known["prompt_bytes"].cast(pl.Float64).fill_null(0.0).to_numpy()
    base = np.stack([np.ones(len(wait)), prompts]).T
    left = [values - base @ np.linalg.lstsq(base, values, rcond=None)[0] for values in (wait, written)]
    spread = [float(values.std()) for values in left]
    # A spread that is none of the values' own is what rounding left.
    if spread[0] < 0.05 * wait.mean() or spread[1] < 0.05 * written.mean():
        return False
    return float(np.corrcoef(*left)[0, 1]) > _REPLAYED_CORRELATION
