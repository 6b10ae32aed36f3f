"""The experiment: which systems, tasks and scenarios, read strictly from a TOML file or built from flags."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from taskpace.engines.base import Sampling
from taskpace.errors import ExperimentError
from taskpace.experiment.labels import brief, short_name
from taskpace.experiment.library import shipped_file
from taskpace.experiment.numbers import (
    MOST,
    MOST_SYSTEMS,
    MOST_TASKS,
    Refuse,
    check_count,
    check_numbers,
    check_options,
    most_resources,
)
from taskpace.experiment.scenario import Scenario, ScenarioSweep, read_scenarios
from taskpace.experiment.until import By, Until, check_until, read_until
from taskpace.prices.given import system_prices
from taskpace.prices.price import Price
from taskpace.text.strict import MOST_LETTERS, convert, did_you_mean, read_toml

DEFAULT_ITEMS = 20
DEFAULT_TIMEOUT_S = 120.0
DEFAULT_TASKS = ("mmlu-letter", "mmlu-paraphrase", "mmlu-explain")


Order = Literal["turns", "blocks", "sequential"]
"""Of the systems on one task: every item asked of all of them before the next item; blocks of a few items, one system
open at a time; or one system after the other, which leaves every comparison open to a machine that drifts."""


class System(msgspec.Struct, frozen=True, kw_only=True):
    """What is under test: model + engine + precision + engine options + sampling + system prompt."""

    name: str
    engine: str
    model: str
    system_prompt: str | None
    sampling: Sampling
    options: dict[str, Any]
    max_tokens: int | None = None
    """The most that it may write of an answer, where that is less than the task's own limit; null: the task's."""
    brief_of: str | None = None
    """The system that this one is a form of, asked to be brief (see ``experiment.brevity``); no part of what it is."""


class TaskUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task, and what this experiment changes about it."""

    use: str | None = None
    """A shipped task's name or a path to a task file."""
    prompts: str | None = None
    """Instead of ``use``: a file of prompts, one trial each."""
    data: str | None = None
    """Other data for the same task: a path, ``hf://datasets/...``, or ``public`` for the data set the task names."""
    where: dict[str, str | int | float | bool] | None = None
    """Only rows whose columns have these values."""
    items: int | None = None
    max_tokens: int | None = None
    think_time_s: float | None = None
    """Between the turns; null: the task's own."""


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment with its sweeps unfolded and its scenarios read; everything checked that needs no other file."""

    name: str
    items: int | None
    """How many items of each task; null: 20, and all of a file of prompts."""
    seed: int
    repeats: int
    warmup: int
    timeout_s: float
    max_tokens: int | None
    tasks: tuple[TaskUse, ...]
    scenarios: tuple[Scenario, ...]
    deadline_s: float | None = None
    """What counts as in time, for goodput; null: no deadline."""
    retries: int = 0
    """How often a trial that failed for a passing reason is tried again."""
    batch_order: Literal["given", "length"] = "given"
    """Of the trials in static batches: the plan's, or by length of the prompts, which wastes less on padding."""
    order: Order = "turns"
    """How systems follow each other on a task; no part of what a trial is."""
    processes: int = 1
    """Worker processes that share the load of a system behind an endpoint."""
    energy: bool = False
    """Whether to read this machine's energy counters; then each cell has a pause before and after it."""
    until: Until | None = None
    """When a task ends before all its items (at most ``items``) are asked; null: never."""
    systems: tuple[System, ...]
    prices: dict[str, Price] = {}
    """By system; no part of what a system is, so that any run may get others."""
    resources: dict[str, float] = {}
    """What each node of a cluster reserves: of each resource the most that a system needs, as systems take turns."""


class _SystemTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    model: str = ""
    engine: str = "llamacpp"
    system_prompt: str | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    max_tokens: int | None = None
    brief_of: str | None = None
    price: str | Price | None = None
    options: dict[str, Any] = {}
    resources: dict[str, float] = {}
    sweep: dict[str, list[Any]] = {}


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    system: list[_SystemTable] = []
    suite: str | None = None
    name: str | None = None
    items: int | None = None
    seed: int = 0
    repeats: int = 1
    warmup: int = 1
    timeout: float = DEFAULT_TIMEOUT_S
    max_tokens: int | None = None
    tasks: tuple[str | TaskUse, ...] | None = None
    scenarios: tuple[str | ScenarioSweep, ...] = ("single",)
    deadline: float | None = None
    retries: int = 0
    batch_order: Literal["given", "length"] = "given"
    order: Order = "turns"
    processes: int = 1
    energy: bool = False
    until: Literal["decided"] | None = None
    margin: str | None = None
    by: By | None = None
    max_items: int | None = None
    resources: dict[str, float] = {}


