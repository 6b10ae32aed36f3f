"""Where the systems of a run would stand: places that are given or measured, and the speed that each system gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl

from taskpace.analysis.data.cells import CellPlan, load_cells
from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.whatif.fitting import LEAST_TRIALS, FittingError, fit, leave_out
from taskpace.analysis.whatif.predict import at_speed
from taskpace.analysis.whatif.speed import Range, Speed, countable, prompt_tokens, turns, usable
from taskpace.errors import StoreError, TaskpaceError
from taskpace.experiment.scenario import Scenario
from taskpace.store import queries
from taskpace.store.queries import Reader
from taskpace.text.strict import close_to


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


def check_names(places: Sequence[Given | Elsewhere], names: list[str]) -> None:
    for place in places:
        if place.system is not None and place.system not in names:
            raise StoreError(
                f'--system: no system "{place.system}" in the run{close_to(place.system, names)}: '
                f"it has {', '.join(names)}"
            )


class Read(NamedTuple):
    """Another place, whose run is read once for however many systems."""

    place: Elsewhere
    trials: pl.DataFrame
    """Last attempts."""
    cells: list[CellPlan]


def read_place(place: Given | Elsewhere) -> Given | Read:
    if isinstance(place, Given):
        return place
    return Read(place, last_attempts(load_frame(place.source)), load_cells(place.source))


def move(name: str, own: pl.DataFrame, places: Sequence[Given | Read], systems: int, limit_s: float) -> Moved | None:
    """The speed of the first place that is for a system; null: none is."""
    for read in places:
        place = read.place if isinstance(read, Read) else read
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


def _fitted(name: str, own: pl.DataFrame, read: Read, other: str, limit_s: float) -> Moved:
    place, there = read.place, read.trials.filter(pl.col("system") == other)
    scenario = _scenario(there, place, own)
    there = usable(there.filter(pl.col("scenario") == scenario))
    if there.height < LEAST_TRIALS:
        raise TaskpaceError(
            f"{place.label}: {other} has {there.height} answers with times and tokens in {scenario}, and a speed takes "
            f"{LEAST_TRIALS} or more"
        )
    how = next(cell.scenario for cell in read.cells if cell.scenario.name == scenario)
    if how.batch is not None:
        raise TaskpaceError(f"{place.label}: {scenario} is in static batches, whose time is not one answer's")
    speed = fit(there, how)
    tasks = set(own["task"]) - set(there["task"])
    error = leave_out(there, how, by_task=True) if tasks and there["task"].n_unique() > 1 else None
    return Moved(
        system=name,
        source=place.label,
        source_system=other,
        source_scenario=scenario,
        speed=speed,
        error=error or leave_out(there, how),
        cautions=(
            *_other_tokens(own, there),
            *_other_tasks(tasks, error),
            *_other_load(how, speed),
            *_cautions(own, speed, limit_s),
        ),
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


def _other_load(how: Scenario, speed: Speed) -> Iterator[str]:
    if speed.load is None and not how.one_at_a_time:
        yield f"the speed is a mean over the load of {how.name}: what each answer waited for others is not modelled"


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
