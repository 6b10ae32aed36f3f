"""``taskpace compare``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from taskpace.errors import StoreError, TaskpaceError
from taskpace.text.safe_text import printable


@click.command()
@click.argument("what", nargs=-1, metavar="BASE NEW | RUN SYSTEM_A SYSTEM_B")
@click.option(
    "--fail-if",
    "fail_if",
    multiple=True,
    metavar="CONDITION",
    help='Exit with 1 when a change is significant and larger: "task_time > 5%", "accuracy < -3%". May be repeated.',
)
@click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal", show_default=True)
@click.option("--resamples", type=click.IntRange(min=0), help="Of the bootstrap; 0: none.  [default: 10000]")
def compare(what: tuple[str, ...], fail_if: tuple[str, ...], form: str, resamples: int | None) -> int:
    """Compare two systems of one run, or two runs, on the items they have in common.

    BASE and NEW are run files, or FILE:SYSTEM for one system of it. Systems of two runs are matched by name.

    Exit codes: 0, or 1 when a --fail-if condition is met, or 2 when it cannot be judged.
    """
    from taskpace.analysis.compare import Side, compare as compare_sides, failures, parse_condition
    from taskpace.analysis.stats.bootstrap import RESAMPLES
    from taskpace.report.files.json_text import json_text
    from taskpace.report.terminal.compare import failure_line, print_comparison
    from taskpace.report.words.commands import with_files
    from taskpace.store.store import Store

    conditions = [parse_condition(text) for text in fail_if]
    (base_file, base_system), (new_file, new_system) = _sides(what)
    with Store.open(base_file) as before, Store.open(new_file) as after:
        labels = (base_file.stem, new_file.stem) if base_file.stem != new_file.stem else (str(base_file), str(new_file))
        compared = compare_sides(
            Side(before, labels[0], base_system),
            Side(after, labels[1], new_system),
            resamples=RESAMPLES if resamples is None else resamples,
        )
    if form == "json":
        click.echo(json_text(compared).encode(), nl=False)
    else:
        print_comparison(compared, Console(highlight=False))
    try:
        failed = failures(compared, conditions)
    except TaskpaceError as exc:
        raise TaskpaceError(with_files(str(exc), str(new_file))) from None
    for cell, condition in failed:
        click.echo(printable(failure_line(cell, condition)), err=True)
    return 1 if failed else 0


def _sides(what: tuple[str, ...]) -> tuple[tuple[Path, str | None], tuple[Path, str | None]]:
    if len(what) == 3:
        file, system = read_side(what[0])
        if system is not None and file.exists():
            raise StoreError(f"{what[0]}: two systems are named after it already: leave out the colon and {system}")
        return (Path(what[0]), what[1]), (Path(what[0]), what[2])
    if len(what) == 2:
        return read_side(what[0]), read_side(what[1])
    raise click.UsageError("give two run files (or FILE:SYSTEM twice), or one run file and two of its systems")


def read_side(text: str) -> tuple[Path, str | None]:
    """A run file, and the system of it that stands after a colon; null: none does."""
    file, colon, system = text.rpartition(":")
    if not colon or Path(text).exists():
        return Path(text), None
    if not system:
        raise StoreError(f"{text}: name a system after the colon, or leave the colon out")
    return Path(file), system
