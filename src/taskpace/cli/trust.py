"""An experiment file is a program where it names one: whether to run it is asked before it is."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.text import Text

from taskpace.errors import ExperimentError
from taskpace.report.words.programs import key_lines, program_lines

if TYPE_CHECKING:
    from taskpace.experiment.experiment import Experiment

F = TypeVar("F", bound=Callable[..., Any])

trust_option = click.option(
    "--trust", is_flag=True, help="Start the programs that a file from outside this folder names, unasked."
)


def check_trust(experiment: Experiment, file: Path | None, console: Console, *, trusted: bool) -> None:
    """Say what may be a key in the clear, and ask before a file from elsewhere has programs started.

    What lies in the current folder, or below it, is taken for the user's own, and so are flags.

    Args:
        experiment: that is to be carried out.
        file: that holds it, an experiment's, a judge's or a run's; null: flags.
        console: where people look.
        trusted: the user has said so.

    Raises:
        ExperimentError: there are such programs, and no terminal to ask at.
        click.Abort: the answer is no.
    """
    for line in key_lines(experiment):
        console.print(Text(line, style="yellow"), soft_wrap=True)
    programs = list(program_lines(experiment))
    if trusted or file is None or not programs or file.resolve().is_relative_to(Path.cwd().resolve()):
        return
    if sys.stdin is None or not (sys.stdin.isatty() and console.is_terminal):
        raise ExperimentError(
            f"{file}: lies outside the current folder and has programs started; {programs[0]}: see all of it with "
            f"`taskpace plan {shlex.quote(str(file))}`, then run it with --trust"
        )
    for line in programs:
        console.print(Text(line, style="yellow"), soft_wrap=True)
    click.confirm(f"{file} lies outside the current folder. Go on?", err=True, abort=True)
