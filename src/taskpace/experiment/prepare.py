"""From an experiment to a plan: finds the models, loads the tasks, renders the prompts.

Whatever can be wrong with what the user wrote is found here, before a worker starts.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from taskpace import engines, models
from taskpace.errors import ExperimentError, ModelError, TaskError, TaskpaceError
from taskpace.experiment.experiment import DEFAULT_ITEMS, Experiment, System, TaskUse
from taskpace.experiment.plan import Plan, PlannedItem, PlannedSystem, PlannedTask, make_plan
from taskpace.experiment.scenario import Scenario
from taskpace.experiment.until import MOST_ITEMS
from taskpace.tasks import (
    Table,
    Task,
    load_data,
    load_items,
    load_task,
    open_source,
    prompts_task,
    render,
    with_data,
    with_think_time,
)

Progress = Callable[[str, int, int | None], None]
"""``(what, bytes done, bytes in all or null)``."""


def prepare(experiment: Experiment, base: Path, *, fetch: bool = True, on_progress: Progress | None = None) -> Plan:
    """Resolve everything an experiment names and expand it.

    Args:
        experiment: as read.
        base: folder that relative paths in it start from.
        fetch: whether models may be downloaded.
        on_progress: called while a model is downloaded or checked.

    Raises:
        TaskpaceError: a model, task, data file or engine option that cannot be used.
    """
    check_engines(experiment)
    with _without_collecting():
        tasks = tuple(_plan_task(use, experiment, base) for use in experiment.tasks)
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise ExperimentError(f'key "tasks": two tasks are called "{name}": give one a task file of its own name')
    systems = plan_systems(experiment, base, fetch=fetch, on_progress=on_progress)
    with _without_collecting():
        return make_plan(experiment, systems, tasks)


_WITHOUT_FILE = ("key ", "system ", "task ", "unknown ")
"""What a message begins with that says where in an experiment, and not in which."""


@contextlib.contextmanager
def errors_of(source: str) -> Iterator[None]:
    """Have errors about an experiment name what it is from: its file, or ``flags``."""
    try:
        yield
    except (ExperimentError, ModelError, TaskError) as exc:
        if not str(exc).startswith(_WITHOUT_FILE):
            raise
        raise type(exc)(f"{source}: {exc}") from None


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Pause the garbage collector: of items nothing is in a circle, and of a million it walks all again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def check_engines(experiment: Experiment) -> None:
    """Raises ``TaskpaceError`` where a system's engine or its options cannot be used."""
    for system in experiment.systems:
        _check_engine(system, experiment.scenarios)


def plan_systems(
    experiment: Experiment, base: Path, *, fetch: bool = True, on_progress: Progress | None = None
) -> tuple[PlannedSystem, ...]:
    """The experiment's systems with their models found; arguments and errors as of ``prepare``."""
    return tuple(_plan_system(system, base, fetch, on_progress) for system in experiment.systems)


def _check_engine(system: System, scenarios: tuple[Scenario, ...]) -> None:
    try:
        entry = engines.entry(system.engine)
        engines.check_options(system.engine, system.options)
    except TaskpaceError as exc:
        raise ExperimentError(f'system "{system.name}": {exc}') from None
    if (entry.needs_model_file or entry.takes_model_file) and not system.model:
        raise ExperimentError(f'system "{system.name}": the key "model" is missing: name a file or a catalogue model')
    batches = [scenario.name for scenario in scenarios if scenario.batch is not None]
    if batches and not entry.batches:
        able = " and ".join(f'"{name}"' for name, each in engines.ENGINES.items() if each.batches)
        raise ExperimentError(
            f'system "{system.name}": engine {system.engine} has no static batches ("{batches[0]}"): {able} has them'
        )
    engines.require_library(entry)


def _plan_system(system: System, base: Path, fetch: bool, on_progress: Progress | None) -> PlannedSystem:
    entry = engines.entry(system.engine)
    if entry.takes_model_file and not models.names_a_file(system.model, base):
        # A folder is looked for beside the experiment file, and else taken for a hub name.
        folder = base / system.model
        if folder.is_dir():
            return PlannedSystem(
                spec=system, path=str(folder.absolute()), sha256=None, size_bytes=_weights_bytes(folder)
            )
        return PlannedSystem(spec=system, path=system.model, sha256=None, size_bytes=None)
    if not entry.needs_model_file and not entry.takes_model_file:
        return PlannedSystem(spec=system, path=system.model, sha256=None, size_bytes=None)
    try:
        found = models.resolve(system.model, base, fetch=fetch, on_progress=on_progress)
    except TaskpaceError as exc:
        raise type(exc)(f'system "{system.name}": {exc}') from None
    return PlannedSystem(spec=system, path=found.path, sha256=found.sha256, size_bytes=found.size_bytes)


def _weights_bytes(folder: Path) -> int | None:
    """Of the files of weights in a model's folder; null: there are none, or they cannot be looked at."""
    try:
        return sum(file.stat().st_size for kind in ("*.safetensors", "*.bin") for file in folder.glob(kind)) or None
    except OSError:
        return None


def count_items(use: TaskUse, experiment: Experiment, base: Path) -> tuple[str, int]:
    """A task's name, and how many items it may be asked at most: all of its data, or as many as the experiment wants.

    Raises:
        TaskError: its data cannot be read.
    """
    task, _ = _task(use, experiment, base)
    there = len(load_items(task, base, None, experiment.seed))
    return task.name, min(there, use.items or experiment.items or there)


def _plan_task(use: TaskUse, experiment: Experiment, base: Path) -> PlannedTask:
    task, table = _task(use, experiment, base)
    count = use.items or experiment.items
    if experiment.until is not None:
        # At most so many: how many it takes is not known, and all there are may be fewer.
        loaded = load_data(task, base, None, experiment.seed, table)
        items = loaded.items[: count or MOST_ITEMS]
    else:
        wanted = count or (None if use.prompts else DEFAULT_ITEMS)
        loaded = load_data(task, base, wanted, experiment.seed, table)
        items = loaded.items
    try:
        planned = tuple(PlannedItem(spec=item, prompts=render(task, item)) for item in items)
    except TaskError as exc:
        raise TaskError(f"{use.use}: {exc}") from None
    task = msgspec.structs.replace(task, data=msgspec.structs.replace(task.data, left_out=loaded.left_out))
    return PlannedTask(spec=task, items=planned)


def _task(use: TaskUse, experiment: Experiment, base: Path) -> tuple[Task, Table | None]:
    """A task as this experiment uses it, and its data where they had to be opened for it."""
    table = None
    if use.prompts:
        table = open_source(str(base / use.prompts), Path())
        task = prompts_task(base / use.prompts, table)
    else:
        task = load_task(use.use or "", base)
    if use.data is not None or use.where is not None:
        task = with_data(task, use.data, use.where)
        table = None if use.data is not None else table
    max_tokens = use.max_tokens or experiment.max_tokens
    if max_tokens:
        task = msgspec.structs.replace(task, max_tokens=max_tokens)
    if use.think_time_s is not None:
        task = with_think_time(task, use.think_time_s)
    _check_turns(task, experiment.scenarios)
    return task, table


def _check_turns(task: Task, scenarios: tuple[Scenario, ...]) -> None:
    batches = [scenario.name for scenario in scenarios if scenario.batch is not None]
    if batches and len(task.turns) > 1:
        raise ExperimentError(
            f'task "{task.name}" has {len(task.turns)} turns, a static batch ("{batches[0]}") is of one: '
            'leave one of the two out, or take "concurrency=N"'
        )
