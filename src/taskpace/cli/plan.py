"""``taskpace plan``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from taskpace.cli.experiments import experiment_options, read_experiment, source_of
from taskpace.errors import ExperimentError

if TYPE_CHECKING:
    from taskpace.experiment.plan import Plan


@click.command(context_settings={"show_default": True})
@experiment_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="A run file of this plan: estimate from what it holds.",
)
@click.option(
    "--assume",
    type=click.FloatRange(min=0, min_open=True),
    default=50.0,
    help="Tokens per second to assume where nothing was measured.",
)
@click.option(
    "--expect-ratio",
    metavar="R",
    type=click.FloatRange(min=1, max=100),
    help="With --until: how many items it takes if each system takes R times as long as the next quicker one.",
)
def plan(output: Path | None, assume: float, expect_ratio: float | None, **options: Any) -> None:
    """Show the cells, the number of trials and an estimate; run nothing.

    Models are not loaded, only looked up (and downloaded when they are not here yet).
    """
    from taskpace.analysis.duration import estimate
    from taskpace.experiment.prepare import errors_of, prepare
    from taskpace.report.terminal.plan import print_plan
    from taskpace.report.terminal.sentence import print_sentence
    from taskpace.store.store import Store

    experiment, base = read_experiment(**options)
    if expect_ratio is not None and experiment.until is None:
        raise ExperimentError(
            "--expect-ratio: it is for a run that ends when its ranking is settled: add --until decided"
        )
    with errors_of(source_of(options["file"])):
        planned = prepare(experiment, base)
    console = Console(highlight=False)
    if expect_ratio is not None:
        for line in _expected(planned, output, expect_ratio):
            console.print(line, soft_wrap=True)
    if output is None:
        print_plan(planned, estimate(planned, None, assume), console)
        console.print()
        print_sentence(
            console,
            f"(up to: longest answers at {assume:g} tokens/s, see --assume; without loading and prompt processing)",
        )
        return
    with Store.open(output) as store:
        print_plan(planned, estimate(planned, store, assume), console)


def _expected(planned: Plan, output: Path | None, ratio: float) -> Iterator[str]:
    """What simulated runs of the plan take until the ranking is settled; ``output``: a run file."""
    from taskpace.analysis.forecast import ASSUMED_SCATTER, forecast, measured_scatter
    from taskpace.report.words.settled import forecast_line
    from taskpace.store.store import Store

    until = planned.experiment.until
    assert until is not None  # noqa: S101 - see plan
    scatter = None
    if output is not None:
        with Store.open(output) as store:
            scatter = measured_scatter(store)
    for most in sorted({len(task.items) for task in planned.tasks}):
        found = forecast(
            ratio, scatter or ASSUMED_SCATTER, systems=len(planned.systems), most=most, margin=until.margin
        )
        yield forecast_line(found, ratio, scatter or ASSUMED_SCATTER, most=most, measured=scatter is not None)
