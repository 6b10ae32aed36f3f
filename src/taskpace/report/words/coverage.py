"""What a run has and what it lacks: how many items fit a budget, and how far an unfinished run came."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from taskpace.experiment.experiment import Experiment
from taskpace.experiment.plan import Plan
from taskpace.report.terminal.progress import in_words
from taskpace.text.safe_text import printable

_TOLERATED = 1.2
"""Times the budget."""


def left_out_lines(plan: Plan) -> Iterator[str]:
    """Of each task whose data have rows that it cannot use: how many, and what is wrong with the first."""
    for task in plan.tasks:
        if (left_out := task.spec.data.left_out) is not None:
            yield printable(
                f"{task.name}: {left_out.rows:,} of {left_out.of:,} rows of the data cannot be used and were left out; "
                f"the first: {left_out.first}"
            )


def fitted_lines(plan: Plan, budget: str, left_s: float, *, continued: bool) -> Iterator[str]:
    """How many items of each task there is time for, and what is too few.

    Args:
        plan: that should fit.
        budget: as the user wrote it.
        left_s: seconds of it that are left.
        continued: the plan was made when the run was begun.
    """
    from taskpace.analysis.table.validity import LEAST_ITEMS  # with numpy, for which no run should wait

    counts = {task.name: len(task.items) for task in plan.tasks}
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    if continued:
        yield printable(f"continues the plan that the run was begun with, whatever the time is now: {listed}")
        return
    yield printable(f"{budget} should be time for so many items: {listed}; about {in_words(max(0.0, left_s))} left")
    if loads := [scenario.name for scenario in plan.experiment.scenarios if not scenario.one_at_a_time]:
        yield printable(
            f"{' and '.join(loads)} may take much less: two items in flight do not show what more of them take; "
            "--items instead of --budget asks as many as you like"
        )
    if few := [name for name, count in counts.items() if count < LEAST_ITEMS]:
        yield printable(
            f"fewer than {LEAST_ITEMS} items are not ranked, which concerns {', '.join(few)}: "
            "give more time or fewer tasks"
        )


def exhausted_lines(experiment: Experiment, items: int | None) -> Iterator[str]:
    """The tasks that have fewer items than are asked for, so that all of them are asked."""
    for use in experiment.tasks:
        if items is not None and use.items is not None and use.items < items:
            yield printable(f"{use.use or use.prompts}: its data have {use.items} items, all are asked")


def coverage_lines(plan: Plan, recorded: Collection[str]) -> Iterator[str]:
    """Of each system: the tasks that are whole, those begun, those without a trial; by task and scenario."""
    for system in plan.systems:
        whole, begun, missing = [], [], []
        for cell in plan.cells:
            if cell.system is not system:
                continue
            trials = plan.trials(cell)
            done = sum(trial_id in recorded for trial_id in trials.ids())
            name = cell.task.name + ("" if cell.scenario.one_at_a_time else f" {cell.scenario.name}")
            if done == len(trials):
                whole.append(name)
            elif done:
                begun.append(f"{name} ({done} of {len(trials)})")
            else:
                missing.append(name)
        parts = (("has", whole), ("has in part", begun), ("lacks", missing))
        said = "; ".join(f"{what} {', '.join(names)}" for what, names in parts if names)
        yield printable(f"{system.name}: {said}")


def overrun_line(budget: str, budget_s: float, taken_s: float) -> str | None:
    """What to say of a run that took much longer than it was given; null: it did not."""
    if taken_s <= _TOLERATED * budget_s:
        return None
    return printable(
        f"it took {in_words(taken_s)}, more than the {budget} that it was given: "
        "the first items of some tasks were quicker than the rest"
    )
