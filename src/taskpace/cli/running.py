"""What commands share that carry a plan out: their options, the display, Ctrl-C, and how they end."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click
from rich.console import Console
from rich.text import Text

from taskpace.report.terminal.progress import Mode, follow
from taskpace.report.words.coverage import coverage_lines
from taskpace.version import __version__

if TYPE_CHECKING:
    from taskpace.experiment.plan import Plan
    from taskpace.experiment.until import Decide, Until
    from taskpace.runner.events import RunEnded
    from taskpace.runner.session import StopRequest

F = TypeVar("F", bound=Callable[..., Any])
_MODES = {
    "live": "a status line",
    "plain": "lines for a log",
    "json": "one event a line on standard output",
    "quiet": "errors and warnings",
}

no_fetch_option = click.option("--no-fetch", is_flag=True, help="Download nothing: fail if a model is not here.")


def progress_option(*, events: bool = True) -> Callable[[F], F]:
    """The option ``--progress``; ``events``: with ``json``, where standard output is free for it."""
    modes = {name: what for name, what in _MODES.items() if events or name != "json"}
    return click.option(
        "--progress",
        type=click.Choice(["auto", *modes]),
        default="auto",
        help="; ".join(f"{name}: {what}" for name, what in modes.items()) + ".",
    )


def run_shown(
    plan: Plan,
    path: Path,
    console: Console,
    mode: Mode,
    *,
    decider: Callable[[Until], Decide] | None = None,
    within_s: float | None = None,
    carry_out: Callable[..., RunEnded] | None = None,
) -> RunEnded:
    """Carry out a plan, or what is left of it, with its progress shown; Ctrl-C stops it cleanly.

    Args:
        plan: what is to be done.
        path: of the run file.
        console: where people look.
        mode: how progress is shown.
        decider: ends the tasks of a run with a gate; null: the plan's own.
        within_s: from when on no trial is begun any more; null: never.
        carry_out: ``run_plan``, or what does the same elsewhere; null: on this machine.
    """
    from taskpace.api import decider_for
    from taskpace.runner.runner import run_plan
    from taskpace.store.store import Store

    with (
        Store.create_or_continue(path, plan, __version__) as store,
        Interrupts(console) as stop,
        follow(mode, console) as listener,
    ):
        ended = (carry_out or run_plan)(
            plan,
            store,
            on_event=listener,
            stop=stop if within_s is None else _Within(stop, time.monotonic() + within_s),
            decider=decider or decider_for(plan),
        )
    if store.log_left:
        console.print(
            f"{path}: another program is reading it, so the last records are in {path}-wal: keep both files together; "
            "the same command merges them",
            soft_wrap=True,
        )
    return ended


def say_how_it_ended(ended: RunEnded, plan: Plan, path: Path, console: Console) -> int:
    """Say what is missing, if anything is, and return the exit code."""
    from taskpace.store.store import Store

    if ended.done + ended.spared < ended.planned:
        with Store.open(path, known=True) as store:
            for line in coverage_lines(plan, store.recorded()):
                console.print(Text(line), soft_wrap=True)
        console.print(
            f"{ended.done} of {ended.planned} trials are recorded; the same command continues", soft_wrap=True
        )
    if ended.interrupted:
        return 130
    return 1 if ended.given_up else 0


def progress_mode(progress: str, console: Console) -> Mode:
    """What `auto` comes to: a live line where there is a terminal, else lines for a log."""
    if progress == "auto":
        return "live" if console.is_terminal else "plain"
    return progress  # type: ignore[return-value]  # click.Choice allows no other


class _Within:
    """A request to stop that time makes, too."""

    def __init__(self, stop: StopRequest, ends_s: float) -> None:
        self._stop, self._ends_s = stop, ends_s

    @property
    def requested(self) -> bool:
        return self._stop.requested or time.monotonic() >= self._ends_s


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
        with contextlib.suppress(OSError, SystemExit):  # a terminal that is gone must not end what is to end cleanly
            self._console.print(
                "stopping: finishing what is in flight; press Ctrl-C again to stop at once", soft_wrap=True
            )
