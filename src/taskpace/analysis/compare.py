"""A baseline against something new: two systems of one run, or the same systems of two runs, item by item."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec
import polars as pl

from taskpace.analysis.data.cells import CellPlan, load_cells
from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.analysis.data.sample import take_sample
from taskpace.analysis.schema.summary import MeasuredRow
from taskpace.analysis.stats.anytime import reach
from taskpace.analysis.stats.bootstrap import RESAMPLES, Resamples
from taskpace.analysis.stats.claims import LEAST_FOR_MEAN
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.comparison import Comparison
from taskpace.analysis.table.imported import without_untimed
from taskpace.analysis.table.pairs import Pair, adjust, compare_pairs
from taskpace.analysis.table.rows import make_rows
from taskpace.analysis.table.settled import all_as_asked
from taskpace.analysis.table.validity import MACHINE, TRUNCATION_LIMIT, can_be_compared, cut_remedies
from taskpace.errors import StoreError, TaskpaceError
from taskpace.experiment.until import Ends
from taskpace.store import queries
from taskpace.store.decoding import decoded
from taskpace.store.imported import load_imported
from taskpace.store.queries import Reader
from taskpace.tasks import Task, task_identity
from taskpace.text.strict import did_you_mean

Measure = Literal["task_time", "time_per_correct", "tokens_per_s", "output_bytes", "accuracy"]
_MEASURES: tuple[Measure, ...] = ("task_time", "time_per_correct", "tokens_per_s", "output_bytes", "accuracy")
_CONDITION = re.compile(r"\s*(\w+)\s*([<>])\s*([+-]?\d+(?:\.\d+)?)\s*%\s*")


_ANYTIME = "a run ended when its ranking was settled, so intervals and claims are ones that one may stop by"
COMPARISON_VERSION = 4
"""Of ``ComparedRuns`` as JSON (docs/compare-schema.json): raised when a field goes or changes its meaning."""


class ComparedCell(msgspec.Struct, frozen=True, kw_only=True):
    """One task in one scenario, new against base."""

    task: str
    scenario: str
    base_system: str
    new_system: str
    base: MeasuredRow
    new: MeasuredRow
    pair: Pair
    """``a`` is the base, ``b`` the new one; adjusted p-values are over all cells that can be compared."""

    @property
    def valid(self) -> bool:
        return self.base.valid and self.new.valid

    @property
    def comparable(self) -> bool:
        """Both are valid, and nothing that the machine did hit them unequally."""
        return can_be_compared(self.pair, self.base, self.new)


class ComparedRuns(msgspec.Struct, frozen=True, kw_only=True):
    schema_version: int
    base: str
    """Label of the baseline."""
    new: str
    resamples: int
    cells: tuple[ComparedCell, ...]
    notes: tuple[str, ...]
    """What else differs between the two: machine, task, items that only one of them has."""


class Side(msgspec.Struct, frozen=True):
    """What is compared: systems of a run, with a label for it."""

    source: Reader
    label: str
    system: str | None = None
    """Only this one; null: all, matched by name with the other side's."""


def compare(base: Side, new: Side, *, resamples: int = RESAMPLES) -> ComparedRuns:
    """Compare every task and scenario that both have.

    Raises:
        StoreError: no such system, or nothing in common to compare.
    """
    names = _matched(base, new)
    before = _load(base)
    after = before if new.source is base.source else _load(new)
    cells = [cell for one, other in names for cell in _compare_system(before, one, after, other, resamples)]
    if not cells:
        raise StoreError(
            f"{base.label} and {new.label} have no items of the same task in the same scenario in common: "
            "run both with the same tasks, data and seed"
        )
    adjusted = adjust([cell.pair for cell in cells], [cell.comparable for cell in cells])
    return ComparedRuns(
        schema_version=COMPARISON_VERSION,
        base=base.label,
        new=new.label,
        resamples=resamples,
        cells=tuple(
            msgspec.structs.replace(cell, pair=pair) for cell, pair in zip(cells, adjusted, strict=True)
        ),
        notes=(*_notes(base, new, cells), *([_ANYTIME] if before.anytime or after.anytime else [])),
    )  # fmt: skip


def _systems(side: Side) -> list[str]:
    names = [system.name for system in queries.systems(side.source)]
    if side.system is None:
        return names
    if side.system not in names:
        raise StoreError(
            f'{side.label}: no system "{side.system}" in the run{did_you_mean(side.system, names)}: '
            f"it has {', '.join(names)}"
        )
    return [side.system]


def _matched(base: Side, new: Side) -> list[tuple[str, str]]:
    before, after = _systems(base), _systems(new)
    if len(before) == len(after) == 1:
        return [(before[0], after[0])]
    common = [name for name in before if name in after]
    if not common:
        raise StoreError(
            f"{base.label} has the systems {', '.join(before)} and {new.label} has {', '.join(after)}: "
            "name one of each, as FILE:SYSTEM"
        )
    return [(name, name) for name in common]


