"""Tokenizers side by side, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from taskpace.report.terminal.sentence import print_sentence
from taskpace.text.safe_text import one_line
from taskpace.tokenizers import TokenizerRow

_LONGEST_NAME = 32


def print_tokenizers(rows: list[TokenizerRow], console: Console) -> None:
    """A column for each model; parts of the text below each other, so that many languages fit."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("bytes per token")
    for row in rows:
        table.add_column(one_line(row.model, _LONGEST_NAME), justify="right", overflow="fold")
    for part in rows[0].bytes_per_token:
        table.add_row(part, *(f"{row.bytes_per_token[part]:.2f}" for row in rows))
    table.add_row(Text("common text", style="bold"), *(Text(f"{row.common:.2f}", style="bold") for row in rows))
    table.add_row("vocabulary", *(str(row.vocabulary) for row in rows))
    table.add_row("tokens for the same text", *(f"{row.relative_tokens:.2f} x" for row in rows))
    console.print(table)
    for line in sentences(rows):
        print_sentence(console, line)


def sentences(rows: list[TokenizerRow]) -> Iterable[str]:
    """Who shares a tokenizer, and what the difference does to tokens per second."""
    for group in dict.fromkeys(row.group for row in rows):
        members = [one_line(row.model) for row in rows if row.group == group]
        if len(members) > 1:
            yield f"{' and '.join(members)} share a tokenizer: the same tokens for everything here."
    most = max(rows, key=lambda row: row.relative_tokens)
    least = min(rows, key=lambda row: row.relative_tokens)
    if most.relative_tokens > least.relative_tokens:
        ratio = most.relative_tokens / least.relative_tokens
        needs = f"{one_line(most.model)} needs {ratio:.2f} times the tokens of {one_line(least.model)}"
        shows = f"it shows {ratio:.2f} times the tokens per second"
        yield f"For the common text {needs}: writing equally fast, {shows}."
