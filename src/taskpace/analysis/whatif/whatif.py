"""What if the systems of a run stood elsewhere: the same answers, with the waits and the token times of another place.

Who finishes first then, by how much, what a correct answer takes, and whether tokens per second still mislead. Task
times are predictions (``speed.Speed``); their error is measured on the trials of the other place and stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import polars as pl

from taskpace.analysis.data.cells import CellPlan, load_cells
from taskpace.analysis.data.costs import with_costs
from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.analysis.data.nodes import within_nodes
from taskpace.analysis.data.sample import take_sample
from taskpace.analysis.schema.summary import TaskTable
from taskpace.analysis.stats.bootstrap import RESAMPLES
from taskpace.analysis.summary import make_table
from taskpace.analysis.table.pairs import Pairing, quicker_first
from taskpace.analysis.whatif.places import Elsewhere, Given, Moved, check_names, move, read_place
from taskpace.analysis.whatif.predict import at_least_nothing, at_speed
from taskpace.analysis.whatif.speed import countable
from taskpace.errors import StoreError, TaskpaceError
from taskpace.experiment.experiment import Experiment
from taskpace.experiment.imported import ImportedLog
from taskpace.experiment.scenario import read_scenario
from taskpace.prices.price import Price
from taskpace.records import CUT
from taskpace.store import queries
from taskpace.store.queries import Reader

WHATIF_VERSION = 1
"""Of ``WhatIf`` as JSON (docs/whatif-schema.json): raised when a field goes or changes its meaning."""


_ALONE = "single"


class WhatIfTable(msgspec.Struct, frozen=True, kw_only=True):
    """One task, as it was measured and as it is predicted."""

    measured: TaskTable
    predicted: TaskTable
    """Of the systems that were not moved what was measured. Intervals and ranks are those of the items, as if the speed
    were known exactly."""


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it would be elsewhere."""

    schema_version: int
    name: str
    """The run's."""
    moved: tuple[Moved, ...]
    tables: tuple[WhatIfTable, ...]
    """One for each task, of the first scenario without static batches."""
    notes: tuple[str, ...]
    """What else limits the prediction."""


def what_if(
    source: Reader,
    places: Sequence[Given | Elsewhere],
    *,
    resamples: int = RESAMPLES,
    prices: Mapping[str, Price] | None = None,
) -> WhatIf:
    """Predict every task of a run with the speeds of other places.

    Args:
        source: the run whose answers are kept.
        places: where its systems would stand; the first one that names a system counts for it.
        resamples: of the bootstrap.
        prices: by system, in place of those that the experiment gives; those by the hour are of the other place.

    Raises:
        StoreError: a system or scenario that is not there, or more than one that could be meant.
        TaskpaceError: nothing that a speed can be fitted to, or put to.
    """
    run = queries.run_row(source)
    limit_s = msgspec.json.decode(run.experiment, type=Experiment).timeout_s
    cells = load_cells(source, prices)
    trials = last_attempts(with_costs(load_frame(source), cells))
    tables = moved_tables(cells)
    names = list(dict.fromkeys(cell.system for table in tables for cell in table))
    check_names(places, names)
    kept = {(cell.task, cell.scenario.name) for table in tables for cell in table}
    trials = trials.filter(
        pl.struct("task", "scenario").is_in([{"task": task, "scenario": scenario} for task, scenario in kept])
    )
    read = [read_place(place) for place in places]
    moved: list[Moved] = []
    notes: list[str] = []
    parts: list[pl.DataFrame] = []
    for name in names:
        own = trials.filter(pl.col("system") == name)
        found = move(name, own, read, len(names), limit_s)
        counted = countable(own.filter(pl.col("outcome") != "error"))
        failed = own.filter(pl.col("outcome") == "error")
        rest = own.join(pl.concat([counted, failed]), on="trial_id", how="anti", maintain_order="left")
        cut = rest.filter(pl.col("outcome").is_in(CUT))
        uncounted = rest.height - cut.height
        if found is None or uncounted:
            why = "no speed was given for it"
            if uncounted:
                why = f"the tokens of {uncounted} of {own.height} answers are unknown, and so is their time elsewhere"
            notes.append(f"{name}: as measured, for {why}")
            parts.append(own)
            continue
        moved.append(found)
        parts += [
            at_speed(counted, found.speed), at_least_nothing(cut), failed.with_columns(timed=pl.lit(value=True))
        ]  # fmt: skip
    if not moved:
        raise StoreError(
            f"no system of the run can be moved ({'; '.join(notes)}): name one of {', '.join(names)}, as in NAME=SOURCE"
        )
    predicted = pl.concat(parts).sort("cell_position", "trial_position", maintain_order=True)
    predicted = _with_costs(predicted, [cell for table in tables for cell in table], moved)
    return WhatIf(
        schema_version=WHATIF_VERSION,
        name=run.name,
        moved=tuple(moved),
        tables=tuple(
            WhatIfTable(
                measured=_table(table, trials, limit_s, resamples),
                predicted=_table(table, predicted, limit_s, resamples, moved={each.system for each in moved}),
            )
            for table in tables
        ),
        notes=tuple(notes),
    )


