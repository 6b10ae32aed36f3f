"""A run file whose plan has become larger: what is missing is added, what is there stays.

Ids are content hashes, so a trial of the larger plan is in the file already exactly where it is the same trial.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from taskpace.errors import StoreError
from taskpace.experiment.plan import Plan
from taskpace.experiment.until import Until
from taskpace.store.rows import as_json, put_plan, set_experiment, set_prices, set_until
from taskpace.text.safe_text import one_line
from taskpace.text.strict import plain

_OF_TRIALS = ("seed", "timeout_s")
"""Keys of an experiment that are part of every trial's id."""
_MOST_LETTERS = 60


def grow(db: sqlite3.Connection, path: Path, plan: Plan) -> None:
    """Add what ``plan`` has and the file lacks. To be called within a transaction.

    A plan with fewer items or repeats than the file has adds nothing. A run that once ended when it was decided stays
    such a run: how many items it has depends on what they showed. Prices may be any: they are the plan's from now on.

    Raises:
        StoreError: the plan would change what is recorded, or has not all of the file's systems, tasks and scenarios.
    """
    plan_id, kept = db.execute("SELECT plan_id, experiment FROM run").fetchone()
    _check_until(msgspec.json.decode(kept, type=_Kept), path, plan)
    if plan_id == plan.id:
        set_until(db, plan)
        set_prices(db, plan)
        return
    if problem := _conflict(db, msgspec.json.decode(kept), plan):
        other = path.with_name(f"{path.stem}-2{path.suffix}")
        raise StoreError(
            f"{path}: holds a run of another plan ({problem}): choose another -o, such as {other}, or restore that plan"
        )
    there = {trial_id for (trial_id,) in db.execute("SELECT id FROM trial")}
    planned = {trial_id for cell in plan.cells for trial_id in plan.trials(cell).ids()}
    if not planned <= there:
        put_plan(db, plan)
    if there <= planned:
        set_experiment(db, plan)
    else:
        set_until(db, plan)
        set_prices(db, plan)


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Kept(msgspec.Struct, frozen=True):
    """Of an experiment."""

    systems: tuple[_Named, ...]
    until: Until | None = None


def _check_until(kept: _Kept, path: Path, plan: Plan) -> None:
    gate, now = (each.gate if each is not None else None for each in (kept.until, plan.experiment.until))
    if gate is not None and now is None:
        raise StoreError(
            f"{path}: holds a run that ends when its gate against {gate.base} can say pass or fail: it goes on when "
            "the `taskpace compare` that made it is given again; or choose another -o"
        )
    if now is not None and (gate is None or (gate.against, gate.again) != (now.against, now.again)):
        held = "has no gate" if gate is None else "has a gate against other systems"
        raise StoreError(f"{path}: holds a run that {held}: choose another -o")
    if kept.until is not None and plan.experiment.until is None:
        raise StoreError(
            f"{path}: holds a run that ends when its ranking is settled: add --until decided, or choose another -o"
        )
    if kept.until is not None and len(plan.systems) > len(kept.systems):
        raise StoreError(
            f"{path}: holds a run that ends when its ranking is settled, to which no system can be added: "
            "choose another -o"
        )


def _conflict(db: sqlite3.Connection, kept: dict[str, Any], plan: Plan) -> str | None:
    """The first thing for which the plan cannot be added to the file, in words; null: nothing stands against it."""
    cells = {(cell.system.name, cell.task.name, cell.scenario.name): cell.id for cell in plan.cells}
    names = [set(column) for column in zip(*cells, strict=True)]
    for system, task, scenario, cell_id in db.execute("SELECT system, task, scenario, id FROM cell ORDER BY position"):
        for what, name, known in zip(("system", "task", "scenario"), (system, task, scenario), names, strict=True):
            if name not in known:
                return f'it has the {what} "{name}", which this experiment lacks'
        if cells[system, task, scenario] != cell_id:
            return _difference(kept, plan, system, task)
    for planned in plan.tasks:
        there = {item for (item,) in db.execute("SELECT id FROM item WHERE task = ?", (planned.name,))}
        now = {item.id for item in planned.items}
        if not (there <= now or now <= there):
            return f'the task "{planned.name}" has other data'
    return None


def _difference(kept: dict[str, Any], plan: Plan, system: str, task: str) -> str:
    """Why a cell of these names is another one now."""
    new = msgspec.json.decode(as_json(plan.experiment))
    for key in _OF_TRIALS:
        if kept.get(key) != new[key]:
            return _change(key.removesuffix("_s"), kept.get(key), new[key])
    before: dict[str, Any] = next((each for each in kept["systems"] if each["name"] == system), {})
    after = next(plain(each.spec) for each in plan.systems if each.name == system)
    for key, value in after.items():
        if before.get(key) != value and key != "brief_of":
            return f'system "{system}": {_change(key, before.get(key), value)}'
    if kept.get("max_tokens") != new["max_tokens"]:
        return _change("max_tokens", kept.get("max_tokens"), new["max_tokens"])
    return f'the task "{task}" or the model file of "{system}" has changed'


def _change(key: str, before: Any, after: Any) -> str:
    told = (one_line(as_json(value), _MOST_LETTERS) for value in (before, after))
    return f"{key} was {next(told)}, is now {next(told)}"
