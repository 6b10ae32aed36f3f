"""Token counts in a run file, old or new: what contradicts itself or the text is unknown."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from taskpace.analysis.data.counts import believed, same_count, same_counts

KNOWN = {"prompt_tokens": 50, "output_tokens": 100, "reasoning_tokens": 0, "output_bytes": 400, "reasoning_bytes": 0,
         "token_source": "usage"}  # fmt: skip


def one(**changes: object) -> dict[str, object]:
    schema = {name: pl.String if name == "token_source" else pl.Int64 for name in KNOWN}
    return believed(pl.DataFrame([KNOWN | changes], schema=schema)).row(0, named=True)


def test_sound_counts_stay():
    """Nothing is changed of a report that adds up."""
    assert one() == KNOWN | {"miscounted": False, "hidden_reasoning": False}


@pytest.mark.parametrize(
    "changes",
    [
        {"token_source": "contradictory", "output_tokens": None},
        {"reasoning_tokens": 101},
        {"output_tokens": 0},
        {"output_tokens": 0, "output_bytes": 0, "reasoning_bytes": 9},
        {"output_tokens": 417},
        {"output_tokens": 1, "output_bytes": 97},
        {"output_tokens": 304, "output_bytes": 16},
        {"output_tokens": 500, "output_bytes": 0},
    ],
)
def test_what_contradicts_itself_or_the_text_is_unknown(changes):
    """Reasoning above the whole, nothing for a text, more tokens than bytes, chunks or words counted as tokens."""
    found = one(**changes)
    assert found["miscounted"]
    assert (found["output_tokens"], found["reasoning_tokens"]) == (None, None)
    assert found["prompt_tokens"] == 50


@pytest.mark.parametrize(
    "changes",
    [
        {"output_tokens": 416},
        {"output_tokens": 1, "output_bytes": 96},
        {"output_tokens": 0, "output_bytes": 0},
        {"output_tokens": 2, "output_bytes": 1},
        {"output_tokens": 500, "output_bytes": 0, "token_source": "engine"},
        {"output_tokens": 1, "output_bytes": 9999, "token_source": "engine"},
        {"output_tokens": None, "token_source": None, "reasoning_tokens": None},
    ],
)
def test_what_some_tokenizer_gives_is_believed(changes):
    """A token for every byte, one for a long line, an end of sequence alone; and an engine counts its own."""
    assert not one(**changes)["miscounted"]


def test_reasoning_that_was_not_sent_has_no_times():
    """It is counted, so the count is believed, and the speed of what was sent is not told by it."""
    found = one(output_tokens=304, reasoning_tokens=300, output_bytes=16)
    assert (found["output_tokens"], found["hidden_reasoning"], found["miscounted"]) == (304, True, False)
    assert not one(output_tokens=304, reasoning_tokens=300, reasoning_bytes=900, output_bytes=16)["hidden_reasoning"]


def test_zeros_of_nobody_are_unknown():
    """A prompt has a token, and reasoning that has a text has one, too."""
    assert one(prompt_tokens=0)["prompt_tokens"] is None
    found = one(reasoning_bytes=300)
    assert (found["reasoning_tokens"], found["output_tokens"]) == (None, 100)


@pytest.mark.parametrize(
    ("sizes", "counts", "expected"),
    [
        ([100, 500, 900], [20, 20, 20], 20),
        ([400, 8000, 12_000, 30_000, 25_000], [130, 2600, 2050, 2050, 2050], 2050),
        ([100, 9000], [2050, 2050], 2050),
        ([400, 800, 1200], [100, 200, 300], None),
        ([400, 410, 420], [100, 100, 100], None),
        ([400, 900, 1000], [100, 250, 250], None),
        ([400], [100], None),
        ([], [], None),
        ([400, 800, 1200], [None, None, None], None),
    ],
    ids=["always the same", "half of the context", "two, one much longer", "as long as they are", "of one length",
         "two alike", "one", "none", "unknown"],
)  # fmt: skip
def test_the_longest_prompts_with_one_count_were_cut(sizes, counts, expected):
    """Ollama keeps half of its context and counts that; prompts of one length may well have one count."""
    assert same_count(np.array(sizes, float), np.array(counts, float)) == expected


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 6]), st.booleans())
def test_cells_together_are_each_cell_alone(seed, trials, whole):
    """Few lengths and counts, so that all cases occur; counts that are whole numbers, or unknown here and there."""
    rng = np.random.default_rng(seed)
    lengths, tokens = rng.integers(0, 6, (4, trials)) * 200, rng.integers(1, 3, (4, trials))
    if not whole:
        tokens = np.where(rng.random(tokens.shape) < 0.3, np.nan, tokens)
    assert same_counts(lengths, tokens) == [same_count(*each) for each in zip(lengths, tokens, strict=True)]


def test_a_length_that_is_unknown_hides_nothing():
    """Counts are whole numbers, and one prompt's length is not known: the others were cut all the same."""
    assert same_counts(np.array([[100, np.nan, 200, 400.0]]), np.array([[7, 7, 7, 7]])) == [7]


def test_no_trials_have_no_count():
    """Cells that have none are none each."""
    assert same_counts(np.empty((2, 0)), np.empty((2, 0))) == [None, None]
