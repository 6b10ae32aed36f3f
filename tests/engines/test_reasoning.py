"""What is reasoning and what is the answer: one separator for all engines, in every dialect, however text is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from taskpace.engines.base import AnswerBuilder, Stamps
from taskpace.engines.llamacpp.engine import LlamaCppEngine
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
    """What stands between the markers at the beginning is reasoning; blanks before the answer belong to neither."""
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
        "Use this:\n```\nLet me think.\n</think>\nParis\n```\nDone.",
        "~~~~ text\n```\n</think>\n~~~~\nDone.",
        '```json\n{"end": "x</think>y"}\n```',
        "| tag | use |\n|---|---|\n| </think> | closes |\n",
        "tag | use\n--- | ---\n</think> | closes\n",
        "The closing tag is **</think>** in Qwen.",
        "The closing tag is *</think>*, not _</thinking>_.",
        "The closing tag (</think>) ends it, “</think>” I mean.",
        "text.split('</think>')[-1]",
        "1. </think> closes the block.\n2. <think> opens it.",
        "- </think>: closes",
        "<!-- </think> --> hello",
        "The marker is </think>, then comes the answer.",
        "</think> closes the block.",
        "<thinking> is a tag used by Claude.",
        "<think> is the tag that opens the reasoning. It is closed by </think>.",
        "<think> and </think> delimit the reasoning.",
        "<think>, a tag, opens it.",
        "<thought> is XML.",
        "<think> marks the beginning:\n<think>\nhm\n</think>\nOK",
        "Analysis of the data shows growth. assistantfinal is a token of gpt-oss.",
        "analysis of the data shows growth. The channel assistantfinal ends it.",
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


@pytest.mark.parametrize("opens", ["<think>", ""])
@pytest.mark.parametrize(
    "thought",
    [
        "\nQwen ends with `</think>`, I recall.\n",
        '\nIt prints "</think>" at the end.\n',
        "\nExample:\n```\n</think>\n```\nSo it is.\n",
        "a<think>b</think>c",
        "\nI see.\n<think>\nTwice opened.\n",
        "It is `x`",
        "The <think> tag opens it.",
        "So I say ",
        "The user wants <reasoning>x</reasoning> then y.\n",
    ],
)
def test_markers_within_the_reasoning_do_not_end_it(opens, thought):
    """Spoken of, nested, or of another pair; also where the prompt opened the reasoning. It ends at the last one."""
    text = f"{opens}{thought}</think>paris"
    assert apart(text, opened=not opens) == (thought, "paris")
    assert apart(f"{opens}{thought}", opened=not opens)[1] == "" or "</think>" in thought


def test_a_marker_that_is_only_quoted_ends_no_reasoning():
    """Cut off at the limit, all of it is reasoning."""
    assert apart("<think>It ends with `</think>`, and") == ("It ends with `</think>`, and", "")
    assert apart("It ends with `</think>`, and", opened=True) == ("It ends with `</think>`, and", "")


def test_a_code_block_that_never_ends_hides_no_marker():
    """Reasoning that breaks off within code ends all the same."""
    assert apart("Let me see:\n```\nx = 1\n</think>\n\nB") == ("Let me see:\n```\nx = 1\n", "B")


def test_blocks_of_reasoning_and_markers_within_are_bounded():
    """Texts of nothing but markers are taken apart with a bounded number of looks at each of their characters."""
    assert separate("<think></think>" * 10_000) is not None
    assert separate("<think><think></think>" * 10_000) is not None
    assert separate("`</think>` " * 10_000) is None


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


def test_the_engine_in_process_separates_as_the_endpoint_does():
    """What llama.cpp leaves in the text, since it does not know the model's markers, is read by the same table."""
    stamps = Stamps()
    for ns, text in enumerate(["Perhaps A.", "\n</seed:think>\n\n", "B"], 1):
        stamps.arrivals.append((ns, {"choices": [{"delta": {"content": text}}]}))
    counts = {"prompt_tokens": 9, "completion_tokens": 8}
    stamps.arrivals.append((4, {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": counts}))
    found = LlamaCppEngine.__new__(LlamaCppEngine).read(stamps)
    assert (found.reasoning, found.text) == ("Perhaps A.\n", "B")
    assert found.arrivals == (Arrival(1, 0, 10), Arrival(2, 0, 11), Arrival(3, 1, 11))
    assert found.usage.reasoning_tokens is None
