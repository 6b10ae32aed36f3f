"""From logs to a plan: what systems, tasks, items and trials they hold. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from taskpace.engines.base import Sampling
from taskpace.experiment.experiment import DEFAULT_TIMEOUT_S, Experiment, System, TaskUse
from taskpace.experiment.imported import ENGINE, SCORER, Imported, ImportedLog, Unknown
from taskpace.experiment.plan import Cell, Plan, PlannedItem, PlannedSystem, PlannedTask, Trials, content_id
from taskpace.importing.logs import Log, Sample
from taskpace.importing.values import MOST_SECONDS
from taskpace.tasks import DataSource, Item, Task, TurnTemplate

NO_LIMIT = 2**31 - 1
"""Tokens, of a task whose limit is not known: a limit is the imported system's."""
_MOST_NAME = 200


class ImportedPlan(Plan, frozen=True, kw_only=True, dict=True):
    """A plan whose cells have the trials that their logs have, and those that these say are missing."""

    samples: dict[str, tuple[tuple[PlannedItem, int], ...]]
    """Of each cell by its id: item and repeat of every trial."""

    @cached_property
    def _trials(self) -> dict[str, Trials]:
        return {cell.id: _imported_trials(cell.id, self.samples[cell.id]) for cell in self.cells}

    @property
    def trial_count(self) -> int:
        return sum(map(len, self.samples.values()))


def _imported_trials(cell_id: str, samples: Sequence[tuple[PlannedItem, int]]) -> Trials:
    ids = (content_id("trial", cell_id, item.id, repeat) for item, repeat in samples)
    items, repeats = zip(*samples, strict=True) if samples else ((), ())
    return Trials(cell_id, bytes.fromhex("".join(ids)), items, repeats)


class Placed(NamedTuple):
    """A log with its place in the plan."""

    log: Log
    cell: Cell
    unknown: tuple[Unknown, ...]


class _Asked(NamedTuple):
    """What a log's samples ask, in order, with what is missing at the end."""

    log: Log
    task: Task
    items: tuple[PlannedItem, ...]
    repeats: tuple[int, ...]
    unknown: tuple[Unknown, ...]
    notes: tuple[str, ...]


def make_imported_plan(
    logs: Sequence[Log], name: str, graded_by: Task | None = None, items: Sequence[Sequence[PlannedItem]] = ()
) -> tuple[ImportedPlan, tuple[Placed, ...]]:
    """The plan of a run file that holds these logs.

    Args:
        logs: one or more.
        name: of the run.
        graded_by: the task of ours that grades all of them; null: the logs' own verdicts are kept.
        items: with ``graded_by``, the item of each sample of each log.
    """
    asked = [_asked(log, graded_by, items[index] if graded_by else None) for index, log in enumerate(logs)]
    if graded_by is not None:
        asked = _without_differing_prompts(asked)
    tasks = {each.task.name: each.task for each in asked}
    groups = _systems(asked)
    names = _names(groups)
    systems, cells, samples, placed = [], [], {}, []
    planned_tasks = tuple(
        PlannedTask(spec=task, items=_union(each.items for each in asked if each.task.name == task.name))
        for task in tasks.values()
    )
    for group, system_name in zip(groups, names, strict=True):
        system = _system(group, system_name)
        systems.append(system)
        for each in group:
            task = PlannedTask(spec=tasks[each.task.name], items=_union([each.items]))
            cell = Cell(
                id=content_id("imported", system.spec, each.task.name, each.log.scenario.name),
                system=system,
                task=task,
                scenario=each.log.scenario,
            )
            cells.append(cell)
            samples[cell.id] = tuple(zip(each.items, each.repeats, strict=True))
            placed.append(Placed(each.log, cell, each.unknown))
    order = [id(each.log) for each in asked]
    placed.sort(key=lambda each: order.index(id(each.log)))
    experiment = Experiment(
        name=name,
        items=None,
        seed=0,
        repeats=max((repeat for each in asked for repeat in each.repeats), default=1),
        warmup=0,
        timeout_s=DEFAULT_TIMEOUT_S,
        max_tokens=None,
        tasks=tuple(TaskUse(use=task) for task in tasks),
        scenarios=tuple({each.log.scenario.name: each.log.scenario for each in asked}.values()),
        order="sequential",
        systems=tuple(system.spec for system in systems),
    )
    plan = ImportedPlan(
        id=content_id("import", [cell.id for cell in cells], [[item.id for item in t.items] for t in planned_tasks]),
        experiment=experiment,
        systems=tuple(systems),
        tasks=planned_tasks,
        cells=tuple(cells),
        samples=samples,
    )
    return plan, tuple(placed)


def _asked(log: Log, graded_by: Task | None, found: Sequence[PlannedItem] | None) -> _Asked:
    items = list(found) if found is not None else [_item(log, index, each) for index, each in enumerate(log.samples)]
    repeats: list[int] = []
    taken: set[tuple[str, int]] = set()
    for item, sample in zip(items, log.samples, strict=True):
        repeat = sample.repeat or 1
        while (item.id, repeat) in taken:
            repeat += 1
        taken.add((item.id, repeat))
        repeats.append(repeat)
    for index in range(log.missing):
        fields: dict[str, Any] = {"missing": index + 1}
        items.append(PlannedItem(spec=Item(id=content_id("missing", log.sha256, index), fields=fields), prompts=()))
        repeats.append(1)
    return _Asked(log, graded_by or _task(log), tuple(items), tuple(repeats), _unknown(log), log.notes)


