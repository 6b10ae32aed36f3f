"""``taskpace summary``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from taskpace.cli.prices import price_option, prices_by_run

if TYPE_CHECKING:
    from taskpace.analysis.schema.summary import Summary
    from taskpace.report.words.commands import RunFile


@click.command()
@click.argument("run_files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN_FILE...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json", "markdown", "csv"]),
    default="terminal",
    show_default=True,
    help="json: everything (docs/summary-json.md); markdown: for a page or a pull request; csv: one row for each cell.",
)
@click.option("--full", is_flag=True, help="The long form: every task's table, its conclusions and findings.")
@click.option("--task", metavar="NAME", help="The long form of one task.")
@click.option("--plots", is_flag=True, help="Draw charts below each table of the long form.")
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds, for goodput, in place of the experiment's.",
)
@click.option("--resamples", type=click.IntRange(min=0), help="Bootstrap resamples; 0: none.  [default: 10000]")
@click.option(
    "--reference",
    metavar="SYSTEM",
    help="The system that the mean over all tasks is relative to.  [default: the first]",
)
@price_option
def summary(
    run_files: tuple[Path, ...],
    form: str,
    *,
    full: bool,
    task: str | None,
    plots: bool,
    deadline: float | None,
    resamples: int | None,
    reference: str | None,
    prices: tuple[str, ...],
) -> None:
    """Show who finishes first in RUN_FILE, finished or not, who only looks fast, why, and what to do.

    Several files of one experiment, such as one for each task, are read as one run. Each trial must be in one of them
    alone; systems are compared within a file.
    """
    long = full or task is not None or plots
    if form == "terminal" and not long:
        print_short(*run_files, resamples=resamples, deadline_s=deadline, reference=reference, prices=prices)
        return
    if form != "terminal" and (plots or task is not None):
        if plots:
            raise click.UsageError(f"--plots draws on a terminal, not as {form}: leave it out, or see `taskpace chart`")
        raise click.UsageError(f"--task is for a terminal, and {form} has all tasks: leave one of the two out")
    summarised, file = _summarised(run_files, resamples, deadline, reference, prices)
    if form != "terminal":
        # Bytes, not text: the same run gives the same file on every machine, whatever its encoding and line ends.
        click.echo(_rendered(summarised, form, file).encode(), nl=False)
        return
    from rich.console import Console

    from taskpace.report.terminal.document import print_summary

    if task is not None:
        _check_task(task, summarised)
    print_summary(summarised, Console(highlight=False), file=file, task=task, plots=plots)


def print_short(
    *run_files: Path,
    resamples: int | None = None,
    deadline_s: float | None = None,
    reference: str | None = None,
    known: bool = False,
    prices: tuple[str, ...] = (),
) -> None:
    """The answer of a run, on standard output.

    Args:
        run_files: all files of the run.
        resamples: of the bootstrap; null for the default.
        deadline_s: for goodput; null for the experiment's.
        reference: the system that the mean over all tasks compares with; null for the first.
        known: as of ``Store.open``.
        prices: as ``--price`` gives them.
    """
    from rich.console import Console

    from taskpace.report.terminal.answer import print_answer

    summarised, file = _summarised(run_files, resamples, deadline_s, reference, prices, known=known)
    print_answer(summarised, Console(highlight=False), files=tuple(map(str, run_files)), file=file)


def _check_task(task: str, summarised: Summary) -> None:
    from taskpace.errors import TaskpaceError
    from taskpace.text.strict import did_you_mean

    names = list(dict.fromkeys(table.task for table in summarised.tables))
    if task not in names:
        raise TaskpaceError(f'--task: unknown task "{task}" in the run{did_you_mean(task, names)}')


def _summarised(
    run_files: tuple[Path, ...],
    resamples: int | None,
    deadline_s: float | None,
    reference: str | None,
    prices: tuple[str, ...],
    *,
    known: bool = False,
) -> tuple[Summary, RunFile]:
    """The summary, and the run file, or which of several has what, for the commands of remedies."""
    from taskpace.analysis.data.shards import files_of_cells
    from taskpace.analysis.stats.bootstrap import RESAMPLES
    from taskpace.analysis.summary import summarise
    from taskpace.store.store import Store

    with ExitStack() as opened:
        stores = [opened.enter_context(Store.open(file, known=known)) for file in run_files]
        given = prices_by_run(prices, stores)
        summarised = summarise(
            *stores,
            resamples=RESAMPLES if resamples is None else resamples,
            deadline_s=deadline_s,
            reference=reference,
            prices={name: price for own in given for name, price in own.items()},
        )
        return summarised, str(run_files[0]) if len(run_files) == 1 else files_of_cells(stores)


def _rendered(view: Summary, form: str, file: RunFile) -> str:
    if form == "json":
        from taskpace.report.files.json_text import json_text

        return json_text(view)
    if form == "markdown":
        from taskpace.report.files.markdown import summary_markdown

        return summary_markdown(view, file)
    from taskpace.report.files.csv_table import summary_csv

    return summary_csv(view, file)
