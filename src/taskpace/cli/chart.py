"""``taskpace chart``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from taskpace.cli.prices import price_option, prices_by_run
from taskpace.errors import TaskpaceError
from taskpace.text.safe_text import printable

if TYPE_CHECKING:
    from taskpace.report.charts.panel import Panel


@click.command()
@click.argument("run_file", type=click.Path(path_type=Path))
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write, ending in .svg or .png.")
@click.option("--task", help="Only this task.")
@click.option("--scenario", help="Only this scenario.")
@click.option("--pair", nargs=2, metavar="A B", help="Only these two systems, for a chart about pairs.")
@click.option("--resamples", type=click.IntRange(min=0), help="Bootstrap resamples; 0: none.  [default: 10000]")
@price_option
@click.option("--dark", is_flag=True, help="In the colours for a dark page.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
def chart(
    run_file: Path,
    *,
    name: str | None,
    output: Path | None,
    resamples: int | None,
    prices: tuple[str, ...],
    dark: bool,
    force: bool,
    **only: Any,
) -> None:
    """Draw the chart NAME of RUN_FILE, its tasks side by side; without NAME, list the charts there are."""
    from taskpace.report.drawing import require_charts

    require_charts("a chart")
    from taskpace.analysis.stats.bootstrap import RESAMPLES
    from taskpace.analysis.summary import summarise
    from taskpace.report.charts import CHARTS, check_name, joined, panels, to_png, to_svg
    from taskpace.report.files.export import check_target, write
    from taskpace.store.store import Store

    if name is not None:
        check_name(name)
    path = output or run_file.with_name(f"{run_file.name.removesuffix('.db')}-{name}.svg")
    if path.suffix not in {".svg", ".png"}:
        raise TaskpaceError(f"-o {path}: a chart is written as .svg or .png: end the name in one of these")
    if name is not None:
        check_target(path, force=force)
    with Store.open(run_file) as store:
        drawn = RESAMPLES if resamples is None else resamples
        summary = summarise(store, resamples=drawn, prices=prices_by_run(prices, [store])[0])
    found = list(panels(summary, name))
    if name is None:
        table = Table.grid(padding=(0, 2))
        for known, about in CHARTS.items():
            there = any(panel.chart == known for panel in found)
            table.add_row(known, about if there else f"{about} (nothing to show in this run)")
        Console(highlight=False).print(table)
        return
    if not found:
        raise TaskpaceError(f'chart "{name}": {run_file} has nothing to show in it ({CHARTS[name]}): choose another')
    picture = joined(_chosen(found, **only))
    write(path, [to_svg(picture, dark=dark).encode() if path.suffix == ".svg" else to_png(picture, dark=dark)])
    click.echo(printable(f"The chart is {path}"))


def _chosen(found: list[Panel], task: str | None, scenario: str | None, pair: tuple[str, str] | None) -> list[Panel]:
    """The panels that the flags leave. Raises ``TaskpaceError`` when a flag names nothing that there is."""
    found = _narrowed(found, "--task", task, lambda panel: panel.task)
    found = _narrowed(found, "--scenario", scenario, lambda panel: panel.scenario)
    return _narrowed(found, "--pair", pair and " ".join(sorted(pair)), lambda panel: " ".join(sorted(panel.pair or ())))


def _narrowed(found: list[Panel], flag: str, wanted: str | None, of: Callable[[Panel], str]) -> list[Panel]:
    if wanted is None:
        return found
    left = [panel for panel in found if of(panel) == wanted]
    if not left:
        there = ", ".join(name for name in dict.fromkeys(map(of, found)) if name) or "none at all"
        raise TaskpaceError(f'{flag} "{wanted}": unknown to this chart; it has {there}')
    return left
