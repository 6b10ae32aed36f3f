"""``taskpace summary``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from taskpace.analysis.schema.summary import Summary


@click.command()
@click.argument("run_file", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json", "markdown", "csv"]),
    default="terminal",
    show_default=True,
    help="json: everything (docs/summary-json.md); markdown: for a page or a pull request; csv: one row for each cell.",
)
@click.option("--plots", is_flag=True, help="Draw charts below each table, for a terminal.")
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds, for goodput, in place of the experiment's.",
)
@click.option("--resamples", type=click.IntRange(min=0), help="Of the bootstrap; 0: none.  [default: 10000]")
@click.option("--reference", metavar="SYSTEM", help="What the mean over all tasks compares with.  [default: the first]")
def summary(
    run_file: Path, form: str, *, plots: bool, deadline: float | None, resamples: int | None, reference: str | None
) -> None:
    """Show the table per task of RUN_FILE, finished or not."""
    if form == "terminal":
        print_run(run_file, resamples, deadline_s=deadline, plots=plots, reference=reference)
        return
    if plots:
        raise click.UsageError(f"--plots draws on a terminal, not as {form}: leave it out, or see `taskpace chart`")
    # Bytes, not text: the same run gives the same file on every machine, whatever its encoding and line ends.
    click.echo(_rendered(_summarised(run_file, resamples, deadline, reference), form).encode(), nl=False)


def print_run(
    run_file: Path,
    resamples: int | None = None,
    *,
    deadline_s: float | None = None,
    plots: bool = False,
    reference: str | None = None,
) -> None:
    """The tables of a run file, on standard output. ``resamples``: of the bootstrap; null for the default."""
    from rich.console import Console

    from taskpace.report.terminal.document import print_summary

    print_summary(_summarised(run_file, resamples, deadline_s, reference), Console(highlight=False), plots=plots)


def _summarised(run_file: Path, resamples: int | None, deadline_s: float | None, reference: str | None) -> Summary:
    from taskpace.analysis.stats.bootstrap import RESAMPLES
    from taskpace.analysis.summary import summarise
    from taskpace.store.store import Store

    with Store.open(run_file) as store:
        return summarise(
            store,
            resamples=RESAMPLES if resamples is None else resamples,
            deadline_s=deadline_s,
            reference=reference,
        )


def _rendered(view: Summary, form: str) -> str:
    if form == "json":
        from taskpace.report.files.json_text import json_text

        return json_text(view)
    if form == "markdown":
        from taskpace.report.files.markdown import summary_markdown

        return summary_markdown(view)
    from taskpace.report.files.csv_table import summary_csv

    return summary_csv(view)
