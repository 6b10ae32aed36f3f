"""``taskpace show``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from rich.console import Console

from taskpace.errors import StoreError
from taskpace.records import OUTCOMES
from taskpace.text.safe_text import one_line


@click.command()
@click.argument("run_file", type=click.Path(path_type=Path))
@click.argument("trial", required=False)
@click.option("--system", help="Only this system's trials (in the list).")
@click.option("--task", help="Only this task's trials (in the list).")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only trials with this outcome (in the list).")
def show(run_file: Path, trial: str | None, system: str | None, task: str | None, outcome: str | None) -> None:
    """Show one trial of RUN_FILE: prompt, answer, timeline.

    TRIAL is an id or its first digits. Without it, the trials are listed.
    """
    from taskpace.analysis.data.trial import list_trials, view_trial
    from taskpace.report.terminal.trial import print_trial, print_trials
    from taskpace.store.store import Store

    console = Console(highlight=False)
    with Store.open(run_file) as store:
        if trial is None:
            trials = list_trials(store, system=system, task=task, outcome=outcome)
            if trials.is_empty():
                narrowed = system is not None or task is not None or outcome is not None
                click.echo("No recorded trial matches." if narrowed else "No trial is recorded yet.")
                return
            print_trials(trials, console)
            return
        found = store.find_trials(trial)
        if not found:
            raise StoreError(
                f"{run_file}: no trial starts with {one_line(trial, 40)}: "
                f"`taskpace show {shlex.quote(str(run_file))}` lists them"
            )
        if len(found) > 1:
            raise StoreError(f"{run_file}: {len(found)} or more trials start with {trial}: give more digits")
        print_trial(view_trial(store, found[0]), console)
