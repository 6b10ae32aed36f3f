"""A baseline against something new: two systems of one run, or the same systems of two runs, item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from taskpace.analysis.conditions import Condition, check_decidable
from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.data.cells import CellPlan, load_cells
from taskpace.analysis.data.costs import with_costs
from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.analysis.data.sample import take_sample
from taskpace.analysis.gate import judge
from taskpace.analysis.schema.summary import MeasuredRow
from taskpace.analysis.stats.anytime import reach
from taskpace.analysis.stats.bootstrap import RESAMPLES, Resamples
from taskpace.analysis.table.imported import without_untimed
from taskpace.analysis.table.pairs import Pair, adjust, compare_pairs
from taskpace.analysis.table.rows import make_rows
from taskpace.analysis.table.settled import all_as_asked, without_asking_for_more
from taskpace.analysis.table.validity import can_be_compared
from taskpace.analysis.until import Outcomes
from taskpace.errors import StoreError
from taskpace.experiment.until import Against, Ends, Gate, Judged, Until
from taskpace.prices.price import Price
from taskpace.store import queries
from taskpace.store.decoding import decoded
from taskpace.store.imported import load_imported
from taskpace.store.queries import Reader
from taskpace.tasks import Task, task_identity
from taskpace.text.strict import close_to

_ANYTIME = "a run ended when its {0}, so intervals and claims are ones that one may stop by"
_OTHER_SESSION = (
    "base was not asked again beside new, so a machine that was slower or quicker at the time of one of them would "
    "look like a change"
)
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
    gate: Gate | None = None
    """What the new run asked items for; null: it has no gate."""
    judged: tuple[Judged, ...] = ()
    """Every condition on every cell, where the new run asked until its gate could say pass or fail."""


class NothingInCommonError(StoreError):
    """The two sides have no items of the same task in the same scenario in common."""


class Side(msgspec.Struct, frozen=True):
    """What is compared: systems of a run, with a label for it."""

    source: Reader
    label: str
    system: str | None = None
    """Only this one; null: all, matched by name with the other side's."""
    prices: Mapping[str, Price] | None = None
    """By system, in place of those that the run's experiment gives."""


def compare(
    base: Side,
    new: Side,
    *,
    resamples: int = RESAMPLES,
    conditions: Sequence[Condition] = (),
) -> ComparedRuns:
    """Compare every task and scenario that both have.

    Args:
        base: the baseline.
        new: what is compared with it.
        resamples: of the bootstrap; 0: none.
        conditions: to be judged as by a gate, where the new run has one; others are judged by ``failures``.

    Raises:
        StoreError: no such system, or nothing in common to compare.
    """
    after = _load(new)
    gate = after.gate
    if gate is not None:
        check_decidable(conditions)
    names = [] if gate is None else _asked_again(gate, base, new)
    if names:
        # The older systems took turns with the new ones: what the baseline recorded at another time is not needed.
        base = Side(new.source, base.label, prices=base.prices)
    else:
        names = matched(systems_of(base), systems_of(new), base.label, new.label)
    one_run = new.source is base.source
    before = after if one_run and new.prices == base.prices else _load(base)
    found = [
        each for pair in names for each in _compare_system(before, after, pair, resamples, conditions, one_run=one_run)
    ]
    cells = [cell for cell, _ in found]
    if not cells:
        remedy = "run both with the same tasks, data and seed"
        if load_imported(base.source) or load_imported(new.source):
            remedy = (
                "an imported system has the items and the load of its log: import both logs with `--task`, or run both "
                "with taskpace"
            )
        raise NothingInCommonError(
            f"{base.label} and {new.label} have no items of the same task in the same scenario in common: {remedy}"
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
        notes=(
            *_notes(base, new, cells),
            *([] if gate is None else [_ANYTIME.format("gate could say pass or fail")]),
            *([_ANYTIME.format("ranking was settled")] if before.ranks or after.ranks else []),
            *([] if gate is None or new.source is base.source else [_OTHER_SESSION]),
        ),
        gate=gate,
        judged=tuple(each for _, judged in found for each in judged),
    )  # fmt: skip


def _asked_again(gate: Gate, base: Side, new: Side) -> list[tuple[str, str]]:
    """Pairs of a run with a gate that asked its baseline's systems again; empty: others are to be compared."""
    wanted = [(each.base, each.new) for each in gate.against if new.system in (None, each.new)]
    return wanted if gate.again and new.source is not base.source else []


def systems_of(side: Side) -> list[str]:
    """Names of a side's systems. Raises ``StoreError`` where it has not the one that is wanted."""
    names = [system.name for system in queries.systems(side.source)]
    if side.system is None:
        return names
    if side.system not in names:
        raise StoreError(
            f'{side.label}: unknown system "{side.system}" in the run{close_to(side.system, names)}: '
            f"it has {', '.join(names)}"
        )
    return [side.system]


