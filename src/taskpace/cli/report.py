"""``taskpace report``."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from taskpace.cli.prices import price_option, prices_by_run
from taskpace.text.safe_text import printable

if TYPE_CHECKING:
    from taskpace.analysis.compare import ComparedRuns
    from taskpace.analysis.judge.agreement import Judged
    from taskpace.prices.price import Price
    from taskpace.store.store import Store


@click.command()
@click.argument("run_files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN_FILE...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File to write.", show_default="RUN_FILE with .html"
)
@click.option("--no-trials", is_flag=True, help="Leave the table of all trials out: a small file, without any texts.")
@click.option(
    "--judge",
    "judges",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What `taskpace judge` made of a run; repeat for more.",
)
@click.option("--resamples", type=click.IntRange(min=0), help="Bootstrap resamples; 0: none.  [default: 10000]")
@price_option
@click.option("--force", is_flag=True, help="Overwrite the file.")
def report(
    run_files: tuple[Path, ...],
    output: Path | None,
    *,
    no_trials: bool,
    judges: tuple[Path, ...],
    resamples: int | None,
    prices: tuple[str, ...],
    force: bool,
) -> None:
    """Make one HTML file of RUN_FILE: the answer, charts, every trial, and how to get it again.

    The file needs nothing but itself, no network and no server. Several runs become chapters of it, and each is
    compared with the first.
    """
    from taskpace.report.drawing import require_charts

    require_charts("the report")
    from taskpace.analysis.data.shards import check_given_once
    from taskpace.analysis.stats.bootstrap import RESAMPLES
    from taskpace.analysis.whole import load_whole
    from taskpace.report.files.export import check_target, write
    from taskpace.report.page import page_parts
    from taskpace.store.store import Store

    check_given_once(map(str, run_files))
    path = output or run_files[0].with_name(f"{run_files[0].name.removesuffix('.db')}.html")
    check_target(path, force=force)
    drawn = RESAMPLES if resamples is None else resamples
    with ExitStack() as opened:
        stores = [opened.enter_context(Store.open(file)) for file in run_files]
        by_run = prices_by_run(prices, stores)
        judged = _judged(stores, run_files, judges, drawn)
        runs = [
            load_whole(store, file.name, resamples=drawn, trials=not no_trials, judged=by, prices=own)
            for store, file, by, own in zip(stores, run_files, judged, by_run, strict=True)
        ]
        write(path, page_parts(runs, _compared(stores, run_files, drawn, by_run)))
    size = path.stat().st_size
    shown = f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"
    click.echo(printable(f"The report is {path} ({shown})."))
    click.echo("It needs no network: open it in a browser, or mail it.")


def _judged(
    stores: list[Store], files: tuple[Path, ...], judges: tuple[Path, ...], resamples: int
) -> list[tuple[Judged, ...]]:
    """For each run what its judges say.

    Raises:
        StoreError: a judge's file belongs to none of the runs.
    """
    from taskpace.analysis.judge.agreement import is_judge_of, load_judged
    from taskpace.store.store import Store

    found: list[list[Judged]] = [[] for _ in stores]
    for file in judges:
        with Store.open(file) as judge:
            index = next((index for index, store in enumerate(stores) if is_judge_of(store, judge)), 0)
            found[index].append(
                load_judged(stores[index], judge, run_file=files[index].name, judge_file=file.name, resamples=resamples)
            )
    return [tuple(each) for each in found]


def _compared(
    stores: list[Store], files: tuple[Path, ...], resamples: int, prices: list[dict[str, Price]]
) -> list[ComparedRuns]:
    """Each run against the first, where they have something in common."""
    from taskpace.analysis.compare import Side, compare
    from taskpace.errors import StoreError

    names = [file.stem for file in files]
    labels = names if len(set(names)) == len(names) else [str(file) for file in files]
    sides = [Side(store, label, prices=own) for store, label, own in zip(stores, labels, prices, strict=True)]
    found = []
    for side in sides[1:]:
        with suppress(StoreError):
            found.append(compare(sides[0], side, resamples=resamples))
    return found
