"""``taskpace compare BASE --run FILE --until decided``: ask the new systems until the gate can say pass or fail."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.text import Text

from taskpace.cli.running import progress_mode, run_shown
from taskpace.cli.trust import check_trust
from taskpace.errors import ExperimentError, TaskpaceError
from taskpace.report.terminal.downloads import show_downloads
from taskpace.report.words.coverage import left_out_lines
from taskpace.store.store import Store, is_sqlite

if TYPE_CHECKING:
    from taskpace.analysis.conditions import Condition
    from taskpace.analysis.gate import Baseline
    from taskpace.experiment.experiment import Experiment
    from taskpace.experiment.plan import Plan, PlannedSystem


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    base: Path
    system: str | None
    """Of the baseline; null: all that the experiment has one of the same name for."""
    file: Path
    """The experiment of the new systems."""
    output: Path | None
    max_items: int | None
    budget: str | None
    recorded: bool
    """Hold against what the baseline has recorded; do not ask its systems again."""
    fetch: bool
    trust: bool
    progress: str


class CarriedOut(msgspec.Struct, frozen=True):
    """What came of it."""

    path: Path
    """The run file."""
    interrupted: bool
    """By someone, not by the time there was."""
    remedy: str
    """What to do where the gate is undecided."""


def carry_out(wanted: Wanted, conditions: Sequence[Condition]) -> CarriedOut:
    """Ask until the gate can say pass or fail, or all is asked, or time is up.

    Raises:
        TaskpaceError: what the user can put right.
    """
    from taskpace.analysis.gate import gate_decider
    from taskpace.experiment.experiment import load_experiment
    from taskpace.experiment.library import found_file
    from taskpace.runner.budget import read_duration

    within_s = None if wanted.budget is None else read_duration(wanted.budget)
    begun_s = time.monotonic()
    console = Console(stderr=True, highlight=False)
    mode = progress_mode(wanted.progress, console)
    if is_sqlite(wanted.file):
        base = f"{wanted.base}:{wanted.system}" if wanted.system else str(wanted.base)
        raise click.UsageError(
            f"--run {wanted.file} is a run file, and takes an experiment file: `taskpace compare "
            f"{shlex.quote(base)} {shlex.quote(str(wanted.file))}` compares two"
        )
    experiment = load_experiment(found_file(wanted.file))
    path = wanted.output or Path("runs") / f"{experiment.name}-gate.db"
    with Store.open(wanted.base) as store:
        plan, baseline, why = _plan(wanted, experiment, store, conditions, console)
    for line in left_out_lines(plan):
        console.print(Text(line, style="yellow"), soft_wrap=True)
    if mode not in ("json", "quiet"):
        console.print(Text(why), soft_wrap=True)
    items = {
        (cell.task.name, cell.scenario.name): [trial.item.id for trial in plan.trials(cell)] for cell in plan.cells
    }
    # Finding models takes time, too: the budget for asking is the rest.
    left_s = None if within_s is None else max(0.0, within_s - (time.monotonic() - begun_s))
    ended = run_shown(plan, path, console, mode, decider=gate_decider(items, baseline), within_s=left_s)
    remedy = "the same command with more --max-items or --budget continues"
    if ended.given_up:
        remedy = f"{' and '.join(ended.given_up)} could not be asked, see above; the same command continues"
    elif ended.interrupted:
        remedy = "time was up; the same command continues"
    elif ended.done + ended.spared >= ended.planned:
        remedy = _all_asked(wanted, plan)
    time_is_up = within_s is not None and time.monotonic() - begun_s >= within_s
    by_somebody = ended.interrupted and not time_is_up
    if not ended.done and not by_somebody:
        raise TaskpaceError(f"the gate is undecided: nothing was asked: {remedy}")
    return CarriedOut(path, by_somebody, remedy)


def _all_asked(wanted: Wanted, plan: Plan) -> str:
    """What to do where all items have been asked."""
    gate = plan.experiment.until.gate if plan.experiment.until is not None else None
    if gate is not None and not gate.again:
        return f"ask more items of {wanted.base}, or run the same command with more --max-items"
    return "the same command with more --max-items continues, as far as there are items"


def _plan(
    wanted: Wanted, experiment: Experiment, store: Store, conditions: Sequence[Condition], console: Console
) -> tuple[Plan, Baseline, str]:
    """The plan, what the baseline recorded where that counts, and a line that shows which of the two it is."""
    from taskpace.analysis.baseline import baseline_of
    from taskpace.analysis.compare import Side, matched, systems_of
    from taskpace.experiment.gate import for_gate, gated_plan
    from taskpace.experiment.prepare import errors_of, prepare

    label = str(wanted.base)
    older = systems_of(Side(store, label, wanted.system))
    there = [system.name for system in experiment.systems]
    if not (len(older) == len(there) == 1 or set(older) & set(there)):
        raise ExperimentError(
            f"{label} has the systems {', '.join(older)} and {wanted.file} has {', '.join(there)}: give a new system "
            "the name of the one to compare it with"
        )
    names = matched(older, there, label, str(wanted.file))
    new = for_gate(experiment, [name for _, name in names], max_items=wanted.max_items, location=str(wanted.file))
    check_trust(new, wanted.file, console, trusted=wanted.trust)
    with errors_of(str(wanted.file)):
        plan = prepare(new, wanted.file.parent, fetch=wanted.fetch, on_progress=show_downloads(console))
    for condition in conditions:
        for task in plan.tasks:
            if condition.measure != "task_time" and task.spec.scorer is None:
                raise TaskpaceError(
                    f'--fail-if "{condition.text}": the task "{task.name}" has no right answers: leave one of the two '
                    "out"
                )
    again, why = _again(wanted, store, plan, names, console)
    baseline = {} if again else baseline_of(store)
    found = gated_plan(
        plan,
        names,
        [condition.text for condition in conditions],
        base=label,
        recorded={key: tuple(items) for key, items in baseline.items()},
        again=again,
    )
    return found, baseline, why


def _again(
    wanted: Wanted, store: Store, plan: Plan, names: Sequence[tuple[str, str]], console: Console
) -> tuple[tuple[PlannedSystem, ...], str]:
    """The baseline's systems, where all of them can be asked here, and a line that shows it or why not."""
    from taskpace.experiment.experiment import Experiment
    from taskpace.experiment.plan import same_system
    from taskpace.experiment.prepare import check_engines, plan_systems
    from taskpace.store import queries

    label = str(wanted.base)

    def recorded(why: str) -> tuple[tuple[PlannedSystem, ...], str]:
        return (), (
            f"compared with what {label} recorded ({why}): a machine that has changed its pace since then would look "
            "like a change"
        )

    if wanted.recorded:
        return recorded("--recorded")
    held = msgspec.json.decode(queries.run_row(store).experiment, type=Experiment)
    specs = {system.name: system for system in held.systems}
    if not all(name in specs for name, _ in names):
        return recorded("it does not say what its systems are")
    older = msgspec.structs.replace(
        held, systems=tuple(specs[name] for name, _ in names), scenarios=plan.experiment.scenarios
    )
    sums = {system.name: system.sha256 for system in queries.systems(store)}
    # A run file does not know where its relative paths started: beside the new experiment, or here.
    problem = ""
    for folder in (wanted.file.parent, Path()):
        try:
            check_engines(older)
            found = plan_systems(older, folder, fetch=False)
        except TaskpaceError as exc:
            problem = problem or str(exc)
        else:
            break
    else:
        return recorded(f"its systems cannot be asked again here: {problem}")
    by_name = {system.name: system for system in plan.systems}
    for system, (_, name) in zip(found, names, strict=True):
        if system.sha256 != sums[system.name]:
            return recorded(f'the model file of "{system.name}" has changed')
        if same_system(system, by_name[name]):
            return recorded(f'"{system.name}" is the same system as the new one, and has no older form to be asked')
    check_trust(older, wanted.base, console, trusted=wanted.trust)
    return found, f"{label}'s systems are asked again, in turns with the new ones: claims rest on that"


def only_with_run(given: Sequence[str]) -> None:
    """Raises ``UsageError`` where one of these options is given without ``--run``."""
    if given:
        raise click.UsageError(f"{given[0]} goes with --run FILE, which asks the systems of an experiment file")
