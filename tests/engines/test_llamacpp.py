"""The llama.cpp engine: its parts on hand-made input, and the whole on two real models."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import struct
import sys
from collections.abc import Callable, Coroutine, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, strategies as st

from taskpace import models
from taskpace.engines import create
from taskpace.engines.base import EngineSpec, Generation, Message, Request, Sampling, Stamps
from taskpace.engines.llamacpp.engine import LlamaCppEngine, _check_end
from taskpace.engines.llamacpp.http import ask
from taskpace.engines.llamacpp.load import (
    choose_context,
    import_xllamacpp,
    load,
    make_params,
    read_options,
    usable_physical_cores,
)
from taskpace.engines.llamacpp.slots import SlotTable
from taskpace.engines.plain_prompt import render_plain
from taskpace.errors import (
    ContextOverflowError,
    EngineError,
    EngineMemoryError,
    ExperimentError,
    MissingExtraError,
    ModelError,
)
from taskpace.machine.clock import RealClock
from taskpace.models.gguf_header import read_metadata
from taskpace.records import Arrival, Usage

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=RealClock().new_event_loop) as runner:
        return runner.run(asyncio.wait_for(coroutine, 600))


def engine(model: str = "m.gguf", slots: int = 1, **options: Any) -> LlamaCppEngine:
    """On one thread, for llama.cpp's threads wait for each other, and other tests run beside these."""
    options = {"threads": 1} | options
    made = create(EngineSpec(engine="llamacpp", model=model, options=options, slots=slots))
    assert isinstance(made, LlamaCppEngine)
    return made


def request(text: str, max_tokens: int = 32, **changes: Any) -> Request:
    sampling = {key: changes.pop(key) for key in ("temperature", "top_p") if key in changes}
    fields: dict[str, Any] = {"messages": (Message("user", text),), "stop": (), "seed": 1, "trial_id": "t"}
    return Request(max_tokens=max_tokens, sampling=Sampling(**sampling), **fields | changes)


async def generate(opened: LlamaCppEngine, asked: Request, **body: Any) -> Generation:
    payload, stamps = opened.prepare(asked), Stamps()
    payload.body.update(body)
    await opened.generate(payload, stamps)
    return opened.read(stamps)


def stamped(*chunks: dict[str, Any]) -> Stamps:
    """Chunks stamped 100, 200, ... ns."""
    stamps = Stamps()
    stamps.arrivals = [(100 * number, chunk) for number, chunk in enumerate(chunks, start=1)]
    return stamps


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish, "index": 0, "delta": fields}]}


def piece(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"text": text, "index": 0, "finish_reason": finish}], **more}


def counted(prompt: int, completion: int, cached: int = 0) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


# Parts, without llama.cpp


def test_options_that_are_right_pass() -> None:
    """Every documented option is taken, and none is needed."""
    read_options({})
    read_options(
        {
            "context": 512,
            "threads": 2,
            "batch_size": 64,
            "gpu_layers": 0,
            "flash_attention": True,
            "prompt_cache": True,
            "chat_template": "plain",
            "chat_template_kwargs": {"enable_thinking": False},
        }
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"contxt": 512}, 'unknown key "contxt" (did you mean "context"?)'),
        ({"context": "512"}, 'key "context"'),
        ({"context": 0}, 'key "context"'),
        ({"threads": 1.5}, 'key "threads"'),
        ({"gpu_layers": -1}, 'key "gpu_layers"'),
        ({"chat_template": "chatml"}, 'key "chat_template"'),
    ],
)
def test_options_that_are_wrong_are_named(options: dict[str, Any], says: str) -> None:
    """A wrong option is an error of one line that names the key, before anything is loaded."""
    with pytest.raises(ExperimentError) as caught:
        read_options(options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ExperimentError):
        engine(**options)


def test_plain_rendering_of_one_turn() -> None:
    """The system prompt is a paragraph of its own; the text ends where the model is to go on."""
    assert render_plain([Message("system", "Be brief.\n"), Message("user", "Why? ")]) == "Be brief.\n\nWhy?"


