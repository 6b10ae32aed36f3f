"""What is dealt out: rounds in which all systems take turns, several of them a block. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from taskpace import engines
from taskpace.errors import ExperimentError
from taskpace.experiment.plan import Plan, Trial, remaining
from taskpace.runner.cluster.messages import Block, Turn
from taskpace.runner.session import Part

MOST_ROUNDS = 20
"""Of a block. A node that ends gives the rest of it back, and its neighbours wait no longer than this at the end."""

Unit = tuple[Part, ...]
"""A round: asked on one node, or given to another as a whole."""


def check_plan(plan: Plan) -> None:
    """See that a plan can be dealt out.

    Raises:
        ExperimentError: which of its settings stands against it.
    """
    experiment = plan.experiment
    for scenario in experiment.scenarios:
        if scenario.batch is not None:
            raise ExperimentError(
                f'--ray: scenario "{scenario.name}": static batches are carried out on one machine: leave --ray out, '
                'or take the scenario "single"'
            )
        if not scenario.one_at_a_time:
            _check_load(plan, scenario.name)
    if experiment.until is not None:
        raise ExperimentError(
            "--ray: a run that ends when it is decided looks at one round after the other, and rounds are asked on "
            "several machines at once: leave one of --until and --ray out"
        )
    if experiment.order == "sequential" and any(scenario.one_at_a_time for scenario in experiment.scenarios):
        raise ExperimentError(
            '--ray: order = "sequential" leaves no pair on one machine: take order = "turns" or "blocks"'
        )


def _check_load(plan: Plan, scenario: str) -> None:
    """See that several machines can put a load on each system. Raises ``ExperimentError``."""
    for system in plan.systems:
        if not engines.entry(system.spec.engine).remote:
            raise ExperimentError(
                f'--ray: scenario "{scenario}": several machines can share a load on an endpoint, and '
                f'system "{system.name}" runs in process ({system.spec.engine}): leave --ray out, or take the '
                'scenario "single"'
            )
        if system.spec.options.get("server"):
            raise ExperimentError(
                f'--ray: scenario "{scenario}": the server of system "{system.name}" would be started where other '
                "machines do not reach it: start it yourself, and give its url in place of server"
            )


def units(parts: Iterable[Part]) -> list[Unit]:
    """The rounds of a run, from its parts in order; a system that is alone in its table has one for each trial."""
    found: list[list[Part]] = []
    for part in parts:
        if part.round is None:
            found += [[part._replace(trials=(trial,))] for trial in part.trials]
            continue
        before = found[-1][-1] if found else None
        same = before is not None and (before.round, _table(before)) == (part.round, _table(part))
        if same:
            found[-1].append(part)
        else:
            found.append([part])
    return [tuple(unit) for unit in found]


def _table(part: Part) -> tuple[str, str]:
    return part.cell.task.name, part.cell.scenario.name


class Deck:
    """The rounds that no node has yet.

    Args:
        plan: whose trials they are.
        rounds: in their order.
    """

    def __init__(self, plan: Plan, rounds: Sequence[Unit]) -> None:
        self._plan = plan
        self._rounds = deque(rounds)
        self._number = 0
        self._cells = {cell.id: index for index, cell in enumerate(plan.cells)}
        self._trials: dict[str, dict[str, int]] = {}
        """By cell: the index of each trial."""

    def __len__(self) -> int:
        return len(self._rounds)

    def deal(self, nodes: int, attempts: Mapping[str, int], wanted: Callable[[Part], bool]) -> tuple[Block, list[Unit]]:
        """The next block and its rounds: smaller and smaller towards the end, so that all nodes end together.

        Source: guided self-scheduling, Polychronopoulos and Kuck (1987).

        Args:
            nodes: that share what is left.
            attempts: the last one at each trial that was tried before.
            wanted: false of parts that are asked no more.
        """
        count = max(1, min(MOST_ROUNDS, len(self._rounds) // (2 * max(1, nodes))))
        rounds: list[Unit] = []
        while self._rounds and len(rounds) < count:
            if kept := tuple(filter(wanted, self._rounds.popleft())):
                rounds.append(kept)
        turns = tuple(self._turn(part) for unit in rounds for part in unit)
        tried = {
            trial.id: attempts[trial.id]
            for unit in rounds
            for part in unit
            for trial in part.trials
            if trial.id in attempts
        }
        self._number += 1
        return Block(self._number, turns, tried), rounds

    def give_back(self, rounds: Iterable[Unit], recorded: set[str]) -> None:
        """What is left of the rounds of a node that has ended: they are next."""
        left = []
        for unit in rounds:
            parts = [part._replace(trials=_left(part, recorded)) for part in unit]
            if kept := tuple(part for part in parts if part.trials):
                left.append(kept)
        self._rounds.extendleft(reversed(left))

    def _turn(self, part: Part) -> Turn:
        cell = part.cell
        if (index := self._trials.get(cell.id)) is None:
            index = self._trials[cell.id] = {trial_id: at for at, trial_id in enumerate(self._plan.trials(cell).ids())}
        trials = tuple(index[trial.id] for trial in part.trials)
        return Turn(self._cells[cell.id], trials, part.round, part.place, part.anchor)


def _left(part: Part, recorded: set[str]) -> Sequence[Trial]:
    # An anchor has another id in each session: it is asked beside its round or not at all.
    return () if part.anchor else remaining(part.trials, recorded)
