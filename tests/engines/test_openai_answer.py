"""Reading an OpenAI-compatible answer: arrivals, texts, counts, and what is wrong with it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st
from tests.endpoint import DONE, event, usage

from taskpace.engines.openai.answer import Reader, read_usage
from taskpace.records import Arrival, Usage


def read(*arrivals: bytes, step_ns: int = 10):
    """The generation of pieces that arrived ``step_ns`` apart."""
    reader = Reader()
    reader.stream((number * step_ns, data) for number, data in enumerate(arrivals))
    return reader.generation()


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


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_has_fields_of_its_own(field):
    """Both names that servers use are kept apart from the answer."""
    found = read(event(**{field: "hm, "}), event(**{field: "yes"}), event("Yes"), event(finish="stop"))
    assert (found.reasoning, found.text) == ("hm, yes", "Yes")
    assert found.arrivals == (Arrival(0, 0, 4), Arrival(10, 0, 7), Arrival(20, 3, 7))


texts = st.text("ab <>/think\n", max_size=20)


@given(st.sampled_from(["", " ", "\n"]), texts, texts, st.lists(st.integers(1, 30), max_size=6))
def test_think_tags_are_found_however_they_are_cut(before, thought, said, cuts):
    """Reasoning between the tags at the beginning of the text is reasoning, in whatever pieces it comes."""
    thought = thought.replace("</think>", "")
    while thought.endswith("<") or any(thought.endswith("</think>"[:size]) for size in range(1, 8)):
        thought = thought[:-1]
    whole = f"{before}<think>{thought}</think>{said}"
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[start:end] for start, end in pairwise(places)]
    found = read(*map(event, pieces), event(finish="stop"))
    assert (found.reasoning, found.text) == (thought, said)
    last = found.arrivals[-1] if found.arrivals else Arrival(0, 0, 0)
    assert (last.visible_bytes, last.reasoning_bytes) == (len(said), len(thought))


@given(texts.filter(lambda text: not text.lstrip().startswith("<think>")), st.integers(0, 20))
def test_other_text_is_left_as_it_is(text, cut):
    """What does not begin with the tag is all answer, even what looks like the beginning of one."""
    found = read(event(text[:cut]), event(text[cut:]), event(finish="stop"))
    assert (found.reasoning, found.text) == ("", text)


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
        ((event("a").replace(b'"index": 0', b'"index": 1'),), "several-choices", "n = 1"),
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
    assert found.text == ("a" if stream and b'"a"' in stream[0] and kind != "several-choices" else "")


values = st.none() | st.booleans() | st.integers(-5, 2**60) | st.floats() | st.text(max_size=3)
counts = st.recursive(
    values,
    lambda inner: st.dictionaries(
        st.sampled_from(["prompt_tokens", "completion_tokens", "completion_tokens_details", "prompt_tokens_details",
                         "reasoning_tokens", "cached_tokens"]),
        inner,
    ) | st.lists(inner, max_size=2),
)  # fmt: skip


@given(counts)
def test_usage_is_a_count_or_unknown(reported):
    """Whatever a server reports, each number is a count that it gave, or null; nothing else comes out."""
    found = read_usage(reported)
    for name, given_as in (("output_tokens", "completion_tokens"), ("prompt_tokens", "prompt_tokens")):
        value = getattr(found, name)
        if value is not None:
            assert value == reported[given_as]
            assert value >= 0
    for value in (found.reasoning_tokens, found.cached_tokens):
        assert value is None or (isinstance(value, int) and value >= 0)
    assert (found.token_source is None) == (found.output_tokens is None and found.prompt_tokens is None)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_harm(data):
    """Whatever arrives, reading ends in a generation that says what is wrong with it."""
    assert read(data).failure is not None
