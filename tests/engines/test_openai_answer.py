"""Reading an OpenAI-compatible answer: arrivals, texts, counts, and what is wrong with it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st
from tests.endpoint import DONE, event, usage

from taskpace.engines.openai.answer import Reader
from taskpace.records import Arrival, Usage


def read(*arrivals: bytes, step_ns: int = 10):
    """The generation of pieces that arrived ``step_ns`` apart."""
    reader = Reader()
    reader.stream((number * step_ns, data) for number, data in enumerate(arrivals))
    return reader.generation()


def delta(**fields: object) -> bytes:
    """A chunk with a delta of any form."""
    choice = {"index": 0, "delta": fields, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def test_a_role_is_no_token_and_the_end_is_no_mark():
    """Marks stand where text arrived; the finish has its own stamp; the counts are the server's."""
    found = read(event(role="assistant", content=""), event("Yes"), event("."), event(finish="stop"), usage(3), DONE)
    assert found.arrivals == (Arrival(10, 3, 0), Arrival(20, 4, 0))
    assert (found.text, found.reasoning, found.finish_ns, found.finish_reason) == ("Yes.", "", 30, "stop")
    assert found.usage == Usage(prompt_tokens=20, output_tokens=3, token_source="usage")
    assert found.failure is None


def test_several_tokens_in_one_arrival_are_one_mark():
    """Two events that were read at once came at one moment."""
    found = read(event("a") + event("b"), event("é", finish="stop"))
    assert found.arrivals == (Arrival(0, 2, 0), Arrival(10, 4, 0))


def test_at_the_token_limit_the_last_token_is_the_last_that_was_shown():
    """No end-of-sequence token was made, so an empty finish chunk is not one more interval."""
    found = read(event("a"), event("b"), event(finish="length"), usage(2))
    assert (found.finish_ns, found.finish_reason) == (10, "length")


DETAILS = [{"type": "reasoning.text", "text": "hm, ", "index": 0}, {"type": "reasoning.encrypted", "data": "x"}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reasoning_content", "hm, "),
        ("reasoning", "hm, "),
        ("reasoning_text", "hm, "),
        ("thinking", "hm, "),
        ("thinking_blocks", [{"type": "thinking", "thinking": "hm, ", "signature": ""}]),
        ("reasoning_details", DETAILS),
        ("reasoning_details", [{"type": "reasoning.summary", "summary": "hm, "}]),
        ("content", [{"type": "thinking", "thinking": [{"type": "text", "text": "hm, "}]}]),
    ],
)
def test_reasoning_has_fields_of_its_own(field, value):
    """Every name and form that servers use is kept apart from the answer."""
    found = read(delta(**{field: value}), delta(**{field: value}), event("Yes"), event(finish="stop"))
    assert (found.reasoning, found.text) == ("hm, hm, ", "Yes")
    assert found.arrivals == (Arrival(0, 0, 4), Arrival(10, 0, 8), Arrival(20, 3, 8))
    assert found.failure is None


def test_one_reasoning_under_two_names_is_read_once():
    """OpenRouter and LiteLLM give the same text as a field and as details; switches that are not text are none."""
    twice = delta(reasoning="hm, ", reasoning_details=DETAILS, thinking=True)
    found = read(twice, event("Yes"), event(finish="stop"))
    assert (found.reasoning, found.text) == ("hm, ", "Yes")


@given(st.lists(st.integers(1, 60), max_size=8))
def test_reasoning_in_the_text_is_told_apart_however_it_is_cut(cuts):
    """The template opened the block; what came before the lone marker is reasoning at every arrival."""
    whole = "At first sight it is A. Rome? No: Paris.\n</think>\n\n**Paris**"
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[start:end] for start, end in pairwise(places)]
    found = read(*map(event, pieces), event(finish="stop"))
    assert (found.reasoning, found.text) == ("At first sight it is A. Rome? No: Paris.\n", "**Paris**")
    assert found.arrivals[-1] == Arrival(10 * len(pieces) - 10, 9, 41)


def test_reasoning_that_never_ends_is_kept():
    """A model that thinks until the limit has no answer, and its thoughts are all there."""
    found = read(event("<think>hm </thi"), event(finish="length"))
    assert (found.reasoning, found.text, found.finish_reason) == ("hm </thi", "", "length")


def test_a_whole_answer_tells_nothing_of_its_course():
    """Not streamed: the text and the counts are known, no moment within."""
    body = {"choices": [{"index": 0, "message": {"content": "Yes."}, "finish_reason": "stop"}],
            "usage": {"completion_tokens": 3, "prompt_tokens": 9}}  # fmt: skip
    raw = json.dumps(body).encode()
    reader = Reader()
    reader.whole([(5, raw[:10]), (9, raw[10:])])
    found = reader.generation()
    assert (found.text, found.arrivals, found.finish_ns, found.finish_reason) == ("Yes.", (), None, "stop")
    assert found.usage.output_tokens == 3
    assert found.failure is None


@pytest.mark.parametrize(
    ("stream", "kind", "told"),
    [
        ((), "empty", "no event in it"),
        ((b": ping\n\n",), "empty", "no event in it"),
        ((event("a"),), "cut", "no finish_reason"),
        ((event("a"), b"data: {broken\n\n"), "bad-event", "{broken"),
        ((event("a"), b'data: {"choices": 7}\n\n'), "bad-event", "choices"),
        ((event("a"), b"data: \xff\xfe\n\n"), "bad-event", "xff"),
        ((event("a"), b'data: {"error": {"message": "no\\nmemory"}}\n\n'), "server-error", "no memory"),
        ((b'data: {"object": "error", "message": "no"}\n\n',), "server-error", "no"),
        ((event("a"), event("b").replace(b'"index": 0', b'"index": 1')), "several-choices", "n = 1"),
        ((event("a", finish="content_filter"),), "finish-reason", "content_filter"),
        ((event("a", finish="tool_calls"),), "finish-reason", "tool_calls"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_kind_and_keeps_the_text(stream, kind, told):
    """Each fault is named, and what had arrived before it stays."""
    found = read(*stream)
    assert found.failure is not None
    assert found.failure.kind == kind
    assert told in str(found.failure)
    assert found.text == ("a" if stream and b'"a"' in stream[0] else "")


@pytest.mark.parametrize("place", ["usage", "choice", "x_groq"])
def test_a_report_is_found_where_it_stands(place):
    """Beside the choices, within the last one (Moonshot), or under a name of the server's own; an empty one is none."""
    counts = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}
    end: dict[str, object] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if place == "choice":
        end["choices"][0]["usage"] = counts
    else:
        end[place] = counts if place == "usage" else {"usage": counts}
    found = read(event("Yes."), f"data: {json.dumps(end)}\n\n".encode(), usage(0, prompt=0))
    assert found.usage == Usage(prompt_tokens=20, output_tokens=3, token_source="usage")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_harm(data):
    """Whatever arrives, reading ends in a generation that says what is wrong with it."""
    assert read(data).failure is not None
