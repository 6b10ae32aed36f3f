"""Trials as they would be at another speed, in the columns of ``load_frame``: every number follows from them."""

from __future__ import annotations

import polars as pl

from taskpace.analysis.whatif.fitting import predict
from taskpace.analysis.whatif.speed import Speed, steps

_UNKNOWN = (
    *("committed_s", "first_answer_s", "reasoning_s"),
    *("send_delay_s", "dispatch_ns", "end_clock_ns", "machine_ns"),
)
"""What the split does not say: when which text came, and when on which clock anything was sent."""


def at_speed(trials: pl.DataFrame, speed: Speed) -> pl.DataFrame:
    """``countable`` trials of one system with the times that this speed gives them.

    First turns find nothing in a cache, later ones what they found when they were recorded. A cut answer stays cut: its
    time is that of the tokens written until then, a lower bound as before. An error keeps the time that was recorded.
    """
    wait_s, total_s = predict(trials, speed, cold=True)
    step = steps(trials)
    timed = pl.DataFrame({"wait": wait_s, "total": total_s, "step": step})
    ended = pl.col("outcome") != "error"
    decode_s = pl.col("total") - pl.col("wait")
    paced = ended & (pl.col("step") > 0) & (decode_s > 0)
    written = pl.col("output_bytes") + pl.col("reasoning_bytes")
    first = speed.wait_s + pl.col("first_prompt_tokens") * speed.wait_per_prompt_token_s
    if speed.load is not None:
        first = pl.when(pl.col("turns") == 1).then("wait")  # of a later turn the loop has the sum alone
    return (
        trials.hstack(timed)
        .with_columns(
            pl.when(ended).then("total").otherwise("task_time_s").alias("task_time_s"),
            pl.when(ended).then("wait").otherwise("wait_s").alias("wait_s"),
            pl.when(ended).then(first.cast(pl.Float64)).alias("ttft_s"),
            pl.when(paced).then(decode_s / pl.col("step")).alias("tpot_s"),
            pl.when(paced).then(pl.col("step") / decode_s).alias("tokens_per_s"),
            pl.when(paced).then(written / decode_s).alias("bytes_per_s"),
            *(pl.lit(None, dtype=trials.schema[name]).alias(name) for name in _UNKNOWN),
            *(pl.lit(value=False).alias(name) for name in ("late", "bursts", "untimed")),
            timed=pl.lit(value=True),
            loop_lag_s=pl.lit(None, dtype=pl.Float64),
            cached_tokens=pl.col("cached_tokens") - pl.col("first_cached_tokens"),
            first_cached_tokens=pl.col("first_cached_tokens") * 0,
        )
        .drop("wait", "total", "step")
    )


def at_least_nothing(trials: pl.DataFrame) -> pl.DataFrame:
    """Cut trials whose tokens are unknown: at another speed they take 0 s or longer, and no more is known of them."""
    unknown = ("wait_s", "ttft_s", "tpot_s", "tokens_per_s", "bytes_per_s", *_UNKNOWN, "loop_lag_s")
    return trials.with_columns(
        *(pl.lit(None, dtype=trials.schema[name]).alias(name) for name in unknown),
        *(pl.lit(value=False).alias(name) for name in ("late", "bursts", "untimed")),
        task_time_s=pl.lit(0.0),
        timed=pl.lit(value=True),
    )
