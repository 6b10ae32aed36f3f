"""Which conditions of ``--fail-if`` a comparison meets, and which cannot be judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from taskpace.analysis.compare import ComparedCell, ComparedRuns
from taskpace.analysis.conditions import Condition
from taskpace.analysis.stats.claims import LEAST_FOR_MEAN
from taskpace.analysis.table.comparison import Comparison
from taskpace.analysis.table.validity import MACHINE, TRUNCATION_LIMIT, cut_remedies
from taskpace.errors import TaskpaceError
from taskpace.experiment.until import Gate, Judged

_ROLES = ("base", "new")
Named = Callable[[str, int], str]
"""A text with the run file's name in its commands; the side that it is of: 0 the base, 1 the new one."""


def _unnamed(text: str, side: int) -> str:
    del side
    return text


class GateOpenError(TaskpaceError):
    """A gate can say neither pass nor fail."""

    def __init__(self, undecided: Sequence[Judged], missing: int) -> None:
        super().__init__(f"{len(undecided)} conditions are open, {missing} tasks were not asked")
        self.undecided = tuple(undecided)
        self.missing = missing
        """Tasks in scenarios without any recorded trial."""


def missing_cells(judged: Sequence[Judged], gate: Gate) -> int:
    """The gate's cells without any recorded trial."""
    return max(0, gate.cells - len({(each.task, each.scenario, each.new) for each in judged}))


def failures(
    compared: ComparedRuns, conditions: list[Condition], named: Named = _unnamed
) -> list[tuple[ComparedCell, Condition]]:
    """The cells in which a condition is met.

    Of a run with a gate ``judged`` counts, and one that is met suffices: it was asked no more for the others.

    Args:
        compared: the two sides.
        conditions: of ``--fail-if``.
        named: puts the sides' run files into the commands of remedies.

    Raises:
        TaskpaceError: a condition cannot be judged: a cell is INVALID, the measure is unknown, or the cut answers
            decide. Silence would pass for success.
    """
    if compared.gate is not None:
        return _gate_failures(compared, compared.gate, conditions, named)
    for cell in compared.cells:
        for condition in conditions:
            if problem := _cannot_be_judged(cell, condition, named):
                raise TaskpaceError(problem)
    return [
        (cell, condition)
        for cell in compared.cells
        for condition in conditions
        if condition.is_met(getattr(cell.pair, condition.measure))
    ]


def _cannot_be_judged(cell: ComparedCell, condition: Condition, named: Named) -> str | None:
    """Why a condition is neither met nor passed in a cell; null: it can be judged."""
    what = f'--fail-if "{condition.text}" cannot be judged: {cell.task}'
    comparison: Comparison = getattr(cell.pair, condition.measure)
    if problem := _not_comparable(cell, what, named):
        return problem
    if comparison.p_holm is None:
        if 0 < comparison.items < LEAST_FOR_MEAN:
            return f"{what} has {comparison.items} of the {LEAST_FOR_MEAN} common items that it takes: ask more"
        return f"{what} has no {condition.measure} to compare{_why_no_cost(cell, condition, named)}"
    if condition.is_met(comparison):
        return None
    sized = comparison.lower == ("a" if condition.above else "b") and _without_size(comparison)
    if comparison.open or sized or _more_cut(comparison):
        cut = f"{comparison.cut_a} of base, {comparison.cut_b} of new"
        of_each = (named(text, side) for side, row in enumerate((cell.base, cell.new)) for text in cut_remedies([row]))
        remedies = " or ".join(dict.fromkeys(of_each))
        return f"{what}: the cut answers decide ({cut}): {remedies}"
    return None


def _why_no_cost(cell: ComparedCell, condition: Condition, named: Named) -> str:
    if condition.measure != "cost_per_correct":
        return ""
    if cell.base.price is None or cell.new.price is None:
        return ": give both a price with --price"
    unknown = [side for side, row in enumerate((cell.base, cell.new)) if row.cost and row.cost.missing]
    if not unknown:
        return ""
    roles = " and ".join(_ROLES[side] for side in unknown)
    commands = list(dict.fromkeys(named("`taskpace summary RUN --full`", side) for side in unknown))
    shows = "shows" if len(commands) == 1 else "show"
    return f": the cost of {roles} is unknown, {' and '.join(commands)} {shows} why"


def _not_comparable(cell: ComparedCell, what: str, named: Named) -> str | None:
    """Why nothing can be said of a cell, whatever its numbers are."""
    for side, (role, row) in enumerate(zip(_ROLES, (cell.base, cell.new), strict=True)):
        if not row.valid:
            against = next((reason for reason in row.reasons if reason.invalidates == "result"), None)
            problem = f"{against.text}: {named(against.remedy, side)}" if against else "nothing was recorded"
            return f"{what}, {role}, is INVALID: {problem}"
        machine = next((reason for reason in row.reasons if reason.code in MACHINE), None)
        if machine is not None and not cell.comparable:
            return f"{what}, {role}: {machine.text}, and the two did not take turns: {named(machine.remedy, side)}"
    return None


def _gate_failures(
    compared: ComparedRuns, gate: Gate, conditions: list[Condition], named: Named
) -> list[tuple[ComparedCell, Condition]]:
    cells = {(cell.task, cell.scenario, cell.new_system): cell for cell in compared.cells}
    by_text = {condition.text: condition for condition in conditions}
    failed, problems = [], []
    for each in compared.judged:
        cell = cells[each.task, each.scenario, each.new]
        what = f'--fail-if "{each.condition}" cannot be judged: {cell.task}'
        if problem := _not_comparable(cell, what, named):
            problems.append(problem)
        elif not getattr(cell.pair, by_text[each.condition].measure).items:
            problems.append(f"{what} has no {by_text[each.condition].measure} to compare")
        elif each.verdict == "fail":
            failed.append((cell, by_text[each.condition]))
    if not failed and problems:
        raise TaskpaceError(problems[0])
    undecided = [each for each in compared.judged if each.verdict == "open"]
    missing = missing_cells(compared.judged, gate)
    if not failed and conditions and (undecided or missing):
        raise GateOpenError(undecided, missing)
    return failed


def _more_cut(comparison: Comparison) -> bool:
    """More of the new side was cut than can be passed over, and nothing is claimed: the rest says too little."""
    more = comparison.cut_b - comparison.cut_a
    return comparison.lower is None and more > TRUNCATION_LIMIT * comparison.items


def _without_size(comparison: Comparison) -> bool:
    """A claim whose size the cut answers leave open."""
    return comparison.change.value is None or comparison.change.bound is not None
