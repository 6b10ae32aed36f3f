"""``taskpace import``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from taskpace.cli.summary import print_short
from taskpace.text.safe_text import printable


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Run file to make.")
@click.option(
    "--from", "form", metavar="FORMAT", help="Their format, where it is not recognised: `taskpace list importers`."
)
@click.option("--task", metavar="NAME|FILE", help="Grade the answers by this task, in place of the logs' own verdicts.")
def import_logs(paths: tuple[Path, ...], output: Path, form: str | None, task: str | None) -> None:
    """Make a run file of logs that other tools have written.

    Inspect, Every Eval Ever, EvalScope and others (docs/import.md). Each log becomes a system; what a log does not
    have stays unknown.
    """
    from taskpace.importing.formats import read_logs
    from taskpace.importing.grading import match_items
    from taskpace.importing.writing import write_logs

    logs = read_logs(paths, form)
    if task is None:
        placed = write_logs(logs, output)
    else:
        graded_by, items = match_items(logs, task)
        placed = write_logs(logs, output, graded_by=graded_by, items=items)
    for each in placed:
        log = each.log
        failed = sum(sample.error is not None for sample in log.samples)
        parts = [f"{len(log.samples)} samples", f"{failed} failed" if failed else ""]
        parts.append(f"{log.missing} missing from the log" if log.missing else "")
        click.echo(printable(f"{log.file}: {', '.join(filter(None, parts))}: {each.cell.system.name}, {log.task}"))
    click.echo()
    print_short(output)
    click.echo(printable(f"\nEverything is in {output}:\n  taskpace summary {shlex.quote(str(output))} --full"))