def test_plain_rendering_of_several_turns() -> None:
    """An answer stands right after its question, and a blank line parts the turns."""
    turns = [Message("user", "One?"), Message("assistant", "1"), Message("user", "Two?")]
    assert render_plain(turns) == "One?1\n\nTwo?"


def test_request_says_all_that_shapes_the_text() -> None:
    """Only temperature and top-p shape the draw, in that order, and no seed turns into llama.cpp's "random"."""
    payload = engine(chat_template_kwargs={"enable_thinking": False}).prepare(
        request("Hello", 7, temperature=0.5, top_p=0.9, seed=0xFFFF_FFFF, stop=("\n",))
    )
    assert payload.chat
    assert payload.body | {"stream": True} == payload.body
    assert payload.body["messages"] == [{"role": "user", "content": "Hello"}]
    assert payload.body["samplers"] == ["temperature", "top_p"]
    assert (payload.body["temperature"], payload.body["top_p"], payload.body["seed"]) == (0.5, 0.9, 0)
    assert (payload.body["max_tokens"], payload.body["stop"], payload.body["cache_prompt"]) == (7, ["\n"], False)
    assert payload.body["chat_template_kwargs"] == {"enable_thinking": False}


def test_read_a_chat_with_reasoning() -> None:
    """Marks count the bytes of reasoning and of visible text apart, and chunks without text leave none."""
    generation = engine().read(
        stamped(
            delta(role="assistant", content=None) | {"prompt_progress": {"processed": 0}},
            delta(role="assistant", content=None),
            delta(reasoning_content="Hm"),
            delta(reasoning_content="…"),
            delta(content="né"),
            delta("stop", content="!"),
            {"choices": [], "usage": counted(12, 9, 3), "timings": {}},
        )
    )
    assert generation.arrivals == (Arrival(300, 0, 2), Arrival(400, 0, 5), Arrival(500, 3, 5), Arrival(600, 4, 5))
    assert (generation.text, generation.reasoning) == ("né!", "Hm…")
    assert (generation.finish_ns, generation.finish_reason) == (600, "stop")
    assert generation.usage == Usage(
        prompt_tokens=12, output_tokens=9, reasoning_tokens=None, cached_tokens=3, token_source="engine"
    )


def test_read_plain_text() -> None:
    """A stream of plain text gives the same, and without reasoning its tokens are known to be none."""
    generation = engine().read(
        stamped(piece("", prompt_progress={}), piece("a"), piece("b"), piece("", "length", usage=counted(2, 2)))
    )
    assert generation.arrivals == (Arrival(200, 1, 0), Arrival(300, 2, 0))
    assert (generation.text, generation.finish_ns, generation.finish_reason) == ("ab", 400, "length")
    assert generation.usage == Usage(
        prompt_tokens=2, output_tokens=2, reasoning_tokens=0, cached_tokens=0, token_source="engine"
    )


def test_read_text_that_was_kept_back() -> None:
    """Where a possible stop text held the first tokens back, the first token has its own arrival, without text."""

    def read(*chunks: tuple[int, dict[str, Any]]) -> tuple[Arrival, ...]:
        stamps = Stamps()
        stamps.arrivals = list(chunks)
        return engine().read(stamps).arrivals

    progress, end = piece("", prompt_progress={}), piece("", "stop", usage=counted(2, 4))
    ms = 1_000_000
    assert read((ms, progress), (2 * ms, piece("")), (9 * ms, piece("ab")), (9 * ms, end)) == (
        Arrival(2 * ms, 0, 0),
        Arrival(9 * ms, 2, 0),
    )
    assert read((ms, progress), (2 * ms, piece("")), (9 * ms, end)) == (Arrival(2 * ms, 0, 0),)
    assert read((ms, progress), (2 * ms, delta(role="assistant")), (2 * ms + 9, delta(content="a")), (9 * ms, end)) == (
        Arrival(2 * ms + 9, 1, 0),
    )