def _with_costs(predicted: pl.DataFrame, cells: list[CellPlan], moved: list[Moved]) -> pl.DataFrame:
    """Costs of the predicted trials: by the token those that were measured; by the hour those of the predicted time,
    unknown where the machine is shared there.
    """
    shared = {each.system for each in moved if each.source_scenario not in (None, _ALONE)}
    alone = {each.system for each in moved} - shared
    by_hour = {cell.system for cell in cells if cell.price is not None and cell.price.per_hour is not None}
    priced = [
        msgspec.structs.replace(cell, scenario=read_scenario(_ALONE, "prediction"))
        for cell in cells
        if cell.system in by_hour & alone
    ]
    again = with_costs(predicted.drop("cost_usd", "cost_missing").with_columns(scenario=pl.lit(_ALONE)), priced)
    hourly = pl.col("system").is_in(sorted(by_hour & (alone | shared)))
    return predicted.with_columns(
        pl.when(hourly).then(again[name]).otherwise(name).alias(name) for name in ("cost_usd", "cost_missing")
    ).with_columns(
        cost_missing=pl.when(pl.col("system").is_in(sorted(by_hour & shared)))
        .then(pl.lit("no-makespan"))
        .otherwise("cost_missing")
    )


def moved_tables(cells: list[CellPlan]) -> list[list[CellPlan]]:
    """Of each task the cells of its first scenario without static batches. Raises ``TaskpaceError``: there is none."""
    if not (able := [cell for cell in cells if not cell.batched]):
        raise TaskpaceError("all of the run is in static batches, whose time is not one answer's: run it one at a time")
    first: dict[str, str] = {}
    for cell in able:
        first.setdefault(cell.task, cell.scenario.name)
    return [[cell for cell in able if (cell.task, cell.scenario.name) == (task, name)] for task, name in first.items()]


def _table(
    cells: list[CellPlan],
    trials: pl.DataFrame,
    limit_s: float,
    resamples: int,
    moved: set[str] | None = None,
) -> TaskTable:
    task, scenario = cells[0].task, cells[0].scenario.name
    part = trials.filter((pl.col("task") == task) & (pl.col("scenario") == scenario))
    if moved is not None:
        # How the client fared is no matter of the prediction, and trials that were left out are told of elsewhere.
        counts = dict(part["system"].value_counts().iter_rows())
        cells = [
            msgspec.structs.replace(
                cell,
                segments=(),
                round_trip_s=None,
                planned=counts.get(cell.system, 0),
                imported=_with_times(cell.imported),
            )
            if cell.system in moved
            else cell
            for cell in cells
        ]
    sample = take_sample(part, tuple(cell.system for cell in cells), batched=False)
    paired = within_nodes(sample)
    pairing = Pairing.of(paired, order=quicker_first(sample.shared), graded=cells[0].graded)
    return make_table(
        cells, sample, paired, pairing, anchors=None, limit_s=limit_s, deadline_s=None, resamples=resamples
    )


def _with_times(log: ImportedLog | None) -> ImportedLog | None:
    """A prediction has times, whether or not the log does."""
    if log is None:
        return None
    return msgspec.structs.replace(log, unknown=tuple(each for each in log.unknown if each != "time"))
