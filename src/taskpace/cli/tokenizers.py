"""``taskpace tokenizers``."""

from __future__ import annotations

from functools import partial

import click


@click.command()
@click.argument("model", nargs=-1, required=True)
@click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal", show_default=True)
@click.option("--no-fetch", is_flag=True, help="Download nothing: fail if a model is not here.")
def tokenizers(model: tuple[str, ...], form: str, no_fetch: bool) -> None:
    """Compare the tokenizers of each MODEL on one fixed text and on the tasks' prompts.

    MODEL is a name of `taskpace list models`, a GGUF file, a folder or a hub name. Needs the extra transformers.
    """
    from rich.console import Console

    from taskpace.report.files.json_text import json_text
    from taskpace.report.terminal.tokenizers import print_tokenizers
    from taskpace.tokenizers import PROMPTS, common_text, compare_tokenizers, open_tokenizer, task_prompts

    encoders = {}
    for name in dict.fromkeys(model):
        tokenizer = open_tokenizer(name, fetch=not no_fetch)
        encoders[name] = (len(tokenizer), partial(tokenizer.encode, add_special_tokens=False))
    rows = compare_tokenizers(encoders, common_text() | {PROMPTS: task_prompts()})
    if form == "json":
        click.echo(json_text(rows).encode(), nl=False)
    else:
        print_tokenizers(rows, Console(highlight=False))
