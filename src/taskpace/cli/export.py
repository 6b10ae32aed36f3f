"""``taskpace export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from taskpace.errors import TaskpaceError
from taskpace.text.safe_text import printable

if TYPE_CHECKING:
    from taskpace.report.files.export import Kind

_STANDARD_OUTPUT = Path("-")


@click.command()
@click.argument("run_file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "kind",
    type=click.Choice(["parquet", "csv", "jsonl", "eee"]),
    required=True,
    help="parquet, jsonl: every value exactly; csv: safe to open in a spreadsheet; eee: Every Eval Ever.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write, of eee a folder; -: standard output (csv and jsonl).",
    show_default="RUN_FILE with the ending of its kind",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@click.option("--organization", metavar="NAME", help="Of eee: who publishes the results.")
def export(
    run_file: Path, kind: Kind | Literal["eee"], output: Path | None, *, force: bool, organization: str | None
) -> None:
    """Write every measured attempt of RUN_FILE as a row of a table.

    The columns are those of `taskpace.open(RUN_FILE).frame()` in Python: times in seconds end in _s, unknown is empty
    or null. A trial that was repeated after a failure has several attempts, counted from 1; the last one counts.

    --to eee writes a folder of Every Eval Ever's data store instead: an aggregate and its samples for each system,
    task and load with right answers.
    """
    from taskpace.analysis.data.frame import load_frame
    from taskpace.report.files.export import check_target, render, write
    from taskpace.store.store import Store

    if kind == "eee":
        _every_eval(run_file, output, force=force, organization=organization)
        return
    if organization is not None:
        raise TaskpaceError("--organization: is for --to eee alone: leave it out")
    with Store.open(run_file) as store:
        if output == _STANDARD_OUTPUT:
            if kind == "parquet":
                raise TaskpaceError("-o -: Parquet is not for standard output: give -o a file name")
            for part in render(load_frame(store), kind):
                click.echo(part, nl=False)
            return
        path = output or run_file.with_name(f"{run_file.name.removesuffix('.db')}.{kind}")
        check_target(path, force=force)
        frame = load_frame(store)
    write(path, render(frame, kind))
    click.echo(printable(f"{frame.height} attempts are in {path}"))


def _every_eval(run_file: Path, output: Path | None, *, force: bool, organization: str | None) -> None:
    """Write a folder as Every Eval Ever's data store has it."""
    from taskpace.analysis.data.trials import load_references
    from taskpace.analysis.whole import load_whole
    from taskpace.report.files.every_eval import every_eval
    from taskpace.report.files.export import check_target, write
    from taskpace.store.store import Store

    if output == _STANDARD_OUTPUT:
        raise TaskpaceError("-o -: Every Eval Ever is a folder of files: give -o a folder's name")
    folder = output or run_file.with_name(f"{run_file.name.removesuffix('.db')}.eee")
    with Store.open(run_file) as store:
        exported = every_eval(load_whole(store, run_file.name, resamples=0), load_references(store), organization)
    if not exported.files:
        raise TaskpaceError(
            f"{run_file}: no task with right answers and a trial, and Every Eval Ever holds no other: use --to jsonl"
        )
    for file in exported.files:
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
        check_target(folder / file.path, force=force)
    for file in exported.files:
        write(folder / file.path, [file.content])
    click.echo(printable(f"{len(exported.files) // 2} evaluations are in {folder}"))
    for task in exported.left_out:
        click.echo(printable(f"left out: {task} has no right answers, which the format must have"))
