"""Whether the arrivals of an answer hold its decode speed, or only how a proxy or a network handed it on.

Tokens per second are a count over a span of time. The span holds them when they came spread over it, however many at
a time (speculative decoding, chunks of several tokens). It does not when nearly all came in one or two arrivals: then
it is the time of a buffer that was emptied, of a socket's delayed acknowledgement, or of nothing.

Arrivals closer together than the others by far are one moment. A turn arrives in a burst when

- far more tokens were counted than there are moments, and one moment has half of them, two have nearly all, or the
  first has so many that most were made before the clock of the span began; or
- its tokens came in no time after a wait that was many times as long, faster than any server writes, or many of them
  in few moments: a stream that was replayed. A fast server's tokens come in as little time, but spread over it.

An answer none of whose moments has more tokens than one step of speculative decoding may have shows nothing about the
stream: in a burst or not, it is too short. Its own speed is unknown; the cell's is not, unless nearly all come at once.

What an engine in process stamps is where tokens are made: nothing lies between.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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
_NO_TIME = ((250_000, 0.2), (1_000_000, 0.05))
"""Nanoseconds for a token and share of the whole time: less than both. Servers write 3,000 tokens a second (Cerebras),
so the second says something only of many tokens in few moments."""
_LEAST_IN_NO_TIME = 2
_FEW_MOMENTS = 4
_STEP_TOKENS = 10
"""In one moment at most, of speculative decoding: drafts of up to 8 tokens, whose number follows from their bytes."""
_LEAST_AT_ONCE, _AT_ONCE_SHARE = 8, 0.9
"""Short answers, and the share of a cell's, from which on those that came whole in one moment are a buffer's work."""
_BYTES_PER_TOKEN = 4
"""Roughly, where no tokens are counted."""
_FOUND = ("judged", "burst", "short", "at_once")
_ARRIVAL = np.dtype([("ns", "<i8"), ("visible", "<u4"), ("reasoning", "<u4")])

_REPLAYED_ITEMS = 20
_REPLAYED_CORRELATION = 0.95
_REPLAYED_WRITING = 0.25
"""Share of the task time that writing takes at most in a stream that is replayed; its median over the answers."""


def find_bursts(turns: pl.DataFrame) -> pl.DataFrame:
    """For each turn whether its arrivals say anything of the stream (``judged``), hold no speed (``burst``), hold none
    and are too few to say anything (``short``), and are one moment (``at_once``).

    Args:
        turns: columns as stored, with the tokens that are believed; a batch, as all their arrivals are unpacked.
    """
    arrivals = turns["arrivals"].fill_null(b"")
    counts = (arrivals.bin.size() // _ARRIVAL.itemsize).to_numpy().astype(np.int64)
    looked_at = (counts > 0) & (turns["token_source"].fill_null("") != "engine").to_numpy()
    # One arrival without a byte says when the first token came, as logs of other tools do, and nothing of the others.
    looked_at &= ~((counts == 1) & (arrivals.bin.slice(8) == pl.Series([bytes(8)])).to_numpy())
    found = {name: np.zeros(len(counts), dtype=bool) for name in _FOUND}
    if looked_at.any():
        some = turns.filter(pl.Series(looked_at))
        data = np.frombuffer(b"".join(some["arrivals"]), dtype=_ARRIVAL)
        for name, values in zip(_FOUND, _judge_arrivals(data, counts[looked_at], some), strict=True):
            found[name][looked_at] = values
    return pl.DataFrame(found)


Numbers = NDArray[Any]


def _judge_arrivals(data: Numbers, counts: Numbers, turns: pl.DataFrame) -> tuple[Numbers, ...]:
    """What is found, in the order of ``_FOUND``, of turns with so many arrivals of ``data`` each, at least one."""
    ends = np.cumsum(counts) - 1
    starts = ends - counts + 1
    size = data["visible"].astype(np.int64) + data["reasoning"]
    last = np.fmax(turns["finish_ns"].cast(pl.Float64).to_numpy(), data["ns"][ends])
    span = last - data["ns"][starts]
    whole = np.fmax(turns["end_ns"].cast(pl.Float64).to_numpy(), last)
    unseen = pl.when("hidden_reasoning").then("reasoning_tokens").otherwise(0)
    tokens = turns.select((pl.col("output_tokens") - unseen).cast(pl.Float64)).to_series().to_numpy()
    tokens = np.where(np.isnan(tokens), np.maximum(size[ends] / _BYTES_PER_TOKEN, counts), tokens)
    tokens = np.maximum(tokens, 1)

    enough = tokens >= LEAST_TOKENS
    moments = _find_moments(data["ns"], size, starts, last, tokens)
    per_token, share = span / np.maximum(tokens - 1, 1), span / np.maximum(whole, 1)
    no_time, little_time = [(per_token < most_ns) & (share < most) for most_ns, most in _NO_TIME]
    little_time &= (moments.number <= _FEW_MOMENTS) & (tokens > _STEP_TOKENS * moments.number)
    burst = (enough & moments.few) | (no_time & (tokens >= _LEAST_IN_NO_TIME)) | little_time
    short = enough & burst & (moments.most <= _STEP_TOKENS)
    return enough & ~short, burst, short, enough & (moments.number == 1)


class _Moments(NamedTuple):
    """Of each turn."""

    number: Numbers
    most: Numbers
    """Tokens in the greatest."""
    few: Numbers
    """Whether most of its tokens came in one or two moments, or before the first."""


def _find_moments(ns: Numbers, size: Numbers, starts: Numbers, last: Numbers, tokens: Numbers) -> _Moments:
    """The moments of each turn.

    Args:
        ns: of all arrivals.
        size: bytes of the answer so far, at each of them.
        starts: index of each turn's first arrival.
        last: when each turn's last token was there, the end of sequence perhaps, which shows no text.
        tokens: of each turn.
    """
    counts = np.diff(np.append(starts, len(ns)))
    ends = starts + counts - 1
    after = last - ns[ends]
    apart = (last - ns[starts]) / np.maximum(counts - 1 + (after > 0), 1)
    together = np.clip(_TOGETHER_SHARE * apart, *_TOGETHER_NS)
    at_end = after > together

    begins = np.diff(ns, prepend=0) > np.repeat(together, counts)
    begins[starts] = True
    moment = np.flatnonzero(begins)
    turn = np.repeat(np.arange(len(counts)), counts)[moment]
    moments = np.bincount(turn, minlength=len(counts)) + at_end
    new = np.diff(size, prepend=0)
    new[starts] = size[starts]
    written = np.add.reduceat(new, moment) / np.maximum(size[ends], 1)[turn]
    # A moment has a token at least, and so have the others.
    most = np.maximum(tokens - moments + 1, 1)
    shares = np.clip((tokens - at_end)[turn] * written, 1, most[turn]) / tokens[turn]

    first = np.flatnonzero(np.diff(turn, prepend=-1))
    in_one = np.maximum.reduceat(shares, first)
    in_two = in_one + _second(shares, first)
    in_few = (shares[first] > _MOST_IN_FIRST) | (in_one > _MOST_IN_ONE) | (in_two > _MOST_IN_TWO)
    return _Moments(number=moments, most=in_one * tokens, few=(tokens > moments + 1) & in_few)


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
        trials: of one cell, one row for each attempt, with what was found of its turns; ``burst`` of those judged.
    """
    judged = trials.filter("judged")
    seen, at_once = trials.filter(pl.col("judged") | pl.col("short")).height, int(trials["at_once"].sum())
    if at_once >= _LEAST_AT_ONCE and at_once > _AT_ONCE_SHARE * seen:
        return True
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