def matched(before: Sequence[str], after: Sequence[str], base: str, new: str) -> list[tuple[str, str]]:
    """Which systems are compared: those of one name, or where each side has one these.

    Raises:
        StoreError: none have a name in common; ``base`` and ``new`` are what the sides are called there.
    """
    if len(before) == len(after) == 1:
        return [(before[0], after[0])]
    common = [name for name in before if name in after]
    if not common:
        raise StoreError(
            f"{base} has the systems {', '.join(before)} and {new} has {', '.join(after)}: "
            "name one of each, as FILE:SYSTEM"
        )
    return [(name, name) for name in common]


class _Loaded(msgspec.Struct, frozen=True):
    """A side's trials and cells, read once for all its systems."""

    trials: pl.DataFrame
    cells: list[CellPlan]
    until: Until | None
    """How the data decided how many items there are; null: they did not."""

    @property
    def ranks(self) -> bool:
        """It ended when its ranking was settled."""
        return self.until is not None and self.until.gate is None

    @property
    def gate(self) -> Gate | None:
        return self.until.gate if self.until is not None else None

    def of(self, system: str, role: str) -> tuple[pl.DataFrame, dict[tuple[str, str], CellPlan]]:
        """One system's trials, called by its role, and its cells by task and scenario."""
        trials = self.trials.filter(pl.col("system") == system).with_columns(system=pl.lit(role))
        return trials, {(cell.task, cell.scenario.name): cell for cell in self.cells if cell.system == system}


def _load(side: Side) -> _Loaded:
    cells = load_cells(side.source, side.prices)
    trials = last_attempts(with_costs(load_frame(side.source), cells))
    until = msgspec.json.decode(queries.run_row(side.source).experiment, type=Ends).until
    return _Loaded(trials, cells if until is None else all_as_asked(cells, trials, until), until)


def _compare_system(
    base: _Loaded,
    new: _Loaded,
    names: tuple[str, str],
    resamples: int,
    conditions: Sequence[Condition],
    *,
    one_run: bool,
) -> list[tuple[ComparedCell, list[Judged]]]:
    one, other = names
    gate = new.gate
    (before, base_cells), (after, new_cells) = base.of(one, "base"), new.of(other, "new")
    anytime = base.until is not None or new.until is not None
    if not one_run:
        # Rounds of two runs have the same numbers, and nothing in common.
        after = after.with_columns(round=pl.lit(None, dtype=pl.Int64))
        if anytime:
            before, after = _in_one_order(before, after, of_new=new.until is not None)
    found = []
    for key in base_cells:
        if key not in new_cells:
            continue
        both = pl.concat([before, after]).filter((pl.col("task") == key[0]) & (pl.col("scenario") == key[1]))
        plans = [
            msgspec.structs.replace(cells[key], system=role)
            for role, cells in (("base", base_cells), ("new", new_cells))
        ]
        if (compared := _compare_cell(plans, both, resamples, anytime=anytime)) is None:
            continue
        cell, arrays = compared
        pair = Against(base=one, new=other)
        outcomes = Outcomes.of(arrays)
        judged = [judge(each, outcomes, key, pair, gate) for each in conditions] if gate is not None else []
        found.append((msgspec.structs.replace(cell, base_system=one, new_system=other), judged))
    return found


def _in_one_order(before: pl.DataFrame, after: pl.DataFrame, *, of_new: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both sides' trials with the places that the items have in the run whose data decided how many there are."""
    key = ["task", "scenario", "item_id", "repeat"]
    first, second = (after, before) if of_new else (before, after)
    places = first.select(*key, "trial_position").unique(key)
    last = int(places["trial_position"].max() or 0) + 1  # type: ignore[arg-type]  # an integer column
    second = second.drop("trial_position").join(places, on=key, how="left", maintain_order="left")
    second = second.with_columns(pl.col("trial_position").fill_null(last)).select(first.columns)
    return (second, first) if of_new else (first, second)


def _compare_cell(
    plans: list[CellPlan], trials: pl.DataFrame, resamples: int, *, anytime: bool
) -> tuple[ComparedCell, Arrays] | None:
    """With the arrays of both, the base first; null: nothing in common."""
    items = [set(trials.filter(pl.col("system") == role)["item_id"]) for role in ("base", "new")]
    if not items[0] & items[1]:
        return None
    sample = take_sample(trials, ("base", "new"), batched=plans[0].batched, in_order=anytime)
    arrays = sample.shared
    drawn = Resamples(len(arrays.items), resamples, order=arrays.by_id) if resamples and not anytime else None
    limit_s = float(trials["task_time_s"].max() or 0.0)  # type: ignore[arg-type]  # a column of floats
    rows = make_rows(plans, sample, limit_s, reach=reach if anytime else None)
    if anytime:
        rows = without_asking_for_more(rows)
    (pair,) = compare_pairs(arrays, [("base", "new")], drawn, graded=plans[0].graded, own=sample.own, anytime=anytime)
    (pair,) = without_untimed([pair], dict(zip(("base", "new"), sample.cells, strict=True)))
    cell = ComparedCell(
        task=plans[0].task,
        scenario=plans[0].scenario.name,
        base_system="base",
        new_system="new",
        base=rows[0],
        new=rows[1],
        pair=pair,
    )
    return cell, sample.own


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
        f"{'items' if cell.base.batches is None else 'batches'}; {cell.pair.task_time.items} are compared"
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
