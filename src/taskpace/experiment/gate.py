"""The plan of a run that asks until a gate can say pass or fail: new systems, the baseline's beside them, and the items
that both can be asked. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from taskpace.errors import ExperimentError
from taskpace.experiment.experiment import Experiment, without
from taskpace.experiment.plan import Plan, PlannedSystem, make_plan
from taskpace.experiment.until import Against, Gate, Until, check_until

Recorded = Mapping[tuple[str, str, str], Collection[str]]
"""What a baseline has: by task, scenario and system the items that came to an end."""


def for_gate(experiment: Experiment, systems: Collection[str], *, max_items: int | None, location: str) -> Experiment:
    """An experiment whose tasks are asked at most ``max_items``, of these systems alone.

    Args:
        experiment: as read.
        systems: names of those that have one of the baseline to be compared with.
        max_items: of each task, in place of the file's; null: as many as the file says, 660 or all there are.
        location: of the experiment, for errors.

    Raises:
        ExperimentError: repeats, arrivals at a rate, static batches, or systems one after the other.
    """

    def refuse(problem: str) -> ExperimentError:
        return ExperimentError(f"{location}: {problem}")

    check_until(
        systems=len(systems),
        repeats=experiment.repeats,
        order=experiment.order,
        scenarios=experiment.scenarios,
        refuse=refuse,
        gate=True,
    )
    tasks = experiment.tasks if max_items is None else tuple(without("items", task) for task in experiment.tasks)
    return msgspec.structs.replace(
        experiment,
        systems=tuple(
            msgspec.structs.replace(each, brief_of=None) for each in experiment.systems if each.name in systems
        ),
        tasks=tasks,
        items=max_items or experiment.items,
        until=Until(),
    )


BESIDE = " (base)"


def beside(name: str) -> str:
    """What a system of the baseline is called in the run that asks it again."""
    return f"{name}{BESIDE}"


def gated_plan(
    plan: Plan,
    names: Sequence[tuple[str, str]],
    conditions: Sequence[str],
    *,
    base: str,
    recorded: Recorded,
    again: Sequence[PlannedSystem],
) -> Plan:
    """A plan with its gate.

    Args:
        plan: of the new systems, each task with all the items that there may be.
        names: of systems, the baseline's and the new one.
        conditions: that fail it.
        base: what the baseline is called.
        recorded: what the baseline holds.
        again: the baseline's systems under their names there, in the order of ``names``; empty: what it has recorded
            counts, and items that it lacks are not asked.

    Raises:
        ExperimentError: the baseline lacks a task, or all of its items.
    """
    tables = [(task.name, scenario.name) for task in plan.tasks for scenario in plan.experiment.scenarios]
    tasks = plan.tasks
    if not again:
        common = {task.name: {item.id for item in task.items} for task in plan.tasks}
        for task, scenario in tables:
            for older, _ in names:
                known = recorded.get((task, scenario, older), ())
                if not common[task] & set(known):
                    raise ExperimentError(
                        f'{base} has nothing of the task "{task}" ({scenario}) by "{older}" that would be asked: run '
                        "it there too, with the same data and seed, or leave it out"
                    )
                common[task] &= set(known)
        tasks = tuple(
            msgspec.structs.replace(task, items=tuple(item for item in task.items if item.id in common[task.name]))
            for task in plan.tasks
        )
    anchors = tuple(
        msgspec.structs.replace(each, spec=msgspec.structs.replace(each.spec, name=beside(each.name), brief_of=None))
        for each in again
    )
    gate = Gate(
        conditions=tuple(conditions),
        base=base,
        against=tuple(Against(base=beside(older) if again else older, new=new) for older, new in names),
        again=bool(again),
        cells=len(tables) * len(names),
    )
    systems = (*plan.systems, *anchors)
    experiment = msgspec.structs.replace(
        plan.experiment, systems=tuple(each.spec for each in systems), until=Until(gate=gate)
    )
    return make_plan(experiment, systems, tasks)
