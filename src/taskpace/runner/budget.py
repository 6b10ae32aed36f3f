"""A plan that is expected to fit a time budget: ask a few items of everything, then share out the time that is left.

How long an unknown system takes is unknown, so the first items of every task are asked of every system (the
pilot). They are the first items of the final plan too. One at a time they are kept, and nothing is asked twice; under
load they are not, for two in flight are not sixteen.

Time is shared so that the mean over tasks is as sure as can be: where an item's logarithm of time per correct answer
has the same variance in every task, the variance of the mean is smallest with n proportional to 1 / sqrt(seconds per
item). Source: Neyman (1934), "On the two different aspects of the representative method", with costs as in Cochran
(1977), "Sampling Techniques", 5.5.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import filelock
import msgspec

from taskpace.errors import ExperimentError, StoreError
from taskpace.experiment.experiment import Experiment
from taskpace.experiment.plan import Plan
from taskpace.experiment.prepare import count_items, prepare
from taskpace.machine.clock import RealClock
from taskpace.runner.copy_records import adopt
from taskpace.runner.events import Event, RunEnded
from taskpace.runner.runner import run_plan
from taskpace.runner.session import StopRequest
from taskpace.store import queries
from taskpace.store.store import Store
from taskpace.version import __version__

PILOT_ITEMS = 2
"""Of each task: the least that says anything of how much items differ."""
_DURATION = re.compile(r"(?:(\d{1,7})h)?(?:(\d{1,7})m)?(?:(\d{1,7})s)?")
_ROUNDS = 60
_PILOT, _PILOT_FILE = "taskpace-pilot-", "pilot.db"
_YOUNG_S = 60.0
_MOST_S = 30 * 86_400


class Interrupted(Exception):  # noqa: N818 - not an error
    """A stop was asked for during the pilot."""


class Fitted(msgspec.Struct, frozen=True):
    """What ``begin`` comes to."""

    plan: Plan
    continued: bool
    """The plan is that of a run file that was there already."""


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What the pilot showed, in seconds of wall-clock time."""

    per_item: dict[str, float]
    """By task: one item more, of all systems in all scenarios, repeats included."""
    once_s: float
    """What a run takes however many items there are: loading and warm-ups."""


def read_duration(text: str) -> float:
    """Seconds in ``30m``, ``1h30m``, ``90s``.

    Raises:
        ExperimentError: it is not a duration, it is 0, or it is more than 30 days.
    """
    found = _DURATION.fullmatch(text.strip())
    parts = [int(part or 0) for part in found.groups()] if found else [0, 0, 0]
    total = 3600 * parts[0] + 60 * parts[1] + parts[2]
    if not 0 < total <= _MOST_S:
        raise ExperimentError(
            f'--budget "{text}": write hours, minutes and seconds, such as 30m, 1h30m or 90s, 30 days at most'
        )
    return float(total)


def begin(
    experiment: Experiment,
    base: Path,
    path: Path,
    budget_s: float,
    *,
    fetch: bool = True,
    on_event: Callable[[Event], None],
    stop: AbstractContextManager[StopRequest],
) -> Fitted:
    """Carry out the pilot, put it into the run file ``path``, and return the plan that should end in time.

    A run file that is there already keeps its plan: the counts were found when it was begun. ``stop`` is entered while
    the pilot runs, and not while models are fetched or their digests are computed.

    Raises:
        ExperimentError: an open loop, static batches, or a budget in which not even the pilot's items fit.
        Interrupted: a stop was requested during the pilot; nothing is kept.
        StoreError: ``path`` cannot be used, or holds another experiment.
    """
    if path.is_file() and path.stat().st_size:
        return Fitted(prepare(_as_begun(experiment, path), base, fetch=fetch), continued=True)
    if any(scenario.rate is not None for scenario in experiment.scenarios):
        raise ExperimentError("--budget: arrivals at a rate must not be interrupted: leave it out, and give items")
    if batches := [scenario.name for scenario in experiment.scenarios if scenario.batch is not None]:
        raise ExperimentError(
            f'--budget: {PILOT_ITEMS} items do not show how long a static batch ("{batches[0]}") takes: leave it out, '
            "and give items"
        )
    Store.check_target(path)
    sizes = dict(count_items(use, experiment, base) for use in experiment.tasks)
    if len(sizes) < len(experiment.tasks):
        # Which says that two tasks have one name.
        return Fitted(prepare(experiment, base, fetch=fetch), continued=False)
    asked = {task: min(PILOT_ITEMS, size) for task, size in sizes.items()}
    pilot = prepare(_with_items(experiment, asked), base, fetch=fetch)
    kept = all(scenario.one_at_a_time for scenario in experiment.scenarios)
    remove_pilots()
    with (
        TemporaryDirectory(prefix=_PILOT) as folder,
        Store.create_or_continue(Path(folder) / _PILOT_FILE, pilot, __version__) as store,
    ):
        with stop as wanted:
            until = _Until(wanted, budget_s)
            ended = run_plan(pilot, store, on_event=_but_the_end(on_event), stop=until)
        if wanted.requested:
            raise Interrupted
        if ended.interrupted:
            raise ExperimentError(
                f"--budget: too short: {ended.done} of the {ended.planned} trials that say how long things take "
                "were done in that time: give more time or fewer tasks"
            )
        costs = measure_costs(pilot, store, until.taken_s)
        left_s = budget_s - until.taken_s - costs.once_s
        counts = share_out(costs.per_item, sizes, left_s, done=asked if kept else dict.fromkeys(asked, 0))
        plan = prepare(_with_items(experiment, counts), base)
        with Store.create_or_continue(path, plan, __version__) as target:
            if kept:
                adopt(target, store)
    return Fitted(plan, continued=False)


