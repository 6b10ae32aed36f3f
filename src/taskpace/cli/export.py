"""``taskpace export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    type=click.Choice(["parquet", "csv", "jsonl"]),
    required=True,
    help="parquet, jsonl: every value exactly; csv: safe to open in a spreadsheet.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write; -: standard output (csv and jsonl).",
    show_default="RUN_FILE with the ending of its kind",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def export(run_file: Path, kind: Kind, output: Path | None, force: bool) -> None:
    """Write every measured attempt of RUN_FILE as a row of a table.

    The columns are those of `taskpace.open(RUN_FILE).frame()` in Python: times in seconds end in _s, unknown is empty
    or null. A trial that was repeated after a failure has several attempts, counted from 1; the last one counts.
    """
    from taskpace.analysis.data.frame import load_frame
    from taskpace.report.files.export import check_target, render, write
    from taskpace.store.store import Store

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
