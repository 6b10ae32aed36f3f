"""Token counts as servers report them: every dialect is found, and what does not add up is not believed."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from taskpace.engines.openai.usage import Reports
from taskpace.records import Usage


def counted(*reports: Any, visible: bool = True, reasoned: bool = False) -> Usage:
    found = Reports()
    for report in reports:
        found.add(report)
    return found.usage(visible=visible, reasoned=reasoned)


def usage(prompt: int | None, output: int | None, reasoning: int | None = None, cached: int | None = None) -> Usage:
    return Usage(
        prompt_tokens=prompt,
        output_tokens=output,
        reasoning_tokens=reasoning,
        cached_tokens=cached,
        token_source="usage",
    )


def report(prompt: int, output: int, total: int | None = None, reasoning: int | None = None) -> dict[str, Any]:
    counts: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": output}
    if total is not None:
        counts["total_tokens"] = total
    if reasoning is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return counts


CONTRADICTORY = Usage(token_source="contradictory")


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (report(20, 304, 324, 300), usage(20, 304, 300)),
        (report(20, 4, 324, 300), usage(20, 304, 300)),
        (report(21, 0, 81, 60), usage(21, 60, 60)),
        (report(20, 4), usage(20, 4)),
        (report(20, 4, 0), usage(20, 4)),
        ({"input_tokens": 11, "output_tokens": 5, "total_tokens": 16}, usage(11, 5)),
        ({"input_tokens": 11, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 3}}, usage(11, 5, 3)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "reasoning_tokens": 2}, usage(9, 5, 2)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "prompt_cache_hit_tokens": 8}, usage(9, 5, cached=8)),
        ({"prompt_tokens": 9.0, "completion_tokens": 5.0}, usage(9, 5)),
        ({"prompt_tokens": 0, "completion_tokens": 5, "total_tokens": 5}, usage(None, 5)),
    ],
    ids=["within", "beside", "beside, no answer", "no total", "total of nothing", "mlx-vlm", "responses", "SGLang",
         "DeepSeek", "floats", "prompt of nothing"],
)  # fmt: skip
def test_counts_are_found_in_their_dialect(reported, expected):
    """Output tokens include reasoning, whether the server counts it within or beside the rest."""
    thinks_alone = reported.get("completion_tokens") == 0
    assert counted(reported, visible=not thinks_alone, reasoned=thinks_alone) == expected


@pytest.mark.parametrize(
    "reported",
    [
        report(20, 4, 324),
        report(20, 4, 25),
        report(20, 4, 20),
        report(20, 64, reasoning=79),
        report(20, 64, 84, 79),
        report(20, 0, 20),
        report(0, 0, 0),
    ],
    ids=["hidden in the total", "one more", "less", "reasoning above output", "the same with a total", "zero with text",
         "zeros"],
)  # fmt: skip
def test_what_does_not_add_up_is_unknown(reported):
    """No count of such a report is believed, and the record says why."""
    assert counted(reported) == CONTRADICTORY


@pytest.mark.parametrize("empty", [None, {}, report(0, 0, 0), {"prompt_tokens": None}, [], "none"])
def test_an_empty_report_takes_nothing_back(empty):
    """Some servers send one after the real one."""
    assert counted(report(20, 4, 24), empty) == usage(20, 4)
    assert counted(empty, report(20, 4, 24)) == usage(20, 4)


def test_reports_may_come_piece_by_piece():
    """Prompt first and output last, or the sum so far with every chunk."""
    assert counted(report(20, 0, 20), {"completion_tokens": 4}) == usage(20, 4)
    assert counted(*(report(20, each, 20 + each) for each in range(1, 6))) == usage(20, 5)
    assert counted({"prompt_tokens": 20, "total_tokens": 20}, report(0, 4, 4)) == usage(20, 4)


def test_nothing_counted_of_what_is_there_is_unknown():
    """Reasoning of no tokens beside a text of reasoning was not counted; without one it is a count."""
    assert counted(report(20, 9, 29, 0), reasoned=True) == usage(20, 9)
    assert counted(report(20, 9, 29, 0)) == usage(20, 9, 0)


values = st.none() | st.booleans() | st.integers(-5, 2**60) | st.floats() | st.text(max_size=3)
NAMES = ["prompt_tokens", "completion_tokens", "total_tokens", "completion_tokens_details", "prompt_tokens_details",
         "reasoning_tokens", "cached_tokens", "input_tokens", "output_tokens"]  # fmt: skip
reports = st.recursive(
    values, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner) | st.lists(inner, max_size=2)
)


@given(st.lists(reports, max_size=3), st.booleans(), st.booleans())
def test_whatever_is_reported_counts_agree(found, visible, reasoned):
    """Each number is a count or null, reasoning is within the output, and the source says who counted."""
    known = counted(*found, visible=visible, reasoned=reasoned)
    for value in (known.prompt_tokens, known.output_tokens, known.reasoning_tokens, known.cached_tokens):
        assert value is None or (isinstance(value, int) and 0 <= value < math.inf)
    if known.reasoning_tokens is not None and known.output_tokens is not None:
        assert known.reasoning_tokens <= known.output_tokens
    if known.token_source in (None, CONTRADICTORY.token_source):
        assert (known.output_tokens, known.prompt_tokens) == (None, None)
    if visible:
        assert known.output_tokens != 0