@pytest.mark.parametrize("chunks", [(), (piece("a"), piece("b"))])
def test_read_what_was_cut_short(chunks: tuple[dict[str, Any], ...]) -> None:
    """A stream without its end keeps its text; what is not known of it is null, not 0."""
    generation = engine().read(stamped(*chunks))
    assert generation.text == "".join("ab"[: len(chunks)])
    assert (generation.finish_ns, generation.finish_reason, generation.usage) == (None, None, Usage())


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        (
            ({"error": {"type": "exceed_context_size_error", "message": "exceeds the context size"}},),
            ContextOverflowError,
        ),
        (({"error": {"code": 500, "message": "ggml: failed to allocate buffer"}},), EngineMemoryError),
        (({"error": {"code": 400, "message": "type must be number"}},), EngineError),
        (({"error": "odd"},), EngineError),
        ((piece("a"), piece("", "length", usage=counted(5, 7))), ContextOverflowError),
        ((delta(content="a"), delta("length"), {"choices": [], "usage": counted(5, 7)}), ContextOverflowError),
        ((piece("a"),), EngineError),
        ((), EngineError),
    ],
)
def test_ends_that_are_no_answer(chunks: tuple[dict[str, Any], ...], error: type[EngineError]) -> None:
    """An error in the stream, a context that was full before the limit, and a stream without an end are failures."""
    with pytest.raises(EngineError) as caught:
        _check_end(stamped(*chunks), max_tokens=8)
    assert type(caught.value) is error


@pytest.mark.parametrize(("finish", "written"), [("stop", 3), ("length", 8)])
def test_ends_that_are_an_answer(finish: str, written: int) -> None:
    """A model that stopped, and one that came to the limit, have answered."""
    _check_end(stamped(delta(content="a"), delta(finish), {"choices": [], "usage": counted(5, written)}), max_tokens=8)


def test_context_follows_the_model() -> None:
    """Without a wish the context is the model's own up to 4096; more than it was trained with is refused."""
    small = {"general.architecture": "llama", "llama.context_length": 2048}
    large = {"general.architecture": "llama", "llama.context_length": 131072}
    path = Path("m.gguf")
    assert (choose_context(None, small, path), choose_context(None, large, path)) == (2048, 4096)
    assert (choose_context(None, {}, path), choose_context(9000, {}, path)) == (4096, 9000)
    assert choose_context(9000, large, path) == 9000
    with pytest.raises(ExperimentError, match=r'key "context": m\.gguf was trained with 2048'):
        choose_context(2049, small, path)


