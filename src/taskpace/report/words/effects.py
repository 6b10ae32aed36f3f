"""What a swept setting does, as a table and in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from taskpace.analysis.schema.across import Change, Effect
from taskpace.analysis.schema.summary import Summary
from taskpace.report.words.figures import UNKNOWN
from taskpace.report.words.sentences import interval

HEADINGS = ("from", "to", "task time", "length", "tokens/s", "accuracy")
LEGEND = "Sensitivity: new over old (accuracy: points), paired by item, with 95 % intervals; ~: not significant at 5 %."


class EffectTable(NamedTuple):
    """What one setting does on one task."""

    setting: str
    task: str
    scenario: str
    rows: list[tuple[str, ...]]
    """For ``HEADINGS``."""
    said: list[str]

    @property
    def title(self) -> str:
        return f"{self.task} · {self.scenario} · what the {self.setting} does"


def effect_tables(summary: Summary) -> Iterator[EffectTable]:
    """One for each setting on each task."""
    found: dict[tuple[str, str, str], list[Effect]] = {}
    for effect in summary.effects:
        found.setdefault((effect.setting, effect.task, effect.scenario), []).append(effect)
    for (setting, task, scenario), effects in found.items():
        rows = [_row(effect) for effect in effects]
        said = [_sentence(effect) for effect in effects if effect.valid]
        yield EffectTable(setting, task, scenario, rows, [*said, *_ranking(summary, effects)])


def _row(effect: Effect) -> tuple[str, ...]:
    return (
        effect.base_system,
        effect.system + ("" if effect.valid else " (INVALID)"),
        *(times(change) for change in (effect.task_time, effect.output_bytes, effect.tokens_per_s)),
        points(effect.accuracy),
    )


def times(change: Change) -> str:
    """``x1.83 (1.50 to 2.20)``, with a ``~`` where it is not significant."""
    if change.change.value is None:
        return UNKNOWN
    return f"x{change.change.value:.2f}{interval(change.change, '.2f')}{'' if change.significant else ' ~'}"


def points(change: Change) -> str:
    """``-5 (-12 to +2) ~``: percentage points."""
    value, low, high = (change.change.value, change.change.low, change.change.high)
    if value is None:
        return UNKNOWN
    within = "" if low is None or high is None else f" ({100 * low:+.0f} to {100 * high:+.0f})"
    return f"{100 * value:+.0f}{within}{'' if change.significant else ' ~'}"


def _sentence(effect: Effect) -> str:
    """Per token quicker or slower, more or less to write: what is left of it when the task is finished."""
    time, length, speed = effect.task_time, effect.output_bytes, effect.tokens_per_s
    parts = [
        moved("a task takes", time, "as long", "no clear change in task time"),
        moved("it writes", length, "as much", "no clear change in length"),
        moved("tokens come", speed, "as fast", "no clear change in speed"),
        points_moved(effect.accuracy),
    ]
    return f"{effect.base_system} to {effect.system}: " + "; ".join(part for part in parts if part) + "."


def moved(what: str, change: Change, measure: str, unclear: str) -> str:
    """A ratio in words, or that nothing is clear."""
    if change.change.value is None:
        return ""
    return f"{what} {change.change.value:.2f} times {measure}" if change.significant else unclear


def points_moved(change: Change) -> str:
    """A difference of accuracies in words."""
    if change.change.value is None:
        return ""
    if not change.significant:
        return "no clear change in accuracy"
    points = 100 * change.change.value
    return f"accuracy {'rises' if points > 0 else 'falls'} by {abs(points):.0f} points"


def _ranking(summary: Summary, effects: list[Effect]) -> list[str]:
    """Whether systems that are swept alike change places, where there are several."""
    setting, task, scenario = effects[0].setting, effects[0].task, effects[0].scenario
    sweeps = [sweep for sweep in summary.sweeps if sweep.setting == setting]
    table = next(table for table in summary.tables if (table.task, table.scenario) == (task, scenario))
    ranks = {row.system: row.rank_task_time for row in table.rows}
    values = [point.value for point in sweeps[0].points]
    if len(sweeps) < 2 or any([point.value for point in sweep.points] != values for sweep in sweeps):
        return []
    orders = []
    for index in range(len(values)):
        at = [ranks[sweep.points[index].system] for sweep in sweeps]
        if None in at:
            return []
        orders.append(sorted(range(len(sweeps)), key=lambda number, at=at: (at[number], number)))  # type: ignore[misc]
    same = all(order == orders[0] for order in orders)
    return [f"The ranking by task time {'is the same' if same else 'changes'} over {setting} {', '.join(values)}."]
