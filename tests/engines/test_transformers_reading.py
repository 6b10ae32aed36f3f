"""From tokens to text in the engine ``transformers``: reasoning and special tokens, without a model or PyTorch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from taskpace.engines.base import Generation, Message, Request, Sampling, Stamps
from taskpace.engines.transformers.engine import End, TransformersEngine
from taskpace.engines.transformers.reading import special_tokens
from taskpace.records import Arrival


class Words:
    """A tokenizer whose tokens are words; those in angle brackets are special."""

    chat_template = "any"

    def __init__(self, *words: str, template: str = "") -> None:
        self._words, self._template = words, template
        self.added_tokens_decoder = {
            number: Special(word) for number, word in enumerate(words) if word.startswith(("<", "["))
        }
        self.all_special_ids = [number for number in self.added_tokens_decoder if "eos" in words[number]]

    def decode(self, tokens: list[int], *, skip_special_tokens: bool) -> str:
        assert not skip_special_tokens
        return "".join(self._words[token] for token in tokens)

    def apply_chat_template(self, *_: Any, **__: Any) -> str:
        return f"user: hello\nassistant: {self._template}"

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [0] * len(text)}


class Special(str):
    __slots__ = ()
    special = True


def engine_of(tokenizer: Words) -> TransformersEngine:
    engine = TransformersEngine.__new__(TransformersEngine)
    model = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=None))
    engine._loaded = SimpleNamespace(tokenizer=tokenizer, device="cpu", model=model)
    engine._options = SimpleNamespace(chat_template="model")
    return engine


def read(*words: str, template: str = "", reason: str = "stop") -> Generation:
    """What is read of these tokens, a step each."""
    engine = engine_of(Words(*words, template=template))
    asked = Request(
        messages=(Message("user", "hello"),), max_tokens=9, stop=(), sampling=Sampling(), seed=0, trial_id="t"
    )
    payload = engine.prepare(asked)
    stamps = Stamps()
    stamps.arrivals += [(number + 1, number) for number in range(len(words))]
    stamps.arrivals.append((len(words), End(reason, 3, (), payload.opened)))
    return engine.read(stamps)


@pytest.mark.parametrize(
    ("opens", "closes"),
    [("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<|START_THINKING|>", "<|END_THINKING|>")],
)
def test_special_tokens_that_mark_reasoning_are_kept(opens, closes):
    """Other special tokens show nothing; what came before the answer's first token is reasoning, markers included."""
    found = read("<bos>", opens, "It is A?", closes, "\n\n", "B", ".", "<eos>")
    assert (found.reasoning, found.text) == ("It is A?", "B.")
    assert found.arrivals == (Arrival(2, 0, 0), Arrival(3, 0, 8), Arrival(6, 1, 8), Arrival(7, 2, 8))
    assert (found.usage.output_tokens, found.usage.reasoning_tokens) == (8, 5)


def test_without_reasoning_nothing_is_counted_as_such():
    """An answer alone, with its end of sequence."""
    found = read("B", ".", "<eos>")
    assert (found.reasoning, found.text, found.usage.reasoning_tokens) == ("", "B.", 0)
    assert found.arrivals == (Arrival(1, 1, 0), Arrival(2, 2, 0))


def test_a_template_that_opens_the_reasoning_is_believed():
    """The text begins with reasoning, with a closing marker and, at the limit, without one."""
    found = read("It is A?", "</think>", "B", template="<think>\n")
    assert (found.reasoning, found.text, found.usage.reasoning_tokens) == ("It is A?", "B", 2)
    found = read("It is", " A?", template="<think>\n", reason="length")
    assert (found.reasoning, found.text, found.usage.reasoning_tokens) == ("It is A?", "", 2)
    found = read("It is", " A?", template="<think>\n\n</think>\n\n")
    assert (found.reasoning, found.text) == ("", "It is A?")


def test_channels_are_put_together_from_their_special_tokens():
    """Harmony's markers are several tokens each, and the end is none of the answer's."""
    found = read("<|channel|>", "analysis", "<|message|>", "A?", "<|end|>", "<|start|>", "assistant", "<|channel|>",
                 "final", "<|message|>", "B", "<|return|>")  # fmt: skip
    assert (found.reasoning, found.text, found.usage.reasoning_tokens) == ("A?", "B", 10)


def test_an_end_of_turn_is_no_text():
    """Phi ends its turns with a token that Harmony has within a marker."""
    assert read("B", "<|end|>").text == "B"


def test_special_tokens_are_those_that_the_tokenizer_names():
    """Added ones that are marked so, and all that have a role; markers among them are not dropped."""
    found = special_tokens(Words("a", "<think>", "<eos>", "<pad>"))
    assert found.all == {1, 2, 3}
    assert found.dropped == {2, 3}