def remove_pilots() -> None:
    """Remove what killed pilots have left: folders of this user whose lock no process holds."""
    for folder in Path(gettempdir()).glob(f"{_PILOT}*"):
        with contextlib.suppress(OSError, filelock.Timeout):
            status = folder.lstat()
            mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
            lock = folder / f"{_PILOT_FILE}.lock"
            # One that is being made has no lock yet, or has it since a moment ago.
            if mine and stat.S_ISDIR(status.st_mode) and lock.exists() and time.time() - status.st_mtime > _YOUNG_S:
                with filelock.FileLock(lock, blocking=False):
                    pass
                shutil.rmtree(folder)


def _but_the_end(on_event: Callable[[Event], None]) -> Callable[[Event], None]:
    """Who is told of the pilot hears of its trials, and not of a run that has ended: that is still to come."""

    def tell(event: Event) -> None:
        if not isinstance(event, RunEnded):
            on_event(event)

    return tell


class _Until:
    """A stop that comes by itself when the budget is used up."""

    def __init__(self, stop: StopRequest, budget_s: float) -> None:
        self._stop, self._budget_s = stop, budget_s
        self._begun_ns = RealClock.now_ns()

    @property
    def taken_s(self) -> float:
        return (RealClock.now_ns() - self._begun_ns) / 1e9

    @property
    def requested(self) -> bool:
        return self._stop.requested or self.taken_s > self._budget_s


def share_out(
    per_item: Mapping[str, float], sizes: Mapping[str, int], left_s: float, *, done: Mapping[str, int]
) -> dict[str, int]:
    """How many items of each task end within ``left_s`` seconds after the pilot; never fewer than the pilot's. Pure.

    Args:
        per_item: seconds that one item more of a task takes.
        sizes: how many items a task has at most.
        left_s: for what comes after the pilot.
        done: of each task's items, how many the pilot has asked already.

    Raises:
        ExperimentError: there is no time left.
    """

    def counts(scale: float) -> dict[str, int]:
        return {
            task: min(sizes[task], max(PILOT_ITEMS, int(scale / math.sqrt(seconds))))
            for task, seconds in per_item.items()
        }

    def cost(chosen: dict[str, int]) -> float:
        return sum(per_item[task] * (chosen[task] - done[task]) for task in per_item)

    if (missing_s := cost(counts(0.0)) - left_s) > 0:
        raise ExperimentError(
            f"--budget: too short: {PILOT_ITEMS} items of each task, loading and warm-ups take "
            f"{math.ceil(missing_s)} s more than that: give more time or fewer tasks"
        )
    # The cost grows with the scale: the greatest that fits, by halving.
    low, high = 0.0, max(size * math.sqrt(per_item[task]) for task, size in sizes.items()) + 1
    if cost(counts(high)) <= left_s:
        return counts(high)
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(counts(middle)) <= left_s else (low, middle)
    return counts(low)


def measure_costs(pilot: Plan, store: Store, taken_s: float) -> Costs:
    """What the pilot's records say of each task, and of the rest of the time it took."""
    seconds = {span.cell_id: span.span_ns / 1e9 / span.trials for span in queries.cell_spans(store)}
    per_item = dict.fromkeys((task.name for task in pilot.tasks), 1e-3)
    asked_s = 0.0
    for cell in pilot.cells:
        # A cell without a single turn (a server that refuses) says nothing: it costs next to nothing, too.
        per_trial_s = seconds.get(cell.id, 0.0)
        per_item[cell.task.name] += per_trial_s * pilot.experiment.repeats
        asked_s += per_trial_s * len(pilot.trials(cell))
    return Costs(per_item=per_item, once_s=max(0.0, taken_s - asked_s))


def _with_items(experiment: Experiment, counts: Mapping[str, int]) -> Experiment:
    tasks = tuple(
        msgspec.structs.replace(use, items=count) for use, count in zip(experiment.tasks, counts.values(), strict=True)
    )
    return msgspec.structs.replace(experiment, tasks=tasks)


def _as_begun(experiment: Experiment, path: Path) -> Experiment:
    """The experiment with the counts that its run file has. Raises ``StoreError`` for another experiment's file."""
    with Store.open(path) as store:
        kept = msgspec.json.decode(queries.run_row(store).experiment, type=Experiment)
    counts = {str(index): use.items for index, use in enumerate(kept.tasks)}
    if len(kept.tasks) == len(experiment.tasks) and all(counts.values()):
        begun = _with_items(experiment, {index: count or 1 for index, count in counts.items()})
        if begun == kept:
            return begun
    raise StoreError(
        f"{path}: holds a run of another experiment, or one that was begun without --budget: choose another -o"
    )