_MOST_NAME_BYTES = 200  # with a suffix it must still be the name of a file
UNTIL = ("until", "margin", "by", "max_items")
CHANGEABLE = ("items", "repeats", "order", "max_tokens", "timeout", *UNTIL)
"""What a flag may change of any file: how many trials there are, when they are asked and end, and their limits."""
OF_TASKS = {"items": "items", "max_items": "items", "max_tokens": "max_tokens"}
"""Changeable settings that tasks may have of their own, by what they are called there."""
_OF_SYSTEMS = ("engine", "system_prompt", "temperature", "top_p", "options")
FLAGS = {"models": "model", "tasks": "task", "scenarios": "scenario"}
"""Settings of several values whose flag is called by one."""
_QUICK_ENGINE = "llamacpp"
_SWEEPABLE = ("model", "engine", "system_prompt", "temperature", "top_p", "seed", "max_tokens")


def load_experiment(path: Path, models: tuple[str, ...] = (), **settings: Any) -> Experiment:
    """Read an experiment file.

    Args:
        path: of the file.
        models: the systems of a file that names none, such as a suite, one for each.
        **settings: for such a file alone: keys of systems and of the file, as in ``quick_experiment``; of any file
            ``CHANGEABLE``, ``items`` and ``max_tokens`` in place of the tasks' own.

    Raises:
        ExperimentError: unknown key, wrong type, a value out of range, two systems of one name, ...; the message names
            the file and the key and says what to do.
    """
    file = read_toml(path, _File, ExperimentError)
    for key in CHANGEABLE:
        if file.system and key in settings:
            file = msgspec.structs.replace(file, **{key: settings.pop(key)})
            if key in OF_TASKS and file.tasks is not None:
                file = msgspec.structs.replace(file, tasks=tuple(without(OF_TASKS[key], task) for task in file.tasks))
    if file.system and (models or settings):
        raise for_quick_form("models" if models else next(iter(settings)), path)
    if not file.system:
        if not models:
            raise ExperimentError(f"{path}: names no system: give it a [[system]], or name models with --model")
        quick = convert(_quick_table(models, settings), _File, ExperimentError, location="flags")
        given = {key: getattr(quick, key) for key in ("system", *settings) if key in _File.__struct_fields__}
        file = msgspec.structs.replace(file, **given)
    return _checked(file, str(path), default_name=path.stem)


Use = TypeVar("Use", str | TaskUse, TaskUse)


def without(key: str, task: Use) -> Use:
    """The task without its own value of a setting."""
    return task if isinstance(task, str) else msgspec.structs.replace(task, **{key: None})


def for_quick_form(setting: str, path: Path) -> ExperimentError:
    """The error of who sets by a flag what the file at ``path`` says itself."""
    flag = FLAGS.get(setting, setting).replace("_", "-")
    return ExperimentError(f"--{flag} is for the quick form: put it into {path}, or leave the file out")


def quick_experiment(
    *,
    models: tuple[str, ...],
    tasks: tuple[str, ...] = (),
    prompts: str | None = None,
    data: str | None = None,
    where: dict[str, str | int | float | bool] | None = None,
    **settings: Any,
) -> Experiment:
    """The quick form: one system for each model, the same settings for all.

    ``settings`` are the remaining keys of an experiment file and of its ``[[system]]`` tables (``items``, ``seed``,
    ``scenarios``, ``engine``, ``temperature``, ...). Raises ``ExperimentError`` as ``load_experiment`` does.
    """
    names = tasks or (() if prompts else DEFAULT_TASKS)
    uses: list[str | TaskUse] = []
    if prompts:
        uses.append(TaskUse(prompts=prompts, data=None if tasks else data, where=where))
    uses += [TaskUse(use=name, data=data, where=where) if data or where else name for name in names]
    table = _quick_table(models, settings) | {"tasks": [msgspec.to_builtins(use) for use in uses]}
    return experiment_of(table, "flags", default_name="quick")


