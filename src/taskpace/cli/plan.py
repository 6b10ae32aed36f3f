"""``taskpace plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from taskpace.cli.experiments import experiment_options, read_experiment


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
def plan(output: Path | None, assume: float, **options: Any) -> None:
    """Show the cells, the number of trials and an estimate; run nothing.

    Models are not loaded, only looked up (and downloaded when they are not here yet).
    """
    from taskpace.analysis.duration import estimate
    from taskpace.experiment.prepare import prepare
    from taskpace.report.terminal.plan import print_plan
    from taskpace.store.store import Store

    experiment, base = read_experiment(**options)
    planned = prepare(experiment, base)
    console = Console(highlight=False)
    if output is None:
        print_plan(planned, estimate(planned, None, assume), console)
        console.print(
            f"\n(up to: answers as long as allowed, at {assume:g} tokens/s; loading and reading prompts come on top)",
            soft_wrap=True,
        )
        return
    with Store.open(output) as store:
        print_plan(planned, estimate(planned, store, assume), console)
