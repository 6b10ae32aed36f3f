"""A tokenizer that was read wrongly from a GGUF file is refused, before it prompts a model with scraps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from taskpace.engines.transformers import gguf_tokens
from taskpace.engines.transformers.gguf_tokens import check_tokenizer
from taskpace.errors import ModelError

WORDS = [f"{first}{second}rain" for first in "bcdfgklmnp" for second in "aeiou"]


class Reader:
    """A tokenizer of whole words, each with the space before it; some of them come apart into letters."""

    bos_token, bos_token_id = "<bos>", 7

    def __init__(
        self, *, apart: int = 0, begins: bool = True, space: str = "▁", chat_template: str | None = None
    ) -> None:
        self.chat_template = chat_template
        self.vocabulary = {space + word: number for number, word in enumerate(WORDS, 100)} | {"<bos>": 7, "x": 8}
        self.apart, self.begins = set(WORDS[:apart]), begins

    def get_vocab(self) -> dict[str, int]:
        return self.vocabulary

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        pieces = [letter for word in text.split() for letter in (word if word in self.apart else [word])]
        return [7] * (add_special_tokens and self.begins) + [hash(piece) for piece in pieces]


@pytest.fixture
def says(monkeypatch) -> Callable[[object], None]:
    """Sets whether the file asks for a token at the beginning; null: it does not say."""

    def say(asked: object) -> None:
        said = {} if asked is None else {"tokenizer.ggml.add_bos_token": asked}
        monkeypatch.setattr(gguf_tokens, "read_metadata", lambda _file: said)

    return say


@pytest.mark.parametrize("space", ["▁", "Ġ"])
@pytest.mark.parametrize(("asked", "begins"), [(True, True), (False, False), (None, False), (False, True)])
def test_a_tokenizer_that_keeps_its_words_is_taken(says, space, asked, begins):
    """A word or two may come apart (a normaliser), and only a token that the file asks for must begin a text."""
    says(asked)
    check_tokenizer(Reader(apart=5, begins=begins, space=space), Path("m.gguf"))


@pytest.mark.parametrize("written", ["{{ bos_token }}{{ messages }}", "<bos>{{ messages }}"])
def test_a_chat_template_may_write_the_token_itself(says, written):
    """As Gemma's does: transformers then leaves it out on purpose."""
    says(True)
    check_tokenizer(Reader(begins=False, chat_template=written), Path("m.gguf"))


@pytest.mark.parametrize(
    ("reader", "wrong"),
    [
        (Reader(apart=6), "6 of 50 words of its vocabulary come apart"),
        (Reader(begins=False), "texts lack the token that the file says they begin with"),
    ],
)
def test_a_tokenizer_that_contradicts_its_file_is_refused_with_the_remedy(says, reader, wrong):
    """As transformers 5.17 read Gemma 3, and as 5.22 did."""
    says(True)
    with pytest.raises(ModelError, match=rf"reads the tokenizer of m.gguf wrongly: {wrong}: .*transformers>=5.23"):
        check_tokenizer(reader, Path("m.gguf"))
