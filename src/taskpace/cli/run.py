"""``taskpace run``."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Any, Self

import click
from rich.console import Console

from taskpace.cli.experiments import experiment_options, read_experiment
from taskpace.cli.summary import print_run
from taskpace.report.downloads import show_downloads
from taskpace.report.progress import Mode, follow
from taskpace.version import __version__


@click.command(context_settings={"show_default": True})
@experiment_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Run file; an unfinished run of the same plan is continued.",
    show_default="runs/NAME.db",
)
@click.option(
    "--progress",
    type=click.Choice(["auto", "live", "plain", "json", "quiet"]),
    default="auto",
    help="live: a status line; plain: lines for a log; json: one event a line on standard output; quiet: errors only.",
)
@click.option("--no-fetch", is_flag=True, help="Download nothing: fail if a model is not here.")
def run(output: Path | None, progress: str, no_fetch: bool, **options: Any) -> int:
    """Carry out an experiment, or continue an unfinished one.

    FILE is an experiment file (TOML), or the name of one that ships (`taskpace list experiments`). Without one, the
    flags make up an experiment: one system for each --model.
    """
    from taskpace.prepare import prepare
    from taskpace.runner import carry_out
    from taskpace.store import Store

    experiment, base = read_experiment(**options)
    console = Console(stderr=True, highlight=False)
    mode = display_mode(progress, console)
    plan = prepare(
        experiment, base, fetch=not no_fetch, on_progress=None if mode == "json" else show_downloads(console)
    )
    path = output or Path("runs") / f"{experiment.name}.db"
    with (
        Store.create_or_continue(path, plan, __version__) as store,
        Interrupts(console) as stop,
        follow(mode, console) as listener,
    ):
        ended = carry_out(plan, store, on_event=listener, stop=stop)
    if mode not in ("json", "quiet"):
        print_run(path)
        click.echo(f"\nEverything is in {path}: `taskpace summary {path}`, `taskpace show {path} TRIAL`")
    if ended.done < ended.planned:
        console.print(
            f"{ended.done} of {ended.planned} trials are recorded; the same command continues", soft_wrap=True
        )
    if ended.interrupted:
        return 130
    return 1 if ended.given_up else 0


def display_mode(progress: str, console: Console) -> Mode:
    """What ``auto`` stands for where ``console`` goes; else what was asked for."""
    if progress == "auto":
        return "live" if console.is_terminal else "plain"
    return progress  # type: ignore[return-value]  # click.Choice allows no other


class Interrupts:
    """First Ctrl-C (or SIGTERM): stop cleanly. Second: stop at once."""

    def __init__(self, console: Console) -> None:
        self.requested = False
        self._console = console
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._console.print("stopping: finishing what is in flight; once more stops at once", soft_wrap=True)
