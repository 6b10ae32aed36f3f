"""``taskpace brevity``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from taskpace.cli.experiments import experiment_options, read_experiment, source_of
from taskpace.cli.running import no_fetch_option, progress_mode, progress_option, run_shown, say_how_it_ended
from taskpace.cli.trust import check_trust, trust_option
from taskpace.experiment.brevity import INSTRUCTION


@click.command(context_settings={"show_default": True})
@experiment_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Run file; an unfinished run of the same plan is continued.",
    show_default="runs/NAME-brevity.db",
)
@click.option("--instruction", default=INSTRUCTION, metavar="TEXT", help="The request, put after the system prompt.")
@click.option("--limit", type=click.IntRange(min=1), metavar="TOKENS", help="Also run with this token limit.")
@progress_option()
@no_fetch_option
@trust_option
def brevity(
    file: Path | None,
    output: Path | None,
    instruction: str,
    limit: int | None,
    *,
    progress: str,
    no_fetch: bool,
    trust: bool,
    **options: Any,
) -> int:
    """Run each system as it is and asked to be brief, on the same items, and show the difference.

    FILE and the flags are those of `taskpace run`. The same command on a finished run shows it again; `taskpace
    summary` and `taskpace report` have all of it.
    """
    from taskpace.analysis.summary import summarise
    from taskpace.experiment.brevity import with_brevity
    from taskpace.experiment.prepare import errors_of, prepare
    from taskpace.report.terminal.document import print_blocks
    from taskpace.report.terminal.downloads import show_downloads
    from taskpace.report.words.brevity import LEGEND, brevity_blocks
    from taskpace.store.store import Store

    experiment, base = read_experiment(file, **options)
    console = Console(stderr=True, highlight=False)
    check_trust(experiment, file, console, trusted=trust)
    mode = progress_mode(progress, console)
    shown = None if mode == "json" else show_downloads(console)
    with errors_of(source_of(file)):
        plan = prepare(with_brevity(experiment, instruction, limit), base, fetch=not no_fetch, on_progress=shown)
    path = output or Path("runs") / f"{experiment.name}-brevity.db"
    ended = run_shown(plan, path, console, mode)
    if mode not in ("json", "quiet"):
        out = Console(highlight=False)
        with Store.open(path) as store:
            print_blocks(brevity_blocks(summarise(store)), out)
        out.print()
        out.print(Text(LEGEND, style="dim"))
        quoted = shlex.quote(str(path))
        click.echo(f"\nEverything is in {path}:\n  taskpace summary {quoted}\n  taskpace report {quoted}")
    return say_how_it_ended(ended, plan, path, console)
