"""An experiment that a run file holds, with a setting changed: more items, another limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from taskpace.errors import ExperimentError
from taskpace.experiment.experiment import CHANGEABLE, FLAGS, OF_TASKS, UNTIL, Experiment, without
from taskpace.experiment.numbers import check_numbers
from taskpace.experiment.prepare import count_items
from taskpace.experiment.until import check_until, read_until

_FIELDS = {"timeout": "timeout_s"}
"""Keys whose field in ``Experiment`` carries its unit."""


def changed(experiment: Experiment, settings: dict[str, Any], base: Path, location: str) -> Experiment:
    """The experiment with other settings, each in place of the tasks' own.

    Args:
        experiment: as it was.
        settings: by key, of those in ``CHANGEABLE``. ``items`` is the most: a task that has fewer is asked all.
        base: folder that relative paths in the experiment start from, to see how many items there are.
        location: what holds the experiment, for errors.

    Raises:
        ExperimentError: a key that cannot be changed, or a value out of range.
        TaskError: a task or its data cannot be read.
    """
    for key in settings:
        if key not in CHANGEABLE:
            flag = FLAGS.get(key, key).replace("_", "-")
            raise ExperimentError(
                f"--{flag} cannot change {location}, which holds an experiment: leave it out; "
                f"{', '.join('--' + each.replace('_', '-') for each in CHANGEABLE)} can"
            )

    def refuse(problem: str) -> ExperimentError:
        return ExperimentError(f"flags: {problem}")

    if experiment.until is not None and (gate := experiment.until.gate) is not None:
        raise ExperimentError(
            f"{location} holds a run that ends when its gate against {gate.base} can say pass or fail: it goes on when "
            "the `taskpace compare` that made it is given again"
        )

    check_numbers(settings, refuse)
    fields = {_FIELDS.get(key, key): value for key, value in settings.items() if key not in UNTIL}
    fields["until"] = read_until(settings, refuse, experiment.until)
    if "max_items" in settings:
        fields["items"] = settings["max_items"]
    tasks = experiment.tasks
    for key, own in OF_TASKS.items():
        if key in settings:
            tasks = tuple(without(own, use) for use in tasks)
    found = msgspec.structs.replace(experiment, tasks=tasks, **fields)
    if found.until is not None:
        check_until(
            systems=len(found.systems),
            repeats=found.repeats,
            order=found.order,
            scenarios=found.scenarios,
            refuse=refuse,
        )
    if "items" not in fields:
        return found
    counts = [count_items(use, found, base)[1] for use in tasks]
    return msgspec.structs.replace(
        found,
        tasks=tuple(
            use if count == found.items else msgspec.structs.replace(use, items=count)
            for use, count in zip(tasks, counts, strict=True)
        ),
    )
