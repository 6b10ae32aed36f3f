"""Whether transformers has read the tokenizer of a GGUF file as the file means it.

5.17 made the merges of Gemma 3 wrongly, and 5.22 still left out the token that begins its texts: a prompt of 74 tokens
became one of 136, and the model wrote to its limit. Nothing said so. What the file says of its own vocabulary does.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from taskpace.errors import ModelError
from taskpace.models.gguf_header import read_metadata
from taskpace.text.safe_text import one_line

_WORD = re.compile(r"[▁Ġ]([a-z]{4,})")
"""A word with the space before it, as SentencePiece and byte-level vocabularies write it."""
_WORDS, _APART = 200, 0.1
"""How many of the vocabulary's words are tried, which share may come apart: a word of it is one token."""


def check_tokenizer(tokenizer: Any, file: Path) -> None:
    """Hold the tokenizer that was made of ``file`` against what the file says.

    Raises:
        ModelError: words of its vocabulary come apart, or a text does not begin as the file says.
    """
    words = [found[1] for piece in tokenizer.get_vocab() if (found := _WORD.fullmatch(piece))]
    words = sorted(words)[:: max(1, len(words) // _WORDS)]
    parted = sum(_length(tokenizer, f"x {word}") - _length(tokenizer, "x") > 1 for word in words)
    if parted > _APART * len(words):
        wrong = f"{parted} of {len(words)} words of its vocabulary come apart"
    elif _begins(file, tokenizer) and tokenizer.encode("a")[:1] != [tokenizer.bos_token_id]:
        wrong = "texts lack the token that the file says they begin with"
    else:
        return
    raise ModelError(
        f"transformers {version('transformers')} reads the tokenizer of {one_line(str(file))} wrongly: {wrong}: "
        f'`python3 -m pip install -U "transformers>=5.23"`'
    )


def _length(tokenizer: Any, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False))


def _begins(file: Path, tokenizer: Any) -> bool:
    """Whether the file asks for a token at the beginning of each text, and no chat template writes it."""
    written = getattr(tokenizer, "chat_template", None) or ""
    if "bos_token" in written or (tokenizer.bos_token and tokenizer.bos_token in written):
        return False
    return bool(read_metadata(file).get("tokenizer.ggml.add_bos_token"))