def _without_differing_prompts(asked: Sequence[_Asked]) -> list[_Asked]:
    """Remove the prompt of an item that logs have put into different words: a run file has one for all."""
    prompts: dict[str, set[tuple[str, ...]]] = {}
    for each in asked:
        for item in each.items:
            prompts.setdefault(item.id, set()).add(item.prompts)
    differing = {item_id for item_id, found in prompts.items() if len(found) > 1}
    found = []
    for each in asked:
        items = tuple(
            msgspec.structs.replace(item, prompts=()) if item.id in differing else item for item in each.items
        )
        count = len({item.id for item in items if item.id in differing})
        note = f"{count} of its items were asked in other words than in other logs: their prompts are left out"
        found.append(each._replace(items=items, notes=(*each.notes, note) if count else each.notes))
    return found


def _item(log: Log, index: int, sample: Sample) -> PlannedItem:
    """Give a question one id in every log: its name, its text and its right answer."""
    fields = {"prompt": sample.prompt, "answer": sample.reference, "name": sample.item}
    fields = {key: value for key, value in fields.items() if value is not None}
    nameless = sample.item is None and sample.prompt is None
    identity = (log.sha256, index) if nameless else (sample.item, sample.prompt, sample.reference)
    prompts = () if sample.prompt is None else (sample.prompt,)
    return PlannedItem(spec=Item(id=content_id("item", *identity), fields=fields), prompts=prompts)


def _task(log: Log) -> Task:
    # Verdicts of one log say nothing of another that has none.
    return Task(
        name=log.task[:_MOST_NAME] if log.graded else f"{log.task[:_MOST_NAME]} (not graded)",
        version=1,
        description=f"As {log.tool} asked it",
        data=DataSource(source=f"import:{log.tool}"),
        turns=(TurnTemplate(prompt="{{ prompt }}"),),
        max_tokens=NO_LIMIT,
        scorer=SCORER if log.graded else None,
    )


def _unknown(log: Log) -> tuple[Unknown, ...]:
    """What is not known of every sample that ended: with one unknown, no mean or total is known."""
    ended = [sample for sample in log.samples if sample.error is None]
    asked: tuple[tuple[Unknown, str], ...] = (("time", "seconds"), ("text", "text"))
    found = [name for name, field in asked if not ended or any(getattr(each, field) is None for each in ended)]
    # A failed sample may never have been sent.
    timed = [sample for sample in log.samples if sample.seconds is not None]
    starts = [sample.started_s for sample in log.samples if sample.started_s is not None]
    apart = max(starts, default=0.0) - min(starts, default=0.0) > MOST_SECONDS
    if not timed or apart or any(sample.started_s is None for sample in timed):
        found.append("start")
    return tuple(found)


def _systems(asked: Iterable[_Asked]) -> list[list[_Asked]]:
    """Logs of one model by one tool with the same settings are one system, as long as none is of the same cell."""
    groups: list[list[_Asked]] = []
    for each in asked:
        identity = _identity(each.log)
        cell = (each.task.name, each.log.scenario.name)
        for group in groups:
            cells = {(other.task.name, other.log.scenario.name) for other in group}
            if _identity(group[0].log) == identity and cell not in cells:
                group.append(each)
                break
        else:
            groups.append([each])
    return groups


def _identity(log: Log) -> object:
    return log.tool, log.version, log.model, log.system_prompt, log.max_tokens, log.settings


def _names(groups: Sequence[Sequence[_Asked]]) -> list[str]:
    """The model's name; where several systems have it, with what distinguishes them."""
    plain = [group[0].log.model[:_MOST_NAME] or "unnamed" for group in groups]
    found = []
    for group, name in zip(groups, plain, strict=True):
        others = [other[0].log for other, its in zip(groups, plain, strict=True) if its == name]
        log = group[0].log
        if len(others) == 1:
            found.append(name)
        elif len({other.tool for other in others}) == len(others):
            found.append(f"{name} ({log.tool})")
        else:
            found.append(f"{name} ({log.file})")
    counts: Counter[str] = Counter()
    for index, name in enumerate(found):
        counts[name] += 1
        if found.count(name) > 1:
            found[index] = f"{name} {counts[name]}"
    return found


def _system(group: Sequence[_Asked], name: str) -> PlannedSystem:
    log = group[0].log
    imported = Imported(
        tool=log.tool,
        version=log.version,
        settings=log.settings,
        logs=tuple(
            ImportedLog(
                task=each.task.name,
                scenario=each.log.scenario.name,
                file=each.log.file,
                sha256=each.log.sha256,
                times=each.log.times,
                unknown=each.unknown,
                notes=each.notes,
            )
            for each in group
        ),
    )
    spec = System(
        name=name,
        engine=ENGINE,
        model=log.model,
        system_prompt=log.system_prompt,
        sampling=Sampling(),
        options=msgspec.to_builtins(imported),
        max_tokens=log.max_tokens,
    )
    return PlannedSystem(spec=spec, path="", sha256=None, size_bytes=None)


def _union(lists: Iterable[Sequence[PlannedItem]]) -> tuple[PlannedItem, ...]:
    return tuple({item.id: item for items in lists for item in items}.values())
