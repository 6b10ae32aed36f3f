"""A sentence on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from taskpace.text.safe_text import wrapped


def print_sentence(console: Console, text: str, style: str = "") -> None:
    """Print ``text`` in lines as wide as the terminal; a command in it stays in one, so that it can be pasted."""
    for line in wrapped(text, console.width):
        console.print(Text(line, style=style), soft_wrap=True)
