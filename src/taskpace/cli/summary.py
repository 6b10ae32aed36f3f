"""``taskpace summary``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console


@click.command()
@click.argument("run_file", type=click.Path(path_type=Path))
def summary(run_file: Path) -> None:
    """Show the table per task of RUN_FILE, finished or not."""
    print_run(run_file)


def print_run(run_file: Path) -> None:
    """The tables of a run file, on standard output."""
    from taskpace.analysis.summary import summarise
    from taskpace.report.terminal import print_summary
    from taskpace.store import Store

    with Store.open(run_file) as store:
        print_summary(summarise(store), Console(highlight=False))
