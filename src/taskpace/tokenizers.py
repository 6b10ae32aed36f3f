"""Tokenizers side by side: how much text a token holds, and which models share a tokenizer.

Tokens per second compare only between models whose tokens hold the same text: the paper (arXiv 2502.16721) found that
tokenizers cut the same text into different numbers of tokens.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from taskpace import models
from taskpace.engines.transformers.load import load_tokenizer
from taskpace.tasks import load_items, load_task, render

Encode = Callable[[str], list[int]]
_PROMPT_TASKS = ("mmlu-letter", "mmlu-paraphrase", "mmlu-explain")
_PROMPT_ITEMS = 40
PROMPTS = "prompts"


class TokenizerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model's tokenizer."""

    model: str
    vocabulary: int
    """How many different tokens it has."""
    bytes_per_token: dict[str, float]
    """UTF-8 bytes / tokens: of each part of the common text, and of the shipped tasks' prompts (``prompts``)."""
    common: float
    """UTF-8 bytes / tokens of the whole common text: tokenizer efficiency."""
    relative_tokens: float
    """Tokens that it needs for the common text / the fewest that any needs: at the same bytes per second so many times
    the tokens per second."""
    group: int
    """Models with the same number share a tokenizer: the same tokens for everything here. From 1."""


def common_text() -> dict[str, str]:
    """The fixed common text by part."""
    parts: dict[str, str] = tomllib.loads(files("taskpace").joinpath("common_text.toml").read_text("utf-8"))["parts"]
    return {name: text.strip() for name, text in parts.items()}


def task_prompts() -> str:
    """The first prompts of the shipped tasks, as one text."""
    here = Path()
    tasks = [load_task(name, here) for name in _PROMPT_TASKS]
    return "\n\n".join(
        turn for task in tasks for item in load_items(task, here, _PROMPT_ITEMS, 0) for turn in render(task, item)
    )


def open_tokenizer(reference: str, *, fetch: bool = True) -> Any:
    """By catalogue name, file, folder or hub name. Raises ``TaskpaceError`` in one line for one that cannot be had."""
    file = models.resolve(reference, Path(), fetch=fetch).path if models.names_a_file(reference) else reference
    return load_tokenizer(file)


def compare_tokenizers(encoders: Mapping[str, tuple[int, Encode]], texts: Mapping[str, str]) -> list[TokenizerRow]:
    """One row for each model, in the order given. Pure.

    Args:
        encoders: by model, the size of the vocabulary and what turns text into token numbers, without special tokens.
        texts: the parts of the common text, and ``prompts``.
    """
    cut = {model: {name: encode(text) for name, text in texts.items()} for model, (_, encode) in encoders.items()}
    common = [name for name in texts if name != PROMPTS]
    totals = {model: sum(len(parts[name]) for name in common) for model, parts in cut.items()}
    fewest = min(totals.values())
    groups: list[object] = []
    rows = []
    for model, parts in cut.items():
        if parts not in groups:
            groups.append(parts)
        rows.append(
            TokenizerRow(
                model=model,
                vocabulary=encoders[model][0],
                bytes_per_token={name: _size(texts, [name]) / len(tokens) for name, tokens in parts.items()},
                common=_size(texts, common) / totals[model],
                relative_tokens=totals[model] / fewest,
                group=groups.index(parts) + 1,
            )
        )
    return rows


def _size(texts: Mapping[str, str], names: Iterable[str]) -> int:
    return sum(len(texts[name].encode()) for name in names)
