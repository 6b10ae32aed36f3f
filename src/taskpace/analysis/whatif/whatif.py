"""What if the systems of a run stood elsewhere: the same answers, with the waits and the token times of another place.

Who finishes first then, by how much, what a correct answer takes, and whether tokens per second still mislead. Task
times are predictions (``speed.Speed``); their error is measured on the trials of the other place and stands beside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl

from taskpace.analysis.data.cells import CellPlan, load_cells
from taskpace.analysis.data.costs import with_costs
from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.analysis.data.sample import take_sample
from taskpace.analysis.schema.summary import TaskTable
from taskpace.analysis.stats.bootstrap import RESAMPLES
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.summary import make_table
from taskpace.analysis.whatif.predict import at_least_nothing, at_speed
from taskpace.analysis.whatif.speed import (
    LEAST_TRIALS,
    FittingError,
    Range,
    Speed,
    countable,
    fit,
    leave_out,
    prompt_tokens,
    turns,
    usable,
)
from taskpace.errors import StoreError, TaskpaceError
from taskpace.experiment.experiment import Experiment
from taskpace.experiment.imported import ImportedLog
from taskpace.experiment.scenario import read_scenario
from taskpace.prices.price import Price
from taskpace.records import CUT
from taskpace.store import queries
from taskpace.store.queries import Reader
from taskpace.text.strict import close_to

WHATIF_VERSION = 1
"""Of ``WhatIf`` as JSON (docs/whatif-schema.json): raised when a field goes or changes its meaning."""


_ALONE = "single"


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A speed that somebody states, or that a benchmark of another tool found: no trials to check it with."""

    label: str
    speed: Speed
    system: str | None = None
    """Of the run: whose speed it is to be; null: of all that no other one names."""


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """A run of the place whose speed is wanted."""

    label: str
    source: Reader
    other: str | None = None
    """A system of it; null: the one of the same name, or its only one."""
    scenario: str | None = None
    """One of its scenarios; null: that of the same name, or its only one."""
    system: str | None = None
    """As of ``Given``."""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A system of the run, and the speed that it is given."""

    system: str
    source: str
    """Where the speed comes from."""
    source_system: str | None
    """The system of it whose speed it is; null: it has no systems."""
    source_scenario: str | None
    """The scenario under which that was measured; null likewise."""
    speed: Speed
    error: FittingError | None
    """On trials that the fit had not seen; null: there are none, so nothing is known of the error."""
    cautions: tuple[str, ...]
    """Where the speed is put to a use for which it was not measured."""


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
    _check_names(places, names)
    kept = {(cell.task, cell.scenario.name) for table in tables for cell in table}
    trials = trials.filter(
        pl.struct("task", "scenario").is_in([{"task": task, "scenario": scenario} for task, scenario in kept])
    )
    read = [_read(place) for place in places]
    moved: list[Moved] = []
    notes: list[str] = []
    parts: list[pl.DataFrame] = []
    for name in names:
        own = trials.filter(pl.col("system") == name)
        found = _moved(name, own, read, len(names), limit_s)
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


def _check_names(places: Sequence[Given | Elsewhere], names: list[str]) -> None:
    for place in places:
        if place.system is not None and place.system not in names:
            raise StoreError(
                f'no system "{place.system}" in the run{close_to(place.system, names)}: it has {", ".join(names)}'
            )


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
    return make_table(cells, sample, anchors=None, limit_s=limit_s, deadline_s=None, resamples=resamples)


def _with_times(log: ImportedLog | None) -> ImportedLog | None:
    """A prediction has times, whether or not the log does."""
    if log is None:
        return None
    return msgspec.structs.replace(log, unknown=tuple(each for each in log.unknown if each != "time"))


class _Read(NamedTuple):
    """Another place, whose run is read once for however many systems."""

    place: Elsewhere
    trials: pl.DataFrame
    """Last attempts."""
    cells: list[CellPlan]


def _read(place: Given | Elsewhere) -> Given | _Read:
    if isinstance(place, Given):
        return place
    return _Read(place, last_attempts(load_frame(place.source)), load_cells(place.source))


def _moved(name: str, own: pl.DataFrame, places: Sequence[Given | _Read], systems: int, limit_s: float) -> Moved | None:
    """The speed of the first place that is for a system; null: none is."""
    for read in places:
        place = read.place if isinstance(read, _Read) else read
        if place.system not in (None, name):
            continue
        if isinstance(read, Given):
            return Moved(
                system=name,
                source=read.label,
                source_system=None,
                source_scenario=None,
                speed=read.speed,
                error=None,
                cautions=tuple(_cautions(own, read.speed, limit_s)),
            )
        if (other := _counterpart(name, read.place, systems)) is not None:
            return _fitted(name, own, read, other, limit_s)
    return None


def _counterpart(name: str, place: Elsewhere, systems: int) -> str | None:
    """The system of another run whose speed is meant; null: that run has others of the names of this one."""
    there = [system.name for system in queries.systems(place.source)]
    if place.other is not None:
        if place.other not in there:
            raise StoreError(
                f'{place.label}: no system "{place.other}"{close_to(place.other, there)}: it has {", ".join(there)}'
            )
        return place.other
    if name in there:
        return name
    if len(there) == 1 and (systems == 1 or place.system is not None):
        return there[0]
    if place.system is not None or systems == 1:
        raise StoreError(
            f'{place.label}: it has {", ".join(there)} and no system "{name}": name one, as in FILE:SYSTEM'
        )
    return None


def _fitted(name: str, own: pl.DataFrame, read: _Read, other: str, limit_s: float) -> Moved:
    place, there = read.place, read.trials.filter(pl.col("system") == other)
    scenario = _scenario(there, place, own)
    there = usable(there.filter(pl.col("scenario") == scenario))
    if there.height < LEAST_TRIALS:
        raise TaskpaceError(
            f"{place.label}: {other} has {there.height} answers with times and tokens in {scenario}, and a speed takes "
            f"{LEAST_TRIALS} or more"
        )
    if any(cell.batched for cell in read.cells if cell.scenario.name == scenario):
        raise TaskpaceError(f"{place.label}: {scenario} is in static batches, whose time is not one answer's")
    speed = fit(there)
    tasks = set(own["task"]) - set(there["task"])
    error = leave_out(there, by_task=True) if tasks and there["task"].n_unique() > 1 else None
    return Moved(
        system=name,
        source=place.label,
        source_system=other,
        source_scenario=scenario,
        speed=speed,
        error=error or leave_out(there),
        cautions=(*_other_tokens(own, there), *_other_tasks(tasks, error), *_cautions(own, speed, limit_s)),
    )


def _scenario(there: pl.DataFrame, place: Elsewhere, own: pl.DataFrame) -> str:
    names = list(there["scenario"].unique(maintain_order=True))
    if place.scenario is not None:
        if place.scenario not in names:
            raise StoreError(
                f'{place.label}: no scenario "{place.scenario}"{close_to(place.scenario, names)}: '
                f"it has {', '.join(names)}"
            )
        return place.scenario
    same = [name for name in own["scenario"].unique(maintain_order=True) if name in names]
    if same or len(names) == 1:
        return str((same or names)[0])
    raise StoreError(f"{place.label}: it has the scenarios {', '.join(names)}: choose one with --scenario")


def _other_tokens(own: pl.DataFrame, there: pl.DataFrame) -> Iterator[str]:
    """Whether the same questions are as many tokens there: else the speed is that of other tokens."""
    asked = [
        frame.drop_nulls("first_prompt_tokens").unique(["task", "item_id"], maintain_order=True)
        for frame in (own, there)
    ]
    both = asked[0].join(asked[1], on=["task", "item_id"], how="inner", suffix="_there")
    more = both["first_prompt_tokens_there"] - both["first_prompt_tokens"]
    # As many more for each question (but where texts meet) is another system prompt or template of the same tokens.
    least, most = (int(end or 0) for end in (more.min(), more.max()))  # type: ignore[arg-type]  # integers
    if most - least > 1:
        yield (
            f"questions that both were asked are {least:+d} to {most:+d} prompt tokens there: another "
            "tokenizer, so the speed is that of other tokens"
        )


def _other_tasks(tasks: set[str], error: FittingError | None) -> Iterator[str]:
    if tasks and error is None:
        yield f"the speed was not measured on {', '.join(sorted(tasks))}, and its error was found on other prompts"


def _cautions(own: pl.DataFrame, speed: Speed, limit_s: float) -> Iterator[str]:
    """Where a speed is put to a use beyond what it was found on."""
    counted = countable(own.filter(pl.col("outcome") != "error"))
    if not counted.height:
        return
    per_turn = turns(counted)
    yield from _beyond(prompt_tokens(counted, cold=True) / per_turn, speed.prompt_tokens, "prompts")
    yield from _beyond(counted["output_tokens"].to_numpy() / per_turn, speed.output_tokens, "answers")
    total = at_speed(counted, speed)["task_time_s"]
    if late := int((total > limit_s).sum()):
        yield f"{late} of {counted.height} answers would take longer than the time limit of {limit_s:g} s"


def _beyond(values: Floats, seen: Range | None, what: str) -> Iterator[str]:
    if seen is None:
        return
    if beyond := int(np.sum(~seen.holds(values))):
        yield (
            f"{beyond} of {len(values)} {what} are beyond what the speed was found on "
            f"({seen.least:.0f} to {seen.most:.0f} tokens)"
        )