def test_metadata_is_read_past_arrays(tmp_path: Path) -> None:
    """Keys with one value are found behind arrays, which are stepped over."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    pairs = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc"),
        text("scores") + struct.pack("<IIQ", 9, 6, 3) + struct.pack("<3f", 1, 2, 3),
        text("llama.context_length") + struct.pack("<II", 4, 8192),
        text("add_bos") + struct.pack("<I?", 7, True),
    ]
    whole = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs)
    path = tmp_path / "m.gguf"
    path.write_bytes(whole)
    assert read_metadata(path) == {"general.architecture": "llama", "llama.context_length": 8192, "add_bos": True}
    for broken in (b"", b"GG", b"nonsense" * 9, *(whole[:size] for size in range(4, len(whole)))):
        path.write_bytes(broken)
        assert read_metadata(path) == {}
    assert read_metadata(tmp_path / "none.gguf") == {}


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without xllamacpp, opening says which extra installs it."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingExtraError, match=r"\(extra llamacpp\): run `.*xllamacpp"):
        run(engine().open())


def test_there_is_at_least_one_core() -> None:
    """The default for threads is a number that can be used, wherever this runs."""
    assert usable_physical_cores() >= 1


# The whole, on real models


@pytest.fixture(scope="session")
def chat_model() -> str:
    """A model with a chat template."""
    return models.resolve("smollm2-135m", Path()).path


@pytest.fixture(scope="session")
def base_model() -> str:
    """A model without one."""
    return models.resolve("gemma3-270m", Path()).path


@pytest.fixture(scope="module")
def chat(chat_model: str) -> Iterator[LlamaCppEngine]:
    """The chat model, open, with four slots of 256 tokens."""
    opened = engine(chat_model, slots=4, context=256)
    info = run(opened.open())
    assert info.chat_template == "model"
    assert (info.details["context_tokens"], info.details["slots"], info.details["quantisation"]) == (256, 4, "Q4_1")
    yield opened
    run(opened.close())


def busy(opened: LlamaCppEngine) -> list[bool]:
    return [slot["is_processing"] for slot in opened._ask("GET", "/slots")]


def tokens(opened: LlamaCppEngine, text: str, *, whole_prompt: bool = False) -> int:
    asked = {"content": text, "add_special": whole_prompt, "parse_special": whole_prompt}
    return len(ask(opened._server, opened._key, "POST", "/tokenize", asked)["tokens"])


async def stopped(opened: LlamaCppEngine, asked: Request, when: Callable[[Stamps], bool]) -> Generation:
    """The generation, cancelled as soon as ``when`` holds of what has arrived."""
    stamps = Stamps()
    task = asyncio.ensure_future(opened.generate(opened.prepare(asked), stamps))
    while not when(stamps):  # noqa: ASYNC110 - no event: nothing but the stamp may run in that thread
        await asyncio.sleep(0.002)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return opened.read(stamps)


def test_answer_marks_and_counts(chat: LlamaCppEngine) -> None:
    """Marks grow to the text's bytes, and the counts are those of the model's own tokenizer, its end included."""
    question = "What is the capital of France? Answer in one sentence."
    generation = run(generate(chat, request(question)))
    assert "Paris" in generation.text
    assert generation.reasoning == ""
    assert generation.finish_reason == "stop"
    arrivals = generation.arrivals
    assert arrivals[-1].visible_bytes == len(generation.text.encode())
    assert all(a.ns <= b.ns and a.visible_bytes < b.visible_bytes for a, b in pairwise(arrivals))
    assert generation.finish_ns is not None
    assert generation.finish_ns >= arrivals[-1].ns
    messages = {"messages": [{"role": "user", "content": question}]}
    prompt = ask(chat._server, chat._key, "POST", "/apply-template", messages)["prompt"]
    assert generation.usage == Usage(
        prompt_tokens=tokens(chat, prompt, whole_prompt=True),
        output_tokens=tokens(chat, generation.text) + 1,
        reasoning_tokens=0,
        cached_tokens=0,
        token_source="engine",
    )


def test_temperature_and_seed(chat: LlamaCppEngine) -> None:
    """Temperature 0 does not depend on the seed; at 1 a seed gives the same text again, and another one another."""

    async def texts(**sampling: float) -> list[str]:
        return [(await generate(chat, request("Tell a story.", 16, seed=s, **sampling))).text for s in (1, 1, 2)]

    greedy = run(texts())
    assert greedy[0] == greedy[1] == greedy[2]
    first, again, other = run(texts(temperature=1.0))
    assert first == again != other
    assert run(texts(temperature=1.0, top_p=1e-6)) == greedy


def test_limit_and_stop(chat: LlamaCppEngine) -> None:
    """The limit ends an answer with "length" and exactly that many tokens; a stop text ends it and is left out."""

    async def both() -> tuple[Generation, Generation]:
        limited = await generate(chat, request("Tell a story.", 3))
        counting = request("Count.", 32, stop=("four", "five"))
        return limited, await generate(chat, counting, grammar='root ::= "one, two, three, four, five, six."')

    limited, ended = run(both())
    assert (limited.finish_reason, limited.usage.output_tokens) == ("length", 3)
    assert (ended.finish_reason, ended.text) == ("stop", "one, two, three, ")


def test_prompt_beyond_the_context(chat: LlamaCppEngine) -> None:
    """A prompt that does not fit is a context overflow in llama.cpp's words, and the engine goes on."""
    with pytest.raises(ContextOverflowError, match="256 tokens"):
        run(generate(chat, request("hello " * 300)))
    assert run(generate(chat, request("Hello", 2))).usage.output_tokens == 2


