"""The options that say which experiment: a file, or the quick form by flags. Shared by ``run`` and ``plan``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from taskpace.errors import ExperimentError, TaskError, TaskpaceError
from taskpace.experiment.changes import changed
from taskpace.experiment.experiment import Experiment, for_quick_form, load_experiment, quick_experiment
from taskpace.experiment.imported import ENGINE
from taskpace.experiment.library import found_file
from taskpace.store import queries
from taskpace.store.store import Store, is_sqlite

_FLAGS = (
    click.argument("file", required=False, type=click.Path(path_type=Path)),
    click.option("-m", "--model", "models", multiple=True, metavar="REF", help="Model of a system; repeat for more."),
    click.option("-t", "--task", "tasks", multiple=True, metavar="NAME", help="Task name or file; repeat for more."),
    click.option("--prompts", metavar="FILE", help="Your own prompts (JSONL, CSV, Parquet or text) as the task."),
    click.option("--data", metavar="PATH", help="Other data: a file, hf://datasets/... or public."),
    click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Only rows with this value; repeat for more."),
    click.option("-n", "--items", type=int, help="Items per task (20; of --prompts all)."),
    click.option(
        "-s",
        "--scenario",
        "scenarios",
        multiple=True,
        metavar="NAME",
        help="single, concurrency=N (in flight) or rate=R (arrivals per second); N and R may be lists: 1,2,4.",
    ),
    click.option("--engine", metavar="NAME", help="Engine of all systems (llamacpp)."),
    click.option("--system-prompt", metavar="TEXT", help="System prompt of all systems."),
    click.option("--temperature", type=float, help="Sampling temperature (0)."),
    click.option("--top-p", type=float, help="Nucleus sampling (1)."),
    click.option("--seed", type=int, help="Seed of item choice, order and sampling (0)."),
    click.option("--repeats", type=int, help="Times that each item is asked (1)."),
    click.option("--warmup", type=int, help="Warm-up requests per cell, not counted (1)."),
    click.option("--max-tokens", type=int, help="Output token limit, in place of the tasks' own."),
    click.option(
        "--order",
        type=click.Choice(["turns", "blocks", "sequential"]),
        help="Of the systems: every item asked of all, blocks of a few items, or one after the other (turns).",
    ),
    click.option("--retries", type=int, help="Attempts after a passing failure, such as status 429 (0)."),
    click.option("--processes", type=int, help="Client processes that share the load of an endpoint (1)."),
    click.option("--deadline", type=float, help="Seconds within which an answer is in time, for goodput."),
    click.option(
        "--energy", is_flag=True, default=None, help="Read this machine's energy counters, for joules per task (off)."
    ),
    click.option("--timeout", type=float, help="Seconds that a trial may take (120)."),
    click.option("--until", type=click.Choice(["decided"]), help="Stop when the ranking is settled (default: never)."),
    click.option("--margin", metavar="N%", help="With --until: systems closer than this are equivalent (none are)."),
    click.option(
        "--by", type=click.Choice(["task-time", "s-per-correct"]), help="With --until: what ranks them (task-time)."
    ),
    click.option("--max-items", type=int, help="With --until: the most items per task (660, or all there are)."),
)


_OF_TASKS = ("tasks", "prompts", "data", "where")
"""What a file says itself, also one that leaves the systems to --model."""


def experiment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the experiment file argument and the quick form's flags."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def read_experiment(file: Path | None, models: tuple[str, ...], **flags: Any) -> tuple[Experiment, Path]:
    """The experiment that the options name, and the folder that its relative paths start from.

    Raises:
        ExperimentError: neither a file nor models, both, or with invalid contents.
    """
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    if file is not None and is_sqlite(file):
        return _of_run(file, given | ({"models": models} if models else {})), Path()
    if file is not None:
        found = found_file(file)
        for name in _OF_TASKS:
            if name in given:
                raise for_quick_form(name, file)
        # A path on the command line starts from here, those in the file from the file's folder.
        here = tuple(
            str(Path(model).absolute()) if Path(model).exists() and file.parent != Path() else model for model in models
        )
        return load_experiment(found, here, **given), file.parent
    if not models:
        raise ExperimentError(
            "nothing to run: name an experiment file, or a model with --model (see `taskpace list models`)"
        )
    if "where" in given:
        given["where"] = dict(_pair(text) for text in given["where"])  # numbers too: data compare as they are written
    return quick_experiment(models=models, **given), Path()


def source_of(file: Path | None) -> str:
    """What errors about an experiment name: its file, or else the flags."""
    return "flags" if file is None else str(file)


def _of_run(file: Path, given: dict[str, Any]) -> Experiment:
    """The experiment that a run file holds; its relative paths start from the current folder."""
    with Store.open(file) as store:
        experiment = msgspec.json.decode(queries.run_row(store).experiment, type=Experiment)
    if any(system.engine == ENGINE for system in experiment.systems):
        raise ExperimentError(
            f"{file}: was imported from other tools' logs, so it cannot be carried out: import again with "
            "`taskpace import`, or measure with an experiment file"
        )
    try:
        return changed(experiment, given, Path(), str(file))
    except TaskError as exc:
        raise paths_start_here(exc, file) from None


def paths_start_here(exc: TaskpaceError, file: Path) -> TaskpaceError:
    """Add to an error where the relative paths of a run file's experiment start."""
    return type(exc)(f"{exc} (the relative paths of {file} start from the current folder, {Path.cwd()})")


def _pair(text: str) -> tuple[str, str]:
    column, found, value = text.partition("=")
    if not found or not column:
        raise ExperimentError(f'--where "{text}": write COLUMN=VALUE')
    return column, value
