"""Token counts are checked before they are believed: what does not add up is unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import Floats

MOST_BYTES_PER_TOKEN = 32
"""Of a whole answer, in any language and tokenizer: Thai and Hindi come to a dozen, English to five or six."""
_SPARE_BYTES = 64
_SPARE_TOKENS = 16
"""Tokens that show no text: the end of sequence, a stop text, what a chat template adds."""
_LEAST_REASONING = 8
_FEW_PROMPTS, _LONGER, _MUCH_LONGER = 3, 1.2, 2.0
_CONTRADICTORY = "contradictory"
"""``TokenSource`` of a report that the engine found out."""


def believed(turns: pl.DataFrame) -> pl.DataFrame:
    """Replace unbelievable counts with null, and add two columns.

    - ``miscounted``: the report of output tokens contradicts itself or the text: reasoning above the whole, 0 with
      text, more tokens than bytes of text, or fewer than one for every 32 bytes. Output and reasoning are null then.
    - ``hidden_reasoning``: reasoning is counted whose text was not sent, so the output tokens have no known times.

    A prompt of 0 tokens and reasoning of 0 tokens beside a text of reasoning are null: they were not counted.
    """
    output, reasoning = pl.col("output_tokens"), pl.col("reasoning_tokens")
    written = pl.col("output_bytes") + pl.col("reasoning_bytes")
    hidden = (reasoning >= _LEAST_REASONING) & (pl.col("reasoning_bytes") < reasoning)
    shown = output - pl.when(hidden).then(reasoning).otherwise(0)
    reported = pl.col("token_source") != "engine"
    wrong = (
        (pl.col("token_source") == _CONTRADICTORY)
        | (reasoning > output)
        | ((output == 0) & (written > 0))
        | (reported & (shown > written + _SPARE_TOKENS))
        | (reported & (written > MOST_BYTES_PER_TOKEN * output + _SPARE_BYTES))
    ).fill_null(value=False)
    return turns.with_columns(miscounted=wrong, hidden_reasoning=hidden.fill_null(value=False) & ~wrong).with_columns(
        output_tokens=pl.when(~pl.col("miscounted")).then(output),
        reasoning_tokens=pl.when(~pl.col("miscounted") & ~((reasoning == 0) & (pl.col("reasoning_bytes") > 0))).then(
            reasoning
        ),
        prompt_tokens=pl.when(pl.col("prompt_tokens") > 0).then("prompt_tokens"),
    )


def same_counts(lengths: NDArray[Any], tokens: NDArray[Any]) -> list[int | None]:
    """``same_count`` of each cell, (cells, trials)."""
    if not lengths.size:
        return [None] * len(lengths)
    shown = lengths
    if tokens.dtype.kind == "f" or not lengths.min() > 0:
        shown = np.where(~np.isnan(tokens) & (lengths > 0), lengths, 0)
    counts = tokens[np.arange(len(tokens)), shown.argmax(axis=1)]
    beside = np.multiply(shown, tokens != counts[:, None]).max(axis=1)
    # As a rule a prompt that is nearly as long as the longest has another count, and nothing more is to be looked at.
    return [
        same_count(*each) if longest >= _LONGER * others else None
        for *each, longest, others in zip(lengths, tokens, shown.max(axis=1), beside, strict=True)
    ]


def same_count(lengths: Floats, tokens: Floats) -> int | None:
    """The prompt tokens that the longest prompts have all alike, though their lengths differ; null: they differ, too.

    A server that cuts prompts to its context does so without a word, and counts what is left: Ollama, for one, keeps
    half of the context. Three prompts are enough that differ by a fifth, or two with one twice as long as the other.

    Args:
        lengths: of each trial's prompts, in bytes.
        tokens: likewise, as counted; NaN where they were not.
    """
    known = ~np.isnan(tokens) & (lengths > 0)
    if not known.all():
        lengths, tokens = lengths[known], tokens[known]
    if not len(lengths):
        return None
    count = tokens[lengths.argmax()]
    alike = lengths[lengths > np.multiply(lengths, tokens != count).max()]
    if not len(alike):
        return None
    ratio = alike.max() / alike.min()
    if ratio < _LONGER:
        return None
    return int(count) if ratio >= _MUCH_LONGER or len(np.unique(alike)) >= _FEW_PROMPTS else None