def test_answer_beyond_the_context(chat: LlamaCppEngine) -> None:
    """An answer that fills the context before its limit is an overflow, not a truncation; its text is kept."""

    async def overflow() -> Generation:
        payload, stamps = chat.prepare(request("1 2 3 4 5 6 7 8 9 " * 10, 250)), Stamps()
        payload.body["ignore_eos"] = True
        with pytest.raises(ContextOverflowError, match="full after"):
            await chat.generate(payload, stamps)
        return chat.read(stamps)

    generation = run(overflow())
    assert generation.text
    assert (generation.usage.prompt_tokens or 0) + (generation.usage.output_tokens or 0) == 256


def test_refusal_in_its_own_words(chat: LlamaCppEngine) -> None:
    """What llama.cpp refuses is an engine error that repeats its reason."""
    with pytest.raises(EngineError, match="max_tokens"):
        run(generate(chat, request("Hello"), max_tokens="many"))


def test_stop_while_writing(chat: LlamaCppEngine) -> None:
    """A cancelled answer leaves its text without counts, and its slot free."""
    generation = run(stopped(chat, request("Write a long story.", 200), lambda s: len(chat.read(s).arrivals) > 2))
    assert len(generation.arrivals) > 2
    assert (generation.finish_reason, generation.finish_ns, generation.usage) == (None, None, Usage())
    assert not any(busy(chat))
    assert run(generate(chat, request("Hello", 2))).usage.output_tokens == 2


def test_stop_while_reading(chat: LlamaCppEngine) -> None:
    """A prompt that is being read can be stopped too, and the slot is free when the cancellation comes through."""
    generation = run(stopped(chat, request("a fox jumps. " * 30), lambda s: bool(s.arrivals)))
    assert (generation.text, generation.usage) == ("", Usage())
    assert not any(busy(chat))


def test_four_at_once(chat: LlamaCppEngine) -> None:
    """As many requests as slots run together: each has begun before any has ended."""

    async def four() -> list[Generation]:
        asked = [request(f"Write a story about the {word}.", 32) for word in ("sea", "sun", "cat", "dog")]
        return list(await asyncio.gather(*(generate(chat, each, ignore_eos=True) for each in asked)))

    generations = run(four())
    assert [generation.usage.output_tokens for generation in generations] == [32] * 4
    assert max(g.arrivals[0].ns for g in generations) < min(g.finish_ns or 0 for g in generations)


def test_no_character_is_split(chat: LlamaCppEngine) -> None:
    """Characters of several tokens arrive whole, and one that the limit cuts is not half there."""
    faces = "root ::= [\U0001f600-\U0001f64f]+"
    generation = run(generate(chat, request("Smile!", 11), grammar=faces))
    assert generation.usage.output_tokens == 11
    assert 0 < len(generation.text) < 11
    shown = [arrival.visible_bytes for arrival in generation.arrivals if arrival.visible_bytes]
    assert shown == [4 * n for n in range(1, len(generation.text) + 1)]