class _Loaded(msgspec.Struct, frozen=True):
    """A side's trials and cells, read once for all its systems."""

    trials: pl.DataFrame
    cells: list[CellPlan]
    anytime: bool
    """The data decided how many items there are."""

    def of(self, system: str, role: str) -> tuple[pl.DataFrame, dict[tuple[str, str], CellPlan]]:
        """One system's trials, called by its role, and its cells by task and scenario."""
        trials = self.trials.filter(pl.col("system") == system).with_columns(system=pl.lit(role))
        return trials, {(cell.task, cell.scenario.name): cell for cell in self.cells if cell.system == system}


def _load(side: Side) -> _Loaded:
    trials, cells = last_attempts(load_frame(side.source)), load_cells(side.source)
    until = msgspec.json.decode(queries.run_row(side.source).experiment, type=Ends).until
    return _Loaded(trials, cells if until is None else all_as_asked(cells, trials, until), until is not None)


def _compare_system(base: _Loaded, one: str, new: _Loaded, other: str, resamples: int) -> list[ComparedCell]:
    (before, base_cells), (after, new_cells) = base.of(one, "base"), new.of(other, "new")
    found = []
    for key in base_cells:
        if key not in new_cells:
            continue
        if new is not base:
            # Rounds of two runs have the same numbers, and nothing in common.
            after = after.with_columns(round=pl.lit(None, dtype=pl.Int64))
        both = pl.concat([before, after]).filter((pl.col("task") == key[0]) & (pl.col("scenario") == key[1]))
        plans = [
            msgspec.structs.replace(cells[key], system=role)
            for role, cells in (("base", base_cells), ("new", new_cells))
        ]
        if cell := _compare_cell(plans, both, resamples, anytime=base.anytime or new.anytime):
            found.append(msgspec.structs.replace(cell, base_system=one, new_system=other))
    return found


def _compare_cell(plans: list[CellPlan], trials: pl.DataFrame, resamples: int, *, anytime: bool) -> ComparedCell | None:
    items = [set(trials.filter(pl.col("system") == role)["item_id"]) for role in ("base", "new")]
    if not items[0] & items[1]:
        return None
    sample = take_sample(trials, ("base", "new"), batched=plans[0].batched, in_order=anytime)
    arrays = sample.shared
    drawn = Resamples(len(arrays.items), resamples) if resamples and not anytime else None
    limit_s = float(trials["task_time_s"].max() or 0.0)  # type: ignore[arg-type]
    rows = make_rows(plans, sample, limit_s, reach=reach if anytime else None)
    (pair,) = compare_pairs(arrays, [("base", "new")], drawn, graded=plans[0].graded, own=sample.own, anytime=anytime)
    (pair,) = without_untimed([pair], trials)
    return ComparedCell(
        task=plans[0].task,
        scenario=plans[0].scenario.name,
        base_system="base",
        new_system="new",
        base=rows[0],
        new=rows[1],
        pair=pair,
    )


def _notes(base: Side, new: Side, cells: list[ComparedCell]) -> list[str]:
    notes = []
    machines = [
        {msgspec.json.decode(session.host).get("cpu") for session in queries.sessions(side.source)}
        for side in (base, new)
    ]
    if machines[0] != machines[1]:
        before, after = (" and ".join(sorted(map(str, names))) or "unknown" for names in machines)
        notes.append(f"measured on different processors: {before} before, {after} after")
    notes.extend(
        f"{side.label}: {name} was measured by {each.by}, not by taskpace: its times are of "
        f"{' or '.join(dict.fromkeys(log.times for log in each.logs))}"
        for side in ((base,) if new.source is base.source else (base, new))
        for name, each in load_imported(side.source).items()
        if side.system in (None, name) or (new.source is base.source and new.system == name)
    )
    tasks = sorted({cell.task for cell in cells})
    notes.extend(
        f"the task {task} is not the same in both: its prompt, limits or scorer changed"
        for task in tasks
        if _identity(base, task) != _identity(new, task)
    )
    notes.extend(
        f"{cell.task}: {_units(cell.base)} and {_units(cell.new)} "
        f"{'items' if cell.base.batches is None else 'batches'}, of which {cell.pair.task_time.items} are compared"
        for cell in cells
        if not _units(cell.base) == _units(cell.new) == cell.pair.task_time.items
    )
    return notes


def _identity(side: Side, name: str) -> dict[str, Any]:
    """What makes a task itself, of a run file's task."""
    (spec,) = (task.spec for task in queries.tasks(side.source) if task.name == name)
    return task_identity(decoded(spec, Task, side.source, "task"))


