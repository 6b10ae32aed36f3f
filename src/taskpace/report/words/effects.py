"""What a swept setting does, as a table and in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskpace.analysis.schema.across import Change, Effect
from taskpace.analysis.schema.summary import Summary
from taskpace.report.words.block import INVALID, Block, Column, Name, change
from taskpace.report.words.claims import at_least
from taskpace.report.words.figures import POINTS, RATIO

_LEGEND = (
    "Sensitivity: new over old (accuracy: points), paired by item, with 95 % intervals; ~: not significant at 5 %."
)

Key = tuple[str, str, str]
"""Setting, task, scenario."""


def effect_blocks(summary: Summary) -> Iterator[Block]:
    """One for each setting on each task."""
    for (setting, task, scenario), effects in effects_by_key(summary).items():
        yield Block(
            title=f"{task} · {scenario} · what the {setting} does",
            columns=(
                Column(heading="from", kind="text", cells=tuple(Name(effect.base_system) for effect in effects)),
                Column(
                    heading="to",
                    kind="text",
                    cells=tuple(Name(effect.system, () if effect.valid else (INVALID,)) for effect in effects),
                ),
                *change_columns(effects),
            ),
            paragraphs=effect_sentences(summary, effects),
            legend=_LEGEND,
            chart="effects",
        )


def effects_by_key(summary: Summary) -> dict[Key, list[Effect]]:
    """The points of each sweep on each task."""
    found: dict[Key, list[Effect]] = {}
    for effect in summary.effects:
        found.setdefault((effect.setting, effect.task, effect.scenario), []).append(effect)
    return found


def change_columns(effects: Sequence[Effect]) -> tuple[Column, ...]:
    """How each measure moves, a row for each effect."""
    return (
        Column(heading="task time", form=RATIO, cells=tuple(change(effect.task_time) for effect in effects)),
        Column(heading="length", form=RATIO, cells=tuple(change(effect.output_bytes) for effect in effects)),
        Column(heading="tokens/s", form=RATIO, cells=tuple(change(effect.tokens_per_s) for effect in effects)),
        Column(heading="accuracy", form=POINTS, cells=tuple(change(effect.accuracy) for effect in effects)),
    )


def effect_sentences(summary: Summary, effects: Sequence[Effect]) -> tuple[str, ...]:
    """What the effects of one setting on one task come to."""
    return (*(_sentence(effect) for effect in effects if effect.valid), *_ranking(summary, effects))


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
    if change.open:
        return f"{unclear}, for the cut answers decide"
    ratio = f"{at_least(change.change.bound)}{change.change.value:.2f}"
    return f"{what} {ratio} times {measure}" if change.significant else unclear


def points_moved(change: Change) -> str:
    """A difference of accuracies in words."""
    if change.change.value is None:
        return ""
    if not change.significant:
        return "no clear change in accuracy"
    points = 100 * change.change.value
    return f"accuracy {'rises' if points > 0 else 'falls'} by {abs(points):.0f} points"


def _ranking(summary: Summary, effects: Sequence[Effect]) -> list[str]:
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
        at = [rank for sweep in sweeps if (rank := ranks[sweep.points[index].system]) is not None]
        if len(at) < len(sweeps):
            return []
        orders.append([number for _, number in sorted(zip(at, range(len(at)), strict=True))])
    same = all(order == orders[0] for order in orders)
    return [f"The ranking by task time {'is the same' if same else 'changes'} over {setting} {', '.join(values)}."]