def test_nothing_is_cached_unless_asked(
    chat: LlamaCppEngine, chat_model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A repeated prompt is computed again by default, reused with ``prompt_cache``; nothing is written to stdout."""

    async def twice(opened: LlamaCppEngine) -> list[int | None]:
        return [(await generate(opened, request("What is the sea?", 2))).usage.cached_tokens for _ in range(2)]

    assert run(twice(chat)) == [0, 0]
    caching = engine(chat_model, context=256, prompt_cache=True, chat_template="plain", threads=1, flash_attention=True)
    info = run(caching.open())
    assert info.chat_template == "plain"
    assert (info.details["threads"], info.details["options"]["prompt_cache"]) == (1, True)
    first, second = run(twice(caching))
    assert first == 0
    assert second
    run(caching.close())
    assert capfd.readouterr().out == ""


THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n{% endif %}{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if reasoning_effort %}Effort: {{ reasoning_effort }}\n{% endif %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n{% else %}<think>\n{% endif %}{% endif %}"
)
"""A template that has any model think, for it begins each answer with the tag itself."""


def test_effort_and_budget_reach_a_model_that_reasons(chat_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a budget the whole answer is thought; with one the thought ends there and an answer follows; the effort
    stands in the prompt.
    """

    def thinking(*arguments: Any, **keys: Any) -> Any:
        params = make_params(*arguments, **keys)
        params.chat_template = THINKING
        return params

    monkeypatch.setattr("taskpace.engines.llamacpp.engine.make_params", thinking)

    async def answer(**options: Any) -> Generation:
        opened = engine(chat_model, context=256, **options)
        await opened.open()
        generation = await generate(opened, request("What is the sea?", 24))
        await opened.close()
        return generation

    unbound, bound, high = (
        run(answer(**options)) for options in ({}, {"thinking_budget": 5}, {"reasoning_effort": "high"})
    )
    assert (unbound.text, unbound.finish_reason) == ("", "length")
    assert unbound.reasoning.startswith(bound.reasoning.rstrip())
    assert 0 < len(bound.reasoning) < len(unbound.reasoning) / 2
    assert bound.text
    assert (high.usage.prompt_tokens or 0) > (unbound.usage.prompt_tokens or 0)


@pytest.mark.parametrize("options", [{"reasoning_effort": "low"}, {"thinking_budget": 9, "chat_template": "plain"}])
def test_control_of_a_reasoning_that_there_is_not_is_refused(chat_model: str, options: dict[str, Any]) -> None:
    """A template without an effort, or no template: an error that says so, for it would be ignored silently."""
    with pytest.raises(ExperimentError, match="leave "):
        run(engine(chat_model, context=256, **options).open())


async def converse(opened: LlamaCppEngine, name: str, text: str, think_s: float = 0.0) -> list[tuple[int, int]]:
    """Three turns; the prompt tokens and the cached tokens of each."""
    messages, counts = [Message("user", text)], []
    for turn in range(3):
        asked = request(
            "",
            48,
            messages=tuple(messages),
            stop=(".", ",", " the", " is", " and"),
            trial_id=name,
            turn=turn,
            last=turn == 2,
        )
        generation = await generate(opened, asked)
        assert generation.finish_reason == "stop"
        counts.append((generation.usage.prompt_tokens or 0, generation.usage.cached_tokens or 0))
        messages += [Message("assistant", generation.text), Message("user", "And then?")]
        await asyncio.sleep(think_s)
    return counts


def test_a_conversation_has_its_own_past_cached_and_no_other(chat_model: str) -> None:
    """Two slots, conversations that begin alike: a first turn has nothing cached, a later one all that was asked and
    said before it, whether one goes on alone, two at once, or several while one pauses. A third at the same time takes
    another's slot, whose next turn then has nothing, and never what the third has left.
    """
    opened = engine(chat_model, slots=2, context=512)
    begin = "What is the sea like in"

    async def several(*months: str, think_s: float = 0.0) -> list[list[tuple[int, int]]]:
        return list(
            await asyncio.gather(*(converse(opened, f"{m} {think_s}", f"{begin} {m}?", think_s) for m in months))
        )

    async def all_ways() -> tuple[list[list[tuple[int, int]]], list[list[tuple[int, int]]]]:
        await opened.open()
        found = [*await several("May"), *await several("June"), *await several("May", "July", think_s=0.02)]
        slow = asyncio.ensure_future(several("April", think_s=0.3))
        await asyncio.sleep(0.02)
        found += [*await several("May"), *await several("June"), *await several("July"), *await slow]
        crowded = await several("May", "June", "July", think_s=0.03)
        await opened.close()
        return found, crowded

    found, crowded = run(all_ways())
    for first, second, third in found:
        assert first[1] == 0
        assert second[1] > first[0]
        assert third[1] > second[0]
    for first, second, third in crowded:
        assert first[1] == 0
        assert second[1] == 0 or second[1] > first[0]
        assert third[1] == 0 or third[1] > second[0]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40),
    st.integers(1, 3),
)
def test_a_slot_is_said_to_hold_only_what_was_last_given_back_there(turns: list[tuple[int, bool]], slots: int) -> None:
    """Whatever order turns come in, a slot that is said to hold a conversation was given back by it, last of all."""
    table, last = SlotTable(slots), dict[int, str | None]()
    for number, goes_on in turns:
        conversation = str(number)
        known = conversation in last.values()
        slot, own = table.take(conversation, begins=False)
        assert own == known == (last.get(slot) == conversation)
        assert own or last.get(slot) is None or None not in [last.get(each) for each in range(slots)]
        last[slot] = conversation if goes_on else None
        table.give_back(slot, last[slot])