def _units(row: MeasuredRow) -> int:
    """What task times are paired by."""
    return row.items if row.batches is None else row.batches


class Condition(msgspec.Struct, frozen=True):
    """When a comparison fails: ``task_time > 5%``, ``accuracy < -3%``."""

    measure: Measure
    above: bool
    limit: float
    """A relative change, 0.05 for 5 %; for accuracy a difference of shares (percentage points)."""
    text: str

    def is_met(self, comparison: Comparison) -> bool:
        """The change is claimed and larger than the limit; of a bound all that is certain counts."""
        change = relative_change(self.measure, comparison.change)
        if change is None or comparison.lower != ("a" if self.above else "b"):
            return False
        if comparison.change.bound == ("<=" if self.above else ">="):
            # A claim without a number on its side: most items moved this way, by how much is unknown.
            return False
        return change > self.limit if self.above else change < self.limit


def relative_change(measure: Measure, change: Estimate) -> float | None:
    """0.05 for 5 % more; for accuracy the difference of shares."""
    if change.value is None:
        return None
    return change.value if measure == "accuracy" else change.value - 1


def parse_condition(text: str) -> Condition:
    """Read ``MEASURE > N%`` or ``MEASURE < -N%``.

    Raises:
        TaskpaceError: it is no such thing.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise TaskpaceError(f'--fail-if "{text}": write a measure, > or <, and per cent: "task_time > 5%"')
    name, sign, percent = match.groups()
    measure = next((known for known in _MEASURES if known == name), None)
    if measure is None:
        raise TaskpaceError(
            f'--fail-if "{text}": there is no measure "{name}"{did_you_mean(name, _MEASURES)}: {", ".join(_MEASURES)}'
        )
    limit = float(percent) / 100
    if (sign == ">") != (limit >= 0) and limit != 0:
        raise TaskpaceError(
            f'--fail-if "{text}": a limit for more has no minus, one for less has: "{name} {sign} '
            f'{"-" if sign == "<" else ""}{abs(float(percent)):g}%"'
        )
    return Condition(measure=measure, above=sign == ">", limit=limit, text=text.strip())


def failures(compared: ComparedRuns, conditions: list[Condition]) -> list[tuple[ComparedCell, Condition]]:
    """The cells in which a condition is met.

    Raises:
        TaskpaceError: a condition cannot be judged: a cell is INVALID, the measure is unknown, or the cut answers
            decide. Silence would pass for success.
    """
    for cell in compared.cells:
        for condition in conditions:
            if problem := _cannot_be_judged(cell, condition):
                raise TaskpaceError(problem)
    return [
        (cell, condition)
        for cell in compared.cells
        for condition in conditions
        if condition.is_met(getattr(cell.pair, condition.measure))
    ]


def _cannot_be_judged(cell: ComparedCell, condition: Condition) -> str | None:
    """Why a condition is neither met nor passed in a cell; null: it can be judged."""
    what = f'--fail-if "{condition.text}" cannot be judged: {cell.task}'
    comparison: Comparison = getattr(cell.pair, condition.measure)
    for role, row in (("base", cell.base), ("new", cell.new)):
        if not row.valid:
            against = next((reason for reason in row.reasons if reason.invalidates == "result"), None)
            problem = f"{against.text}: {against.remedy}" if against else "nothing was recorded"
            return f"{what}, {role}, is INVALID: {problem}"
        machine = next((reason for reason in row.reasons if reason.code in MACHINE), None)
        if machine is not None and not cell.comparable:
            return f"{what}, {role}: {machine.text}, and the two did not take turns: {machine.remedy}"
    if comparison.p_holm is None:
        if 0 < comparison.items < LEAST_FOR_MEAN:
            return f"{what} has {comparison.items} of the {LEAST_FOR_MEAN} common items that it takes: ask more"
        return f"{what} has no {condition.measure} to compare"
    if condition.is_met(comparison):
        return None
    sized = comparison.lower == ("a" if condition.above else "b") and _without_size(comparison)
    if comparison.open or sized or _more_cut(comparison):
        cut = f"{comparison.cut_a} of base, {comparison.cut_b} of new"
        remedies = " or ".join(cut_remedies((cell.base, cell.new)))
        return f"{what}: the cut answers decide ({cut}): {remedies}"
    return None


def _more_cut(comparison: Comparison) -> bool:
    """More of the new side was cut than can be passed over, and nothing is claimed: the rest says too little."""
    more = comparison.cut_b - comparison.cut_a
    return comparison.lower is None and more > TRUNCATION_LIMIT * comparison.items


def _without_size(comparison: Comparison) -> bool:
    """A claim whose size the cut answers leave open."""
    return comparison.change.value is None or comparison.change.bound is not None
