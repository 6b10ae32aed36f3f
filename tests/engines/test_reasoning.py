"""What is reasoning and what is the answer: one separator for all engines, in every dialect, however text is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from taskpace.engines.base import AnswerBuilder
from taskpace.engines.reasoning import is_of_marker, is_opened, separate
from taskpace.records import Arrival


def apart(text: str, *, opened: bool = False) -> tuple[str, str]:
    """Reasoning and answer."""
    parts = separate(text, opened=opened)
    if parts is None:
        return "", text
    return tuple(
        "".join(text[part.begin : part.end] for part in parts if part.reasoning is kind) for kind in (True, False)
    )


DIALECTS = [
    ("<think>", "</think>"),
    ("<THINK>", "</THINK>"),
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("<longcat_think>", "</longcat_think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    ("<unused94>thought\n", "<unused95>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|><|open|>response<|sep|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|start|>assistant<|channel|>analysis<|message|>", "<|channel|>final <|constrain|>json<|message|>"),
]
PHRASES = [("analysis", "assistantfinal"), ("Here is my thought process:", "Here's my response:")]


@pytest.mark.parametrize(("opens", "closes"), DIALECTS + PHRASES)
def test_every_dialect_is_told_from_the_answer(opens, closes):
    """What stands between the markers at the beginning is reasoning; blanks around the answer's begin are nobody's."""
    assert apart(f"\n{opens}Perhaps A.{closes}\n\nB") == ("Perhaps A.", "B")
    assert apart(f"{opens}{closes}B") == ("", "B")


@pytest.mark.parametrize(("opens", "closes"), DIALECTS)
def test_a_lone_closing_marker_ends_the_reasoning(opens, closes):
    """The template opened it: what stands before is reasoning, with a line of its own or without."""
    for between in ("\n", "", " "):
        assert apart(f"So it is A. No.{between}{closes}\n\nB") == (f"So it is A. No.{between}", "B")
    assert apart(f"I see.{closes}B") == ("I see.", "B")
    assert opens not in apart(f"{closes}B")


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "",
        "The tag </think> closes what <think> opened.",
        "The tag </think> closes it.",
        "Write `</think>` to end it.",
        'Print "</think>" at the end.',
        "Use a block:\n```\n<think>\nhm\n</think>\n```\nThat is all.",
        '{"end": "x </think> y"}',
        "<root>\n<thought>x</thought>\n</root>",
        "<thinking>An element, and the whole answer.</thinking>",
        "<answer>B</answer>",
        "Analysis: it is B.",
        "Here is my thought process: it is B.",
        "I think </thinking>",
        "x < y and y > z",
        "[1, 2, 3]",
    ],
)
def test_what_an_answer_may_hold_does_not_eat_it(text):
    """A marker that is spoken of, quoted, paired in the middle, in JSON, or that nothing follows, is the answer's."""
    assert separate(text) is None


def test_reasoning_that_never_ends_is_all_reasoning():
    """A model that thinks until the limit has no answer, also where its template opened the block."""
    assert apart("<think>hm </thi") == ("hm </thi", "")
    assert apart("hm, hm", opened=True) == ("hm, hm", "")
    assert apart("hm</think>B", opened=True) == ("hm", "B")


def test_several_blocks_before_the_answer_are_reasoning():
    """One after the other, of whatever kind."""
    assert apart("<think>a</think>\n<think>b</think>[THINK]c[/THINK]D") == ("abc", "D")
    assert apart("<think>\n\n</think>\n\nB") == ("", "B")


def test_what_ends_the_answer_is_cut_off():
    """Channels and responses have an end of their own."""
    assert apart("<|channel|>final<|message|>B<|return|>") == ("", "B")
    assert apart("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>B<|END_RESPONSE|>") == ("a", "B")


@pytest.mark.parametrize(("opens", "_"), DIALECTS)
def test_a_prompt_that_opens_the_reasoning_is_seen(opens, _):
    """The template's last words are an opening marker, and not a block that is closed already."""
    assert is_opened(f"assistant: {opens}\n")
    assert not is_opened("assistant: <think>\n\n</think>\n\n")
    assert not is_opened("assistant: ")


def test_special_tokens_of_markers_are_known():
    """Those are kept when special tokens are dropped; ends of sequence and padding are not."""
    kept = ["<think>", "</think>", "[THINK]", "[/THINK]", "<|channel|>", "<|message|>", "<|start|>", "<unused94>"]
    assert all(map(is_of_marker, kept))
    assert not any(map(is_of_marker, ["</s>", "<pad>", "<|im_end|>", "<|endoftext|>", "<eos>", ""]))


texts = st.text("ab <>/think\n", max_size=20)


@given(st.sampled_from(["", " ", "\n"]), texts, texts, st.lists(st.integers(1, 30), max_size=6), st.booleans())
def test_bytes_and_arrivals_follow_the_parts(before, thought, said, cuts, lone):
    """However the text was cut, each arrival has the bytes of reasoning and answer that were there, and times stay."""
    thought, said = thought.replace("</think>", ""), f"B{said}"
    if lone and (thought.lstrip().startswith("<think>") or "<think>" in thought):
        thought = thought.replace("<think>", "")
    whole = f"{before}{'' if lone else '<think>'}{thought}\n</think>\n{said}"
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    answer = AnswerBuilder()
    for number, (begin, end) in enumerate(pairwise(places)):
        answer.add(whole[begin:end])
        answer.arrived(number)
    reasoning = (before if lone else "") + thought + "\n"
    assert (answer.reasoning, answer.text) == ("" if reasoning.isspace() else reasoning, said)
    last = answer.arrivals[-1]
    assert (last.visible_bytes, last.reasoning_bytes) == (len(answer.text), len(answer.reasoning))
    assert answer.arrivals[0].ns == 0
    for one, other in pairwise(answer.arrivals):
        assert one.ns < other.ns
        assert one.visible_bytes + one.reasoning_bytes < other.visible_bytes + other.reasoning_bytes
        assert one.reasoning_bytes == len(answer.reasoning) or one.visible_bytes == 0


def test_the_first_visible_token_comes_after_the_thinking():
    """A lone closing marker moves what came before it, in bytes at every arrival."""
    answer = AnswerBuilder()
    for ns, text in enumerate(["Thinking é ", "on.\n", "</think>\n\n", "B", "."], 1):
        answer.add(text)
        answer.arrived(ns)
    assert answer.arrivals == (Arrival(1, 0, 12), Arrival(2, 0, 16), Arrival(4, 1, 16), Arrival(5, 2, 16))


def test_a_marker_that_came_first_is_a_token():
    """The first token is there when its marker is, though that shows no text."""
    answer = AnswerBuilder()
    for ns, text in enumerate(["<think>", "hm", "</think>", "B"], 1):
        answer.add(text)
        answer.arrived(ns)
    assert answer.arrivals == (Arrival(1, 0, 0), Arrival(2, 0, 2), Arrival(4, 1, 2))


pieces = st.sampled_from([*'aB \n`"<>[]{}|/', "<think>", "</think>", "<|channel|>", "final", "</thought>"])


@given(st.lists(pieces, max_size=30).map("".join))
def test_any_text_is_taken_apart_in_order(text):
    """Parts lie in order within the text, the answer last, and nothing but markers and blanks is lost."""
    parts = separate(text)
    if parts is None:
        return
    assert [part.reasoning for part in parts][:-1] == [True] * (len(parts) - 1)
    edges = [edge for part in parts for edge in (part.begin, part.end)]
    assert edges == sorted(edges)
    assert edges[-1] <= len(text)
