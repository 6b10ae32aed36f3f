"""``taskpace run``."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from taskpace.cli.experiments import experiment_options, paths_start_here, read_experiment, source_of
from taskpace.cli.running import (
    Interrupts,
    no_fetch_option,
    progress_mode,
    progress_option,
    run_shown,
    say_how_it_ended,
)
from taskpace.cli.summary import print_short
from taskpace.cli.trust import check_trust, trust_option
from taskpace.errors import ExperimentError, ModelError, TaskError
from taskpace.report.terminal.downloads import show_downloads
from taskpace.report.terminal.progress import Mode, follow
from taskpace.report.words.coverage import exhausted_lines, fitted_lines, left_out_lines, overrun_line
from taskpace.store.store import is_sqlite

if TYPE_CHECKING:
    from taskpace.experiment.experiment import Experiment
    from taskpace.experiment.plan import Plan
    from taskpace.runner.events import Event, RunEnded
    from taskpace.store.store import Store


@click.command(context_settings={"show_default": True})
@experiment_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Run file; an unfinished run of the same plan is continued.",
    show_default="FILE if that is a run file, else runs/NAME.db",
)
@progress_option()
@click.option(
    "--budget",
    metavar="TIME",
    help="Fit the run into 30m, 1h30m, ...: asks two items of each task, then sees how many there is time for.",
)
@click.option(
    "--ray",
    metavar="[ADDRESS]",
    is_flag=False,
    flag_value="auto",
    help="Deal the run out over a Ray cluster: the one that this machine is a part of, or that of HOST:PORT.",
)
@no_fetch_option
@trust_option
def run(
    file: Path | None,
    output: Path | None,
    *,
    progress: str,
    budget: str | None,
    ray: str | None,
    no_fetch: bool,
    trust: bool,
    **options: Any,
) -> int:
    """Run an experiment, or continue an unfinished one.

    FILE is an experiment file (TOML), or the name of one that ships (`taskpace list experiments`); one that names no
    systems, such as the suite core-1, takes them from --model. A run file continues the run that it holds, or grows it
    (--items 100). Without a file, the flags make up an experiment: one system for each --model.
    """
    from taskpace.experiment.prepare import errors_of, prepare

    if ray is not None and budget is not None:
        raise ExperimentError("--budget: how long items take is seen on one machine: leave --ray out, and give --items")
    begun_at = time.monotonic()
    experiment, base = read_experiment(file, **options)
    console = Console(stderr=True, highlight=False)
    check_trust(experiment, file, console, trusted=trust)
    mode = progress_mode(progress, console)
    run_file = file if file is not None and is_sqlite(file) else None
    path = output or run_file or Path("runs") / f"{experiment.name}.db"
    if run_file is not None and mode not in ("json", "quiet"):
        for line in exhausted_lines(experiment, options.get("items")):
            console.print(Text(line), soft_wrap=True)
    if budget is None:
        shown = None if mode == "json" else show_downloads(console)
        try:
            with errors_of(source_of(file)):
                plan = prepare(experiment, base, fetch=not no_fetch, on_progress=shown)
        except (ModelError, TaskError) as exc:
            raise exc if run_file is None else paths_start_here(exc, run_file) from None
    else:
        with errors_of(source_of(file)):
            fitted = _fit(experiment, base, path, budget, console=console, mode=mode, fetch=not no_fetch)
        if fitted is None:
            return 130
        plan = fitted
    for line in left_out_lines(plan):
        console.print(Text(line, style="yellow"), soft_wrap=True)
    with _on_cluster(ray, plan, base, fetch=not no_fetch) as carry_out:
        ended = run_shown(plan, path, console, mode, carry_out=carry_out)
    if budget is not None and mode not in ("json", "quiet") and not ended.interrupted:
        from taskpace.runner.budget import read_duration

        if late := overrun_line(budget, read_duration(budget), time.monotonic() - begun_at):
            console.print(Text(late, style="yellow"), soft_wrap=True)
    if mode not in ("json", "quiet"):
        print_short(path, known=True)
        quoted = shlex.quote(str(path))
        click.echo(f"\nEverything is in {path}:\n  taskpace report {quoted}\n  taskpace show {quoted}")
    return say_how_it_ended(ended, plan, path, console)


@contextlib.contextmanager
def _on_cluster(
    address: str | None, plan: Plan, base: Path, *, fetch: bool
) -> Iterator[Callable[..., RunEnded] | None]:
    """What carries a plan out on a cluster, while this process is a driver of it; null: on this machine."""
    if address is None:
        yield None
        return
    from taskpace.runner.cluster.blocks import check_plan
    from taskpace.runner.cluster.driver import run_on_cluster
    from taskpace.runner.cluster.ray import connect

    check_plan(plan)
    with connect(address, plan.experiment.resources) as cluster:

        def carry_out(plan: Plan, store: Store, *, on_event: Callable[[Event], None], **given: Any) -> RunEnded:
            return run_on_cluster(
                plan, store, cluster, base=base, fetch=fetch, on_event=on_event, stop=given.get("stop")
            )

        yield carry_out


def _fit(
    experiment: Experiment, base: Path, path: Path, budget: str, *, console: Console, mode: Mode, fetch: bool
) -> Plan | None:
    """The plan that ends in time; null: interrupted before there was one."""
    from taskpace.runner.budget import Interrupted, begin, read_duration

    begun_at = time.monotonic()
    budget_s = read_duration(budget)
    if mode not in ("json", "quiet"):
        console.print(Text(f"fitting into {budget}: how long do the first items of each task take?"), soft_wrap=True)
    try:
        with follow(mode, console) as listener:
            # A program that reads events is told of one run, the real one.
            tell = (lambda _event: None) if mode == "json" else listener
            fitted = begin(experiment, base, path, budget_s, fetch=fetch, on_event=tell, stop=Interrupts(console))
    except Interrupted:
        console.print("stopped before it was known what fits: nothing is kept", soft_wrap=True)
        return None
    if mode not in ("json", "quiet"):
        left_s = budget_s - (time.monotonic() - begun_at)
        for line in fitted_lines(fitted.plan, budget, left_s, continued=fitted.continued):
            console.print(Text(line), soft_wrap=True)
    return fitted.plan