def experiment_of(table: dict[str, Any], location: str, *, default_name: str) -> Experiment:
    """Read an experiment from a table with the keys of an experiment file; complaints start with ``location``."""
    return _checked(convert(table, _File, ExperimentError, location=location), location, default_name=default_name)


def _quick_table(models: tuple[str, ...], settings: dict[str, Any]) -> dict[str, Any]:
    """An experiment file's keys: a system for each model, with the settings that belong to systems."""
    shorts = [short_name(model) for model in models]
    of_systems = {key: settings[key] for key in _OF_SYSTEMS if key in settings}
    names = [short if shorts.count(short) == 1 else model for short, model in zip(shorts, models, strict=True)]
    systems = [
        {"name": name, "model": model, "engine": _QUICK_ENGINE} | of_systems
        for name, model in zip(names, models, strict=True)
    ]
    others = {key: list(value) if key == "scenarios" else value for key, value in settings.items()}
    return {"system": systems} | {key: value for key, value in others.items() if key not in _OF_SYSTEMS}


def _checked(file: _File, location: str, *, default_name: str) -> Experiment:
    def refuse(problem: str) -> ExperimentError:
        return ExperimentError(f"{location}: {problem}")

    file = _with_suite(file, refuse)
    check_numbers(msgspec.structs.asdict(file), refuse)
    name = file.name or default_name
    if re.search(r"[/\\\x00-\x1f\x7f]|^\.+$", name) or len(name.encode("utf-8", "replace")) > _MOST_NAME_BYTES:
        raise refuse(
            f'key "name": invalid name {name[:60]!r}, as it names the run file too: leave out slashes and '
            f"control characters, and give {_MOST_NAME_BYTES} bytes at most"
        )
    for key in ("tasks", "scenarios"):
        if not getattr(file, key):
            raise refuse(f'key "{key}": the list is empty: name at least one')
    if (count := sum(math.prod(map(len, table.sweep.values())) for table in file.system)) > MOST_SYSTEMS:
        raise refuse(f"it comes to {count:,} systems, sweeps unfolded: {MOST_SYSTEMS:,} at most")
    if (count := len(file.tasks or ())) > MOST_TASKS:
        raise refuse(f'key "tasks": {count:,} of them: name {MOST_TASKS:,} at most')
    unfolded = [(table, _unfold(table, refuse)) for table in file.system]
    systems = tuple(system for _, found in unfolded for system in found)
    names = [system.name for system in systems]
    _refuse_twins(names, "system", refuse)
    for system in systems:
        if system.brief_of is not None and (system.brief_of not in names or system.brief_of == system.name):
            raise refuse(
                f'system "{system.name}", key "brief_of": unknown system "{system.brief_of}"'
                f"{did_you_mean(system.brief_of, names)}"
            )
    prices: dict[str, Price] = {}
    for table, found in unfolded:
        prices |= system_prices(table.price, table.name, [system.name for system in found], refuse)
    scenarios = tuple(scenario for each in file.scenarios for scenario in read_scenarios(each, location))
    _refuse_twins([scenario.name for scenario in scenarios], "scenario", refuse)
    until = read_until(msgspec.structs.asdict(file), refuse)
    if until is not None:
        check_until(systems=len(systems), repeats=file.repeats, order=file.order, scenarios=scenarios, refuse=refuse)
    return Experiment(
        name=name,
        items=file.max_items or file.items,
        seed=file.seed,
        repeats=file.repeats,
        warmup=file.warmup,
        timeout_s=file.timeout,
        max_tokens=file.max_tokens,
        tasks=tuple(_task_use(task, refuse) for task in file.tasks or ()),
        scenarios=scenarios,
        deadline_s=file.deadline,
        retries=file.retries,
        batch_order=file.batch_order,
        order=file.order,
        processes=file.processes,
        energy=file.energy,
        until=until,
        systems=systems,
        prices=prices,
        resources=most_resources([file.resources, *(table.resources for table in file.system)], refuse),
    )