def test_base_model_gets_plain_text(base_model: str) -> None:
    """A model without a template is given the plain rendering, and llama.cpp's stand-in template is not used."""
    base = engine(base_model, context=256, threads=None)
    info = run(base.open())
    assert info.chat_template == "plain"
    assert (info.details["architecture"], info.details["training_context_tokens"]) == ("gemma3", 32768)
    turns = (Message("system", "You know things."), Message("user", "The capital of France is"))
    generation = run(generate(base, request("", 12, messages=turns)))
    assert generation.finish_reason == "length"
    assert generation.text
    assert generation.usage.prompt_tokens == tokens(base, render_plain(turns), whole_prompt=True)
    run(stopped(base, request("Once upon a time", 200), lambda s: len(base.read(s).arrivals) > 2))
    assert not any(busy(base))
    run(base.close())


def test_close_frees_the_server(chat_model: str) -> None:
    """After closing, nothing listens any more, even while an error of a request is still held; twice is once."""
    opened = engine(chat_model, context=256)
    run(opened.open())
    with pytest.raises(ContextOverflowError) as held:
        run(generate(opened, request("hello " * 300)))
    host, _, port = opened._server.listening_address.partition("://")[2].partition(":")
    run(opened.close())
    run(opened.close())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5).close()
    assert held.value


@pytest.fixture
def one_core() -> Iterator[None]:
    """Threads that begin here share one core, so that none gets ahead of whom it waits for by luck."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.usefixtures("one_core")
def test_a_server_that_is_ended_as_soon_as_it_is_loaded_ends(chat_model: str) -> None:
    """What ``load`` gives can be ended at once: its main loop runs, for which its end would else wait for ever."""
    xllamacpp, options = import_xllamacpp(), read_options({"threads": 1})
    for _ in range(3):
        params = make_params(xllamacpp, options, model=chat_model, slots=1, context=256, threads=1, key="k")
        server = load(xllamacpp, params, Path(chat_model), "k")
        host, _, port = server.listening_address.partition("://")[2].partition(":")
        del server
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=5).close()


def test_nobody_else_can_use_the_server(chat: LlamaCppEngine) -> None:
    """The port that llama.cpp opens on this machine refuses whoever has not the engine's key."""
    connection = http.client.HTTPConnection(chat._server.listening_address.partition("://")[2], timeout=10)
    connection.request("POST", "/v1/completions", b'{"prompt": "x", "max_tokens": 1}')
    assert connection.getresponse().status == http.HTTPStatus.UNAUTHORIZED
    connection.close()


@pytest.mark.real_model
def test_file_that_is_no_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that llama.cpp cannot load is an error of one line with its name, the reason and a remedy."""
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(
        ModelError, match=r"^broken\.gguf cannot be loaded by llama\.cpp: .+: get the file again"
    ) as bad:
        run(engine(str(path)).open())
    assert "\n" not in str(bad.value)
    assert capfd.readouterr().out == ""


def test_more_slots_than_there_are(chat_model: str) -> None:
    """A concurrency beyond llama.cpp's own limit is refused with that limit."""
    with pytest.raises(ExperimentError, match="256 slots at most"):
        run(engine(chat_model, slots=257).open())