def _refuse_twins(names: list[str], what: str, refuse: Refuse) -> None:
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise refuse(f'two {what}s are called "{twins[0]}": give each a name of its own')


def _with_suite(file: _File, refuse: Refuse) -> _File:
    """With the tasks of the suite that the file names, and as many items of each unless it says otherwise."""
    if file.suite is None:
        return file if file.tasks is not None else msgspec.structs.replace(file, tasks=DEFAULT_TASKS)
    if file.tasks is not None:
        raise refuse('key "suite": it names the tasks, and so does "tasks": leave one of the two out')
    path = shipped_file(file.suite)
    suite = None if path is None else read_toml(path, _File, ExperimentError)
    if suite is None or suite.system or suite.tasks is None:
        raise refuse(f'key "suite": unknown suite "{file.suite}": see `taskpace list experiments`')
    return msgspec.structs.replace(file, tasks=suite.tasks, items=file.items or suite.items)


def _task_use(task: str | TaskUse, refuse: Refuse) -> TaskUse:
    use = TaskUse(use=task) if isinstance(task, str) else task
    if (use.use is None) == (use.prompts is None):
        raise refuse('key "tasks": a task table needs either "use" (a task) or "prompts" (a file), not both')
    if use.prompts is not None and use.data is not None:
        raise refuse('key "data": a file of prompts has its data in itself: leave one of the two out')
    for key in ("items", "max_tokens"):
        check_count(f'{key}" of the task "{use.use or use.prompts}', getattr(use, key), 1, refuse)
    return use


def _unfold(table: _SystemTable, refuse: Refuse) -> list[System]:
    """The systems that one ``[[system]]`` table stands for: the product of its sweeps, or itself."""
    base = {key: getattr(table, key) for key in _SWEEPABLE}
    for key, values in table.sweep.items():
        if not values:
            raise refuse(f'system "{table.name}", sweep "{key}": the list is empty: give at least one value')
        if f"options.{key}" in table.sweep:
            raise refuse(f'system "{table.name}", sweep "{key}": it stands there as "options.{key}" too: keep one')
    systems = []
    for chosen in itertools.product(*table.sweep.values()):
        point = dict(zip(table.sweep, chosen, strict=True))
        label = " ".join([table.name, *(f"{key.removeprefix('options.')}={brief(key, point[key])}" for key in point)])
        settings = base | {key: value for key, value in point.items() if key in base}
        options = table.options | {
            key.removeprefix("options."): value for key, value in point.items() if key not in base
        }
        systems.append(_system(label, settings, options, refuse))
    return [msgspec.structs.replace(system, brief_of=table.brief_of) for system in systems]


def _system(name: str, settings: dict[str, Any], options: dict[str, Any], refuse: Refuse) -> System:
    def wrong(key: str, hint: str) -> ExperimentError:
        return refuse(f'system "{name}", key "{key}": invalid value {settings[key]!r}: {hint}')

    if not name.strip():
        raise refuse('a system\'s "name" is empty: give it one')
    if len(name) > MOST_LETTERS:
        raise refuse(f'a system\'s "name" has more than {MOST_LETTERS} characters ({name[:40]}...): shorten it')
    for key, least, most in (("temperature", 0.0, 10.0), ("top_p", 0.0, 1.0)):
        value = settings[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise wrong(key, f"give a number from {least:g} to {most:g}")
    for key in ("model", "engine"):
        if not isinstance(settings[key], str):
            raise wrong(key, "give text")
    if not isinstance(settings["system_prompt"], str | None):
        raise wrong("system_prompt", "give text")
    for key, least in (("seed", -MOST), ("max_tokens", 1)):
        if isinstance(settings[key], bool) or not isinstance(settings[key], int | None):
            raise wrong(key, "give a whole number")
        check_count(f'{key}" of the system "{name}', settings[key], least, refuse)
    check_options(options, name, refuse)
    return System(
        name=name,
        engine=settings["engine"],
        model=settings["model"],
        system_prompt=settings["system_prompt"],
        sampling=Sampling(
            temperature=float(settings["temperature"]), top_p=float(settings["top_p"]), seed=settings["seed"]
        ),
        options=options,
        max_tokens=settings["max_tokens"],
    )
